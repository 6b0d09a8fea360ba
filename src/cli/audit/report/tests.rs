//! The program on files of records: what it counts, what it lists, what it refuses to read.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::html::markup::Html;
use super::*;
use crate::cli::tests::{Scratch, called};

/// A record of the instance `a`, overlaid with `changes`.
fn record(count: u64, changes: Value) -> Value {
    let mut record = json!({
        "schema": "phiward.audit/1",
        "time": format!("2026-09-21T14:{:02}:00.000Z", count % 60),
        "id": format!("000000000000000a-{count}"),
        "decision": "allow",
        "reason": "allowed",
        "who": {"issuer": "https://i", "sub": "alice", "client": "app", "user": "Practitioner/1", "jti": "t1"},
        "from": {},
        "what": {"method": "GET", "interaction": "read", "type": "Observation", "id": "o1"},
        "outcome": {"status": 200, "bytes": 10, "duration_ms": 1.5},
        "patients": ["p1"],
    });
    overlay(&mut record, changes);
    record
}

fn overlay(value: &mut Value, changes: Value) {
    match (value, changes) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                overlay(members.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, changes) => *value = changes,
    }
}

fn denied(count: u64, reason: &str, changes: Value) -> Value {
    let mut record =
        record(count, json!({"decision": "deny", "reason": reason, "outcome": {"status": 403}}));
    overlay(&mut record, changes);
    record
}

fn file(records: &[Value]) -> Scratch {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    Scratch::new("audit.ndjson", lines.join("\n").as_bytes())
}

/// What `audit report` writes about records with these options.
fn told(records: &[Value], options: &[&str]) -> String {
    let file = file(records);
    let arguments = [&["audit", "report", file.0.to_str().unwrap()][..], options].concat();
    let (exit, out, err) = called(&arguments);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{options:?}");
    out
}

fn report(records: &[Value], options: &[&str]) -> Value {
    let out = told(records, &[&["--format", "json"], options].concat());
    assert!(out.is_ascii(), "{out}");
    serde_json::from_str(&out).unwrap()
}

/// A day with something of everything.
fn day() -> Vec<Value> {
    let export =
        json!({"interaction": "operation", "operation": "$export", "type": "Group", "id": "7"});
    vec![
        record(1, json!({})),
        record(2, json!({"patients": ["p2", "p3"], "who": {"jti": "t2"}})),
        record(2, json!({"patients": ["p2", "p3"], "who": {"jti": "t2"}})),
        denied(3, "scope_insufficient", json!({"patients": ["p4"]})),
        denied(
            4,
            "scope_insufficient",
            json!({"who": {"sub": "bob", "user": null, "client": "other"}}),
        ),
        denied(5, "token_expired", json!({"who": null, "patients": []})),
        record(
            6,
            json!({"decision": "error", "reason": "token_keys_missing", "who": null, "patients": []}),
        ),
        record(7, json!({"outcome": {"failure": "client_gone", "status": null}})),
        record(
            10,
            json!({"what": {"interaction": "batch", "type": null, "id": null}, "patients": []}),
        ),
        record(11, json!({"part_of": "000000000000000a-10", "patients": ["p5"]})),
        denied(
            12,
            "scope_insufficient",
            json!({"part_of": "000000000000000a-10", "patients": ["p6"]}),
        ),
        record(13, json!({"what": export, "outcome": {"status": 202}, "removed": 2})),
        record(
            14,
            json!({"what": export, "outcome": {"status": 200, "bytes": 5000}, "removed": 1}),
        ),
        record(
            15,
            json!({"patients_unread": true, "would": "deny", "observe": true, "reason": "scope_insufficient"}),
        ),
    ]
}

fn names(list: &Value) -> Vec<(&str, u64, u64)> {
    let rows = list["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        (
            row["name"].as_str().unwrap(),
            row["records"].as_u64().unwrap(),
            row["refused"].as_u64().unwrap(),
        )
    })
    .collect()
}

