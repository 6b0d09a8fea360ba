//! Issuers for tests: keys that are the same in every run, and tokens signed with them, also such
//! as no honest issuer signs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{RS256KeyPair, RSAKeyPairLike as _};
use p256::ecdsa::signature::Signer as _;
use serde_json::{Map, Value, json};
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign;

use super::algorithm::Algorithm;
use super::extract::RawToken;
use super::issuers::Issuers;
use super::{Introspection, Keys, Rejected, VerifiedToken};
use crate::base::capabilities::{Capabilities, Hash};
use crate::base::time::{Instant, UnixSeconds};
use crate::config::section::read_document;

/// When the tests take place.
pub(crate) const NOW: u64 = 1_790_000_000;

/// [`NOW`] as an instant.
pub(crate) fn now() -> Instant {
    Instant::from_seconds(UnixSeconds(NOW))
}

/// An issuer's key pair.
pub(crate) struct Signer {
    algorithm: Algorithm,
    id: String,
    key: Private,
}

enum Private {
    Rsa(Box<RS256KeyPair>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Ed25519(ed25519_compact::KeyPair),
}

impl Signer {
    /// The key named `id` for this algorithm. Another `seed` gives another key, except for RSA, whose
    /// one key is that of RFC 7515 appendix A.2.
    pub(crate) fn new(algorithm: Algorithm, id: &str, seed: u8) -> Signer {
        let key = match algorithm {
            Algorithm::Es256 => {
                Private::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap())
            }
            Algorithm::Es384 => {
                Private::P384(p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap())
            }
            Algorithm::Es512 => {
                let mut scalar = [seed; 66];
                scalar[0] = 0;
                Private::P521(p521::ecdsa::SigningKey::from_slice(&scalar).unwrap())
            }
            Algorithm::EdDsa => {
                let seed = ed25519_compact::Seed::new([seed; 32]);
                Private::Ed25519(ed25519_compact::KeyPair::from_seed(seed))
            }
            _ => Private::Rsa(Box::new(rfc7515_rsa_key())),
        };
        Signer { algorithm, id: id.to_owned(), key }
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Private::Rsa(pair) => {
                let key = pair.public_key().to_components();
                json!({"kty": "RSA", "n": encode(key.n), "e": encode(key.e)})
            }
            Private::P256(key) => ec("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
            Private::P384(key) => ec("P-384", key.verifying_key().to_sec1_point(false).as_bytes()),
            Private::P521(key) => ec("P-521", key.verifying_key().to_sec1_point(false).as_bytes()),
            Private::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(*pair.pk)})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm.name());
        jwk
    }

    /// A token with these claims and an honest header.
    pub(crate) fn token(&self, claims: &Value) -> RawToken {
        self.token_with(json!({}), claims)
    }

    /// A token whose header has these members too, or without those that are null here.
    pub(crate) fn token_with(&self, header: Value, claims: &Value) -> RawToken {
        let honest = json!({"alg": self.algorithm.name(), "typ": "at+jwt", "kid": self.id});
        self.sign(&merge(honest, header).to_string(), claims.to_string())
    }

    /// A token of these texts.
    pub(crate) fn sign(&self, header: &str, claims: impl AsRef<[u8]>) -> RawToken {
        let text = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.signature(text.as_bytes()));
        RawToken::for_tests(&format!("{text}.{signature}"))
    }

    fn signature(&self, text: &[u8]) -> Vec<u8> {
        match &self.key {
            Private::Rsa(pair) => self.rsa_signature(pair, text),
            Private::P256(key) => signature_p256(key, text),
            Private::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(text);
                signature.to_bytes().to_vec()
            }
            Private::P521(key) => {
                let signature: p521::ecdsa::Signature = key.sign(text);
                signature.to_bytes().to_vec()
            }
            Private::Ed25519(pair) => pair.sk.sign(text, None).to_vec(),
        }
    }

    fn rsa_signature(&self, pair: &RS256KeyPair, text: &[u8]) -> Vec<u8> {
        let digest = match self.algorithm.hash() {
            Hash::Sha256 => MessageDigest::sha256(),
            Hash::Sha384 => MessageDigest::sha384(),
            Hash::Sha512 => MessageDigest::sha512(),
        };
        let key = PKey::from_rsa(pair.key_pair().as_ref().clone()).unwrap();
        let mut signer = sign::Signer::new(digest, &key).unwrap();
        let is_pss = self.algorithm.name().starts_with("PS");
        signer.set_rsa_padding(if is_pss { Padding::PKCS1_PSS } else { Padding::PKCS1 }).unwrap();
        signer.update(text).unwrap();
        signer.sign_to_vec().unwrap()
    }
}

/// Claims that the issuer of [`config`] would sign, with these members changed; null takes one out.
pub(crate) fn claims(changes: Value) -> Value {
    let honest = json!({
        "iss": "https://auth.clinic.example",
        "aud": "https://api.clinic.example/fhir",
        "sub": "nurse-17", "jti": "t-1", "client_id": "app", "scope": "user/*.rs",
        "iat": NOW - 60, "exp": NOW + 300,
    });
    merge(honest, changes)
}

/// An issuer with these keys, every algorithm allowed, with these members changed.
pub(crate) fn config(keys: Vec<Value>, changes: Value) -> Value {
    let issuer = json!({
        "issuer": "https://auth.clinic.example",
        "audiences": ["https://api.clinic.example/fhir"],
        "algorithms": Algorithm::ALL.map(Algorithm::name),
        "jwks": {"inline": {"keys": keys}},
    });
    merge(issuer, changes)
}

/// Verifies a token of issuers that are not asked.
pub(crate) fn verify(
    raw: &RawToken,
    issuers: &Issuers,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<VerifiedToken, Rejected> {
    crate::token::verify(raw, issuers, keys, &mut Introspection::new(issuers), caps)
}

/// Issuers of configurations that are right.
pub(crate) fn issuers(configs: Vec<Value>) -> Issuers {
    let (issuers, errors) = read_document(&json!({"issuers": configs}), Issuers::read);
    assert_eq!(errors, []);
    issuers
}

/// base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `base` with the members of `changes`; null takes a member out.
pub(crate) fn merge(base: Value, changes: Value) -> Value {
    let (Value::Object(mut merged), Value::Object(changes)) = (base, changes) else { panic!() };
    merged.extend(changes);
    merged.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
}

/// The vectors of `testdata/signatures.json`.
pub(crate) fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("testdata/signatures.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn rfc7515_rsa_key() -> RS256KeyPair {
    RS256KeyPair::from_jwk(&vectors()[0]["key"].to_string()).unwrap()
}

fn signature_p256(key: &p256::ecdsa::SigningKey, text: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = key.sign(text);
    signature.to_bytes().to_vec()
}

fn ec(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
}
