//! A worker of the filter whose tokens are cached, and the requests that are sent to it.

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phiward::base::capabilities::{
    Capabilities, HostFailed, HostSignature, HostVerdict, Native, Shared, Written,
};
use phiward::base::time::{Instant, UnixSeconds};
use phiward::config::{Configuration, from_document};
use phiward::flow::{End, Event, Exchange, Next, Worker};
use phiward::request::Headers;
use serde_json::{Value, json};

/// A request by a token, and whether it goes on.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What it is.
    pub(crate) name: &'static str,
    target: &'static str,
    token: Value,
    pub(crate) allowed: bool,
}

/// A worker, and what one request to it takes.
#[derive(Debug)]
pub(crate) struct Client {
    worker: Worker,
    caps: Counting,
}

/// A host that says yes to every signature and counts how often it was asked.
#[derive(Debug)]
pub(crate) struct Counting {
    native: Native,
    verified: Cell<u64>,
}

/// What is measured; the first is a plain request that is allowed as it came.
pub(crate) fn asked() -> Vec<Asked> {
    let system = json!({"scope": "system/*.rs"});
    let patient = json!({"scope": "patient/*.rs", "patient": "P"});
    let scopes: Vec<String> = (0..10)
        .map(|code| {
            format!("patient/Observation.rs?category=http://example.org/categories|c{code}")
        })
        .collect();
    let granular = json!({"scope": scopes.join(" "), "patient": "P"});
    let other = "/fhir/Observation?code=8867-4&patient=Q";
    let row = |name, target, token: &Value, allowed| Asked {
        name,
        target,
        token: token.clone(),
        allowed,
    };
    vec![
        row("search, system", SEARCH, &system, true),
        row("read by id, patient", "/fhir/Observation/1", &patient, true),
        row("search, patient", SEARCH, &patient, true),
        row("5 parameters, patient", FIVE, &patient, true),
        row("10 granular scopes, patient", SEARCH, &granular, true),
        row("refused, patient", other, &patient, false),
    ]
}

impl Asked {
    /// Its header fields, with a token.
    pub(crate) fn headers(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let authorization = format!("Bearer {}", token(&self.token));
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.clinic.example"),
            (":path", self.target),
            ("accept", "application/fhir+json"),
            ("user-agent", "app/1.0"),
            ("x-request-id", "5c2f0d3e-6b5b-4f0e-9b43-7d1f3f6f1c55"),
            ("authorization", &authorization),
        ];
        fields.map(|(name, value)| (name.into(), value.into())).into()
    }
}

impl Client {
    /// A worker with the key of the issuer and nothing else to look up.
    pub(crate) fn new() -> Client {
        let caps = Counting::new();
        let worker = Worker::new(configuration(), &caps);
        Client { worker, caps }
    }

    /// One exchange: from the header fields to what is done with them, and the audit line.
    pub(crate) fn send(&mut self, headers: &[(Vec<u8>, Vec<u8>)]) -> (Next, String) {
        let headers = Headers::new(headers.to_vec());
        let mut exchange = Exchange::default();
        let head = Event::RequestHead { headers, end_of_stream: true };
        let step = exchange.on(head, &mut self.worker, &self.caps);
        (step.next, exchange.end(End::default(), &mut self.worker, &self.caps).log.concat())
    }

    /// Sends it once, so that its token is cached, and makes sure that it is decided as it should be.
    pub(crate) fn learn(&mut self, asked: &Asked) {
        let (next, audit) = self.send(&asked.headers());
        assert_eq!(next == Next::Continue, asked.allowed, "{}: {audit}", asked.name);
    }

    /// How many signatures were verified so far.
    pub(crate) fn verified(&self) -> u64 {
        self.caps.verified.get()
    }
}

/// With the key of the issuer and nothing else to look up.
pub(crate) fn configuration() -> Configuration {
    let key = json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    let issuer = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": {"inline": {"keys": [key]}},
    });
    let fhir = json!({"base_path": "/fhir", "base_url": AUDIENCE});
    from_document(&json!({"fhir": fhir, "issuers": [issuer]})).unwrap()
}

/// A token whose signature is well-formed and of nobody.
fn token(claims: &Value) -> String {
    let mut all = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "jti": "t", "client_id": "app",
        "iat": NOW - 60, "exp": NOW + 300,
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"});
    let [header, claims] = [header, all].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([1; 64]))
}

impl Counting {
    pub(crate) fn new() -> Counting {
        let now = Instant::from_seconds(UnixSeconds(NOW));
        Counting { native: Native::at(now), verified: Cell::new(0) }
    }
}

impl Capabilities for Counting {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.native.shared(key)
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.native.set_shared(key, value, stamp)
    }

    fn verify_signature(&self, _signed: &HostSignature<'_>) -> HostVerdict {
        self.verified.set(self.verified.get() + 1);
        HostVerdict::Valid
    }
}

const NOW: u64 = 1_790_000_000;
const ISSUER: &str = "https://auth.clinic.example";
const AUDIENCE: &str = "https://api.clinic.example/fhir";

const SEARCH: &str = "/fhir/Observation?code=8867-4";

/// With a chain that is narrowed along its way, and an include.
const FIVE: &str = "/fhir/Observation?code=8867-4&date=ge2026-01-01&encounter:Encounter.status=finished&_include=Observation:encounter&_count=50";
