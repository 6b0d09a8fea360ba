//! The two messages of a poll (RFC 8936 section 2): what is acknowledged and asked for, and the answer.

use serde_json::{Map, Value, json};

use super::set::Fault;
use crate::base::json;

/// What became of the events of an answer, for the transmitter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Receipts {
    /// `jti` of those that took effect.
    pub(super) taken: Vec<String>,
    /// Those that can't be taken, and why.
    pub(super) refused: Vec<(String, Fault)>,
}

impl Receipts {
    /// As a shared value: the part of the next poll that says it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut errors = Map::new();
        for (jti, fault) in &self.refused {
            let error = json!({"err": fault.code(), "description": fault.describe()});
            errors.insert(jti.clone(), error);
        }
        json!({"ack": self.taken, "setErrs": errors}).to_string().into_bytes()
    }
}

/// The body of a poll that hands in `receipts`, as [`Receipts::encode`] wrote them. What somebody else
/// wrote there is left out: its events come again.
pub(super) fn request(receipts: Option<&[u8]>) -> Vec<u8> {
    let receipts = receipts.and_then(|text| json::parse(text).ok()).unwrap_or_default();
    let mut body = json!({"maxEvents": MAX_EVENTS, "returnImmediately": true});
    if let (Some(ack @ Value::Array(_)), Some(errors @ Value::Object(_)), Some(body)) =
        (receipts.get("ack"), receipts.get("setErrs"), body.as_object_mut())
    {
        body.insert("ack".to_owned(), ack.clone());
        body.insert("setErrs".to_owned(), errors.clone());
    }
    body.to_string().into_bytes()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Events by `jti`; one that is no text is empty here.
    pub(super) sets: Vec<(String, String)>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// Reads an answer, all or nothing.
pub(super) fn answer(body: &[u8]) -> Result<Answer, String> {
    if body.len() > MAX_BODY {
        return Err(format!("{} bytes, more than the {MAX_BODY} allowed", body.len()));
    }
    let answer = json::parse(body).map_err(|error| format!("it is not JSON: {error}"))?;
    let sets = answer.get("sets").and_then(Value::as_object).ok_or("it has no object `sets`")?;
    if sets.len() > MAX_EVENTS {
        return Err(format!("{} events, more than the {MAX_EVENTS} allowed", sets.len()));
    }
    let more = match answer.get("moreAvailable") {
        None => false,
        Some(more) => more.as_bool().ok_or("its `moreAvailable` is neither true nor false")?,
    };
    let text = |set: &Value| set.as_str().unwrap_or_default().to_owned();
    let sets = sets.iter().map(|(jti, set)| (jti.clone(), text(set))).collect();
    Ok(Answer { sets, more })
}

/// So many are asked for, and at most taken, at a time.
const MAX_EVENTS: usize = 100;

const MAX_BODY: usize = 1 << 20;
