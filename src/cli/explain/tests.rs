//! What `phiward explain` prints, and that it says what the gateway does.

use serde_json::{Value, json};

use super::run::Proof;
use super::stages::{self, Walk};
use crate::base::testing::golden;
use crate::cli::Exit;
use crate::cli::cases::tests::every_case;
use crate::cli::gateway::Gateway;
use crate::cli::tests::{Scratch, called};
use crate::token::algorithm::Algorithm;
use crate::token::testing::{Signer, claims, config, merge};

/// The configuration that most explanations are by.
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/patient-app/config.yaml");
const REVOCATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/revocation/config.yaml");
const SESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sessions/config.yaml");
const OBSERVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/observe/config.yaml");

fn explained(config: &str, request: &str, rest: &[&str]) -> (Exit, String, String) {
    let arguments = ["explain", "--config", config, "--request", request];
    called(&[&arguments, rest].concat())
}

/// Explains with these claims; compares with the golden file of this name.
fn told(name: &str, config: &str, request: &str, claims: &Value, rest: &[&str]) -> Exit {
    let claims = claims.to_string();
    let (exit, out, err) = explained(config, request, &[&["--token", &claims], rest].concat());
    assert_eq!(err, "", "{name}");
    golden(&format!("tests/golden/explain/{name}.txt"), &out);
    exit
}

fn app(scope: &str) -> Value {
    json!({"patient": "123", "scope": scope, "client_id": "growth-chart"})
}

#[test]
fn each_stage_tells_what_decided() {
    let search = "GET /fhir/Observation?category=laboratory&_elements=code";
    let scope = app("launch/patient patient/Observation.rs");
    let cases = [
        ("allowed", "GET /fhir/Patient/123", app("patient/*.rs")),
        ("narrowed", search, scope.clone()),
        ("by-id", "GET /fhir/Observation/o-1", scope),
        ("public", "GET /fhir/metadata", app("")),
    ];
    for (name, request, claims) in cases {
        assert_eq!(told(name, APP, request, &claims, &[]), Exit::Ok, "{name}");
    }
}

