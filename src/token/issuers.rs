//! `issuers` of the configuration: whose tokens are taken, for which API, signed how.

use core::time::Duration;
use std::collections::HashSet;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::algorithm::Algorithm;
use super::claims::ClaimNames;
use super::introspection::{self, Tokens};
use super::jwe::Encryption;
use super::jwks::KeySet;
use crate::config::section::{Section, excerpt};
use crate::config::setting::{Setting, Tolerance};
use crate::store::HttpUrl;

/// Every issuer whose tokens are taken. Each has its own keys, never another's.
#[derive(Debug, Clone, Default)]
pub struct Issuers {
    pub(super) issuers: Vec<Issuer>,
    /// Who else signs documents. None of them issues tokens.
    pub(super) transmitters: Vec<Issuer>,
}

/// One issuer.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    /// `iss`, byte for byte.
    pub(super) name: String,
    /// One of these must be in `aud`.
    pub(super) audiences: Vec<String>,
    /// `alg` must be one of these.
    pub(super) algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub(super) keys: KeySource,
    /// Longest `exp` minus `iat`.
    pub(super) max_lifetime: Duration,
    /// How far the issuer's clock may be off.
    pub(super) clock_skew: Duration,
    /// Claims that must be there besides iss, aud, exp and iat.
    pub(super) require: Vec<String>,
    /// Accepted values of `typ`, in lower case and without `application/`.
    pub(super) types: Vec<String>,
    /// What its claims are called.
    pub(super) claims: ClaimNames,
    /// The keys for which it encrypts, if it does.
    pub(super) encryption: Option<Encryption>,
    /// How it is asked about tokens, if it is.
    pub(super) introspection: Option<introspection::Settings>,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub(super) enum KeySource {
    /// They stand in the configuration.
    Inline(Rc<KeySet>),
    /// They are fetched.
    Remote(RemoteKeys),
}

/// A key set that is fetched.
#[derive(Debug, Clone)]
pub(super) struct RemoteKeys {
    /// Envoy cluster that reaches it.
    pub(super) cluster: String,
    /// Where it is.
    pub(super) place: Place,
    /// Time between two fetches.
    pub(super) refresh: Duration,
    /// A set that was last fetched longer ago is not used.
    pub(super) max_staleness: Duration,
}

/// Where a key set is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// At this URL.
    Url(HttpUrl),
    /// Where the issuer's metadata at this URL says.
    Metadata(HttpUrl),
}

impl Issuers {
    /// Reads `issuers` of the document.
    pub fn read(document: &mut Section<'_>) -> Issuers {
        let (mut names, mut key_ids) = (HashSet::new(), HashSet::new());
        let issuers = document.required_sections("issuers", DOC_ISSUERS, |section| {
            let issuer = read_issuer(section)?;
            check_key_ids(section, &issuer, &mut key_ids);
            if names.insert(issuer.name.clone()) {
                return Some(issuer);
            }
            let problem = format!("`{}` stands in `issuers` twice", issuer.name);
            let hint = "give both sections' keys and audiences to one";
            section.problem("issuer", problem, "each issuer once", Some(hint));
            None
        });
        let issuers = Issuers { issuers, transmitters: Vec::new() };
        issuers.check_opaque(document);
        issuers
    }

    /// An opaque token does not say whose it is.
    fn check_opaque(&self, document: &mut Section<'_>) {
        let mut all = self.issuers.iter().filter(|issuer| issuer.asks(Tokens::opaque));
        if let (Some(first), Some(second)) = (all.next(), all.next()) {
            let problem = format!(
                "`{}` and `{}` both take opaque tokens, which don't say whose they are",
                first.name, second.name
            );
            let expected = "`introspection.tokens` other than `jwt` for one issuer only";
            document.problem("issuers", problem, expected, None);
        }
    }

    /// The place of the issuer that takes opaque tokens.
    pub(super) fn opaque(&self) -> Option<usize> {
        self.issuers.iter().position(|issuer| issuer.asks(Tokens::opaque))
    }

    /// Whether the issuer at this place is asked about tokens that it signed.
    pub(super) fn asks_about_signed(&self, place: usize) -> bool {
        self.issuers.get(place).is_some_and(|issuer| issuer.asks(Tokens::signed))
    }

    /// Where nobody can be asked: whether the issuer of this name would be, or with no name the one that
    /// takes opaque tokens.
    pub fn would_ask(&self, name: Option<&str>) -> bool {
        let asked = |name| self.named(name).is_some_and(|(_, issuer)| issuer.asks(Tokens::signed));
        name.map_or(self.opaque().is_some(), asked)
    }

    /// The same issuers, none of whom is asked.
    #[must_use]
    pub fn asking_nobody(mut self) -> Issuers {
        for issuer in &mut self.issuers {
            issuer.introspection = None;
        }
        self
    }

    /// Every issuer's name, in the order of the document.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|issuer| issuer.name.as_str())
    }

    /// The issuer that `iss` names, and its place.
    pub(super) fn named(&self, name: &str) -> Option<(usize, &Issuer)> {
        self.issuers.iter().enumerate().find(|(_, issuer)| issuer.name == name)
    }

    /// Everybody whose keys are needed, by place: the issuers in the order of the document, then who
    /// signs events only.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().chain(&self.transmitters)
    }
}

