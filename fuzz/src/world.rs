//! A configuration, the tokens of its issuer, and what the stages say of them.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phiward::base::refusal::Refusal;
use phiward::binding;
use phiward::config::{self, Configuration};
use phiward::fhir;
use phiward::limits::{self, AdmittedToken, Limits};
use phiward::policy::{self, Decision, Evidence, Grants, Stored};
use phiward::request::{Head, Headers};
use phiward::revocation::{self, Checked, Revocation};
use phiward::token::{self, Introspection, Keys, VerifiedToken};
use serde_json::{Value, json};

use super::host::{GENUINE, Host, NOW};

/// Who issues the tokens.
pub(super) const ISSUER: &str = "https://auth.clinic.example";
/// For whom.
pub(super) const AUDIENCE: &str = "https://api.clinic.example/fhir";

/// What is configured, and the host.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Configuration,
    pub(super) keys: Keys,
    pub(super) host: Host,
}

/// Who calls.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) token: AdmittedToken,
    pub(super) grants: Rc<Grants>,
}

impl World {
    /// By the plain configuration with these members changed.
    pub(super) fn new(changes: Value) -> World {
        World::of(config::from_document(&document(changes)).unwrap())
    }

    /// By this configuration.
    pub(super) fn of(config: Configuration) -> World {
        World { keys: Keys::new(&config.issuers), config, host: Host::new() }
    }

    /// What becomes of a value of `Authorization`.
    pub(super) fn verify(&self, authorization: &[u8]) -> Result<VerifiedToken, Refusal> {
        let raw = token::extract([authorization].into_iter())?;
        let mut nobody = Introspection::default();
        let verified =
            token::verify(&raw, &self.config.issuers, &self.keys, &mut nobody, &self.host);
        verified.map_err(|rejected| rejected.refusal)
    }

    /// The caller who has a good token with these claims besides.
    pub(super) fn caller(&self, claims: Value) -> Option<Caller> {
        let bound = binding::bind(self.verify(bearer(claims).as_bytes()).ok()?).ok()?;
        let mut nothing = Revocation::new(None, &self.config.issuers);
        let live =
            revocation::check(bound, &mut nothing, &mut Checked::default(), &self.host).ok()?;
        let token = limits::admit(live, &Limits::new(None), &self.host).ok()?;
        let grants = Grants::of(token.claims(), &self.config.fhir, &self.config.smart);
        Some(Caller { token, grants: Rc::new(grants) })
    }

    /// What is decided of a request.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        (head, request): (&Head, &fhir::Request),
        body: Option<&[u8]>,
        stored: &Stored,
    ) -> Result<Decision, Refusal> {
        let Configuration { fhir, smart, .. } = &self.config;
        let evidence = Evidence::new(body, stored);
        policy::decide(&caller.token, &caller.grants, request, head, evidence, fhir, smart)
    }
}

/// A configuration with one issuer, whose key is known, with these members changed.
pub(super) fn document(changes: Value) -> Value {
    let issuer = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": {"inline": {"keys": [key()]}},
    });
    let fhir = json!({
        "base_path": "/fhir", "base_url": AUDIENCE, "cluster": "fhir", "passthrough": ["/healthz"],
    });
    merge(json!({"fhir": fhir, "issuers": [issuer]}), changes)
}

/// The key of the issuer.
pub(super) fn key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

/// Claims that the issuer would sign, with these changed; null takes one out.
pub(super) fn claims(changes: Value) -> Value {
    let honest = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "nurse-17", "jti": "t-1", "client_id": "app",
        "iat": NOW - 60, "exp": NOW + 300,
    });
    merge(honest, changes)
}

/// The value of `Authorization` with a good token with these claims changed.
pub(super) fn bearer(changes: Value) -> String {
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"});
    format!("Bearer {}", signed(&header, claims(changes).to_string().as_bytes()))
}

/// A token with the genuine signature.
pub(super) fn signed(header: &Value, payload: &[u8]) -> String {
    let header = encode(header.to_string().as_bytes());
    format!("{header}.{}.{}", encode(payload), encode(&GENUINE))
}

/// base64url without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `base` with the members of `changes`; null takes a member out.
pub(super) fn merge(base: Value, changes: Value) -> Value {
    let (Value::Object(mut merged), Value::Object(changes)) = (base, changes) else { panic!() };
    merged.extend(changes);
    merged.retain(|_, value| !value.is_null());
    merged.into()
}

/// Header fields of these pairs.
pub(super) fn fields(pairs: &[(&str, &str)]) -> Headers {
    Headers::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

/// A request as text: method and target, a line for each header field, an empty line, the body.
pub(super) struct Text<'a> {
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: &'a [u8],
}

impl<'a> Text<'a> {
    /// Of any bytes.
    pub(super) fn of(text: &'a [u8]) -> Option<Text<'a>> {
        let (head, body) = split(text, b"\n\n").unwrap_or((text, b""));
        let mut lines = head.split(|byte| *byte == b'\n');
        let (method, target) = split(lines.next()?, b" ")?;
        let mut fields = vec![
            (b":method".to_vec(), method.to_vec()),
            (b":path".to_vec(), target.to_vec()),
            (b":authority".to_vec(), b"api.clinic.example".to_vec()),
        ];
        for line in lines.take(20) {
            let (name, value) = split(line, b": ")?;
            fields.push((name.to_ascii_lowercase(), value.to_vec()));
        }
        Some(Text { fields, body })
    }
}

/// What stands before and after the first `mark`.
pub(super) fn split<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}
