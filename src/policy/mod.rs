//! Stage 6: what the token's scopes and patient context allow.
//!
//! Each context of a token (`patient/`, `user/`, `system/`) is judged on its own and what they
//! allow adds up: a request is permitted when one of them permits it. More scope never means less
//! access. What this version can't judge is refused and says so; `docs/decisions.md` is the whole
//! table.

mod case;
mod coverage;
mod exports;
mod grants;
mod operations;
mod permission;
mod permit;
pub mod reasons;
mod rules;
mod scope;
mod sight;
mod smart;
mod user;

#[cfg(test)]
mod tests;

pub use exports::{Exported, exported, may_export};
pub use grants::Grants;
pub use operations::{Listed, ListedLevel};
pub use permit::{Expected, Form, Narrowing, Permit};
pub use sight::{By, Sight};
pub use smart::{ResponseCheck, SearchWithoutPatient, SharedType, Smart};

use std::rc::Rc;

use crate::base::refusal::Refusal;
use crate::fhir::config::Api;
use crate::fhir::{Interaction, Request};
use crate::request::Head;
use crate::revocation::LiveToken;
use case::{Case, Denial};

/// The permit for what anyone may read: the capability statement and the public documents.
pub fn public(interaction: &Interaction) -> Option<Permit> {
    match interaction {
        Interaction::Capabilities | Interaction::Public(_) => Some(Permit::open()),
        _ => None,
    }
}

/// Decides a request. `grants` are those of the token ([`Grants::of`]), kept beside it.
///
/// # Errors
///
/// The refusal that tells most, of [`reasons`].
pub fn decide(
    _proof: &LiveToken,
    grants: &Rc<Grants>,
    request: &Request,
    head: &Head,
    api: &Api,
    smart: &Smart,
) -> Result<Permit, Refusal> {
    if let Some(permit) = public(&request.interaction) {
        return Ok(permit);
    }
    let mut denial: Option<Denial> = None;
    for grant in grants.contexts() {
        match rules::judge(&Case { grants, grant, request, head, api, smart }) {
            Ok(permit) => return Ok(permit),
            Err(next) => {
                denial = Some(match denial {
                    Some(denial) => denial.or(next),
                    None => next,
                });
            }
        }
    }
    Err(match (denial, &request.interaction) {
        (Some(denial), _) => denial.refusal,
        (None, Interaction::Operation(operation)) => {
            rules::operation::lacking(operation, grants.likely_context(), smart)
        }
        (None, _) => {
            case::lacking(grants.likely_context(), &rules::needs::of(request, api.release)?)
        }
    })
}
