//! Narrowing: one more criterion behind those of the client. FHIR joins repeated parameters by AND
//! (<http://hl7.org/fhir/R4/search.html#combining>), so a criterion added never widens a search.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Sent;
use crate::policy::Narrowing;

/// Adds the criterion to the query, and to the form if there is one: both count in a `POST _search`
/// (<http://hl7.org/fhir/R4/http.html#search>), and a server that overlooks one of them, for example
/// a form whose media type it spells differently, still finds the criterion in the other.
pub(super) fn apply(narrowing: &Narrowing, sent: &mut Sent) {
    let value = utf8_percent_encode(&narrowing.value, RESERVED);
    let criterion = format!("{}={value}", narrowing.name);
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

/// All but the unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
