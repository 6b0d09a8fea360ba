//! One JSON object on one line, in ASCII.
//!
//! Strings from outside can't break the line: everything that is not printable ASCII is escaped
//! (`\u2028` too, which some log readers take for a line's end), and lengths are bounded.

use serde::Serialize;

use super::json::{CUT, Json};
use crate::audit::discretion::Told;
use crate::audit::event::{Decision, Event, Origin, Outcome, Parameter, What, Who};
use crate::audit::{Discretion, Failure};
use crate::base::time::Instant;
use crate::revocation::Freshness;

/// The event as one line of JSON, without the line's end. The order of the fields is that of the seal.
pub(crate) fn line(event: &Event<'_>, discretion: &Discretion) -> String {
    let done = if event.observe { Decision::Allow } else { event.decision };
    Json::line(|json| {
        json.text("schema", crate::audit::SCHEMA);
        json.text("time", &rfc3339(event.time));
        json.text("id", &event.id.text());
        json.optional("part_of", event.part_of.map(|id| id.text()).as_deref());
        json.bytes("request_id", event.request_id);
        json.text("decision", done.word());
        json.flag("observe", event.observe);
        json.optional("would", event.observe.then(|| event.decision.word()));
        json.text("reason", event.decision.code());
        if let Some(asking) = &event.who {
            json.object("who", |json| who(json, asking));
        }
        json.object("from", |json| origin(json, &event.from));
        json.object("what", |json| what(json, &event.what, discretion));
        json.object("outcome", |json| outcome(json, &event.outcome));
        json.texts("patients", event.patients.iter().copied());
        json.flag("patients_unread", event.unread);
        json.texts("scopes", event.scopes.iter().copied());
        json.texts("narrowed", event.narrowed.iter().copied());
        if let Some(removed) = event.removed {
            json.number("removed", removed);
        }
        json.optional("revocation", event.revocation.map(freshness));
    })
}

fn who(json: &mut Json, who: &Who<'_>) {
    json.text("issuer", who.issuer);
    json.optional("sub", who.subject);
    json.optional("client", who.client);
    json.optional("user", who.user);
    json.optional("organization", who.organization);
    json.texts("roles", who.roles.iter().map(String::as_str));
    json.optional("jti", who.token_id);
    json.optional("patient", who.patient);
}

fn origin(json: &mut Json, from: &Origin<'_>) {
    json.bytes("address", from.address);
    json.bytes("tls", from.tls);
}

fn what(json: &mut Json, what: &What<'_>, discretion: &Discretion) {
    json.bytes("method", what.method);
    json.optional("interaction", what.interaction);
    json.optional("type", what.resource_type);
    json.optional("id", what.id);
    json.optional("version", what.version);
    json.optional("operation", what.operation);
    json.optional("compartment", what.compartment.as_deref());
    json.optional("patient", what.patient);
    let each = |json: &mut Json, one| json.braces(|json| parameter(json, one, discretion));
    let rest = |json: &mut Json| json.braces(|json| json.text("name", CUT));
    json.list("parameters", what.parameters.iter(), each, rest);
}

fn parameter(json: &mut Json, parameter: &Parameter<'_>, discretion: &Discretion) {
    json.text("name", parameter.name);
    match discretion.of(parameter) {
        Told::Value => json.text("value", parameter.value),
        Told::Hash(hash) => json.text("hash", &hash),
        Told::Nothing => {}
    }
}

fn outcome(json: &mut Json, outcome: &Outcome) {
    if let Some(status) = outcome.status {
        json.number("status", status);
    }
    json.number("bytes", outcome.bytes);
    let microseconds = (outcome.duration.as_secs_f64() * 1_000_000.0).round();
    json.number("duration_ms", microseconds / 1000.0);
    json.optional("failure", outcome.failure.map(Failure::word));
}

/// A value as one line of JSON in ASCII, without the line's end. Empty when it can't be serialized.
pub(crate) fn ascii(value: &impl Serialize) -> String {
    let mut buffer = Vec::with_capacity(TYPICAL_BYTES);
    let text = match serde_json::to_writer(&mut buffer, value) {
        Ok(()) => String::from_utf8(buffer).unwrap_or_default(),
        Err(_) => String::new(),
    };
    // Other control characters are escaped already.
    let is_plain = text.is_ascii() && !text.as_bytes().contains(&DELETE);
    if is_plain { text } else { escaped(&text) }
}

/// Escapes everything but printable ASCII, which in compact JSON occurs in strings alone.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len().saturating_mul(2));
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ b' '..=b'~') => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    escaped
}

fn freshness(list: Freshness) -> &'static str {
    match list {
        Freshness::Fresh => "fresh",
        Freshness::StaleAllowed => "stale_allowed",
        Freshness::NoList => "no_list",
    }
}

/// RFC 3339 in UTC with milliseconds, for example `2026-10-01T08:30:00.250Z`.
pub(crate) fn rfc3339(time: Instant) -> String {
    let seconds = i64::try_from(time.seconds().0).unwrap_or_default();
    let utc = time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second) = utc.to_hms();
    let milliseconds = u16::try_from(time.nanoseconds() / 1_000_000 % 1000).unwrap_or_default();
    let mut text = String::with_capacity(24);
    push_digits(&mut text, u16::try_from(year).unwrap_or_default(), 1000, '-');
    push_digits(&mut text, u8::from(month).into(), 10, '-');
    push_digits(&mut text, day.into(), 10, 'T');
    push_digits(&mut text, hour.into(), 10, ':');
    push_digits(&mut text, minute.into(), 10, ':');
    push_digits(&mut text, second.into(), 10, '.');
    push_digits(&mut text, milliseconds, 100, 'Z');
    text
}

/// Digits from that of `place` (1000: the thousands) down, and what ends them. `format!` takes ten times
/// as long.
fn push_digits(text: &mut String, number: u16, place: u16, end: char) {
    let mut place = place;
    while let Some(above) = number.checked_div(place) {
        text.push(char::from(b'0'.saturating_add((above % 10) as u8)));
        place /= 10;
    }
    text.push(end);
}

/// The one control character that JSON does not escape.
const DELETE: u8 = 0x7f;

/// Bytes set aside for a line; most are shorter.
const TYPICAL_BYTES: usize = 1024;
