//! What it was about: the request's id, the resource or the query, the patient, the record itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Event;
use super::types::{Code, encoded, identified, reference, string};
use crate::audit::formats::tree::{is_empty, list, object, text};

/// The entities of an event about `patient`.
pub(super) fn entities(event: &Event<'_>, patient: Option<&str>) -> Value {
    let record = event.record;
    list([
        transaction(record),
        if event.kind.has_data { data(record) } else { query(record) },
        patient.map_or(Value::Null, about),
        origin(record),
    ])
}

fn transaction(record: &Value) -> Value {
    let Some(id) = text(record, "/request_id") else { return Value::Null };
    object([("what", identified(None, id)), ("type", REQUEST_ID.value())])
}

/// The resource. One that has no id yet, or is found by criteria, is told by its request.
fn data(record: &Value) -> Value {
    let kind = text(record, "/what/type").unwrap_or_default();
    let id = text(record, "/what/id").unwrap_or_default();
    let what = reference(kind, id, text(record, "/what/version"))
        .unwrap_or_else(|| object([("display", request(record).into())]));
    object([("what", what), ("type", SYSTEM_OBJECT.value()), ("role", DOMAIN_RESOURCE.value())])
}

/// The request, twice as BALP has it: encoded, and to be read.
fn query(record: &Value) -> Value {
    if record.get("what").is_none_or(is_empty) {
        return Value::Null;
    }
    let request = request(record);
    object([
        ("type", SYSTEM_OBJECT.value()),
        ("role", QUERY.value()),
        ("query", STANDARD.encode(&request).into()),
        ("description", request.into()),
    ])
}

fn about(patient: &str) -> Value {
    let what = reference("Patient", patient, None).unwrap_or_else(|| identified(None, patient));
    object([("what", what), ("type", PERSON.value()), ("role", PATIENT.value())])
}

/// The record that the event was made of, with what AuditEvents have no element for.
fn origin(record: &Value) -> Value {
    let details = DETAILS.map(|name| {
        let value = record.get(name).map_or(Value::Null, |value| string(&joined(value)));
        let named = if is_empty(&value) { Value::Null } else { name.into() };
        object([("type", named), ("valueString", value)])
    });
    object([
        ("what", identified(None, text(record, "/id").unwrap_or_default())),
        ("type", OTHER.value()),
        ("name", "phiward audit record".into()),
        ("detail", list(details)),
    ])
}

/// A value as one text: the items of a list with spaces between them.
fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(joined).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The request line as far as the record knows it, in printable ASCII: of parameters whose values
/// are not shown there is the name.
fn request(record: &Value) -> String {
    let method = text(record, "/what/method").unwrap_or_default();
    let part = |pointer| text(record, pointer).map(|part| encoded(part).to_string());
    let is_history = text(record, "/what/interaction")
        .is_some_and(|code| code.starts_with("history") || code == "vread");
    let history = is_history.then(|| "_history".to_owned());
    let [compartment, kind, id, version, operation] = PATH.map(part);
    let path = [compartment, kind, id, history, version, operation].into_iter().flatten();
    let parameters = record.pointer("/what/parameters").and_then(Value::as_array);
    let parameters = parameters.into_iter().flatten().map(|parameter| {
        let name = encoded(text(parameter, "/name").unwrap_or_default());
        match text(parameter, "/value") {
            Some(value) => format!("{name}={}", encoded(value)),
            None => name.to_string(),
        }
    });
    let query = parameters.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    let path = path.collect::<Vec<_>>().join("/");
    format!("{} /{path}{mark}{query}", encoded(method)).trim_start().to_owned()
}

/// The parts of a path in order.
const PATH: [&str; 5] =
    ["/what/compartment", "/what/type", "/what/id", "/what/version", "/what/operation"];

/// Fields of the record that go along as texts.
const DETAILS: [&str; 7] =
    ["part_of", "would", "scopes", "narrowed", "removed", "revocation", "decision"];

const ENTITIES: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLES: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const PERSON: Code = Code { system: ENTITIES, code: "1", display: "Person" };
const SYSTEM_OBJECT: Code = Code { system: ENTITIES, code: "2", display: "System Object" };
const OTHER: Code = Code { system: ENTITIES, code: "4", display: "Other" };
const PATIENT: Code = Code { system: ROLES, code: "1", display: "Patient" };
const DOMAIN_RESOURCE: Code = Code { system: ROLES, code: "4", display: "Domain Resource" };
const QUERY: Code = Code { system: ROLES, code: "24", display: "Query" };
const REQUEST_ID: Code = Code {
    system: "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
    code: "XrequestId",
    display: "transport specific unique identifier where http X-Request-Id is used",
};
