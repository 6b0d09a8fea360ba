//! From bytes to a [`Configuration`], or every error at once.

use serde_json::{Map, Value};

use crate::base::json;
use crate::fhir::config::Api;
use crate::policy::Smart;
use crate::token::Issuers;
use crate::{audit, forward, limits, revocation};

use super::protobuf;
use super::section::{ConfigError, Key, Section, describe, outline, read_document};
use super::setting::Count;

/// The whole configuration, read and checked. A pure function of its bytes.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The API that is guarded.
    pub fhir: Api,
    /// Whose tokens are taken.
    pub issuers: Issuers,
    /// Where the revocation list is. `None`: tokens are not looked up in any.
    pub revocation: Option<revocation::Settings>,
    /// How long sessions last. `None`: as long as their tokens.
    pub sessions: Option<limits::Settings>,
    /// How many verified tokens each worker keeps.
    pub cached_tokens: u32,
    /// How scopes and the patient context are judged.
    pub smart: Smart,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// What the FHIR server gets to see.
    pub forward: forward::Settings,
    /// Where audit events go.
    pub audit: audit::config::Settings,
}

crate::words! {
    /// Whether decisions are carried out.
    pub enum Mode {
        /// Refused requests are answered and go no further.
        Enforce = "enforce",
        /// Everything is decided and audited, nothing is refused: for a first rollout.
        Observe = "observe",
    }
}

/// Reads the configuration from JSON text or the bytes of a `google.protobuf.Struct`.
///
/// # Errors
///
/// Everything that is wrong, each with its place: never only the first.
pub fn load(bytes: &[u8]) -> Result<Configuration, Vec<ConfigError>> {
    let document = document(bytes).map_err(|error| vec![error])?;
    from_document(&document)
}

/// Reads the configuration from a document that was parsed already.
///
/// # Errors
///
/// As [`load`].
pub fn from_document(document: &Value) -> Result<Configuration, Vec<ConfigError>> {
    if document.is_null() || document.as_object().is_some_and(Map::is_empty) {
        return Err(vec![empty()]);
    }
    if let Some(error) = mistaken(document) {
        return Err(vec![error]);
    }
    let (configuration, errors) = read_document(document, read);
    match configuration {
        Some(configuration) if errors.is_empty() => Ok(configuration),
        _ => Err(errors),
    }
}

/// The JSON Schema (2020-12) of the document.
pub fn schema() -> Value {
    let mut schema = describe(read);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), Value::from(DIALECT));
        members.insert("$id".to_owned(), Value::from(SCHEMA_ID));
        members.insert("title".to_owned(), Value::from("Configuration of phiward"));
    }
    schema
}

/// Every key of the document in the order of the reference page.
pub fn keys() -> Vec<Key> {
    outline(read)
}

/// The document, section by section. Each folder knows its own keys.
fn read(section: &mut Section<'_>) -> Option<Configuration> {
    let fhir = section.required_section("fhir", DOC_FHIR, Api::read);
    let mut issuers = Issuers::read(section);
    let revocation =
        section.optional_section("revocation", DOC_REVOCATION, revocation::Settings::read);
    if let Some(revocation) = &revocation {
        revocation.join(&mut issuers, section);
    }
    let sessions = section.optional_section("sessions", DOC_SESSIONS, limits::Settings::read);
    let Count(cached_tokens) = section.default("cached_tokens", Count(12_000), DOC_CACHED_TOKENS);
    let smart = section.default_section("smart", DOC_SMART, Smart::read);
    let mode = section.default("mode", Mode::Enforce, DOC_MODE);
    let forward = section.default_section("forward", DOC_FORWARD, forward::Settings::read);
    let audit = section.default_section("audit", DOC_AUDIT, audit::config::Settings::read);
    Some(Configuration {
        fhir: fhir?,
        issuers,
        revocation,
        sessions,
        cached_tokens,
        smart,
        mode,
        forward,
        audit,
    })
}

