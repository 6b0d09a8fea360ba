//! Every wrapping that collectors make, and what only looks like a record.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cli::tests::Scratch;

const RECORD: &str = r#"{"schema":"phiward.audit/1","time":"2026-09-21T14:13:20.250Z","id":"5f1c0d3e9a7b2c44-17","decision":"allow","reason":"allowed","who":{"issuer":"i","sub":"a\"\\\u2026b","jti":"t"},"from":{},"what":{"method":"GET"},"outcome":{"status":200,"bytes":1,"duration_ms":0.5}}"#;

const CHECKPOINT: &str = r#"{"schema":"phiward.audit.checkpoint/1","time":"2026-09-21T14:14:00.000Z","stream":"5f1c0d3e9a7b2c44","count":18}"#;

/// Line, kind and text of everything that is found in a file.
fn found(content: &[u8]) -> (Vec<(u64, Kind, String)>, Counts) {
    let file = Scratch::new("audit.log", content);
    let mut reader = Reader::new(std::slice::from_ref(&file.0));
    let found = reader.by_ref().map(|found| {
        let found = found.unwrap();
        assert_eq!(found.place.to_string(), format!("{}:{}", file.0.display(), found.place.line));
        (found.place.line, found.kind, found.text)
    });
    (found.collect(), reader.counts())
}

fn texts(line: &str) -> Vec<String> {
    found(line.as_bytes()).0.into_iter().map(|(_, _, text)| text).collect()
}

/// A record as collectors leave it that sort its members and add their own.
fn sorted() -> Value {
    let mut record: Value = serde_json::from_str(RECORD).unwrap();
    record["@timestamp"] = json!("2026-09-21T14:13:20Z");
    record["zone"] = json!({"log": RECORD});
    record
}

#[test]
fn a_record_is_found_in_whatever_wraps_it() {
    let object: Value = serde_json::from_str(RECORD).unwrap();
    let envoy = format!(
        "[2026-09-21 14:13:20.250][27][info][wasm] [source/extensions/common/wasm/context.cc:1137] wasm log phiward: {RECORD}"
    );
    let body =
        |text: &str| json!({"timeUnixNano": "1", "body": {"stringValue": text}, "attributes": []});
    let otlp = json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [body(RECORD)]}]}]});
    let rows: [(&str, String); 19] = [
        ("alone", RECORD.to_owned()),
        ("with space and CR", format!("  {RECORD} \r")),
        ("Envoy's log", envoy.clone()),
        ("Kubernetes before Envoy's log", format!("2026-09-21T14:13:20.250Z stderr F {envoy}")),
        ("Docker's log file", json!({"log": format!("{envoy}\n"), "stream": "stderr"}).to_string()),
        ("Fluent Bit, text", json!({"date": 1.5, "log": envoy, "kubernetes": {}}).to_string()),
        ("Fluent Bit, object", json!({"date": 1.5, "log": object}).to_string()),
        ("Vector", json!({"file": "x", "host": "h", "message": envoy}).to_string()),
        ("Vector, object", json!({"message": object, "timestamp": "t"}).to_string()),
        ("Splunk HEC", json!({"time": 1, "event": object, "fields": {}}).to_string()),
        ("Splunk HEC, text", json!({"time": 1, "event": RECORD}).to_string()),
        ("Splunk export", json!({"result": {"_raw": RECORD, "host": "h"}}).to_string()),
        ("OTLP", otlp.to_string()),
        ("journald", json!({"MESSAGE": envoy, "_PID": "1"}).to_string()),
        ("Elasticsearch", json!({"hits": {"hits": [{"_id": "1", "_source": object}]}}).to_string()),
        ("Google Cloud", json!({"jsonPayload": {"message": RECORD}}).to_string()),
        ("a list", json!([object]).to_string()),
        ("text in text", json!({"message": json!({"log": RECORD}).to_string()}).to_string()),
        ("escaped slash", json!({"message": RECORD}).to_string().replace('/', "\\/")),
    ];
    for (name, line) in rows {
        let texts = texts(&line);
        assert_eq!(texts.len(), 1, "{name}: {texts:?}");
        let read: Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(read, object, "{name}");
        let found = Found {
            place: Place { file: "".into(), line: 1 },
            kind: Kind::Record,
            text: texts[0].clone(),
        };
        let record = found.record().unwrap();
        assert_eq!(
            record.who.as_ref().map(|who| who.sub.as_ref().unwrap().split_at(2).0),
            Some("a\""),
            "{name}"
        );
        assert_eq!(record.place_in_stream(), Some((0x5f1c_0d3e_9a7b_2c44, 17)), "{name}");
    }
}

