//! Narrowing: one more criterion behind those of the client. FHIR joins repeated parameters by AND
//! (<http://hl7.org/fhir/R4/search.html#combining>), so a criterion added never widens a search.

use super::Sent;
use crate::fhir::{Id, ResourceType};
use crate::policy::Narrowing;

/// Adds the criteria to a target's query.
pub(super) fn target(target: &str, criteria: &[Narrowing]) -> String {
    criteria.iter().fold(target.to_owned(), |target, one| appended(&target, &one.written()))
}

/// The target of the same search in a patient's compartment: `…/Patient/P/Type?…`. `path` is that of
/// the type, below which `_search` may stand.
pub(super) fn in_compartment(target: &str, of: ResourceType, patient: &Id) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (path, search) = match path.strip_suffix(SEARCH) {
        Some(path) => (path, SEARCH),
        None => (path, ""),
    };
    let base = path.strip_suffix(of.name()).unwrap_or(path);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{base}Patient/{}/{}{search}{query}", patient.as_str(), of.name())
}

/// Adds the criterion to the query, and to the form if there is one: both count in a `POST _search`
/// (<http://hl7.org/fhir/R4/http.html#search>), and a server that overlooks one of them, for example
/// a form whose media type it spells differently, still finds the criterion in the other.
pub(super) fn apply(narrowing: &Narrowing, sent: &mut Sent) {
    let criterion = narrowing.written();
    sent.target = appended(&sent.target, &criterion);
    // A request without a body can't be given one: its end has been seen.
    if let Some(form) = sent.form.as_mut().filter(|form| !form.is_empty()) {
        if !form.ends_with(b"&") {
            form.push(b'&');
        }
        form.extend_from_slice(criterion.as_bytes());
    }
}

fn appended(target: &str, criterion: &str) -> String {
    let joint = match target.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{target}{joint}{criterion}")
}

const SEARCH: &str = "/_search";
