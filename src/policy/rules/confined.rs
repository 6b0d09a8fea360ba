//! Confined to a patient: what may be touched at all.

use std::rc::Rc;

use crate::base::refusal::{Reason, Refusal};
use crate::fhir::compartment::{is_in_patient_compartment, subject_parameter};
use crate::fhir::membership::proving_elements;
use crate::fhir::{Id, Interaction as I, ResourceType};
use crate::policy::case::{Case, Denial};
use crate::policy::permit::{Expected, Form, Permit};
use crate::policy::reasons::{
    BINARY_UNJUDGED, BUNDLE_UNJUDGED, BY_ID_UNJUDGED, COMPARTMENT_OTHER_PATIENT,
    COMPARTMENT_TYPE_OUTSIDE, CONDITIONAL_UNJUDGED, FORMAT_UNJUDGED, HEAD_UNJUDGED,
    HISTORY_UNCONFINED, OPERATION_UNJUDGED, SEARCH_COMPARTMENT_UNJUDGED, SEARCH_SUBJECT_UNKNOWN,
    SEARCH_SYSTEM_UNCONFINED, WRITE_UNJUDGED,
};
use crate::policy::rules::search;
use crate::policy::sight::Sight;
use crate::policy::smart::ResponseCheck;
use crate::request::Method;

/// Judges a covered interaction of which only what concerns `patient` may be touched.
pub(super) fn judge(case: &Case<'_>, patient: &Id, permit: Permit) -> Result<Permit, Denial> {
    match &case.request.interaction {
        I::Capabilities | I::Public(_) => Ok(permit),
        I::Read(resource, id) | I::Vread(resource, id, _) => {
            by_id(case, (*resource, id), patient, permit, Form::Resource(*resource))
        }
        I::HistoryInstance(resource, id) => {
            by_id(case, (*resource, id), patient, permit, Form::History(*resource))
        }
        I::SearchType(resource) => match place(case, *resource) {
            Place::Inside => narrow(case, *resource, patient, permit),
            Place::Shared => Ok(permit),
            Place::Outside(reason) => Err(reason.into()),
        },
        I::SearchCompartment(owner, id, Some(resource)) if owner.name() == "Patient" => {
            match place(case, *resource) {
                _ if id != patient => Err((&COMPARTMENT_OTHER_PATIENT).into()),
                Place::Inside => narrow(case, *resource, patient, permit),
                Place::Shared => Err((&COMPARTMENT_TYPE_OUTSIDE).into()),
                Place::Outside(reason) => Err(reason.into()),
            }
        }
        I::SearchCompartment(..) => Err((&SEARCH_COMPARTMENT_UNJUDGED).into()),
        I::HistoryType(_) | I::HistorySystem => Err((&HISTORY_UNCONFINED).into()),
        I::SearchSystem => Err((&SEARCH_SYSTEM_UNCONFINED).into()),
        I::Create(_) | I::Update(..) | I::Patch(..) | I::Delete(..) | I::DeleteHistory(..) => {
            Err((&WRITE_UNJUDGED).into())
        }
        I::ConditionalCreate(_)
        | I::ConditionalUpdate(_)
        | I::ConditionalPatch(_)
        | I::ConditionalDelete(_)
        | I::ConditionalDeleteSystem => Err((&CONDITIONAL_UNJUDGED).into()),
        I::Batch => Err((&BUNDLE_UNJUDGED).into()),
        I::Operation(_) => Err((&OPERATION_UNJUDGED).into()),
    }
}

/// Where a type stands towards the patient compartment.
enum Place {
    /// Its resources are about patients.
    Inside,
    /// Outside, and listed in `smart.shared_types`.
    Shared,
    /// Outside, for this reason.
    Outside(&'static Reason),
}

fn place(case: &Case<'_>, resource: ResourceType) -> Place {
    match resource.name() {
        // Anyone's raw data: only its `securityContext` tells whose.
        "Binary" => Place::Outside(&BINARY_UNJUDGED),
        _ if is_in_patient_compartment(case.api.release, resource) => Place::Inside,
        name if case.smart.shares(name) => Place::Shared,
        _ => Place::Outside(&COMPARTMENT_TYPE_OUTSIDE),
    }
}

/// Judges access by id. Ids are compared whole and by case
/// (<http://hl7.org/fhir/R4/datatypes.html#id>); of other types than Patient only the answer tells
/// whose they are.
fn by_id(
    case: &Case<'_>,
    (resource, id): (ResourceType, &Id),
    patient: &Id,
    permit: Permit,
    form: Form,
) -> Result<Permit, Denial> {
    match place(case, resource) {
        Place::Inside if resource.name() != "Patient" => {
            subject_parameter(case.api.release, resource)
                .ok_or_else(|| Denial::from(&SEARCH_SUBJECT_UNKNOWN))?;
            if case.smart.response_check == ResponseCheck::Off {
                return Err((&BY_ID_UNJUDGED).into());
            }
            expecting(case, permit, resource, form)
        }
        Place::Inside if id != patient => Err((&COMPARTMENT_OTHER_PATIENT).into()),
        Place::Inside | Place::Shared => Ok(permit),
        Place::Outside(reason) => Err(reason.into()),
    }
}

/// Narrows a search, and expects the server to keep to it.
fn narrow(
    case: &Case<'_>,
    resource: ResourceType,
    patient: &Id,
    permit: Permit,
) -> Result<Permit, Denial> {
    let permit = search::narrow(case, resource, patient, permit)?;
    if case.smart.response_check == ResponseCheck::Off {
        return Ok(permit);
    }
    expecting(case, permit, resource, Form::Searchset(Some(resource)))
}

/// HEAD has no body to be judged: its bare status would tell what exists.
fn expecting(
    case: &Case<'_>,
    permit: Permit,
    resource: ResourceType,
    form: Form,
) -> Result<Permit, Denial> {
    if case.head.method() == Method::Head {
        return Err(Refusal::new(&HEAD_UNJUDGED).allow("GET").into());
    }
    if !takes_json(case) {
        return Err((&FORMAT_UNJUDGED).into());
    }
    let proving = proving_elements(case.api.release, resource);
    let sight = Sight::new(Rc::clone(case.grants));
    Ok(permit.expecting(Expected { form, sight, proving, counted: true }))
}

/// Whether the client takes the one format that can be judged. Asked before the request goes on: the
/// status of an answer in another format would tell what exists.
fn takes_json(case: &Case<'_>) -> bool {
    let mut formats = case.request.query.values("_format");
    let accept = case.head.headers().all("accept").map(<[u8]>::to_ascii_lowercase);
    let mut accept = accept.peekable();
    let asked = accept.peek().is_some();
    let json = |field: Vec<u8>| {
        JSON_RANGES.iter().any(|range| field.windows(range.len()).any(|part| part == *range))
    };
    formats.all(|format| JSON_FORMATS.contains(&format)) && (!asked || accept.any(json))
}

/// Values of `_format` (<http://hl7.org/fhir/R4/http.html#parameters>); a `+` that was not encoded is
/// read as a space.
const JSON_FORMATS: [&str; 4] =
    ["json", "application/json", "application/fhir+json", "application/fhir json"];

/// Media ranges of `Accept` that take JSON.
const JSON_RANGES: [&[u8]; 4] =
    [b"*/*", b"application/*", b"application/json", b"application/fhir+json"];
