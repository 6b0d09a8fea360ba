//! Lines of files.

use super::*;
use crate::policy::{Exported, expected_file};

/// Whether a line of a file of this type (`all`, `outcomes`) goes on, to a client with these scopes.
fn passes(of: &str, scope: &str, text: &str) -> bool {
    let of = match of {
        "all" => Exported::AllTypes,
        "outcomes" => Exported::Outcomes,
        name => Exported::Type(named(name)),
    };
    let claims = Claims { scope: scope.to_owned(), ..Claims::default() };
    let grants = Rc::new(Grants::of(&claims, &api(), &Smart::default()));
    let file = expected_file(&grants, of, Release::R4).unwrap();
    line(&file, text.as_bytes(), &api(), &Smart::default())
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"1"}"#;
const PATIENT: &str = r#"{"resourceType":"Patient","id":"1"}"#;
const OUTCOME: &str = r#"{"resourceType":"OperationOutcome","issue":[]}"#;
const WITH_CONTAINED: &str =
    r#"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"1"}]}"#;
const WITH_STRAY: &str = r#"{"resourceType":"Observation","x":[{"resourceType":"Patient"}]}"#;
const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]}"#;
const DELETED: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/1"}}]}"#;

#[test]
fn a_line_is_a_resource_of_the_files_type() {
    let cases = [
        ("Observation", "system/Observation.rs", OBSERVATION, true),
        ("Observation", "system/*.rs", OBSERVATION, true),
        ("Observation", "system/*.rs", PATIENT, false),
        ("Observation", "system/Observation.rs system/Patient.rs", PATIENT, false),
        ("Observation", "system/*.rs", OUTCOME, false),
        ("Observation", "system/Patient.rs", OBSERVATION, false),
        ("Observation", "system/Observation.s", OBSERVATION, false),
        ("Observation", "patient/Observation.rs", OBSERVATION, false),
        ("Observation", "system/Observation.rs", WITH_CONTAINED, true),
        ("Observation", "system/Observation.rs", WITH_STRAY, false),
        ("Observation", "system/*.rs", WITH_STRAY, true),
        ("Bundle", "system/Bundle.rs", DELETED, true),
        ("Bundle", "system/Bundle.rs", BUNDLE, false),
        ("Bundle", "system/*.rs", BUNDLE, true),
        ("all", "system/*.rs", OBSERVATION, true),
        ("all", "system/*.rs", PATIENT, true),
        ("all", "system/*.rs", OUTCOME, true),
        ("all", "system/*.rs", r#"{"resourceType":"Nonsense"}"#, false),
        ("all", "system/Observation.rs", PATIENT, false),
        ("outcomes", "system/Observation.rs", OUTCOME, true),
        ("outcomes", "system/*.rs", OBSERVATION, false),
        (
            "outcomes",
            "system/*.rs",
            r#"{"resourceType":"OperationOutcome","contained":[{"resourceType":"Patient"}]}"#,
            false,
        ),
    ];
    for (of, scope, text, expected) in cases {
        assert_eq!(passes(of, scope, text), expected, "{of} with {scope}: {text}");
    }
}

#[test]
fn a_line_is_one_strict_json_object() {
    let deep =
        format!(r#"{{"resourceType":"Observation","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let cases = [
        (" {\"resourceType\":\"Observation\"}\t\r\n", true),
        ("", false),
        ("x", false),
        ("null", false),
        ("\"Observation\"", false),
        ("[{\"resourceType\":\"Observation\"}]", false),
        ("{}", false),
        ("{\"resourceType\":[\"Observation\"]}", false),
        ("{\"resourceType\":\"observation\"}", false),
        ("{\"resourceType\":\"Observation\"", false),
        ("{\"resourceType\":\"Observation\"} {}", false),
        ("{\"resourceType\":\"Observation\"}\r{\"resourceType\":\"Patient\"}", false),
        ("\u{feff}{\"resourceType\":\"Observation\"}", false),
        ("{\"resourceType\":\"Observation\",\"resourceType\":\"Observation\"}", false),
        ("{\"resourceType\":\"Patient\",\"resource\\u0054ype\":\"Observation\"}", false),
        ("{\"resourceType\":\"Observation\",\"x\":{\"a\":1,\"a\":2}}", false),
        (deep.as_str(), false),
    ];
    for (text, expected) in cases {
        for scope in ["system/Observation.rs", "system/*.rs"] {
            assert_eq!(passes("Observation", scope, text), expected, "{text}");
        }
    }
}

#[test]
fn a_file_says_plainly_that_it_is_ndjson() {
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Fields<'_>, Result<(), &Reason>); 12] = [
        (&[("content-type", "application/fhir+ndjson")], Ok(())),
        (&[("content-type", "Application/NDJSON; charset=UTF-8")], Ok(())),
        (&[("content-type", "application/x-ndjson"), ("content-encoding", "identity")], Ok(())),
        (&[("content-type", "application/fhir+ndjson; charset=utf-16")], Err(&ANSWER_NDJSON)),
        (&[("content-type", "application/fhir+json")], Err(&ANSWER_NDJSON)),
        (&[("content-type", "application/octet-stream")], Err(&ANSWER_NDJSON)),
        (&[("content-type", "multipart/byteranges; boundary=x")], Err(&ANSWER_NDJSON)),
        (&[("content-type", "application/ndjson, text/html")], Err(&ANSWER_NDJSON)),
        (
            &[("content-type", "application/ndjson"), ("content-type", "application/ndjson")],
            Err(&ANSWER_NDJSON),
        ),
        (&[], Err(&ANSWER_NDJSON)),
        (
            &[("content-type", "application/ndjson"), ("content-encoding", "gzip")],
            Err(&ANSWER_ENCODING),
        ),
        (
            &[("content-type", "application/ndjson"), ("content-encoding", "identity, br")],
            Err(&ANSWER_ENCODING),
        ),
    ];
    for (fields, expected) in cases {
        let pairs = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        assert_eq!(is_ndjson(&Headers::new(pairs.collect())), expected, "{fields:?}");
    }
}
