//! One entry of a batch or transaction as the request it would be alone.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::members::{Members, is_object};
use super::{Entry, full_url};
use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::fhir::reasons::{
    BODY_UNREADABLE, BUNDLE_CONDITION, BUNDLE_MEMBER, BUNDLE_METHOD, BUNDLE_PATCH_DATA,
    BUNDLE_REQUEST, BUNDLE_RESOURCE_MISSING, BUNDLE_RESOURCE_UNEXPECTED, BUNDLE_URL_ELSEWHERE,
    BUNDLE_URL_EMPTY, BUNDLE_URL_ROOTED, FHIR_OUTSIDE_BASE, PATCH_FORMAT,
};
use crate::fhir::written::unreadable;
use crate::fhir::{Api, Routed, patch, route};
use crate::request::{self, Head, Headers, Method};

/// Reads an entry, an object.
pub(super) fn read<'b>(
    entry: &'b RawValue,
    around: &Head,
    api: &Api,
) -> Result<Entry<'b>, Refusal> {
    let entry = Members::read(entry.get().as_bytes())?;
    entry.are_all(&MEMBERS)?;
    let asked = entry.get("request").ok_or(&BUNDLE_REQUEST)?;
    let asked = Asked::read(asked)?;
    let body = body(asked.method, entry.get("resource"))?;
    let head = asked.head(body.as_ref(), around, api)?;
    if asked.method == Method::Patch {
        patch::judgeable(head.headers())?;
    }
    let Routed::Fhir(request) = route(&head, api)? else {
        return Err(Refusal::new(&FHIR_OUTSIDE_BASE));
    };
    let full_url = entry.get("fullUrl");
    let full_url = full_url.map(|url| full_url::read(url, &request.interaction)).transpose()?;
    let absolute = full_url::below_base(&asked.url, &api.base_urls).is_some();
    Ok(Entry { head, request, body: body.map(|body| body.bytes), full_url, absolute })
}

/// What `request` says.
struct Asked<'b> {
    method: Method,
    url: Cow<'b, str>,
    /// Header names with their values.
    conditions: Vec<(&'static str, Cow<'b, str>)>,
}

impl<'b> Asked<'b> {
    fn read(request: &'b RawValue) -> Result<Asked<'b>, Refusal> {
        let request = node::read(request.get().as_bytes()).map_err(|error| unreadable(&error))?;
        let Node::Object(members) = request else { return Err(Refusal::new(&BUNDLE_REQUEST)) };
        let (mut method, mut url, mut conditions) = (None, None, Vec::new());
        for (name, member) in members {
            let condition = CONDITIONS.iter().find(|(known, _)| *known == name);
            match (name.as_ref(), member, condition) {
                ("method", Node::Text(text), _) => method = Some(text),
                ("url", Node::Text(text), _) => url = Some(text),
                ("method" | "url", ..) => return Err(Refusal::new(&BUNDLE_REQUEST)),
                (_, Node::Text(text), Some((_, header))) if can_be_sent(&text) => {
                    conditions.push((*header, text));
                }
                (name, _, Some(_)) => return Err(Refusal::new(&BUNDLE_CONDITION).hint(name)),
                ("id", ..) => {}
                _ => return Err(Refusal::new(&BUNDLE_MEMBER).hint("request")),
            }
        }
        let method = read_method(&method.ok_or(&BUNDLE_REQUEST)?)?;
        Ok(Asked { method, url: url.ok_or(&BUNDLE_REQUEST)?, conditions })
    }

    /// The head of the request that this entry would be alone.
    fn head(&self, body: Option<&Body<'_>>, around: &Head, api: &Api) -> Result<Head, Refusal> {
        let field = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let mut fields = vec![
            field(":method", self.method.name().as_bytes()),
            field(":path", target(&self.url, api)?.as_bytes()),
            field(":authority", around.authority().as_bytes()),
        ];
        for name in SHARED {
            fields.extend(around.headers().all(name).map(|value| field(name, value)));
        }
        fields.extend(body.map(|body| field("content-type", body.media_type.as_bytes())));
        fields.extend(self.conditions.iter().map(|(name, value)| field(name, value.as_bytes())));
        request::read(Headers::new(fields))
    }
}

/// The verbs of <http://hl7.org/fhir/http-verb>.
fn read_method(name: &str) -> Result<Method, Refusal> {
    let method = Method::parse(name.as_bytes()).filter(|method| *method != Method::Options);
    method.ok_or_else(|| Refusal::new(&BUNDLE_METHOD))
}

/// Whether a text can be a header's value and means something there.
fn can_be_sent(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !text.trim().is_empty() && text.bytes().all(visible)
}

/// The target that an entry's URL is: relative to the base, or absolute below a `fhir.base_url`.
fn target(url: &str, api: &Api) -> Result<String, Refusal> {
    if url.is_empty() {
        return Err(Refusal::new(&BUNDLE_URL_EMPTY));
    }
    if url.starts_with(['/', '\\']) {
        return Err(Refusal::new(&BUNDLE_URL_ROOTED));
    }
    let below = full_url::below_base(url, &api.base_urls);
    let relative = below.map_or(url, |below| below.strip_prefix('/').unwrap_or(below));
    let first = relative.split(['/', '?']).next().unwrap_or_default();
    if first.contains(':') {
        // RFC 3986 section 4.2: what has a colon there has a scheme. So would what is made relative.
        return Err(Refusal::new(&BUNDLE_URL_ELSEWHERE));
    }
    Ok(format!("{}/{relative}", api.base_path))
}

/// The body of an entry and its media type.
struct Body<'b> {
    bytes: Cow<'b, [u8]>,
    media_type: Cow<'b, str>,
}

