//! `$everything` (<http://hl7.org/fhir/R4/patient-operation-everything.html>): it gives resources of
//! any type, so it needs `rs` on every type, or on those that `_type` names. A server may ignore
//! `_type`: the answer is judged then.

use super::input::Inputs;
use super::{ALL_TYPES, body};
use crate::fhir::{Id, Level};
use crate::policy::case::{Case, Stop};
use crate::policy::permit::{Form, Permit};
use crate::policy::reasons::{COMPARTMENT_OTHER_PATIENT, OPERATION_UNCONFINED};
use crate::policy::rules::{parameters, place};

/// Judges `$everything`.
pub(super) fn judge(case: &Case<'_>, level: &Level) -> Result<Permit, Stop> {
    if let Ok(covered) = case.covered(&[ALL_TYPES])
        && covered.patient.is_none()
    {
        return Ok(Permit::by(covered.scopes, None));
    }
    let inputs = Inputs::read(case, body(case)?)?;
    let covered = case.covered(&inputs.needs(case.api.release)?)?;
    if let Some(patient) = covered.patient {
        on_patient(level, patient)?;
    }
    if let Some(refusal) = parameters::header(case) {
        return Err(refusal.into());
    }
    inputs.keep_to(PARAMETERS)?;
    let permit = Permit::by(covered.scopes, covered.patient.cloned());
    place::held(case, permit, Form::Collection, &[], false)
}

/// Confined, only what stands around the patient itself.
fn on_patient(level: &Level, patient: &Id) -> Result<(), Stop> {
    match level {
        Level::Instance(of, id) if of.name() == "Patient" && id == patient => Ok(()),
        Level::Instance(of, _) if of.name() == "Patient" => {
            Err((&COMPARTMENT_OTHER_PATIENT).into())
        }
        _ => Err((&OPERATION_UNCONFINED).into()),
    }
}

/// What it takes, and a place in an answer of several pages: each page is judged.
const PARAMETERS: &[&str] = &[
    "_type",
    "_since",
    "start",
    "end",
    "_count",
    "_format",
    "_pretty",
    "_offset",
    "_page",
    "page",
    "_getpages",
    "_getpagesoffset",
    "_pageId",
    "_bundletype",
    "_cursor",
    "_page_token",
    "ct",
];
