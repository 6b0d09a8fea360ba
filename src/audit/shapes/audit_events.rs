//! AuditEvents in a batch, each put under an id of its own: one that is sent twice is there once.

use serde_json::Value;

use super::{Answered, Posted};
use crate::audit::formats::fhir;
use crate::base::json;

pub(super) fn posted(lines: &str, server: Option<&str>) -> Posted {
    let records: Vec<Value> =
        lines.lines().filter_map(|line| json::parse(line.as_bytes()).ok()).collect();
    let body = fhir::bundle(&records, server).to_string().into_bytes();
    Posted { content_type: "application/fhir+json", body }
}

/// Every entry of a batch has a status of its own. One that may be taken later is sent again with the
/// others, which changes nothing for them.
pub(super) fn answered(body: &[u8]) -> Answered {
    let answer = json::parse(body).unwrap_or_default();
    let Some(entries) = answer.get("entry").and_then(Value::as_array) else {
        return Answered::Later;
    };
    let statuses = entries.iter().map(|entry| {
        let status = entry.get("response")?.get("status")?.as_str()?;
        status.get(..3)?.parse::<u16>().ok()
    });
    let mut all = Answered::Taken;
    for status in statuses {
        match status {
            Some(200..=299) => (),
            Some(400 | 413 | 415 | 422) => all = Answered::Refused,
            _ => return Answered::Later,
        }
    }
    all
}
