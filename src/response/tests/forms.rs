//! Answers of operations, writes and collections, and what a search includes.

use super::*;

fn written() -> Form {
    Form::Written(named("Observation"))
}

fn condition(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Condition", "id": id, "subject": {"reference": subject}})
}

fn with_scope(scope: &str, form: &Form, value: &Value) -> Verdict {
    let expected = Expected { sight: sight(scope), ..expected(form) };
    body(&expected, 200, value.to_string().as_bytes(), &api(), &Smart::default())
}

#[test]
fn what_a_search_includes_needs_to_be_readable_and_may_be_of_another_type() {
    let scope = "patient/Observation.s patient/Condition.r patient/Practitioner.r";
    let entry =
        |resource: &Value, mode: &str| json!({"resource": resource, "search": {"mode": mode}});
    let practitioner = json!({"resourceType": "Practitioner", "id": "7"});
    let cases = [
        (entry(&mine("1"), "match"), true),
        (entry(&mine("1"), "include"), false),
        (entry(&condition("1", "Patient/P"), "include"), true),
        (entry(&condition("1", "Patient/P"), "match"), false),
        (entry(&condition("1", "Patient/SECRET"), "include"), false),
        (entry(&practitioner, "include"), true),
        (entry(&practitioner, "match"), false),
        (entry(&json!({"resourceType": "Organization", "id": "7"}), "include"), false),
        (entry(&outcome_resource(), "include"), false),
    ];
    for (entry, stays) in cases {
        let verdict =
            with_scope(scope, &search(), &bundle("searchset", core::slice::from_ref(&entry)));
        assert_eq!(verdict == Verdict::Whole, stays, "{entry}: {verdict:?}");
    }
    // A search of any type: whatever the scopes let it find.
    let scope = "patient/Observation.s patient/Condition.s patient/Encounter.r";
    let both = [found(&mine("1")), found(&condition("1", "Patient/P"))];
    let verdict = with_scope(scope, &Form::Searchset(None), &bundle("searchset", &both));
    assert_eq!(verdict, Verdict::Whole);
    let encounter = json!({"resourceType": "Encounter", "subject": {"reference": "Patient/P"}});
    let verdict =
        with_scope(scope, &Form::Searchset(None), &bundle("searchset", &[found(&encounter)]));
    assert_eq!(replaced(&verdict).1, 1);
}

#[test]
fn a_collection_keeps_what_may_be_read_and_a_document_passes_whole_or_not_at_all() {
    let scope = "patient/Observation.r patient/Condition.r";
    let all = [found(&mine("1")), json!({"resource": condition("1", "Patient/P")})];
    let some = [found(&mine("1")), found(&foreign("2")), found(&condition("3", "Patient/SECRET"))];
    for form in &[Form::Collection, Form::Result] {
        for kind in ["searchset", "collection"] {
            assert_eq!(with_scope(scope, form, &bundle(kind, &all)), Verdict::Whole, "{kind}");
            let (kept, removed) = replaced(&with_scope(scope, form, &bundle(kind, &some)));
            assert_eq!((removed, &kept["entry"][0]), (2, &some[0]), "{kind}");
            let outcome = &kept["entry"][1];
            assert_eq!(outcome["resource"]["issue"][0]["code"], "suppressed");
            let searched = outcome["search"]["mode"] == "outcome";
            assert_eq!(searched, kind == "searchset", "only a search's entries say how they came");
            assert_eq!(
                (&kept["total"], kept["entry"].as_array().unwrap().len()),
                (&Value::Null, 2)
            );
        }
        assert_eq!(with_scope(scope, form, &bundle("document", &all)), Verdict::Whole);
        let verdict = with_scope(scope, form, &bundle("document", &some));
        assert_eq!(verdict, refused(&COMPARTMENT_NOT_MEMBER));
        for kind in ["history", "batch-response", "message", "transaction"] {
            let verdict = with_scope(scope, form, &bundle(kind, &all));
            assert_eq!(verdict, refused(&ANSWER_NOT_BUNDLE), "{kind}");
        }
    }
    assert_eq!(judged(&Form::Collection, &mine("1")), refused(&ANSWER_NOT_BUNDLE));
}

