//! The answers to a batch or transaction, entry by entry.

use super::*;

fn answer(status: &str, resource: &Value) -> Value {
    json!({"resource": resource, "response": {"status": status}})
}

fn bare(status: &str) -> Value {
    json!({"response": {"status": status}})
}

fn judged_as(forms: Vec<Option<Form>>, kind: &str, entries: &[Value]) -> Verdict {
    let asked = forms.into_iter().map(|form| form.map(|form| expected(&form))).collect();
    let mut value = bundle(kind, entries);
    value.as_object_mut().unwrap().remove("total");
    judged(&Form::Batch(asked), &value)
}

fn one(form: &Form, entry: &Value) -> Verdict {
    judged_as(vec![Some(form.clone())], "batch-response", core::slice::from_ref(entry))
}

/// The status and reason that stand in place of an entry.
#[track_caller]
fn refused_with(verdict: &Verdict) -> (String, String) {
    let (bundle, removed) = replaced(verdict);
    assert_eq!(removed, 1);
    let response = &bundle["entry"][0]["response"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let issue = &response["outcome"]["issue"][0];
    assert_eq!(bundle["entry"][0].as_object().unwrap().len(), 1, "nothing but the response");
    (text(&response["status"]), text(&issue["details"]["coding"][0]["code"]))
}

#[test]
fn each_entry_is_judged_as_if_it_had_come_alone() {
    let written = Form::Written(named("Observation"));
    let set = bundle("searchset", &[found(&mine("1"))]);
    let versions = bundle("history", &[version(&mine("1"))]);
    let failed = |resource: Value| json!({"resource": resource, "response": {"status": "422 Unprocessable"}});
    let told = json!({"response": {"status": "500", "outcome": outcome_resource()}});
    let member = ("403 Forbidden", "compartment_not_member");
    let odd = ("502 Bad Gateway", "answer_batch_entry");
    let error = ("502 Bad Gateway", "answer_error_body");
    let status = ("502 Bad Gateway", "answer_status");
    let cases = [
        (read(), answer("200 OK", &mine("1")), None),
        (read(), answer("200", &mine("1")), None),
        (read(), answer("200 OK", &foreign("1")), Some(member)),
        (read(), answer("200 OK", &json!({"resourceType": "Condition"})), Some(member)),
        (read(), bare("200 OK"), Some(odd)),
        (read(), bare("404 Not Found"), Some(member)),
        (read(), bare("410 Gone"), Some(member)),
        (read(), answer("404 Not Found", &foreign("1")), Some(member)),
        (read(), bare("304 Not Modified"), Some(status)),
        (read(), answer("201 Created", &mine("1")), Some(status)),
        (read(), answer("20 OK", &mine("1")), Some(odd)),
        (read(), answer("2000", &mine("1")), Some(odd)),
        (read(), answer("OK", &mine("1")), Some(odd)),
        (read(), answer("+20 OK", &mine("1")), Some(odd)),
        (read(), json!({"resource": mine("1")}), Some(odd)),
        (read(), json!({"resource": mine("1"), "response": {"status": 200}}), Some(odd)),
        (read(), mine("1"), Some(odd)),
        (read(), json!(null), Some(odd)),
        (read(), json!([answer("200 OK", &mine("1"))]), Some(odd)),
        (read(), failed(outcome_resource()), None),
        (read(), failed(mine("1")), Some(error)),
        (read(), told.clone(), None),
        (search(), answer("200 OK", &set), None),
        (search(), answer("200 OK", &mine("1")), Some(("502 Bad Gateway", "answer_not_bundle"))),
        (search(), bare("200 OK"), Some(odd)),
        (search(), bare("404 Not Found"), None),
        (history(), answer("200 OK", &versions), None),
        (history(), bare("404"), Some(member)),
        (Form::Collection, answer("200 OK", &set), None),
        (Form::Result, answer("200 OK", &mine("1")), None),
        (Form::Result, answer("200 OK", &foreign("1")), Some(member)),
        (Form::Result, bare("204 No Content"), None),
        (written.clone(), bare("201 Created"), None),
        (written.clone(), answer("200 OK", &mine("1")), None),
        (
            written.clone(),
            json!({"response": {"status": "201 Created", "location": "Observation/1/_history/1",
            "etag": "W/\"1\"", "lastModified": "2026-01-01T00:00:00Z", "outcome": outcome_resource()}}),
            None,
        ),
        (written.clone(), bare("404 Not Found"), None),
        (written, bare("303 See Other"), Some(status)),
    ];
    for (form, entry, wanted) in cases {
        let verdict = one(&form, &entry);
        match wanted {
            None => assert_eq!(verdict, Verdict::Whole, "{form:?} {entry}"),
            Some((status, code)) => {
                let wanted = (status.to_owned(), code.to_owned());
                assert_eq!(refused_with(&verdict), wanted, "{form:?} {entry}");
            }
        }
    }
}

#[test]
fn what_does_not_exist_reads_to_the_byte_like_what_is_not_shown() {
    let foreign = one(&read(), &answer("200 OK", &foreign("1")));
    for missing in [
        bare("404 Not Found"),
        bare("410 Gone"),
        answer("404", &outcome_resource()),
        json!({"response": {"status": "404 Not Found", "outcome": outcome_resource()}, "fullUrl": "x"}),
    ] {
        assert_eq!(one(&read(), &missing), foreign, "{missing}");
    }
    // A transaction fails as a whole: what is missing in it must not show in its status.
    let by_id = Form::Batch(vec![None, Some(expected(&read()))]);
    let writes = Form::Batch(vec![None, Some(expected(&Form::Written(named("Observation"))))]);
    for status in [404, 410] {
        assert_eq!(answered(&by_id, status, b""), refused(&ANSWER_NOT_FOUND));
        assert_eq!(answered(&writes, status, b""), Verdict::Whole);
    }
}

#[test]
fn an_entry_with_something_in_it_that_fhir_does_not_have_is_refused_in_its_place() {
    let with = |name: &str, value: Value| {
        let mut entry = answer("200 OK", &mine("1"));
        entry[name] = value;
        entry
    };
    let response = |value: Value| json!({"status": "200 OK", "x": value});
    for entry in [
        with("fullUrl", json!("https://other.example/fhir/Observation/1")),
        with("extra", json!(1)),
        with("link", json!([foreign("1")])),
        with("response", response(foreign("1"))),
        with("response", json!({"status": "200 OK", "outcome": foreign("1")})),
        with("response", json!({"status": "200 OK", "outcome": null})),
        with("request", foreign("1")),
    ] {
        let (status, _) = refused_with(&one(&read(), &entry));
        assert_eq!(status, "502 Bad Gateway", "{entry}");
    }
    assert_eq!(one(&read(), &with("fullUrl", json!("urn:uuid:1"))), Verdict::Whole);
}

#[test]
fn there_are_as_many_answers_as_requests() {
    let mine = answer("200 OK", &mine("1"));
    let cases = [(1, 0), (1, 2), (0, 1), (3, 2)];
    for (asked, got) in cases {
        for form in [None, Some(read())] {
            let verdict = judged_as(vec![form; asked], "batch-response", &vec![mine.clone(); got]);
            assert_eq!(verdict, refused(&ANSWER_BATCH_ENTRIES), "{asked} asked, {got} answers");
        }
    }
    assert_eq!(judged_as(Vec::new(), "batch-response", &[]), Verdict::Whole);
    let without = json!({"resourceType": "Bundle", "type": "batch-response"});
    assert_eq!(judged(&Form::Batch(Vec::new()), &without), Verdict::Whole);
    let one = Form::Batch(vec![Some(expected(&read()))]);
    assert_eq!(judged(&one, &without), refused(&ANSWER_BATCH_ENTRIES));
}

#[test]
fn only_the_answer_to_a_batch_or_transaction_is_one() {
    let entries = [answer("200 OK", &mine("1"))];
    for (kind, is) in [
        ("batch-response", true),
        ("transaction-response", true),
        ("batch", false),
        ("searchset", false),
        ("collection", false),
    ] {
        let verdict = judged_as(vec![Some(read())], kind, &entries);
        let wanted = if is { Verdict::Whole } else { refused(&ANSWER_NOT_BUNDLE) };
        assert_eq!(verdict, wanted, "{kind}");
    }
    let form = Form::Batch(vec![Some(expected(&read()))]);
    assert_eq!(judged(&form, &mine("1")), refused(&ANSWER_NOT_BUNDLE));
}

#[test]
fn searches_in_a_batch_are_rewritten_in_place_and_the_rest_stays_to_the_byte() {
    let set = bundle("searchset", &[found(&foreign("1")), found(&mine("2"))]);
    let untouched = r#"{ "resource" : {"resourceType":"Observation","id":"9","subject":{"reference":"Patient/ANY"},"valueQuantity":{"value":1.10}} }"#;
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"batch-response","entry":[ {untouched},{},{}, {}]}}"#,
        answer("200 OK", &set),
        answer("200 OK", &foreign("3")),
        answer("200 OK", &mine("4")),
    );
    let asked = vec![None, Some(search()), Some(read()), Some(read())];
    let asked = asked.into_iter().map(|form| form.map(|form| expected(&form))).collect();
    let Verdict::Replace { body, removed: 2 } = answered(&Form::Batch(asked), 200, text.as_bytes())
    else {
        panic!("not replaced");
    };
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains(untouched) && !body.contains("SECRET"), "{body}");
    let bundle: Value = serde_json::from_str(&body).unwrap();
    let found_set = &bundle["entry"][1]["resource"];
    assert_eq!((&found_set["total"], &found_set["entry"][0]), (&Value::Null, &found(&mine("2"))));
    assert_eq!(found_set["entry"][1]["resource"]["issue"][0]["code"], "suppressed");
    assert_eq!(bundle["entry"][2]["response"]["status"], "403 Forbidden");
    assert_eq!(bundle["entry"][3], answer("200 OK", &mine("4")));
}

