//! The form of a case file. Unknown keys, unknown reason codes and whatever else can't be meant make
//! it unusable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::base::time::Instant;
use crate::cli::document::{self, Document, Problems};
use crate::cli::gateway::Answer;
use crate::cli::places::Place;
use crate::cli::request::Request;
use crate::cli::stored::Stored;
use crate::cli::{meanings, time};
use crate::config::section::{Section, read_document};

use super::values::{Code, Content, Fields, Members, Moment, Person, Status};

/// A file of cases.
#[derive(Debug)]
pub(super) struct CaseFile {
    pub(super) path: PathBuf,
    /// The configuration's file.
    pub(super) config: PathBuf,
    /// When it all takes place.
    pub(super) at: Instant,
    /// Entries of the revocation list.
    pub(super) revocations: Vec<Value>,
    /// Merged into the configuration.
    pub(super) settings: Map<String, Value>,
    /// Who calls, where neither section nor case says otherwise.
    pub(super) token: Person,
    /// At least one. A file without sections is one section without a title.
    pub(super) sections: Vec<CaseSection>,
}

/// Cases that belong together.
#[derive(Debug)]
pub(super) struct CaseSection {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) settings: Map<String, Value>,
    pub(super) token: Person,
    pub(super) cases: Vec<Case>,
}

/// A request and what must become of it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) request: Request,
    pub(super) settings: Map<String, Value>,
    pub(super) token: Person,
    pub(super) stored: Stored,
    pub(super) answer: Option<Answer>,
    pub(super) expected: Expected,
    /// Where it stands.
    pub(super) place: Place,
}

/// What must become of it. What is not named may be anything.
#[derive(Debug)]
pub(super) struct Expected {
    /// `allowed`, or the code of the reason in the audit record.
    pub(super) reason: String,
    /// What the client sees.
    pub(super) status: Option<u16>,
    /// In mode `observe`: what would have been done.
    pub(super) would: Option<String>,
    /// The method as it goes on.
    pub(super) method: Option<String>,
    /// The target as it goes on.
    pub(super) target: Option<String>,
    /// Header fields as they go on; `None`: there is no such field.
    pub(super) sent: BTreeMap<String, Option<String>>,
    /// The body as it goes on, as text.
    pub(super) form: Option<String>,
    /// The body as it goes on, as JSON.
    pub(super) sent_body: Option<Value>,
    /// What the client sees of the answer.
    pub(super) shown: Option<Shown>,
}

/// What the client sees of an answer.
#[derive(Debug)]
pub(super) struct Shown {
    /// How many resources were removed from it.
    pub(super) removed: Option<u64>,
    /// The resources left in it, as `Type/id`.
    pub(super) resources: Option<Vec<String>>,
}

/// Reads a case file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(super) fn read(file: &Path) -> Result<CaseFile, Problems> {
    let document = document::read(file)?;
    let (read, errors) = read_document(&document.value, |section| whole(section, file));
    match read {
        Some(mut cases) if errors.is_empty() => {
            cases.settle(&document);
            Ok(cases)
        }
        _ => Err(document.problems(file, &errors)),
    }
}

fn whole(section: &mut Section<'_>, file: &Path) -> Option<CaseFile> {
    let config = section.default("config", "config.yaml".to_owned(), "the configuration's file");
    let at = section.default("at", Moment(time::text(NOW)), "when it takes place");
    let at = time::instant(&at.0).unwrap_or(NOW);
    let revocations = section.optional::<Vec<Content>>("revocations", "the list's entries");
    let settings = settings(section);
    let token = token(section);
    let sections = if section.has("sections") {
        section.required_sections("sections", "cases that belong together", part)
    } else {
        let cases = section.required_sections("cases", "requests", case);
        let (title, about, token) = (String::new(), String::new(), Person::Unsaid);
        vec![CaseSection { title, about, settings: Map::new(), token, cases }]
    };
    Some(CaseFile {
        path: file.to_owned(),
        config: file.parent().unwrap_or(Path::new("")).join(config),
        at,
        revocations: revocations.into_iter().flatten().map(|entry| entry.0).collect(),
        settings,
        token,
        sections,
    })
}

fn part(section: &mut Section<'_>) -> Option<CaseSection> {
    let title = section.required("title", "what the cases have in common");
    let about = section.default("about", Content(Value::from("")), "more about it");
    let settings = settings(section);
    let token = token(section);
    let cases = section.required_sections("cases", "requests", case);
    let about = about.0.as_str().unwrap_or_default().trim().to_owned();
    Some(CaseSection { title: title?, about, settings, token, cases })
}

