//! The records of one line.

use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::cli::audit::record::Text;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::audit) enum Kind {
    /// One exchange.
    Record,
    /// How many records there were.
    Checkpoint,
}

/// Hands over the text of each record of a line, and of what begins as one but is broken.
pub(super) fn records(line: &str, found: &mut dyn FnMut(Kind, &str)) {
    text(line, MAX_DEPTH, found);
}

/// Text: a record, what wraps some, or a record after something else.
fn text(text: &str, depth: usize, found: &mut dyn FnMut(Kind, &str)) {
    let text = text.trim();
    if let Some(kind) = begins(text) {
        return found(kind, text);
    }
    let Some(depth) = depth.checked_sub(1).filter(|_| text.contains(MARK)) else { return };
    let json = text.starts_with('{') || text.starts_with("[{");
    if json && wrapped(text, depth, found).is_ok() {
        return;
    }
    if let Some((kind, record)) = after_a_prefix(text) {
        found(kind, record);
    } else if json {
        found(Kind::Record, text);
    }
}

/// What JSON values hold, one or several after each other.
fn wrapped(
    text: &str,
    depth: usize,
    found: &mut dyn FnMut(Kind, &str),
) -> Result<(), serde_json::Error> {
    if text.starts_with('[') {
        return serde_json::from_str(text).and_then(|value| within(value, depth, found));
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Object<'_>>();
    loop {
        let start = objects.byte_offset();
        let Some(object) = objects.next() else { return Ok(()) };
        let json = text.get(start..objects.byte_offset()).unwrap_or_default();
        object?.visit(json, depth, found)?;
    }
}

fn within(
    value: &RawValue,
    depth: usize,
    found: &mut dyn FnMut(Kind, &str),
) -> Result<(), serde_json::Error> {
    let json = value.get();
    let Some(deeper) = depth.checked_sub(1).filter(|_| json.contains(MARK)) else { return Ok(()) };
    match json.as_bytes().first() {
        Some(b'{') => match begins(json) {
            Some(kind) => found(kind, json),
            None => serde_json::from_str::<Object<'_>>(json)?.visit(json, deeper, found)?,
        },
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            items.into_iter().try_for_each(|value| within(value, deeper, found))?;
        }
        Some(b'"') => text(&serde_json::from_str::<String>(json)?, deeper, found),
        _ => {}
    }
    Ok(())
}

impl Object<'_> {
    /// The object, which stands as `json`, when it is a record; otherwise what it carries.
    fn visit(
        self,
        json: &str,
        depth: usize,
        found: &mut dyn FnMut(Kind, &str),
    ) -> Result<(), serde_json::Error> {
        match self.kind {
            Some(kind) => {
                found(kind, json);
                Ok(())
            }
            None => self.carried.into_iter().try_for_each(|value| within(value, depth, found)),
        }
    }
}

/// An object: a record by its `schema`, or what it carries.
struct Object<'a> {
    kind: Option<Kind>,
    carried: Vec<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Object { kind: None, carried: Vec::new() };
        while let Some(name) = members.next_key::<Text<'de>>()? {
            if &*name == "schema" {
                object.kind = kind(members.next_value::<&RawValue>()?.get());
            } else if CARRIERS.contains(&&*name) {
                object.carried.push(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

/// What a value of `schema` says, in JSON.
fn kind(schema: &str) -> Option<Kind> {
    match &*serde_json::from_str::<Text<'_>>(schema).ok()? {
        "phiward.audit/1" => Some(Kind::Record),
        "phiward.audit.checkpoint/1" => Some(Kind::Checkpoint),
        _ => None,
    }
}

/// Whether a text begins as phiward writes a record.
fn begins(text: &str) -> Option<Kind> {
    let rest = text.strip_prefix(START)?;
    if rest.starts_with("/1\"") {
        return Some(Kind::Record);
    }
    rest.starts_with(".checkpoint/1\"").then_some(Kind::Checkpoint)
}

/// The record at the end of a line of a log.
fn after_a_prefix(text: &str) -> Option<(Kind, &str)> {
    let record = text.get(text.find(START)?..)?;
    Some((begins(record)?, record))
}

/// How phiward's records begin.
const START: &str = r#"{"schema":"phiward.audit"#;

/// Without this there is no record.
const MARK: &str = "phiward.audit";

/// Where what carries records has them: Fluent Bit and container runtimes (`log`), Vector and ECS
/// (`message`), Splunk HEC (`event`) and exports (`result`, `_raw`), OpenTelemetry logs, journald
/// (`MESSAGE`), CloudWatch (`@message`), Elasticsearch (`hits`, `_source`), Google Cloud
/// (`jsonPayload`, `textPayload`).
const CARRIERS: [&str; 18] = [
    "log",
    "message",
    "event",
    "record",
    "result",
    "_raw",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "body",
    "stringValue",
    "MESSAGE",
    "@message",
    "hits",
    "_source",
    "jsonPayload",
    "textPayload",
    "msg",
];

/// How deep records are wrapped, texts in texts included.
const MAX_DEPTH: usize = 12;
