//! Stage 7: what the token's scopes and patient context allow.
//!
//! Each context of a token (`patient/`, `user/`, `system/`) is judged on its own and what they
//! allow adds up: a request is permitted when one of them permits it. More scope never means less
//! access. What this version can't judge is refused and says so; `docs/decisions.md` is the whole
//! table.

mod case;
mod coverage;
mod covered;
mod evidence;
mod exports;
mod found;
mod granular;
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

pub use covered::Coverages;
pub use evidence::{Evidence, Lookup, Probe, Stored};
pub use exports::{ExpectedFile, Exported, expected_file, exported, may_export};
pub use found::Search;
pub use grants::Grants;
pub use operations::{Listed, ListedLevel};
pub use permit::{Becomes, EntryPermit, Expected, Form, Narrowing, Permit, Precondition, Resolved};
pub use sight::{By, Sight};
pub use smart::{EncounterContext, ResponseCheck, SearchWithoutPatient, SharedType, Smart};

use std::rc::Rc;

use crate::base::refusal::Refusal;
use crate::fhir::config::Api;
use crate::fhir::{Interaction, Request};
use crate::limits::AdmittedToken;
use crate::request::Head;
use case::{Case, Denial, Stop};

/// What is decided of a request by what came in so far. Asked again when more has.
#[derive(Debug)]
pub enum Decision {
    /// It may go on, by this.
    Permit(Box<Permit>),
    /// Its body has to be read first.
    Body,
    /// This has to be looked up first.
    Stored(Vec<Lookup>),
}

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
    _proof: &AdmittedToken,
    grants: &Rc<Grants>,
    request: &Request,
    head: &Head,
    evidence: Evidence<'_>,
    api: &Api,
    smart: &Smart,
) -> Result<Decision, Refusal> {
    judge(Asked { grants, request, head, evidence, api, smart })
}

/// A request, who asks and by what rules.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    grants: &'a Rc<Grants>,
    request: &'a Request,
    head: &'a Head,
    evidence: Evidence<'a>,
    api: &'a Api,
    smart: &'a Smart,
}

fn judge(asked: Asked<'_>) -> Result<Decision, Refusal> {
    let interaction = &asked.request.interaction;
    if let Some(permit) = public(interaction) {
        return Ok(Decision::Permit(Box::new(permit)));
    }
    if *interaction == Interaction::Batch {
        return rules::batch::judge(asked);
    }
    let (mut permit, mut missing, mut denial) = (None::<Permit>, None::<Decision>, None::<Denial>);
    for grant in asked.grants.contexts() {
        match rules::judge(&Case::new(asked, grant)) {
            Ok(next) => {
                permit = Some(match permit {
                    Some(permit) => permit.or(next),
                    None => next,
                });
            }
            Err(Stop::Body) => missing = Some(Decision::Body),
            Err(Stop::Stored(lookups)) => missing = Some(and_lookups(missing, lookups)),
            Err(Stop::Denied(next)) => {
                denial = Some(match denial {
                    Some(denial) => denial.or(next),
                    None => next,
                });
            }
        }
    }
    match (permit, missing, denial) {
        // What one context shows of an answer another may add to, as soon as it can tell.
        (Some(permit), Some(missing @ Decision::Stored(_)), _) if permit.is_sifted() => Ok(missing),
        (Some(permit), ..) => Ok(Decision::Permit(Box::new(permit))),
        (None, Some(missing), _) => Ok(missing),
        (None, None, Some(denial)) => Err(denial.refusal),
        (None, None, None) => {
            if let Interaction::Operation(operation) = interaction {
                return Err(rules::operation::lacking(operation, asked));
            }
            let needs = rules::needs::of(asked.request, asked.api.release)?;
            Err(case::lacking(asked.grants.likely_context(), &needs))
        }
    }
}

/// What else is missing when this has to be looked up: each context may need something else.
fn and_lookups(missing: Option<Decision>, mut more: Vec<Lookup>) -> Decision {
    match missing {
        None => Decision::Stored(more),
        Some(Decision::Stored(mut lookups)) => {
            more.retain(|lookup| !lookups.contains(lookup));
            lookups.extend(more);
            Decision::Stored(lookups)
        }
        Some(other) => other,
    }
}
