//! What collectors do to a record is undone, what a forger does is not.

use core::time::Duration;
use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::audit::seal::Sealer;
use crate::audit::{
    Decision, Discretion, Event, EventId, Failure, Origin, Outcome, Parameter, What, Who,
};
use crate::base::json::parse;
use crate::base::refusal::Reason;
use crate::base::time::Instant;
use crate::revocation::Freshness;

static REASON: Reason = Reason::new(403, "scope_insufficient", "forbidden", "not enough");

/// Every field of the event is named here, none with `..`: a new one must be written down, and then
/// it must be in the list of fields too.
fn complete() -> String {
    let roles = ["nurse".to_owned(), "nürse \u{1f600} \"\\".to_owned()];
    Event {
        time: Instant::from_nanoseconds(1_790_000_000_250_999_999),
        id: EventId { instance: 0x5f1c_0d3e_9a7b_2c44, count: 17 },
        request_id: Some(b"3b0c1a52"),
        decision: Decision::Deny(&REASON),
        observe: true,
        who: Some(Who {
            issuer: "https://auth.clinic.example",
            subject: Some("alice"),
            client: Some("heart-app"),
            user: Some("Practitioner/17"),
            organization: Some("Organization/4"),
            roles: &roles,
            token_id: Some("7c1f"),
            patient: Some("123"),
        }),
        from: Origin { address: Some(b"10.0.0.7:51234"), tls: Some(b"TLSv1.3") },
        what: What {
            method: Some(b"GET"),
            interaction: Some("search-type"),
            resource_type: Some("Observation"),
            id: Some("1"),
            version: Some("2"),
            operation: Some("$everything"),
            compartment: Some("Patient/123".to_owned()),
            patient: Some("123"),
            parameters: vec![
                Parameter { name: "category", value: "laboratory" },
                Parameter { name: "_id", value: "a\u{2028}b" },
            ],
        },
        outcome: Outcome {
            status: Some(200),
            bytes: 1234,
            duration: Duration::from_micros(12_345),
            failure: Some(Failure::ClientGone),
        },
        part_of: Some(EventId { instance: 0x5f1c_0d3e_9a7b_2c44, count: 16 }),
        patients: vec!["123"],
        unread: true,
        scopes: vec!["patient/Observation.rs"],
        narrowed: vec!["patient=Patient/123"],
        removed: Some(2),
        revocation: Some(Freshness::Fresh),
    }
    .line(&Discretion::new(&["_id".to_owned()], Some(b"a key of this deployment, 32 bytes")))
}

/// The complete line, the lines of the golden files and a checkpoint.
fn lines() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/audit");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let records = files.filter(|file| file.extension().is_some_and(|end| end == "json"));
    let records = records.map(|file| fs::read_to_string(file).unwrap().trim_end().to_owned());
    let records: Vec<String> =
        records.filter(|line| line.starts_with("{\"schema\":\"phiward.audit/1\"")).collect();
    assert!(records.len() >= 9, "{}", records.len());
    let checkpoint = Sealer::new(&[1; 32], "a").checkpoint(1, 0, Instant::default(), true);
    let checkpoint = format!("{}}}", checkpoint.split(",\"seal\"").next().unwrap());
    [complete(), checkpoint].into_iter().chain(records).collect()
}

fn value(line: &str) -> Value {
    parse(line.as_bytes()).unwrap()
}

#[test]
fn every_line_that_phiward_writes_is_its_own_canonical_form() {
    for line in lines() {
        assert_eq!(canonical(&value(&line)).as_deref(), Some(&*line));
    }
}

