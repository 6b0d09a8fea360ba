use serde_json::{Value, json};

use super::*;

const ONE: &str = r#"{"schema":"phiward.audit/1","time":"2026-09-21T14:13:20.250Z","id":"5f1c0d3e9a7b2c44-17","decision":"allow","reason":"allowed","from":{},"what":{"method":"GET"},"outcome":{"status":200,"bytes":1,"duration_ms":1.0}}"#;
const TWO: &str = r#"{"schema":"phiward.audit/1","time":"2026-09-21T14:13:21.000Z","id":"5f1c0d3e9a7b2c44-18","decision":"deny","reason":"scope_insufficient","from":{},"what":{"method":"GET"},"outcome":{"status":403,"bytes":1,"duration_ms":1.0}}"#;

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer { status, etag: None, body: body.to_string().into_bytes() }
}

fn text(shape: Option<Shape>) -> String {
    String::from_utf8(posted(shape, format!("{ONE}\n{TWO}\n"), None).body).unwrap()
}

#[test]
fn ndjson_has_the_lines_as_they_are() {
    assert_eq!(text(Some(Shape::Ndjson)), format!("{ONE}\n{TWO}\n"));
}

#[test]
fn splunk_gets_an_object_for_each_with_its_time() {
    let body = text(Some(Shape::SplunkHec));
    let events: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["time"], json!(1_790_000_000.25));
    assert_eq!(events[0]["event"], serde_json::from_str::<Value>(ONE).unwrap());
    assert_eq!(events[1]["sourcetype"], "phiward:audit");
}

#[test]
fn opentelemetry_gets_log_records_with_the_record_as_text() {
    let body: Value = serde_json::from_str(&text(Some(Shape::Otlp))).unwrap();
    let records = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    assert_eq!(records[0]["timeUnixNano"], "1790000000250000000");
    assert_eq!(records[0]["body"]["stringValue"], ONE);
    assert_eq!(records[1]["severityText"], "WARN");
    assert_eq!(records[1]["attributes"][0]["value"]["stringValue"], "5f1c0d3e9a7b2c44-18");
}

#[test]
fn ecs_and_audit_events_hold_every_record() {
    assert_eq!(text(Some(Shape::Ecs)).lines().count(), 2);
    let bundle: Value = serde_json::from_str(&text(None)).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 2);
}

#[test]
fn a_time_is_read_from_a_line() {
    assert_eq!(milliseconds(ONE), Some(1_790_000_000_250));
    for wrong in ["", "{}", r#""time":"2026Z"#, r#""time":"2026-13-21T14:13:20.250Z"#] {
        assert_eq!(milliseconds(wrong), None, "{wrong}");
    }
}

#[test]
fn what_can_never_be_taken_is_told_from_what_can_be_mended() {
    for (status, expected) in [
        (200, Answered::Taken),
        (204, Answered::Taken),
        (400, Answered::Refused),
        (413, Answered::Refused),
        (401, Answered::Later),
        (403, Answered::Later),
        (404, Answered::Later),
        (429, Answered::Later),
        (503, Answered::Later),
        (301, Answered::Later),
    ] {
        assert_eq!(
            answered(Some(Shape::Ndjson), &answer(status, &json!({}))),
            expected,
            "{status}"
        );
    }
}

#[test]
fn an_answer_that_takes_a_part_only_does_not_count_as_taken() {
    let partial = json!({"partialSuccess": {"rejectedLogRecords": "1"}});
    assert_eq!(answered(Some(Shape::Otlp), &answer(200, &partial)), Answered::Refused);
    assert_eq!(answered(Some(Shape::Otlp), &answer(200, &json!({}))), Answered::Taken);
    let bundle = |statuses: &[&str]| {
        let entry = |status: &&str| json!({"response": {"status": status}});
        json!({"entry": statuses.iter().map(entry).collect::<Vec<_>>()})
    };
    for (statuses, expected) in [
        (&["200 OK", "201 Created"][..], Answered::Taken),
        (&["201 Created", "422 Unprocessable"], Answered::Refused),
        (&["422 Unprocessable", "503"], Answered::Later),
        (&[""], Answered::Later),
    ] {
        assert_eq!(answered(None, &answer(200, &bundle(statuses))), expected, "{statuses:?}");
    }
    assert_eq!(answered(None, &answer(200, &json!({}))), Answered::Later);
}
