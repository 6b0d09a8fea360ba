//! An explanation as text and as JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::run::Explained;
use super::stages::Stage;
use crate::cli::time;
use crate::config::Mode;

/// Writes a stage a paragraph: its verdict, then what it tells.
pub(super) fn text(explained: &Explained, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} at {}", explained.request, time::text(explained.at))?;
    for Stage { name, verdict, facts } in &explained.stages {
        let mut margin = format!("{name:10}  {:11}", verdict.word());
        for (fact, value) in facts {
            for line in lines(value) {
                writeln!(out, "{margin}  {fact}: {line}")?;
                margin = format!("{:10}  {:11}", "", "");
            }
        }
        if facts.is_empty() {
            writeln!(out, "{}", margin.trim_end())?;
        }
    }
    let decision = decision(explained);
    match (explained.allowed, explained.mode) {
        (true, _) => writeln!(out, "{decision}"),
        (false, Mode::Enforce) => writeln!(out, "{decision}: {}", explained.reason),
        (false, Mode::Observe) => {
            writeln!(out, "{decision}: {}; mode `observe` only writes that down", explained.reason)
        }
    }
}

/// The same as one object.
pub(super) fn json(explained: &Explained) -> Value {
    let stages = explained.stages.iter().map(|Stage { name, verdict, facts }| {
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let facts: Map<String, Value> = facts.collect();
        json!({"stage": name, "verdict": verdict.word(), "facts": facts})
    });
    json!({
        "request": explained.request,
        "at": time::text(explained.at),
        "stages": stages.collect::<Vec<_>>(),
        "decision": decision(explained),
        "reason": explained.reason,
        "mode": explained.mode.word(),
    })
}

fn decision(explained: &Explained) -> &'static str {
    if explained.allowed { "allowed" } else { "denied" }
}

/// The lines of a fact: a list has one for each member.
fn lines(value: &Value) -> Vec<String> {
    let line = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(list) => list.iter().map(line).collect(),
        one => vec![line(one)],
    }
}
