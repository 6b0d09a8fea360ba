//! The kick-off of a bulk export (<https://hl7.org/fhir/uv/bulkdata/export.html>): for backend
//! services only, and only with scopes on every type that comes out of it. Status and files are bound
//! to the client by `export`, where their types are judged again.

use super::input::Inputs;
use super::{ALL_TYPES, body};
use crate::base::refusal::Refusal;
use crate::fhir::Level;
use crate::policy::case::{Case, Stop};
use crate::policy::permit::Permit;
use crate::policy::reasons::{
    EXPORT_PREFER_MISSING, EXPORT_SYSTEM_ONLY, HEAD_UNJUDGED, OPERATION_LEVEL,
};
use crate::policy::rules::parameters;
use crate::policy::scope::Context;
use crate::request::Method;

/// Judges `$export`, `Patient/$export` and `Group/id/$export`.
pub(super) fn judge(case: &Case<'_>, level: &Level) -> Result<Permit, Stop> {
    if !is_offered(level) {
        return Err((&OPERATION_LEVEL).into());
    }
    if case.grant.context != Context::System {
        return Err(Refusal::new(&EXPORT_SYSTEM_ONLY).scope("system/*.rs").into());
    }
    if case.head.method() == Method::Head {
        return Err(Refusal::new(&HEAD_UNJUDGED).allow("GET, POST").into());
    }
    if !asks_to_come_back(case) {
        return Err((&EXPORT_PREFER_MISSING).into());
    }
    if let Ok(covered) = case.covered(&[ALL_TYPES]) {
        return Ok(Permit::by(covered.scopes, None));
    }
    let inputs = Inputs::read(case, body(case)?)?;
    let mut needs = inputs.needs(case.api.release)?;
    needs.extend(inputs.filtered(case.api.release)?);
    let covered = case.covered(&needs)?;
    // What comes out can't be held to a scope's search parameters.
    if covered.granular {
        return Err(case.lacking(&needs).into());
    }
    if let Some(refusal) = parameters::header(case) {
        return Err(refusal.into());
    }
    inputs.keep_to(PARAMETERS)?;
    Ok(Permit::by(covered.scopes, None))
}

fn is_offered(level: &Level) -> bool {
    match level {
        Level::System => true,
        Level::Type(of) => of.name() == "Patient",
        Level::Instance(of, _) => of.name() == "Group",
        Level::Version(..) => false,
    }
}

/// Whether the client asks to come back for the answer (`Prefer: respond-async`, RFC 7240 section
/// 4.1): an answer at once would be nobody's to judge.
fn asks_to_come_back(case: &Case<'_>) -> bool {
    let fields = case.head.headers().all("prefer");
    let mut preferences = fields.flat_map(|field| field.split(|byte| matches!(byte, b',' | b';')));
    preferences.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"respond-async"))
}

/// What reaches no further than the types that are judged, here and in the manifest. Whoever may
/// export every type may send any other.
const PARAMETERS: &[&str] = &[
    "_type",
    "_typeFilter",
    "_since",
    "_until",
    "_elements",
    "_outputFormat",
    "includeAssociatedData",
    "allowPartialManifests",
    "patient",
    "_format",
    "_pretty",
];
