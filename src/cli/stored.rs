//! The FHIR server without a server: what it has stored, as far as somebody told.

use serde_json::{Map, Value, json};

use crate::config::section::Section;
use crate::policy::Lookup;
use crate::store::{CallFailed, HttpAnswer};

/// What the FHIR server answers to `GET Type/id`: a resource, or a status alone; and to the search for
/// what a condition finds, by its target without `_count`: the resources, or a status alone. What it
/// was not told of it does not have.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored(Map<String, Value>);

impl Stored {
    /// Takes resources and statuses by `Type/id` and `Type?criteria`; a problem for each that stands at another's place.
    pub(super) fn read(
        section: &mut Section<'_>,
        name: &str,
        members: Map<String, Value>,
    ) -> Stored {
        for (key, value) in &members {
            if let Some(problem) = misplaced(key, value) {
                section.problem(
                    name,
                    problem,
                    "resources or statuses by their `Type/id`, lists of them by `Type?criteria`",
                    None,
                );
            }
        }
        Stored(members)
    }

    /// The same without a section.
    ///
    /// # Errors
    ///
    /// The first that stands at another's place.
    pub(super) fn of(members: Map<String, Value>) -> Result<Stored, String> {
        match members.iter().find_map(|(key, value)| misplaced(key, value)) {
            Some(problem) => Err(problem),
            None => Ok(Stored(members)),
        }
    }

    /// What is answered to a target, relative to the base.
    pub(super) fn answer(&self, target: &str) -> Result<HttpAnswer, CallFailed> {
        let (status, body) = match self.0.get(key(target)) {
            None if target.contains('?') => ("200".to_owned(), searchset(&[])),
            None => ("404".to_owned(), Vec::new()),
            Some(Value::Array(found)) => ("200".to_owned(), searchset(found)),
            Some(resource @ Value::Object(_)) => ("200".to_owned(), resource.to_string().into()),
            Some(status) => (status.to_string(), Vec::new()),
        };
        HttpAnswer::read(&[(b":status".to_vec(), status.into_bytes())], body)
    }

    /// What is answered to a lookup.
    pub(super) fn looked_up(&self, lookup: &Lookup) -> Result<HttpAnswer, CallFailed> {
        self.answer(&lookup.target())
    }

    /// What a lookup found, in words.
    pub(super) fn found(&self, lookup: &Lookup) -> String {
        let name = name(lookup);
        let version = |resource: &Value| {
            let version = resource.pointer("/meta/versionId").and_then(Value::as_str);
            version.map_or("without a version".to_owned(), |version| format!("version {version}"))
        };
        let found = match self.0.get(&name) {
            Some(Value::Array(found)) => match found.len() {
                1 => "1 resource, before it is judged".to_owned(),
                number => format!("{number} resources, before they are judged"),
            },
            None if matches!(lookup, Lookup::Search(_)) => "nothing".to_owned(),
            None => "there is none".to_owned(),
            Some(resource @ Value::Object(_)) => version(resource),
            Some(status) => format!("status {status}"),
        };
        format!("{name}: {found}")
    }
}

/// `Type/id`, or `Type?criteria`.
pub(super) fn name(lookup: &Lookup) -> String {
    key(&lookup.target()).to_owned()
}

/// A target without the `_count` that every search asks for.
fn key(target: &str) -> &str {
    target.rsplit_once("&_count=").map_or(target, |(key, _)| key)
}

fn searchset(found: &[Value]) -> Vec<u8> {
    let entries: Vec<Value> = found.iter().map(|resource| json!({"resource": resource})).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    bundle.to_string().into()
}

/// What is wrong with what stands at a name.
fn misplaced(name: &str, value: &Value) -> Option<String> {
    let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default();
    let is_it = match value {
        Value::Array(found) => name.contains('?') && found.iter().all(Value::is_object),
        Value::Object(_) => name == format!("{}/{}", text("resourceType"), text("id")),
        status => status.as_u64().is_some_and(|status| (100..600).contains(&status)),
    };
    (!is_it).then(|| format!("what stands at `{name}` is another resource"))
}
