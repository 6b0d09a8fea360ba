use proptest::prelude::*;
use serde_json::json;

use super::*;

const JSON_PATCH: &str = "application/json-patch+json";

fn headers(fields: &[(&str, &str)]) -> Headers {
    let bytes = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
    Headers::new(fields.iter().map(bytes).collect())
}

fn ask(body: &[u8]) -> Result<Patch<'_>, Refusal> {
    read(body, &headers(&[("content-type", JSON_PATCH)]))
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.reason.code, |_| "ok")
}

#[test]
fn json_patch_is_the_only_format() {
    let rows: [(&[(&str, &str)], &str); 18] = [
        (&[("content-type", JSON_PATCH)], "ok"),
        (&[("content-type", "Application/JSON-Patch+JSON")], "ok"),
        (&[("content-type", "application/json-patch+json; charset=utf-8")], "ok"),
        (&[("content-type", "application/json-patch+json; charset=utf-16")], "patch_format"),
        (&[("content-type", "application/json-patch+json; fhirVersion=4.0")], "patch_format"),
        (&[], "patch_format"),
        (&[("content-type", "")], "patch_format"),
        (&[("content-type", "application/fhir+json")], "patch_format"),
        (&[("content-type", "application/json")], "patch_format"),
        (&[("content-type", "application/merge-patch+json")], "patch_format"),
        (&[("content-type", "application/xml-patch+xml")], "patch_format"),
        (&[("content-type", "application/fhir+xml")], "patch_format"),
        (&[("content-type", "text/plain")], "patch_format"),
        (&[("content-type", JSON_PATCH), ("content-type", JSON_PATCH)], "fhir_content_duplicate"),
        (
            &[("content-type", "application/json-patch+json, application/fhir+json")],
            "fhir_content_duplicate",
        ),
        (&[("content-type", JSON_PATCH), ("content-encoding", "gzip")], "body_encoding"),
        (&[("content-type", JSON_PATCH), ("content-encoding", "identity")], "ok"),
        (&[("content-type", JSON_PATCH), ("content-range", "bytes 0-1/2")], "body_partial"),
    ];
    for (fields, expected) in rows {
        assert_eq!(code(read(b"[]", &headers(fields))), expected, "{fields:?}");
    }
}

#[test]
fn every_operation_touches_its_element_and_brings_its_value() {
    let rows = [
        (json!([]), vec![], json!([])),
        (
            json!([{"op": "add", "path": "/subject", "value": {"reference": "Patient/2"}}]),
            vec!["subject"],
            json!([{"subject": {"reference": "Patient/2"}}]),
        ),
        (
            json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/2"}]),
            vec!["subject"],
            json!([{"reference": "Patient/2"}]),
        ),
        (
            json!([{"op": "add", "path": "/performer/-", "value": {"reference": "Patient/2"}}]),
            vec!["performer"],
            json!([{"-": {"reference": "Patient/2"}}]),
        ),
        (
            json!([{"op": "add", "path": "/performer/0", "value": null}]),
            vec!["performer"],
            json!([{"0": null}]),
        ),
        (json!([{"op": "remove", "path": "/note/12"}]), vec!["note"], json!([])),
        (json!([{"op": "remove", "path": "/_subject/extension"}]), vec!["subject"], json!([])),
        (
            json!([{"op": "test", "path": "/status", "value": "final"}]),
            vec!["status"],
            json!([{"status": "final"}]),
        ),
        (
            json!([{"op": "copy", "from": "/performer/0", "path": "/subject"}]),
            vec!["performer", "subject"],
            json!([]),
        ),
        (
            json!([{"op": "move", "from": "/subject", "path": "/focus/0"}]),
            vec!["focus", "subject"],
            json!([]),
        ),
        (
            json!([{"op": "move", "from": "/a/reference", "path": "/b/reference"}]),
            vec!["a", "b"],
            json!([]),
        ),
        (
            json!([
                {"op": "remove", "path": "/a"},
                {"op": "add", "path": "/b/0/c", "value": [{"d": "x"}]},
            ]),
            vec!["a", "b"],
            json!([{"c": [{"d": "x"}]}]),
        ),
    ];
    for (patch, touched, values) in rows {
        let body = patch.to_string();
        let found = ask(body.as_bytes()).unwrap_or_else(|refusal| panic!("{patch}: {refusal:?}"));
        let names: Vec<&str> = found.touched.iter().map(String::as_str).collect();
        assert_eq!(names, touched, "{patch}");
        let expected: Vec<Node<'_>> = values.as_array().unwrap().iter().map(node).collect();
        assert_eq!(found.values, expected, "{patch}");
        assert_eq!(found.tests, body.contains("\"test\""), "{patch}");
        assert!(names.iter().all(|name| found.touches(name)), "{patch}");
    }
}