#[test]
fn a_write_that_is_done_says_so_without_the_resource_and_where_it_is() {
    let mut entry = answer("201 Created", &foreign("1"));
    entry["response"]["location"] = json!("Observation/1/_history/1");
    let verdict = one(&Form::Written(named("Observation")), &entry);
    let (bundle, removed) = replaced(&verdict);
    let outcome = &bundle["entry"][0]["response"]["outcome"];
    assert_eq!(outcome["issue"][0]["code"], "suppressed");
    let response = json!({"status": "201", "outcome": outcome});
    assert_eq!((removed, &bundle["entry"][0]), (1, &json!({"response": response})));
}

#[test]
fn a_search_that_fails_in_its_middle_leaves_nothing_of_its_edits() {
    // The first entry is cut before the Bundle turns out to be no searchset.
    let mut set = bundle("searchset", &[found(&foreign("1")), found(&mine("2"))]);
    set["type"] = json!("history");
    let verdict = judged_as(
        vec![Some(search()), Some(read())],
        "batch-response",
        &[answer("200 OK", &set), answer("200 OK", &mine("4"))],
    );
    let (bundle, removed) = replaced(&verdict);
    assert_eq!((removed, bundle["entry"].as_array().unwrap().len()), (1, 2));
    assert_eq!(bundle["entry"][0]["response"]["status"], "502 Bad Gateway");
    assert_eq!(bundle["entry"][1], answer("200 OK", &mine("4")));
}

