//! What keeps an answer provable: it comes whole, uncompressed, and with the elements that prove whose
//! it is.

use percent_encoding::percent_decode_str;

use super::{Edit, Sent};
use crate::policy::Expected;

/// Header fields by which a client gets less than the resource: a bare status, a part, a compressed
/// body. A 304 or 206 would tell what exists without anything to judge.
const PARTIAL: [&str; 7] = [
    "accept-encoding",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

/// Removes them, and asks for JSON: the policy saw to it that the client takes it.
pub(super) fn whole() -> impl Iterator<Item = Edit> {
    let json = Edit::Set("accept".to_owned(), "application/fhir+json".to_owned());
    PARTIAL.iter().map(|name| Edit::Remove((*name).to_owned())).chain([json])
}

/// Adds the proving elements to each `_elements`, in the query and in the form; changes nothing else.
pub(super) fn select(expected: &Expected, sent: &mut Sent) {
    if let Some((path, query)) = sent.target.split_once('?') {
        sent.target = format!("{path}?{}", with_elements(query, expected));
    }
    if let Some(form) = sent.form.take() {
        // A form that was judged is ASCII; one that is not stays as it is.
        sent.form = Some(match core::str::from_utf8(&form) {
            Ok(text) => with_elements(text, expected).into_bytes(),
            Err(_) => form,
        });
    }
}

fn with_elements(parameters: &str, expected: &Expected) -> String {
    let with = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if percent_decode_str(name).eq(b"_elements".iter().copied()) => {
            let names = [parameter].into_iter().chain(expected.proving.iter().copied());
            names.collect::<Vec<_>>().join(",")
        }
        _ => parameter.to_owned(),
    };
    parameters.split('&').map(with).collect::<Vec<_>>().join("&")
}