impl Issuer {
    fn asks(&self, about: fn(Tokens) -> bool) -> bool {
        self.introspection.as_ref().is_some_and(|settings| about(settings.tokens))
    }
}

fn read_issuer(section: &mut Section<'_>) -> Option<Issuer> {
    let name = section.required::<String>("issuer", "Value of `iss`, compared byte for byte.");
    let audiences = section.required::<Vec<String>>("audiences", DOC_AUDIENCES);
    check_not_empty(section, "audiences", audiences.as_ref(), "at least one audience");
    let algorithms = section.default("algorithms", DEFAULT_ALGORITHMS.to_vec(), DOC_ALGORITHMS);
    check_not_empty(section, "algorithms", Some(&algorithms), "at least one algorithm");
    let keys =
        section.optional_section("jwks", DOC_JWKS, |section| read_keys(section, name.as_deref()));
    let max_lifetime = section.default("max_lifetime", Duration::from_secs(3600), DOC_MAX_LIFETIME);
    let default = Tolerance(Duration::from_secs(30));
    let Tolerance(clock_skew) = section.default("clock_skew", default, DOC_CLOCK_SKEW);
    if clock_skew > MAX_SKEW {
        let hint = "set the clocks right instead: a skew keeps expired tokens alive";
        let problem = format!("`{}` is too long", clock_skew.json().as_str().unwrap_or_default());
        section.problem("clock_skew", problem, "at most `5m`", Some(hint));
    }
    let require = section.default("require", texts(&["sub", "jti"]), DOC_REQUIRE);
    let types = section.default("types", texts(&["at+jwt", "JWT"]), DOC_TYPES);
    check_not_empty(section, "types", Some(&types), "at least one type");
    let claims = section.default_section("claims", DOC_CLAIMS, ClaimNames::read);
    let encryption = section.optional_section("encryption", DOC_ENCRYPTION, Encryption::read);
    let introspection =
        section.optional_section("introspection", DOC_INTROSPECTION, introspection::Settings::read);
    let keys = keys.or_else(|| without_keys(section, introspection.as_ref()));
    Some(Issuer {
        name: name?,
        audiences: audiences?,
        algorithms,
        keys: keys?,
        max_lifetime,
        clock_skew,
        require,
        types: types.iter().map(|media_type| bare_type(media_type)).collect(),
        claims,
        encryption,
        introspection,
    })
}

/// An encrypted token names a key and nothing else: the name must do, whose key it is.
fn check_key_ids(section: &mut Section<'_>, issuer: &Issuer, known: &mut HashSet<String>) {
    let ids = issuer.encryption.iter().flat_map(Encryption::key_ids);
    for (place, id) in ids.enumerate() {
        if !known.insert(id.to_owned()) {
            let problem = format!("another key is named `{}`", excerpt(&Value::from(id)));
            let place = format!("encryption/keys/{place}/kid");
            section.problem_below(&place, problem, "a name that no other key has", None);
        }
    }
}

/// An issuer of opaque tokens alone has no keys.
fn without_keys(
    section: &mut Section<'_>,
    introspection: Option<&introspection::Settings>,
) -> Option<KeySource> {
    if section.has("jwks") {
        return None; // told by its own section
    }
    if introspection.is_some_and(|settings| !settings.tokens.signed()) {
        return Some(KeySource::Inline(Rc::default()));
    }
    if !section.has("introspection") || introspection.is_some() {
        section.problem("jwks", "`jwks` is missing".to_owned(), "an object", None);
    }
    None
}

pub(super) fn read_keys(section: &mut Section<'_>, issuer: Option<&str>) -> Option<KeySource> {
    let inline = section.optional::<InlineKeys>("inline", DOC_INLINE);
    let cluster = section.optional::<String>("cluster", DOC_CLUSTER);
    let url = section.optional::<HttpUrl>("url", DOC_URL);
    let refresh = section.default("refresh", Duration::from_secs(300), DOC_REFRESH);
    if refresh < MIN_REFRESH {
        let problem = format!("`{}` is too short", refresh.json().as_str().unwrap_or_default());
        section.problem("refresh", problem, "at least `1s`", None);
    }
    let max_staleness =
        section.default("max_staleness", Duration::from_secs(3600), DOC_MAX_STALENESS);
    if section.has("inline") {
        let remote = ["cluster", "url", "refresh", "max_staleness"];
        for name in remote.into_iter().filter(|name| section.has(name)).collect::<Vec<_>>() {
            let problem = format!("`{name}` stands beside `inline`");
            section.problem(name, problem, "either `inline`, or `cluster` and `url`", None);
        }
        return read_inline(section, inline?);
    }
    if max_staleness < refresh {
        let problem = "it is shorter than `refresh`: the keys would be stale between two fetches";
        section.problem("max_staleness", problem.to_owned(), "at least as long as `refresh`", None);
    }
    if !section.has("cluster") {
        let (problem, hint) = ("`cluster` is missing".to_owned(), "or give the keys in `inline`");
        section.problem("cluster", problem, DOC_REACHES, Some(hint));
    }
    let place = match section.has("url") {
        true => Place::Url(url?),
        false => Place::Metadata(metadata(section, issuer?)?),
    };
    Some(KeySource::Remote(RemoteKeys { cluster: cluster?, place, refresh, max_staleness }))
}

