mod full_urls;
mod laws;
mod rewriting;

use serde_json::{Value, json};

use super::*;
use crate::fhir::{Body, Interaction, Release, Routed, route};
use crate::request::{self, Headers};

fn api() -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: vec![
            "https://api.example".to_owned(),
            "https://api.example/fhir".to_owned(),
            "http://fhir.internal:8080/r4".to_owned(),
        ],
        cluster: None,
        public: vec!["metadata".to_owned()],
        passthrough: vec!["/healthz".to_owned()],
    }
}

fn head(method: &str, target: &str, extra: &[(&str, &str)]) -> Result<Head, Refusal> {
    let known = [
        (":method", method),
        (":path", target),
        (":authority", "api.example"),
        (":scheme", "https"),
    ];
    let fields = known.iter().chain(extra).map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()));
    request::read(Headers::new(fields.collect()))
}

/// The head of a Bundle's own request.
fn around() -> Head {
    let extra = [
        ("content-type", "application/fhir+json"),
        ("accept", "application/fhir+json"),
        ("prefer", "return=minimal"),
        ("authorization", "Bearer secret"),
        ("if-match", "W/\"9\""),
        ("x-cascade", "delete"),
    ];
    head("POST", "/fhir", &extra).unwrap()
}

fn ask(body: &[u8]) -> Result<Batch<'_>, Refusal> {
    read(body, &around(), &api())
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.reason.code, |_| "ok")
}

fn bundle(kind: &str, entries: &Value) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

/// A batch of one entry that asks for this; with a Patient when the method takes a body.
fn asking(method: &str, url: &str) -> String {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if ["POST", "PUT", "PATCH"].contains(&method) {
        entry["resource"] = json!({"resourceType": "Patient"});
    }
    bundle("batch", &json!([entry]))
}

