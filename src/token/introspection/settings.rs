//! `issuers[].introspection` of the configuration: where the issuer is asked about tokens, as whom, and
//! how long its word counts.

use core::fmt;
use core::time::Duration;

use serde_json::{Value, json};

use crate::config::section::{Section, excerpt};
use crate::config::setting::{Setting, Variable};
use crate::store::HttpUrl;

crate::words! {
    /// Which tokens an issuer is asked about.
    pub(in crate::token) enum Tokens {
        /// Those that say nothing themselves.
        Opaque = "opaque",
        /// Signed ones, after they were verified.
        Jwt = "jwt",
        /// Both.
        All = "all",
    }
}

/// How an issuer is asked.
#[derive(Debug, Clone)]
pub(in crate::token) struct Settings {
    /// Envoy cluster that reaches it.
    pub(super) cluster: String,
    /// Its introspection endpoint.
    pub(super) url: HttpUrl,
    /// As whom the gateway asks.
    pub(super) client_id: String,
    /// What proves it.
    pub(super) secret: SecretSource,
    /// About which tokens.
    pub(in crate::token) tokens: Tokens,
    /// How long an answer that a token is active counts.
    pub(super) cache: Duration,
    /// How long any other answer counts.
    pub(super) cache_inactive: Duration,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// Most calls that one worker begins in a second.
    pub(super) calls_per_second: u32,
}

/// Where the client's secret is.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    /// In this environment variable of the VM.
    Environment(Variable),
    /// In the configuration.
    Inline(Secret),
}

/// A secret. Never shown.
#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

/// A whole number from 1 to [`MAX_RATE`].
struct Rate(u32);

impl Tokens {
    /// Whether tokens that say nothing themselves are among them.
    pub(in crate::token) const fn opaque(self) -> bool {
        matches!(self, Tokens::Opaque | Tokens::All)
    }

    /// Whether signed ones are.
    pub(in crate::token) const fn signed(self) -> bool {
        matches!(self, Tokens::Jwt | Tokens::All)
    }
}

impl Settings {
    /// Reads `introspection` of an issuer.
    pub(in crate::token) fn read(section: &mut Section<'_>) -> Option<Settings> {
        let cluster = section.required("cluster", DOC_CLUSTER);
        let url = section.required("url", DOC_URL);
        let client_id = section.required("client_id", DOC_CLIENT_ID);
        let secret = read_secret(section);
        let tokens = section.default("tokens", Tokens::Opaque, DOC_TOKENS);
        let cache = section.default("cache", Duration::from_secs(30), DOC_CACHE);
        check_range(section, "cache", cache, MAX_CACHE);
        let cache_inactive =
            section.default("cache_inactive", Duration::from_secs(5), DOC_CACHE_INACTIVE);
        check_range(section, "cache_inactive", cache_inactive, MAX_CACHE_INACTIVE);
        let timeout = section.default("timeout", Duration::from_secs(3), DOC_TIMEOUT);
        check_range(section, "timeout", timeout, MAX_TIMEOUT);
        let Rate(calls_per_second) = section.default("calls_per_second", Rate(100), DOC_RATE);
        Some(Settings {
            cluster: cluster?,
            url: url?,
            client_id: client_id?,
            secret: secret?,
            tokens,
            cache,
            cache_inactive,
            timeout,
            calls_per_second,
        })
    }
}

fn read_secret(section: &mut Section<'_>) -> Option<SecretSource> {
    let variable = section.optional::<Variable>("client_secret", DOC_SECRET);
    let inline = section.optional::<Secret>("client_secret_inline", DOC_SECRET_INLINE);
    match (section.has("client_secret"), section.has("client_secret_inline")) {
        (true, false) => Some(SecretSource::Environment(variable?)),
        (false, true) => Some(SecretSource::Inline(inline?)),
        (both, _) => {
            let problem = if both { "there are two secrets" } else { "`client_secret` is missing" };
            let expected = "either `client_secret` or `client_secret_inline`";
            section.problem("client_secret", problem.to_owned(), expected, None);
            None
        }
    }
}

fn check_range(section: &mut Section<'_>, name: &str, length: Duration, longest: Duration) {
    if length < SHORTEST || length > longest {
        let problem = format!("`{}` is out of range", text(length));
        let expected = format!("from `{}` to `{}`", text(SHORTEST), text(longest));
        section.problem(name, problem, &expected, None);
    }
}

fn text(length: Duration) -> String {
    length.json().as_str().unwrap_or_default().to_owned()
}

impl Setting for Secret {
    const EXPECTED: &'static str = "text that is not empty";

    fn parse(value: &Value) -> Result<Secret, String> {
        match value.as_str() {
            Some(text) if !text.is_empty() => Ok(Secret(text.to_owned())),
            _ => Err("the value is not such text".to_owned()),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }

    fn json(&self) -> Value {
        Value::Null
    }
}

impl Setting for Rate {
    const EXPECTED: &'static str = "a whole number from 1 to 10000";

    fn parse(value: &Value) -> Result<Rate, String> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number {
            Some(number) if (1..=MAX_RATE).contains(&number) => Ok(Rate(number)),
            _ => Err(format!("`{}` is not such a number", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": MAX_RATE})
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
const MAX_CACHE: Duration = Duration::from_secs(3600);
const MAX_CACHE_INACTIVE: Duration = Duration::from_secs(300);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_RATE: u32 = 10_000;

const DOC_CLUSTER: &str = "The Envoy cluster that reaches `url`.";
const DOC_URL: &str = "The issuer's introspection endpoint (RFC 7662).";
const DOC_CLIENT_ID: &str = "As whom the gateway asks (`client_secret_basic`).";
const DOC_SECRET: &str = "The environment variable with the client's secret: one of \
    `vm_config.environment_variables`.";
const DOC_SECRET_INLINE: &str = "The client's secret itself, where the configuration is kept as secrets are. \
    Envoy shows it in its config dump.";
const DOC_TOKENS: &str = "About which tokens the issuer is asked: `opaque` ones, signed ones after they were \
    verified (`jwt`), or `all`.";
const DOC_CACHE: &str = "How long the word that a token is active counts, never beyond its `exp`: so long can a \
    token that was revoked there still be used.";
const DOC_CACHE_INACTIVE: &str =
    "How long a token that is not active, or not for this API, is refused without asking.";
const DOC_TIMEOUT: &str = "How long an answer may take.";
const DOC_RATE: &str =
    "Most calls that one worker begins in a second; what is beyond waits, or is refused (503).";
