//! Files of an export, from the request that follows their link to the last line.

use serde_json::{Value, json};

use super::*;
use crate::export::MAX_LINE;
use crate::flow::End;
use crate::flow::testing::{Answered, Gateway, fields};

const HOST: &str = "https://api.clinic.example";
const STATUS: &str = "https://api.clinic.example/fhir/bulk-status/7";
const FILE: &str = "https://api.clinic.example/bulk-files/7/a.ndjson";
const NDJSON: [(&str, &str); 1] = [("content-type", "application/fhir+ndjson")];
const OBSERVATION: &str = "{\"resourceType\":\"Observation\",\"id\":\"1\"}\n";
const PATIENT: &str = "{\"resourceType\":\"Patient\",\"id\":\"SECRET\"}\n";
const OUTCOME: &str = "{\"resourceType\":\"OperationOutcome\",\"issue\":[]}\n";

type Fields<'a> = &'a [(&'a str, &'a str)];

fn gateway(check: &str) -> Gateway {
    Gateway::new(&json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/fhir"],
            "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
        }],
        "smart": {"response_check": check},
    }))
}

fn bearer(gateway: &Gateway, scope: &str) -> String {
    gateway.bearer(json!({"scope": scope, "client_id": "feed"}))
}

/// The target of a link to a file of this type.
fn link(gateway: &mut Gateway, kind: &str) -> String {
    let bearer = bearer(gateway, "system/*.rs");
    let target = |url: &str| url.strip_prefix(HOST).unwrap().to_owned();
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
    let accepted = (202, &[("content-location", STATUS)][..], &b""[..]);
    let started = gateway.exchange("GET", "/fhir/$export", &headers, accepted);
    let manifest =
        json!({"transactionTime": "", "output": [{"type": kind, "url": FILE}]}).to_string();
    let done = (200, &[("content-type", "application/json")][..], manifest.as_bytes());
    let answered = gateway.exchange("GET", &target(&started.set[0].1), &headers[..1], done);
    let manifest: Value = serde_json::from_slice(&answered.body).unwrap();
    target(manifest["output"][0]["url"].as_str().unwrap())
}