#[test]
fn the_entries_of_the_official_transaction_are_the_requests_they_would_be_alone() {
    // Of http://hl7.org/fhir/R4/bundle-transaction.json, each resource cut short.
    let body = bundle(
        "transaction",
        &json!([
            {"fullUrl": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
             "resource": {"resourceType": "Patient", "active": true},
             "request": {"method": "POST", "url": "Patient"}},
            {"fullUrl": "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059",
             "resource": {"resourceType": "Patient", "active": true},
             "request": {"method": "POST", "url": "Patient",
                         "ifNoneExist": "identifier=http:/example.org/fhir/ids|234234"}},
            {"fullUrl": "http://example.org/fhir/Patient/123",
             "resource": {"resourceType": "Patient", "id": "123"},
             "request": {"method": "PUT", "url": "Patient/123"}},
            {"fullUrl": "urn:uuid:74891afc-ed52-42a2-bcd7-f13d9b60f096",
             "resource": {"resourceType": "Patient"},
             "request": {"method": "PUT", "url": "Patient?identifier=http:/example.org/fhir/ids|456456"}},
            {"fullUrl": "http://example.org/fhir/Patient/123a",
             "resource": {"resourceType": "Patient", "id": "123a"},
             "request": {"method": "PUT", "url": "Patient/123a", "ifMatch": "W/\"2\""}},
            {"request": {"method": "DELETE", "url": "Patient/234"}},
            {"request": {"method": "DELETE", "url": "Patient?identifier=123456"}},
            {"fullUrl": "urn:uuid:79378cb8-8f58-48e8-a5e8-60ac2755b674",
             "resource": {"resourceType": "Parameters"},
             "request": {"method": "POST", "url": "ValueSet/$lookup"}},
            {"request": {"method": "GET", "url": "Patient?name=peter"}},
            {"request": {"method": "GET", "url": "Patient/12334", "ifNoneMatch": "W/\"4\"",
                         "ifModifiedSince": "2015-08-31T08:14:33+10:00"}},
        ]),
    );
    let batch = ask(body.as_bytes()).unwrap();
    assert!(batch.transaction);
    let expected = [
        "Create",
        "ConditionalCreate",
        "Update",
        "ConditionalUpdate",
        "Update",
        "Delete",
        "ConditionalDelete",
        "Operation",
        "SearchType",
        "Read",
    ];
    let found = batch.entries.iter().map(|entry| {
        let variant = format!("{:?}", entry.request.interaction);
        variant.split('(').next().unwrap().to_owned()
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let field = |index: usize, name: &str| {
        let head: &Head = &batch.entries[index].head;
        head.headers()
            .single(name)
            .unwrap()
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let exist = "identifier=http:/example.org/fhir/ids|234234";
    assert_eq!(field(1, "if-none-exist").as_deref(), Some(exist));
    assert_eq!(field(4, "if-match").as_deref(), Some("W/\"2\""));
    assert_eq!(field(9, "if-none-match").as_deref(), Some("W/\"4\""));
    assert_eq!(field(9, "if-modified-since").as_deref(), Some("2015-08-31T08:14:33+10:00"));
    assert_eq!(field(0, "content-type").as_deref(), Some("application/fhir+json"));
    assert_eq!(field(5, "content-type"), None);
    assert_eq!(batch.entries[8].head.raw_target(), "/fhir/Patient?name=peter");
    assert_eq!(batch.entries[2].full_url.as_deref(), Some("http://example.org/fhir/Patient/123"));
    for index in 0..10 {
        assert_eq!(field(index, ":scheme").as_deref(), Some("https"));
        assert_eq!(field(index, "prefer").as_deref(), Some("return=minimal"));
        assert_eq!(field(index, "accept").as_deref(), Some("application/fhir+json"));
        assert_eq!(field(index, "x-cascade").as_deref(), Some("delete"));
        assert_eq!(field(index, "authorization"), None);
        assert_eq!(batch.entries[index].head.authority(), "api.example");
    }
    assert_eq!(field(0, "if-match"), None, "a condition of the Bundle is none of the entry");
}

#[test]
fn resources_are_the_bytes_that_came() {
    let resource =
        r#"{ "resourceType":"Observation","valueQuantity":{"value":1.10} , "x":"\u00e9"}"#;
    let entry =
        format!(r#"{{"resource": {resource} ,"request":{{"method":"POST","url":"Observation"}}}}"#);
    let body = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[ {entry} ]}}"#);
    let batch = ask(body.as_bytes()).unwrap();
    let Some(Cow::Borrowed(found)) = &batch.entries[0].body else { panic!("not borrowed") };
    assert_eq!(*found, resource.as_bytes());
    assert_eq!(batch.entries[0].request.body, Body::Resource);
}

#[test]
fn a_bundle_that_is_no_batch_is_refused() {
    for kind in [
        "document",
        "message",
        "history",
        "collection",
        "searchset",
        "batch-response",
        "transaction-response",
        "subscription-notification",
        "Batch",
        "BATCH",
        "batch ",
        "",
    ] {
        assert_eq!(code(ask(bundle(kind, &json!([])).as_bytes())), "bundle_type", "{kind}");
    }
    let rows = [
        (json!({"resourceType": "Bundle"}), "bundle_type"),
        (json!({"resourceType": "Bundle", "type": ["batch"]}), "bundle_type"),
        (json!({"resourceType": "Bundle", "type": null}), "bundle_type"),
        (json!({"type": "batch"}), "body_type"),
        (json!({"resourceType": "Parameters", "type": "batch"}), "body_type"),
        (json!({"resourceType": ["Bundle"], "type": "batch"}), "body_type"),
        (json!({"resourceType": "bundle", "type": "batch"}), "body_type"),
        (json!([{"resourceType": "Bundle", "type": "batch"}]), "body_unreadable"),
        (json!(null), "body_unreadable"),
        (json!({"resourceType": "Bundle", "type": "batch"}), "ok"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": []}), "ok"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": {}}), "bundle_entry"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": null}), "bundle_entry"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": [null]}), "bundle_entry"),
        (json!({"resourceType": "Bundle", "type": "batch", "entry": [[]]}), "bundle_entry"),
    ];
    for (body, expected) in rows {
        assert_eq!(code(ask(body.to_string().as_bytes())), expected, "{body}");
    }
}

