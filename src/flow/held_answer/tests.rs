//! What becomes of answers to confined requests.

use serde_json::{Value, json};

use crate::audit::Failure;
use crate::flow::testing::{Gateway, fields};
use crate::flow::{End, Event, Exchange, Next};
use crate::token::testing::merge;

fn gateway(check: &str) -> Gateway {
    let document = json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/fhir"],
            "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
        }],
        "smart": {"response_check": check},
    });
    Gateway::new(&document)
}

fn patient() -> Value {
    json!({"scope": "patient/*.rs", "patient": "123"})
}

fn observation(id: &str, patient: &str) -> Value {
    let subject = json!({"reference": format!("Patient/{patient}")});
    json!({"resourceType": "Observation", "id": id, "subject": subject})
}

fn searchset(entries: &[Value]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|entry| json!({"resource": entry})).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries})
}

#[test]
fn a_resource_read_by_id_reaches_the_client_only_when_it_is_the_patients() {
    let cases = [
        (200, observation("1", "123"), 200, "allowed"),
        (200, observation("1", "456"), 403, "compartment_not_member"),
        (200, observation("1", "1234"), 403, "compartment_not_member"),
        (
            200,
            merge(observation("1", "123"), json!({"subject": null})),
            403,
            "compartment_not_member",
        ),
        (404, json!({"resourceType": "OperationOutcome"}), 403, "answer_not_found"),
        (301, observation("1", "123"), 502, "answer_status"),
        (500, json!({"resourceType": "OperationOutcome"}), 500, "allowed"),
    ];
    for (status, resource, seen, reason) in cases {
        let body = resource.to_string();
        let answered =
            gateway("enforce").answer("/fhir/Observation/1", patient(), status, body.as_bytes());
        assert_eq!((answered.status, &answered.audit["reason"]), (seen, &json!(reason)), "{body}");
        let as_it_came = answered.body == body.as_bytes();
        assert_eq!(as_it_came, reason == "allowed", "{body}");
    }
}

#[test]
fn a_server_that_ignores_the_narrowing_shows_nothing_foreign() {
    let body = searchset(&[observation("1", "123"), observation("secret", "456")]).to_string();
    let answered = gateway("enforce").answer("/fhir/Observation", patient(), 200, body.as_bytes());
    let bundle: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(bundle["entry"][0]["resource"], observation("1", "123"));
    assert_eq!(bundle["entry"][1]["resource"]["issue"][0]["code"], "suppressed");
    assert_eq!((bundle["entry"].as_array().unwrap().len(), &bundle["total"]), (2, &Value::Null));
    assert_eq!(
        (&answered.audit["removed"], &answered.audit["decision"]),
        (&json!(1), &json!("allow"))
    );
    assert!(answered.removed.contains(&"content-length") && answered.removed.contains(&"etag"));
}

#[test]
fn a_search_that_found_only_the_patients_passes_byte_for_byte() {
    let body = searchset(&[observation("1", "123"), observation("2", "123")]).to_string();
    let answered = gateway("enforce").answer("/fhir/Observation", patient(), 200, body.as_bytes());
    assert_eq!((answered.body, answered.removed.len()), (body.into_bytes(), 0));
    assert_eq!(answered.audit["removed"], Value::Null);
}

#[test]
fn a_count_of_more_than_the_scopes_show_does_not_pass_in_body_or_header() {
    let scopes = "patient/Observation.s?category=a patient/Observation.s?status=final";
    let changes = json!({"scope": scopes, "patient": "123"});
    let own = merge(observation("1", "123"), json!({"status": "final"}));
    let body = searchset(core::slice::from_ref(&own)).to_string();
    let answered =
        gateway("enforce").answer("/fhir/Observation", changes.clone(), 200, body.as_bytes());
    let shown: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!((&shown["total"], &shown["entry"][0]["resource"]), (&Value::Null, &own));
    assert!(answered.removed.contains(&"x-total-count"));
    assert_eq!(answered.audit["removed"], Value::Null, "nothing was removed");
    let uncounted = r#"{"resourceType":"Bundle","type":"searchset"}"#;
    let answered =
        gateway("enforce").answer("/fhir/Observation", changes, 200, uncounted.as_bytes());
    assert_eq!(answered.body, uncounted.as_bytes());
    assert_eq!(answered.removed, ["x-total-count"]);
}

