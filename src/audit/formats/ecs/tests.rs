//! Golden documents, and every field against the definitions that Elastic publishes.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::formats::phiward::ascii;
use crate::audit::formats::testing::{any_record, record, samples, with};
use crate::base::testing::{cell, generated, golden};

fn definitions() -> Value {
    let text = include_str!("../../../../tests/ecs/fields.json");
    serde_json::from_str(text).unwrap()
}

/// The paths of all values outside `phiward`; a list is one value.
fn leaves(prefix: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, below) in members {
                let path =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                if path != "phiward" {
                    leaves(&path, below, found);
                }
            }
        }
        other => found.push((prefix.to_owned(), other.clone())),
    }
}

/// What of the document is not as the schema has it.
fn violations(document: &Value) -> Vec<String> {
    let definitions = definitions();
    let mut fields = Vec::new();
    leaves("", document, &mut fields);
    let mut found = Vec::new();
    for (path, value) in &fields {
        let field = &definitions["fields"][path];
        let values = match (field["list"] == json!(true), value) {
            (true, Value::Array(items)) => items.clone(),
            (false, Value::String(_) | Value::Number(_)) => vec![value.clone()],
            _ => {
                found.push(format!("{path}: no field, or a list where none is: {value}"));
                continue;
            }
        };
        for value in values {
            let fits = match field["type"].as_str().unwrap() {
                "keyword" => value.is_string(),
                "long" => value.as_u64().is_some_and(|number| number <= i64::MAX.cast_unsigned()),
                "ip" => value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
                "date" => value.as_str().is_some_and(|text| text.ends_with('Z')),
                other => panic!("{other}"),
            };
            let listed = field
                .get("values")
                .is_none_or(|known| known.get(value.as_str().unwrap()).is_some());
            if !fits || !listed {
                found.push(format!("{path}: {value}"));
            }
        }
    }
    let expected = &definitions["fields"]["event.category"]["values"];
    for category in document["event"]["category"].as_array().into_iter().flatten() {
        let types = expected[category.as_str().unwrap()].as_array().unwrap();
        for kind in document["event"]["type"].as_array().unwrap() {
            if !types.contains(kind) {
                found.push(format!("event.type: {kind} is not expected of {category}"));
            }
        }
    }
    found
}

#[test]
fn documents_are_as_in_the_golden_files_and_as_elastic_defines_the_fields() {
    for (name, record) in samples() {
        let document = document(&record);
        assert_eq!(violations(&document), Vec::<String>::new(), "{name}: {document:#}");
        golden(&format!("tests/golden/audit/ecs/{name}.json"), &format!("{document:#}\n"));
    }
}

#[test]
fn the_version_is_that_of_the_definitions() {
    assert_eq!(document(&record(json!({})))["ecs"]["version"], definitions()["version"]);
}

#[test]
fn every_value_of_the_record_is_in_the_document() {
    for (name, record) in samples() {
        let document = document(&record);
        let mut values = Vec::new();
        leaves("", &record, &mut values);
        let text = document.to_string();
        for (path, value) in values.iter().filter(|(path, _)| path != "outcome.duration_ms") {
            assert!(text.contains(&value.to_string()), "{name}: {path} {value}: {text}");
        }
    }
}

#[test]
fn outcome_and_type_tell_what_was_done() {
    let rows = [
        ("read", json!(["access", "allowed"]), "success"),
        ("create", json!(["creation", "allowed"]), "success"),
        ("update", json!(["change", "allowed"]), "success"),
        ("patch-in-batch", json!(["change", "allowed"]), "success"),
        ("delete", json!(["deletion", "allowed"]), "success"),
        ("operation", json!(["access", "allowed"]), "success"),
        ("observed", json!(["access", "allowed"]), "success"),
        ("denied-by-scope", json!(["access", "denied"]), "failure"),
        ("denied-for-token", json!(["access", "denied"]), "failure"),
        ("error-without-keys", json!(["access", "denied"]), "failure"),
        ("not-found", json!(["access", "allowed"]), "failure"),
        ("client-left", json!(["access", "allowed"]), "failure"),
        ("server-silent", json!(["access", "allowed"]), "failure"),
    ];
    let samples = samples();
    for (name, kinds, outcome) in rows {
        let (_, record) = samples.iter().find(|(known, _)| *known == name).unwrap();
        let document = document(record);
        assert_eq!(document["event"]["type"], kinds, "{name}");
        assert_eq!(document["event"]["outcome"], outcome, "{name}");
    }
}

