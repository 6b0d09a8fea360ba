//! The question (RFC 7662 section 2.1), asked by a client that proves itself by `client_secret_basic`
//! (RFC 6749 section 2.3.1).

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::settings::{SecretSource, Settings};
use crate::base::capabilities::Capabilities;
use crate::store::HttpCall;

/// The value of `Authorization`. Never shown.
#[derive(Clone)]
pub(super) struct Credentials(String);

impl Credentials {
    /// Those of the settings; `None`: the environment variable is not set, or empty.
    pub(super) fn of(settings: &Settings, caps: &dyn Capabilities) -> Option<Credentials> {
        let secret = match &settings.secret {
            SecretSource::Inline(secret) => secret.0.clone(),
            SecretSource::Environment(variable) => caps.environment(&variable.0)?,
        };
        if secret.is_empty() {
            return None;
        }
        // Both are encoded before they are joined: a colon in the id would end it.
        let pair = format!("{}:{}", encoded(&settings.client_id), encoded(&secret));
        Some(Credentials(format!("Basic {}", STANDARD.encode(pair))))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// Asks whether this token is active.
pub(super) fn call(settings: &Settings, credentials: &Credentials, token: &str) -> HttpCall {
    let body = format!("token={}&token_type_hint=access_token", encoded(token));
    let headers = [
        ("accept", "application/json"),
        ("authorization", &credentials.0),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    HttpCall {
        cluster: settings.cluster.clone(),
        authority: settings.url.authority().to_owned(),
        path: settings.url.path().to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: Some(body.into_bytes()),
        timeout: settings.timeout,
    }
}

/// `application/x-www-form-urlencoded`
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