#[test]
fn report_writes_down_what_it_would_do_and_passes_everything() {
    let foreign = observation("1", "456").to_string();
    let answered =
        gateway("report").answer("/fhir/Observation/1", patient(), 200, foreign.as_bytes());
    assert_eq!((answered.status, answered.body), (200, foreign.into_bytes()));
    assert_eq!(
        (&answered.audit["would"], &answered.audit["reason"]),
        (&json!("deny"), &json!("compartment_not_member"))
    );
    let found = searchset(&[observation("1", "456")]).to_string();
    let answered = gateway("report").answer("/fhir/Observation", patient(), 200, found.as_bytes());
    assert_eq!((answered.body, &answered.audit["removed"]), (found.into_bytes(), &json!(1)));
}

#[test]
fn off_looks_at_no_answer_and_refuses_access_by_id() {
    let foreign = searchset(&[observation("1", "456")]).to_string();
    let answered = gateway("off").answer("/fhir/Observation", patient(), 200, foreign.as_bytes());
    assert_eq!(answered.body, foreign.into_bytes());
    let sent = gateway("off").get("/fhir/Observation/1", patient());
    assert_eq!(sent.reason(), "by_id_unjudged");
}

#[test]
fn answers_to_those_who_are_not_confined_are_not_looked_at() {
    let clinician = json!({"scope": "user/*.rs", "fhirUser": "Practitioner/7"});
    let answered = gateway("enforce").answer("/fhir/Observation/1", clinician, 200, b"anything");
    assert_eq!((answered.status, answered.body), (200, b"anything".to_vec()));
}

#[test]
fn a_held_request_asks_for_something_that_can_be_judged() {
    let mut gateway = gateway("enforce");
    let bearer = gateway.bearer(patient());
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "application/json;q=0.9, */*;q=0.1"),
        ("accept-encoding", "gzip"),
        ("if-none-match", "W/\"1\""),
        ("range", "bytes=0-9"),
    ];
    let sent = gateway.send("GET", "/fhir/Observation/1?_elements=code", &headers, b"");
    assert_eq!(sent.header(":path"), Some("/fhir/Observation/1?_elements=code,subject"));
    for none in ["_elements", "_elements="] {
        let target = format!("/fhir/Observation/1?{none}");
        let sent = gateway.send("GET", &target, &headers, b"");
        assert_eq!(sent.header(":path"), Some("/fhir/Observation/1?_elements=subject"), "{none}");
    }
    assert_eq!(sent.header("accept"), Some("application/fhir+json"));
    for gone in ["accept-encoding", "if-none-match", "range"] {
        assert_eq!(sent.header(gone), None, "{gone}");
    }
    // A Patient is proven by its id, which every answer has.
    let sent = gateway.send("GET", "/fhir/Patient?_elements=name", &headers, b"");
    assert_eq!(sent.header(":path"), Some("/fhir/Patient?_elements=name&_id=123"));
    let sent = gateway.send("HEAD", "/fhir/Patient/123", &headers, b"");
    assert_eq!(sent.header("if-none-match"), Some("W/\"1\""), "not judged, not changed");
}

#[test]
fn an_answer_that_never_came_whole_is_not_recorded_as_allowed() {
    let mut gateway = gateway("enforce");
    let bearer = gateway.bearer(patient());
    let head = [
        (":method", "GET"),
        (":path", "/fhir/Observation/1"),
        (":authority", "api.clinic.example"),
        ("authorization", &bearer),
    ];
    let mut exchange = Exchange::default();
    let request = Event::RequestHead { headers: fields(&head), end_of_stream: true };
    let step = exchange.on(request, &mut gateway.worker, &gateway.caps);
    assert_eq!(step.next, Next::Continue);
    let head = [(":status", "200"), ("content-type", "application/fhir+json")];
    let head = Event::ResponseHead { headers: fields(&head), end_of_stream: false };
    let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
    assert_eq!((step.next, exchange.wants_answer_body()), (Next::Pause, true));
    let end = End { status: Some(200), failure: Some(Failure::ClientGone), ..End::default() };
    let line = exchange.end(end, &mut gateway.worker, &gateway.caps).log.concat();
    assert!(line.contains(r#""decision":"error","reason":"answer_unfinished""#), "{line}");
    assert!(!line.contains("status"), "the client saw none: {line}");
}
