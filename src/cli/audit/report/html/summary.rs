//! The top of the page: what the report is about, and the figures that matter.

use super::lists;
use super::markup::Html;
use crate::cli::audit::report::view::{List, Report};
use crate::cli::audit::report::words::{plural, readable, share, thousands};

/// Title, filter, chain, figures.
pub(super) fn write(report: &Report, page: &mut Html) {
    title(report, page);
    chain(report, page);
    warnings(report, page);
    figures(report, page);
}

fn title(report: &Report, page: &mut Html) {
    page.raw("<header>\n<p class=\"mark\">phiward</p>\n<h1>Audit report</h1>\n<p>");
    match &report.period {
        Some(period) => page
            .raw("<time>")
            .text(&readable(&period.first))
            .raw("</time> to <time>")
            .text(&readable(&period.last))
            .raw("</time> UTC"),
        None => page.text("No record matches"),
    };
    page.raw(" · ").text(&plural(report.taken, "record"));
    page.raw(" · made ").text(&readable(&report.made)).raw(" UTC</p>\n");
    let conditions = report.filter.conditions();
    if !conditions.is_empty() {
        page.raw("<p class=\"filter\">Only records with");
        for (name, value) in conditions {
            page.raw(" <span>").text(name).raw(" <b>").text(&value).raw("</b></span>");
        }
        page.raw("</p>\n");
    }
    page.raw("</header>\n");
}

/// Whether anything is missing.
fn chain(report: &Report, page: &mut Html) {
    let chain = &report.chain;
    let streams = plural(chain.streams, "instance");
    if chain.breaks == 0 {
        page.raw(
            "<p class=\"note good\"><b>No record is missing</b> between the first and the last of ",
        );
        page.text(&streams);
    } else {
        let (missing, places) = (plural(chain.missing, "record"), plural(chain.breaks, "place"));
        page.raw("<p class=\"note bad\"><b>").text(&missing).raw(" missing</b> in ").text(&places);
        page.raw(", of ").text(&streams).raw(": see <a href=\"#missing\">missing records</a>");
    }
    if chain.begun_before > 0 {
        let begun = plural(chain.begun_before, "instance");
        page.raw("; ").text(&begun).raw(" began before what was read");
    }
    page.raw(".</p>\n");
}

/// What keeps the report from telling everything.
fn warnings(report: &Report, page: &mut Html) {
    let input = &report.input;
    let rows = [
        (input.broken, "record", "can't be read"),
        (input.long, "line", "too long to look into"),
        (
            report.chain.unchecked,
            "record",
            "could not be told from repeats and may be counted twice",
        ),
        (
            report.patients_unread,
            "answer",
            "could not be read for the patients in them: there may be more",
        ),
        (report.requests.observed, "request", "only observed: mode enforce would have refused"),
    ];
    for (count, unit, what) in rows.into_iter().filter(|(count, ..)| *count > 0) {
        page.raw("<p class=\"note bad\"><b>").text(&plural(count, unit)).raw("</b> ").text(what);
        page.raw(".</p>\n");
    }
}

fn figures(report: &Report, page: &mut Html) {
    let requests = &report.requests;
    page.raw("<dl class=\"figures\">\n");
    figure("Requests", &thousands(requests.total), &batches(report), page);
    let denied = some_share(requests.deny, requests.total);
    figure("Denied", &thousands(requests.deny), &denied, page);
    let failed = some_share(requests.error, requests.total);
    figure("Not decided", &thousands(requests.error), &failed, page);
    let lists = [
        ("Patients", &report.patients),
        ("Users", &report.users),
        ("Clients", &report.clients),
        ("Tokens", &report.tokens),
    ];
    for (name, list) in lists {
        let note = lists::only_refused(list).unwrap_or_else(|| estimated(list).to_owned());
        figure(name, &thousands(list.distinct), &note, page);
    }
    page.raw("</dl>\n");
}

fn batches(report: &Report) -> String {
    match report.batches {
        0 => String::new(),
        batches => {
            let batches = if batches == 1 {
                "1 batch".to_owned()
            } else {
                format!("{} batches", thousands(batches))
            };
            format!("{batches}, {}", plural(report.parts.total, "part"))
        }
    }
}

fn some_share(part: u64, whole: u64) -> String {
    if part == 0 { String::new() } else { share(part, whole) }
}

fn estimated(list: &List) -> &'static str {
    if list.exact { "" } else { "estimated" }
}

fn figure(name: &str, number: &str, note: &str, page: &mut Html) {
    page.raw("<div><dt>").text(name).raw("</dt><dd>").text(number);
    if !note.is_empty() {
        page.raw("<small>").text(note).raw("</small>");
    }
    page.raw("</dd></div>\n");
}
