//! Runs the cases of a file, each through a gateway of its own.

use serde_json::{Map, Value, json};

use super::file::{Case, CaseFile, CaseSection, Expected};
use super::values::Person;
use crate::cli::document::{self, Document, Problems};
use crate::cli::gateway::{Feeds, Gateway, Outcome, resources};
use crate::cli::request::Request;
use crate::cli::signer::{Claims, Signer};
use crate::cli::stored::Stored;
use crate::config::{self, ConfigError, Configuration};

/// What became of a case.
#[derive(Debug)]
pub(super) struct Ran<'a> {
    pub(super) section: &'a CaseSection,
    pub(super) case: &'a Case,
    pub(super) outcome: Outcome,
    /// Everything that is not as it must be.
    pub(super) differences: Vec<String>,
}

/// What a case is run with.
#[derive(Debug)]
pub(in crate::cli) struct Prepared {
    /// Trusts the key that signed the request's token.
    pub(in crate::cli) configuration: Configuration,
    pub(in crate::cli) feeds: Feeds,
    /// With its token.
    pub(in crate::cli) request: Request,
    /// What the FHIR server has.
    pub(in crate::cli) stored: Stored,
}

/// Runs every case.
///
/// # Errors
///
/// The configuration, alone or with the settings of a case, is none.
pub(super) fn run(file: &CaseFile) -> Result<Vec<Ran<'_>>, Problems> {
    let document = document::read(&file.config)?;
    file.cases().map(|(section, case)| one(file, section, case, &document)).collect()
}

fn one<'a>(
    file: &'a CaseFile,
    section: &'a CaseSection,
    case: &'a Case,
    document: &Document,
) -> Result<Ran<'a>, Problems> {
    let Prepared { configuration, feeds, request, stored } =
        prepared(file, section, case, document)?;
    let (mut gateway, fed) = Gateway::new(configuration, file.at, &feeds);
    if let Some(notice) = fed.revocations.filter(|notice| notice.level == log::Level::Warn) {
        return Err(Problems::whole(&file.config, notice.text));
    }
    let outcome = gateway.exchange(&request, &stored, case.answer.as_ref());
    let differences = differences(&case.expected, &outcome);
    Ok(Ran { section, case, outcome, differences })
}

/// Puts together what a case is run with.
pub(super) fn prepared(
    file: &CaseFile,
    section: &CaseSection,
    case: &Case,
    document: &Document,
) -> Result<Prepared, Problems> {
    let mut settings = document.value.clone();
    for changes in [&file.settings, &section.settings, &case.settings] {
        merge(&mut settings, &Value::Object(changes.clone()));
    }
    let signer = Signer::new();
    let configuration = config::from_document(&settings)
        .and_then(|_| config::from_document(&signer.standing_in(&settings)))
        .map_err(|errors| unsettled(file, case, document, &errors))?;
    let issuers = configuration.issuers.asking_nobody();
    let configuration = Configuration { issuers, ..configuration };
    let list = json!({"entries": file.revocations}).to_string().into_bytes();
    let mut request = case.request.clone();
    if let Some(given) = claims(file, section, case) {
        let token = signer.token(&settings, &Claims::filled(&settings, &given, file.at));
        request.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    let feeds = Feeds { keys: None, revocations: Some(list) };
    Ok(Prepared { configuration, feeds, request, stored: case.stored.clone() })
}

/// What is wrong with the configuration: by itself, or with the settings of a case.
fn unsettled(
    file: &CaseFile,
    case: &Case,
    document: &Document,
    errors: &[ConfigError],
) -> Problems {
    if let Err(errors) = config::from_document(&document.value) {
        return document.problems(&file.config, &errors);
    }
    let placed = |error: &ConfigError| (case.place, format!("with these settings: {error}"));
    Problems::placed(&file.path, errors.iter().map(placed).collect())
}

/// The claims that a case's token has beside those of every valid one; `None`: there is no token.
pub(super) fn claims(
    file: &CaseFile,
    section: &CaseSection,
    case: &Case,
) -> Option<Map<String, Value>> {
    match file.token.refined(&section.token).refined(&case.token) {
        Person::Claims(claims) => Some(claims),
        Person::Unsaid | Person::Nobody => None,
    }
}

/// Merges `changes` into `document`: objects member by member, null takes a member out.
fn merge(document: &mut Value, changes: &Value) {
    let (Value::Object(members), Value::Object(changed)) = (&mut *document, changes) else {
        *document = changes.clone();
        return;
    };
    for (name, value) in changed {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Everything that is not as expected.
fn differences(expected: &Expected, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, expected: Option<Value>, got: Value| {
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            found.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    check("expect", Some(json!(expected.reason)), json!(outcome.reason()));
    check("would", expected.would.as_ref().map(|would| json!(would)), json!(outcome.would()));
    let shown = outcome.shown.as_ref();
    let status = shown.map(|(status, _)| *status);
    check("status", expected.status.map(|status| json!(status)), json!(status));
    let sent = outcome.sent.as_ref();
    let method = sent.map(|sent| &sent.method);
    check("method", expected.method.as_ref().map(|method| json!(method)), json!(method));
    let target = sent.map(|sent| &sent.target);
    check("target", expected.target.as_ref().map(|target| json!(target)), json!(target));
    for (name, value) in &expected.sent {
        let field = sent.and_then(|sent| sent.all(name).next());
        check(&format!("sent: {name}"), Some(json!(value)), json!(field));
    }
    let body = sent.map(|sent| String::from_utf8_lossy(&sent.body));
    check("form", expected.form.as_ref().map(|form| json!(form)), json!(body));
    let body: Option<Value> = body.and_then(|body| serde_json::from_str(&body).ok());
    check("sent_body", expected.sent_body.clone(), json!(body));
    if let Some(wanted) = &expected.shown {
        let left = shown.map(|(_, body)| resources(body));
        check("shown: removed", wanted.removed.map(|n| json!(n)), json!(outcome.removed()));
        check("shown: resources", wanted.resources.as_ref().map(|all| json!(all)), json!(left));
    }
    found
}
