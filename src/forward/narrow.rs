//! Narrowing: one more criterion behind those of the client. FHIR joins repeated parameters by AND
//! (<http://hl7.org/fhir/R4/search.html#combining>), so a criterion added never widens a search.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Edit;
use crate::policy::Narrowing;
use crate::request::Head;

/// Adds the criterion to the query, and to the form if there is one: both count in a `POST _search`
/// (<http://hl7.org/fhir/R4/http.html#search>), and a server that overlooks one of them, for example
/// a form whose media type it spells differently, still finds the criterion in the other.
pub(super) fn apply(
    narrowing: &Narrowing,
    head: &Head,
    form_body: Option<&[u8]>,
) -> (Vec<Edit>, Option<Vec<u8>>) {
    let value = utf8_percent_encode(&narrowing.value, RESERVED);
    let criterion = format!("{}={value}", narrowing.name);
    let target = Edit::Set(":path".to_owned(), appended(head.raw_target(), &criterion));
    match form_body {
        // A request without a body can't be given one: its end has been seen.
        None | Some([]) => (vec![target], None),
        Some(form) => {
            let joint: &[u8] = if form.ends_with(b"&") { b"" } else { b"&" };
            let body = [form, joint, criterion.as_bytes()].concat();
            let length = Edit::Set("content-length".to_owned(), body.len().to_string());
            (vec![target, Edit::Remove("transfer-encoding".to_owned()), length], Some(body))
        }
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
