use super::*;
use crate::fhir::{Id, ResourceType};

fn entry(method: &str, url: &str, full_url: &Value) -> Value {
    let mut entry = json!({"fullUrl": full_url, "request": {"method": method, "url": url}});
    if ["POST", "PUT"].contains(&method) {
        entry["resource"] = json!({"resourceType": "Patient"});
    }
    entry
}

#[test]
fn a_full_url_names_what_the_request_is_about() {
    let ok = [
        ("PUT", "Patient/1", "Patient/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/1"),
        ("PUT", "Patient/1", "http://example.org/fhir/Patient/1"),
        ("PUT", "Patient/1", "http://example.org/Patient/1"),
        ("PUT", "https://api.example/fhir/Patient/1", "Patient/1"),
        ("PUT", "Patient/1", "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"),
        ("PUT", "Patient/1", "urn:oid:1.2.3"),
        ("DELETE", "Patient/1", "Patient/1"),
        ("GET", "Patient/1", "Patient/1"),
        ("POST", "Patient", "urn:uuid:1"),
        ("POST", "Patient", "http://localhost:9556/svc/fhir/Patient/a2"),
        ("PUT", "Patient?identifier=1", "urn:uuid:1"),
        ("PUT", "Patient?identifier=1", "https://api.example/fhir/Patient/7"),
        ("DELETE", "Patient?identifier=1", "Patient/7"),
        ("GET", "Patient?name=x", "urn:uuid:1"),
        ("POST", "Patient/1/$match", "urn:uuid:1"),
    ];
    for (method, url, full_url) in ok {
        let found = ask_one(&entry(method, url, &json!(full_url)));
        assert_eq!(found, Ok(Some(full_url.to_owned())), "{method} {url} {full_url}");
    }
    let wrong = [
        ("PUT", "Patient/1", "Patient/2"),
        ("PUT", "Patient/1", "Patient/12"),
        ("PUT", "Patient/1", "Observation/1"),
        ("PUT", "Patient/1", "patient/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/2"),
        ("PUT", "Patient/1", "https://api.example/fhir/Observation/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/1/_history/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/1/"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/2?x=/Patient/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/Patient/2#/Patient/1"),
        ("PUT", "Patient/1", "https://api.example/fhir/%50atient/1"),
        ("PUT", "Patient/1", "https://api.example/fhir//Patient/1"),
        ("PUT", "Patient/1", "https:///Patient/1"),
        ("PUT", "Patient/1", "https://Patient/1"),
        ("PUT", "Patient/1", "//api.example/fhir/Patient/1"),
        ("PUT", "Patient/1", "/Patient/1"),
        ("PUT", "Patient/1", "fhir/Patient/1"),
        ("PUT", "Patient/1", "../Patient/1"),
        ("PUT", "Patient/1", "HTTPS://api.example/fhir/Patient/1"),
        ("PUT", "Patient/1", "ftp://api.example/Patient/1"),
        ("PUT", "Patient/1", "urn:uuid:"),
        ("PUT", "Patient/1", "URN:UUID:1"),
        ("PUT", "Patient/1", "urn:x:Patient/1"),
        ("PUT", "Patient/1", "urn:uuid:1/Patient/2"),
        ("PUT", "Patient/1", "urn:uuid:1 "),
        ("PUT", "Patient/1", "#p"),
        ("PUT", "Patient/1", ""),
        ("PUT", "Patient/1", " Patient/1"),
        ("PUT", "Patient/1", "Patient/1\n"),
        ("DELETE", "Patient/1", "Patient/2"),
        ("GET", "Patient/1", "Patient/2"),
        ("POST", "Patient", "Observation/1"),
        ("POST", "Patient", "Patient/a_b"),
        ("POST", "Patient", "Patient"),
        ("POST", "Patient", "https://api.example/fhir/Observation/1"),
        ("PUT", "Patient?identifier=1", "Observation/1"),
        ("GET", "Patient?name=x", "Patient/1"),
        ("GET", "Patient/1/_history/2", "Patient/2"),
        ("GET", "metadata", "metadata"),
        ("POST", "Patient/$match", "Patient/1"),
    ];
    for (method, url, full_url) in wrong {
        let found = code(ask_one(&entry(method, url, &json!(full_url))));
        assert_eq!(found, "bundle_full_url", "{method} {url} {full_url}");
    }
    for full_url in [json!(null), json!(1), json!(["Patient/1"]), json!({})] {
        let found = code(ask_one(&entry("PUT", "Patient/1", &full_url)));
        assert_eq!(found, "bundle_full_url", "{full_url}");
    }
}

#[test]
fn no_two_entries_have_one_name() {
    let rows = [
        ("urn:uuid:a", "urn:uuid:a", true),
        ("urn:uuid:a", "urn:uuid:A", true),
        ("urn:uuid:a", "urn:uuid:b", false),
        ("Patient/1", "Patient/1", true),
        ("Patient/1", "https://api.example/fhir/Patient/1", true),
        ("http://a.example/Patient/1", "http://b.example/Patient/1", true),
        ("Patient/1", "Patient/2", false),
        ("Patient/a", "Patient/A", false),
    ];
    for kind in ["batch", "transaction"] {
        for (one, other, twice) in rows {
            let body = bundle(
                kind,
                &json!([
                    {"request": {"method": "GET", "url": "Patient/1"}},
                    entry("POST", "Patient", &json!(one)),
                    entry("POST", "Patient", &json!(other)),
                ]),
            );
            let found = ask(body.as_bytes()).map_err(|refusal| (refusal.reason.code, refusal.hint));
            let expected = ("bundle_full_url_twice", Some("entry 2".to_owned()));
            assert_eq!(found.err(), twice.then_some(expected), "{one} {other}");
        }
    }
}

#[test]
fn a_reference_is_resolved_to_what_the_entry_writes() {
    let entries = json!([
        entry("PUT", "Patient/p1", &json!("urn:uuid:AB")),
        entry("PUT", "Patient/p2", &json!("http://other.example/r4/Patient/p2")),
        entry("POST", "Patient", &json!("urn:uuid:new")),
        entry("POST", "Patient", &json!("https://api.example/fhir/Patient/p3")),
        entry("PUT", "Patient?identifier=1", &json!("urn:uuid:found")),
        entry("DELETE", "Observation/o", &json!("urn:uuid:gone")),
        entry("GET", "Patient/p4", &json!("urn:uuid:read")),
        entry("POST", "Patient/$match", &json!("urn:uuid:op")),
        {"request": {"method": "DELETE", "url": "Patient/p5"}},
    ]);
    let named = |resource: &str, id: Option<&str>| {
        let resource = ResourceType::parse(Release::R4, resource).unwrap();
        Some(Named { resource, id: id.and_then(Id::parse) })
    };
    let rows = [
        ("urn:uuid:AB", named("Patient", Some("p1"))),
        ("urn:uuid:ab", named("Patient", Some("p1"))),
        ("URN:UUID:AB", named("Patient", Some("p1"))),
        ("http://other.example/r4/Patient/p2", named("Patient", Some("p2"))),
        ("Patient/p2", named("Patient", Some("p2"))),
        ("https://api.example/fhir/Patient/p2", named("Patient", Some("p2"))),
        ("urn:uuid:new", named("Patient", None)),
        ("Patient/p3", named("Patient", None)),
        ("https://api.example/fhir/Patient/p3", named("Patient", None)),
        ("http://fhir.internal:8080/r4/Patient/p3", named("Patient", None)),
        ("urn:uuid:found", named("Patient", None)),
        ("urn:uuid:gone", named("Observation", Some("o"))),
        ("http://evil.example/Patient/p2", None),
        ("http://evil.example/Patient/p3", None),
        ("Patient/p1", None),
        ("Patient/p5", None),
        ("Patient/p20", None),
        ("urn:uuid:read", None),
        ("urn:uuid:op", None),
        ("urn:uuid:", None),
        ("urn:uuid:A", None),
        ("", None),
    ];
    let body = bundle("transaction", &entries);
    let aliases = ask(body.as_bytes()).unwrap().aliases(&api());
    for (reference, expected) in &rows {
        assert_eq!(aliases.find(reference), expected.as_ref(), "{reference}");
    }
    let body = bundle("batch", &entries);
    let aliases = ask(body.as_bytes()).unwrap().aliases(&api());
    for (reference, _) in rows {
        assert_eq!(aliases.find(reference), None, "in a batch: {reference}");
    }
}
