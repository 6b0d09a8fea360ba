//! The report as text with aligned columns. What comes from outside can't reach the terminal as a command.

use std::io::{self, Write};

use super::accesses::done;
use super::view::{List, Named, Report, Row};
use super::words::{plural, share, thousands, visible, width};

/// Writes all of it.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    summary(report, out)?;
    chain(report, out)?;
    refusals(report, out)?;
    named("Failed on their way", "failure", &report.failures, out)?;
    lists(report, out)?;
    exports(report, out)?;
    accesses(report, out)
}

fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let input = &report.input;
    let mut rows = vec![("records", thousands(input.records))];
    for (name, count) in [
        ("repeats", input.repeats),
        ("checkpoints", input.checkpoints),
        ("broken records", input.broken),
        ("lines too long to read", input.long),
        ("lines without a record", input.others),
    ] {
        rows.extend((count > 0).then(|| (name, thousands(count))));
    }
    let conditions = report.filter.conditions();
    if !conditions.is_empty() {
        let words = conditions.iter().map(|(name, value)| format!("{name} {value}"));
        let words = words.collect::<Vec<_>>().join(", ");
        rows.push(("of these", format!("{} with {words}", thousands(report.taken))));
    }
    if let Some(period) = &report.period {
        rows.push(("period", format!("{} to {}", period.first, period.last)));
    }
    rows.push(("requests", decisions(&report.requests)));
    if report.requests.observed > 0 {
        let text =
            format!("{} only observed, otherwise refused", thousands(report.requests.observed));
        rows.push(("", text));
    }
    if report.batches > 0 || report.parts.total > 0 {
        let batches =
            format!("{} with {} of parts", thousands(report.batches), decisions(&report.parts));
        rows.push(("batches", batches));
    }
    if report.patients_unread > 0 {
        let answers = plural(report.patients_unread, "answer");
        rows.push(("", format!("{answers} could not be read for the patients in them")));
    }
    rows.iter().try_for_each(|(name, value)| writeln!(out, "{name:<24}{}", visible(value)))
}

fn decisions(counted: &super::view::Counted) -> String {
    let part = |name: &str, count: u64| match count {
        0 => String::new(),
        count => format!(", {} {name} ({})", thousands(count), share(count, counted.total)),
    };
    let (denied, failed) = (part("denied", counted.deny), part("not decided", counted.error));
    format!("{}: {} allowed{denied}{failed}", thousands(counted.total), thousands(counted.allow))
}

fn chain(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let chain = &report.chain;
    let streams = plural(chain.streams, "instance");
    match chain.breaks {
        0 => writeln!(out, "{:<24}no record of {streams} is missing", "chain")?,
        breaks => {
            let (missing, places) = (plural(chain.missing, "record"), plural(breaks, "place"));
            writeln!(out, "{:<24}BROKEN: {missing} missing in {places}, of {streams}", "chain")?;
        }
    }
    if chain.begun_before > 0 {
        let begun = plural(chain.begun_before, "instance");
        writeln!(out, "{:<24}{begun} began before what was read", "")?;
    }
    if chain.unchecked > 0 {
        let unchecked = plural(chain.unchecked, "record");
        writeln!(out, "{:<24}{unchecked} could not be told from repeats", "")?;
    }
    let rows = chain.gaps.iter().map(|gap| {
        let tail = if gap.tail { "nothing: counted by a checkpoint" } else { "" };
        let counts = format!("{}-{}", gap.first, gap.last);
        vec![
            gap.stream.clone(),
            counts,
            thousands(gap.records),
            gap.after.clone(),
            gap.before.clone(),
            tail.into(),
        ]
    });
    let head = ["instance", "counts", ">records", "after", "before", "behind"];
    section("Missing records", &head, rows, chain.breaks, out)
}

fn refusals(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    named("Refused", "reason", &report.refusals, out)?;
    let series = &report.refusals_over_time;
    let mut head = vec!["from".to_owned()];
    head.extend(series.names.iter().map(|name| format!(">{name}")));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let some = series.buckets.iter().filter(|bucket| bucket.counts.iter().any(|count| *count > 0));
    let rows = some.map(|bucket| {
        let counts = bucket.counts.iter().map(|count| match count {
            0 => String::new(),
            count => thousands(*count),
        });
        std::iter::once(bucket.time.clone()).chain(counts).collect()
    });
    let title = format!("Refused over time, in steps of {}", width(series.bucket_seconds));
    section(&title, &head, rows, 0, out)
}