#[test]
fn members_in_another_order_and_added_ones_do_no_harm() {
    for line in [sorted().to_string(), json!({"event": sorted()}).to_string()] {
        let (found, _) = found(line.as_bytes());
        assert_eq!(found.len(), 1, "{line}");
        assert_eq!(found[0].1, Kind::Record);
        assert_eq!(serde_json::from_str::<Value>(&found[0].2).unwrap(), sorted());
    }
}

#[test]
fn a_line_can_hold_several() {
    let two = json!([{"body": {"stringValue": RECORD}}, {"body": {"stringValue": CHECKPOINT}}]);
    let otlp = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": two}]}]}).to_string();
    let hec = format!(r#"{{"event":{RECORD}}}{{"event":{CHECKPOINT}}}"#);
    let spaced = format!(r#"{{"event":{RECORD}}} {{"event":{CHECKPOINT}}}"#);
    for line in [otlp, hec, spaced] {
        let (found, counts) = found(format!("{line}\nother\n{CHECKPOINT}\n").as_bytes());
        let kinds: Vec<_> = found.iter().map(|(line, kind, _)| (*line, *kind)).collect();
        let expected = [(1, Kind::Record), (1, Kind::Checkpoint), (3, Kind::Checkpoint)];
        assert_eq!(kinds, expected, "{line}");
        assert_eq!((counts.lines, counts.others), (3, 1));
    }
}

#[test]
fn what_only_looks_like_a_record_is_none() {
    let access_log = json!({"user_agent": RECORD, "path": "/fhir", "headers": {"x": RECORD}});
    let other_version = RECORD.replace("audit/1", "audit/2");
    let rows = [
        String::new(),
        "plain text".to_owned(),
        "phiward.audit/1 is the name of the form".to_owned(),
        access_log.to_string(),
        json!({"message": access_log}).to_string(),
        json!({"message": {"user_agent": RECORD}}).to_string(),
        json!({"schema": ["phiward.audit/1"]}).to_string(),
        json!({"schema": "another", "id": RECORD}).to_string(),
        json!({"name": "phiward.audit/1"}).to_string(),
        format!("x{other_version}"),
        other_version,
        r#"{"broken": "json"#.to_owned(),
        "[{]".to_owned(),
    ];
    for line in rows {
        assert_eq!(texts(&line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn what_was_cut_or_is_followed_by_something_is_found_and_broken() {
    let cut = RECORD.split_at(RECORD.len() / 2).0;
    let string = json!({"message": RECORD}).to_string();
    let rows = [
        cut.to_owned(),
        format!("[info] {cut}"),
        format!("[info] {RECORD}\" 200 -"),
        format!(r#"{{"event":{cut}"#),
        string.split_at(string.len() / 2).0.to_owned(),
        format!("{RECORD}{RECORD}"),
        RECORD.replace("\"id\":", "\"id\":1,\"id\":"),
        RECORD.replace("\"reason\":\"allowed\",", ""),
        RECORD.replace("\"allow\"", "\"perhaps\""),
    ];
    for line in rows {
        let (found, _) = found(line.as_bytes());
        assert_eq!(found.len(), 1, "{line}");
        let (line, kind, text) = found.into_iter().next().unwrap();
        let found = Found { place: Place { file: "f".into(), line }, kind, text };
        assert!(found.record().is_err(), "{line}");
    }
}

#[test]
fn long_lines_are_passed_over_and_the_next_is_read() {
    let long = "x".repeat(MAX_LINE as usize - 1);
    let content = format!("{long}\n{RECORD}\n{long}x\n{long}xx\n{RECORD}\n{CHECKPOINT}");
    let (found, counts) = found(content.as_bytes());
    let lines: Vec<u64> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [2, 5, 6]);
    assert_eq!((counts.lines, counts.others, counts.long), (6, 1, 2));
    assert_eq!(counts.bytes, content.len() as u64);
}

#[test]
fn bytes_that_are_no_text_do_not_end_reading() {
    let content = [b"\xff\xfe\x00 [info] ", RECORD.as_bytes(), b"\n\xff\n"].concat();
    let (found, counts) = found(&content);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].2, RECORD);
    assert_eq!((counts.lines, counts.others), (2, 1));
}

#[test]
fn several_files_are_read_in_turn_and_one_that_is_missing_is_named() {
    let (first, second) =
        (Scratch::new("1", RECORD.as_bytes()), Scratch::new("2", RECORD.as_bytes()));
    let files = [first.0.clone(), second.0.clone()];
    let size = RECORD.len() as u64;
    assert_eq!(total(&files).unwrap(), Some(size * 2));
    assert_eq!(total(&[first.0.clone(), "-".into()]).unwrap(), None);
    let names: Vec<String> =
        Reader::new(&files).map(|found| found.unwrap().place.to_string()).collect();
    assert_eq!(names, files.each_ref().map(|file| format!("{}:1", file.display())));
    fs::remove_file(&first.0).unwrap();
    let all: Vec<_> = Reader::new(&files).collect();
    assert_eq!(all.len(), 2);
    let expected = format!("{}: can't be read: ", files[0].display());
    let unreadable = all[0].as_ref().unwrap_err().to_string();
    assert!(unreadable.starts_with(&expected), "{unreadable}");
    assert!(all[1].is_ok());
    assert!(total(&files).unwrap_err().to_string().starts_with(&expected));
    let folder = second.0.parent().unwrap().to_owned();
    assert!(total(&[folder]).unwrap_err().to_string().ends_with("it is a folder"));
}

fn wrapping() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        Just(RECORD.to_owned()),
        Just(CHECKPOINT.to_owned()),
        Just(r#"{"schema":"phiward.audit"#.to_owned()),
        Just("[{".to_owned()),
        ".*",
    ];
    words.prop_recursive(6, 20, 3, |inner| {
        prop_oneof![
            (prop_oneof![Just("log"), Just("schema"), Just("body"), Just("x")], inner.clone())
                .prop_map(|(name, text)| json!({name: text}).to_string()),
            inner.clone().prop_map(|text| format!(r#"{{"event":{text}}}"#)),
            inner.clone().prop_map(|text| format!("[{text},{text}]")),
            proptest::collection::vec(inner, 0..3).prop_map(|texts| texts.concat()),
        ]
    })
}

proptest! {
    #[test]
    fn any_line_is_read_without_harm(line in wrapping()) {
        let mut kinds = Vec::new();
        line::records(&line, &mut |kind, text| {
            let found = Found { place: Place { file: "".into(), line: 1 }, kind, text: text.to_owned() };
            let _ = (found.record().is_ok(), found.checkpoint().is_ok());
            kinds.push(kind);
        });
        prop_assert!(kinds.is_empty() || line.contains("phiward.audit"));
    }

    #[test]
    fn deep_nesting_ends(depth in 0_usize..300) {
        let line = format!("{}{RECORD}{}", r#"{"event":"#.repeat(depth), "}".repeat(depth));
        let mut found = Vec::new();
        line::records(&line, &mut |kind, _| found.push(kind));
        let found = found.len();
        prop_assert!(found == usize::from(depth < 11) || depth > 10, "{depth}: {found}");
    }
}
