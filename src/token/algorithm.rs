//! Signature algorithms (RFC 7518 section 3.1, RFC 8037). What is not here can't be configured.

use serde_json::{Value, json};

use crate::base::capabilities::Hash;
use crate::config::section::excerpt;
use crate::config::setting::Setting;

/// A signature algorithm with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 10] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::EdDsa,
    ];

    /// Its value of `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name, letter for letter.
    pub fn named(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The hash of the signed text.
    pub(super) const fn hash(self) -> Hash {
        match self {
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Ps256 => Hash::Sha256,
            Algorithm::Rs384 | Algorithm::Es384 | Algorithm::Ps384 => Hash::Sha384,
            Algorithm::Rs512 | Algorithm::Es512 | Algorithm::Ps512 | Algorithm::EdDsa => {
                Hash::Sha512
            }
        }
    }
}

impl Setting for Algorithm {
    const EXPECTED: &'static str =
        "one of RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512 EdDSA";

    fn parse(value: &Value) -> Result<Algorithm, String> {
        let name = value.as_str().unwrap_or_default();
        Algorithm::named(name).ok_or_else(|| match name.to_ascii_lowercase().as_str() {
            "none" => "`none` would accept tokens that nobody signed".to_owned(),
            "hs256" | "hs384" | "hs512" => format!(
                "`{name}` signs with a shared secret: whoever can verify a token could forge one"
            ),
            _ => format!("unknown algorithm `{}`", excerpt(value)),
        })
    }

    fn schema() -> Value {
        json!({"enum": Algorithm::ALL.map(Algorithm::name)})
    }

    fn json(&self) -> Value {
        Value::from(self.name())
    }
}
