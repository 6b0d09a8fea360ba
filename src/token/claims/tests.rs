use serde_json::json;

use super::*;
use crate::token::testing;

/// Reads honest claims with these changes, under the default names.
fn read(changes: Value) -> Result<Claims, (&'static str, Option<String>)> {
    let names = ClaimNames {
        scope: "scope".into(),
        patient: "patient".into(),
        encounter: "encounter".into(),
        user: "fhirUser".into(),
        client: "client_id".into(),
        roles: "roles".into(),
        organization: "organization".into(),
        session: "sid".into(),
    };
    let members = testing::claims(changes);
    Claims::read(members.as_object().unwrap(), &names, Some("k1"))
        .map_err(|refusal| (refusal.reason.code, refusal.hint))
}

#[test]
fn a_claim_of_another_type_refuses_the_token_and_is_named() {
    let names = ["sub", "jti", "client_id", "fhirUser", "organization", "sid"];
    for name in names {
        for value in [json!(7), json!(["a"]), json!({}), json!(true), json!("")] {
            let refused = read(json!({ name: value })).unwrap_err();
            let expected = ("token_claim_invalid", Some(format!("claim `{name}`")));
            assert_eq!(refused, expected, "{name} {value}");
        }
    }
    for name in ["aud", "roles", "scope"] {
        for value in [json!(7), json!([7]), json!([["a"]]), json!({}), json!(false), json!([""])] {
            let refused = read(json!({ name: value })).unwrap_err();
            let expected = ("token_claim_invalid", Some(format!("claim `{name}`")));
            assert_eq!(refused, expected, "{name} {value}");
        }
    }
}

#[test]
fn a_claim_that_is_null_is_not_the_same_as_one_that_is_absent() {
    let mut members = testing::claims(json!({})).as_object().unwrap().clone();
    members.insert("patient".to_owned(), Value::Null);
    assert!(patient(&members, "patient").is_err());
    assert_eq!(patient(&members, "absent"), Ok(None));
    assert_eq!(encounter(&members, "patient"), Some(String::new()));
    assert!(text(&members, "patient").is_err());
    assert!(seconds(&members, "patient").is_err());
}

#[test]
fn auth_time_is_a_time_and_zero_says_nothing() {
    let cases = [
        (json!(1_790_000_000), Ok(Some(UnixSeconds(1_790_000_000)))),
        (json!(0), Ok(None)),
        (json!("1790000000"), Err(())),
        (json!(1.5), Err(())),
        (json!(-1), Err(())),
    ];
    for (given, expected) in cases {
        let read = read(json!({"auth_time": given}));
        assert_eq!(read.map(|claims| claims.authenticated).map_err(|_| ()), expected, "{given}");
    }
    assert_eq!(read(json!({})).unwrap().authenticated, None);
}

#[test]
fn scopes_come_as_one_text_or_as_a_list() {
    let cases =
        [(json!("a b"), "a b"), (json!(""), ""), (json!(["a", "b"]), "a b"), (json!([]), "")];
    for (given, expected) in cases {
        assert_eq!(read(json!({"scope": given})).unwrap().scope, expected, "{given}");
    }
    for given in [json!(["a b"]), json!(["a\tb"]), json!(["a", ""])] {
        assert!(read(json!({"scope": given})).is_err(), "{given}");
    }
}

#[test]
fn roles_come_as_one_text_or_as_a_list() {
    assert_eq!(read(json!({"roles": "charge nurse"})).unwrap().roles, ["charge nurse"]);
    assert_eq!(read(json!({"roles": ["a", "b"]})).unwrap().roles, ["a", "b"]);
    assert!(read(json!({})).unwrap().roles.is_empty());
}

