use serde_json::{Value, json};

use super::*;
use crate::fhir::Release;
use crate::fhir::{Id, ResourceType};

mod answers;
mod hostile;
mod laws;

fn api() -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: vec!["https://api.example/fhir".to_owned()],
        cluster: None,
        public: Vec::new(),
        passthrough: Vec::new(),
    }
}

fn expected(form: Form) -> Expected {
    let patient = Id::parse("P").unwrap();
    let resource = ResourceType::parse(Release::R4, "Observation").unwrap();
    Expected { patient, resource, form, proving: vec!["subject"] }
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "subject": {"reference": subject}})
}

fn mine(id: &str) -> Value {
    observation(id, "Patient/P")
}

fn foreign(id: &str) -> Value {
    observation(id, "Patient/SECRET")
}

fn outcome_resource() -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]})
}

fn found(resource: &Value) -> Value {
    json!({
        "fullUrl": "https://api.example/fhir/Observation/1",
        "resource": resource,
        "search": {"mode": "match"},
    })
}

fn version(resource: &Value) -> Value {
    json!({
        "resource": resource,
        "request": {"method": "PUT", "url": "Observation/1"},
        "response": {"status": "200"},
    })
}

fn deletion(url: &str) -> Value {
    json!({"request": {"method": "DELETE", "url": url}, "response": {"status": "204"}})
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({
        "resourceType": "Bundle",
        "id": "b",
        "type": kind,
        "total": entries.len(),
        "link": [{"relation": "self", "url": "https://api.example/fhir/Observation?patient=P"}],
        "entry": entries,
    })
}

fn judged(form: Form, value: &Value) -> Verdict {
    body(&expected(form), 200, value.to_string().as_bytes(), &api())
}

fn refused(reason: &'static Reason) -> Verdict {
    Verdict::Refuse(Refusal::new(reason))
}

/// The new body and how much was removed.
#[track_caller]
fn replaced(verdict: &Verdict) -> (Value, usize) {
    let Verdict::Replace { body, removed } = verdict else { panic!("not replaced: {verdict:?}") };
    (json::parse(body).unwrap(), *removed)
}
