//! Who and whom: lists of names with what was counted of them.

use super::markup::{Cell, Html};
use crate::cli::audit::report::view::{List, Named, Report, Row};
use crate::cli::audit::report::words::thousands;

/// Patients, users, clients and tokens.
pub(super) fn write(report: &Report, page: &mut Html) {
    let issuers = report.several_issuers();
    let records = |row: &Row| (row.records, row.refused);
    list("Patients", "Patient", &report.patients, false, records, page);
    list("Users", "User", &report.users, issuers, records, page);
    list("Clients", "Client", &report.clients, issuers, records, page);
    list("Tokens", "Token", &report.tokens, issuers, records, page);
    if !report.tokens.complete {
        let patients = |row: &Row| (row.patients.unwrap_or_default(), 0);
        let title = "Tokens with the most patients";
        list(title, "Token", &report.wide_tokens, issuers, patients, page);
    }
}

/// A list whose bars show a number, and how much of it is of refused requests.
fn list(
    title: &str,
    kind: &str,
    list: &List,
    issuers: bool,
    shown: impl Fn(&Row) -> (u64, u64),
    page: &mut Html,
) {
    if list.rows.is_empty() {
        return;
    }
    page.heading(title, &note(list));
    let with_patients = list.rows.iter().any(|row| row.patients.is_some());
    let records = if list.exact { ">Records" } else { ">Records, at least" };
    let mut head = vec![kind];
    head.extend(with_patients.then_some(">Patients"));
    head.extend([records, "", ">Refused", "First (UTC)", "Last"]);
    head.extend(issuers.then_some("Issuer"));
    let most = list.rows.iter().map(|row| shown(row).0).max().unwrap_or_default();
    let rows = list.rows.iter().map(|row| {
        let (number, refused) = shown(row);
        let mut cells = vec![Cell::Code(&row.name)];
        cells.extend(with_patients.then(|| patients(row)));
        cells.extend([
            Cell::Number(row.records),
            Cell::Bar(part(number, most), part(refused, number)),
        ]);
        cells.extend([Cell::Number(row.refused), Cell::Time(&row.first), Cell::Time(&row.last)]);
        cells.extend(issuers.then(|| Cell::Text(row.issuer.as_deref().unwrap_or_default())));
        cells
    });
    page.table(&head, rows);
}

fn patients(row: &Row) -> Cell<'_> {
    let patients = row.patients.unwrap_or_default();
    if row.patients_estimated.is_some() { Cell::About(patients) } else { Cell::Number(patients) }
}

/// How much of it is here.
fn note(list: &List) -> String {
    let (shown, all) = (list.rows.len() as u64, thousands(list.distinct));
    let refused = only_refused(list).map(|note| format!("; {note}")).unwrap_or_default();
    match (list.complete, list.exact) {
        (true, _) => format!("all {all}{refused}"),
        (false, true) => format!("{} of {all}{refused}", thousands(shown)),
        (false, false) => {
            format!("{} of about {all}: too many to count all exactly", thousands(shown))
        }
    }
}

/// How many patients nobody saw.
pub(super) fn only_refused(list: &List) -> Option<String> {
    let refused = list.only_refused.filter(|refused| *refused > 0)?;
    Some(format!("{} only refused", thousands(refused)))
}

/// Words and how often each was said.
pub(super) fn named(kind: &str, names: &[Named], page: &mut Html) {
    let most = names.iter().map(|named| named.count).max().unwrap_or_default().max(1);
    let rows = names.iter().map(|named| {
        let bar = Cell::Bar(part(named.count, most), 1.0);
        vec![Cell::Code(&named.name), Cell::Number(named.count), bar]
    });
    page.table(&[kind, ">Requests", ""], rows);
}

fn part(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
