//! Where a type stands towards a client, and how an answer is held to that.

use crate::base::refusal::{Reason, Refusal};
use crate::fhir::compartment::is_in_patient_compartment;
use crate::fhir::{Id, ResourceType};
use crate::policy::case::{Case, Covered, Stop};
use crate::policy::evidence::{Probe, Version};
use crate::policy::permit::{Expected, Form, Permit};
use crate::policy::reasons::{
    COMPARTMENT_TYPE_OUTSIDE, FORMAT_UNJUDGED, HEAD_UNJUDGED, PROBE_UNCONFIGURED,
    RESPONSE_UNCHECKED,
};
use crate::policy::smart::ResponseCheck;
use crate::request::{Head, Method, Query};

/// Where a type stands towards the patient to whom a client is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody is confined.
    Free,
    /// Its resources are about patients; `Binary` says whose by its `securityContext`.
    Inside,
    /// Outside, and listed in `smart.shared_types`.
    Shared,
}

/// Where a type stands; outside the compartment is a refusal.
pub(super) fn of(
    case: &Case<'_>,
    covered: &Covered<'_>,
    resource: ResourceType,
) -> Result<Place, &'static Reason> {
    if covered.patient.is_none() {
        return Ok(Place::Free);
    }
    let inside = is_in_patient_compartment(case.api.release, resource);
    match resource.name() {
        "Binary" => Ok(Place::Inside),
        _ if inside => Ok(Place::Inside),
        name if case.smart.shares(name) => Ok(Place::Shared),
        _ => Err(&COMPARTMENT_TYPE_OUTSIDE),
    }
}

/// A resource as it is stored; `None` where there is none.
pub(super) fn stored<'a>(
    case: &Case<'a>,
    resource: ResourceType,
    id: &Id,
) -> Result<Option<&'a Version>, Stop> {
    can_look_up(case)?;
    let probe = Probe { resource, id: id.clone() };
    match case.evidence.stored.get(&probe) {
        Some(found) => Ok(found?),
        None => Err(Stop::Stored(vec![probe.into()])),
    }
}

/// That there is somewhere to look up what is stored.
pub(super) fn can_look_up(case: &Case<'_>) -> Result<(), Stop> {
    match case.api.cluster {
        Some(_) => Ok(()),
        None => Err((&PROBE_UNCONFIGURED).into()),
    }
}

/// Holds the answer to what the client may see. HEAD has no body to be judged: its bare status would
/// tell what exists. `types`: those whose elements prove it.
pub(super) fn held(
    case: &Case<'_>,
    permit: Permit,
    form: Form,
    types: &[ResourceType],
    counted: bool,
) -> Result<Permit, Stop> {
    if case.smart.response_check == ResponseCheck::Off {
        return Err((&RESPONSE_UNCHECKED).into());
    }
    if case.head.method() == Method::Head {
        return Err(Refusal::new(&HEAD_UNJUDGED).allow("GET").into());
    }
    if !takes_json(case.head, &case.request.query) {
        return Err((&FORMAT_UNJUDGED).into());
    }
    let mut proving: Vec<&'static str> = types.iter().flat_map(|of| proves(case, *of)).collect();
    proving.sort_unstable();
    proving.dedup();
    Ok(permit.expecting(Expected { form, sight: case.sight(), proving, counted, concealed: true }))
}

/// Holds the answer to a request that is decided by itself, so that a server which gives something
/// else shows nothing either. HEAD shows nothing anyway.
pub(super) fn watched(
    case: &Case<'_>,
    permit: Permit,
    form: Form,
    of: ResourceType,
) -> Result<Permit, Stop> {
    let unseen = case.head.method() == Method::Head;
    if unseen || case.smart.response_check == ResponseCheck::Off {
        return Ok(permit);
    }
    Ok(held(case, permit, form, &[of], true)?.unconcealed())
}

/// The elements of a type without which nobody can tell whose it is and whether a granular scope
/// matches, of any context: the answer is judged by all of them.
pub(super) fn proves(case: &Case<'_>, of: ResourceType) -> Vec<&'static str> {
    case.sight().looks_at(of, case.api, case.smart)
}

/// Whether the client takes the one format that can be judged. Asked before the request goes on: the
/// status of an answer in another format would tell what exists.
pub(super) fn takes_json(head: &Head, query: &Query) -> bool {
    let mut formats = query.values("_format");
    let accept = head.headers().all("accept").map(<[u8]>::to_ascii_lowercase);
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
