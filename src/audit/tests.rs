//! Golden lines, and what an attacker's strings can do to a line: nothing.

use core::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::refusal::Reason;
use crate::base::testing::{generated, golden, sentence, violations};
use crate::base::time::Instant;
use crate::config::section::read_document;
use crate::revocation::Freshness;
use crate::token::Claims;

static SCOPE: Reason = Reason::new(403, "scope_insufficient", "forbidden", "not enough");
static KEYS: Reason = Reason::new(503, "token_keys_missing", "transient", "no keys yet");
static SIGNATURE: Reason = Reason::new(401, "token_signature_invalid", "login", "wrong");

fn claims() -> Claims {
    Claims {
        issuer: "https://auth.clinic.example".to_owned(),
        subject: Some("alice".to_owned()),
        client: Some("heart-app".to_owned()),
        user: Some("Practitioner/17".to_owned()),
        organization: Some("Organization/4".to_owned()),
        roles: vec!["nurse".to_owned(), "night-shift".to_owned()],
        token_id: Some("7c1f".to_owned()),
        patient: Some("123".to_owned()),
        ..Claims::default()
    }
}

fn event<'a>(who: Option<Who<'a>>, decision: Decision) -> Event<'a> {
    Event {
        time: Instant::from_nanoseconds(1_790_000_000_250_999_999),
        id: EventId { instance: 0x5f1c_0d3e_9a7b_2c44, count: 17 },
        request_id: Some(b"3b0c1a52-6f0e-4d7f-9b53-0d2f3c0b7e11"),
        decision,
        observe: false,
        who,
        from: Origin { address: Some(b"10.0.0.7:51234"), tls: Some(b"TLSv1.3") },
        what: What::default(),
        outcome: Outcome {
            status: Some(200),
            bytes: 1234,
            duration: Duration::from_nanos(12_345_678),
            failure: None,
        },
        part_of: None,
        patients: Vec::new(),
        unread: false,
        scopes: Vec::new(),
        narrowed: Vec::new(),
        removed: None,
        revocation: None,
    }
}

fn narrowed_search<'a>(claims: &'a Claims) -> Event<'a> {
    Event {
        what: What {
            method: Some(b"GET"),
            interaction: Some("search-type"),
            resource_type: Some("Observation"),
            patient: Some("123"),
            parameters: vec![
                Parameter { name: "category", value: "laboratory" },
                Parameter { name: "_id", value: "a,b" },
                Parameter { name: "subject:identifier", value: "http://ssn|078-05-1120" },
            ],
            ..What::default()
        },
        scopes: vec!["patient/Observation.rs"],
        narrowed: vec!["patient=Patient/123"],
        removed: Some(2),
        patients: vec!["123"],
        revocation: Some(Freshness::Fresh),
        ..event(Some(Who::of(claims)), Decision::Allow)
    }
}

fn refused<'a>(status: u16, who: Option<Who<'a>>, decision: Decision) -> Event<'a> {
    let duration = Duration::from_micros(87);
    let outcome = Outcome { status: Some(status), bytes: 310, duration, failure: None };
    let what = What { method: Some(b"GET"), ..What::default() };
    Event { outcome, what, ..event(who, decision) }
}

fn discretion() -> Discretion {
    let shown = ["_id", "patient", "subject"].map(str::to_owned);
    Discretion::new(&shown, Some(b"a key of this deployment, 32 bytes"))
}

fn schema() -> Value {
    crate::base::json::parse(include_bytes!("../../docs/audit.schema.json")).unwrap()
}

/// Compares with `tests/golden/audit/`, and with the schema.
fn check(name: &str, event: &Event<'_>) {
    let line = event.line(&discretion());
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(violations(&schema(), &value), Vec::<String>::new(), "{name}: {line}");
    golden(&format!("tests/golden/audit/{name}.json"), &format!("{line}\n"));
}

#[test]
fn lines_are_as_in_the_golden_files_and_as_the_schema_says() {
    let claims = claims();
    let who = Some(Who::of(&claims));
    let read = What {
        method: Some(b"GET"),
        interaction: Some("vread"),
        resource_type: Some("Patient"),
        id: Some("123"),
        version: Some("4"),
        patient: Some("123"),
        ..What::default()
    };
    let duration = Duration::from_secs(30);
    let failure = Some(Failure::ClientGone);
    let aborted = Outcome { status: None, bytes: 0, duration, failure };
    check("allowed-search-narrowed", &narrowed_search(&claims));
    check(
        "denied-scope",
        &Event {
            what: read.clone(),
            revocation: Some(Freshness::Fresh),
            ..refused(403, who, Decision::refused(&SCOPE))
        },
    );
    check("denied-unproven-token", &refused(401, None, Decision::refused(&SIGNATURE)));
    check("error-no-keys", &refused(503, None, Decision::refused(&KEYS)));
    check(
        "observed",
        &Event {
            observe: true,
            what: read,
            revocation: Some(Freshness::StaleAllowed),
            ..event(who, Decision::refused(&SCOPE))
        },
    );
    check(
        "operation",
        &Event {
            what: What {
                method: Some(b"POST"),
                interaction: Some("operation"),
                resource_type: Some("Patient"),
                id: Some("123"),
                patient: Some("123"),
                operation: Some("$everything"),
                ..What::default()
            },
            revocation: Some(Freshness::NoList),
            ..event(who, Decision::Allow)
        },
    );
    check("client-left", &Event { outcome: aborted, ..event(None, Decision::refused(&KEYS)) });
    check(
        "compartment-search",
        &Event {
            what: What {
                method: Some(b"GET"),
                interaction: Some("search-compartment"),
                compartment: Some("Patient/123".to_owned()),
                patient: Some("123"),
                ..What::default()
            },
            scopes: vec!["patient/*.rs"],
            revocation: Some(Freshness::Fresh),
            ..event(who, Decision::Allow)
        },
    );
}

