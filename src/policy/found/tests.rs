//! What counts of an answer to a search.

use proptest::prelude::*;

use super::*;
use crate::fhir::Release;

const ONE: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"}}"#;

fn search() -> Search {
    let resource = ResourceType::parse(Release::R4, "Observation").unwrap();
    Search {
        resource,
        compartment: None,
        criteria: "identifier=a%7Cb".to_owned(),
        narrowing: vec![Narrowing { name: "patient".to_owned(), value: "Patient/P".to_owned() }],
    }
}

/// What counts of a body when every resource does, in short.
fn read(body: &str) -> String {
    let answer = HttpAnswer { status: 200, etag: Some("W/\"9\"".to_owned()), body: body.into() };
    let found = match Found::read(&search(), Ok(answer)) {
        Ok(found) => found,
        Err(reason) => return reason.code.to_owned(),
    };
    match found.matched(|_| true) {
        Ok(Matched::None) => "none".to_owned(),
        Ok(Matched::One(id, Ok(tag))) => format!("{} {tag}", id.as_str()),
        Ok(Matched::One(_, Err(reason))) => reason.code.to_owned(),
        Ok(Matched::Many) => "many".to_owned(),
        Err(refusal) => refusal.reason.code.to_owned(),
    }
}

#[test]
fn a_search_has_all_criteria_and_those_that_are_added() {
    assert_eq!(search().target(), "Observation?identifier=a%7Cb&patient=Patient%2FP&_count=10");
    let inside = Search { compartment: Id::parse("P"), narrowing: Vec::new(), ..search() };
    assert_eq!(inside.target(), "Patient/P/Observation?identifier=a%7Cb&_count=10");
    let bare = Search { criteria: String::new(), ..search() };
    assert_eq!(bare.condition(), "patient=Patient%2FP");
}

#[test]
fn matches_count_and_nothing_else_does() {
    let bundle = |entries: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entries}]}}"#)
    };
    let entry = |more: &str| format!(r#"{{"resource":{ONE}{more}}}"#);
    let rows = [
        (r#"{"resourceType":"Bundle","type":"searchset"}"#.to_owned(), "none"),
        (bundle(""), "none"),
        (bundle(&entry("")), "1 W/\"7\""),
        (bundle(&entry(r#","search":{"mode":"match"}"#)), "1 W/\"7\""),
        (bundle(&entry(r#","search":{"score":1}"#)), "1 W/\"7\""),
        (bundle(&entry(r#","search":{"mode":"include"}"#)), "none"),
        (bundle(r#"{"search":{"mode":"outcome"}}"#), "none"),
        (bundle(&entry(r#","search":{"mode":"else"}"#)), "probe_unreadable"),
        (bundle(&entry(r#","search":{"mode":1}"#)), "probe_unreadable"),
        (bundle(&entry(r#","search":"match""#)), "probe_unreadable"),
        (bundle(&format!("{},{}", entry(""), entry(""))), "many"),
        // where the server says that it is
        (bundle(&entry(r#","fullUrl":"https://x.example/fhir/Observation/1""#)), "1 W/\"7\""),
        (bundle(&entry(r#","fullUrl":"Observation/1""#)), "1 W/\"7\""),
        (
            bundle(&entry(r#","fullUrl":"https://x.example/fhir/Observation/2""#)),
            "probe_unreadable",
        ),
        (bundle(&entry(r#","fullUrl":"https://x.example/XObservation/1""#)), "probe_unreadable"),
        (bundle(&entry(r#","fullUrl":"Observation/1/_history/7""#)), "probe_unreadable"),
        (bundle(&entry(r#","fullUrl":1"#)), "probe_unreadable"),
        // nothing to write
        (bundle(r#"{"resource":{"resourceType":"Observation"}}"#), "probe_unreadable"),
        (bundle(r#"{"resource":{"resourceType":"Observation","id":"a/b"}}"#), "probe_unreadable"),
        (bundle(r#"{"resource":{"resourceType":"OperationOutcome"}}"#), "none"),
        (bundle("{}"), "probe_unreadable"),
        (bundle("1"), "probe_unreadable"),
        (bundle(&entry("").replace("meta", "data")), "probe_version_missing"),
        (bundle(&entry("").replace("\"7\"", "\"7/8\"")), "probe_version_missing"),
        // no searchset
        (ONE.to_owned(), "probe_unreadable"),
        (bundle("").replace("searchset", "history"), "probe_unreadable"),
        (bundle("").replace("[]", "{}"), "probe_unreadable"),
        (bundle("").replace("\"type\"", "\"resourceType\""), "probe_unreadable"),
        (String::new(), "probe_unreadable"),
    ];
    for (body, expected) in rows {
        assert_eq!(read(&body), expected, "{body}");
    }
}

#[test]
fn one_match_before_another_page_may_be_one_of_many() {
    let page = |entries: &str, link: &str| {
        read(&format!(
            r#"{{"resourceType":"Bundle","type":"searchset","link":{link},"entry":[{entries}]}}"#
        ))
    };
    let one = format!(r#"{{"resource":{ONE}}}"#);
    let next = r#"[{"relation":"self","url":"x"},{"relation":"next","url":"x"}]"#;
    assert_eq!(page(&one, next), "many");
    assert_eq!(page(&one, &next.replace("next", "NEXT")), "many");
    assert_eq!(page(&one, r#"[{"relation":"self","url":"x"}]"#), "1 W/\"7\"");
    assert_eq!(page(&one, r#"[{"url":"x"}]"#), "probe_unreadable");
    assert_eq!(page(&one, "{}"), "probe_unreadable");
    assert_eq!(page("", next), "none");
}

proptest! {
    #[test]
    fn any_body_is_read_without_a_panic(body in "\\PC{0,40}|\\{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":\\PC{0,30}\\}") {
        read(&body);
    }
}
