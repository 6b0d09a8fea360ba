use super::*;
use crate::fhir::Id;

const BODY: &str = r#"{ "resourceType":"Bundle", "type":"batch", "total":1.0, "entry":[
 {"fullUrl":"urn:uuid:a","resource":{"resourceType":"Observation" , "value":1.10},"request":{"method":"POST","url":"Observation"}},
 {"request" : { "method":"GET", "url":"Observation?code=1","ifNoneMatch":"W/\"1\"","ifModifiedSince":"x","ifMatch":"old"}},
 {"request":{"method":"GET","url":"https://api.example/fhir/Patient/1"}}
] , "link":[]}"#;

fn text(body: &[u8], changes: &[Change]) -> String {
    String::from_utf8(rewrite(body, changes).unwrap()).unwrap()
}

#[test]
fn what_does_not_change_is_copied_byte_for_byte() {
    let changes = [
        Change::default(),
        Change {
            url: Some("Observation?code=1&patient=Patient/p".to_owned()),
            ..Change::default()
        },
        Change::default(),
    ];
    let expected = concat!(
        r#"{"resourceType":"Bundle","type":"batch","total":1.0,"entry":["#,
        r#"{"fullUrl":"urn:uuid:a","resource":{"resourceType":"Observation" , "value":1.10},"request":{"method":"POST","url":"Observation"}},"#,
        r#"{"request":{"method":"GET","ifNoneMatch":"W/\"1\"","ifModifiedSince":"x","ifMatch":"old","url":"Observation?code=1&patient=Patient/p"}},"#,
        r#"{"request":{"method":"GET","url":"https://api.example/fhir/Patient/1"}}"#,
        r#"],"link":[]}"#,
    );
    assert_eq!(text(BODY.as_bytes(), &changes), expected);
}

#[test]
fn every_change_stands_in_the_request_once() {
    let changes = [
        Change {
            if_none_exist: Some("identifier=a\"b\\c&patient=p".to_owned()),
            if_match: Some("W/\"2\"".to_owned()),
            ..Change::default()
        },
        Change { if_match: Some("W/\"3\"".to_owned()), unconditional: true, ..Change::default() },
        Change { if_none_match: Some("*".to_owned()), unconditional: true, ..Change::default() },
    ];
    let rewritten: Value = serde_json::from_str(&text(BODY.as_bytes(), &changes)).unwrap();
    let requests: Vec<&Value> =
        rewritten["entry"].as_array().unwrap().iter().map(|entry| &entry["request"]).collect();
    assert_eq!(
        requests,
        [
            &json!({"method": "POST", "url": "Observation", "ifMatch": "W/\"2\"",
                "ifNoneExist": "identifier=a\"b\\c&patient=p"}),
            &json!({"method": "GET", "url": "Observation?code=1", "ifMatch": "W/\"3\""}),
            &json!({"method": "GET", "url": "https://api.example/fhir/Patient/1", "ifNoneMatch": "*"}),
        ]
    );
}

#[test]
fn an_entry_that_was_looked_up_has_another_method_or_its_id() {
    let changes = [
        Change { id: Id::parse("o-1"), ..Change::default() },
        Change { method: Some("POST"), unconditional: true, ..Change::default() },
        Change::default(),
    ];
    let rewritten = text(BODY.as_bytes(), &changes);
    assert!(rewritten.contains(r#""value":1.10,"id":"o-1"},"request":{"#), "{rewritten}");
    assert!(
        rewritten.contains(r#"{"request":{"url":"Observation?code=1","method":"POST"}}"#),
        "{rewritten}"
    );
}

#[test]
fn an_absolute_url_is_known_and_has_a_relative_form() {
    let batch = ask(BODY.as_bytes()).unwrap();
    let urls: Vec<(bool, &str)> = batch
        .entries
        .iter()
        .map(|entry| (entry.absolute, relative(entry.head.raw_target(), &api()).unwrap()))
        .collect();
    assert_eq!(urls, [(false, "Observation"), (false, "Observation?code=1"), (true, "Patient/1")]);
}

#[test]
fn targets_and_urls_are_the_same_place() {
    let rows = [
        ("/fhir/Patient/1", Some("Patient/1")),
        ("/fhir/?_type=Patient", Some("?_type=Patient")),
        ("/fhir/", Some("")),
        ("/fhir", None),
        ("/fhirx/Patient", None),
        ("/Patient", None),
    ];
    for (target, expected) in rows {
        assert_eq!(relative(target, &api()), expected, "{target}");
    }
    let at_root = Api { base_path: String::new(), ..api() };
    assert_eq!(relative("/Patient/1", &at_root), Some("Patient/1"));
}

#[test]
fn as_many_changes_as_entries() {
    for count in [0, 2, 4] {
        let found = rewrite(BODY.as_bytes(), &vec![Change::default(); count]);
        assert_eq!(code(found), "bundle_changes", "{count}");
    }
    let empty = br#"{"resourceType":"Bundle","type":"batch"}"#;
    assert_eq!(rewrite(empty, &[]).unwrap(), empty);
    assert_eq!(code(rewrite(b"[]", &[])), "body_unreadable");
    assert_eq!(code(rewrite(br#"{"entry":1}"#, &[])), "bundle_entry");
}
