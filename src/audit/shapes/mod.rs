//! What a server takes: several records as the body of one request, and what its answer says of them.
//! One file each.

mod audit_events;
mod ecs;
mod ndjson;
mod otlp;
mod splunk_hec;

#[cfg(test)]
mod tests;

use crate::store::HttpAnswer;

crate::words! {
    /// The form of what is posted to a collector.
    pub enum Shape {
        /// The records, one a line.
        Ndjson = "ndjson",
        /// The same as `application/json`, which some servers want it to be called.
        Json = "json",
        /// ECS documents, one a line.
        Ecs = "ecs",
        /// Events of Splunk's HTTP Event Collector.
        SplunkHec = "splunk_hec",
        /// OpenTelemetry logs (OTLP/HTTP, JSON).
        Otlp = "otlp",
    }
}

/// What is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct Posted {
    /// `content-type`.
    pub(in crate::audit) content_type: &'static str,
    /// The body.
    pub(in crate::audit) body: Vec<u8>,
}

/// What an answer says of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Answered {
    /// The server has them.
    Taken,
    /// It may take them later.
    Later,
    /// It will never take them, or not all of them.
    Refused,
}

/// The body for these records, one a line; `None` for the shape: AuditEvents. `server`: the base URL of the
/// FHIR API.
pub(in crate::audit) fn posted(
    shape: Option<Shape>,
    lines: String,
    server: Option<&str>,
) -> Posted {
    match shape {
        Some(Shape::Ndjson) => ndjson::posted(lines, "application/x-ndjson"),
        Some(Shape::Json) => ndjson::posted(lines, "application/json"),
        Some(Shape::Ecs) => ecs::posted(&lines),
        Some(Shape::SplunkHec) => splunk_hec::posted(&lines),
        Some(Shape::Otlp) => otlp::posted(&lines),
        None => audit_events::posted(&lines, server),
    }
}

/// What this answer says. A body that can't be taken is refused for good; whatever else is wrong (a
/// password, a path, a server that is down) can be mended.
pub(in crate::audit) fn answered(shape: Option<Shape>, answer: &HttpAnswer) -> Answered {
    match answer.status {
        200..=299 => match shape {
            Some(Shape::Otlp) => otlp::answered(&answer.body),
            None => audit_events::answered(&answer.body),
            Some(Shape::Ndjson | Shape::Json | Shape::Ecs | Shape::SplunkHec) => Answered::Taken,
        },
        400 | 413 | 415 | 422 => Answered::Refused,
        _ => Answered::Later,
    }
}

/// When the request of this record came: milliseconds since 1970.
fn milliseconds(line: &str) -> Option<i64> {
    // The name of the form, before it, has no such text in it.
    let (_, from) = line.split_once("\"time\":\"")?;
    let (time, _) = from.split_once('Z')?;
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let month = time::Month::try_from(u8::try_from(number(5, 7)?).ok()?).ok()?;
    let (year, day) = (i32::try_from(number(0, 4)?).ok()?, u8::try_from(number(8, 10)?).ok()?);
    let date = time::Date::from_calendar_date(year, month, day).ok()?;
    let days = i64::from(date.to_julian_day()).checked_sub(JULIAN_1970)?;
    let minutes = days
        .checked_mul(24)?
        .checked_add(number(11, 13)?)?
        .checked_mul(60)?
        .checked_add(number(14, 16)?)?;
    let seconds = minutes.checked_mul(60)?.checked_add(number(17, 19)?)?;
    seconds.checked_mul(1000)?.checked_add(number(20, 23)?)
}

/// The Julian day of the first of January 1970.
const JULIAN_1970: i64 = 2_440_588;
