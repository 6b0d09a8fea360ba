//! Operations (<http://hl7.org/fhir/R4/operations.html>): `$everything` and the kick-off of `$export`
//! are judged here by what they give; every other one only when `smart.operations` lists it, for
//! FHIR does not say what it reads or changes.

mod everything;
mod export;
mod input;
mod listed;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::confined::takes_json;
use crate::base::refusal::Refusal;
use crate::fhir::{Body, Operation};
use crate::policy::case::{self, Case, Denial};
use crate::policy::coverage::Need;
use crate::policy::operations::{self, EVERYTHING, EXPORT};
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::permit::{Expected, Form, Permit};
use crate::policy::reasons::{
    FORMAT_UNJUDGED, HEAD_UNJUDGED, OPERATION_ANSWER_UNJUDGED, SCOPE_INSUFFICIENT,
};
use crate::policy::scope::Context;
use crate::policy::sight::Sight;
use crate::policy::smart::{ResponseCheck, Smart};
use crate::request::Method;

/// What is decided of an operation so far.
#[derive(Debug)]
pub(super) enum Ruling {
    /// It may go on.
    Permit(Permit),
    /// The request's body decides: ask again with it.
    Body,
}

/// Judges an operation under the scopes of one context. `body`: that of the request, when it came
/// already; a form's parameters are among the request's own instead.
pub(super) fn judge(
    case: &Case<'_>,
    operation: &Operation,
    body: Option<&[u8]>,
) -> Result<Ruling, Denial> {
    match operation.name.as_str() {
        EVERYTHING => everything::judge(case, &operation.level, body),
        EXPORT => export::judge(case, &operation.level, body),
        _ => listed::judge(case, operation, body),
    }
}

/// The refusal of a token that has no clinical scope at all.
pub(in crate::policy) fn lacking(
    operation: &Operation,
    context: Context,
    smart: &Smart,
) -> Refusal {
    match operation.name.as_str() {
        EVERYTHING => case::lacking(context, &[ALL_TYPES]),
        EXPORT => case::lacking(Context::System, &[ALL_TYPES]),
        _ => match operations::find(&smart.operations, operation) {
            Ok(listed) => Refusal::new(&SCOPE_INSUFFICIENT).scope(listed.requires()),
            Err(refusal) => refusal,
        },
    }
}

/// The body to judge: `Some` of nothing where none belongs to the request, `None` where it is still
/// to come.
fn judged<'b>(case: &Case<'_>, body: Option<&'b [u8]>) -> Option<&'b [u8]> {
    if case.request.body == Body::Resource { body } else { Some(&[]) }
}

/// Whether scopes without search parameters cover all of `needs`: an operation can't be held to a
/// scope's search parameters.
fn is_plain(case: &Case<'_>, needs: &[Need]) -> bool {
    let coverage = &case.grant.coverage;
    needs
        .iter()
        .all(|need| need.permissions.iter().all(|one| coverage.plain(need.resource, one).is_some()))
}

/// Permits what is judged on its answer.
fn held(case: &Case<'_>, permit: Permit, form: Form) -> Result<Ruling, Denial> {
    if case.smart.response_check == ResponseCheck::Off {
        return Err((&OPERATION_ANSWER_UNJUDGED).into());
    }
    if case.head.method() == Method::Head {
        return Err(Refusal::new(&HEAD_UNJUDGED).allow("GET, POST").into());
    }
    if !takes_json(case) {
        return Err((&FORMAT_UNJUDGED).into());
    }
    let sight = Sight::new(Rc::clone(case.grants));
    let expected = Expected { form, sight, proving: Vec::new(), counted: false };
    Ok(Ruling::Permit(permit.expecting(expected)))
}

/// What covers everything an operation could give.
const ALL_TYPES: Need = Need::on_all(&[Read, Search]);
