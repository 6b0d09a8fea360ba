//! Each rule for heads and bodies, as tables.

use super::*;

const JSON: (&str, &str) = ("content-type", "application/fhir+json");

type Fields<'a> = &'a [(&'a str, &'a str)];

fn headers(fields: Fields<'_>) -> Headers {
    let bytes = |text: &str| text.as_bytes().to_vec();
    Headers::new(fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect())
}

fn course(form: &Form, status: u16, fields: Fields<'_>, end: bool) -> Course {
    head(&expected(form), status, &headers(fields), end)
}

#[test]
fn only_plain_json_in_utf_8_is_held() {
    let cases: [(Fields<'_>, Option<&Reason>); 26] = [
        (&[JSON], None),
        (&[("content-type", "application/json")], None),
        (&[("content-type", "Application/FHIR+JSON ; charset=UTF-8")], None),
        (&[("content-type", "application/fhir+json;charset=\"utf-8\";fhirVersion=4.0")], None),
        (&[JSON, ("content-encoding", "identity")], None),
        (&[], Some(&ANSWER_FORMAT)),
        (&[("content-type", "")], Some(&ANSWER_FORMAT)),
        (&[JSON, JSON], Some(&ANSWER_FORMAT)),
        (&[JSON, ("content-type", "text/html")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/fhir+json, text/html")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/json;a=b, text/html")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/fhir+xml")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/fhir+ndjson")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/json-patch+json")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "text/html")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "text/event-stream")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "multipart/byteranges; boundary=x")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/json; charset=utf-16")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/json; charset = \"UTF-7\"")], Some(&ANSWER_FORMAT)),
        (&[("content-type", "application/json; charset")], Some(&ANSWER_FORMAT)),
        (
            &[("content-type", "application/json; charset=utf-8; charset=utf-16")],
            Some(&ANSWER_FORMAT),
        ),
        (&[("content-type", "application/json; a=\"; charset=utf-16")], Some(&ANSWER_FORMAT)),
        (&[JSON, ("content-encoding", "gzip")], Some(&ANSWER_ENCODING)),
        (&[JSON, ("content-encoding", "identity, br")], Some(&ANSWER_ENCODING)),
        (
            &[JSON, ("content-encoding", "identity"), ("content-encoding", "gzip")],
            Some(&ANSWER_ENCODING),
        ),
        (&[JSON, ("content-encoding", "")], Some(&ANSWER_ENCODING)),
    ];
    for (fields, reason) in cases {
        for form in &[read(), history(), search()] {
            match (course(form, 200, fields, false), reason) {
                (Course::Hold, None) => {}
                (Course::Refuse(refusal), Some(reason)) if refusal.reason == reason => {}
                (course, _) => panic!("{fields:?}: {course:?}"),
            }
        }
    }
}

#[test]
fn only_200_and_errors_are_answers_to_such_a_request() {
    for status in [0, 100, 101, 199, 201, 202, 203, 204, 205, 206, 299, 300, 302, 304, 399, 600] {
        let Course::Refuse(refusal) = course(&search(), status, &[JSON], false) else {
            panic!("{status} is held");
        };
        assert_eq!(refusal.reason, &ANSWER_STATUS, "{status}");
        let verdict = answered(&read(), status, mine("1").to_string().as_bytes());
        assert_eq!(verdict, refused(&ANSWER_STATUS), "{status}");
    }
    assert_eq!(
        course(&search(), 200, &[JSON], true),
        Course::Refuse(Refusal::new(&ANSWER_UNREADABLE)),
        "a success without a body"
    );
}

#[test]
fn a_missing_resource_reads_as_another_patients() {
    for status in [404, 410] {
        for form in &[read(), history()] {
            for end in [true, false] {
                for fields in [&[][..], &[JSON], &[("content-type", "text/html")]] {
                    let Course::Refuse(refusal) = course(form, status, fields, end) else {
                        panic!("{status} {form:?} is held");
                    };
                    assert_eq!(refusal.reason, &ANSWER_NOT_FOUND);
                    assert!(refusal.hint.is_none() && refusal.scope.is_none());
                }
            }
            let text = outcome_resource().to_string();
            let verdict = answered(form, status, text.as_bytes());
            assert_eq!(verdict, refused(&ANSWER_NOT_FOUND));
        }
        assert_eq!(course(&search(), status, &[JSON], false), Course::Hold);
    }
    let Verdict::Refuse(other) = judged(&read(), &foreign("1")) else { panic!("passes") };
    assert!(other.hint.is_none() && other.scope.is_none());
    let (one, other) = (&ANSWER_NOT_FOUND, other.reason);
    assert_ne!(one.code, other.code, "the audit record tells them apart");
    assert_eq!(
        (one.public, one.status, one.issue, one.challenge, one.text),
        (other.public, other.status, other.issue, other.challenge, other.text),
    );
}