/// A row of the reference page for the field and one for each field below it.
fn rows(path: &str, name: &str, parent: &Value) -> String {
    let rule = &parent["properties"][name];
    let required = parent["required"].as_array().is_some_and(|list| list.contains(&json!(name)));
    let always = if required { "always" } else { "" };
    let description = sentence(rule["description"].as_str().unwrap());
    let row = format!("| `{path}{name}` | {always} | {description} |\n");
    let inner = if rule["items"].is_object() { &rule["items"] } else { rule };
    let names = inner["properties"].as_object().into_iter().flat_map(|object| object.keys());
    row + &names
        .map(|name_below| rows(&format!("{path}{name}."), name_below, inner))
        .collect::<String>()
}

#[test]
fn the_page_has_every_field_of_the_schema_and_the_line_of_the_golden_file() {
    let order = [
        "schema",
        "time",
        "id",
        "part_of",
        "request_id",
        "decision",
        "observe",
        "would",
        "reason",
        "who",
        "from",
        "what",
        "outcome",
        "patients",
        "patients_unread",
        "scopes",
        "narrowed",
        "removed",
        "revocation",
        "seal",
    ];
    let schema = schema();
    assert_eq!(schema["properties"].as_object().unwrap().len(), order.len());
    let fields: String = order.iter().map(|name| rows("", name, &schema)).collect();
    let table = format!("\n| field | | meaning |\n|---|---|---|\n{fields}\n");
    generated("docs/audit.md", "fields", &table);
    let claims = claims();
    let line = narrowed_search(&claims).line(&discretion());
    generated("docs/audit.md", "example", &format!("\n```json\n{line}\n```\n\n"));
}

#[test]
fn strings_from_outside_cannot_break_the_line() {
    let nasty = "a\r\n{\"decision\":\"allow\"}\0\u{7f}\u{85}\u{2028}\u{202e}\u{1f600}\"\\";
    let claims = Claims { subject: Some(nasty.to_owned()), ..claims() };
    let event = Event {
        request_id: Some(b"\xff\xfe\r\nx"),
        what: What { method: Some(b"G\x1b[31mT"), ..What::default() },
        ..event(Some(Who::of(&claims)), Decision::Allow)
    };
    check("hostile-strings", &event);
    let value: Value = serde_json::from_str(&event.line(&discretion())).unwrap();
    assert_eq!(value["who"]["sub"], nasty);
    assert_eq!(value["request_id"], "\u{fffd}\u{fffd}\r\nx");
    assert_eq!(value["decision"], "allow");
}

#[test]
fn long_strings_and_lists_are_cut_and_say_so() {
    let long = "é".repeat(300);
    let invalid = [0xff_u8; 5000];
    let claims = Claims { roles: vec!["r".to_owned(); 100], subject: Some(long), ..claims() };
    let parameters = vec![Parameter { name: "code", value: "1" }; 65];
    let event = Event {
        request_id: Some(&invalid),
        what: What { parameters, ..What::default() },
        scopes: vec!["patient/*.rs"; 64],
        narrowed: vec!["patient=1"; 65],
        ..event(Some(Who::of(&claims)), Decision::Allow)
    };
    let value: Value = serde_json::from_str(&event.line(&discretion())).unwrap();
    assert_eq!(violations(&schema(), &value), Vec::<String>::new());
    assert_eq!(value["who"]["sub"], format!("{}…", "é".repeat(256)));
    assert_eq!(value["request_id"], format!("{}…", "\u{fffd}".repeat(256)));
    assert_eq!(value["who"]["roles"].as_array().unwrap().len(), 65);
    assert_eq!(value["who"]["roles"][64], "…");
    assert_eq!(value["what"]["parameters"].as_array().unwrap().len(), 65);
    assert_eq!(value["what"]["parameters"][64], json!({"name": "…"}));
    assert_eq!(value["scopes"].as_array().unwrap().len(), 64);
    assert_eq!(value["scopes"][63], "patient/*.rs");
    assert_eq!(value["narrowed"][64], "…");
}

