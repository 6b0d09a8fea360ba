//! A record as FHIR R4 AuditEvents by IHE's Basic Audit Log Patterns (BALP) 1.1.4,
//! <https://profiles.ihe.net/ITI/BALP>.
//!
//! One event for each patient whose data was touched. The same record always gives the same events
//! with the same ids, so that sending them twice stores them once.

mod agents;
mod entities;
mod kind;
mod types;

use serde_json::{Value, json};

use self::kind::Kind;
use self::types::{Code, coding, string};
use super::tree::{End, end, list, object, text, texts};
use crate::fhir::Id;

/// A batch Bundle that stores the events of `records`. Lines that are no record of a request are
/// passed over. `server`: the base URL of the FHIR API that phiward guards.
pub(crate) fn bundle(records: &[Value], server: Option<&str>) -> Value {
    let events = records.iter().flat_map(|record| events(record, server));
    let entries: Vec<Value> = events.map(entry).collect();
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries})
}

fn entry(event: Value) -> Value {
    let url = format!("AuditEvent/{}", text(&event, "/id").unwrap_or_default());
    let request = object([("method", "PUT".into()), ("url", url.into())]);
    object([("resource", event), ("request", request)])
}

/// The events of a record: one for each patient it touched, or a single one without a patient.
pub(crate) fn events(record: &Value, server: Option<&str>) -> Vec<Value> {
    if text(record, "/schema") != Some(crate::audit::SCHEMA) {
        return Vec::new();
    }
    let event = Event { record, kind: Kind::of(record), server };
    let mut patients: Vec<Option<&str>> = texts(record, "/patients").map(Some).collect();
    if patients.is_empty() {
        // A request names its patient, or is confined to the token's.
        let named = text(record, "/what/patient");
        patients.push(named.or_else(|| text(record, "/who/patient")));
    }
    let numbered = patients.into_iter().enumerate();
    numbered.map(|(number, patient)| event.of_patient(number, patient)).collect()
}

/// What the events of a record have in common.
struct Event<'a> {
    record: &'a Value,
    kind: &'static Kind,
    server: Option<&'a str>,
}

impl Event<'_> {
    fn of_patient(&self, number: usize, patient: Option<&str>) -> Value {
        let decided = self.is_authorization_decision();
        let action = if decided { "E" } else { self.kind.action };
        object([
            ("resourceType", "AuditEvent".into()),
            ("id", self.id(number).into()),
            ("meta", object([("profile", self.profiles(patient.is_some()))])),
            ("type", if decided { SECURITY_ALERT.value() } else { REST.value() }),
            ("subtype", self.subtypes(decided)),
            ("action", action.into()),
            ("recorded", self.text("/time").into()),
            ("outcome", self.outcome().into()),
            ("outcomeDesc", self.outcome_text()),
            ("agent", agents::agents(self, decided)),
            (
                "source",
                object([("observer", observer(self.record)), ("type", list([SOURCE.value()]))]),
            ),
            ("entity", entities::entities(self, patient)),
        ])
    }

    /// The record's id and the patient's place in it: a patient's id in it would stand in access logs.
    fn id(&self, number: usize) -> String {
        let id = self.text("/id").unwrap_or_default();
        let valid = Id::parse(id).map_or("unnumbered", |_| id);
        format!("{valid}-{number}")
    }

    /// The profiles it conforms to. Those of the interactions are for successes only.
    fn profiles(&self, of_patient: bool) -> Value {
        let patient = if of_patient { "Patient" } else { "" };
        let done = end(self.record) == End::Success;
        let interaction = self.kind.profile.filter(|_| done);
        let names = [
            interaction.map(|name| format!("{PROFILES}{patient}{name}")),
            agents::profile(self.record)
                .map(|name| format!("{PROFILES}OAUTHaccessTokenUse.{name}")),
        ];
        list(names.map(Value::from))
    }

    /// Whether scopes or the patient context decided against a request: BALP has events of their
    /// own for authorization decisions.
    fn is_authorization_decision(&self) -> bool {
        let status = self.record.pointer("/outcome/status").and_then(Value::as_u64);
        self.text("/decision") == Some("deny") && status == Some(403)
    }

    fn subtypes(&self, decided: bool) -> Value {
        let role = if decided { AUTHZ_ROLE.value() } else { Value::Null };
        let interaction = self.text("/what/interaction").filter(|code| kind::is_code(code));
        let interaction = interaction.map(|code| coding(INTERACTIONS, code, ""));
        list([role, interaction.unwrap_or_default()])
    }

    fn outcome(&self) -> &'static str {
        match end(self.record) {
            End::Success => "0",
            End::Refused => "4",
            End::Failed => "8",
        }
    }

    /// The reason's code; of a request that was allowed and failed, what went wrong.
    fn outcome_text(&self) -> Value {
        let reason = self.text("/reason").filter(|reason| *reason != crate::audit::ALLOWED);
        let status = self.record.pointer("/outcome/status").and_then(Value::as_u64);
        match (reason, self.text("/outcome/failure")) {
            (Some(reason), _) if self.record.get("observe").is_some() => {
                string(&format!("observed only: {reason}"))
            }
            (Some(said), _) | (None, Some(said)) => string(said),
            (None, None) if end(self.record) == End::Success => Value::Null,
            (None, None) => status.map_or(Value::Null, |status| format!("status {status}").into()),
        }
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        text(self.record, pointer)
    }
}

/// phiward, as the one who saw the event; its identifier is the filter instance.
fn observer(record: &Value) -> Value {
    let instance =
        text(record, "/id").and_then(|id| id.split_once('-')).map(|(instance, _)| instance);
    let identifier = object([("value", string(instance.unwrap_or_default()))]);
    object([("type", "Device".into()), ("identifier", identifier), ("display", "phiward".into())])
}

const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const INTERACTIONS: &str = "http://hl7.org/fhir/restful-interaction";

const REST: Code = Code {
    system: "http://terminology.hl7.org/CodeSystem/audit-event-type",
    code: "rest",
    display: "Restful Operation",
};
const SECURITY_ALERT: Code = Code { system: types::DCM, code: "110113", display: "Security Alert" };
const AUTHZ_ROLE: Code = Code {
    system: "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType",
    code: "AuthZ-Role",
    display: "Authorization Decision using only Roles",
};
const SOURCE: Code = Code {
    system: "http://terminology.hl7.org/CodeSystem/security-source-type",
    code: "6",
    display: "Security Server",
};

#[cfg(test)]
mod tests;
