//! The report as one page that loads nothing and runs nothing: style and charts stand in it.

mod chart;
mod lists;
pub(super) mod markup;
mod records;
mod summary;

use std::io::{self, Write};

use super::view::Report;
use markup::Html;

/// Writes the page.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(page(report).as_bytes())
}

fn page(report: &Report) -> String {
    let mut page = Html::default();
    page.raw(HEAD).raw("<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n<main>\n");
    summary::write(report, &mut page);
    // Who asks for somebody wants to know about them first.
    if report.filter.names_one() {
        lists::write(report, &mut page);
        records::accesses(report, &mut page);
        charts(report, &mut page);
    } else {
        charts(report, &mut page);
        lists::write(report, &mut page);
    }
    records::exports(report, &mut page);
    records::missing(report, &mut page);
    records::input(report, &mut page);
    page.raw("</main>\n</body>\n</html>\n");
    page.finish()
}

fn charts(report: &Report, page: &mut Html) {
    if report.requests.total > 0 {
        page.heading("Requests over time", "");
        chart::write(&report.over_time, &report.over_time, "requests", chart::DECISIONS, page);
    }
    if !report.refusals.is_empty() {
        page.heading("Refused requests", "by reason; what the reasons mean: docs/reasons.md");
        chart::write(
            &report.refusals_over_time,
            &report.over_time,
            "refused requests",
            chart::REASONS,
            page,
        );
        lists::named("Reason", &report.refusals, page);
    }
    if !report.failures.is_empty() {
        page.heading("Failed on their way", "by what failed");
        lists::named("Failure", &report.failures, page);
    }
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"referrer\" content=\"no-referrer\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Audit report – phiward</title>
";

const STYLE: &str = include_str!("style.css");
