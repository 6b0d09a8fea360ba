//! What is told one by one: accesses, exports, missing records, files.

use super::markup::{Cell, Html};
use crate::cli::audit::report::accesses::{Access, done};
use crate::cli::audit::report::exports::Export;
use crate::cli::audit::report::view::Report;
use crate::cli::audit::report::words::{plural, thousands};

/// Each access, when the report is about somebody.
pub(super) fn accesses(report: &Report, page: &mut Html) {
    let Some(accesses) = report.accesses.as_ref().filter(|accesses| !accesses.is_empty()) else {
        return;
    };
    let note = match report.accesses_left_out {
        0 => format!("all {}", thousands(accesses.len() as u64)),
        more => format!(
            "the first {} that were read; {} more",
            thousands(accesses.len() as u64),
            thousands(more)
        ),
    };
    page.heading("Accesses", &note);
    // Whoever asked for a token knows it.
    let token = report.filter.token.is_none();
    let mut head = vec!["Time (UTC)", "Decision", "Status", "User", "Client"];
    head.extend(token.then_some("Token"));
    head.extend(["What", "Patients", "Reason"]);
    let texts: Vec<_> = accesses.iter().map(|access| (access, Texts::of(access))).collect();
    page.table(&head, texts.iter().map(|(access, texts)| texts.cells(access, token)));
}

struct Texts {
    what: String,
    patients: String,
    status: String,
}

impl Texts {
    fn of(access: &Access) -> Texts {
        let status = access.status.map(|status| status.to_string()).unwrap_or_default();
        Texts { what: done(access), patients: access.patients.join(" "), status }
    }

    fn cells<'a>(&'a self, access: &'a Access, token: bool) -> Vec<Cell<'a>> {
        let code = |text: &'a Option<String>| Cell::Code(text.as_deref().unwrap_or_default());
        let reason = if access.reason == crate::audit::ALLOWED { "" } else { &access.reason };
        let mut cells = vec![
            Cell::Time(&access.time),
            Cell::Decision(access.decision.word()),
            Cell::Text(&self.status),
            code(&access.user),
            code(&access.client),
        ];
        cells.extend(token.then(|| code(&access.token)));
        cells.extend([Cell::Text(&self.what), Cell::Code(&self.patients), Cell::Code(reason)]);
        cells
    }
}

/// Who exported what.
pub(super) fn exports(report: &Report, page: &mut Html) {
    if report.exports.is_empty() {
        return;
    }
    let note = match report.exports_left_out {
        0 => "kick-off, status and files, those of one token for the same joined".to_owned(),
        more => format!("without {} there was no room for", plural(more, "request")),
    };
    page.heading("Exports", &note);
    let head = [
        "Client",
        "User",
        "Token",
        "Request",
        ">Requests",
        ">Refused",
        "Statuses",
        ">Bytes",
        ">Removed lines",
        "First (UTC)",
        "Last",
    ];
    let texts: Vec<_> = report.exports.iter().map(|export| (export, statuses(export))).collect();
    let rows = texts.iter().map(|(export, statuses)| {
        vec![
            Cell::Code(&export.client),
            Cell::Code(&export.user),
            Cell::Code(&export.token),
            Cell::Text(&export.request),
            Cell::Number(export.requests),
            Cell::Number(export.refused),
            Cell::Text(statuses),
            Cell::Number(export.bytes),
            Cell::Number(export.removed),
            Cell::Time(&export.first),
            Cell::Time(&export.last),
        ]
    });
    page.table(&head, rows);
}

fn statuses(export: &Export) -> String {
    let each =
        export.statuses.iter().map(|(status, count)| format!("{status} × {}", thousands(*count)));
    each.collect::<Vec<_>>().join(", ")
}

/// Where records are missing.
pub(super) fn missing(report: &Report, page: &mut Html) {
    let chain = &report.chain;
    if chain.gaps.is_empty() {
        return;
    }
    page.raw("<div id=\"missing\"></div>\n");
    let shown = chain.gaps.len() as u64;
    let note = if shown == chain.breaks {
        "all".to_owned()
    } else {
        format!("the first {} places", thousands(shown))
    };
    page.heading("Missing records", &note);
    let head = ["Instance", ">First count", ">Last count", ">Records", "After (UTC)", "Before", ""];
    let rows = chain.gaps.iter().map(|gap| {
        let tail = if gap.tail { "at the end: counted by a checkpoint" } else { "" };
        vec![
            Cell::Code(&gap.stream),
            Cell::Number(gap.first),
            Cell::Number(gap.last),
            Cell::Number(gap.records),
            Cell::Time(&gap.after),
            Cell::Time(&gap.before),
            Cell::Text(tail),
        ]
    });
    page.table(&head, rows);
}

/// What was read, and what of it could not be.
pub(super) fn input(report: &Report, page: &mut Html) {
    let input = &report.input;
    page.heading("What was read", "");
    page.raw("<div class=\"narrow\">");
    let rows = [
        ("Records", input.records),
        ("Repeats of them, not counted again", input.repeats),
        ("Checkpoints", input.checkpoints),
        ("Broken records", input.broken),
        ("Lines without a record", input.others),
        ("Lines too long to look into", input.long),
        ("Lines", input.lines),
        ("Bytes", input.bytes),
    ];
    page.table(
        &["", ">"],
        rows.into_iter().map(|(name, count)| vec![Cell::Text(name), Cell::Number(count)]),
    );
    page.raw("</div>\n");
    broken(report, page);
    page.raw("<p class=\"files\">From ");
    for (place, file) in input.files.iter().enumerate() {
        page.raw(if place == 0 { "<code>" } else { ", <code>" }).text(file).raw("</code>");
    }
    page.raw(". This page holds what the records hold: keep it as confidential as they are.</p>\n");
}

fn broken(report: &Report, page: &mut Html) {
    let broken = &report.input.broken_first;
    if !broken.is_empty() {
        let rows = broken.iter();
        let rows = rows.map(|broken| vec![Cell::Code(&broken.place), Cell::Text(&broken.problem)]);
        page.table(&["Broken record", "Problem"], rows);
    }
}
