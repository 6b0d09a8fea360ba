//! The body of a create or update, read strictly: what two readers could take differently is refused.

use std::collections::BTreeSet;

use super::content::{self, MediaType};
use super::reasons::{
    BODY_ENCODING, BODY_ID, BODY_MEDIA_TYPE, BODY_MEMBER, BODY_MISSING, BODY_PARTIAL, BODY_TYPE,
    BODY_UNREADABLE,
};
use super::{Id, Release, ResourceType};
use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::request::Headers;

#[cfg(test)]
mod tests;

/// That the headers declare a body which can be judged: FHIR's JSON of this release in UTF-8
/// (`application/fhir+json` or `application/json`, <http://hl7.org/fhir/R4/http.html#mime-type>),
/// once, whole and not compressed. A `fhirVersion` must be the release's
/// (<http://hl7.org/fhir/R4/http.html#version-parameter>); other parameters are unknown.
///
/// # Errors
///
/// [`BODY_MEDIA_TYPE`], [`BODY_ENCODING`], [`BODY_PARTIAL`], `fhir_content_duplicate`.
pub fn judgeable(headers: &Headers, release: Release) -> Result<(), Refusal> {
    let Some(MediaType { name, parameters }) = content::media_type(headers)? else {
        return Err(Refusal::new(&BODY_MEDIA_TYPE));
    };
    let known = MEDIA_TYPES.iter().any(|known| name.eq_ignore_ascii_case(known));
    let harmless = |parameter: &[u8]| {
        is_utf8(parameter) || is_parameter(parameter, b"fhirVersion", version(release))
    };
    if !known || !parameters.into_iter().all(harmless) {
        return Err(Refusal::new(&BODY_MEDIA_TYPE));
    }
    whole(headers)
}

/// Reads the resource of a create or, with its id, of an update. `Node` borrows from the body. What
/// `id` says in a create is left alone: servers give a new one.
///
/// # Errors
///
/// [`BODY_MISSING`], [`BODY_UNREADABLE`], [`BODY_MEMBER`], [`BODY_TYPE`], [`BODY_ID`].
pub fn resource<'b>(
    body: &'b [u8],
    of: ResourceType,
    id: Option<&Id>,
) -> Result<Node<'b>, Refusal> {
    let resource = json(body)?;
    if resource.text_of("resourceType") != Some(of.name()) {
        return Err(Refusal::new(&BODY_TYPE));
    }
    if id.is_some_and(|id| resource.text_of("id") != Some(id.as_str())) {
        return Err(Refusal::new(&BODY_ID));
    }
    Ok(resource)
}

/// The text of a resource, an object without an id, with this id. What came is copied, never written anew.
pub fn with_id(resource: &[u8], id: &Id) -> Vec<u8> {
    let end = resource.iter().rposition(|byte| *byte == b'}').unwrap_or(resource.len());
    let (members, rest) = resource.split_at_checked(end).unwrap_or((resource, b""));
    [members, br#","id":""#, id.as_str().as_bytes(), b"\"", rest].concat()
}

/// Reads a body as strict JSON with FHIR's names. The hint is a place, never the text itself.
pub(super) fn json(body: &[u8]) -> Result<Node<'_>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(&BODY_MISSING));
    }
    let document = node::read(body).map_err(|error| unreadable(&error))?;
    if has_fhir_names(&document) { Ok(document) } else { Err(Refusal::new(&BODY_MEMBER)) }
}

pub(super) fn unreadable(error: &serde_json::Error) -> Refusal {
    let place = format!("line {} column {}", error.line(), error.column());
    Refusal::new(&BODY_UNREADABLE).hint(place)
}

/// That the body is neither compressed nor a part.
pub(super) fn whole(headers: &Headers) -> Result<(), Refusal> {
    if headers.all("content-range").next().is_some() {
        return Err(Refusal::new(&BODY_PARTIAL));
    }
    content::uncompressed(headers, &BODY_ENCODING)
}

/// Whether a parameter of a media type is `charset=utf-8`.
pub(super) fn is_utf8(parameter: &[u8]) -> bool {
    is_parameter(parameter, b"charset", b"utf-8")
}

/// Whether this is the name of an element, or of what stands beside a primitive one (`_birthDate`):
/// the form of every name in the definitions of all releases.
pub(super) fn is_element(name: &str) -> bool {
    let name = name.strip_prefix('_').unwrap_or(name);
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a server that compares names without regard to case would read the same document. Depth
/// is bounded by the parser.
fn has_fhir_names(node: &Node<'_>) -> bool {
    match node {
        Node::Array(items) => items.iter().all(has_fhir_names),
        Node::Object(members) => {
            let mut known = BTreeSet::new();
            members.iter().all(|(name, value)| {
                is_element(name) && known.insert(name.to_ascii_lowercase()) && has_fhir_names(value)
            })
        }
        _ => true,
    }
}

fn is_parameter(parameter: &[u8], name: &[u8], value: &[u8]) -> bool {
    let mut halves = parameter.splitn(2, |byte| *byte == b'=');
    let (found, text) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let quoted = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    found.eq_ignore_ascii_case(name) && quoted.unwrap_or(text).eq_ignore_ascii_case(value)
}

/// The release as `fhirVersion` names it.
const fn version(release: Release) -> &'static [u8] {
    match release {
        Release::R4 => b"4.0",
        Release::R4B => b"4.3",
        Release::R5 => b"5.0",
    }
}

const MEDIA_TYPES: [&[u8]; 2] = [b"application/fhir+json", b"application/json"];
