use std::rc::Rc;

use serde_json::{Value, json};

use super::reasons::*;
use super::*;
use crate::base::refusal::Reason;
use crate::fhir::{Release, ResourceType};
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;
use crate::policy::{Form, Grants, Sight};
use crate::token::Claims;

mod answers;
mod batch;
mod forms;
mod hostile;
mod laws;
mod lines;

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

fn sight(scope: &str) -> Sight {
    let claims =
        Claims { scope: scope.to_owned(), patient: Some("P".to_owned()), ..Claims::default() };
    Sight::new(Rc::new(Grants::of(&claims, &api(), &Smart::default())))
}

fn expected(form: &Form) -> Expected {
    let sight = sight("patient/Observation.rs");
    Expected { form: form.clone(), sight, proving: vec!["subject"], counted: true, concealed: true }
}

fn named(name: &str) -> ResourceType {
    ResourceType::parse(Release::R4, name).unwrap()
}

fn read() -> Form {
    Form::Resource(named("Observation"))
}

fn history() -> Form {
    Form::History(named("Observation"))
}

fn search() -> Form {
    Form::Searchset(Some(named("Observation")))
}

/// Every form an answer can have.
fn forms() -> Vec<Form> {
    let batch = Form::Batch(vec![None, Some(expected(&read())), Some(expected(&search()))]);
    let written = Form::Written(named("Observation"));
    let any = Form::Searchset(None);
    vec![read(), history(), search(), any, Form::Collection, Form::Result, written, batch]
}

/// What becomes of this body.
fn answered(form: &Form, status: u16, text: &[u8]) -> Verdict {
    body(&expected(form), status, text, &api(), &Smart::default())
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

fn judged(form: &Form, value: &Value) -> Verdict {
    answered(form, 200, value.to_string().as_bytes())
}

fn refused(reason: &'static Reason) -> Verdict {
    Verdict::Refuse(Refusal::new(reason))
}

/// The new body and how much was removed.
#[track_caller]
fn replaced(verdict: &Verdict) -> (Value, usize) {
    let Verdict::Replace { body, removed } = verdict else { panic!("not replaced: {verdict:?}") };
    (serde_json::from_slice(body).unwrap(), *removed)
}