#[test]
fn an_error_passes_without_a_body_or_with_an_outcome_alone() {
    let cases: [(Value, bool); 7] = [
        (outcome_resource(), true),
        (mine("1"), false),
        (foreign("1"), false),
        (bundle("searchset", &[]), false),
        (json!({"resourceType": "OperationOutcome", "contained": [foreign("1")]}), false),
        (json!({"error": "x"}), false),
        (json!([outcome_resource()]), false),
    ];
    for status in [400, 401, 403, 422, 500, 503, 599] {
        for form in &[read(), history(), search()] {
            for (value, passes) in &cases {
                let verdict = answered(form, status, value.to_string().as_bytes());
                let wanted = if *passes { Verdict::Whole } else { refused(&ANSWER_ERROR_BODY) };
                assert_eq!(verdict, wanted, "{status} {value}");
            }
            assert_eq!(answered(form, status, b""), Verdict::Whole);
            assert_eq!(course(form, status, &[], true), Course::Hold, "{status} without a body");
            assert_eq!(course(form, status, &[JSON], false), Course::Hold, "{status}");
            for fields in
                [&[("content-type", "text/plain")][..], &[], &[JSON, ("content-encoding", "br")]]
            {
                let course = course(form, status, fields, false);
                assert_eq!(course, Course::Refuse(Refusal::new(&ANSWER_ERROR_BODY)), "{fields:?}");
            }
        }
    }
}

#[test]
fn a_resource_passes_when_it_is_of_the_type_and_about_the_patient() {
    let mut with_contained = mine("1");
    with_contained["contained"] = json!([{"resourceType": "Observation", "id": "x"}]);
    let mut elsewhere = mine("1");
    elsewhere["extension"] = json!([{"url": "x", "valueThing": foreign("2")}]);
    let cases = [
        (mine("1"), true),
        (observation("1", "https://api.example/fhir/Patient/P"), true),
        (with_contained, true),
        (foreign("1"), false),
        (observation("1", "Patient/P2"), false),
        (observation("1", "https://other.example/fhir/Patient/P"), false),
        (json!({"resourceType": "Condition", "subject": {"reference": "Patient/P"}}), false),
        (json!({"resourceType": "Patient", "id": "P"}), false),
        (json!({"resourceType": "Observation", "id": "P"}), false),
        (outcome_resource(), false),
        (bundle("searchset", &[found(&mine("1"))]), false),
        (json!({"resourceType": "Parameters", "parameter": [{"resource": mine("1")}]}), false),
        (json!([mine("1")]), false),
        (json!("Observation"), false),
        (json!({}), false),
        (elsewhere, false),
    ];
    for (resource, passes) in cases {
        let wanted = if passes { Verdict::Whole } else { refused(&COMPARTMENT_NOT_MEMBER) };
        assert_eq!(judged(&read(), &resource), wanted, "{resource}");
    }
}

