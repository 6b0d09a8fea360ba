//! A bulk export from its kick-off to its files.

use core::time::Duration;

use serde_json::{Value, json};

use crate::flow::testing::{Answered, Gateway, fields};
use crate::flow::{End, Event, Exchange, Next};
use crate::token::testing::merge;

const KICKOFF: &str = "/fhir/$export";
const STATUS: &str = "https://api.clinic.example/fhir/bulk-status/7";
const FILE: &str = "https://api.clinic.example/bulk-files/7/a.ndjson";
const ASYNC: (&str, &str) = ("prefer", "respond-async");

fn document(changes: Value) -> Value {
    let document = json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/fhir"],
            "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
        }],
    });
    merge(document, changes)
}

fn gateway() -> Gateway {
    Gateway::new(&document(json!({})))
}

/// A token of a backend service that may read everything, but for these claims; `null` leaves one out.
fn backend(changes: Value) -> Value {
    let mut claims = json!({"scope": "system/*.rs", "client_id": "feed"});
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

fn answer(
    gateway: &mut Gateway,
    target: &str,
    claims: Value,
    status: u16,
    body: &[u8],
) -> Answered {
    let bearer = gateway.bearer(claims);
    let json = [("content-type", "application/json"), ("content-length", "9"), ("etag", "\"1\"")];
    gateway.exchange("GET", target, &[("authorization", &bearer)], (status, &json, body))
}

/// The answer to a kick-off that comes with this `Content-Location`.
fn kicked_off(gateway: &mut Gateway, status: u16, location: &str) -> Answered {
    let bearer = gateway.bearer(backend(json!({})));
    let headers = [("authorization", bearer.as_str()), ASYNC];
    let answer = (status, &[("content-location", location)][..], &b"started"[..]);
    gateway.exchange("GET", KICKOFF, &headers, answer)
}

/// A manifest with one file.
fn manifest(kind: &str) -> Value {
    json!({"transactionTime": "", "output": [{"type": kind, "url": FILE}]})
}

/// The target of a link to the status.
fn status_link(gateway: &mut Gateway) -> String {
    let [(name, url)] = kicked_off(gateway, 202, STATUS).set.try_into().expect("one field");
    assert_eq!(name, "content-location");
    target(&url)
}

/// The target of a link to a file of this type.
fn file_link(gateway: &mut Gateway, kind: &str) -> String {
    let manifest = manifest(kind);
    let link = status_link(gateway);
    let judged = answer(gateway, &link, backend(json!({})), 200, manifest.to_string().as_bytes());
    let manifest: Value = serde_json::from_slice(&judged.body).unwrap();
    target(manifest["output"][0]["url"].as_str().unwrap())
}

fn target(url: &str) -> String {
    url.strip_prefix("https://api.clinic.example").expect("of this host").to_owned()
}

#[test]
fn an_export_is_started_followed_fetched_and_cancelled_by_its_client() {
    let mut gateway = gateway();
    let status = status_link(&mut gateway);
    let file = file_link(&mut gateway, "Observation");
    let bearer = gateway.bearer(backend(json!({})));
    let cases = [
        ("GET", &status, "/fhir/bulk-status/7", Value::Null),
        ("DELETE", &status, "/fhir/bulk-status/7", Value::Null),
        ("GET", &file, "/bulk-files/7/a.ndjson", json!("Observation")),
        ("HEAD", &file, "/bulk-files/7/a.ndjson", json!("Observation")),
    ];
    for (method, link, path, kind) in cases {
        let headers = [("authorization", bearer.as_str()), ("x-phiward-user", "me")];
        let sent = gateway.send(method, link, &headers, b"");
        assert_eq!((sent.reason(), sent.header(":path")), ("allowed", Some(path)), "{method}");
        assert_eq!((sent.header("authorization"), sent.header("x-phiward-user")), (None, None));
        let what = &sent.audit["what"];
        assert_eq!(
            (&what["interaction"], &what["operation"]),
            (&json!("operation"), &json!("$export"))
        );
        assert_eq!(what["type"], kind, "{}", sent.audit);
        assert_eq!(sent.audit["who"]["client"], "feed");
    }
}

#[test]
fn the_status_is_not_held_until_it_is_a_manifest() {
    let mut gateway = gateway();
    let status = status_link(&mut gateway);
    let manifest = manifest("Observation").to_string();
    for (code, held) in [(202, false), (404, false), (200, true)] {
        let answered = answer(&mut gateway, &status, backend(json!({})), code, manifest.as_bytes());
        assert_eq!((answered.status, answered.held), (code, held));
        assert_eq!(answered.body == manifest.as_bytes(), !held, "{code}");
        assert_eq!(answered.audit["decision"], "allow");
        for stale in ["content-length", "etag"] {
            assert_eq!(answered.removed.contains(&stale), held, "{code}");
        }
    }
}

#[test]
fn what_a_kickoff_is_not_answered_with_does_not_pass() {
    let cases = [
        (202, STATUS, 202, "allowed"),
        (202, "/fhir/bulk-status/7", 202, "allowed"),
        (202, "https://elsewhere.example/7", 202, "allowed"),
        (202, "bulk-status/7", 502, "export_location"),
        (202, "//api.clinic.example/7", 502, "export_location"),
        (200, STATUS, 502, "export_kickoff"),
        (303, STATUS, 502, "export_kickoff"),
        (429, STATUS, 429, "allowed"),
    ];
    for (status, location, seen, reason) in cases {
        let answered = kicked_off(&mut gateway(), status, location);
        assert_eq!(
            (answered.status, &answered.audit["reason"]),
            (seen, &json!(reason)),
            "{location}"
        );
        assert_eq!(answered.body == b"started", reason == "allowed", "{location}");
    }
}

#[test]
fn a_kickoff_that_could_not_be_followed_is_refused_before_it_starts_anything() {
    let mut gateway = gateway();
    let cases = [
        (backend(json!({"client_id": null})), "export_client_missing"),
        (backend(json!({"scope": "patient/*.rs", "patient": "123"})), "export_system_only"),
    ];
    for (claims, reason) in cases {
        let bearer = gateway.bearer(claims);
        let sent = gateway.send("GET", KICKOFF, &[("authorization", &bearer), ASYNC], b"");
        assert_eq!((sent.reason(), sent.forwarded), (reason, false));
    }
}

#[test]
fn a_link_is_for_its_client_its_target_and_its_scopes() {
    let mut gateway = gateway();
    let status = status_link(&mut gateway);
    let file = file_link(&mut gateway, "Observation");
    let cases = [
        ("GET", status.clone(), backend(json!({"client_id": "other"})), "export_not_bound"),
        ("DELETE", status.clone(), backend(json!({"client_id": "other"})), "export_not_bound"),
        ("GET", file.clone(), backend(json!({"client_id": "other"})), "export_not_bound"),
        ("GET", file.clone(), backend(json!({"client_id": null})), "export_client_missing"),
        ("GET", file.replace("/7/", "/8/"), backend(json!({})), "export_not_bound"),
        ("GET", file.replace("Observation.", "Patient."), backend(json!({})), "export_not_bound"),
        ("GET", format!("{file}&x=y"), backend(json!({})), "export_not_bound"),
        ("GET", file.replace("_phiward", "_Phiward"), backend(json!({})), "export_not_bound"),
        ("GET", file.replace("_phiward", "%5fphiward"), backend(json!({})), "export_not_bound"),
        ("GET", file.replace('?', "?_phiward=x&"), backend(json!({})), "export_not_bound"),
        ("GET", "/bulk-files/7/a.ndjson".to_owned(), backend(json!({})), "fhir_outside_base"),
        ("GET", "/fhir/bulk-status/7".to_owned(), backend(json!({})), "fhir_type_unknown"),
        ("GET", "/fhir/Patient/1?_phiward=x".to_owned(), backend(json!({})), "export_not_bound"),
        ("DELETE", file.clone(), backend(json!({})), "export_method"),
        ("POST", status.clone(), backend(json!({})), "export_method"),
        ("HEAD", status.clone(), backend(json!({})), "export_method"),
        (
            "GET",
            file.clone(),
            backend(json!({"scope": "system/Patient.rs"})),
            "export_type_uncovered",
        ),
        ("GET", file.clone(), backend(json!({"scope": "user/*.rs"})), "export_system_only"),
        (
            "GET",
            status.clone(),
            backend(json!({"scope": "patient/*.rs", "patient": "1"})),
            "export_system_only",
        ),
        (
            "GET",
            file.clone(),
            backend(json!({"fhirUser": "Practitioner/7"})),
            "scope_system_with_user",
        ),
    ];
    for (method, link, claims, reason) in cases {
        let bearer = gateway.bearer(claims);
        let sent = gateway.send(method, &link, &[("authorization", &bearer)], b"");
        assert_eq!((sent.reason(), sent.forwarded), (reason, false), "{method} {link}");
    }
    let sent = gateway.send("GET", &status, &[], b"");
    assert_eq!((sent.reason(), sent.forwarded), ("token_missing", false));
    let bearer = gateway.bearer(backend(json!({})));
    let sent = gateway.send("GET", &status, &[("authorization", &bearer)], b"x");
    assert_eq!((sent.reason(), sent.forwarded), ("body_unexpected", false));
}

#[test]
fn a_token_that_expired_follows_no_link() {
    let mut gateway = gateway();
    let file = file_link(&mut gateway, "Observation");
    let bearer = gateway.bearer(backend(json!({})));
    let headers = [("authorization", bearer.as_str())];
    assert!(gateway.send("GET", &file, &headers, b"").forwarded);
    gateway.wait(Duration::from_secs(4000));
    assert_eq!(gateway.send("GET", &file, &headers, b"").reason(), "token_expired");
}

#[test]
fn a_manifest_that_can_not_be_judged_or_holds_too_much_does_not_pass() {
    let mut gateway = gateway();
    let link = status_link(&mut gateway);
    let narrow = || backend(json!({"scope": "system/Patient.rs"}));
    let file = |kind: &str| manifest(kind).to_string();
    let cases = [
        (file("Patient"), "allowed"),
        (file("Observation"), "export_output_uncovered"),
        (file("Nonsense"), "export_manifest"),
        ("garbage".to_owned(), "export_manifest"),
        (String::new(), "export_manifest"),
    ];
    for (body, reason) in cases {
        let answered = answer(&mut gateway, &link, narrow(), 200, body.as_bytes());
        assert_eq!(answered.audit["reason"], reason, "{body}");
        assert_eq!(answered.status == 200, reason == "allowed", "{body}");
        assert!(reason == "allowed" || !answered.body.windows(4).any(|part| part == b"bulk"));
    }
}

#[test]
fn a_manifest_that_never_came_whole_is_not_recorded_as_allowed() {
    let mut gateway = gateway();
    let link = status_link(&mut gateway);
    let bearer = gateway.bearer(backend(json!({})));
    let head = [
        (":method", "GET"),
        (":path", link.as_str()),
        (":authority", "api.clinic.example"),
        ("authorization", bearer.as_str()),
    ];
    let mut exchange = Exchange::default();
    let request = Event::RequestHead { headers: fields(&head), end_of_stream: true };
    assert_eq!(exchange.on(request, &mut gateway.worker, &gateway.caps).next, Next::Continue);
    let head = Event::ResponseHead { headers: fields(&[(":status", "200")]), end_of_stream: false };
    let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
    assert_eq!((step.next, exchange.wants_answer_body()), (Next::Pause, true));
    let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
    assert!(line.contains(r#""decision":"error","reason":"answer_unfinished""#), "{line}");
}

#[test]
fn links_are_signed_whatever_response_check_says() {
    for check in ["enforce", "report", "off"] {
        let mut gateway = Gateway::new(&document(json!({"smart": {"response_check": check}})));
        let link = file_link(&mut gateway, "Observation");
        assert!(
            link.starts_with("/bulk-files/7/a.ndjson?_phiward=Observation."),
            "{check}: {link}"
        );
        let status = status_link(&mut gateway);
        let refused = answer(&mut gateway, &status, backend(json!({})), 200, b"garbage");
        assert_eq!(refused.status, 502, "{check}");
    }
}

#[test]
fn observe_mode_signs_nothing_and_follows_whatever_comes() {
    let mut gateway = Gateway::new(&document(json!({"mode": "observe"})));
    let answered = kicked_off(&mut gateway, 202, STATUS);
    assert_eq!((answered.status, answered.set.len()), (202, 0));
    let sent = gateway.get("/fhir/bulk-status/7?_phiward=status.x", backend(json!({})));
    assert_eq!(sent.header(":path"), Some("/fhir/bulk-status/7?_phiward=status.x"));
    assert_eq!((sent.reason(), &sent.audit["would"]), ("export_not_bound", &json!("deny")));
    let bearer = gateway.bearer(backend(json!({"client_id": null})));
    let sent = gateway.send("GET", KICKOFF, &[("authorization", &bearer), ASYNC], b"");
    assert_eq!((sent.reason(), sent.forwarded), ("export_client_missing", true));
}
