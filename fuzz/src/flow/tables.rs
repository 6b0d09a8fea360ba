//! What may happen: configurations, tokens, requests, answers.

use phiward::config::{self, Configuration};
use phiward::flow::Callout;
use serde_json::{Value, json};

use super::super::host::NOW;
use super::super::world::{AUDIENCE, ISSUER, bearer, claims, document, encode, key, merge};

/// By what is decided, and how strictly.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) configuration: Configuration,
    pub(super) enforces: bool,
    pub(super) judges_answers: bool,
    pub(super) asks_about_opaque: bool,
    /// The log and the access log take records.
    pub(super) logs: (bool, bool),
}

/// All configurations.
pub(super) fn rules() -> Vec<Rules> {
    let list = json!({"cluster": "lists", "url": "http://lists.example/v1", "every": "5s"});
    let url = "https://auth.clinic.example/introspect";
    let asked = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "introspection": {
        "cluster": "auth", "url": url, "client_id": "gateway", "client_secret_inline": "s3cret",
    }});
    let remote = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": {
        "cluster": "auth", "url": "https://auth.clinic.example/jwks", "refresh": "5m",
    }});
    let both = json!({"sinks": ["log", "access_log"]});
    let collector = json!({"cluster": "collector", "url": "http://collector.example/v1"});
    let changes = [
        json!({"audit": both}),
        json!({"issuers": [remote], "revocation": list, "audit": both}),
        json!({"issuers": [asked], "audit": both}),
        json!({"audit": {"sinks": ["log"], "patients": "answers"}}),
        json!({"mode": "observe", "audit": both}),
        json!({"smart": {"response_check": "report"}}),
        json!({"audit": {"sinks": ["log", "collector"], "collector": collector, "when_full": "refuse"}}),
        json!({"audit": {"sinks": []}}),
        json!({"smart": {"response_check": "report"}, "mode": "observe", "revocation": list}),
    ];
    changes.map(|changes| Rules::of(&changes)).into()
}

impl Rules {
    fn of(changes: &Value) -> Rules {
        let document = document(changes.clone());
        let sinks = &document["audit"]["sinks"];
        let has =
            |name: &str| sinks.as_array().map_or(name == "log", |all| all.contains(&json!(name)));
        Rules {
            configuration: config::from_document(&document).unwrap(),
            enforces: document["mode"] != "observe",
            judges_answers: document["smart"]["response_check"] != "report",
            asks_about_opaque: document["issuers"][0]["introspection"].is_object(),
            logs: (has("log"), has("access_log")),
        }
    }
}

/// What a client brings, and whether it can ever be good.
#[derive(Debug, Clone, Default)]
pub(super) struct Token {
    /// Values of `Authorization`.
    pub(super) fields: Vec<String>,
    pub(super) may_be_good: bool,
    pub(super) opaque: bool,
    /// It opens the records of one patient, and of nobody else.
    pub(super) confined: bool,
}

/// All tokens.
pub(super) fn tokens() -> Vec<Token> {
    let patient = json!({"scope": "patient/*.cruds", "patient": "P"});
    let with = |changes: Value| bearer(merge(patient.clone(), changes));
    let good = |claims: Value, confined| Token {
        fields: vec![bearer(claims)],
        may_be_good: true,
        confined,
        opaque: false,
    };
    let bad = |fields: Vec<String>| Token { fields, ..Token::default() };
    let forged = with(json!({})).replace(&encode(&[1; 64]), &encode(&[2; 64]));
    let unsigned = format!(
        "Bearer {}.{}.",
        encode(br#"{"alg":"none","kid":"k"}"#),
        encode(claims(patient.clone()).to_string().as_bytes())
    );
    vec![
        good(patient.clone(), true),
        good(json!({"scope": "user/*.cruds", "fhirUser": "Practitioner/7"}), false),
        good(json!({"scope": "system/*.cruds"}), false),
        good(
            json!({"scope": "patient/Observation.rs", "patient": "P", "jti": "t-2", "sid": "s"}),
            true,
        ),
        bad(vec![]),
        bad(vec![forged]),
        bad(vec![with(json!({"iat": NOW - 99_000, "exp": NOW - 98_000}))]),
        bad(vec![with(json!({"aud": "https://elsewhere.example"}))]),
        bad(vec![with(json!({"iss": "https://elsewhere.example"}))]),
        bad(vec![unsigned]),
        bad(vec![with(json!({})), with(json!({}))]),
        bad(vec!["Bearer \u{e9}".to_owned()]),
        Token {
            fields: vec!["Bearer 0paque-secret-token".to_owned()],
            opaque: true,
            ..Token::default()
        },
        good(json!({"scope": "launch openid"}), false),
    ]
}

/// A request without its token.
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) field: (&'static str, &'static str),
    /// Without a token, too.
    pub(super) public: bool,
    /// The answer for whoever is confined to a patient is judged.
    pub(super) judged: bool,
}

const fn asked(method: &'static str, target: &'static str) -> Asked {
    Asked { method, target, field: JSON, public: false, judged: false }
}

