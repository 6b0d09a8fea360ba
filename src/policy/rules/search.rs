//! A search confined to a patient: every criterion that can name a patient names this one, and one
//! that does is added.

use crate::base::refusal::Refusal;
use crate::fhir::compartment::{Form, patient_parameters, reference_targets, subject_parameter};
use crate::fhir::{Id, Interaction, ResourceType};
use crate::policy::case::{Case, Denial};
use crate::policy::permit::{Narrowing, Permit};
use crate::policy::reasons::{
    SEARCH_OTHER_PATIENT, SEARCH_PATIENT_MODIFIER, SEARCH_PATIENT_REQUIRED, SEARCH_SUBJECT_UNKNOWN,
};
use crate::policy::smart::SearchWithoutPatient;

/// Narrows a search of a type in the patient compartment.
///
/// The criterion is added even where the client gave it: repeats are joined by AND, so it costs
/// nothing, and what is forwarded never depends on how the client wrote it.
pub(super) fn narrow(
    case: &Case<'_>,
    resource: ResourceType,
    patient: &Id,
    permit: Permit,
) -> Result<Permit, Denial> {
    let subject = subject_parameter(case.api.release, resource);
    let subject = subject.ok_or_else(|| Denial::from(&SEARCH_SUBJECT_UNKNOWN))?;
    let named = names_patient(case, resource, subject.name, patient)?;
    let in_path = matches!(case.request.interaction, Interaction::SearchCompartment(..));
    if case.smart.search_without_patient == SearchWithoutPatient::Refuse && !named && !in_path {
        return Err((&SEARCH_PATIENT_REQUIRED).into());
    }
    let value = match subject.form {
        Form::Bare => patient.as_str().to_owned(),
        Form::Reference => format!("Patient/{}", patient.as_str()),
    };
    Ok(permit.narrowed(Narrowing { name: subject.name, value }))
}

/// Checks every criterion that can name a patient. Whether one names this patient. The one that
/// narrows, `subject`, may name nothing else: a server may take the first of two and drop the other.
fn names_patient(
    case: &Case<'_>,
    resource: ResourceType,
    subject: &str,
    patient: &Id,
) -> Result<bool, Refusal> {
    let mut named = false;
    for param in case.request.query.params() {
        let (code, modifier) = match param.name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (param.name.as_str(), None),
        };
        let known = patient_parameters(case.api.release, resource);
        // Regardless of case: a careless server might take `PATIENT` for `patient`.
        let Some(code) = known.iter().find(|name| name.eq_ignore_ascii_case(code)) else {
            continue;
        };
        let refuse = |reason| Refusal::new(reason).hint(format!("parameter `{code}`"));
        let is_id = *code == "_id";
        let nothing_else = modifier.is_some() || *code == subject;
        if !matches!(modifier, None | Some("Patient")) || (is_id && modifier.is_some()) {
            return Err(refuse(&SEARCH_PATIENT_MODIFIER));
        }
        for item in param.value.split(',') {
            if (is_id && item == patient.as_str()) || (!is_id && names(case, item, patient)) {
                named = true;
            } else if nothing_else || !names_other_type(case, resource, code, item) {
                return Err(refuse(&SEARCH_OTHER_PATIENT));
            }
        }
    }
    Ok(named)
}

/// Whether a reference names the patient: `P`, `Patient/P`, or that below a base URL of this API.
fn names(case: &Case<'_>, item: &str, patient: &Id) -> bool {
    let relative = |text: &str| text.strip_prefix("Patient/") == Some(patient.as_str());
    let below = |base: &String| {
        item.strip_prefix(base.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(relative)
    };
    item == patient.as_str() || relative(item) || case.api.base_urls.iter().any(below)
}

/// Whether a reference, `Type/id`, names a resource of another type that the parameter can refer
/// to: no patient, so no concern of the compartment.
fn names_other_type(case: &Case<'_>, resource: ResourceType, code: &str, item: &str) -> bool {
    let Some((other, id)) = item.split_once('/') else { return false };
    let targets = reference_targets(case.api.release, resource, code).unwrap_or_default();
    other != "Patient" && targets.contains(&other) && Id::parse(id).is_some()
}
