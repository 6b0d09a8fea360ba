//! What is read, where it stands, and what two readers could read differently.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let document = read(text);
    assert_eq!(document.errors, [], "{text}");
    document.value
}

fn errors(text: &str) -> Vec<String> {
    let found = read(text).errors;
    found.iter().map(|e| format!("{}:{}: {}", e.place.line, e.place.column, e.message)).collect()
}

#[test]
fn documents_are_read_as_envoy_reads_them() {
    let text = "\
# a comment
fhir: {base_path: /fhir, \"public\": [metadata]}
list:
- 30s
- '010'
- 5
- -1.5
- yes
- \"off\"
- ~
-
block: |
  two
  lines
nested:
  deep: {a: {b: []}}
";
    let expected = json!({
        "fhir": {"base_path": "/fhir", "public": ["metadata"]},
        "list": ["30s", "010", 5, -1.5, true, "off", null, null],
        "block": "two\nlines\n",
        "nested": {"deep": {"a": {"b": []}}},
    });
    assert_eq!(value(text), expected);
    assert_eq!(value(&expected.to_string()), expected, "JSON is YAML");
    assert_eq!(value(""), Value::Null);
    assert_eq!(value("# nothing\n"), Value::Null);
}

#[test]
fn plain_scalars_that_readers_take_for_different_things_are_refused() {
    let text = [
        "5m",
        "1h",
        "/x",
        "2026-01-01",
        "10.0.0.1",
        "1.2.3",
        "-",
        "...x",
        "+x",
        "nan",
        "infinity",
        "Yes!",
    ];
    for plain_text in text {
        assert_eq!(plain(plain_text), Some(Value::from(plain_text)), "{plain_text}");
    }
    let numbers = [("0", json!(0)), ("-7", json!(-7)), ("1.25", json!(1.25))];
    for (number, expected) in numbers {
        assert_eq!(plain(number), Some(expected), "{number}");
    }
    let refused = [
        "010",
        "0x1F",
        "0o7",
        "0b1",
        "1_000",
        "+5",
        ".5",
        "5.",
        "1e3",
        "1E3",
        ".inf",
        "-.INF",
        ".nan",
        "9007199254740993000",
        "1e999",
        "-0x1",
    ];
    for ambiguous in refused {
        assert_eq!(plain(ambiguous), None, "{ambiguous}");
    }
    let booleans = [("on", true), ("Off", false), ("NO", false), ("y", true), ("true", true)];
    for (word, expected) in booleans {
        assert_eq!(plain(word), Some(Value::Bool(expected)), "{word}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let deep = format!("{}1{}", "[".repeat(66), "]".repeat(66));
    let rows: Vec<(&str, Vec<&str>)> = vec![
        ("a: 1\nb: 2\na: 3\n", vec!["3:1: the key `a` stands here a second time"]),
        ("{\"a\": 1, \"a\": 2}", vec!["1:10: the key `a` stands here a second time"]),
        ("x: {b: 1, c: {b: 1,\n  b: 2}}", vec!["2:3: the key `b` stands here a second time"]),
        ("a: &x [1]\nb: *x\n", vec!["2:4: an alias: write the value out"]),
        ("a: !!int 5\n", vec!["1:4: a tag: leave it out, or use quotes for text"]),
        ("a: 1\n---\nb: 2\n", vec!["3:1: a second document: give one document a file"]),
        ("? [a]\n: 1\n", vec!["1:3: a key that is not text"]),
        (
            "a: 010\nb: 1e3\n",
            vec![
                "1:4: `010` is read differently by different readers of YAML: put it in quotes, \
             or write it without prefix, exponent or leading zero",
                "2:4: `1e3` is read differently by different readers of YAML: put it in quotes, \
             or write it without prefix, exponent or leading zero",
            ],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(errors(text), expected, "{text}");
    }
    for (text, start) in [
        ("a: [1, 2\nb: 3\n", "this is not YAML: "),
        ("a: 'x\n", "this is not YAML: "),
        ("a: *nowhere\n", "this is not YAML: "),
        (deep.as_str(), "this is not YAML: more than 64 levels"),
    ] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(start), "{text}: {found:?}");
    }
}

#[test]
fn every_key_and_item_has_its_place_and_what_is_missing_that_of_its_object() {
    let text = "fhir:\n  base_path: /fhir\nissuers:\n  - issuer: a\n    x/y~: 1\n  - issuer: b\n";
    let places = read(text).places;
    let rows = [
        ("/fhir", (1, 1)),
        ("/fhir/base_path", (2, 3)),
        ("/issuers", (3, 1)),
        ("/issuers/0", (4, 5)),
        ("/issuers/0/issuer", (4, 5)),
        ("/issuers/0/x~1y~0", (5, 5)),
        ("/issuers/1/issuer", (6, 5)),
        ("/issuers/1/audiences", (6, 5)),
        ("/fhir/cluster/x", (1, 1)),
        ("/missing", (1, 1)),
        ("", (1, 1)),
    ];
    for (pointer, (line, column)) in rows {
        assert_eq!(places.of(pointer), Place { line, column }, "{pointer}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn any_text_of_yaml_signs_is_read_or_refused(text in "[-a0:,\\[\\]{}&*!|>'\"# \n?~]{0,60}") {
        let _ = read(&text);
    }
}