fn body(method: Method, resource: Option<&RawValue>) -> Result<Option<Body<'_>>, Refusal> {
    match resource {
        None if method.takes_body() => Err(Refusal::new(&BUNDLE_RESOURCE_MISSING)),
        None => Ok(None),
        Some(_) if !method.takes_body() => Err(Refusal::new(&BUNDLE_RESOURCE_UNEXPECTED)),
        Some(resource) if !is_object(resource) => {
            Err(Refusal::new(&BODY_UNREADABLE).hint("resource"))
        }
        Some(resource) if method == Method::Patch => binary(resource).map(Some),
        Some(resource) => {
            let bytes = Cow::Borrowed(resource.get().as_bytes());
            Ok(Some(Body { bytes, media_type: Cow::Borrowed("application/fhir+json") }))
        }
    }
}

/// The patch that a Binary carries (<http://hl7.org/fhir/R4/http.html#jsonpatch>).
fn binary(resource: &RawValue) -> Result<Body<'_>, Refusal> {
    let resource = node::read(resource.get().as_bytes()).map_err(|error| unreadable(&error))?;
    if resource.text_of("resourceType") != Some("Binary") {
        return Err(Refusal::new(&PATCH_FORMAT));
    }
    if resource.members().iter().any(|(name, _)| !BINARY.contains(&name.as_ref())) {
        return Err(Refusal::new(&BUNDLE_MEMBER).hint("resource"));
    }
    let media_type = resource.text_of("contentType").ok_or(&PATCH_FORMAT)?.to_owned();
    let data = resource.text_of("data").ok_or(&BUNDLE_PATCH_DATA)?;
    let bytes = STANDARD.decode(data).map_err(|_| Refusal::new(&BUNDLE_PATCH_DATA))?;
    Ok(Body { bytes: Cow::Owned(bytes), media_type: Cow::Owned(media_type) })
}

/// The members of an entry that is a request. `extension` among others could change what a server
/// does, so it has no place here.
const MEMBERS: [&str; 4] = ["id", "fullUrl", "resource", "request"];

/// The conditions of a request and the headers that they stand for.
const CONDITIONS: [(&str, &str); 4] = [
    ("ifMatch", "if-match"),
    ("ifNoneMatch", "if-none-match"),
    ("ifModifiedSince", "if-modified-since"),
    ("ifNoneExist", "if-none-exist"),
];

/// Headers of the Bundle's request that servers apply to every entry.
const SHARED: [&str; 5] = [":scheme", "accept", "prefer", "x-cascade", "x-provenance"];

/// The members of a Binary that carries a patch. STU3 had the data in `content`.
const BINARY: [&str; 6] = ["resourceType", "id", "meta", "language", "contentType", "data"];
