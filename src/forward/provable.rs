//! What keeps an answer provable: it comes whole, uncompressed, and with the elements that prove whose
//! it is.

use percent_encoding::percent_decode_str;

use super::{Edit, Sent};
use crate::policy::{Expected, Form};

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

/// Those of [`PARTIAL`] that are conditions of a write.
const CONDITIONS: [&str; 4] =
    ["if-match", "if-modified-since", "if-none-match", "if-unmodified-since"];

/// Removes them, and asks for JSON: the policy saw to it that the client takes it. The conditions of
/// a write stay: they are what keeps two writers apart.
pub(super) fn whole(expected: &Expected) -> impl Iterator<Item = Edit> {
    let writes = matches!(expected.form, Form::Written(_) | Form::Batch(_));
    let json = Edit::Set("accept".to_owned(), "application/fhir+json".to_owned());
    let partial = PARTIAL.iter().filter(move |name| !writes || !CONDITIONS.contains(name));
    partial.map(|name| Edit::Remove((*name).to_owned())).chain([json])
}

/// Adds the proving elements to each `_elements`, in the query and in the form, and leaves out a
/// `_summary` that would leave them out: a server may always give more
/// (<http://hl7.org/fhir/R4/search.html#summary>). Changes nothing else.
pub(super) fn select(expected: &Expected, sent: &mut Sent) {
    if let Some((path, query)) = sent.target.split_once('?') {
        sent.target = format!("{path}?{}", selected(query, expected));
    }
    if let Some(form) = sent.form.take() {
        // A form that was judged is ASCII; one that is not stays as it is.
        sent.form = Some(match core::str::from_utf8(&form) {
            Ok(text) => selected(text, expected).into_bytes(),
            Err(_) => form,
        });
    }
}

/// The parameters of a target or a form, changed as [`select`] says.
pub(super) fn selected(parameters: &str, expected: &Expected) -> String {
    let with = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if is(name, "_elements") && !expected.proving.is_empty() {
            let named = Some(value).filter(|value| !value.is_empty()).into_iter();
            let names: Vec<&str> = named.chain(expected.proving.iter().copied()).collect();
            return Some(format!("{name}={}", names.join(",")));
        }
        let partial = is(name, "_summary") && PARTIAL_SUMMARIES.iter().any(|one| is(value, one));
        (!partial).then(|| parameter.to_owned())
    };
    parameters.split('&').filter_map(with).collect::<Vec<_>>().join("&")
}

/// Whether percent-encoded text says this.
fn is(text: &str, expected: &str) -> bool {
    percent_decode_str(text).eq(expected.bytes())
}

/// What leaves out elements that prove whose a resource is.
const PARTIAL_SUMMARIES: [&str; 2] = ["text", "true"];