fn fetched(
    gateway: &mut Gateway,
    link: &str,
    (status, headers, body): (u16, Fields<'_>, &str),
) -> Answered {
    let bearer = bearer(gateway, "system/*.rs");
    let headers = [headers, &[("content-length", "9"), ("etag", "1")][..]].concat();
    let answer = (status, headers.as_slice(), body.as_bytes());
    gateway.exchange("GET", link, &[("authorization", &bearer)], answer)
}

#[test]
fn lines_of_another_type_are_left_out_and_counted() {
    let mut gateway = gateway("enforce");
    let lines = [OBSERVATION, PATIENT, "\r\n", "garbage\n", OUTCOME, OBSERVATION, PATIENT.trim()];
    let cases = [
        ("Observation", [OBSERVATION, "\r\n", OBSERVATION].concat(), 4),
        ("Patient", [PATIENT, "\r\n", PATIENT.trim()].concat(), 4),
        ("OperationOutcome", ["\r\n", OUTCOME].concat(), 5),
    ];
    for (kind, body, removed) in cases {
        let link = link(&mut gateway, kind);
        let answered = fetched(&mut gateway, &link, (200, &NDJSON, &lines.concat()));
        assert_eq!(String::from_utf8(answered.body).unwrap(), body, "{kind}");
        assert_eq!((answered.status, answered.held), (200, false));
        assert_eq!(answered.audit["decision"], "allow", "{}", answered.audit);
        assert_eq!(answered.audit["removed"], removed, "{}", answered.audit);
        assert!(["content-length", "etag"].iter().all(|name| answered.removed.contains(name)));
    }
}

#[test]
fn a_file_without_foreign_lines_stays_byte_for_byte() {
    let mut gateway = gateway("enforce");
    let link = link(&mut gateway, "Observation");
    for body in ["", OBSERVATION, OBSERVATION.trim(), &OBSERVATION.repeat(100)] {
        let answered = fetched(&mut gateway, &link, (200, &NDJSON, body));
        assert_eq!(answered.body, body.as_bytes());
        assert_eq!(answered.audit["removed"], Value::Null, "{}", answered.audit);
    }
}

#[test]
fn what_is_no_file_is_judged_as_a_held_answer() {
    let json = [("content-type", "application/fhir+json")];
    let gzip = [NDJSON[0], ("content-encoding", "gzip")];
    let cases: [(u16, Fields<'_>, &str, u16, &str); 10] = [
        (200, &json, OBSERVATION, 502, "answer_ndjson"),
        (200, &[], OBSERVATION, 502, "answer_ndjson"),
        (200, &gzip, OBSERVATION, 502, "answer_encoding"),
        (206, &NDJSON, OBSERVATION, 502, "answer_status"),
        (304, &NDJSON, "", 502, "answer_status"),
        (307, &[("location", "/elsewhere")], "", 502, "answer_status"),
        (404, &json, PATIENT, 502, "answer_error_body"),
        (404, &[("content-type", "text/html")], PATIENT, 502, "answer_error_body"),
        (404, &json, OUTCOME, 404, "allowed"),
        (410, &[], "", 410, "allowed"),
    ];
    for (status, headers, body, seen, reason) in cases {
        let mut gateway = gateway("enforce");
        let link = link(&mut gateway, "Observation");
        let answered = fetched(&mut gateway, &link, (status, headers, body));
        assert_eq!(
            (answered.status, &answered.audit["reason"]),
            (seen, &json!(reason)),
            "{status}"
        );
        assert!(!answered.body.windows(6).any(|part| part == b"SECRET"), "{status}");
    }
}

#[test]
fn a_file_is_asked_for_whole_uncompressed_and_as_ndjson() {
    let asked = [
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("range", "bytes=0-9"),
        ("if-none-match", "1"),
    ];
    for (check, judged) in [("enforce", true), ("report", true), ("off", false)] {
        let mut gateway = gateway(check);
        let link = link(&mut gateway, "Observation");
        let bearer = bearer(&gateway, "system/*.rs");
        let headers = [&asked[..], &[("authorization", bearer.as_str())]].concat();
        let sent = gateway.send("GET", &link, &headers, b"");
        let accept = if judged { "application/fhir+ndjson" } else { "*/*" };
        assert_eq!(sent.header("accept"), Some(accept), "{check}");
        for (name, value) in &asked[1..] {
            assert_eq!(sent.header(name), (!judged).then_some(*value), "{check}: {name}");
        }
    }
}

#[test]
fn a_report_says_what_would_be_left_out_and_off_does_not_look() {
    let body = [OBSERVATION, PATIENT].concat();
    for (check, removed) in [("report", json!(1)), ("off", Value::Null)] {
        let mut gateway = gateway(check);
        let link = link(&mut gateway, "Observation");
        let answered = fetched(&mut gateway, &link, (200, &NDJSON, &body));
        assert_eq!(answered.body, body.as_bytes(), "{check}");
        assert_eq!(answered.removed, Vec::<&str>::new(), "{check}");
        assert_eq!(answered.audit["removed"], removed, "{check}: {}", answered.audit);
        let answered = fetched(&mut gateway, &link, (200, &[], &body));
        assert_eq!((answered.status, answered.body.as_slice()), (200, body.as_bytes()), "{check}");
        let would = if check == "report" { json!("error") } else { Value::Null };
        assert_eq!(answered.audit["would"], would, "{check}: {}", answered.audit);
    }
}

/// What happens to the parts of a file, before trailers if `trailers` is set.
fn streamed(gateway: &mut Gateway, parts: &[&[u8]], trailers: bool) -> (Vec<Step>, Value) {
    let link = link(gateway, "Observation");
    let bearer = bearer(gateway, "system/*.rs");
    let head = [
        (":method", "GET"),
        (":path", link.as_str()),
        (":authority", "api.clinic.example"),
        ("authorization", bearer.as_str()),
    ];
    let mut exchange = Exchange::default();
    let head = Event::RequestHead { headers: fields(&head), end_of_stream: true };
    let answer = fields(&[(":status", "200"), NDJSON[0]]);
    let answer = Event::ResponseHead { headers: answer, end_of_stream: false };
    let part = |part: &&[u8]| Event::ResponsePart { part: part.to_vec(), end_of_stream: false };
    let trailers = trailers.then_some(Event::ResponseTrailers);
    let events = [head, answer].into_iter().chain(parts.iter().map(part)).chain(trailers);
    let steps = events.map(|event| exchange.on(event, &mut gateway.worker, &gateway.caps));
    let steps: Vec<Step> = steps.skip(2).collect();
    let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
    (steps, serde_json::from_str(&line).unwrap())
}

#[test]
fn trailers_end_a_file_without_a_last_line_that_has_not_ended() {
    for (rest, removed) in [("", Value::Null), (OBSERVATION.trim(), json!(1)), ("{", json!(1))] {
        let parts = [OBSERVATION.as_bytes(), rest.as_bytes()];
        let (steps, audit) = streamed(&mut gateway("enforce"), &parts, true);
        assert!(steps.iter().all(|step| step.next == Next::Continue), "{rest}");
        assert!(steps[2].effects.is_empty(), "the body has gone on: {rest}");
        assert_eq!(audit["removed"], removed, "{rest}");
    }
}

#[test]
fn a_line_that_is_too_long_breaks_the_file_off_for_good() {
    let long = vec![b'x'; MAX_LINE];
    let parts = [OBSERVATION.as_bytes(), &long, b"x", b"\n", OBSERVATION.as_bytes()];
    let (steps, audit) = streamed(&mut gateway("enforce"), &parts, true);
    let [first, held, refused, after @ ..] = steps.as_slice() else { panic!() };
    assert_eq!((first.next, held.next), (Next::Continue, Next::Continue));
    assert!(matches!(held.effects.as_slice(), [Effect::ReplaceAnswer(none)] if none.is_empty()));
    assert!(matches!(refused.effects.as_slice(), [_, Effect::Reply(_)]));
    assert_eq!(refused.next, Next::Pause);
    let [newline, last, trailers] = after else { panic!() };
    for step in [newline, last] {
        assert!(
            matches!(step.effects.as_slice(), [Effect::ReplaceAnswer(none)] if none.is_empty())
        );
        assert_eq!(step.next, Next::Pause);
    }
    assert_eq!((trailers.next, trailers.effects.len()), (Next::Pause, 0));
    assert_eq!(audit["reason"], "export_line_too_long", "{audit}");
    let (steps, audit) = streamed(&mut gateway("report"), &parts[..3], false);
    assert!(steps.iter().all(|step| step.next == Next::Continue && step.effects.is_empty()));
    assert_eq!(audit["would"], "error", "{audit}");
}

#[test]
fn a_line_that_finds_no_room_breaks_the_file_off_and_whole_lines_need_none() {
    let mut gateway = gateway("enforce");
    let mut place = None;
    gateway.worker.room.take(&mut place, MAX_HELD, MAX_HELD).unwrap();
    let parts = [OBSERVATION.as_bytes(), b"{", OBSERVATION.as_bytes()];
    let (steps, audit) = streamed(&mut gateway, &parts, true);
    assert_eq!((steps[0].next, steps[0].effects.len()), (Next::Continue, 0));
    assert!(matches!(steps[1].effects.as_slice(), [_, Effect::Reply(_)]));
    assert!(steps[2..].iter().all(|step| step.next == Next::Pause));
    assert_eq!(audit["reason"], "held_enough", "{audit}");
}
