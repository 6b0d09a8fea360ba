//! FHIR data types made of texts that anybody may have written.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::audit::formats::tree::{list, object};
use crate::fhir::Id;

/// A code of a code system.
#[derive(Debug)]
pub(super) struct Code {
    /// The code system's URL.
    pub(super) system: &'static str,
    /// The code.
    pub(super) code: &'static str,
    /// What the code system calls it.
    pub(super) display: &'static str,
}

impl Code {
    /// As a Coding.
    pub(super) fn value(&self) -> Value {
        coding(self.system, self.code, self.display)
    }
}

/// A Coding.
pub(super) fn coding(system: &str, code: &str, display: &str) -> Value {
    object([("system", system.into()), ("code", code.into()), ("display", display.into())])
}

/// A CodeableConcept of these codings.
pub(super) fn concept(codings: Value) -> Value {
    object([("coding", codings)])
}

/// A string: no control characters, no white space but spaces, and none at its ends.
pub(super) fn string(text: &str) -> Value {
    let plain = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.trim().chars().map(plain).collect::<String>().into()
}

/// A reference to a resource, with its version if there is one. `None` when a part of it is not
/// what FHIR takes for a type or an id.
pub(super) fn reference(kind: &str, id: &str, version: Option<&str>) -> Option<Value> {
    let is_type = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
    let target = format!("{kind}/{}", Id::parse(id).filter(|_| is_type)?.as_str());
    let target = match version {
        None => target,
        Some(version) => format!("{target}/_history/{}", Id::parse(version)?.as_str()),
    };
    Some(object([("reference", target.into())]))
}

/// A reference to what `Type/id` names on the same server; `None` for anything else.
pub(super) fn local(text: &str) -> Option<Value> {
    let (kind, id) = text.split_once('/')?;
    reference(kind, id, None)
}

/// A reference by identifier.
pub(super) fn identified(system: Option<&str>, value: &str) -> Value {
    let system = system.filter(|uri| is_uri(uri)).unwrap_or_default();
    let identifier = object([("system", system.into()), ("value", string(value))]);
    object([("identifier", identifier)])
}

/// What a uri may hold; real ones have no other characters (RFC 3986).
pub(super) fn is_uri(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The name of a token that has this `jti`.
pub(super) fn token(jti: &str) -> Value {
    list([format!("urn:ietf:params:oauth:jti:{}", encoded(jti)).into()])
}

/// As it stands in a URI.
pub(super) fn encoded(text: &str) -> impl core::fmt::Display + '_ {
    utf8_percent_encode(text, NOT_IN_URIS)
}

/// The code system of DICOM.
pub(super) const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";

/// Everything but what a query takes unencoded.
const NOT_IN_URIS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b',')
    .remove(b'$')
    .remove(b'@');