#[test]
fn members_that_a_server_might_read_are_refused() {
    let known = json!({
        "id": "b", "meta": {"tag": []}, "language": "de", "identifier": {"value": "x"},
        "timestamp": "2026-01-01T00:00:00Z", "total": 0, "link": [], "signature": {"data": "eA=="},
    });
    let of = |more: &Value| {
        let mut body = json!({"resourceType": "Bundle", "type": "batch", "entry": []});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    assert_eq!(code(ask(of(&known).as_bytes())), "ok");
    for name in ["implicitRules", "issues", "Entry", "_type", "_entry", "extension", "entries", ""]
    {
        assert_eq!(code(ask(of(&json!({name: []})).as_bytes())), "bundle_member", "{name}");
    }
    for name in [
        "response",
        "search",
        "link",
        "extension",
        "modifierExtension",
        "Request",
        "_fullUrl",
        "fullurl",
        "resources",
        "x",
    ] {
        let entry = json!({"request": {"method": "GET", "url": "Patient/1"}, name: {}});
        assert_eq!(
            code(ask(bundle("batch", &json!([entry])).as_bytes())),
            "bundle_member",
            "{name}"
        );
    }
    for name in ["extension", "_url", "_method", "Url", "URL", "ifmatch", "body", "headers"] {
        let entry = json!({"request": {"method": "GET", "url": "Patient/1", name: "x"}});
        assert_eq!(
            code(ask(bundle("batch", &json!([entry])).as_bytes())),
            "bundle_member",
            "{name}"
        );
    }
    let entry = json!({"id": "e", "request": {"id": "r", "method": "GET", "url": "Patient/1"}});
    assert_eq!(code(ask(bundle("batch", &json!([entry])).as_bytes())), "ok");
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let batch =
        |entry: &str| format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
    let texts = [
        r#"{"resourceType":"Bundle","type":"batch","type":"transaction","entry":[]}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"batch","entry":[],"entry":[]}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"batch","entry":[],"\u0065ntry":[]}"#.to_owned(),
        r#"{"resourceType":"Patient","resourceType":"Bundle","type":"batch"}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"batch","meta":{"a":1,"a":2}}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"batch"} {}"#.to_owned(),
        "\u{feff}{\"resourceType\":\"Bundle\",\"type\":\"batch\"}".to_owned(),
        batch(
            r#"{"request":{"method":"GET","url":"Patient/1"},"request":{"method":"GET","url":"Patient/2"}}"#,
        ),
        batch(r#"{"request":{"method":"GET","url":"Patient/1","url":"Patient/2"}}"#),
        batch(r#"{"request":{"method":"GET","\u0075rl":"Patient/1","url":"Patient/2"}}"#),
        batch(r#"{"request":{"method":"GET","method":"DELETE","url":"Patient/1"}}"#),
        batch(r#"{"resource":{},"resource":{},"request":{"method":"POST","url":"Patient"}}"#),
        batch(r#"{"resource":null,"request":{"method":"POST","url":"Patient"}}"#),
        batch(r#"{"resource":[{}],"request":{"method":"PUT","url":"Patient/1"}}"#),
        batch(
            r#"{"resource":{"resourceType":"Binary","data":"","data":""},"request":{"method":"PATCH","url":"Patient/1"}}"#,
        ),
    ];
    for text in texts {
        assert_eq!(code(ask(text.as_bytes())), "body_unreadable", "{text}");
    }
    let utf16: Vec<u8> =
        asking("GET", "Patient/1").encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(code(ask(&utf16)), "body_unreadable");
    assert_eq!(code(ask(b"")), "body_missing");
}

#[test]
fn what_the_bundles_head_says_of_its_body_counts() {
    let body = asking("GET", "Patient/1");
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[], "body_media_type"),
        (&[("content-type", "application/fhir+xml")], "body_media_type"),
        (&[("content-type", "application/fhir+json; charset=utf-16")], "body_media_type"),
        (
            &[("content-type", "application/fhir+json"), ("content-encoding", "gzip")],
            "body_encoding",
        ),
        (&[("content-type", "application/json")], "ok"),
    ];
    for (fields, expected) in rows {
        let head = head("POST", "/fhir", fields).unwrap();
        assert_eq!(code(read(body.as_bytes(), &head, &api())), expected, "{fields:?}");
    }
}

#[test]
fn methods_are_verbs_in_capitals() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
        let url = if method == "POST" { "Patient" } else { "Patient/1" };
        assert_eq!(code(ask(asking(method, url).as_bytes())), "ok", "{method}");
    }
    for method in [
        "get", "Get", "delete", "OPTIONS", "TRACE", "CONNECT", "SEARCH", "GET ", " GET", "GET\n",
        "", "GETPOST",
    ] {
        assert_eq!(code(ask(asking(method, "Patient/1").as_bytes())), "bundle_method", "{method}");
    }
    let rows = [
        json!({}),
        json!({"request": null}),
        json!({"request": []}),
        json!({"request": {}}),
        json!({"request": {"method": "GET"}}),
        json!({"request": {"url": "Patient/1"}}),
        json!({"request": {"method": ["GET"], "url": "Patient/1"}}),
        json!({"request": {"method": "GET", "url": ["Patient/1"]}}),
        json!({"request": {"method": "GET", "url": null}}),
        json!({"request": "GET Patient/1"}),
        json!({"resource": {"resourceType": "Patient"}}),
    ];
    for entry in rows {
        assert_eq!(
            code(ask(bundle("batch", &json!([entry])).as_bytes())),
            "bundle_request",
            "{entry}"
        );
    }
}

#[test]
fn urls_lead_below_the_base_or_nowhere() {
    let rows = [
        ("Patient/1", "/fhir/Patient/1"),
        ("Patient?x=y", "/fhir/Patient?x=y"),
        ("Patient?x=http://a|b", "/fhir/Patient?x=http://a|b"),
        ("$export", "/fhir/$export"),
        ("Patient/1/$everything", "/fhir/Patient/1/$everything"),
        ("?_type=Patient", "/fhir/?_type=Patient"),
        ("metadata", "/fhir/metadata"),
        ("https://api.example/fhir/Patient/1", "/fhir/Patient/1"),
        ("https://api.example/fhir?_type=Patient", "/fhir/?_type=Patient"),
        ("https://api.example/fhir", "/fhir/"),
        ("https://api.example/fhir/", "/fhir/"),
        ("http://fhir.internal:8080/r4/Patient/1", "/fhir/Patient/1"),
    ];
    for (url, target) in rows {
        let body = asking("GET", url);
        let batch = ask(body.as_bytes()).unwrap_or_else(|refusal| panic!("{url}: {refusal:?}"));
        assert_eq!(batch.entries[0].head.raw_target(), target, "{url}");
    }
    let rows = [
        ("", "bundle_url_empty"),
        ("/", "bundle_url_rooted"),
        ("/Patient/1", "bundle_url_rooted"),
        ("/fhir/Patient/1", "bundle_url_rooted"),
        ("//evil.example/fhir/Patient/1", "bundle_url_rooted"),
        ("\\\\evil.example\\x", "bundle_url_rooted"),
        ("https://evil.example/fhir/Patient/1", "bundle_url_elsewhere"),
        ("https://api.example.evil/fhir/Patient/1", "bundle_url_elsewhere"),
        ("https://api.example:444/fhir/Patient/1", "bundle_url_elsewhere"),
        ("https://api.example@evil.example/Patient/1", "bundle_url_elsewhere"),
        ("http://api.example/fhir/Patient/1", "bundle_url_elsewhere"),
        ("HTTPS://api.example/fhir/Patient/1", "bundle_url_elsewhere"),
        ("https:Patient/1", "bundle_url_elsewhere"),
        ("https:/api.example/fhir/Patient/1", "bundle_url_elsewhere"),
        ("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", "bundle_url_elsewhere"),
        ("file:///etc/passwd", "bundle_url_elsewhere"),
        ("javascript:x", "bundle_url_elsewhere"),
        ("https://api.example/fhir/urn:uuid:1", "bundle_url_elsewhere"),
        // What is below the base is read as it would be alone.
        ("https://api.example/fhirx/Patient/1", "fhir_type_unknown"),
        ("https://api.example/admin", "fhir_type_unknown"),
        ("https://api.example/fhir//Patient/1", "target_empty_segment"),
        ("https://api.example/fhir/../admin", "target_dot_segment"),
        ("../admin", "target_dot_segment"),
        ("..", "target_dot_segment"),
        (".", "target_dot_segment"),
        ("./Patient/1", "target_dot_segment"),
        ("Patient/../Observation/1", "target_dot_segment"),
        ("%2e%2e/admin", "target_dot_segment"),
        ("..%2fadmin", "target_encoded_delimiter"),
        ("%2F%2Fevil.example", "target_encoded_delimiter"),
        ("Patient//1", "target_empty_segment"),
        ("Patient\\1", "target_backslash"),
        ("Patient/1;x=y", "target_semicolon"),
        ("Patient/1#x", "target_fragment"),
        ("#", "target_fragment"),
        (" Patient/1", "target_character"),
        ("Patient/1 ", "target_character"),
        ("Patient/1\r\nx: y", "target_character"),
        ("Patient/é", "target_character"),
        ("\u{feff}Patient/1", "target_character"),
        ("fhir/Patient/1", "fhir_type_unknown"),
        ("patient/1", "fhir_type_unknown"),
        ("healthz", "fhir_type_unknown"),
        ("Patient/1/", "fhir_trailing_slash"),
        ("Patient/a:b", "fhir_id_invalid"),
        ("Patient?access_token=x", "token_in_query"),
        ("Patient?_method=DELETE", "method_override"),
        ("Patient?%5Bx%5D=1", "parameter_name"),
    ];
    for (url, expected) in rows {
        assert_eq!(code(ask(asking("GET", url).as_bytes())), expected, "{url}");
    }
}

#[test]
fn resources_stand_where_the_method_takes_one() {
    let patient = json!({"resourceType": "Patient"});
    for (method, url) in [("GET", "Patient/1"), ("HEAD", "Patient/1"), ("DELETE", "Patient/1")] {
        let entry = json!({"resource": patient, "request": {"method": method, "url": url}});
        let found = code(ask(bundle("batch", &json!([entry])).as_bytes()));
        assert_eq!(found, "bundle_resource_unexpected", "{method}");
        let entry = json!({"resource": null, "request": {"method": method, "url": url}});
        let found = code(ask(bundle("batch", &json!([entry])).as_bytes()));
        assert_eq!(found, "bundle_resource_unexpected", "{method}");
    }
    for (method, url) in [
        ("POST", "Patient"),
        ("PUT", "Patient/1"),
        ("PATCH", "Patient/1"),
        ("POST", "Patient/_search?name=x"),
        ("POST", "Patient/1/$everything"),
    ] {
        let entry = json!({"request": {"method": method, "url": url}});
        let found = code(ask(bundle("batch", &json!([entry])).as_bytes()));
        assert_eq!(found, "bundle_resource_missing", "{method} {url}");
    }
    assert_eq!(code(ask(asking("POST", "Patient/_search").as_bytes())), "fhir_media_type");
}

#[test]
fn a_batch_in_a_batch_and_an_operation_are_read_as_alone() {
    let inner = json!({"resourceType": "Bundle", "type": "transaction", "entry": []});
    for (url, expected) in [
        ("https://api.example/fhir", Interaction::Batch),
        ("https://api.example/fhir/", Interaction::Batch),
        ("?", Interaction::Batch),
    ] {
        let entry = json!({"resource": inner, "request": {"method": "POST", "url": url}});
        let body = bundle("transaction", &json!([entry]));
        let batch = ask(body.as_bytes()).unwrap_or_else(|refusal| panic!("{url}: {refusal:?}"));
        assert_eq!(batch.entries[0].request.interaction, expected, "{url}");
    }
    let entry =
        json!({"resource": inner, "request": {"method": "POST", "url": "$process-message"}});
    let body = bundle("batch", &json!([entry]));
    let batch = ask(body.as_bytes()).unwrap();
    assert_eq!(batch.entries[0].request.interaction.operation(), Some("$process-message"));
}

#[test]
fn a_condition_can_stand_in_the_header_that_it_is() {
    for name in ["ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist"] {
        for value in [
            json!(""),
            json!(" "),
            json!(null),
            json!(["W/\"1\""]),
            json!(1),
            json!({}),
            json!("a\r\nx: y"),
            json!("a\u{0}"),
            json!("é"),
            json!("a\tb"),
        ] {
            let entry = json!({"request": {"method": "GET", "url": "Patient/1", name: value}});
            let found = ask_one(&entry).unwrap_err();
            assert_eq!(found.reason.code, "bundle_condition", "{name} {value}");
            assert_eq!(found.hint, Some(format!("entry 0: {name}")), "{value}");
        }
    }
}

fn ask_one(entry: &Value) -> Result<Option<String>, Refusal> {
    let body = bundle("batch", &json!([entry]));
    ask(body.as_bytes()).map(|batch| batch.entries[0].full_url.clone())
}

#[test]
fn a_patch_comes_as_binary_and_is_decoded() {
    let patch = br#"[{"op":"remove","path":"/subject"}]"#;
    let binary = |media_type: &str, data: &str| json!({"resourceType": "Binary", "contentType": media_type, "data": data});
    let request = json!({"method": "PATCH", "url": "Observation/1", "ifMatch": "W/\"1\""});
    let encoded = base64(patch);
    let entry =
        json!({"resource": binary("application/json-patch+json", &encoded), "request": request});
    let body = bundle("batch", &json!([entry]));
    let batch = ask(body.as_bytes()).unwrap();
    let entry = &batch.entries[0];
    assert_eq!(entry.body.as_deref(), Some(&patch[..]));
    let found = crate::fhir::patch::read(entry.body.as_deref().unwrap(), entry.head.headers());
    assert!(found.unwrap().touches("subject"));

    let json_patch = |data: &str| binary("application/json-patch+json", data);
    let more = |name: &str| {
        let mut binary = json_patch(&encoded);
        binary[name] = json!("x");
        binary
    };
    let (start, rest) = encoded.split_at(4);
    assert!(rest.ends_with('='));
    let rows = [
        (json!({"resourceType": "Parameters"}), "patch_format"),
        (json!({"resourceType": "Observation"}), "patch_format"),
        (json!({}), "patch_format"),
        (json!({"resourceType": "Binary", "data": encoded}), "patch_format"),
        (binary("application/fhir+json", &encoded), "patch_format"),
        (binary("application/xml-patch+xml", &encoded), "patch_format"),
        (binary("application/json-patch+json; charset=utf-16", &encoded), "patch_format"),
        (binary("application/json-patch+json\r\nx: y", &encoded), "patch_format"),
        (
            json!({"resourceType": "Binary", "contentType": "application/json-patch+json"}),
            "bundle_patch_data",
        ),
        (json_patch("%%%"), "bundle_patch_data"),
        (json_patch(encoded.trim_end_matches('=')), "bundle_patch_data"),
        (json_patch(&format!("{encoded} ")), "bundle_patch_data"),
        (json_patch(&format!("{start}\n{rest}")), "bundle_patch_data"),
        (json_patch("W10-_w=="), "bundle_patch_data"),
        (json_patch("W11="), "bundle_patch_data"),
        (more("content"), "bundle_member"),
        (more("_data"), "bundle_member"),
        (more("securityContext"), "bundle_member"),
        (more("meta"), "ok"),
    ];
    for (resource, expected) in rows {
        let entry = json!({"resource": resource, "request": request});
        assert_eq!(code(ask_one(&entry)), expected, "{resource}");
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_thousand_entries_are_read_and_one_more_is_not() {
    let entry = json!({"request": {"method": "GET", "url": "Patient/1"}});
    let of = |count: usize| bundle("batch", &Value::Array(vec![entry.clone(); count]));
    let body = of(MAX_ENTRIES);
    assert_eq!(ask(body.as_bytes()).unwrap().entries.len(), 1_000);
    for count in [MAX_ENTRIES + 1, 10_000] {
        assert_eq!(code(ask(of(count).as_bytes())), "bundle_too_many");
    }
}

#[test]
fn a_refusal_names_the_entry_by_its_index_and_no_value() {
    let good = json!({"request": {"method": "GET", "url": "Patient/1"}});
    let rows = [
        (json!({"request": {"method": "GET", "url": "Smith/1"}}), "entry 2"),
        (json!({"request": {"method": "smith", "url": "Patient/1"}}), "entry 2"),
        (json!({"smith": 1, "request": {"method": "GET", "url": "Patient/1"}}), "entry 2"),
        (json!({"request": {"method": "GET", "url": "Patient/1", "smith": 1}}), "entry 2: request"),
    ];
    for (bad, expected) in rows {
        let body = bundle("batch", &json!([good, good, bad]));
        let refusal = ask(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.hint.as_deref(), Some(expected), "{bad}");
    }
}
