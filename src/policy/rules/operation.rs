//! Operations (<http://hl7.org/fhir/R4/operations.html>): `$everything` and the kick-off of `$export`
//! are judged by what they give; every other one goes on only when `smart.operations` lists it, for
//! FHIR does not say what it reads or changes.

mod everything;
mod export;
mod input;
mod listed;

#[cfg(test)]
mod tests;

use crate::base::refusal::Refusal;
use crate::fhir::{Body, Operation, written};
use crate::policy::Asked;
use crate::policy::case::{self, Case, Stop};
use crate::policy::coverage::Need;
use crate::policy::operations::{self, EVERYTHING, EXPORT};
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::permit::Permit;
use crate::policy::reasons::SCOPE_INSUFFICIENT;
use crate::policy::scope::Context;

/// Judges an operation under the scopes of one context.
pub(super) fn judge(case: &Case<'_>, operation: &Operation) -> Result<Permit, Stop> {
    match operation.name.as_str() {
        EVERYTHING => everything::judge(case, &operation.level),
        EXPORT => export::judge(case, &operation.level),
        _ => listed::judge(case, operation),
    }
}

/// The refusal of a token that has no clinical scope at all.
pub(in crate::policy) fn lacking(operation: &Operation, asked: Asked<'_>) -> Refusal {
    match operation.name.as_str() {
        EVERYTHING => case::lacking(asked.grants.likely_context(), &[ALL_TYPES]),
        EXPORT => case::lacking(Context::System, &[ALL_TYPES]),
        _ => match operations::find(&asked.smart.operations, operation) {
            Ok(listed) => Refusal::new(&SCOPE_INSUFFICIENT).scope(listed.requires()),
            Err(refusal) => refusal,
        },
    }
}

/// The body to look at, in JSON if there is one: a form's parameters are among the request's own.
fn body<'a>(case: &Case<'a>) -> Result<&'a [u8], Stop> {
    if case.request.body != Body::Resource {
        return Ok(&[]);
    }
    let body = case.body()?;
    if !body.is_empty() {
        written::judgeable(case.head.headers(), case.api.release)?;
    }
    Ok(body)
}

/// What covers everything an operation could give.
const ALL_TYPES: Need = Need::on_all(&[Read, Search]);
