//! `$everything` (<http://hl7.org/fhir/R4/patient-operation-everything.html>): it gives resources of
//! any type, so it needs `rs` on every type, or on those that `_type` names; a server may ignore
//! `_type`, so that the answer is judged then.

use super::{ALL_TYPES, Ruling, held, input, judged};
use crate::fhir::Level;
use crate::policy::case::{Case, Denial};
use crate::policy::permit::{Form, Permit};
use crate::policy::reasons::{COMPARTMENT_OTHER_PATIENT, OPERATION_UNCONFINED};
use crate::policy::rules::parameters;

/// Judges `$everything`.
pub(super) fn judge(case: &Case<'_>, level: &Level, body: Option<&[u8]>) -> Result<Ruling, Denial> {
    if let Ok(covered) = case.covered(&[ALL_TYPES])
        && covered.patient.is_none()
    {
        return Ok(Ruling::Permit(Permit::unconfined(covered.scopes)));
    }
    let Some(body) = judged(case, body) else { return Ok(Ruling::Body) };
    let inputs = input::all(case, body)?;
    let mut needs = input::types(&inputs, case.api.release)?;
    if needs.is_empty() {
        needs.push(ALL_TYPES);
    }
    let covered = case.covered(&needs)?;
    if let Some(refusal) =
        parameters::header_objection(case).or_else(|| input::stray(&inputs, PARAMETERS))
    {
        return Err(refusal.into());
    }
    let permit = match covered.patient {
        None => Permit::unconfined(covered.scopes),
        Some(patient) => match level {
            Level::Instance(of, id) if of.name() == "Patient" && id == patient => {
                Permit::confined(covered.scopes, patient.clone())
            }
            Level::Instance(of, _) if of.name() == "Patient" => {
                return Err((&COMPARTMENT_OTHER_PATIENT).into());
            }
            _ => return Err((&OPERATION_UNCONFINED).into()),
        },
    };
    held(case, permit, Form::Collection)
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
    "_page_token",
    "ct",
];