#[test]
fn claims_stand_for_a_token_that_is_encrypted_where_it_must_be_and_a_token_for_itself() {
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let encryption = json!({"required": true, "keys": [
        {"kid": "enc-1", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_1"},
    ]});
    let issuer = config(vec![signer.jwk()], json!({"encryption": encryption}));
    let fhir = json!({"base_path": "/fhir", "base_url": "https://api.clinic.example/fhir"});
    let document = json!({"fhir": fhir, "issuers": [issuer]}).to_string();
    let file = Scratch::new("c.json", document.as_bytes());
    let says = |token: &str| {
        let rest = ["--token", token, "--at", "2026-09-21T14:13:20Z"];
        explained(file.0.to_str().unwrap(), "GET /fhir/Patient/123", &rest).1
    };
    let given = claims(json!({"scope": "patient/*.rs", "patient": "123"}));
    assert!(says(&given.to_string()).contains("allowed"), "{}", says(&given.to_string()));
    let signed = signer.token(&given);
    assert!(says(signed.text()).contains("token_encryption_required"));
}

#[test]
fn each_stage_tells_why_it_refuses() {
    let good = app("patient/*.rs");
    let cases = [
        ("refused-request", "GET /fhir/Observation;v=1/o-1", good.clone()),
        ("refused-fhir", "GET /fhir/Observations/o-1", good.clone()),
        ("refused-token", "GET /fhir/Patient/123", merge(good.clone(), json!({"aud": "else"}))),
        ("refused-binding", "GET /fhir/Patient/123", merge(good.clone(), json!({"cnf": {}}))),
        ("refused-scope", "GET /fhir/Patient/123", app("patient/Observation.rs")),
        ("refused-policy", "GET /fhir/Observation?subject=Patient/456", good),
    ];
    for (name, request, claims) in cases {
        assert_eq!(told(name, APP, request, &claims, &[]), Exit::Denied, "{name}");
    }
}

#[test]
fn a_revocation_list_is_looked_in_when_it_is_given() {
    let nurse = json!({"jti": "t-stolen", "fhirUser": "Practitioner/7", "scope": "user/*.rs"});
    let read = "GET /fhir/Patient/123";
    let list = Scratch::new("list.json", br#"{"entries": [{"jti": "t-stolen"}]}"#);
    let list = ["--revocations", list.0.to_str().unwrap()];
    assert_eq!(told("refused-revocation", REVOCATION, read, &nurse, &list), Exit::Denied);
    assert_eq!(told("not-looked-up", REVOCATION, read, &nurse, &[]), Exit::Ok);
    let other = merge(nurse, json!({"jti": "t-2"})).to_string();
    let (exit, out, _) = explained(REVOCATION, read, &[&["--token", &other], &list[..]].concat());
    assert_eq!(exit, Exit::Ok);
    assert!(out.contains("no entry of the list given matches"), "{out}");
}

#[test]
fn an_answer_is_judged() {
    let entry = |id: &str, patient: &str| {
        let subject = json!({"reference": format!("Patient/{patient}")});
        json!({"resource": {"resourceType": "Observation", "id": id, "subject": subject}})
    };
    let entries = [entry("o-1", "123"), entry("o-2", "456")];
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    let bundle = Scratch::new("answer.json", bundle.to_string().as_bytes());
    let bundle = ["--answer", bundle.0.to_str().unwrap()];
    let scope = app("patient/Observation.rs");
    let search = "GET /fhir/Observation";
    assert_eq!(told("answer-removed", APP, search, &scope, &bundle), Exit::Ok);
    let read = "GET /fhir/Observation/o-2";
    let foreign = Scratch::new("answer.json", entries[1]["resource"].to_string().as_bytes());
    let foreign = ["--answer", foreign.0.to_str().unwrap()];
    assert_eq!(told("answer-refused", APP, read, &scope, &foreign), Exit::Denied);
    let failed = ["--status", "500"];
    let (exit, out, _) =
        explained(APP, read, &[&["--token", &scope.to_string()], &foreign[..], &failed].concat());
    assert_eq!(exit, Exit::Denied);
    assert!(out.ends_with("denied: answer_error_body\n"), "{out}");
}

/// A request with a JSON body.
fn written(line: &str, more: &str, body: &Value) -> Scratch {
    let media_type = if body.is_array() { "json-patch+json" } else { "fhir+json" };
    let text = format!("{line} HTTP/1.1\nContent-Type: application/{media_type}\n{more}\n{body}\n");
    Scratch::new("r.http", text.as_bytes())
}

#[test]
fn what_is_looked_up_before_a_write_is_told() {
    let observation = |patient: &str| {
        let subject = json!({"reference": format!("Patient/{patient}")});
        json!({"resourceType": "Observation", "id": "o-1", "meta": {"versionId": "3"}, "subject": subject})
    };
    let has = |resource: Value| {
        Scratch::new("stored.json", json!({"Observation/o-1": resource}).to_string().as_bytes())
    };
    let update = written("PUT /fhir/Observation/o-1", "", &observation("123"));
    let update = format!("@{}", update.0.display());
    let rows = [
        ("write", Some(has(observation("123"))), Exit::Ok),
        ("write-foreign", Some(has(observation("456"))), Exit::Denied),
        ("write-not-given", None, Exit::Ok),
    ];
    let update_scope = app("patient/Observation.u");
    for (name, stored, expected) in rows {
        let stored = stored.as_ref().map(|stored| ["--stored", stored.0.to_str().unwrap()]);
        let rest: Vec<&str> = stored.into_iter().flatten().collect();
        assert_eq!(told(name, APP, &update, &update_scope, &rest), expected, "{name}");
    }
    for (stored, problem) in [
        ("[]", "is no object of resources by `Type/id`"),
        (r#"{"Observation/o-2": {"resourceType": "Observation"}}"#, "is another resource"),
        (r#"{"Observation/o-2": 99}"#, "is another resource"),
    ] {
        let file = Scratch::new("stored.json", stored.as_bytes());
        let rest = ["--stored", file.0.to_str().unwrap()];
        let (exit, _, err) = explained(APP, &update, &rest);
        assert_eq!(exit, Exit::Unusable, "{stored}: {err}");
        assert!(err.contains(problem), "{stored}: {err}");
    }
}

#[test]
fn each_entry_of_a_bundle_and_every_condition_is_told() {
    let new = json!({"resourceType": "Observation", "subject": {"reference": "Patient/123"}});
    let scope = app("patient/Observation.cruds patient/Patient.r");
    let create = written("POST /fhir/Observation", "If-None-Exist: identifier=x\n", &new);
    let create = format!("@{}", create.0.display());
    assert_eq!(told("if-none-exist", APP, &create, &scope, &[]), Exit::Ok);
    let entry = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
    let batch =
        |entries: &[Value]| json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let own = [entry("GET", "Patient/123"), entry("GET", "Observation?code=8867-4")];
    let bundle = written("POST /fhir", "", &batch(&own));
    let bundle = format!("@{}", bundle.0.display());
    assert_eq!(told("batch", APP, &bundle, &scope, &[]), Exit::Ok);
    let foreign = written("POST /fhir", "", &batch(&[entry("GET", "Patient/456")]));
    let foreign = format!("@{}", foreign.0.display());
    assert_eq!(told("batch-refused", APP, &foreign, &scope, &[]), Exit::Denied);
}

#[test]
fn how_a_search_is_narrowed_is_told() {
    let config = std::fs::read_to_string(APP).unwrap();
    let config = format!("{config}smart:\n  membership: definition\n");
    let config = Scratch::new("config.yaml", config.as_bytes());
    let config = config.0.to_str().unwrap();
    let granular = app("patient/Observation.rs?category=laboratory&status=final");
    assert_eq!(told("granular", APP, "GET /fhir/Observation", &granular, &[]), Exit::Ok);
    assert_eq!(told("compartment", config, "GET /fhir/Observation", &granular, &[]), Exit::Ok);
}

#[test]
fn the_rule_of_a_session_is_told_and_why_it_ended() {
    let read = "GET /fhir/Patient/123";
    let since = |hours: u64| {
        let signed_in = 1_790_000_000_u64.saturating_sub(hours.saturating_mul(3_600));
        json!({"patient": "123", "scope": "patient/*.rs", "sid": "s-1", "auth_time": signed_in})
    };
    let at = ["--at", "1790000000"];
    assert_eq!(told("session", SESSIONS, read, &since(23), &at), Exit::Ok);
    assert_eq!(told("refused-session", SESSIONS, read, &since(24), &at), Exit::Denied);
}

#[test]
fn mode_observe_is_told() {
    let claims = app("patient/*.rs");
    assert_eq!(told("observe", OBSERVE, "GET /fhir/Patient/456", &claims, &[]), Exit::Denied);
}

#[test]
fn a_request_can_come_from_a_file_with_header_and_body() {
    let search = "POST /fhir/Observation/_search HTTP/1.1\r\nHost: api.clinic.example\r\n\
                  Content-Type: application/x-www-form-urlencoded\r\nPrefer: handling=lenient\r\n\
                  X-Phiward-Patient: 456\r\n\r\ncode=8867-4\r\n";
    let search = Scratch::new("search.http", search.as_bytes());
    let search = format!("@{}", search.0.display());
    assert_eq!(told("form", APP, &search, &app("patient/Observation.s"), &[]), Exit::Ok);
    let body = Scratch::new("get.http", b"GET /fhir/Patient/123\n\nbody");
    let body = format!("@{}", body.0.display());
    let claims = app("patient/*.rs").to_string();
    let (exit, out, _) = explained(APP, &body, &["--token", &claims]);
    assert_eq!(exit, Exit::Denied);
    assert!(out.ends_with("denied: body_unexpected\n"), "{out}");
}

#[test]
fn json_says_the_same_as_text() {
    let claims = app("patient/Observation.rs").to_string();
    let search = "GET /fhir/Observation?code=8867-4";
    let (exit, out, err) = explained(APP, search, &["--token", &claims, "--json"]);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    golden("tests/golden/explain/narrowed.json", &out);
    let said: Value = serde_json::from_str(&out).unwrap();
    let (_, text, _) = explained(APP, search, &["--token", &claims]);
    let stages = said["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 8);
    for stage in stages {
        for (name, fact) in stage["facts"].as_object().unwrap() {
            let first = fact.as_str().or(fact[0].as_str()).unwrap();
            assert!(text.contains(&format!("  {name}: {first}\n")), "{name}");
        }
    }
}

#[test]
fn a_token_is_verified_by_the_keys_at_hand_and_never_printed() {
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let other = Signer::new(Algorithm::Es256, "k1", 8);
    let member = json!({"patient": "123", "scope": "patient/*.rs", "typ": null});
    let good = signer.token(&claims(member.clone())).text().to_owned();
    let forged = other.token(&claims(member)).text().to_owned();
    let inline = json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [config(vec![signer.jwk()], json!({}))],
    });
    let inline = Scratch::new("c.json", inline.to_string().as_bytes());
    let inline = inline.0.to_str().unwrap();
    let keys = Scratch::new("keys.json", json!({"keys": [signer.jwk()]}).to_string().as_bytes());
    let keys = ["--keys", keys.0.to_str().unwrap()];
    let none: [&str; 0] = [];
    let read = "GET /fhir/Patient/123";
    let cases = [
        (inline, &good, &none[..], Exit::Ok, "verified by the keys in the configuration"),
        (inline, &forged, &none, Exit::Denied, "denied: token_signature_invalid"),
        (APP, &good, &keys, Exit::Ok, "verified by the keys given"),
        (APP, &forged, &keys, Exit::Denied, "denied: token_signature_invalid"),
        (APP, &good, &none, Exit::Ok, "THE SIGNATURE IS NOT CHECKED"),
        (APP, &forged, &none, Exit::Ok, "THE SIGNATURE IS NOT CHECKED"),
        (inline, &good, &keys, Exit::Unusable, "leave out `--keys`"),
    ];
    for (number, (config, token, rest, expected, text)) in cases.into_iter().enumerate() {
        let file = Scratch::new("token", format!("{token}\n").as_bytes());
        let at_file = format!("@{}", file.0.display());
        let message = format!("{read} HTTP/1.1\nauthorization: Bearer {token}\n\n");
        let message = Scratch::new("r.http", message.as_bytes());
        let message = format!("@{}", message.0.display());
        let runs = [
            explained(config, read, &[&["--token", token], rest].concat()),
            explained(config, read, &[&["--token", &at_file, "--json"], rest].concat()),
            explained(config, &message, rest),
        ];
        for (exit, out, err) in runs {
            let both = format!("{out}{err}");
            assert_eq!(exit, expected, "{number}: {both}");
            let code = text.trim_start_matches("denied: ");
            assert!(both.contains(code), "{number}: {both}");
            let parts = token.split('.').any(|part| both.contains(part));
            assert!(!parts, "{number}: {both}");
        }
    }
}

/// An issuer can't be asked from here: the output says so.
#[test]
fn an_issuer_that_would_be_asked_is_not_and_that_is_said() {
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let introspection = json!({
        "cluster": "auth", "url": "https://auth.clinic.example/introspect", "client_id": "gateway",
        "client_secret": "SECRET", "tokens": "all",
    });
    let issuer = config(vec![signer.jwk()], json!({"introspection": introspection}));
    let document = json!({"fhir": {"base_path": "/fhir"}, "issuers": [issuer]});
    let all = Scratch::new("all.json", document.to_string().as_bytes());
    let all = all.0.to_str().unwrap();
    let mut opaque = document;
    opaque["issuers"][0]["introspection"]["tokens"] = json!("opaque");
    opaque["issuers"][0].as_object_mut().unwrap().remove("jwks");
    let opaque = Scratch::new("opaque.json", opaque.to_string().as_bytes());
    let opaque = opaque.0.to_str().unwrap();
    let member = json!({"patient": "123", "scope": "patient/*.rs"});
    let jwt = signer.token(&claims(member.clone())).text().to_owned();
    let member = member.to_string();
    let rows = [
        (all, jwt.as_str(), Exit::Ok, "NOT ASKED"),
        (all, "0paque", Exit::Unusable, "its issuer can't be asked from here"),
        (opaque, "0paque", Exit::Unusable, "its issuer can't be asked from here"),
        (opaque, &jwt, Exit::Denied, "denied: token_key_unknown"),
        (all, &member, Exit::Ok, "taken as proven"),
        (opaque, &member, Exit::Ok, "taken as proven"),
        (APP, "0paque", Exit::Denied, "denied: token_shape"),
    ];
    for (config, token, expected, text) in rows {
        let (exit, out, err) = explained(config, "GET /fhir/Patient/123", &["--token", token]);
        assert_eq!(exit, expected, "{config} {text}: {out}{err}");
        assert!(format!("{out}{err}").contains(text), "{config} {text}: {out}{err}");
        assert!(!format!("{out}{err}").contains("0paque"), "{out}{err}");
    }
}

/// What is checked without keys is checked: issuer, algorithm, shape, and then every claim.
#[test]
fn a_token_whose_signature_is_not_checked_is_not_taken_for_anything() {
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let es512 = Signer::new(Algorithm::Es512, "k1", 7);
    let good = claims(json!({"patient": "123", "scope": "patient/*.rs"}));
    let cases = [
        (signer.token(&good), "allowed"),
        (signer.token(&merge(good.clone(), json!({"iss": "https://x"}))), "token_issuer_unknown"),
        (signer.token(&merge(good.clone(), json!({"exp": 1}))), "token_expired"),
        (signer.token_with(json!({"typ": "dpop+jwt"}), &good), "token_type_refused"),
        (signer.token_with(json!({"kid": null}), &good), "token_key_unnamed"),
        (es512.token(&good), "token_algorithm_refused"),
    ];
    for (token, reason) in cases {
        let (_, out, err) = explained(APP, "GET /fhir/Patient/123", &["--token", token.text()]);
        let end = if reason == "allowed" { reason.to_owned() } else { format!("denied: {reason}") };
        assert!(out.ends_with(&format!("{end}\n")), "{reason}: {out}{err}");
    }
}

#[test]
fn arguments_that_cannot_be_used_are_told_and_never_repeat_a_token() {
    let list = Scratch::new("list.json", b"{}");
    let list = list.0.to_str().unwrap();
    let request = Scratch::new("r.http", b"GET /fhir/Patient/1\nauthorization: Bearer a.b.c\n\n");
    let request = format!("@{}", request.0.display());
    let read = "GET /fhir/Patient/123";
    let rows: [(&[&str], &str); 16] = [
        (&["--request", read], "`explain` needs a configuration"),
        (&["--config", APP], "`explain` needs a request"),
        (&["--config", APP, "--request", read, "SECRET"], "`explain` takes options only"),
        (&["--config", APP, "--request", read, "--nonsense"], "invalid option '--nonsense'"),
        (&["--config", APP, "--request", read, "--status", "200"], "give one with `--answer`"),
        (&["--config", APP, "--request", "GET"], "the request is no `METHOD TARGET`"),
        (&["--config", APP, "--request", "@/nowhere"], "/nowhere: can't be read"),
        (&["--config", "/nowhere.yaml", "--request", read], "/nowhere.yaml: can't be read"),
        (&["--config", APP, "--request", read, "--at", "noon"], "`noon` is neither a time"),
        (&["--config", APP, "--request", read, "--token", "{SECRET"], "the claims are not one"),
        (&["--config", APP, "--request", read, "--token", "@/nowhere"], "/nowhere: can't be read"),
        (&["--config", APP, "--request", &request, "--token", "{}"], "leave out `--token`"),
        (&["--config", APP, "--request", read, "--revocations", list], "has no revocation list"),
        (&["--config", REVOCATION, "--request", read, "--revocations", list], "it can't be used"),
        (&["--config", APP, "--request", read, "--stored", "/nowhere"], "/nowhere: can't be read"),
        (&["--config", list, "--request", read], "the configuration is empty"),
    ];
    for (arguments, expected) in rows {
        let (exit, out, err) = called(&[&["explain"], arguments].concat());
        assert_eq!((exit, out.as_str()), (Exit::Unusable, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
        assert!(!err.contains("SECRET") && !err.contains("a.b.c"), "{err}");
    }
}

/// The stages are called by `explain` itself, in the order of the flow: whatever the gateway
/// refuses, one of them must have refused for the same reason.
#[test]
fn the_stages_say_what_the_gateway_does_on_every_case_of_the_project() {
    let mut count = 0;
    for (name, prepared, at) in every_case() {
        let configuration = &prepared.configuration;
        let (mut gateway, _) = Gateway::new(configuration.clone(), at, &prepared.feeds);
        let outcome = gateway.exchange(&prepared.request, &prepared.stored, None);
        let stages = stages::walk(&Walk {
            configuration,
            caps: &gateway.caps,
            request: &prepared.request,
            proof: &Proof::Nothing,
            would_ask: false,
            listed: true,
            stored: (&prepared.stored, true),
            outcome: &outcome,
        });
        let names: Vec<&str> = stages.iter().map(|stage| stage.name).collect();
        let order =
            ["request", "fhir", "token", "binding", "revocation", "limits", "policy", "forward"];
        assert_eq!(names, order, "{name}: {}", outcome.reason());
        count += 1;
    }
    assert!(count > 100, "only {count} cases");
}