impl Asked {
    const fn judged(self) -> Asked {
        Asked { judged: true, ..self }
    }

    const fn public(self) -> Asked {
        Asked { public: true, ..self }
    }

    const fn with(self, name: &'static str, value: &'static str) -> Asked {
        Asked { field: (name, value), ..self }
    }
}

const JSON: (&str, &str) = ("content-type", "application/fhir+json");

/// All requests.
pub(super) const ASKED: [Asked; 18] = [
    asked("GET", "/fhir/Observation/1").judged(),
    asked("GET", "/fhir/Observation?code=x").judged(),
    asked("POST", "/fhir/Observation/_search")
        .with("content-type", "application/x-www-form-urlencoded")
        .judged(),
    asked("POST", "/fhir/Observation").judged(),
    asked("PUT", "/fhir/Observation/1").judged(),
    asked("PATCH", "/fhir/Observation/1")
        .with("content-type", "application/json-patch+json")
        .judged(),
    asked("DELETE", "/fhir/Observation/1").judged(),
    asked("PUT", "/fhir/Observation?code=x").judged(),
    asked("POST", "/fhir").judged(),
    asked("GET", "/fhir/Patient/P/$everything").judged(),
    asked("GET", "/fhir/Patient/P"),
    asked("GET", "/fhir/Patient/A"),
    asked("GET", "/fhir/metadata").public(),
    asked("GET", "/healthz").public(),
    asked("GET", "/fhir/$export").with("prefer", "respond-async"),
    asked("GET", "/fhir//Patient"),
    asked("BREW", "/fhir/Patient/P"),
    asked("GET", "/fhir/Practitioner/7"),
];

/// What other patients have.
pub(super) const SECRET: &str = "SECRET-OF-ANOTHER";

/// Bodies of requests and of answers.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let observation = |id: &str, about: &str, note: &str| {
        json!({"resourceType": "Observation", "id": id, "meta": {"versionId": "3"},
            "subject": {"reference": about}, "valueString": note})
    };
    let mine = observation("1", "Patient/P", "mine");
    let other = observation("2", "Patient/A", SECRET);
    let found = |entries: &[&Value]| {
        let entry = |resource: &&Value| json!({"resource": resource, "search": {"mode": "match"}});
        let entries: Vec<Value> = entries.iter().map(entry).collect();
        json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
    };
    let batch = |kind: &str, entries: Value| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let read = json!({"request": {"method": "GET", "url": "Observation/1"}});
    let create = json!({"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/P"}},
        "request": {"method": "POST", "url": "Observation"}});
    let update = json!({"resource": mine, "request": {"method": "PUT", "url": "Observation/1"}});
    let answered = json!({"resource": mine, "response": {"status": "200"}});
    let leaks = json!({"resource": other, "response": {"status": "200"}});
    let manifest = json!({"transactionTime": "2026-09-01T00:00:00Z", "requiresAccessToken": true,
        "request": "https://api.clinic.example/fhir/$export", "error": [], "output": [
            {"type": "Observation", "url": "https://api.clinic.example/files/1.ndjson"}]});
    let outcome = json!({"resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational"}]});
    let values = [
        mine.clone(),
        other.clone(),
        found(&[&mine]),
        found(&[&mine, &other]),
        batch("batch", json!([read, create])),
        batch("transaction", json!([update, read])),
        batch("batch-response", json!([answered, answered])),
        batch("batch-response", json!([answered, leaks])),
        manifest,
        outcome,
        json!([{"op": "replace", "path": "/valueString", "value": "x"}]),
        json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/A"}]),
        json!({"resourceType": "Observation", "subject": {"reference": "Patient/P"}}),
    ];
    let mut bodies: Vec<Vec<u8>> = values.iter().map(|value| value.to_string().into()).collect();
    let texts = ["", "code=x", "patient=A", "access_token=x", "{\"resourceType\":\"Obser"];
    bodies.extend(texts.map(|text| text.as_bytes().to_vec()));
    bodies.push(format!("{mine}\n{other}\n").into_bytes());
    bodies
}

/// An answer to a call of the worker's own: status and body.
pub(super) fn called(callout: &Callout, choice: u8) -> (u16, String) {
    let active = claims(json!({"active": true, "scope": "patient/*.rs", "patient": "P"}));
    let good = match callout {
        Callout::Keys(_) => json!({"keys": [key()]}),
        Callout::Introspection(_) => active,
        Callout::Revocations(_) => json!({"version": "1", "entries": []}),
        Callout::Audit(_) => json!({}),
    };
    let other = match callout {
        Callout::Keys(_) => json!({"keys": []}),
        Callout::Introspection(_) => json!({"active": false}),
        Callout::Revocations(_) => {
            json!({"version": "2", "entries": [{"jti": "t-2"}, {"sub": "nobody"}]})
        }
        Callout::Audit(_) => json!([]),
    };
    match choice % 6 {
        0 | 1 => (200, good.to_string()),
        2 => (200, other.to_string()),
        3 => (500, String::new()),
        4 => (404, "{".to_owned()),
        _ => (400, good.to_string()),
    }
}
