//! Tokens of claims that nobody signed: a key of this run stands in for the issuers' keys, in the
//! configuration of this run alone, so that the whole core decides, verification included.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Map, Value, json};

use crate::base::time::Instant;

/// The key. Always the same one: no configuration outside of a run trusts it.
pub(super) struct Signer {
    key: KeyPair,
}

/// Claims that stand for a valid token, and which of them were filled in.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) members: Map<String, Value>,
    pub(super) filled_in: Vec<&'static str>,
}

impl Signer {
    pub(super) fn new() -> Signer {
        Signer { key: KeyPair::from_seed(Seed::new([7; Seed::BYTES])) }
    }

    /// The configuration with this key in place of every issuer's, and its algorithm in place of
    /// theirs. Nothing else is changed.
    pub(super) fn trusted(&self, document: &Value) -> Value {
        let mut document = document.clone();
        let issuers = document.get_mut("issuers").and_then(Value::as_array_mut);
        for issuer in issuers.into_iter().flatten().filter_map(Value::as_object_mut) {
            issuer.insert("algorithms".to_owned(), json!([ALGORITHM]));
            issuer.insert("jwks".to_owned(), json!({"inline": {"keys": [self.jwk()]}}));
        }
        document
    }

    /// [`Signer::trusted`], for claims that stand for a token as its issuer sends it: encrypted where it
    /// must be.
    pub(super) fn standing_in(&self, document: &Value) -> Value {
        let mut document = self.trusted(document);
        let issuers = document.get_mut("issuers").and_then(Value::as_array_mut);
        for encryption in issuers.into_iter().flatten().filter_map(|i| i.get_mut("encryption")) {
            if let Some(required) = encryption.get_mut("required") {
                *required = json!(false);
            }
        }
        document
    }

    /// A compact JWS of these claims. `header` is that of the token it stands for; what names
    /// algorithm and key is replaced where it is there.
    pub(super) fn sign(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        let mut header = header.clone();
        header.insert("alg".to_owned(), json!(ALGORITHM));
        if let Some(id) = header.get_mut("kid") {
            *id = json!(KEY);
        }
        let encode = |members: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(Value::Object(members.clone()).to_string())
        };
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sk.sign(signed.as_bytes(), None);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(*signature))
    }

    /// The token of claims that came without one: with the first type that their issuer uses.
    pub(super) fn token(&self, document: &Value, claims: &Claims) -> String {
        let issuer = issuer(document, claims.members.get("iss"));
        let media_type = issuer.pointer("/types/0").cloned().unwrap_or(json!("at+jwt"));
        let header = [("typ", media_type), ("kid", json!(KEY))];
        let header = header.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        self.sign(&header, &claims.members)
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(*self.key.pk);
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": KEY, "use": "sig", "alg": ALGORITHM})
    }
}

impl Claims {
    /// The claims of a token that is valid at `now`, but for `given`; null takes a claim out.
    pub(super) fn filled(document: &Value, given: &Map<String, Value>, now: Instant) -> Claims {
        let issuer = issuer(document, given.get("iss"));
        let seconds = now.seconds().0;
        let valid = [
            ("iss", issuer.get("issuer").cloned().unwrap_or_default()),
            ("aud", issuer.pointer("/audiences/0").cloned().unwrap_or_default()),
            ("iat", json!(seconds)),
            ("exp", json!(seconds.saturating_add(LIFETIME))),
            ("sub", json!("subject-1")),
            ("jti", json!("token-1")),
            ("client_id", json!("app-1")),
        ];
        let filled: Vec<_> =
            valid.into_iter().filter(|(name, _)| !given.contains_key(*name)).collect();
        let filled_in = filled.iter().map(|(name, _)| *name).collect();
        let mut members: Map<String, Value> =
            filled.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        members.extend(given.clone());
        members.retain(|_, value| !value.is_null());
        Claims { members, filled_in }
    }
}

/// The issuer that `name` names, else the first.
fn issuer<'a>(document: &'a Value, name: Option<&Value>) -> &'a Value {
    let mut issuers = document.get("issuers").and_then(Value::as_array).into_iter().flatten();
    let named = issuers.clone().find(|issuer| name.is_some() && issuer.get("issuer") == name);
    named.or_else(|| issuers.next()).unwrap_or(&Value::Null)
}

const ALGORITHM: &str = "EdDSA";
const KEY: &str = "key-of-this-run";

/// From `iat` to `exp` in seconds, where both are filled in.
const LIFETIME: u64 = 60;