fn named(title: &str, kind: &str, names: &[Named], out: &mut dyn Write) -> io::Result<()> {
    let rows = names.iter().map(|named| vec![named.name.clone(), thousands(named.count)]);
    section(title, &[kind, ">requests"], rows, 0, out)
}

fn lists(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let issuers = report.several_issuers();
    list("Patients", "patient", &report.patients, false, out)?;
    if let Some(refused) = report.patients.only_refused.filter(|refused| *refused > 0) {
        let patients = plural(refused, "patient");
        writeln!(out, "  {patients} only in refused records")?;
    }
    list("Users", "user", &report.users, issuers, out)?;
    list("Clients", "client", &report.clients, issuers, out)?;
    list("Tokens", "token", &report.tokens, issuers, out)?;
    if report.tokens.complete {
        return Ok(());
    }
    let title = "Tokens with the most patients";
    list(title, "token", &report.wide_tokens, issuers, out)
}

fn list(
    title: &str,
    kind: &str,
    list: &List,
    issuers: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let least = if list.exact { "" } else { "at least " };
    let with_patients = list.rows.iter().any(|row| row.patients.is_some());
    let records = format!(">{least}records");
    let mut head = vec![kind, &records, ">refused"];
    head.extend(with_patients.then_some(">patients"));
    head.extend(["first", "last"]);
    head.extend(issuers.then_some("issuer"));
    let rows = list.rows.iter().map(|row| {
        let mut cells = vec![row.name.clone(), thousands(row.records), thousands(row.refused)];
        cells.extend(with_patients.then(|| patients(row)));
        cells.extend([row.first.clone(), row.last.clone()]);
        cells.extend(issuers.then(|| row.issuer.clone().unwrap_or_default()));
        cells
    });
    section(title, &head, rows, list.distinct, out)
}

/// How many patients, with a sign when it is an estimate.
fn patients(row: &Row) -> String {
    let sign = if row.patients_estimated.is_some() { "~" } else { "" };
    format!("{sign}{}", thousands(row.patients.unwrap_or_default()))
}

fn exports(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let head = [
        "client",
        "user",
        "token",
        "request",
        ">requests",
        ">refused",
        "statuses",
        ">bytes",
        "first",
        "last",
    ];
    let rows = report.exports.iter().map(|export| {
        let statuses = export.statuses.iter().map(|(status, count)| format!("{status} x{count}"));
        let mut cells: Vec<String> = [&export.client, &export.user, &export.token, &export.request]
            .map(String::clone)
            .to_vec();
        cells.extend([thousands(export.requests), thousands(export.refused)]);
        cells.push(statuses.collect::<Vec<_>>().join(" "));
        cells.extend([thousands(export.bytes), export.first.clone(), export.last.clone()]);
        cells
    });
    section("Exports", &head, rows, 0, out)?;
    match report.exports_left_out {
        0 => Ok(()),
        more => writeln!(out, "… and {} more", plural(more, "request")),
    }
}

fn accesses(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Some(accesses) = &report.accesses else { return Ok(()) };
    let head =
        ["time", "decision", ">status", "user", "client", "token", "what", "patients", "reason"];
    let rows = accesses.iter().map(|access| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            access.time.clone(),
            access.decision.word().to_owned(),
            access.status.map(|status| status.to_string()).unwrap_or_default(),
            text(&access.user),
            text(&access.client),
            text(&access.token),
            done(access),
            access.patients.join(" "),
            access.reason.clone(),
        ]
    });
    let all = (accesses.len() as u64).saturating_add(report.accesses_left_out);
    section("Accesses", &head, rows, all, out)
}

/// A titled table in which everything is visible, unless it has no row. A column whose head begins with `>` is aligned to the right;
/// when there are more than the rows, that is said.
fn section(
    title: &str,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    all: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    let names = head.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
    let shown = |cells: Vec<String>| cells.iter().map(|cell| visible(cell).into_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(names).chain(rows).map(shown).collect();
    let length = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(length).collect();
    writeln!(out, "\n{title}\n")?;
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(head).map(|((cell, &width), name)| {
            if name.starts_with('>') {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    let shown = lines.len().saturating_sub(1) as u64;
    if all > shown {
        writeln!(out, "  … {} of {}", thousands(shown), thousands(all))
    } else {
        Ok(())
    }
}
