//! The table on the page of decisions, written from its cases and what became of them.

use std::path::Path;

use serde_json::{Map, Value};

use super::read;
use crate::base::testing::{cell, generated};
use crate::cli::cases::file::CaseFile;
use crate::cli::cases::run::{self, Ran};
use crate::cli::cases::values::Person;
use crate::cli::gateway::resources;

#[test]
fn the_page_of_decisions_has_every_case_of_its_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cases/decisions.yaml");
    let file = read(&file);
    let ran = run::run(&file).unwrap();
    let mut page = String::from("\n");
    for section in &file.sections {
        page.push_str(&format!("### {}\n\n", section.title));
        if !section.about.is_empty() {
            page.push_str(&format!("{}\n\n", section.about));
        }
        page.push_str("| request | token | decision | what goes on, what is removed |\n");
        page.push_str("|---|---|---|---|\n");
        for ran in ran.iter().filter(|ran| core::ptr::eq(ran.section, section)) {
            page.push_str(&row(&file, ran));
        }
        page.push('\n');
    }
    assert_eq!(page.matches("<br>").count(), ran.len());
    generated("docs/decisions.md", "cases", &page);
}

fn row(file: &CaseFile, ran: &Ran<'_>) -> String {
    let status = ran.outcome.reply.as_ref().map(|reply| format!(" {}", reply.status));
    let decision = format!("`{}`{}", ran.outcome.reason(), status.unwrap_or_default());
    let cells = [request(file, ran), token(file, ran), decision, goes_on(ran)];
    format!("| {} |\n", cells.map(|text| cell(&text)).join(" | "))
}

fn request(file: &CaseFile, ran: &Ran<'_>) -> String {
    let case = ran.case;
    let mut told = format!("{}<br>`{} {}`", case.name, case.request.method, case.request.target);
    for (name, value) in case.request.headers.iter().filter(|(name, _)| name != "content-type") {
        told.push_str(&format!(" `{name}: {value}`"));
    }
    for settings in [&file.settings, &ran.section.settings, &case.settings] {
        for (path, value) in flat(settings) {
            told.push_str(&format!(", `{path}: {value}`"));
        }
    }
    told
}

/// Settings as `smart.response_check` and its value.
fn flat(settings: &Map<String, Value>) -> Vec<(String, String)> {
    let flat = settings.iter().flat_map(|(name, value)| match value {
        Value::Object(below) => {
            let below = flat(below).into_iter();
            below.map(|(path, value)| (format!("{name}.{path}"), value)).collect()
        }
        Value::String(text) => vec![(name.clone(), text.clone())],
        other => vec![(name.clone(), other.to_string().replace('"', ""))],
    });
    flat.collect()
}

/// The claims, but for those that every token of the file has.
fn token(file: &CaseFile, ran: &Ran<'_>) -> String {
    let Some(claims) = run::claims(file, ran.section, ran.case) else { return "none".to_owned() };
    let all = match &file.token {
        Person::Claims(all) => all.clone(),
        Person::Unsaid | Person::Nobody => Map::new(),
    };
    let told = claims.iter().filter(|(name, value)| all.get(*name) != Some(value));
    let told = told.map(|(name, value)| match (name.as_str(), value.as_str()) {
        ("scope", Some(scope)) => format!("`{scope}`"),
        (name, Some(text)) => format!("{name} `{text}`"),
        (name, None) if value.is_null() => format!("no {name}"),
        (name, None) => format!("{name} `{value}`"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// What the FHIR server gets and what the client sees of its answer.
fn goes_on(ran: &Ran<'_>) -> String {
    let Ran { case, outcome, .. } = ran;
    let Some(sent) = &outcome.sent else { return "nothing".to_owned() };
    let mut told = Vec::new();
    match (sent.method != case.request.method, sent.target != case.request.target) {
        (true, _) => told.push(format!("`{} {}`", sent.method, sent.target)),
        (false, true) => told.push(format!("`{}`", sent.target)),
        (false, false) => {}
    }
    if sent.body != case.request.body {
        told.push(format!("body `{}`", String::from_utf8_lossy(&sent.body)));
    }
    for name in case.expected.sent.keys() {
        told.push(match sent.all(name).next() {
            Some(value) => format!("`{name}: {value}`"),
            None => format!("no `{name}`"),
        });
    }
    if told.is_empty() {
        told.push("as it came".to_owned());
    }
    if let (Some(answer), Some((_, body))) = (&case.answer, &outcome.shown) {
        let left =
            resources(body).iter().map(|one| format!(", `{one}` is left")).collect::<String>();
        told.push(match (outcome.reply.is_some(), outcome.removed()) {
            (true, _) => "the answer is refused".to_owned(),
            (false, 0) => "the answer passes".to_owned(),
            (false, n) if *body == answer.body => format!("the answer passes, {n} written down"),
            (false, n) => format!("of the answer {n} removed{left}"),
        });
    }
    told.join("; ")
}