#[test]
fn of_a_search_only_members_and_outcomes_stay() {
    let with = |name: &str, value: Value| {
        let mut entry = found(&mine("1"));
        entry[name] = value;
        entry
    };
    let outcome = |mode: &str| json!({"resource": outcome_resource(), "search": {"mode": mode}});
    let cases = [
        (found(&mine("1")), true),
        (json!({"resource": mine("1")}), true),
        (with("search", json!({"score": 1})), true),
        (with("fullUrl", json!("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")), true),
        (with("fullUrl", json!("Observation/1")), true),
        (with("link", json!([{"relation": "self", "url": "Observation/1"}])), true),
        (with("response", json!({"status": "200", "etag": "W/\"1\""})), true),
        (with("request", json!({"method": "GET", "url": "Observation/1"})), true),
        (outcome("outcome"), true),
        (outcome("match"), true),
        (json!({"resource": outcome_resource()}), true),
        (found(&foreign("1")), false),
        (found(&json!({"resourceType": "Patient", "id": "P"})), false),
        (with("search", json!({"mode": "include"})), true),
        (with("search", json!({"mode": "outcome"})), false),
        (with("search", json!({"mode": "new"})), false),
        (with("search", json!({"mode": null})), false),
        (with("search", json!("match")), false),
        (with("fullUrl", json!("https://other.example/fhir/Observation/1")), false),
        (with("fullUrl", json!("https://api.example/fhirx/Observation/1")), false),
        (with("fullUrl", json!({"resourceType": "Patient"})), false),
        (with("response", json!({"status": "200", "outcome": foreign("2")})), false),
        (with("extra", json!("x")), false),
        (with("extension", json!([foreign("2")])), false),
        (json!({"fullUrl": "https://api.example/fhir/Observation/1"}), false),
        (json!({"search": {"mode": "match"}}), false),
        (with("resource", json!([mine("1")])), false),
        (with("resource", json!(null)), false),
        (found(&bundle("searchset", &[found(&mine("1"))])), false),
        (found(&json!({"resourceType": "OperationOutcome", "contained": [foreign("1")]})), false),
        (json!({}), false),
        (json!(null), false),
        (json!("x"), false),
        (json!([found(&mine("1"))]), false),
    ];
    for (entry, stays) in cases {
        let beside = found(&mine("2"));
        let verdict = judged(&search(), &bundle("searchset", &[entry.clone(), beside.clone()]));
        if stays {
            assert_eq!(verdict, Verdict::Whole, "{entry}");
            continue;
        }
        let (bundle, removed) = replaced(&verdict);
        assert_eq!(removed, 1, "{entry}");
        assert_eq!(bundle["entry"].as_array().unwrap().len(), 2, "{entry}");
        assert_eq!(bundle["entry"][0], beside, "{entry}");
        let outcome = &bundle["entry"][1];
        assert_eq!(outcome["search"]["mode"], "outcome");
        assert_eq!(outcome["resource"]["issue"][0]["code"], "suppressed");
        assert_eq!(outcome["resource"]["issue"][0]["severity"], "information");
    }
}

#[test]
fn a_replaced_bundle_keeps_its_links_and_loses_what_no_longer_holds() {
    let mut value = bundle("searchset", &[found(&foreign("1")), found(&mine("2"))]);
    value["signature"] = json!({"data": "x"});
    value["meta"] = json!({"lastUpdated": "2026-01-01T00:00:00Z"});
    value["contained"] = json!([foreign("3")]);
    value["identifier"] = json!({"assigner": foreign("4")});
    let (bundle, removed) = replaced(&judged(&search(), &value));
    assert_eq!(removed, 3, "an entry, `contained` and `identifier`");
    let members: Vec<&String> = bundle.as_object().unwrap().keys().collect();
    assert_eq!(members, ["entry", "id", "link", "meta", "resourceType", "type"]);
    assert_eq!(bundle["link"], value["link"]);
    assert!(!bundle.to_string().contains("SECRET"));
}

#[test]
fn what_stays_keeps_its_bytes() {
    let kept = r#"{"resource": {"resourceType":"Observation","subject":{"reference":"Patient/P"},
        "valueQuantity":{"value":1.10,"unit":"\u00b5g"},"id":"1", "code":{"text":"ü"}}}"#;
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":2,"\u0065ntry":[ {} , {kept} ],"timestamp":"t"}}"#,
        found(&foreign("1")),
    );
    let Verdict::Replace { body, removed: 1 } = answered(&search(), 200, text.as_bytes()) else {
        panic!("not replaced");
    };
    let body = String::from_utf8(body).unwrap();
    let start = r#"{"resourceType":"Bundle","type":"searchset","\u0065ntry":[ "#;
    assert!(body.starts_with(&format!("{start}{kept} ,{{")), "{body}");
    assert!(body.ends_with(r#"}}],"timestamp":"t"}"#), "{body}");
}

#[test]
fn a_search_that_found_nothing_passes() {
    let nothing = json!({"resourceType": "Bundle", "type": "searchset", "total": 0});
    assert_eq!(judged(&search(), &nothing), Verdict::Whole);
    assert_eq!(judged(&search(), &bundle("searchset", &[])), Verdict::Whole);
    let (bundle, _) = replaced(&judged(&search(), &bundle("searchset", &[found(&foreign("1"))])));
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 1, "the outcome alone");
    let mut odd = nothing;
    odd["extra"] = json!(1);
    let (bundle, removed) = replaced(&judged(&search(), &odd));
    assert_eq!((removed, &bundle["extra"]), (1, &Value::Null));
}