#[test]
fn everything_is_counted_once() {
    let report = report(&day(), &[]);
    let input = &report["input"];
    assert_eq!(
        (&input["records"], &input["repeats"], &input["lines"]),
        (&json!(13), &json!(1), &json!(14))
    );
    let counted = |total, allow, deny, error, observed| json!({"total": total, "allow": allow, "deny": deny, "error": error, "observed": observed});
    assert_eq!(report["requests"], counted(11, 7, 3, 1, 1));
    assert_eq!(report["parts"], counted(2, 1, 1, 0, 0));
    assert_eq!((&report["batches"], &report["patients_unread"]), (&json!(1), &json!(1)));
    assert_eq!(
        report["period"],
        json!({"first": "2026-09-21T14:01:00Z", "last": "2026-09-21T14:15:00Z"})
    );
    let refusals = json!([
        {"name": "scope_insufficient", "count": 2},
        {"name": "token_expired", "count": 1},
        {"name": "token_keys_missing", "count": 1},
    ]);
    assert_eq!(report["refusals"], refusals);
    assert_eq!(report["failures"], json!([{"name": "client_gone", "count": 1}]));
    let patients =
        [("p1", 6, 1), ("p2", 1, 0), ("p3", 1, 0), ("p4", 1, 1), ("p5", 1, 0), ("p6", 1, 1)];
    assert_eq!(names(&report["patients"]), patients);
    assert_eq!(report["patients"]["only_refused"], 2);
    assert_eq!(names(&report["users"]), [("Practitioner/1", 10, 2), ("bob", 1, 1)]);
    assert_eq!(names(&report["clients"]), [("app", 10, 2), ("other", 1, 1)]);
    assert_eq!(names(&report["tokens"]), [("t1", 10, 3), ("t2", 1, 0)]);
    assert_eq!(report["tokens"]["rows"][0]["patients"], 2, "p1 and p5; p4 and p6 were refused");
    assert_eq!(report["wide_tokens"]["rows"][1]["name"], "t2");
    assert_eq!(report["accesses"], Value::Null);
}

#[test]
fn requests_and_refusals_are_spread_over_time() {
    let report = report(&day(), &[]);
    let sums = |series: &Value| -> Vec<u64> {
        let buckets = series["buckets"].as_array().unwrap();
        let names = series["names"].as_array().unwrap().len();
        let sum =
            |of: usize| buckets.iter().map(|bucket| bucket["counts"][of].as_u64().unwrap()).sum();
        (0..names).map(sum).collect()
    };
    assert_eq!(report["over_time"]["names"], json!(["allow", "deny", "error"]));
    assert_eq!(report["over_time"]["bucket_seconds"], 5);
    assert_eq!(sums(&report["over_time"]), [7, 3, 1]);
    let reasons = json!(["scope_insufficient", "token_expired", "token_keys_missing"]);
    assert_eq!(report["refusals_over_time"]["names"], reasons);
    assert_eq!(sums(&report["refusals_over_time"]), [2, 1, 1]);
    let many: Vec<Value> = (1..=20).map(|n| denied(n, &format!("r{}", n % 8), json!({}))).collect();
    let report = self::report(&many, &[]);
    assert_eq!(report["refusals_over_time"]["names"][6], "others");
    assert_eq!(sums(&report["refusals_over_time"]).iter().sum::<u64>(), 20);
}

#[test]
fn exports_are_told_with_who_and_what_came_of_them() {
    let report = report(&day(), &[]);
    let expected = json!([{
        "issuer": "https://i", "client": "app", "user": "Practitioner/1", "token": "t1",
        "request": "GET Group/7/$export", "requests": 2, "refused": 0, "statuses": {"200": 1, "202": 1},
        "bytes": 5010, "removed": 3, "first": "2026-09-21T14:13:00Z", "last": "2026-09-21T14:14:00Z",
    }]);
    assert_eq!(report["exports"], expected);
}

