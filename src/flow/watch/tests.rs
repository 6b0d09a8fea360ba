//! Whose data passed, as the audit record says.

use serde_json::{Value, json};

use crate::flow::room::MAX_HELD;
use crate::flow::testing::Gateway;

fn gateway(patients: &str) -> Gateway {
    Gateway::new(&json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/fhir"],
            "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
        }],
        "audit": {"patients": patients},
    }))
}

fn system() -> Value {
    json!({"scope": "system/*.rs"})
}

fn observation(patient: &str) -> Value {
    json!({"resourceType": "Observation", "id": "1", "subject": {"reference": format!("Patient/{patient}")}})
}

fn bundle(entries: &[Value]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|entry| json!({"resource": entry})).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
}

#[test]
fn an_answer_that_nobody_confines_passes_unheld_and_names_its_patients() {
    let found = bundle(&[
        observation("b"),
        observation("a"),
        observation("a"),
        json!({"resourceType": "Patient", "id": "c"}),
        json!({"resourceType": "Practitioner", "id": "p"}),
    ]);
    let body = found.to_string();
    let mut gateway = gateway("answers");
    let answered = gateway.answer("/fhir/Observation?code=x", system(), 200, body.as_bytes());
    assert_eq!(answered.audit["patients"], json!(["a", "b", "c"]));
    assert_eq!(answered.body, body.as_bytes());
    assert!(!answered.held);
    assert_eq!(answered.audit.get("patients_unread"), None);
}

#[test]
fn what_is_asked_for_is_known_without_the_answer() {
    for (target, patients) in [
        ("/fhir/Patient/a", json!(["a"])),
        ("/fhir/Patient?_id=a,b", json!(["a", "b"])),
        ("/fhir/Observation?patient=a", json!(["a"])),
        ("/fhir/Observation?patient=Patient/a&subject=Patient/b", json!(["a", "b"])),
        ("/fhir/Observation?subject=Group/a", Value::Null),
        ("/fhir/Observation?_id=a", Value::Null),
    ] {
        let answered = gateway("request").answer(
            target,
            system(),
            200,
            observation("z").to_string().as_bytes(),
        );
        assert_eq!(answered.audit["patients"], patients, "{target}");
    }
}

#[test]
fn what_is_refused_touched_nobody() {
    let claims = json!({"scope": "patient/*.rs", "patient": "123"});
    let body = observation("456").to_string();
    let answered = gateway("answers").answer("/fhir/Observation/1", claims, 200, body.as_bytes());
    assert_eq!(answered.audit["reason"], "compartment_not_member");
    assert_eq!(answered.audit.get("patients"), None);
}

#[test]
fn the_patient_of_the_context_is_named_where_the_request_does_not() {
    let claims = json!({"scope": "patient/*.rs", "patient": "123"});
    let body = observation("123").to_string();
    let answered = gateway("request").answer("/fhir/Observation/1", claims, 200, body.as_bytes());
    assert_eq!(answered.audit["patients"], json!(["123"]));
}

#[test]
fn an_answer_that_can_not_be_read_is_said_to_be_unread_and_passes() {
    let long = bundle(&vec![observation("a"); 20_000]).to_string();
    for body in ["<Bundle/>", "{\"resourceType\":\"Patient\"", &long] {
        let answered = gateway("answers").answer("/fhir/Patient/9", system(), 200, body.as_bytes());
        assert_eq!(answered.body, body.as_bytes());
        assert_eq!(answered.audit["patients_unread"], true);
        assert_eq!(answered.audit["patients"], json!(["9"]));
    }
    let answered = gateway("answers").answer("/fhir/Patient/9", system(), 404, b"<html>");
    assert_eq!(answered.audit.get("patients_unread"), None, "an error holds nobody's data");
}

#[test]
fn more_patients_than_one_record_holds_go_on_in_further_records() {
    let many: Vec<Value> = (0..150).map(|n| observation(&format!("p{n:03}"))).collect();
    let body = bundle(&many).to_string();
    let answered =
        gateway("answers").answer("/fhir/Observation?code=x", system(), 200, body.as_bytes());
    let mut all: Vec<Value> = answered.audit["patients"].as_array().unwrap().clone();
    for more in &answered.more {
        assert_eq!(more["part_of"], answered.audit["id"]);
        all.extend(more["patients"].as_array().unwrap().clone());
    }
    let expected: Vec<Value> = (0..150).map(|n| json!(format!("p{n:03}"))).collect();
    assert_eq!(all, expected);
    assert_eq!(answered.more.len(), 2);
}

#[test]
fn each_entry_of_a_batch_has_a_record_of_its_own() {
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/a"}},
        {"request": {"method": "GET", "url": "Observation?patient=b&code=x"}},
    ]});
    let mut gateway = gateway("request");
    for (claims, decision) in
        [(system(), "allow"), (json!({"scope": "system/Observation.rs"}), "deny")]
    {
        let bearer = gateway.bearer(claims);
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/fhir+json")];
        let sent = gateway.send("POST", "/fhir", &headers, batch.to_string().as_bytes());
        assert_eq!(sent.audit["decision"], decision, "{}", sent.audit);
        let asked: Vec<&Value> = sent.more.iter().map(|entry| &entry["what"]["type"]).collect();
        assert_eq!(asked, ["Patient", "Observation"], "{decision}");
        assert!(sent.more.iter().all(|entry| entry["part_of"] == sent.audit["id"]));
        let touched = if decision == "allow" { json!(["a"]) } else { Value::Null };
        assert_eq!(sent.more[0]["patients"], touched);
    }
}

#[test]
fn an_answer_that_finds_no_room_passes_unread() {
    let mut gateway = gateway("answers");
    let mut place = None;
    gateway.worker.room.take(&mut place, MAX_HELD, MAX_HELD).unwrap();
    let body = observation("a").to_string();
    let answered = gateway.answer("/fhir/Observation?code=x", system(), 200, body.as_bytes());
    assert_eq!(answered.body, body.as_bytes());
    assert_eq!(answered.audit["patients_unread"], true);
    drop(place);
    let answered = gateway.answer("/fhir/Observation?code=x", system(), 200, body.as_bytes());
    assert_eq!(answered.audit["patients"], json!(["a"]));
}