/// Parses the bytes, whichever form they have.
fn document(bytes: &[u8]) -> Result<Value, ConfigError> {
    if bytes.trim_ascii().is_empty() {
        return Err(empty());
    }
    if bytes.len() > MAX_BYTES {
        let problem = format!("the configuration has {} bytes", bytes.len());
        return Err(ConfigError::whole(problem, "at most 1 MiB", "fetch key sets by `jwks.url`"));
    }
    if bytes.contains(&STRUCT_VALUE_TAG) {
        let hint = "write it as YAML below `configuration` of type google.protobuf.Struct";
        return protobuf::decode(bytes).map_err(|error| {
            ConfigError::whole(format!("the bytes can't be decoded: {error}"), DOCUMENT, hint)
        });
    }
    json::parse(bytes).map_err(|error| {
        let problem = format!("the text is not strict JSON: {error}");
        ConfigError::whole(problem, DOCUMENT, "check the file with `phiward check`")
    })
}

fn empty() -> ConfigError {
    ConfigError::whole("the configuration is empty", DOCUMENT, WHERE_TO_SET)
}

/// A document of another kind, told by its keys: one hint beats a list of unknown keys.
fn mistaken(document: &Value) -> Option<ConfigError> {
    let found = |keys: &[&str]| keys.iter().all(|key| document.get(key).is_some());
    let (_, kind, hint) = OTHER_KINDS.iter().find(|(keys, ..)| found(keys))?;
    Some(ConfigError::whole(format!("this is {kind}"), "the configuration of phiward alone", hint))
}

const DOC_FHIR: &str = "The FHIR API that is guarded.";
const DOC_REVOCATION: &str =
    "Where the list of revoked tokens is. Without this section tokens are not looked up in any.";
const DOC_SESSIONS: &str =
    "When sessions end by themselves. Without this section they last as long as their tokens.";
const DOC_CACHED_TOKENS: &str = "How many verified tokens each worker keeps, so that one that comes again needs \
    no cryptography: as many as are in use at a time, and a few more. Each takes about 1 KB of memory of each \
    worker, 2 KB when it is long; the least recently used goes first.";
const DOC_SMART: &str = "How SMART scopes and the patient context are judged.";
const DOC_MODE: &str = "Whether decisions are carried out. `observe` decides and audits but refuses \
    nothing: for a first rollout.";
const DOC_FORWARD: &str = "What the FHIR server gets to see besides the request.";
const DOC_AUDIT: &str = "Where audit events go.";

const OTHER_KINDS: [(&[&str], &str, &str); 6] = [
    (&["static_resources"], "a configuration of Envoy", UNWRAP_ENVOY),
    (&["admin", "node"], "a configuration of Envoy", UNWRAP_ENVOY),
    (&["resources"], "a configuration of Envoy", UNWRAP_ENVOY),
    (&["vm_config"], "the configuration of a Wasm plugin", UNWRAP_ENVOY),
    (&["@type"], "a wrapped message", "take what stands below `value`"),
    (
        &["apiVersion", "kind"],
        "a Kubernetes resource",
        "take what stands below `spec.pluginConfig`",
    ),
];

const UNWRAP_ENVOY: &str = "take what stands below `configuration.value` of the Wasm filter";

const DOCUMENT: &str = "a JSON object, or a google.protobuf.Struct";

const WHERE_TO_SET: &str = "set `configuration` of the Wasm filter in Envoy, or `pluginConfig` of the \
    WasmPlugin in Istio";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const SCHEMA_ID: &str = "urn:phiward:configuration";

/// Longest configuration.
const MAX_BYTES: usize = 1 << 20;

/// Tells the two forms apart. Every entry of a `Struct` holds its value under field 2 with a length,
/// whose tag is this byte; JSON text never contains it, since control characters must be escaped
/// (RFC 8259 section 7).
const STRUCT_VALUE_TAG: u8 = 0x12;

#[cfg(test)]
mod tests;