#[test]
fn an_operations_result_passes_when_every_resource_in_it_may_be_read() {
    let parameters = |list: Value| json!({"resourceType": "Parameters", "parameter": list});
    let value = json!({"name": "v", "valueString": "x"});
    let part =
        |resource: Value| json!({"name": "p", "part": [{"name": "q", "resource": resource}]});
    let nested = json!({"name": "a", "part": [{"name": "b", "part": [{"name": "c", "resource": foreign("1")}]}]});
    let cases = [
        (mine("1"), true),
        (foreign("1"), false),
        (outcome_resource(), true),
        (parameters(json!([value])), true),
        (json!({"resourceType": "Parameters"}), true),
        (parameters(json!([{"name": "r", "resource": mine("1")}, value])), true),
        (parameters(json!([{"name": "r", "resource": outcome_resource()}])), true),
        (parameters(json!([part(mine("1"))])), true),
        (parameters(json!([{"name": "r", "resource": foreign("1")}])), false),
        (parameters(json!([part(foreign("1"))])), false),
        (parameters(json!([part(mine("1")), nested])), false),
        (parameters(json!({"name": "r", "resource": foreign("1")})), false),
        (parameters(json!([{"name": "r", "valueX": foreign("1")}])), false),
        (
            parameters(
                json!([{"name": "r", "resource": bundle("searchset", &[found(&foreign("1"))])}]),
            ),
            false,
        ),
        (parameters(json!([foreign("1")])), false),
        (parameters(json!([[{"resource": foreign("1")}]])), false),
        (json!({"resourceType": "Parameters", "extra": foreign("1")}), false),
        (json!({"resourceType": "Parameters", "contained": [foreign("1")]}), false),
        (json!({}), false),
    ];
    for (result, passes) in cases {
        let wanted = if passes { Verdict::Whole } else { refused(&COMPARTMENT_NOT_MEMBER) };
        assert_eq!(judged(&Form::Result, &result), wanted, "{result}");
    }
    for text in
        ["null", "[]", "\"x\"", "{\"a\":{\"b\":1,\"b\":2}}", "{\"parameter\":[{\"a\":1,\"a\":2}]}"]
    {
        let verdict = answered(&Form::Result, 200, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{text}");
    }
    let twice = r#"{"resourceType":"Parameters","parameter":[{"part":[{"name":"a","name":"b"}]}]}"#;
    assert_eq!(answered(&Form::Result, 200, twice.as_bytes()), refused(&ANSWER_UNREADABLE));
}

#[test]
fn a_write_that_is_done_is_never_answered_as_refused() {
    let done = [outcome_resource(), mine("1")];
    for status in [200, 201, 202, 204] {
        for shown in &done {
            let verdict = answered(&written(), status, shown.to_string().as_bytes());
            assert_eq!(verdict, Verdict::Whole, "{status} {shown}");
        }
        assert_eq!(answered(&written(), status, b""), Verdict::Whole, "{status}");
        for hidden in [foreign("1"), condition("1", "Patient/P"), json!({}), json!([mine("1")])] {
            let verdict = answered(&written(), status, hidden.to_string().as_bytes());
            let (shown, removed) = replaced(&verdict);
            let issue = &shown["issue"][0];
            assert_eq!((removed, &issue["code"]), (1, &json!("suppressed")), "{hidden}");
            assert_eq!(issue["severity"], "information");
            assert!(!shown.to_string().contains("SECRET"));
        }
    }
    // Who may create and not read sees that it is done.
    assert_eq!(replaced(&with_scope("patient/Observation.c", &written(), &mine("1"))).1, 1);
    for status in [404, 409, 410, 412, 422] {
        let text = outcome_resource().to_string();
        assert_eq!(answered(&written(), status, text.as_bytes()), Verdict::Whole, "{status}");
        let text = foreign("1").to_string();
        let verdict = answered(&written(), status, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_ERROR_BODY), "{status}");
    }
    assert_eq!(answered(&written(), 200, b"{\"a\":1,\"a\":1}"), refused(&ANSWER_UNREADABLE));
}