#[test]
fn the_list_has_no_field_that_is_never_written() {
    fn missing(fields: &[Field], value: &Value, at: &str, found: &mut Vec<String>) {
        for Field { name, kind } in fields {
            let pointer = format!("{at}/{name}");
            match (value.get(name), kind) {
                (None, _) => found.push(pointer),
                (Some(value), Kind::Object(fields) | Kind::Always(fields)) => {
                    missing(fields, value, &pointer, found);
                }
                (Some(Value::Array(items)), Kind::Objects(fields)) => {
                    let some = |one: &&Field| items.iter().any(|item| item.get(one.name).is_some());
                    let none = fields.iter().filter(|one| !some(one));
                    found.extend(none.map(|one| format!("{pointer}/{}", one.name)));
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    missing(RECORD, &value(&complete()), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_collectors_add_is_left_out_wherever_it_stands() {
    fn add(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.values_mut().for_each(add);
                for (name, value) in [("@timestamp", json!("x")), ("AAA", json!({"who": 1}))] {
                    object.insert(name.to_owned(), value);
                }
                object.insert("nothing".to_owned(), Value::Null);
            }
            Value::Array(items) => items.iter_mut().for_each(add),
            _ => {}
        }
    }
    for line in lines() {
        let mut collected = value(&line);
        add(&mut collected);
        assert_eq!(canonical(&collected).as_deref(), Some(&*line));
    }
}

#[test]
fn numbers_and_strings_in_another_notation_are_the_same() {
    let line = complete();
    let rows = [
        ("\"bytes\":1234", "\"bytes\":1234.0"),
        ("\"bytes\":1234", "\"bytes\":1.234e3"),
        ("\"duration_ms\":12.345", "\"duration_ms\":12.345000000000001"),
        ("\"duration_ms\":12.345", "\"duration_ms\":1.2345E+1"),
        ("\"sub\":\"alice\"", "\"sub\":\"\\u0061lice\""),
        ("\"TLSv1.3\"", "\"TLSv1\\u002e3\""),
        ("\"Patient/123\"", "\"Patient\\/123\""),
        ("\\u00fc", "ü"),
        ("\\u2028", "\u{2028}"),
        ("\\ud83d\\ude00", "\u{1f600}"),
        (",", " ,\t"),
    ];
    for (written, collected) in rows {
        let other = line.replace(written, collected);
        assert_ne!(other, line, "{written}");
        assert_eq!(canonical(&value(&other)).as_deref(), Some(&*line), "{collected}");
    }
    for (written, collected) in
        [("12.0", "12"), ("0.0", "0"), ("0.0", "-0.0"), ("86400000.001", "8.6400000001e7")]
    {
        let with = |number: &str| line.replace("12.345", number);
        let (line, other) = (with(written), with(collected));
        assert_eq!(canonical(&value(&other)).as_deref(), Some(&*line), "{collected}");
    }
    let empty = line
        .replace("\"from\":{\"address\":\"10.0.0.7:51234\",\"tls\":\"TLSv1.3\"}", "\"from\":{}");
    assert_eq!(canonical(&value(&empty.replace("\"from\":{},", ""))).as_deref(), Some(&*empty));
    assert_eq!(
        canonical(&value(&empty.replace("\"from\":{}", "\"from\":null"))).as_deref(),
        Some(&*empty)
    );
}

#[test]
fn what_phiward_never_writes_has_no_canonical_form() {
    let line = complete();
    let rows = [
        ("phiward.audit/1", "phiward.audit/2"),
        ("\"sub\":\"alice\"", "\"sub\":1"),
        ("\"status\":200", "\"status\":\"200\""),
        ("\"status\":200", "\"status\":-200"),
        ("\"status\":200", "\"status\":200.5"),
        ("\"bytes\":1234", "\"bytes\":1e300"),
        ("\"duration_ms\":12.345", "\"duration_ms\":-12.345"),
        ("\"duration_ms\":12.345", "\"duration_ms\":\"12.345\""),
        ("\"observe\":true", "\"observe\":1"),
        ("\"scopes\":[\"patient/Observation.rs\"]", "\"scopes\":\"patient/Observation.rs\""),
        ("\"scopes\":[\"patient/Observation.rs\"]", "\"scopes\":[null]"),
        ("{\"name\":\"category\",\"hash\":\"PyAkGlVkPNwnWdUd\"}", "\"category\""),
        ("\"from\":{\"address\":\"10.0.0.7:51234\",\"tls\":\"TLSv1.3\"}", "\"from\":[]"),
    ];
    for (written, forged) in rows {
        let other = line.replace(written, forged);
        assert_ne!(other, line, "{written}");
        assert_eq!(canonical(&value(&other)), None, "{forged}");
    }
    for other in [json!(null), json!([]), json!({}), json!({"schema": 1}), json!("x")] {
        assert_eq!(canonical(&other), None, "{other}");
    }
}

#[test]
fn no_change_of_a_byte_that_changes_what_is_said_keeps_the_canonical_form() {
    for line in lines().into_iter().take(4) {
        let said = value(&line);
        let mut bytes = line.clone().into_bytes();
        for at in 0..bytes.len() {
            let byte = bytes[at];
            for other in [
                byte ^ 1,
                byte ^ 0x20,
                byte.wrapping_add(1),
                b'0',
                b'9',
                b'e',
                b'.',
                b'"',
                b',',
                b' ',
            ] {
                bytes[at] = other;
                // Another notation of the same is no change, nor is leaving out what is empty.
                if let Ok(mut changed) = parse(&bytes)
                    && let Some(object) = changed.as_object_mut()
                    && !said
                        .as_object()
                        .unwrap()
                        .iter()
                        .all(|(name, value)| object.get(name).unwrap_or(&json!({})) == value)
                {
                    let shown = String::from_utf8_lossy(&bytes);
                    assert_ne!(canonical(&changed).as_deref(), Some(&*line), "{shown}");
                }
            }
            bytes[at] = byte;
        }
    }
}

proptest! {
    #[test]
    fn any_json_is_taken_and_has_at_most_one_form(text in "\\PC{0,60}", number in -1e12..1e12_f64, count: i32) {
        let mut record = value(&complete());
        for pointer in ["/who/sub", "/outcome/duration_ms", "/outcome/bytes", "/scopes/0", "/from"] {
            for strange in [json!(text), json!(number), json!(count), json!([text]), json!({"a": count})] {
                *record.pointer_mut(pointer).unwrap() = strange;
                if let Some(line) = canonical(&record) {
                    let again = value(&line);
                    prop_assert_eq!(canonical(&again), Some(line));
                }
            }
            record = value(&complete());
        }
    }

    #[test]
    fn every_duration_has_one_form(nanoseconds in 0_u64..40_000_000_000_000_000) {
        let microseconds = (Duration::from_nanos(nanoseconds).as_secs_f64() * 1_000_000.0).round();
        let written = microseconds / 1000.0;
        prop_assert_eq!(milliseconds(&json!(written)), Some(written));
    }
}
