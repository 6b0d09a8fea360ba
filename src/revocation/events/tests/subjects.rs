//! Whom a `sub_id` is about.

use crate::revocation::events::subject::{Names, Problem, Session, read};
use proptest::prelude::*;
use serde_json::{Value, json};

fn names(issuer: &str, subject: &str, session: Session, token: &str) -> Names {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Names { issuer: some(issuer), subject: some(subject), session, token: some(token) }
}

fn sid(name: &str) -> Session {
    Session::Named(name.to_owned())
}

#[test]
fn a_subject_is_read_as_the_names_that_tokens_carry() {
    let (any, unsaid) = (Session::Any, Session::Unsaid);
    let user = json!({"format": "iss_sub", "iss": "I", "sub": "u"});
    let session = json!({"format": "opaque", "id": "s"});
    let device = json!({"format": "iss_sub", "iss": "D", "sub": "d"});
    let email = json!({"format": "email", "email": "u@example.com"});
    let both = vec![names("I", "u", sid("s"), ""), names("I", "u", unsaid.clone(), "")];
    let rows = [
        (user.clone(), vec![names("I", "u", any.clone(), "")]),
        (
            json!({"format": "jwt_id", "iss": "I", "jti": "t"}),
            vec![names("I", "", any.clone(), "t")],
        ),
        (
            json!({"format": "opaque", "id": "x"}),
            vec![names("", "x", any.clone(), ""), names("", "", sid("x"), "")],
        ),
        (
            json!({"format": "aliases", "identifiers": [email.clone(), user.clone()]}),
            vec![names("I", "u", any.clone(), "")],
        ),
        (json!({"format": "complex", "user": user}), vec![names("I", "u", any.clone(), "")]),
        (json!({"format": "complex", "session": session}), vec![names("", "", sid("s"), "")]),
        (
            json!({"format": "complex", "session": {"format": "iss_sub", "iss": "I", "sub": "s"}}),
            vec![names("I", "", sid("s"), "")],
        ),
        (json!({"format": "complex", "user": user, "session": session}), both.clone()),
        (
            json!({"format": "complex", "user": user, "session": session, "device": device,
                "tenant": {"format": "opaque", "id": "clinic"}}),
            both,
        ),
        (
            json!({"format": "complex", "user": {"format": "opaque", "id": "u"}, "device": device}),
            vec![names("", "u", any, "")],
        ),
        (
            json!({"format": "complex", "user": email, "session": session}),
            vec![names("", "", sid("s"), "")],
        ),
    ];
    for (subject, expected) in rows {
        assert_eq!(read(&subject), Ok(expected), "{subject}");
    }
}

#[test]
fn a_subject_that_no_token_can_be_compared_with_is_not_acted_on() {
    let other = |format: &str| json!({"format": format, "id": "x", "uri": "x", "email": "x@y"});
    for format in ["email", "phone_number", "account", "did", "uri", "saml_assertion_id", "new"] {
        let subject = other(format);
        assert_eq!(read(&subject), Err(Problem::Unmatchable), "{subject}");
        for subject in [
            json!({"format": "aliases", "identifiers": [subject]}),
            json!({"format": "complex", "user": subject}),
            json!({"format": "complex", "session": subject, "user": subject}),
        ] {
            assert_eq!(read(&subject), Err(Problem::Unmatchable), "{subject}");
        }
    }
    for subject in [
        json!({"format": "complex"}),
        json!({"format": "complex", "device": {"format": "opaque", "id": "d"}}),
        json!({"format": "complex", "tenant": {"format": "opaque", "id": "d"}}),
        json!({"format": "aliases", "identifiers": []}),
    ] {
        assert_eq!(read(&subject), Err(Problem::Unmatchable), "{subject}");
    }
}

#[test]
fn a_subject_without_the_form_of_its_format_is_refused() {
    let user = |issuer: &str| json!({"format": "iss_sub", "iss": issuer, "sub": "u"});
    let rows = [
        Value::Null,
        json!("ann"),
        json!([]),
        json!({}),
        json!({"format": 1}),
        json!({"format": ""}),
        json!({"format": "iss_sub", "iss": "I"}),
        json!({"format": "iss_sub", "sub": "u"}),
        json!({"format": "iss_sub", "iss": "", "sub": "u"}),
        json!({"format": "iss_sub", "iss": "I", "sub": 7}),
        json!({"format": "opaque"}),
        json!({"format": "opaque", "id": ""}),
        json!({"format": "jwt_id", "iss": "I"}),
        json!({"format": "aliases"}),
        json!({"format": "aliases", "identifiers": {}}),
        json!({"format": "aliases", "identifiers": ["x"]}),
        json!({"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": []}]}),
        json!({"format": "aliases", "identifiers": [user("I"), {"format": "opaque"}]}),
        json!({"format": "complex", "user": "ann"}),
        json!({"format": "complex", "user": {"format": "complex", "user": user("I")}}),
        json!({"format": "complex", "user": user("I"), "session": user("J")}),
    ];
    for subject in rows {
        assert_eq!(read(&subject), Err(Problem::Malformed), "{subject}");
    }
}

proptest! {
    #[test]
    fn every_reading_names_something_and_never_panics(
        format in "(opaque|iss_sub|jwt_id|aliases|complex|email)",
        part in "(opaque|iss_sub|jwt_id|email|complex)",
        id in "[a-b]{0,2}",
    ) {
        let part = json!({"format": part, "id": id, "iss": "I", "sub": id, "jti": id, "user": {}});
        let subject = json!({"format": format, "id": id, "iss": "I", "sub": id, "jti": id,
            "identifiers": [part], "user": part, "session": part});
        if let Ok(all) = read(&subject) {
            prop_assert!(!all.is_empty());
            for names in all {
                prop_assert!(names.subject.is_some() || names.is_narrow(), "{names:?}");
            }
        }
    }
}