#[test]
fn addresses_and_durations_are_converted() {
    let rows = [
        ("10.0.0.7:51234", json!("10.0.0.7"), json!(51234)),
        ("[2001:db8::7]:443", json!("2001:db8::7"), json!(443)),
        ("/run/envoy.sock", Value::Null, Value::Null),
        ("10.0.0.7", Value::Null, Value::Null),
    ];
    for (address, ip, port) in rows {
        let document = document(&with(record(json!({})), json!({"from": {"address": address}})));
        assert_eq!(document["source"]["address"], address);
        for side in ["source", "client"] {
            assert_eq!((&document[side]["ip"], &document[side]["port"]), (&ip, &port), "{address}");
        }
    }
    for (milliseconds, nanoseconds) in [
        (0.0, 0),
        (0.001, 1_000),
        (0.087, 87_000),
        (12.346, 12_346_000),
        (86_400_000.123, 86_400_000_123_000_u64),
    ] {
        let outcome = json!({"outcome": {"duration_ms": milliseconds}});
        let document = document(&with(record(json!({})), outcome));
        assert_eq!(document["event"]["duration"], nanoseconds, "{milliseconds}");
    }
}

#[test]
fn a_line_that_is_no_record_of_a_request_is_a_state() {
    let checkpoint = json!({
        "schema": "phiward.audit.checkpoint/1", "time": "2026-09-21T14:13:20.250Z",
        "stream": "5f1c0d3e9a7b2c44", "count": 17, "last": true,
    });
    let document = document(&checkpoint);
    assert_eq!(violations(&document), Vec::<String>::new());
    assert_eq!(document["event"]["kind"], "state");
    assert_eq!(document["phiward"]["count"], 17);
    assert_eq!(document["phiward"]["last"], true);
}

#[test]
fn the_page_has_the_fields_and_an_example() {
    let definitions = definitions();
    let derived = [
        ("event.kind", "`event`; of a checkpoint `state`"),
        ("event.category", "`api`"),
        ("event.type", "`access`, `creation`, `change` or `deletion`; and `allowed` or `denied`"),
        (
            "event.outcome",
            "`success`, or `failure`: refused, answered with 400 or more, or not answered",
        ),
        ("event.duration", "`outcome.duration_ms`, in nanoseconds"),
        ("user.name", "`who.sub`"),
        ("related.user", "`who.sub` and `who.user`"),
        ("related.ip", "IP address of `from.address`"),
        ("source.ip", "IP address of `from.address`"),
        ("source.port", "port of `from.address`"),
        ("client.ip", "IP address of `from.address`"),
        ("client.port", "port of `from.address`"),
        ("tls.version", "number in `from.tls`"),
        ("tls.version_protocol", "`tls`"),
    ];
    let moved = MOVED.map(|(from, to)| (to, format!("`{from}`")));
    let fixed = FIXED.map(|(name, value)| (name, format!("`{value}`")));
    let derived = derived.map(|(name, meaning)| (name, meaning.to_owned()));
    let mut rows: Vec<(&str, String)> = moved.into_iter().chain(fixed).chain(derived).collect();
    rows.sort();
    let known: Vec<&str> =
        definitions["fields"].as_object().unwrap().keys().map(String::as_str).collect();
    let named: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, known, "the page and tests/ecs/fields.json name the same fields");
    let rows = rows.iter().map(|(name, meaning)| format!("| `{name}` | {} |\n", cell(meaning)));
    let table = format!("\n| field | from |\n|---|---|\n{}\n", rows.collect::<String>());
    generated("docs/audit.md", "ecs fields", &table);

    let (_, record) = samples().into_iter().find(|(name, _)| *name == "search-narrowed").unwrap();
    let document = document(&record);
    generated("docs/audit.md", "ecs example", &format!("\n```json\n{document}\n```\n\n"));
}

proptest! {
    #[test]
    fn any_record_gives_a_document_as_elastic_defines_the_fields(record in any_record()) {
        let document = document(&record);
        prop_assert_eq!(violations(&document), Vec::<String>::new(), "{}", document);
        let sent = ascii(&document);
        prop_assert!(sent.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", sent);
        prop_assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), document);
    }
}
