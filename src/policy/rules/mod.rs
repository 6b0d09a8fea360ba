//! The rules, in the order in which they are asked: the scopes must cover what the interaction
//! [`needs`]; no [`parameters`] may reach further than what is judged; and then what is particular
//! to reading [`by_id`], to a [`search`], a [`write`] or an operation. Confined to a patient, or to
//! what granular scopes match, a request must stay there.

pub(super) mod batch;
mod binary;
mod by_id;
mod chain;
mod conditional;
mod named;
pub(super) mod needs;
pub(super) mod operation;
mod parameters;
mod place;
mod search;
mod write;

use super::case::{Case, Stop};
use super::permit::Permit;
use crate::fhir::Interaction as I;

/// Judges a request under the scopes of one context.
pub(super) fn judge(case: &Case<'_>) -> Result<Permit, Stop> {
    if parameters::is_page(case) {
        return search::page(case);
    }
    if let I::Operation(operation) = &case.request.interaction {
        return operation::judge(case, operation);
    }
    let covered = case.covered(&needs::of(case.request, case.api.release)?)?;
    let reach = parameters::judge(case, &covered)?;
    match &case.request.interaction {
        I::Capabilities | I::Public(_) => Ok(Permit::open()),
        I::Read(..) | I::Vread(..) | I::HistoryInstance(..) => by_id::judge(case, &covered),
        I::SearchType(_)
        | I::SearchCompartment(..)
        | I::SearchSystem
        | I::HistoryType(_)
        | I::HistorySystem => search::judge(case, &covered, &reach),
        I::Create(_)
        | I::ConditionalCreate(_)
        | I::Update(..)
        | I::ConditionalUpdate(_)
        | I::Patch(..)
        | I::ConditionalPatch(_)
        | I::Delete(..)
        | I::ConditionalDelete(_)
        | I::ConditionalDeleteSystem
        | I::DeleteHistory(..)
        | I::Batch
        | I::Operation(_) => write::judge(case, &covered),
    }
}