fn case(section: &mut Section<'_>) -> Option<Case> {
    let name = section.required("name", "what it shows");
    let request = request(section);
    let settings = settings(section);
    let token = token(section);
    let stored = section.optional::<Members>(
        "stored",
        "what the FHIR server has, by `Type/id` and `Type?criteria`",
    );
    let stored = stored.map(|stored| Stored::read(section, "stored", stored.0));
    let answer = section.optional_section("answer", "the FHIR server's answer", answer);
    let expected = expected(section);
    let place = Place::START;
    Some(Case {
        name: name?,
        request: request?,
        settings,
        token,
        stored: stored.unwrap_or_default(),
        answer,
        expected: expected?,
        place,
    })
}

fn request(section: &mut Section<'_>) -> Option<Request> {
    let line = section.required::<String>("request", "method and target");
    let headers = section.optional::<Fields>("headers", "header fields").unwrap_or_default();
    let body = section.optional::<Content>("body", "text, or JSON as YAML");
    let mut request = match Request::line(&line?) {
        Ok(request) => request,
        Err(problem) => {
            section.problem("request", problem, "`METHOD TARGET`", None);
            return None;
        }
    };
    for (name, value) in headers.0 {
        request.headers.push((name.to_ascii_lowercase(), value.unwrap_or_default()));
    }
    if let Some(body) = body {
        let said = request.all("content-type").next().is_some();
        if let Some(media_type) = body.media_type().filter(|_| !said) {
            request.set("content-type".to_owned(), media_type.to_owned());
        }
        request.body = body.bytes();
    }
    Some(request)
}

fn answer(section: &mut Section<'_>) -> Option<Answer> {
    let status = section.default("status", Status(200), "its status");
    let headers = section.optional::<Fields>("headers", "its header fields");
    let body = section.default("body", Content(Value::from("")), "its body");
    let mut answer = Answer::json(status.0, body.bytes());
    if let Some(headers) = headers {
        let pair = |(name, value): (String, Option<String>)| value.map(|value| (name, value));
        answer.headers = headers.0.into_iter().filter_map(pair).collect();
    }
    Some(answer)
}

fn expected(section: &mut Section<'_>) -> Option<Expected> {
    let reason = section.required::<Code>("expect", "`allowed` or a reason code");
    if let Some(Code(code)) = &reason
        && !meanings::is_known(code)
    {
        let problem = format!("`{code}` is no reason");
        section.problem("expect", problem, "`allowed` or a code of docs/reasons.md", None);
    }
    let shown =
        section.optional_section("shown", "what the client sees of the answer", |section| {
            let removed = section.optional::<Status>("removed", "how many resources were removed");
            let resources = section.optional("resources", "the resources left, as `Type/id`");
            Some(Shown { removed: removed.map(|removed| u64::from(removed.0)), resources })
        });
    Some(Expected {
        status: section.optional::<Status>("status", "what the client sees").map(|one| one.0),
        would: section.optional("would", "what mode `enforce` would have done"),
        method: section.optional("method", "the method as it goes on"),
        target: section.optional("target", "the target as it goes on"),
        sent: section
            .optional::<Fields>("sent", "header fields as they go on")
            .unwrap_or_default()
            .0,
        form: section.optional("form", "the form as it goes on"),
        sent_body: section
            .optional::<Content>("sent_body", "the body as it goes on")
            .map(|one| one.0),
        shown,
        reason: reason?.0,
    })
}

fn settings(section: &mut Section<'_>) -> Map<String, Value> {
    let settings = section.optional::<Members>("settings", "merged into the configuration");
    settings.map(|settings| settings.0).unwrap_or_default()
}

fn token(section: &mut Section<'_>) -> Person {
    section.default("token", Person::Unsaid, "claims that differ from a valid token's")
}

impl CaseFile {
    /// Notes where every case stands.
    fn settle(&mut self, document: &Document) {
        let sections = document.value.get("sections").is_some();
        for (number, section) in self.sections.iter_mut().enumerate() {
            let within = if sections { format!("/sections/{number}") } else { String::new() };
            for (number, case) in section.cases.iter_mut().enumerate() {
                case.place = document.places.of(&format!("{within}/cases/{number}"));
            }
        }
    }

    /// Every case with its section.
    pub(super) fn cases(&self) -> impl Iterator<Item = (&CaseSection, &Case)> {
        self.sections.iter().flat_map(|section| section.cases.iter().map(move |one| (section, one)))
    }
}

/// When the cases of a file take place that does not say: 2026-09-21T14:13:20Z.
const NOW: Instant = Instant::from_nanoseconds(1_790_000_000_000_000_000);
