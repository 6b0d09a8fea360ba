//! The FHIR server without a server: what it has stored, as far as somebody told.

use serde_json::{Map, Value};

use crate::config::section::Section;
use crate::policy::Probe;
use crate::store::{CallFailed, HttpAnswer};

/// What the FHIR server answers to `GET Type/id`: a resource, or a status alone. What it was not told
/// of it does not have.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored(Map<String, Value>);

impl Stored {
    /// Takes resources and statuses by `Type/id`; a problem for each that stands at another's place.
    pub(super) fn read(
        section: &mut Section<'_>,
        name: &str,
        members: Map<String, Value>,
    ) -> Stored {
        for (key, value) in &members {
            if let Some(problem) = misplaced(key, value) {
                section.problem(name, problem, "resources or statuses by their `Type/id`", None);
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

    /// What is answered to a path that ends in `Type/id`.
    pub(super) fn answer(&self, path: &str) -> Result<HttpAnswer, CallFailed> {
        let (status, body) = match self.0.get(end(path)) {
            None => ("404".to_owned(), Vec::new()),
            Some(resource @ Value::Object(_)) => ("200".to_owned(), resource.to_string().into()),
            Some(status) => (status.to_string(), Vec::new()),
        };
        HttpAnswer::read(&[(b":status".to_vec(), status.into_bytes())], body)
    }

    /// What is answered to a lookup.
    pub(super) fn looked_up(&self, probe: &Probe) -> Result<HttpAnswer, CallFailed> {
        self.answer(&name(probe))
    }

    /// What a lookup found, in words.
    pub(super) fn found(&self, probe: &Probe) -> String {
        let name = name(probe);
        let version = |resource: &Value| {
            let version = resource.pointer("/meta/versionId").and_then(Value::as_str);
            version.map_or("without a version".to_owned(), |version| format!("version {version}"))
        };
        let found = match self.0.get(&name) {
            None => "there is none".to_owned(),
            Some(resource @ Value::Object(_)) => version(resource),
            Some(status) => format!("status {status}"),
        };
        format!("{name}: {found}")
    }
}

/// `Type/id`
pub(super) fn name(probe: &Probe) -> String {
    format!("{}/{}", probe.resource.name(), probe.id.as_str())
}

/// The last two segments of a path.
fn end(path: &str) -> &str {
    let slash = path.rmatch_indices('/').nth(1);
    slash.and_then(|(at, slash)| path.get(at.saturating_add(slash.len())..)).unwrap_or(path)
}

/// What is wrong with what stands at a name.
fn misplaced(name: &str, value: &Value) -> Option<String> {
    let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default();
    let is_it = match value {
        Value::Object(_) => name == format!("{}/{}", text("resourceType"), text("id")),
        status => status.as_u64().is_some_and(|status| (100..600).contains(&status)),
    };
    (!is_it).then(|| format!("what stands at `{name}` is another resource"))
}