#[test]
fn missing_records_are_named_and_checkpoints_tell_of_a_missing_tail() {
    let mut records = day();
    let checkpoint = |stream: &str, count: u64| json!({"schema": "phiward.audit.checkpoint/1", "time": "2026-09-21T15:00:00.000Z", "stream": stream, "count": count, "last": true});
    records.extend([checkpoint("000000000000000a", 17), checkpoint("000000000000000b", 0)]);
    let chain = &report(&records, &["--since", "2026-09-21T14:10:00Z"])["chain"];
    let gap = |first, last, records, after: &str, before: &str, tail| {
        json!({"stream": "000000000000000a", "first": first, "last": last, "records": records,
            "after": after, "before": before, "tail": tail})
    };
    let gaps = json!([
        gap(8, 9, 2, "2026-09-21T14:07:00Z", "2026-09-21T14:10:00Z", false),
        gap(16, 17, 2, "2026-09-21T14:15:00Z", "2026-09-21T15:00:00Z", true),
    ]);
    assert_eq!(chain["gaps"], gaps);
    assert_eq!(
        (&chain["missing"], &chain["breaks"], &chain["streams"]),
        (&json!(4), &json!(2), &json!(2))
    );
    let table = told(&records, &[]);
    assert!(table.contains("BROKEN: 4 records missing in 2 places, of 2 instances"), "{table}");
    let table = told(&records[..3], &[]);
    assert!(table.contains("no record of 1 instance is missing"), "{table}");
}

#[test]
fn every_filter_leaves_what_it_says() {
    let ids = |options: &[&str]| -> Vec<u64> {
        let options = [options, &["--client", "app"]].concat();
        let report = report(&day(), &options);
        let accesses = report["accesses"].as_array().unwrap().iter();
        let count = |access: &Value| access["id"].as_str().unwrap().split_at(17).1.parse().unwrap();
        accesses.map(count).collect()
    };
    let rows: [(&[&str], &[u64]); 11] = [
        (&["--patient", "p1"], &[1, 7, 13, 14, 15]),
        (&["--patient", "Patient/p3"], &[2]),
        (&["--patient", "p"], &[]),
        (&["--token", "t2"], &[2]),
        (&["--user", "alice"], &[1, 2, 3, 7, 10, 11, 12, 13, 14, 15]),
        (&["--user", "Practitioner/1", "--decision", "deny"], &[3, 12]),
        (&["--decision", "error"], &[]),
        (&["--since", "2026-09-21T14:14:00Z"], &[14, 15]),
        (&["--until", "2026-09-21T14:02:00Z"], &[1]),
        (&["--since", "1790000040", "--until", "2026-09-21T14:15:00Z", "--patient", "p1"], &[14]),
        (&["--user", "bob"], &[]),
    ];
    for (options, expected) in rows {
        assert_eq!(ids(options), expected, "{options:?}");
    }
}

#[test]
fn a_patient_is_found_wherever_a_record_names_it() {
    let rows = [
        (json!({"patients": ["a", "x"]}), true),
        (json!({"patients": ["Patient/x"]}), true),
        (json!({"patients": ["https://fhir.example/Patient/x"]}), true),
        (json!({"who": {"patient": "x"}}), true),
        (json!({"what": {"patient": "x"}}), true),
        (json!({"what": {"type": "Patient", "id": "x"}}), true),
        (json!({"what": {"type": "Observation", "id": "x"}}), false),
        (json!({"what": {"compartment": "Patient/x"}}), true),
        (json!({"what": {"compartment": "Encounter/x"}}), false),
        (json!({"what": {"parameters": [{"name": "patient", "value": "a,x"}]}}), true),
        (json!({"what": {"parameters": [{"name": "subject", "value": "Patient/x"}]}}), true),
        (json!({"what": {"parameters": [{"name": "subject", "value": "Group/x"}]}}), false),
        (json!({"what": {"parameters": [{"name": "_id", "value": "x"}]}}), false),
        (
            json!({"what": {"type": "Patient", "parameters": [{"name": "_id", "value": "y,x"}]}}),
            true,
        ),
        (
            json!({"what": {"parameters": [{"name": "code", "value": "x"}, {"name": "patient"}]}}),
            false,
        ),
        (json!({"who": {"sub": "x", "user": "x", "jti": "x"}}), false),
    ];
    for (changes, found) in rows {
        let report = report(&[record(1, changes.clone())], &["--patient", "x"]);
        assert_eq!(report["taken"] == 1, found, "{changes}");
    }
}

