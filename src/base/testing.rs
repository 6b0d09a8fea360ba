//! Helpers of tests: golden files, and a JSON Schema checker just large enough for our schemas.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Compares `text` with the file at `path` (from the project's root), or rewrites the file when the
/// environment says `UPDATE_GOLDEN=1`.
pub(crate) fn golden(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|set| set == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, known, "{path} differs: `make schema` rewrites it");
}

/// As [`golden`], for the part of a page between `<!-- NAME: generated -->` and
/// `<!-- NAME: end -->`.
pub(crate) fn generated(path: &str, name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let page = fs::read_to_string(file).expect(path);
    let (start, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->\n"));
    let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{path}: no {start}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{path}: no {end}"));
    golden(path, &format!("{before}{start}{text}{end}{after}"));
}

/// Text as it stands in a cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

/// A sentence as it stands in a table: with a capital, without a full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    cell(&first.into_iter().chain(rest).collect::<String>())
}

/// What of `value` breaks `schema` (JSON Schema 2020-12): pointers with the keyword that failed.
///
/// # Panics
///
/// On a keyword it does not know, so that no rule is passed over in silence.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, schema, value, "", &mut found);
    found
}

fn walk(root: &Value, schema: &Value, value: &Value, pointer: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let mut ok = true;
        match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "default" | "examples" => {}
            "format" => assert!(rule == "date-time" || rule == "uri"),
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').expect("a local reference");
                walk(root, root.pointer(target).expect(target), value, pointer, found);
            }
            "type" => ok = has_type(rule, value),
            "enum" => ok = rule.as_array().unwrap().contains(value),
            "const" => ok = rule == value,
            "not" => ok = !violations_of(root, rule, value).is_empty(),
            "oneOf" => {
                let matching = rule.as_array().unwrap().iter();
                ok = matching.filter(|one| violations_of(root, one, value).is_empty()).count() == 1;
            }
            "anyOf" => {
                let mut any = rule.as_array().unwrap().iter();
                ok = any.any(|one| violations_of(root, one, value).is_empty());
            }
            "pattern" => ok = value.as_str().is_none_or(|text| matches(rule, text)),
            "minLength" => {
                ok = value.as_str().is_none_or(|text| text.chars().count() >= size(rule))
            }
            "maxLength" => {
                ok = value.as_str().is_none_or(|text| text.chars().count() <= size(rule))
            }
            "minimum" => ok = value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => ok = value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "minItems" => ok = value.as_array().is_none_or(|list| list.len() >= size(rule)),
            "maxItems" => ok = value.as_array().is_none_or(|list| list.len() <= size(rule)),
            "uniqueItems" => {
                ok = value.as_array().is_none_or(|list| {
                    list.iter().enumerate().all(|(n, item)| !list[..n].contains(item))
                });
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    walk(root, rule, item, &format!("{pointer}/{index}"), found);
                }
            }
            "required" => {
                let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                ok = !value.is_object() || names.into_iter().all(|name| value.get(name).is_some());
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        walk(root, rule, member, &format!("{pointer}/{name}"), found);
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match rule {
                        Value::Bool(allowed) => ok &= allowed,
                        rule => walk(root, rule, member, &format!("{pointer}/{name}"), found),
                    }
                }
            }
            other => panic!("the checker does not know `{other}`"),
        }
        if !ok {
            found.push(format!("{pointer}: {keyword}"));
        }
    }
}

fn violations_of(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, schema, value, "", &mut found);
    found
}

fn has_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str().expect("one type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the checker does not know the type `{other}`"),
    }
}

fn size(rule: &Value) -> usize {
    usize::try_from(rule.as_u64().unwrap()).unwrap()
}

/// Patterns are left to real validators, but for the ones named here.
fn matches(pattern: &Value, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern.as_str().unwrap() {
        "^[0-9a-f]{16}-[0-9]+$" => text.split_once('-').is_some_and(|(instance, count)| {
            instance.len() == 16
                && instance.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && digits(count)
        }),
        _ => true,
    }
}

#[test]
fn the_checker_sees_what_breaks_a_schema() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"enum": ["x"]},
            "b": {"type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 1},
        },
        "additionalProperties": false,
        "$defs": {"n": {"type": "integer", "minimum": 0}},
    });
    let cases = [
        (serde_json::json!({"a": "x", "b": [1]}), vec![]),
        (serde_json::json!({}), vec![": required"]),
        (serde_json::json!({"a": "y"}), vec!["/a: enum"]),
        (serde_json::json!({"a": "x", "c": 1}), vec![": additionalProperties"]),
        (serde_json::json!({"a": "x", "b": ["1"]}), vec!["/b/0: type"]),
        (serde_json::json!({"a": "x", "b": [-1, 1]}), vec!["/b/0: minimum", "/b: maxItems"]),
        (serde_json::json!([]), vec![": type"]),
    ];
    for (value, expected) in cases {
        let mut found = violations(&schema, &value);
        found.sort();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(found, expected, "{value}");
    }
}