/// A value as the document that says it.
fn node(value: &serde_json::Value) -> Node<'_> {
    match value {
        serde_json::Value::Null => Node::Null,
        serde_json::Value::Bool(value) => Node::Bool(*value),
        serde_json::Value::Number(_) => Node::Number,
        serde_json::Value::String(text) => Node::Text(text.into()),
        serde_json::Value::Array(items) => Node::Array(items.iter().map(node).collect()),
        serde_json::Value::Object(members) => {
            Node::Object(members.iter().map(|(name, value)| (name.into(), node(value))).collect())
        }
    }
}

#[test]
fn an_element_is_touched_in_any_case() {
    let patch = ask(br#"[{"op":"remove","path":"/subjecT"}]"#).unwrap();
    assert!(patch.touches("subject"));
    assert!(!patch.touches("subjects"));
}

#[test]
fn every_other_pointer_is_refused() {
    let rows = [
        ("", "patch_whole"),
        ("/", "patch_pointer"),
        ("//", "patch_pointer"),
        ("//subject", "patch_pointer"),
        ("/subject/", "patch_pointer"),
        ("subject", "patch_pointer"),
        ("./subject", "patch_pointer"),
        ("1/subject", "patch_pointer"),
        ("#/subject", "patch_pointer"),
        ("#", "patch_pointer"),
        ("/Subject", "patch_pointer"),
        ("/subject/Reference", "patch_pointer"),
        ("/%73ubject", "patch_pointer"),
        ("/sub~ject", "patch_pointer"),
        ("/sub~2ject", "patch_pointer"),
        ("/subject~", "patch_pointer"),
        ("/subject~é", "patch_pointer"),
        ("/subject~1reference", "patch_pointer"),
        ("/subject~0", "patch_pointer"),
        ("/subject/..", "patch_pointer"),
        ("/0", "patch_pointer"),
        ("/-", "patch_pointer"),
        ("/_", "patch_pointer"),
        ("/performer/01", "patch_pointer"),
        ("/performer/-1", "patch_pointer"),
        ("/performer/+1", "patch_pointer"),
        ("/performer/*", "patch_pointer"),
        ("/ſubject", "patch_pointer"),
        ("/subject ", "patch_pointer"),
        ("$.subject", "patch_pointer"),
        ("Observation.subject", "patch_pointer"),
        ("/id", "patch_identity"),
        ("/_id", "patch_identity"),
        ("/ID", "patch_pointer"),
        ("/iD", "patch_identity"),
        ("/resourceType", "patch_identity"),
        ("/resourcetype", "patch_identity"),
        ("/id/x", "patch_identity"),
    ];
    for (pointer, expected) in rows {
        for patch in [
            json!([{"op": "add", "path": pointer, "value": 1}]),
            json!([{"op": "replace", "path": pointer, "value": 1}]),
            json!([{"op": "test", "path": pointer, "value": 1}]),
            json!([{"op": "remove", "path": pointer}]),
            json!([{"op": "move", "from": pointer, "path": "/note"}]),
            json!([{"op": "copy", "from": "/note", "path": pointer}]),
        ] {
            assert_eq!(code(ask(patch.to_string().as_bytes())), expected, "{patch}");
        }
    }
}

#[test]
fn every_other_operation_is_refused() {
    let rows = [
        (json!({}), "patch_document"),
        (json!({"op": "remove", "path": "/a"}), "patch_document"),
        (json!({"resourceType": "Parameters"}), "patch_document"),
        (json!(null), "patch_document"),
        (json!([null]), "patch_document"),
        (json!([[{"op": "remove", "path": "/a"}]]), "patch_document"),
        (json!([{}]), "patch_operation"),
        (json!([{"op": "remove"}]), "patch_operation"),
        (json!([{"path": "/a"}]), "patch_operation"),
        (json!([{"op": "Remove", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "delete", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "", "path": "/a"}]), "patch_operation"),
        (json!([{"op": ["remove"], "path": "/a"}]), "patch_operation"),
        (json!([{"op": "remove", "path": ["/a"]}]), "patch_operation"),
        (json!([{"op": "remove", "path": null}]), "patch_operation"),
        (json!([{"op": "add", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "test", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "replace", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "move", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "copy", "path": "/a"}]), "patch_operation"),
        (json!([{"op": "copy", "path": "/a", "from": null}]), "patch_operation"),
        (json!([{"op": "remove", "path": "/a", "value": 1}]), "patch_operation"),
        (json!([{"op": "remove", "path": "/a", "from": "/b"}]), "patch_operation"),
        (json!([{"op": "add", "path": "/a", "value": 1, "from": "/b"}]), "patch_operation"),
        (json!([{"op": "move", "path": "/a", "from": "/b", "value": 1}]), "patch_operation"),
        (json!([{"op": "remove", "path": "/a", "type": "remove"}]), "patch_operation"),
        (json!([{"op": "remove", "path": "/a", "Path": "/b"}]), "body_member"),
        (
            json!([{"op": "add", "path": "/a", "value": {"b": 1, "Reference": "Patient/2"}}]),
            "body_member",
        ),
        (
            json!([{"op": "copy", "from": "/note/0/text", "path": "/performer/0/reference"}]),
            "patch_rename",
        ),
        (json!([{"op": "move", "from": "/a/display", "path": "/a/reference"}]), "patch_rename"),
        (json!([{"op": "move", "from": "/a/display", "path": "/a/referencE"}]), "patch_rename"),
    ];
    for (patch, expected) in rows {
        assert_eq!(code(ask(patch.to_string().as_bytes())), expected, "{patch}");
    }
    let texts: [(&[u8], &str); 5] = [
        (b"", "body_missing"),
        (br#"[{"op":"remove","path":"/a","path":"/b"}]"#, "body_unreadable"),
        (br#"[{"op":"add","path":"/a","value":{"b":1,"b":2}}]"#, "body_unreadable"),
        (b"\xef\xbb\xbf[]", "body_unreadable"),
        (b"[] []", "body_unreadable"),
    ];
    for (text, expected) in texts {
        assert_eq!(code(ask(text)), expected, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_refusal_names_the_operation_and_not_its_value() {
    let patch = json!([
        {"op": "remove", "path": "/note"},
        {"op": "add", "path": "Smith", "value": "Smith"},
    ]);
    let refusal = ask(patch.to_string().as_bytes()).unwrap_err();
    assert_eq!(refusal.hint.as_deref(), Some("operation 1"));
}

#[test]
fn escapes_are_those_of_rfc_6901() {
    // RFC 6901 section 5.
    let rows = [("a~1b", Some("a/b")), ("m~0n", Some("m~n")), ("~01", Some("~1")), ("", Some(""))];
    for (token, expected) in rows {
        assert_eq!(unescape(token).as_deref(), expected, "{token}");
    }
    for token in ["~", "~~0", "~2", "a~", "~é"] {
        assert_eq!(unescape(token), None, "{token}");
    }
}

fn pointers() -> impl Strategy<Value = String> {
    let top = prop::sample::select(vec!["subject", "_subject", "performer", "a~1b", "0"]);
    let below = prop::sample::select(vec!["/0", "/-", "/reference", "/display", "/Id", "/"]);
    (top, prop::collection::vec(below, 0..3))
        .prop_map(|(top, below)| format!("/{top}{}", below.concat()))
}

proptest! {
    #[test]
    fn reading_never_panics(body in any::<Vec<u8>>(), text in "\\PC*") {
        let _ = ask(&body);
        let _ = Pointer::read(&text);
        let _ = unescape(&text);
    }

    #[test]
    fn what_is_accepted_touches_the_top_of_every_pointer(
        op in prop::sample::select(vec!["add", "remove", "replace", "test", "move", "copy", "x"]),
        path in pointers(),
        from in prop::option::of(pointers()),
        value in prop::option::of(0..2_u8),
    ) {
        let mut operation = json!({"op": op, "path": path});
        if let Some(from) = &from { operation["from"] = json!(from); }
        if let Some(value) = value { operation["value"] = json!(value); }
        let body = json!([operation]).to_string();
        if let Ok(patch) = ask(body.as_bytes()) {
            let tops = [Some(&path), from.as_ref()].into_iter().flatten().map(|pointer| {
                let top = pointer.split('/').nth(1).unwrap();
                top.strip_prefix('_').unwrap_or(top).to_owned()
            });
            prop_assert_eq!(patch.touched, tops.collect::<BTreeSet<String>>());
            prop_assert_eq!(patch.values.len(), usize::from(value.is_some()));
        }
    }
}
