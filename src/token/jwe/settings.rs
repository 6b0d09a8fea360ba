//! `issuers[].encryption` of the configuration: the keys for which an issuer encrypts its tokens.

use serde_json::{Value, json};

use crate::config::section::{Section, excerpt};
use crate::config::setting::{Setting, Variable};

/// How an issuer encrypts.
#[derive(Debug, Clone)]
pub(in crate::token) struct Encryption {
    /// Whether tokens that are signed only are refused.
    pub(in crate::token) required: bool,
    keys: Vec<KeySetting>,
}

/// A private key: its name, its use, and where it is.
#[derive(Debug, Clone)]
pub(super) struct KeySetting {
    /// `kid`
    pub(super) id: String,
    /// The only value of `alg` that it is for.
    pub(super) algorithm: KeyManagement,
    /// The environment variable that holds it.
    pub(super) variable: Variable,
}

/// How the key of a token's content is wrapped (RFC 7518 section 4.1). What is not here can't be
/// configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyManagement {
    /// RSAES-OAEP with SHA-1.
    RsaOaep,
    /// ECDH-ES on P-256 with AES Key Wrap of 128 bits.
    EcdhEsA128Kw,
    /// ECDH-ES on P-256 with AES Key Wrap of 256 bits.
    EcdhEsA256Kw,
}

impl Encryption {
    /// Reads `encryption` of an issuer.
    pub(in crate::token) fn read(section: &mut Section<'_>) -> Option<Encryption> {
        let required = section.default("required", false, DOC_REQUIRED);
        let keys = section.required_sections("keys", DOC_KEYS, read_key);
        if keys.len() > MAX_KEYS {
            let problem = format!("there are {} keys", keys.len());
            section.problem("keys", problem, "at most 8 keys", None);
        }
        (!keys.is_empty()).then_some(Encryption { required, keys })
    }

    /// Its keys.
    pub(super) fn keys(&self) -> &[KeySetting] {
        &self.keys
    }

    /// The names of its keys.
    pub(in crate::token) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }
}

fn read_key(section: &mut Section<'_>) -> Option<KeySetting> {
    let id = section.required("kid", DOC_KID);
    let algorithm = section.required("algorithm", DOC_ALGORITHM);
    let variable = section.required("key", DOC_KEY);
    Some(KeySetting { id: id?, algorithm: algorithm?, variable: variable? })
}

impl KeyManagement {
    const ALL: [KeyManagement; 3] =
        [KeyManagement::RsaOaep, KeyManagement::EcdhEsA128Kw, KeyManagement::EcdhEsA256Kw];

    /// Its value of `alg`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            KeyManagement::RsaOaep => "RSA-OAEP",
            KeyManagement::EcdhEsA128Kw => "ECDH-ES+A128KW",
            KeyManagement::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }
}

impl Setting for KeyManagement {
    const EXPECTED: &'static str = "one of RSA-OAEP ECDH-ES+A128KW ECDH-ES+A256KW";

    fn parse(value: &Value) -> Result<KeyManagement, String> {
        let name = value.as_str().unwrap_or_default();
        let known = KeyManagement::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        known.ok_or_else(|| match name {
            "RSA1_5" => "`RSA1_5` can be decrypted by whoever may try often".to_owned(),
            _ => format!("unknown algorithm `{}`", excerpt(value)),
        })
    }

    fn schema() -> Value {
        json!({"enum": KeyManagement::ALL.map(KeyManagement::name)})
    }

    fn json(&self) -> Value {
        Value::from(self.name())
    }
}

/// Most keys of one issuer.
const MAX_KEYS: usize = 8;

const DOC_REQUIRED: &str = "Whether this issuer's tokens must be encrypted. Otherwise those that are signed only are taken as well.";
const DOC_KEYS: &str = "The private keys for which this issuer encrypts, at most 8.";
const DOC_KID: &str =
    "Value of `kid` in the token's outer header. No two keys may have the same, whosever they are.";
const DOC_ALGORITHM: &str = "The one value of `alg` that this key is for.";
const DOC_KEY: &str = "The environment variable with the private key: PEM (PKCS#8, for RSA also PKCS#1), a JWK, or base64 of either.";