#[test]
fn what_comes_twice_never_passes() {
    let form = Form::Batch(vec![None, Some(expected(&read())), Some(expected(&search()))]);
    let good = [
        answer("200 OK", &mine("1")).to_string(),
        answer("200 OK", &mine("1")).to_string(),
        answer("200 OK", &bundle("searchset", &[found(&mine("1"))])).to_string(),
    ];
    let twice = [
        ("\"id\":\"1\"", "\"id\":\"1\",\"\\u0069d\":\"2\""),
        ("\"response\":", "\"response\":{\"status\":\"200\"},\"response\":"),
        ("\"resource\":", "\"resource\":1,\"resource\":"),
    ];
    for place in 0..3 {
        for (from, to) in twice {
            let mut entries = good.clone();
            entries[place] = entries[place].replacen(from, to, 1);
            assert_ne!(entries[place], good[place]);
            let text = format!(
                r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{}]}}"#,
                entries.join(","),
            );
            let verdict = answered(&form, 200, text.as_bytes());
            // In a resource that is judged it concerns that alone.
            if place > 0 && from.contains("id") {
                let (bundle, removed) = replaced(&verdict);
                let issue = &bundle["entry"][place]["response"]["outcome"]["issue"][0];
                let code = &issue["details"]["coding"][0]["code"];
                assert_eq!((removed, code), (1, &json!("answer_unreadable")), "{text}");
            } else {
                assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{text}");
            }
        }
    }
}

#[test]
fn the_status_of_each_entry_is_told_as_far_as_it_has_one() {
    let rows = [
        (json!({"entry": [{"response": {"status": "200 OK"}}]}), vec![Some(200)]),
        (
            json!({"entry": [{}, {"response": {"status": 404}}, {"response": {"status": "404"}}]}),
            vec![None, None, Some(404)],
        ),
        (json!({"entry": [{"response": {"status": "OK"}}, {"response": 200}]}), vec![None, None]),
        (json!({"resourceType": "Bundle", "entry": []}), vec![]),
        (json!({"resourceType": "Bundle"}), vec![]),
        (json!({"entry": {"response": {"status": "200"}}}), vec![]),
        (json!([{"response": {"status": "200"}}]), vec![]),
    ];
    for (body, expected) in rows {
        let body = body.to_string();
        assert_eq!(crate::response::statuses(body.as_bytes()), expected, "{body}");
        let cut = body.get(..body.len() - 1).unwrap();
        assert_eq!(crate::response::statuses(cut.as_bytes()), [], "{cut}");
    }
}
