//! One JSON object on one line, in ASCII.
//!
//! Strings from outside can't break the line: everything that is not printable ASCII is escaped
//! (`\u2028` too, which some log readers take for a line's end), and lengths are bounded.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::audit::discretion::Told;
use crate::audit::event::{Decision, Event, Origin, Outcome, Parameter, What, Who};
use crate::audit::{Discretion, Failure};
use crate::base::time::Instant;
use crate::revocation::Freshness;

/// The event as one line of JSON, without the line's end.
pub(crate) fn line(event: &Event<'_>, discretion: &Discretion) -> String {
    ascii(&Line::of(event, discretion))
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

/// The record, fields in the order they are written.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    time: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Text<'a>>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    observe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<&'static str>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<WhoLine<'a>>,
    from: OriginLine<'a>,
    what: WhatLine<'a>,
    outcome: OutcomeLine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patients: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patients_unread: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    narrowed: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<&'static str>,
}

impl<'a> Line<'a> {
    fn of(event: &'a Event<'a>, discretion: &Discretion) -> Line<'a> {
        let done = if event.observe { Decision::Allow } else { event.decision };
        Line {
            schema: crate::audit::SCHEMA,
            time: rfc3339(event.time),
            id: event.id.to_string(),
            part_of: event.part_of.map(|id| id.to_string()),
            request_id: event.request_id.map(Text::bytes),
            decision: done.word(),
            observe: event.observe.then_some(true),
            would: event.observe.then_some(event.decision.word()),
            reason: event.decision.code(),
            who: event.who.as_ref().map(WhoLine::of),
            from: OriginLine::of(&event.from),
            what: WhatLine::of(&event.what, discretion),
            outcome: OutcomeLine::of(&event.outcome),
            patients: list(event.patients.iter().copied()),
            patients_unread: event.unread.then_some(true),
            scopes: list(event.scopes.iter().copied()),
            narrowed: list(event.narrowed.iter().copied()),
            removed: event.removed,
            revocation: event.revocation.map(freshness),
        }
    }
}

#[derive(Serialize)]
struct WhoLine<'a> {
    issuer: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<Text<'a>>,
}

impl<'a> WhoLine<'a> {
    fn of(who: &Who<'a>) -> WhoLine<'a> {
        WhoLine {
            issuer: Text::of(who.issuer),
            sub: who.subject.map(Text::of),
            client: who.client.map(Text::of),
            user: who.user.map(Text::of),
            organization: who.organization.map(Text::of),
            roles: list(who.roles.iter().map(String::as_str)),
            jti: who.token_id.map(Text::of),
            patient: who.patient.map(Text::of),
        }
    }
}

#[derive(Serialize)]
struct OriginLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Text<'a>>,
}

impl<'a> OriginLine<'a> {
    fn of(from: &Origin<'a>) -> OriginLine<'a> {
        OriginLine { address: from.address.map(Text::bytes), tls: from.tls.map(Text::bytes) }
    }
}

#[derive(Serialize)]
struct WhatLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction: Option<Text<'a>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    resource_type: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compartment: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<ParameterLine<'a>>,
}

impl<'a> WhatLine<'a> {
    fn of(what: &'a What<'a>, discretion: &Discretion) -> WhatLine<'a> {
        let rest = (what.parameters.len() > MAX_ITEMS).then_some(ParameterLine::CUT);
        let parameters = what.parameters.iter().take(MAX_ITEMS);
        let parameters = parameters.map(|parameter| ParameterLine::of(parameter, discretion));
        WhatLine {
            method: what.method.map(Text::bytes),
            interaction: what.interaction.map(Text::of),
            resource_type: what.resource_type.map(Text::of),
            id: what.id.map(Text::of),
            version: what.version.map(Text::of),
            operation: what.operation.map(Text::of),
            compartment: what.compartment.as_deref().map(Text::of),
            patient: what.patient.map(Text::of),
            parameters: parameters.chain(rest).collect(),
        }
    }
}

#[derive(Serialize)]
struct ParameterLine<'a> {
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl<'a> ParameterLine<'a> {
    const CUT: ParameterLine<'static> =
        ParameterLine { name: Text(Cow::Borrowed(CUT)), value: None, hash: None };

    fn of(parameter: &Parameter<'a>, discretion: &Discretion) -> ParameterLine<'a> {
        let (value, hash) = match discretion.of(parameter) {
            Told::Value => (Some(Text::of(parameter.value)), None),
            Told::Hash(hash) => (None, Some(hash)),
            Told::Nothing => (None, None),
        };
        ParameterLine { name: Text::of(parameter.name), value, hash }
    }
}

#[derive(Serialize)]
struct OutcomeLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    bytes: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
}

impl OutcomeLine {
    fn of(outcome: &Outcome) -> OutcomeLine {
        let microseconds = (outcome.duration.as_secs_f64() * 1_000_000.0).round();
        OutcomeLine {
            status: outcome.status,
            bytes: outcome.bytes,
            duration_ms: microseconds / 1000.0,
            failure: outcome.failure.map(Failure::word),
        }
    }
}

/// Text from outside, cut to [`MAX_CHARS`].
struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Text<'a> {
        let is_short = text.len() <= MAX_CHARS || text.char_indices().nth(MAX_CHARS).is_none();
        if is_short {
            return Text(Cow::Borrowed(text));
        }
        Text(text.chars().take(MAX_CHARS).chain(CUT.chars()).collect())
    }

    /// Bytes that should be UTF-8; what is not becomes U+FFFD.
    fn bytes(bytes: &'a [u8]) -> Text<'a> {
        match core::str::from_utf8(bytes) {
            Ok(text) => Text::of(text),
            Err(_) => {
                let enough = bytes.get(..MAX_CHARS.saturating_mul(4)).unwrap_or(bytes);
                Text(Text::of(&String::from_utf8_lossy(enough)).0.into_owned().into())
            }
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The first [`MAX_ITEMS`] items, and a last one that says so when there were more.
fn list<'a>(items: impl ExactSizeIterator<Item = &'a str>) -> Vec<Text<'a>> {
    let rest = (items.len() > MAX_ITEMS).then_some(CUT);
    items.take(MAX_ITEMS).chain(rest).map(Text::of).collect()
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

/// Longest string in characters; what is longer ends with [`CUT`].
const MAX_CHARS: usize = 256;

/// Most items of a list; a longer one ends with [`CUT`].
pub(crate) const MAX_ITEMS: usize = 64;

/// Stands for what was cut.
const CUT: &str = "…";

/// The one control character that JSON does not escape.
const DELETE: u8 = 0x7f;

/// Bytes set aside for a line; most are shorter.
const TYPICAL_BYTES: usize = 1024;
