//! A record as a document of the Elastic Common Schema 8.11.
//!
//! What the schema has a field for moves there. Everything else keeps its path below `phiward`, so
//! that a field the record gains is in the document too.

use serde_json::{Map, Value};

use super::tree::{End, end, list, peer, put, take, text};

/// The document of a record or of any other line of the audit trail.
pub(crate) fn document(record: &Value) -> Value {
    let mut rest = record.as_object().cloned().unwrap_or_default();
    let mut document = Map::new();
    for (from, to) in MOVED {
        put(&mut document, to, take(&mut rest, from).unwrap_or_default());
    }
    for (name, value) in FIXED {
        put(&mut document, name, Value::from(value));
    }
    if record.get("decision").is_some() {
        request(&mut document, &mut rest, record);
    } else {
        put(&mut document, "event.kind", Value::from("state"));
    }
    put(&mut document, "phiward", Value::Object(rest));
    Value::Object(document)
}

/// What is derived from the record of a request.
fn request(document: &mut Map<String, Value>, rest: &mut Map<String, Value>, record: &Value) {
    let outcome = if end(record) == End::Success { "success" } else { "failure" };
    let decided = if text(record, "/decision") == Some("allow") { "allowed" } else { "denied" };
    put(document, "event.kind", Value::from("event"));
    put(document, "event.category", list([Value::from("api")]));
    put(document, "event.type", list([Value::from(kind(record)), Value::from(decided)]));
    put(document, "event.outcome", Value::from(outcome));
    let duration = take(rest, "outcome.duration_ms").as_ref().and_then(nanoseconds);
    put(document, "event.duration", Value::from(duration));

    put(document, "user.name", Value::from(text(record, "/who/sub")));
    let users = [text(record, "/who/sub"), text(record, "/who/user")];
    put(document, "related.user", list(users.map(Value::from)));
    if let Some(peer) = peer(record) {
        let address = Value::from(peer.ip().to_string());
        for side in ["client", "source"] {
            put(document, &format!("{side}.ip"), address.clone());
            put(document, &format!("{side}.port"), Value::from(peer.port()));
        }
        put(document, "related.ip", list([address]));
    }
    if let Some(version) = text(record, "/from/tls").and_then(|tls| tls.strip_prefix("TLSv")) {
        put(document, "tls.version", Value::from(version));
        put(document, "tls.version_protocol", Value::from("tls"));
    }
}

/// What the interaction does, in the words of `event.type`.
fn kind(record: &Value) -> &'static str {
    match text(record, "/what/interaction") {
        Some("create") => "creation",
        Some("update" | "patch") => "change",
        Some("delete") => "deletion",
        _ => "access",
    }
}

/// Whole nanoseconds of milliseconds with a fraction.
fn nanoseconds(milliseconds: &Value) -> Option<u64> {
    let duration = milliseconds.as_f64().map(|number| number / 1000.0)?;
    let duration = core::time::Duration::try_from_secs_f64(duration).ok()?;
    // The record has microseconds; the fraction of a float must not add to them.
    let microseconds = duration.saturating_add(core::time::Duration::from_nanos(500)).as_micros();
    u64::try_from(microseconds).ok()?.checked_mul(1000)
}

/// Fields of the record that the schema has a field for.
const MOVED: [(&str, &str); 13] = [
    ("time", "@timestamp"),
    ("id", "event.id"),
    ("reason", "event.reason"),
    ("request_id", "http.request.id"),
    ("who.sub", "user.id"),
    ("who.issuer", "user.domain"),
    ("who.roles", "user.roles"),
    ("who.organization", "organization.id"),
    ("from.address", "source.address"),
    ("what.method", "http.request.method"),
    ("what.interaction", "event.action"),
    ("outcome.status", "http.response.status_code"),
    ("outcome.bytes", "http.response.body.bytes"),
];

/// What is the same in every document.
const FIXED: [(&str, &str); 6] = [
    ("ecs.version", "8.11.0"),
    ("event.module", "phiward"),
    ("event.dataset", "phiward.audit"),
    ("event.provider", "phiward"),
    ("observer.product", "phiward"),
    ("observer.type", "proxy"),
];

#[cfg(test)]
mod tests;