#[test]
fn a_list_of_accesses_ends_at_its_limit_and_counts_the_rest() {
    let records: Vec<Value> = (1..=9).rev().map(|n| record(n, json!({}))).collect();
    let report = report(&records, &["--token", "t1", "--limit", "4"]);
    let times: Vec<_> =
        report["accesses"].as_array().unwrap().iter().map(|row| &row["time"]).collect();
    assert_eq!(times.len(), 4);
    assert!(times.is_sorted_by_key(|time| time.as_str()));
    assert_eq!(report["accesses_left_out"], 5);
    let table = told(&records, &["--token", "t1", "--limit", "4"]);
    assert!(table.ends_with("  … 4 of 9\n"), "{table}");
}

#[test]
fn the_patients_of_a_token_are_all_told() {
    let records: Vec<Value> = (1..=300)
        .map(|n| {
            record(
                n,
                json!({"patients": [format!("p{n}")], "who": {"jti": format!("t{}", n / 290)}}),
            )
        })
        .collect();
    let overview = report(&records, &[]);
    assert_eq!(names(&overview["patients"]).len(), 20);
    assert_eq!(
        (&overview["patients"]["complete"], &overview["patients"]["distinct"]),
        (&json!(false), &json!(300))
    );
    let token = report(&records, &["--token", "t0"]);
    assert_eq!(names(&token["patients"]).len(), 289);
    assert_eq!(token["patients"]["complete"], true);
    let patients = &token["tokens"]["rows"][0];
    assert_eq!(patients["patients_estimated"], true, "{patients}");
    assert!((270..310).contains(&patients["patients"].as_u64().unwrap()), "{patients}");
}

#[test]
fn equal_names_of_two_issuers_are_two_users() {
    let records = [record(1, json!({})), record(2, json!({"who": {"issuer": "https://j"}}))];
    let report = report(&records, &[]);
    let issuers: Vec<_> = (0..2).map(|row| &report["users"]["rows"][row]["issuer"]).collect();
    assert_eq!(issuers, ["https://i", "https://j"]);
    for form in ["table", "html"] {
        assert!(told(&records, &["--format", form]).contains("https://j"), "{form}");
    }
    assert!(!told(&records[..1], &[]).contains("https://i"));
}

#[test]
fn names_from_outside_are_only_text_in_every_form() {
    let name = "<script>alert(1)</script>\u{1b}]0;x\u{7}\u{9b}2J\u{202e}'\"&";
    let who = json!({"sub": name, "user": name, "client": name, "jti": name, "issuer": name});
    let what = json!({"method": name, "interaction": name, "type": name, "id": name, "operation": "$export"});
    let changes = json!({"who": who, "what": what, "patients": [name], "reason": name, "decision": "deny",
        "outcome": {"failure": name}});
    let records = [record(1, changes), record(2, json!({"who": {"jti": name}}))];
    for options in [&[][..], &["--token", name], &["--patient", name]] {
        let html = told(&records, &[options, &["--format", "html"]].concat());
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{1b}]0;x\\u{7}\\u{9b}2J\\u{202e}&#39;&quot;&amp;"));
        let table = told(&records, &[options, &["--format", "table"]].concat());
        assert!(table.contains("<script>alert(1)</script>\\u{1b}]0;"), "{table}");
        for text in [html, table, told(&records, &[options, &["--format", "json"]].concat())] {
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'),
                "{text}"
            );
        }
    }
}

