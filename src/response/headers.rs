//! What the header fields say of an answer's body.

use super::reasons::{ANSWER_ENCODING, ANSWER_FORMAT, ANSWER_NDJSON};
use crate::base::refusal::Reason;
use crate::request::Headers;

/// Whether the body is plain JSON in UTF-8, said once and in one way.
///
/// # Errors
///
/// [`ANSWER_FORMAT`] or [`ANSWER_ENCODING`].
pub(super) fn is_json(headers: &Headers) -> Result<(), &'static Reason> {
    is_plain(headers, &JSON, &ANSWER_FORMAT)
}

/// Whether the body is plain NDJSON in UTF-8, said once and in one way.
///
/// # Errors
///
/// [`ANSWER_NDJSON`] or [`ANSWER_ENCODING`].
pub fn is_ndjson(headers: &Headers) -> Result<(), &'static Reason> {
    is_plain(headers, &NDJSON, &ANSWER_NDJSON)
}

fn is_plain(
    headers: &Headers,
    known: &[&[u8]],
    otherwise: &'static Reason,
) -> Result<(), &'static Reason> {
    match headers.single("content-type") {
        Ok(Some(media_type)) if is_one_of(media_type, known) => {}
        _ => return Err(otherwise),
    }
    match headers.single("content-encoding") {
        Ok(None) => Ok(()),
        Ok(Some(coding)) if coding.trim_ascii().eq_ignore_ascii_case(b"identity") => Ok(()),
        _ => Err(&ANSWER_ENCODING),
    }
}

/// Whether nothing is said of a body: there may be none.
pub(super) fn are_silent(headers: &Headers) -> bool {
    let says = |name| !matches!(headers.single(name), Ok(None));
    !says("content-type") && !says("content-encoding")
}

/// Whether a `Content-Type` is one of these and its `charset`, if it has one, UTF-8. Split at every `;`, quoted or not: that finds each parameter a reader could
/// find, and may only refuse too much. A comma would join two fields (RFC 9110 section 5.3).
fn is_one_of(value: &[u8], known: &[&[u8]]) -> bool {
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().unwrap_or_default();
    let known = known.iter().any(|known| media_type.eq_ignore_ascii_case(known));
    known && value.is_ascii() && !value.contains(&b',') && parts.all(is_harmless)
}

/// Whether a parameter leaves the body in UTF-8.
fn is_harmless(parameter: &[u8]) -> bool {
    let mut halves = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
    let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    !name.eq_ignore_ascii_case(b"charset") || quoted.unwrap_or(value).eq_ignore_ascii_case(b"utf-8")
}

/// <http://hl7.org/fhir/R4/http.html#mime-type>
const JSON: [&[u8]; 2] = [b"application/fhir+json", b"application/json"];
/// <https://hl7.org/fhir/uv/bulkdata/export.html#response---output-file>, and what servers write.
const NDJSON: [&[u8]; 3] =
    [b"application/fhir+ndjson", b"application/ndjson", b"application/x-ndjson"];
