//! What holds for every Bundle.

use proptest::prelude::*;

use super::*;

fn urls() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "Patient",
        "Patient/1",
        "Patient/p/Observation",
        "Observation?",
        "?_type=Patient",
        "",
        "https://api.example/fhir",
        "https://api.example/fhir/Patient",
        "https://evil.example",
    ]);
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/1",
        "p",
        "?",
        "name=x",
        "&code=a|b",
        "$everything",
        "/_history",
        "/_search",
        "..",
        "%2e",
        ":",
        "é",
        "*",
        "metadata",
        "\\",
        "#",
    ]);
    (start, prop::collection::vec(piece, 0..3))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

fn methods() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "get"])
}

/// Entries, most of them good.
fn entries() -> impl Strategy<Value = Value> {
    let good = prop::sample::select(vec![
        ("GET", "Patient/1"),
        ("GET", "Patient?name=x"),
        ("GET", "https://api.example/fhir/$export"),
        ("POST", "Patient"),
        ("PUT", "Patient/1"),
        ("PUT", "Patient?name=x"),
        ("PATCH", "Patient/1"),
        ("DELETE", "Patient/1"),
        ("HEAD", "metadata"),
    ]);
    let good = good.prop_map(|(method, url)| (method, url.to_owned()));
    let request = prop_oneof![9 => good, 1 => (methods(), urls())];
    let full_url = prop_oneof![
        4 => Just(String::new()), 2 => "urn:uuid:[a-f]{4}", 1 => Just("Patient/1".to_owned()),
    ];
    let odd = prop_oneof![9 => Just(""), 1 => prop::sample::select(vec!["response", "resource"])];
    (request, full_url, odd, any::<bool>()).prop_map(|((method, url), full_url, odd, condition)| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        match method {
            "POST" | "PUT" => entry["resource"] = json!({"resourceType": "Patient", "id": "1"}),
            "PATCH" => {
                let media_type = "application/json-patch+json";
                entry["resource"] =
                    json!({"resourceType": "Binary", "contentType": media_type, "data": "W10="});
            }
            _ => {}
        }
        if !full_url.is_empty() {
            entry["fullUrl"] = json!(full_url);
        }
        if !odd.is_empty() {
            entry[odd] = json!({});
        }
        if condition {
            entry["request"]["ifMatch"] = json!("W/\"1\"");
        }
        entry
    })
}

fn bundles() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["batch", "transaction"]);
    (kind, prop::collection::vec(entries(), 0..4))
        .prop_map(|(kind, entries)| bundle(kind, &Value::Array(entries)))
}

fn changes() -> impl Strategy<Value = Change> {
    let text = || prop::option::of("\\PC{1,8}");
    let method = prop::option::of(Just("POST"));
    (method, text(), text(), text(), text(), any::<bool>()).prop_map(
        |(method, url, if_match, if_none_match, if_none_exist, unconditional)| Change {
            method,
            id: None,
            url,
            if_match,
            if_none_match,
            if_none_exist,
            unconditional,
        },
    )
}

/// The request as it should be after a change.
fn changed(request: &Value, change: &Change) -> Value {
    let mut request = request.as_object().unwrap().clone();
    if change.unconditional {
        request.remove("ifNoneMatch");
        request.remove("ifModifiedSince");
        request.remove("ifMatch");
        request.remove("ifNoneExist");
    }
    let Change { method, url, if_match, if_none_match, if_none_exist, .. } = change;
    for (name, value) in [
        ("method", &method.map(str::to_owned)),
        ("url", url),
        ("ifMatch", if_match),
        ("ifNoneMatch", if_none_match),
        ("ifNoneExist", if_none_exist),
    ] {
        if let Some(value) = value {
            request.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(request)
}

proptest! {
    #[test]
    fn nothing_panics_on_any_bytes(body in any::<Vec<u8>>()) {
        let _ = ask(&body);
        let _ = rewrite(&body, &[Change::default()]);
    }

    #[test]
    fn nothing_panics_on_a_damaged_bundle(
        body in bundles(), place in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<bool>(),
    ) {
        let mut body = body.into_bytes();
        let place = place.index(body.len());
        if end { body.truncate(place) } else { body[place] = byte }
        if let Ok(batch) = ask(&body) {
            let _ = batch.aliases(&api());
        }
        let _ = rewrite(&body, &[Change::default()]);
    }

    #[test]
    fn an_unchanged_bundle_is_the_same_json(body in bundles()) {
        if let Ok(batch) = ask(body.as_bytes()) {
            let same = rewrite(body.as_bytes(), &vec![Change::default(); batch.entries.len()]).unwrap();
            let (before, after): (Value, Value) =
                (serde_json::from_str(&body).unwrap(), serde_json::from_slice(&same).unwrap());
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_rewritten_bundle_has_the_changes_and_nothing_else(
        body in bundles(), changes in prop::collection::vec(changes(), 4),
    ) {
        if let Ok(batch) = ask(body.as_bytes()) {
            let changes = &changes[..batch.entries.len()];
            let rewritten = rewrite(body.as_bytes(), changes).unwrap();
            let mut expected: Value = serde_json::from_str(&body).unwrap();
            for (entry, change) in expected["entry"].as_array_mut().unwrap().iter_mut().zip(changes) {
                entry["request"] = changed(&entry["request"], change);
            }
            // Strictly: a member twice would be an error.
            let found = crate::base::json::parse(&rewritten).unwrap();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_entry_is_the_interaction_that_its_request_is_alone(method in methods(), url in urls()) {
        let alone = || {
            let extra: &[(&str, &str)] = match method {
                "POST" | "PUT" => &[("content-type", "application/fhir+json")],
                _ => &[],
            };
            match route(&head(method, &format!("/fhir/{url}"), extra)?, &api())? {
                Routed::Fhir(request) => Ok(request),
                Routed::Passthrough => panic!("{url} is not FHIR"),
            }
        };
        let body = asking(method, &url);
        let rooted = url.starts_with(['/', '\\']) || url.is_empty();
        let absolute = url.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
        match ask(body.as_bytes()) {
            Ok(batch) if !absolute => {
                let alone = alone().unwrap();
                let entry = &batch.entries[0].request;
                prop_assert_eq!(&entry.interaction, &alone.interaction);
                prop_assert_eq!(&entry.query, &alone.query);
                prop_assert_eq!(entry.body, alone.body);
            }
            Ok(batch) => {
                let entry = &batch.entries[0];
                let relative = relative(entry.head.raw_target(), &api()).unwrap();
                prop_assert!(entry.absolute && url.starts_with("https://api.example/fhir"));
                prop_assert!(url.ends_with(relative));
            }
            Err(refusal) if !rooted && !absolute && !["get", "PATCH"].contains(&method) => {
                prop_assert_eq!(Err(refusal), alone().map(|request| request.interaction));
            }
            Err(_) => {}
        }
    }
}
