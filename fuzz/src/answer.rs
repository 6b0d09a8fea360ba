//! Answers of the FHIR server to whoever is confined to a patient: nothing of others comes through, and what
//! comes through once comes through again as it is.

use phiward::base::json;
use phiward::config::{self, Configuration};
use phiward::flow::{Effect, End, Event, Exchange, Next, Step, Worker};
use serde_json::{Value, json};

use super::host::Host;
use super::world::{AUDIENCE, bearer, document, fields};

thread_local! {
    static CONFIG: Configuration = config::from_document(&document(json!({}))).unwrap();
    static TOKEN: String = bearer(json!({"scope": "patient/*.cruds", "patient": "P"}));
}

const ASKED: [(&str, &str, &str); 8] = [
    ("GET", "/fhir/Observation?code=x", ""),
    ("GET", "/fhir/Observation/1", ""),
    ("GET", "/fhir/Patient/P/_history", ""),
    ("GET", "/fhir/Patient/P/$everything", ""),
    ("GET", "/fhir/Observation?_include=Observation:encounter&_revinclude=Provenance:target", ""),
    ("GET", "/fhir/Patient/P/*", ""),
    (
        "POST",
        "/fhir",
        r#"{"resourceType":"Bundle","type":"batch","entry":[
        {"request":{"method":"GET","url":"Observation/1"}},{"request":{"method":"GET","url":"Observation?code=x"}}]}"#,
    ),
    (
        "POST",
        "/fhir/Observation",
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#,
    ),
];

const STATUSES: [&str; 4] = ["200", "404", "500", "201"];

/// First what was asked for and the status, then the body of the answer.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let Some(shown) = shown(*choice, body) else { return };
    let status = STATUSES[usize::from(choice / 8 % 4)];
    if status == "404" || status == "500" || shown.is_empty() {
        return;
    }
    let value = json::parse(&shown).expect("what is shown is strict JSON");
    is_of_the_patient(&value);
    assert_eq!(
        self::shown(*choice, &shown).as_ref(),
        Some(&shown),
        "another answer the second time"
    );
}

/// What the client gets of it; `None`: an answer of our own.
fn shown(choice: u8, body: &[u8]) -> Option<Vec<u8>> {
    let (method, target, sent) = ASKED[usize::from(choice % 8)];
    let status = STATUSES[usize::from(choice / 8 % 4)];
    let host = Host::new();
    let mut worker = Worker::new(CONFIG.with(Clone::clone), &host);
    let mut exchange = Exchange::default();
    let token = TOKEN.with(Clone::clone);
    let head = fields(&[
        (":method", method),
        (":path", target),
        (":authority", "api.clinic.example"),
        ("authorization", &token),
        ("content-type", "application/fhir+json"),
    ]);
    let head = Event::RequestHead { headers: head, end_of_stream: sent.is_empty() };
    let mut step = exchange.on(head, &mut worker, &host);
    if exchange.wants_body().is_some() {
        step = exchange.on(Event::RequestBody { body: sent.into() }, &mut worker, &host);
    }
    assert_eq!(step.next, Next::Continue, "{target}: {step:?}");
    assert!(exchange.wants_answer(), "{target}");
    let json = ("content-type", "application/fhir+json");
    let head =
        Event::ResponseHead { headers: fields(&[(":status", status), json]), end_of_stream: false };
    let mut step = exchange.on(head, &mut worker, &host);
    if exchange.wants_answer_body() {
        assert_eq!((step.next, step.effects.len()), (Next::Pause, 0), "it is held");
        step = exchange.on(Event::ResponseBody { body: body.to_vec() }, &mut worker, &host);
    }
    let left =
        exchange.end(End { status: status.parse().ok(), ..End::default() }, &mut worker, &host);
    assert!(!left.log.is_empty());
    went_on(step, body)
}

fn went_on(step: Step, body: &[u8]) -> Option<Vec<u8>> {
    let replies = |effect: &Effect| matches!(effect, Effect::Reply(_));
    if step.next == Next::Pause {
        assert!(step.effects.iter().any(replies));
        return None;
    }
    assert!(!step.effects.iter().any(replies));
    let mut replaced = step.effects.into_iter().filter_map(|effect| match effect {
        Effect::ReplaceAnswer(body) => Some(body),
        _ => None,
    });
    Some(replaced.next_back().unwrap_or_else(|| body.to_vec()))
}

/// No Observation is about somebody else, wherever it stands.
fn is_of_the_patient(value: &Value) {
    let of = value["resourceType"].as_str().unwrap_or_default();
    if of == "Observation" {
        let about = value["subject"]["reference"].as_str().unwrap_or_default();
        let about =
            about.strip_prefix(AUDIENCE).map_or(about, |about| about.trim_start_matches('/'));
        assert!(about == "Patient/P" || about.starts_with("Patient/P/_history/"), "{value}");
    }
    if of == "Patient" {
        assert_eq!(value["id"], "P", "{value}");
    }
    if of == "Bundle" {
        for entry in value["entry"].as_array().into_iter().flatten() {
            is_of_the_patient(&entry["resource"]);
        }
    }
}
