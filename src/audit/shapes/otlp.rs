//! OpenTelemetry logs as OTLP/HTTP has them in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>): the record is the body of a log record, as text, so that it
//! arrives as it was sealed.

use serde_json::{Value, json};

use super::{Answered, Posted};
use crate::base::json;

pub(super) fn posted(lines: &str) -> Posted {
    let records: Vec<Value> = lines.lines().map(log_record).collect();
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [attribute("service.name", "phiward")]},
        "scopeLogs": [{"scope": {"name": "phiward.audit"}, "logRecords": records}],
    }]});
    Posted { content_type: "application/json", body: body.to_string().into_bytes() }
}

/// Some records may be refused although the status says that all is well (`partialSuccess`).
pub(super) fn answered(body: &[u8]) -> Answered {
    let refused = json::parse(body).ok().and_then(|answer| {
        let rejected = answer.get("partialSuccess")?.get("rejectedLogRecords")?.clone();
        rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok())
    });
    match refused {
        Some(1..) => Answered::Refused,
        _ => Answered::Taken,
    }
}

fn log_record(line: &str) -> Value {
    let record = json::parse(line.as_bytes()).unwrap_or_default();
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let (severity, number) = match text("decision") {
        "error" => ("ERROR", 17),
        "deny" => ("WARN", 13),
        _ => ("INFO", 9),
    };
    let attributes: Vec<Value> = ["id", "decision", "reason", "request_id"]
        .iter()
        .filter(|name| !text(name).is_empty())
        .map(|name| attribute(&format!("phiward.{name}"), text(name)))
        .collect();
    let mut log = json!({
        "severityText": severity,
        "severityNumber": number,
        "body": {"stringValue": line},
        "attributes": attributes,
    });
    if let (Some(time), Some(log)) = (super::milliseconds(line), log.as_object_mut()) {
        // As text: JSON numbers are too short for it.
        let nanoseconds = time.saturating_mul(1_000_000).to_string();
        log.insert("timeUnixNano".to_owned(), Value::from(nanoseconds));
    }
    log
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}