#[test]
fn values_are_written_only_for_parameters_that_are_shown() {
    let secret = "078-05-1120";
    let rows = [
        ("_id", true),
        ("patient", true),
        ("subject", true),
        ("identifier", false),
        ("patient:identifier", false),
        ("patient:Patient", false),
        ("patient.name", false),
        ("subject:missing", false),
        ("Patient", false),
        ("_has:Observation:patient:code", false),
        ("", false),
    ];
    for (name, shown) in rows {
        let parameters = vec![Parameter { name, value: secret }];
        let what = What { parameters, ..What::default() };
        let line = Event { what, ..event(None, Decision::Allow) }.line(&discretion());
        assert_eq!(line.contains(secret), shown, "`{name}`: {line}");
    }
}

#[test]
fn a_decision_is_an_error_when_the_gateway_itself_could_not_decide() {
    for (status, word) in [(400, "deny"), (401, "deny"), (403, "deny"), (499, "deny")] {
        let reason: &'static Reason = Box::leak(Box::new(Reason::new(status, "x_y", "", "")));
        assert_eq!(Decision::refused(reason).word(), word, "{status}");
    }
    assert_eq!(Decision::refused(&KEYS).word(), "error");
    assert_eq!(Decision::refused(&KEYS).code(), "token_keys_missing");
    assert_eq!((Decision::Allow.word(), Decision::Allow.code()), ("allow", "allowed"));
}

#[test]
fn times_and_durations_have_three_decimals_at_most() {
    let rows: [(u64, &str); 4] = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
        (1_790_000_000_999_999_999, "2026-09-21T14:13:20.999Z"),
        (u64::MAX, "2554-07-21T23:34:33.709Z"),
    ];
    for (nanoseconds, expected) in rows {
        let time = Instant::from_nanoseconds(nanoseconds);
        let line = Event { time, ..event(None, Decision::Allow) }.line(&discretion());
        assert!(line.contains(&format!("\"time\":\"{expected}\"")), "{nanoseconds}: {line}");
    }
    let rows = [(0, "0.0"), (499, "0.0"), (1_500, "0.002"), (87_000, "0.087")];
    let long = (86_400_000_123_456, "86400000.123");
    for (nanoseconds, expected) in rows.into_iter().chain([long]) {
        let duration = Duration::from_nanos(nanoseconds);
        let outcome = Outcome { duration, ..Outcome::default() };
        let line = Event { outcome, ..event(None, Decision::Allow) }.line(&discretion());
        assert!(line.contains(&format!("\"duration_ms\":{expected}}}")), "{nanoseconds}: {line}");
    }
}

#[test]
fn each_sink_is_named_once_and_has_its_section() {
    let server = json!({"cluster": "c", "url": "http://c/"});
    let rows = [
        (json!({}), vec![]),
        (json!({"sinks": ["log", "access_log"]}), vec![]),
        (json!({"sinks": []}), vec![]),
        (json!({"sinks": ["collector"], "collector": server}), vec![]),
        (json!({"sinks": ["fhir", "collector"], "fhir": server, "collector": server}), vec![]),
        (json!({"sinks": ["log", "log"]}), vec!["/sinks"]),
        (json!({"sinks": ["file"]}), vec!["/sinks/0"]),
        (json!({"sinks": "log"}), vec!["/sinks"]),
        (json!({"sinks": ["collector"]}), vec!["/collector"]),
        (json!({"fhir": server}), vec!["/fhir"]),
        (
            json!({"sinks": ["fhir"], "fhir": {"cluster": "c", "url": "http://c/", "every": "2m"}}),
            vec!["/fhir/every"],
        ),
        (json!({"seal": {"key": "K"}}), vec!["/seal/key_id"]),
        (json!({"seal": {"key": "the secret!", "key_id": "1"}}), vec!["/seal/key"]),
        (
            json!({"sinks": ["fhir"], "fhir": {"cluster": "c", "url": "http://c/", "queue_mib": 0}}),
            vec!["/fhir/queue_mib"],
        ),
    ];
    for (document, wrong) in rows {
        let (_, errors) = read_document(&document, config::Settings::read);
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, wrong, "{document}");
        assert!(errors.iter().all(|error| !error.to_string().contains("secret!")), "{document}");
    }
}

proptest! {
    #[test]
    fn any_strings_give_one_line_of_ascii_that_reads_back(
        subject in ".*",
        request_id in proptest::collection::vec(any::<u8>(), 0..600),
        name in any::<String>(),
        value in any::<String>(),
    ) {
        let claims = Claims { subject: Some(subject.clone()), ..claims() };
        let event = Event {
            request_id: Some(&request_id),
            what: What { parameters: vec![Parameter { name: &name, value: &value }], ..What::default() },
            ..event(Some(Who::of(&claims)), Decision::Allow)
        };
        let line = event.line(&discretion());
        prop_assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", line);
        let read: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(violations(&schema(), &read), Vec::<String>::new());
        if subject.chars().count() <= 256 {
            prop_assert_eq!(&read["who"]["sub"], &Value::from(subject));
        }
    }
}