#[test]
fn only_writes_and_operations_may_be_answered_without_a_body() {
    let cases = [
        (written(), &[200, 201, 202, 204][..]),
        (Form::Result, &[200, 204]),
        (search(), &[]),
        (read(), &[]),
        (Form::Collection, &[]),
        (Form::Batch(Vec::new()), &[]),
    ];
    for (form, held) in cases {
        for status in [200, 201, 202, 203, 204, 205, 206, 304] {
            let course = head(&expected(&form), status, &Headers::default(), true);
            let holds = course == Course::Hold;
            assert_eq!(holds, held.contains(&status), "{status} {form:?}: {course:?}");
            let later = head(&expected(&form), status, &Headers::default(), false);
            assert_eq!(later == Course::Hold, holds, "{status} {form:?}: {later:?}");
            let passes = answered(&form, status, b"") == Verdict::Whole;
            assert_eq!(passes, held.contains(&status), "{status} {form:?}");
        }
    }
}

#[test]
fn what_is_said_of_a_body_must_be_that_it_is_plain_json() {
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let cases = [
        (vec![field("content-type", "application/fhir+json")], None),
        (vec![field("content-type", "text/html")], Some(&ANSWER_FORMAT)),
        (vec![field("content-encoding", "gzip")], Some(&ANSWER_FORMAT)),
        (vec![field("content-type", "")], Some(&ANSWER_FORMAT)),
    ];
    for (fields, reason) in cases {
        for form in &[written(), Form::Result] {
            let course = head(&expected(form), 200, &Headers::new(fields.clone()), false);
            let wanted = reason.map_or(Course::Hold, |reason| Course::Refuse(Refusal::new(reason)));
            assert_eq!(course, wanted, "{fields:?}");
        }
    }
}

#[test]
fn a_count_that_counts_too_much_does_not_pass() {
    let judge = |value: &Value| {
        let expected = Expected { counted: false, ..expected(&search()) };
        body(&expected, 200, value.to_string().as_bytes(), &api(), &Smart::default())
    };
    let mut signed = bundle("searchset", &[found(&mine("1"))]);
    signed["signature"] = json!({"data": "x"});
    let (kept, removed) = replaced(&judge(&signed));
    assert_eq!((removed, &kept["total"], &kept["signature"]), (0, &Value::Null, &Value::Null));
    assert_eq!(kept["entry"], signed["entry"], "nothing says that something was removed");
    let count = json!({"resourceType": "Bundle", "type": "searchset", "total": 41});
    assert_eq!(replaced(&judge(&count)).0, json!({"resourceType": "Bundle", "type": "searchset"}));
    let uncounted =
        json!({"resourceType": "Bundle", "type": "searchset", "signature": {"data": "x"}});
    assert_eq!(judge(&uncounted), Verdict::Whole);
    let (kept, removed) = replaced(&judge(&bundle("searchset", &[found(&foreign("1"))])));
    assert_eq!((removed, &kept["total"]), (1, &Value::Null));
}

#[test]
fn contained_resources_are_judged_and_contain_none() {
    let containing = |contained: Value| {
        let mut resource = mine("1");
        resource["contained"] = contained;
        resource
    };
    let practitioner = json!({"resourceType": "Practitioner", "id": "x"});
    let mut holding = practitioner.clone();
    holding["extension"] = json!([{"url": "x", "valueThing": foreign("2")}]);
    let mut containing_more = practitioner.clone();
    containing_more["contained"] = json!([practitioner]);
    let cases = [
        (containing(json!([practitioner])), true),
        (containing(json!([])), true),
        (containing(json!([mine("2")])), true),
        (containing(json!([foreign("2")])), false),
        (containing(json!([practitioner, {"resourceType": "Condition", "id": "c"}])), false),
        (containing(json!([holding])), false),
        (containing(json!([containing_more])), false),
        (containing(json!(practitioner)), false),
        (containing(json!(null)), false),
        (containing(json!([[practitioner]])), false),
    ];
    for (resource, passes) in cases {
        let verdict =
            with_scope("patient/Observation.rs patient/Practitioner.r", &read(), &resource);
        assert_eq!(verdict == Verdict::Whole, passes, "{resource}: {verdict:?}");
    }
}
