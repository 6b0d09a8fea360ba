//! Narrowing: one more criterion behind those of the client. FHIR joins repeated parameters by AND
//! (<http://hl7.org/fhir/R4/search.html#combining>), so a criterion added never widens a search.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Edit;
use crate::policy::{Narrowing, Place};
use crate::request::Head;

/// Adds the criterion where the search carries its own.
pub(super) fn apply(
    narrowing: &Narrowing,
    head: &Head,
    form_body: Option<&[u8]>,
) -> (Vec<Edit>, Option<Vec<u8>>) {
    let value = utf8_percent_encode(&narrowing.value, RESERVED);
    let criterion = format!("{}={value}", narrowing.name);
    match narrowing.place {
        Place::Query => {
            let target = appended(head.raw_target(), &criterion);
            (vec![Edit::Set(":path".to_owned(), target)], None)
        }
        Place::Form => {
            let mut body = form_body.unwrap_or_default().to_vec();
            if !body.is_empty() && !body.ends_with(b"&") {
                body.push(b'&');
            }
            body.extend(criterion.into_bytes());
            (form_headers(body.len()), Some(body))
        }
    }
}

/// An empty form may come without a type or in chunks: say what it is now.
fn form_headers(length: usize) -> Vec<Edit> {
    vec![
        Edit::Remove("transfer-encoding".to_owned()),
        Edit::Set("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        Edit::Set("content-length".to_owned(), length.to_string()),
    ]
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
