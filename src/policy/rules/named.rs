//! Criteria that can name a patient.

use crate::base::refusal::Refusal;
use crate::fhir::compartment::{ENCOUNTER, PATIENT, patient_parameters, reference_targets};
use crate::fhir::search::alternatives;
use crate::fhir::{Id, ResourceType};
use crate::policy::case::Case;
use crate::policy::reasons::{
    SEARCH_OTHER_ENCOUNTER, SEARCH_OTHER_PATIENT, SEARCH_PATIENT_MODIFIER,
};
use crate::request::Query;

/// One criterion: `code:modifier=value`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Criterion<'c> {
    pub(super) code: &'c str,
    pub(super) modifier: Option<&'c str>,
    pub(super) value: &'c str,
}

/// Checks every criterion of `query` that can name a patient. Whether one names this patient. The one
/// that narrows, `subject`, may name nothing else: a server may take the first of two and drop the
/// other.
pub(super) fn all(
    case: &Case<'_>,
    query: &Query,
    of: ResourceType,
    subject: Option<&str>,
    patient: &Id,
) -> Result<bool, Refusal> {
    let mut named = false;
    // Chains are judged with what they reach.
    for param in query.params().iter().filter(|param| !param.name.contains('.')) {
        let (code, modifier) = match param.name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (param.name.as_str(), None),
        };
        let criterion = Criterion { code, modifier, value: &param.value };
        named |= one(case, criterion, of, subject, patient)?;
    }
    Ok(named)
}

/// Checks one criterion of a type.
pub(super) fn one(
    case: &Case<'_>,
    criterion: Criterion<'_>,
    of: ResourceType,
    subject: Option<&str>,
    patient: &Id,
) -> Result<bool, Refusal> {
    let known = patient_parameters(case.api.release, of);
    // Regardless of case: a careless server might take `PATIENT` for `patient`.
    let Some(code) = known.iter().find(|name| name.eq_ignore_ascii_case(criterion.code)) else {
        return Ok(false);
    };
    let refuse = |reason| Refusal::new(reason).hint(format!("parameter `{code}`"));
    let is_id = *code == "_id";
    let modifier = criterion.modifier;
    let nothing_else = modifier.is_some() || Some(*code) == subject;
    if !matches!(modifier, None | Some("Patient")) || (is_id && modifier.is_some()) {
        return Err(refuse(&SEARCH_PATIENT_MODIFIER));
    }
    let items = alternatives(criterion.value).map_err(&refuse)?;
    let mut named = false;
    for item in items {
        if (is_id && item == patient.as_str()) || (!is_id && names(case, &item, PATIENT, patient)) {
            named = true;
        } else if nothing_else || !names_other_type(case, of, code, &item) {
            return Err(refuse(&SEARCH_OTHER_PATIENT));
        }
    }
    Ok(named)
}

/// Checks the criteria on the parameter that narrows a search to the encounter in context: as the one
/// that names the patient, they may name nothing else.
pub(super) fn encounter(
    case: &Case<'_>,
    query: &Query,
    parameter: &str,
    encounter: &Id,
) -> Result<(), Refusal> {
    let refuse = |reason| Refusal::new(reason).hint(format!("parameter `{parameter}`"));
    for param in query.params() {
        let (code, modifier) = match param.name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (param.name.as_str(), None),
        };
        if !code.eq_ignore_ascii_case(parameter) {
            continue;
        }
        let fits = match (parameter, modifier) {
            ("_id", modifier) => modifier.is_none(),
            (_, modifier) => matches!(modifier, None | Some(ENCOUNTER)),
        };
        let is_it = |item: &str| match parameter {
            "_id" => item == encounter.as_str(),
            _ => names(case, item, ENCOUNTER, encounter),
        };
        let items = alternatives(&param.value).map_err(&refuse)?;
        if !fits || !items.iter().all(|item| is_it(item)) {
            return Err(refuse(&SEARCH_OTHER_ENCOUNTER));
        }
    }
    Ok(())
}

/// Whether a reference names this resource: `P`, `Patient/P`, or that below a base URL of this API.
fn names(case: &Case<'_>, item: &str, owner: &str, id: &Id) -> bool {
    let relative = |text: &str| text.split_once('/') == Some((owner, id.as_str()));
    let below = |base: &String| {
        item.strip_prefix(base.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(relative)
    };
    item == id.as_str() || relative(item) || case.api.base_urls.iter().any(below)
}

/// Whether a reference, `Type/id`, names a resource of another type that the parameter can refer
/// to: no patient, so no concern of the compartment.
fn names_other_type(case: &Case<'_>, of: ResourceType, code: &str, item: &str) -> bool {
    let Some((other, id)) = item.split_once('/') else { return false };
    let targets = reference_targets(case.api.release, of, code).unwrap_or_default();
    other != "Patient" && targets.contains(&other) && Id::parse(id).is_some()
}