#[test]
fn the_patient_is_an_id_and_nothing_else() {
    let longest = "a".repeat(64);
    for (given, expected) in
        [("123", "123"), ("Patient/123", "123"), ("A-1.b", "A-1.b"), (&longest, &longest)]
    {
        let patient = read(json!({"patient": given})).unwrap().patient;
        assert_eq!(patient.as_deref(), Some(expected), "{given}");
    }
    let longer = "a".repeat(65);
    for given in [
        "",
        "Patient/",
        "Patient/1/2",
        "Patient/Patient/1",
        "patient/1",
        "Practitioner/1",
        "1,2",
        "1|2",
        "1 ",
        "../1",
        ".",
        "..",
        "Patient/..",
        "1?x",
        "1_2",
        "\u{661}",
        "https://api.example/Patient/1",
        "Patient/1/_history/2",
        "urn:uuid:1",
        &longer,
    ] {
        let refused = read(json!({"patient": given})).unwrap_err();
        assert_eq!(refused.0, "token_patient_invalid", "{given}");
    }
    assert_eq!(read(json!({"patient": ["1"]})).unwrap_err().0, "token_claim_invalid");
    assert_eq!(read(json!({"patient": 1})).unwrap_err().0, "token_claim_invalid");
}

#[test]
fn the_encounter_is_an_id_and_what_is_none_does_not_refuse_the_token() {
    assert_eq!(read(json!({})).unwrap().encounter, None);
    for (given, expected) in [
        (json!("E"), "E"),
        (json!("Encounter/E"), "E"),
        (json!("A-1.b"), "A-1.b"),
        (json!(""), ""),
        (json!("Encounter/"), ""),
        (json!("Encounter/Encounter/E"), ""),
        (json!("encounter/E"), ""),
        (json!("Patient/E"), ""),
        (json!("https://api.example/Encounter/E"), ""),
        (json!(".."), ""),
        (json!("a".repeat(65)), ""),
        (json!(7), ""),
        (json!(["E"]), ""),
    ] {
        let encounter = read(json!({"encounter": given})).unwrap().encounter;
        assert_eq!(encounter.as_deref(), Some(expected), "{given}");
    }
}

#[test]
fn any_confirmation_claim_binds_the_token() {
    for given in [json!({"jkt": "x"}), json!({}), json!("x"), json!(false)] {
        assert!(read(json!({"cnf": given})).unwrap().bound, "{given}");
    }
    assert!(!read(json!({})).unwrap().bound);
}

#[test]
fn the_status_is_a_place_in_a_list_and_other_ways_to_tell_it_are_passed_over() {
    let uri = "https://auth.clinic.example/lists/1";
    let of = |status: Value| read(json!({"status": status})).map(|claims| claims.status);
    let there = |index| Ok(Some(StatusReference { uri: uri.to_owned(), index }));
    let bad = Err(("token_status_invalid", None));
    let rows = [
        (json!({"status_list": {"idx": 0, "uri": uri}}), there(0)),
        (json!({"status_list": {"idx": 7, "uri": uri, "x": 1}, "other": []}), there(7)),
        (json!({"status_list": {"idx": (1_u64 << 53) - 1, "uri": uri}}), there((1 << 53) - 1)),
        (json!({}), Ok(None)),
        (json!({"identifier_list": {"id": "1"}}), Ok(None)),
        (json!("valid"), bad.clone()),
        (json!([]), bad.clone()),
        (json!({"status_list": null}), bad.clone()),
        (json!({"status_list": []}), bad.clone()),
        (json!({"status_list": {}}), bad.clone()),
        (json!({"status_list": {"uri": uri}}), bad.clone()),
        (json!({"status_list": {"idx": 1}}), bad.clone()),
        (json!({"status_list": {"idx": -1, "uri": uri}}), bad.clone()),
        (json!({"status_list": {"idx": 1.0, "uri": uri}}), bad.clone()),
        (json!({"status_list": {"idx": "1", "uri": uri}}), bad.clone()),
        (json!({"status_list": {"idx": 1_u64 << 53, "uri": uri}}), bad.clone()),
        (json!({"status_list": {"idx": 1, "uri": ""}}), bad.clone()),
        (json!({"status_list": {"idx": 1, "uri": 7}}), bad.clone()),
        (json!({"status_list": {"idx": 1, "uri": [uri]}}), bad),
    ];
    for (status, expected) in rows {
        assert_eq!(of(status.clone()), expected, "{status}");
    }
    assert_eq!(read(json!({})).map(|claims| claims.status), Ok(None));
}
