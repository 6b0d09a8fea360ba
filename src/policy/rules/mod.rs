//! The rules, in the order in which they are asked: the scopes must cover what the interaction
//! [`needs`]; no [`parameters`] may reach further than what is judged; and confined to a patient,
//! the interaction must stay with that patient ([`confined`], [`search`]).

mod confined;
pub(super) mod needs;
pub(super) mod operation;
mod parameters;
mod search;

use super::case::{Case, Denial};
use super::permit::Permit;
use super::reasons::OPERATION_UNJUDGED;
use crate::fhir::Interaction;
use operation::Ruling;

/// Judges a request under the scopes of one context.
pub(super) fn judge(case: &Case<'_>) -> Result<Permit, Denial> {
    if let Interaction::Operation(operation) = &case.request.interaction {
        return match operation::judge(case, operation, None)? {
            Ruling::Permit(permit) => Ok(permit),
            Ruling::Body => Err((&OPERATION_UNJUDGED).into()),
        };
    }
    let covered = case.covered(&needs::of(case.request, case.api.release)?)?;
    let Some(patient) = covered.patient else {
        return unconfined(case, Permit::unconfined(covered.scopes));
    };
    if let Some(refusal) = parameters::objection(case) {
        return Err(refusal.into());
    }
    confined::judge(case, patient, Permit::confined(covered.scopes, patient.clone()))
}

/// Parameters that reach further are allowed to those who may do as much with every type.
fn unconfined(case: &Case<'_>, permit: Permit) -> Result<Permit, Denial> {
    if let Some(refusal) = parameters::objection(case)
        && case.covered(&[needs::sweeping(&case.request.interaction)]).is_err()
    {
        return Err(refusal.into());
    }
    // The types in `_type` were judged: a server that ignores it would search the others too.
    let relies_on_types = case.request.interaction == Interaction::SearchSystem;
    Ok(if relies_on_types { permit.strict() } else { permit })
}
