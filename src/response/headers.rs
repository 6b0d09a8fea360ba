//! What the header fields say of an answer's body.

use super::reasons::{ANSWER_ENCODING, ANSWER_FORMAT};
use crate::base::refusal::Reason;
use crate::request::Headers;

/// Whether the body is plain JSON in UTF-8, said once and in one way.
///
/// # Errors
///
/// [`ANSWER_FORMAT`] or [`ANSWER_ENCODING`].
pub(super) fn is_json(headers: &Headers) -> Result<(), &'static Reason> {
    let Ok(Some(media_type)) = headers.single("content-type") else {
        return Err(&ANSWER_FORMAT);
    };
    if !is_json_type(media_type) {
        return Err(&ANSWER_FORMAT);
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

/// Whether a `Content-Type` is JSON (<http://hl7.org/fhir/R4/http.html#mime-type>) and its `charset`,
/// if it has one, UTF-8. Split at every `;`, quoted or not: that finds each parameter a reader could
/// find, and may only refuse too much. A comma would join two fields (RFC 9110 section 5.3).
fn is_json_type(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().unwrap_or_default();
    let known = MEDIA_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known));
    known && value.is_ascii() && !value.contains(&b',') && parts.all(is_harmless)
}

/// Whether a parameter leaves the body in UTF-8.
fn is_harmless(parameter: &[u8]) -> bool {
    let mut halves = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
    let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    !name.eq_ignore_ascii_case(b"charset") || quoted.unwrap_or(value).eq_ignore_ascii_case(b"utf-8")
}

const MEDIA_TYPES: [&[u8]; 2] = [b"application/fhir+json", b"application/json"];
