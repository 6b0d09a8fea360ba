//! What is forwarded of a batch: each entry as its own permit says.

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::fhir::{Id, ResourceType};
use crate::policy::{Narrowing, Probe, Search};
use crate::store::HttpAnswer;

const STORED: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"subject":{"reference":"Patient/P"}}"#;

/// What is looked up for the criteria of an entry.
fn search(criteria: &str) -> Search {
    Search {
        resource: ResourceType::parse(Release::R4, "Observation").unwrap(),
        compartment: None,
        criteria: criteria.to_owned(),
        narrowing: vec![Narrowing { name: "patient".to_owned(), value: "Patient/P".to_owned() }],
    }
}

/// The requests of the entries that go on.
fn requests(entries: &Value) -> Vec<Value> {
    sent(entries).iter().map(|entry| entry["request"].clone()).collect()
}

/// The entries that go on.
fn sent(entries: &Value) -> Vec<Value> {
    let api = Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: vec!["https://api.example/fhir".to_owned()],
        cluster: Some("fhir".to_owned()),
        public: Vec::new(),
        passthrough: Vec::new(),
    };
    let claims = Claims { scope: "patient/*.cruds".to_owned(), ..claims() };
    let head = head_with("POST", "/fhir/", &[(b"content-type", b"application/fhir+json")]);
    let Ok(Routed::Fhir(request)) = route(&head, &api) else { panic!("not routed") };
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string();
    let mut stored = Stored::default();
    let probe = |id| Probe {
        resource: ResourceType::parse(Release::R4, "Observation").unwrap(),
        id: Id::parse(id).unwrap(),
    };
    for (id, status) in [("1", 200), ("2", 404)] {
        let answer = HttpAnswer { status, etag: None, body: STORED.as_bytes().to_vec() };
        stored.answered(probe(id), Ok(answer)).unwrap();
    }
    for (criteria, found) in [("identifier=x", ""), ("code=x", STORED), ("code=none", "")] {
        let entry =
            if found.is_empty() { String::new() } else { format!(r#"{{"resource":{found}}}"#) };
        let body = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry}]}}"#);
        let answer = HttpAnswer { status: 200, etag: None, body: body.into_bytes() };
        stored.answered(search(criteria), Ok(answer)).unwrap();
    }
    let evidence = Evidence::new(Some(bundle.as_bytes()), &stored);
    let grants = Rc::new(Grants::of(&claims, &api, &Smart::default()));
    let token = AdmittedToken::for_tests(claims.clone());
    let smart = Smart::default();
    let decision = decide(&token, &grants, &request, &head, evidence, &api, &smart).unwrap();
    let Decision::Permit(permit) = decision else { panic!("{decision:?}") };
    let body = Some((request.body, bundle.as_bytes()));
    let forward = forward(&permit, &head, body, Some(&claims), &Settings::default()).unwrap();
    let sent: Value = match forward.body {
        Some(body) => {
            let length = body.len().to_string();
            assert_eq!(value(&forward.edits, "content-length"), Some(length.as_str()));
            serde_json::from_slice(&body).unwrap()
        }
        None => bundle.parse().unwrap(),
    };
    sent["entry"].as_array().unwrap().clone()
}

#[test]
fn every_entry_goes_on_as_its_permit_says() {
    let observation = json!({"resourceType": "Observation", "subject": {"reference": "Patient/P"}});
    let with_id = |id: &str| {
        let mut resource = observation.clone();
        resource["id"] = json!(id);
        resource
    };
    let rows = [
        (
            json!({"request": {"method": "HEAD", "url": "Patient/P", "ifNoneMatch": "W/\"1\""}}),
            json!({"method": "HEAD", "url": "Patient/P", "ifNoneMatch": "W/\"1\""}),
        ),
        // a server that knows itself by another name must not look elsewhere
        (
            json!({"request": {"method": "GET", "url": "https://api.example/fhir/Patient/P"}}),
            json!({"method": "GET", "url": "Patient/P"}),
        ),
        (
            json!({"request": {"method": "GET", "url": "Observation?_elements=code&_summary=true"}}),
            json!({"method": "GET", "url": "Observation?_elements=code,subject&patient=Patient%2FP"}),
        ),
        // what would be answered by a bare status
        (
            json!({"request": {"method": "GET", "url": "Observation/9", "ifMatch": "W/\"1\"",
                "ifNoneMatch": "W/\"1\"", "ifModifiedSince": "2026-11-22T00:00:00Z"}}),
            json!({"method": "GET", "url": "Observation/9"}),
        ),
        (
            json!({"resource": observation, "request": {"method": "POST", "url": "Observation",
                "ifNoneExist": "identifier=x"}}),
            json!({"method": "POST", "url": "Observation",
                "ifNoneExist": "identifier=x&patient=Patient%2FP"}),
        ),
        (
            json!({"resource": with_id("1"), "request": {"method": "PUT", "url": "Observation/1"}}),
            json!({"method": "PUT", "url": "Observation/1", "ifMatch": "W/\"7\""}),
        ),
        (
            json!({"resource": with_id("2"), "request": {"method": "PUT", "url": "Observation/2"}}),
            json!({"method": "PUT", "url": "Observation/2", "ifNoneMatch": "*"}),
        ),
        (
            json!({"request": {"method": "DELETE", "url": "Observation?code=x"}}),
            json!({"method": "DELETE", "url": "Observation/1", "ifMatch": "W/\"7\""}),
        ),
        (
            json!({"resource": observation, "request": {"method": "PUT",
                "url": "https://api.example/fhir/Observation?_pretty=true&code=x"}}),
            json!({"method": "PUT", "url": "Observation/1?_pretty=true", "ifMatch": "W/\"7\""}),
        ),
        (
            json!({"resource": observation, "request": {"method": "PUT", "url": "Observation?code=none",
                "ifNoneMatch": "*", "ifNoneExist": "code=y"}}),
            json!({"method": "POST", "url": "Observation",
                "ifNoneExist": "code=none&patient=Patient%2FP"}),
        ),
        (
            json!({"resource": observation, "request": {"method": "POST", "url": "Observation",
                "ifNoneExist": "code=x"}}),
            json!({"method": "POST", "url": "Observation", "ifNoneExist": "_id=1"}),
        ),
    ];
    for (entry, expected) in &rows {
        assert_eq!(requests(&json!([entry])), core::slice::from_ref(expected), "{entry}");
    }
    let all: Vec<Value> = rows.iter().map(|(entry, _)| entry.clone()).collect();
    let expected: Vec<Value> = rows.into_iter().map(|(_, expected)| expected).collect();
    assert_eq!(requests(&json!(all)), expected);
}

#[test]
fn what_is_updated_says_its_id() {
    let observation = json!({"resourceType": "Observation", "subject": {"reference": "Patient/P"}});
    let update =
        |url: &str| json!([{"resource": observation, "request": {"method": "PUT", "url": url}}]);
    let mut named = observation.clone();
    named["id"] = json!("1");
    assert_eq!(sent(&update("Observation?code=x"))[0]["resource"], named);
    assert_eq!(sent(&update("Observation?code=none"))[0]["resource"], observation);
}