/// Where an issuer's metadata is (OpenID Connect Discovery 1.0 section 4).
fn metadata(section: &mut Section<'_>, issuer: &str) -> Option<HttpUrl> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let url = HttpUrl::read(&url);
    if let Err(problem) = &url {
        let problem =
            format!("`url` is missing, and the issuer's metadata can't be found: {problem}");
        section.problem("url", problem, "`url`, or an `issuer` that is a URL", None);
    }
    url.ok()
}

/// Keys in the configuration: whoever wrote them can mend them, so every unusable one is an error.
fn read_inline(section: &mut Section<'_>, inline: InlineKeys) -> Option<KeySource> {
    let expected = "public keys for signatures, each with its own `kid` (RFC 7517)";
    match KeySet::read(&inline.0) {
        Err(problem) => section.problem("inline", problem, expected, None),
        Ok(reading) if !reading.left_out.is_empty() => {
            for (place, why) in &reading.left_out {
                let place = format!("inline/keys/{place}");
                section.problem_below(&place, why.why().to_owned(), expected, None);
            }
        }
        Ok(reading) if reading.set.len() == 0 => {
            section.problem("inline", "there is no key in `keys`".to_owned(), expected, None);
        }
        Ok(reading) => return Some(KeySource::Inline(Rc::new(reading.set))),
    }
    None
}

pub(super) fn check_not_empty<T>(
    section: &mut Section<'_>,
    name: &str,
    list: Option<&Vec<T>>,
    expected: &str,
) {
    if list.is_some_and(Vec::is_empty) {
        section.problem(name, format!("`{name}` is empty"), expected, None);
    }
}

/// A media type in lower case, without `application/`, which may be left out (RFC 7515 section
/// 4.1.9).
pub(super) fn bare_type(media_type: &str) -> String {
    let lower = media_type.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A JWK Set as it stands in the document.
struct InlineKeys(Value);

impl Setting for InlineKeys {
    const EXPECTED: &'static str = "a JWK Set: an object with a list `keys` (RFC 7517 section 5)";

    fn parse(value: &Value) -> Result<InlineKeys, String> {
        match value.as_object().and_then(|object: &Map<String, Value>| object.get("keys")) {
            Some(Value::Array(_)) => Ok(InlineKeys(value.clone())),
            _ => Err(format!("`{}` is not a JWK Set", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["keys"],
            "properties": {"keys": {"type": "array", "minItems": 1, "items": {
                "type": "object", "required": ["kty", "kid"],
            }}},
        })
    }

    fn json(&self) -> Value {
        self.0.clone()
    }
}

pub(super) const DEFAULT_ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Es256, Algorithm::Es384];
const MAX_SKEW: Duration = Duration::from_secs(300);
const MIN_REFRESH: Duration = Duration::from_secs(1);

const DOC_ISSUERS: &str = "Whose tokens are taken. Each issuer has its own keys.";
const DOC_AUDIENCES: &str = "Names of this API: one of them must be in `aud`.";
pub(super) const DOC_ALGORITHMS: &str = "Signature algorithms that this issuer uses.";
const DOC_JWKS: &str = "The issuer's keys: `inline`, or `cluster` and `url`, or `cluster` alone. Required, unless \
    `introspection` has `tokens: opaque`.";
const DOC_INLINE: &str = "The keys themselves, as a JWK Set (RFC 7517).";
const DOC_CLUSTER: &str = "The Envoy cluster that reaches `url`.";
const DOC_REACHES: &str = "the Envoy cluster that reaches the issuer";
const DOC_URL: &str = "Where the issuer publishes its JWK Set. Left out: where its metadata says, at \
    `/.well-known/openid-configuration` below the issuer; on the same host, reached by `cluster`.";
const DOC_MAX_STALENESS: &str = "Keys that were last fetched longer ago are not used: the issuer's tokens \
    are refused (503).";
const DOC_REFRESH: &str =
    "Time between two fetches. A key that disappears is distrusted at the next.";
const DOC_MAX_LIFETIME: &str = "Longest `exp` minus `iat`; tokens that live longer are refused.";
const DOC_CLOCK_SKEW: &str = "How far the issuer's clock may be off, at most `5m`.";
const DOC_REQUIRE: &str = "Claims that must be there besides iss, aud, exp and iat.";
const DOC_TYPES: &str = "Accepted values of the header's `typ`; a token without `typ` is refused.";
const DOC_ENCRYPTION: &str = "For issuers that encrypt their tokens (JWE): signed, then encrypted.";
const DOC_INTROSPECTION: &str =
    "For opaque tokens, or tokens that are revoked where they were issued: the issuer is asked.";
const DOC_CLAIMS: &str = "What this issuer calls the claims that phiward reads.";

#[cfg(test)]
mod tests;
