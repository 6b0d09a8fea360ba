//! A verdict as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::findings::Finding;
use super::stream::Stream;
use super::trail::Verdict;

/// Writes a row for each stream, then one for each finding.
pub(super) fn text(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    let head = ["stream", "key", "records", "copies", "first", "newest", "checkpoint", "state"];
    let rows = verdict.streams.iter().map(|(id, stream)| row(verdict, *id, stream));
    table(&[head.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>(), out)?;
    if !verdict.findings.none() {
        writeln!(out)?;
    }
    for finding in verdict.findings.named.iter().take(MAX_SHOWN) {
        writeln!(out, "{:12}  {}", finding.kind.word(), told(finding))?;
    }
    let total = verdict.findings.total();
    if total > MAX_SHOWN as u64 {
        let counts = verdict.findings.counts.iter();
        let counts: Vec<String> =
            counts.map(|(kind, count)| format!("{} {count}", kind.word())).collect();
        writeln!(out, "… {total} in all: {}", counts.join(", "))?;
    }
    let (read, streams) = (verdict.read, verdict.streams.len());
    writeln!(out, "\n{read} records read, {streams} streams")?;
    if verdict.passed_over.others > 0 {
        writeln!(out, "{} other lines passed over", verdict.passed_over.others)?;
    }
    if verdict.passed_over.long > 0 {
        writeln!(out, "{} lines are too long and were not looked into", verdict.passed_over.long)?;
    }
    match total {
        0 => writeln!(out, "whole: every record is genuine and none is missing"),
        1 => writeln!(out, "NOT WHOLE: 1 finding"),
        some => writeln!(out, "NOT WHOLE: {some} findings"),
    }
}

/// The same as one object.
pub(super) fn json(verdict: &Verdict) -> Value {
    let streams = verdict.streams.iter().map(|(id, stream)| {
        let checkpoint = stream.checkpoints.iter().next_back();
        json!({
            "stream": format!("{id:016x}"),
            "key": verdict.ring.id(stream.key),
            "records": stream.records,
            "duplicates": stream.duplicates,
            "begins": verdict.begins.get(id),
            "first": stream.first,
            "newest": stream.newest,
            "checkpoints": stream.checkpoints.len(),
            "counted": checkpoint.map(|(count, _)| count),
            "ended": stream.end().is_some(),
            "not_compared": stream.not_compared(),
            "whole": !verdict.findings.streams.contains(id),
        })
    });
    let findings = verdict.findings.named.iter().map(|finding| {
        json!({
            "kind": finding.kind.word(),
            "meaning": finding.kind.meaning(),
            "stream": finding.records.map(|(stream, ..)| format!("{stream:016x}")),
            "from": finding.records.map(|(_, from, _)| from),
            "to": finding.records.map(|(.., to)| to),
            "place": finding.place,
            "detail": finding.detail,
        })
    });
    let counts = verdict.findings.counts.iter();
    json!({
        "whole": verdict.findings.none(),
        "records": verdict.read,
        "other_lines": verdict.passed_over.others,
        "long_lines": verdict.passed_over.long,
        "streams": streams.collect::<Vec<_>>(),
        "counts": counts.map(|(kind, n)| (kind.word(), *n)).collect::<std::collections::BTreeMap<_, _>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn row(verdict: &Verdict, id: u64, stream: &Stream) -> [String; 8] {
    let mut state =
        vec![if verdict.findings.streams.contains(&id) { "NOT WHOLE" } else { "whole" }.to_owned()];
    if let Some(first) = verdict.begins.get(&id) {
        state.push(format!("from record {first} on"));
    }
    state.push(match stream.end() {
        Some(_) => "ended".to_owned(),
        None => format!("open since {}", stream.newest),
    });
    match stream.not_compared() {
        0 => {}
        some => state.push(format!("{some} checkpoints not compared: too far out of order")),
    }
    let checkpoint = stream.checkpoints.iter().next_back();
    [
        format!("{id:016x}"),
        verdict.ring.id(stream.key).to_owned(),
        stream.records.to_string(),
        stream.duplicates.to_string(),
        stream.first.clone(),
        stream.newest.clone(),
        checkpoint.map_or_else(
            || "none".to_owned(),
            |(count, checkpoint)| format!("{count} at {}", checkpoint.time),
        ),
        state.join(", "),
    ]
}

/// Which records, where, and what about them.
fn told(finding: &Finding) -> String {
    let mut text = match finding.records {
        None => String::new(),
        Some((stream, from, to)) if from == to => format!("{stream:016x}-{from} "),
        Some((stream, from, to)) => {
            let number = to.saturating_sub(from).saturating_add(1);
            format!("{stream:016x}-{from} to {stream:016x}-{to} ({number} records) ")
        }
    };
    if let Some(place) = &finding.place {
        text.push_str(&format!("at {place} "));
    }
    text.truncate(text.trim_end().len());
    text.push_str(": ");
    text.push_str(finding.kind.meaning());
    if let Some(detail) = &finding.detail {
        text.push_str(&format!(": {detail}"));
    }
    text
}

fn table(rows: &[[String; 8]], out: &mut dyn Write) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..8).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Most findings that are shown as text; JSON has more.
const MAX_SHOWN: usize = 200;