#[test]
fn broken_records_are_named_and_the_rest_is_counted() {
    let good = record(1, json!({})).to_string();
    let lines = [
        good.split_at(good.len() - 10).0,
        &good,
        "[info] started",
        &record(2, json!({"time": "yesterday"})).to_string(),
        &record(2, json!({"id": "17"})).to_string(),
        &record(2, json!({"decision": "\u{1b}[2J"})).to_string(),
    ];
    let file = Scratch::new("audit.log", lines.join("\n").as_bytes());
    let path = file.0.to_str().unwrap();
    let (exit, out, err) = called(&["audit", "report", "--format", "json", path]);
    assert_eq!(exit, Exit::Ok);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["input"]["records"], &report["input"]["broken"]), (&json!(1), &json!(4)));
    assert_eq!(report["input"]["others"], 1);
    let told: Vec<&str> = err.lines().collect();
    assert_eq!(told.len(), 4, "{err}");
    for (line, number) in told.iter().zip([1, 4, 5, 6]) {
        assert!(
            line.starts_with(&format!("{path}:{number}: this record can't be read: ")),
            "{err}"
        );
    }
    assert!(!err.contains('\u{1b}'), "{err}");
}

#[test]
fn what_can_not_be_done_is_told() {
    let (good, empty) = (file(&[record(1, json!({}))]), Scratch::new("empty", b"nothing\n"));
    let (good, empty) = (good.0.to_str().unwrap(), empty.0.to_str().unwrap());
    let rows: [(&[&str], &str); 12] = [
        (&["audit"], "phiward: `audit` needs a command"),
        (&["audit", "x"], "phiward: unknown command `audit x`"),
        (&["audit", "--x"], "phiward: invalid option '--x'"),
        (&["audit", "report"], "phiward: `audit report` needs a file"),
        (&["audit", "report", "--x", good], "phiward: invalid option '--x'"),
        (
            &["audit", "report", "--format", "pdf", good],
            "phiward: cannot parse argument \"pdf\": expected `table`",
        ),
        (&["audit", "report", "--since", "now", good], "phiward: cannot parse argument \"now\""),
        (
            &["audit", "report", "--decision", "maybe", good],
            "phiward: cannot parse argument \"maybe\"",
        ),
        (&["audit", "report", "--limit", "-1", good], "phiward: cannot parse argument \"-1\""),
        (&["audit", "report", good, "/nowhere/x"], "/nowhere/x: can't be read: "),
        (&["audit", "report", empty], "phiward: there is no audit record in what was read"),
        (&["audit", "report", good, "--output", "/nowhere/x"], "/nowhere/x: can't be written: "),
    ];
    for (arguments, expected) in rows {
        let (exit, out, err) = called(arguments);
        assert_eq!((exit, out.as_str()), (Exit::Unusable, ""), "{arguments:?}");
        assert!(err.starts_with(expected), "{arguments:?}: {err}");
    }
    for arguments in [&["audit", "--help"][..], &["audit", "report", "-h"]] {
        assert_eq!(called(arguments).0, Exit::Ok, "{arguments:?}");
    }
}

#[test]
fn a_report_goes_to_its_file() {
    let records = file(&[record(1, json!({}))]);
    let page = Scratch::new("report.html", b"something longer that was there before");
    let (records, path) = (records.0.to_str().unwrap(), page.0.to_str().unwrap());
    let done = called(&["audit", "report", "--format", "html", "--output", path, records]);
    assert_eq!(done, (Exit::Ok, String::new(), String::new()));
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"), "{text}");
}

#[test]
fn a_filter_that_fits_nothing_gives_an_empty_report() {
    for form in ["table", "json", "html"] {
        let text = told(&day(), &["--patient", "nobody", "--format", form]);
        assert!(!text.contains("p1\""), "{form}: {text}");
    }
    assert_eq!(report(&day(), &["--patient", "nobody"])["accesses"], json!([]));
}

proptest! {
    #[test]
    fn escaped_text_has_no_markup_and_reads_back(text in any::<String>()) {
        let mut html = Html::default();
        html.text(&text);
        let escaped = html.finish();
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"")
            .replace("&#39;", "'").replace("&amp;", "&");
        prop_assert_eq!(back, words::visible(&text));
    }
}