#[test]
fn of_a_history_versions_that_are_members_stay_and_their_deletions() {
    let (mine, foreign) = (version(&mine("1")), version(&foreign("1")));
    for entries in [
        vec![mine.clone()],
        vec![deletion("Observation/1"), mine.clone()],
        vec![deletion("https://api.example/fhir/Observation/1/_history/3"), mine.clone()],
    ] {
        assert_eq!(judged(&history(), &bundle("history", &entries)), Verdict::Whole);
    }
    let mut no_id = version(&observation("1", "Patient/P"));
    no_id["resource"].as_object_mut().unwrap().remove("id");
    for odd in [
        foreign.clone(),
        no_id.clone(),
        deletion("Observation/2"),
        deletion("Condition/1"),
        deletion("Observation/11"),
        deletion("1"),
        deletion("Observation?_id=1"),
        json!({"request": {"method": "PUT", "url": "Observation/1"}}),
        json!({"request": {"method": "delete", "url": "Observation/1"}}),
        json!({"response": {"status": "204"}}),
        json!({"request": {"method": "DELETE", "url": "Observation/1"}, "resource": null}),
        json!({"request": {"method": "DELETE", "url": "Observation/1"}, "response": {"outcome": foreign}}),
        json!({"resource": outcome_resource(), "search": {"mode": "outcome"}}),
        json!(7),
    ] {
        let (bundle, removed) =
            replaced(&judged(&history(), &bundle("history", &[odd.clone(), mine.clone()])));
        assert_eq!((removed, &bundle["entry"]), (1, &json!([mine])), "{odd}");
        assert_eq!(bundle["total"], Value::Null);
    }
    for entries in [vec![], vec![foreign], vec![deletion("Observation/1")], vec![no_id]] {
        let verdict = judged(&history(), &bundle("history", &entries));
        assert_eq!(verdict, refused(&COMPARTMENT_NOT_MEMBER), "{entries:?}");
    }
}

#[test]
fn a_bundle_of_another_kind_is_refused() {
    let entries = [found(&mine("1"))];
    for (form, own) in &[(search(), "searchset"), (history(), "history")] {
        for kind in
            ["searchset", "history", "collection", "batch-response", "document", "Searchset"]
        {
            if kind != *own {
                let verdict = judged(form, &bundle(kind, &entries));
                assert_eq!(verdict, refused(&ANSWER_NOT_BUNDLE), "{own}: {kind}");
            }
        }
        let mut untyped = bundle(own, &entries);
        untyped["type"] = json!([own]);
        let mut unnamed = bundle(own, &entries);
        unnamed.as_object_mut().unwrap().remove("resourceType");
        for value in [untyped, unnamed, mine("1"), outcome_resource(), json!({})] {
            assert_eq!(judged(form, &value), refused(&ANSWER_NOT_BUNDLE), "{value}");
        }
    }
}

#[test]
fn a_searchset_of_patients_has_the_patient_alone() {
    let form = Form::Searchset(Some(named("Patient")));
    let expected = Expected { sight: sight("patient/Patient.s"), ..expected(&form) };
    let person = |id: &str| json!({"resource": {"resourceType": "Patient", "id": id}});
    let text = bundle("searchset", &[person("P"), person("PP"), person("p")]).to_string();
    let (bundle, removed) =
        replaced(&body(&expected, 200, text.as_bytes(), &api(), &Smart::default()));
    assert_eq!((removed, &bundle["entry"][0]), (2, &person("P")));
}

#[test]
fn without_base_urls_every_full_url_may_be_ours() {
    let api = Api { base_urls: Vec::new(), ..api() };
    let text = bundle("searchset", &[found(&mine("1"))]).to_string();
    assert_eq!(
        body(&expected(&search()), 200, text.as_bytes(), &api, &Smart::default()),
        Verdict::Whole
    );
}

#[test]
fn stale_fields_are_lower_case_and_hold_the_validators() {
    assert!(STALE.iter().all(|name| *name == name.to_ascii_lowercase()));
    for name in ["content-length", "etag", "content-md5", "digest", "last-modified"] {
        assert!(STALE.contains(&name), "{name}");
    }
}

#[test]
fn what_the_request_alone_decides_may_be_missing_and_is_nothing_else_when_it_is_there() {
    let form = Form::Resource(named("Practitioner"));
    let open = Expected { concealed: false, sight: sight("patient/*.r"), ..expected(&form) };
    let judged = |status: u16, value: &Value| {
        body(&open, status, value.to_string().as_bytes(), &api(), &Smart::default())
    };
    assert_eq!(judged(404, &outcome_resource()), Verdict::Whole);
    assert_eq!(judged(200, &json!({"resourceType": "Practitioner", "id": "7"})), Verdict::Whole);
    for other in [foreign("1"), mine("1"), json!({"resourceType": "Patient", "id": "SECRET"})] {
        assert_eq!(judged(200, &other), refused(&COMPARTMENT_NOT_MEMBER), "{other}");
        assert!(matches!(judged(404, &other), Verdict::Refuse(_)), "{other}");
    }
}
