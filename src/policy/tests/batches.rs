//! Batches and transactions, entry by entry.

use super::*;

const MINE: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"subject":{"reference":"Patient/P"}}"#;

fn decided_by(who: Who, kind: &str, entries: &str) -> Result<Permit, String> {
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#);
    let mut stored = Stored::default();
    for _ in 0..2 {
        let evidence = Evidence::new(Some(body.as_bytes()), &stored);
        let text = "POST \ncontent-type: application/fhir+json";
        let refused = |refusal: Refusal| {
            format!("{} {}", refusal.reason.code, refusal.hint.unwrap_or_default())
        };
        match asked(who, text, evidence, &api, &Smart::default()).map_err(refused)? {
            Decision::Permit(permit) => return Ok(*permit),
            Decision::Body => panic!("the body is there"),
            Decision::Stored(lookups) => {
                for lookup in lookups {
                    let status = [(b":status".to_vec(), b"200".to_vec())];
                    let body = match &lookup {
                        Lookup::Read(_) => MINE.to_owned(),
                        Lookup::Search(_) => searchset(&[MINE]),
                    };
                    let answer = HttpAnswer::read(&status, body.into_bytes());
                    stored.answered(lookup, answer).unwrap();
                }
            }
        }
    }
    panic!("asked for the same again");
}

/// What each entry is decided as.
pub(super) fn entries(who: Who, kind: &str, entries: &str) -> Vec<String> {
    match decided_by(who, kind, entries) {
        Ok(permit) => {
            permit.entries().iter().map(|entry| shown(&Ok(entry.permit.clone()))).collect()
        }
        Err(refusal) => vec![refusal],
    }
}

#[test]
fn every_entry_is_decided_as_if_it_had_come_alone() {
    let get = r#"{"request":{"method":"GET","url":"Observation?code=x"}}"#;
    let own = r#"{"request":{"method":"GET","url":"Patient/P"}}"#;
    let head = r#"{"request":{"method":"HEAD","url":"Patient/P"}}"#;
    let put =
        format!(r#"{{"resource":{MINE},"request":{{"method":"PUT","url":"Observation/1"}}}}"#);
    let by = "by patient/*.cruds for P";
    assert_eq!(
        entries(EVERYTHING, "batch", &format!("{get},{own},{put}")),
        [
            format!("{by} +patient=Patient/P strict"),
            format!("{by} held"),
            format!("{by} at W/\"7\" held"),
        ]
    );
    let permit = decided_by(EVERYTHING, "batch", &format!("{get},{head}")).unwrap();
    let Some(Form::Batch(expected)) = permit.expected().map(|expected| &expected.form) else {
        panic!("not judged")
    };
    assert_eq!(expected.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    assert!(permit.strict_handling());
}

#[test]
fn one_refused_entry_refuses_the_bundle_and_is_named() {
    let own = r#"{"request":{"method":"GET","url":"Patient/P"}}"#;
    for (entry, refusal) in [
        (r#"{"request":{"method":"GET","url":"Patient/Q"}}"#, "compartment_other_patient entry 1"),
        (
            r#"{"request":{"method":"GET","url":"Observation?patient=Q"}}"#,
            "search_other_patient entry 1: parameter `patient`",
        ),
        (
            r#"{"request":{"method":"GET","url":"Observation/_history"}}"#,
            "history_unconfined entry 1",
        ),
        (r#"{"request":{"method":"DELETE","url":"Device/1"}}"#, "compartment_type_outside entry 1"),
        (
            r#"{"resource":{"resourceType":"Bundle","type":"batch"},"request":{"method":"POST","url":"?"}}"#,
            "bundle_entry_unjudged entry 1",
        ),
        (
            r#"{"request":{"method":"GET","url":"Patient/Q/$everything"}}"#,
            "compartment_other_patient entry 1",
        ),
    ] {
        let all = format!("{own},{entry}");
        assert_eq!(entries(EVERYTHING, "transaction", &all), [refusal], "{entry}");
    }
}

#[test]
fn what_a_narrowed_search_in_a_bundle_counts_does_not_pass() {
    let get = |url: &str| format!(r#"{{"request":{{"method":"GET","url":"{url}"}}}}"#);
    for (url, counted) in
        [("Observation?code=x", false), ("Patient/P/Observation", false), ("Practitioner", true)]
    {
        let permit = decided_by(EVERYTHING, "batch", &get(url)).unwrap();
        let expected = permit.entries()[0].permit.expected();
        assert_eq!(expected.is_none_or(|expected| expected.counted), counted, "{url}");
    }
    for (url, refused) in [
        ("Observation?_summary=count", "search_count_unjudged entry 0"),
        ("Practitioner?_summary=count", "by patient/*.cruds for P held"),
    ] {
        assert_eq!(entries(EVERYTHING, "batch", &get(url)), [refused], "{url}");
    }
    let smart = Smart { response_check: ResponseCheck::Off, ..Smart::default() };
    let text = "POST \ncontent-type: application/fhir+json";
    let body = format!(
        r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#,
        get("Observation?code=x")
    );
    let got = settled(EVERYTHING, text, &body, &[], &api(Release::R4), &smart);
    assert_eq!(got, "response_unchecked");
}

#[test]
fn unconfined_entries_are_decided_too() {
    let get = r#"{"request":{"method":"GET","url":"Observation/1"}}"#;
    let post = r#"{"resource":{"resourceType":"Condition"},"request":{"method":"POST","url":"Condition"}}"#;
    let who = clinician("user/Observation.r user/Condition.c");
    let permit = decided_by(who, "transaction", &format!("{get},{post}")).unwrap();
    assert_eq!(permit.allowed_by(), Some("user/Condition.c user/Observation.r"));
    assert!(permit.expected().is_none());
    let refused = entries(clinician("user/Observation.r"), "batch", &format!("{get},{post}"));
    assert_eq!(refused, ["scope_insufficient entry 1"]);
}

#[test]
fn an_export_does_not_begin_in_a_batch() {
    let export = r#"{"request":{"method":"GET","url":"$export"}}"#;
    assert_eq!(entries(system("system/*.rs"), "batch", export), ["bundle_entry_unjudged entry 0"]);
}

#[test]
fn a_transaction_may_name_its_patient_by_the_url_of_the_patient_s_own_entry() {
    let patient = |id: &str| {
        format!(
            r#"{{"fullUrl":"urn:uuid:aa","resource":{{"resourceType":"Patient","id":"{id}"}},"request":{{"method":"PUT","url":"Patient/{id}"}}}}"#
        )
    };
    let post = r#"{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:aa"}},"request":{"method":"POST","url":"Observation"}}"#;
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let text = "POST \ncontent-type: application/fhir+json";
    for (kind, id, expected) in [
        ("transaction", "P", "by patient/*.cruds for P held"),
        ("batch", "P", "write_not_member"),
        ("transaction", "Q", "compartment_other_patient"),
    ] {
        let entries = format!("{},{post}", patient(id));
        let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#);
        let stored =
            [("Patient/P", r#"{"resourceType":"Patient","id":"P","meta":{"versionId":"1"}}"#)];
        let got = settled(EVERYTHING, text, &body, &stored, &api, &Smart::default());
        assert_eq!(got, expected, "{kind} {id}");
    }
}

#[test]
fn a_bundle_that_is_neither_batch_nor_transaction_is_refused() {
    for kind in ["document", "message", "collection", "searchset", "history", ""] {
        let refused = entries(EVERYTHING, kind, "");
        assert!(refused[0].starts_with("bundle_type"), "{kind}: {refused:?}");
    }
    check(&[(system(""), "POST \ncontent-type: application/fhir+json", "scope_insufficient")]);
}

#[test]
fn too_many_lookups_are_refused() {
    let entry =
        |n: usize| format!(r#"{{"request":{{"method":"DELETE","url":"Observation/{n}"}}}}"#);
    let all: Vec<String> = (0..51).map(entry).collect();
    assert_eq!(entries(EVERYTHING, "batch", &all.join(",")), ["bundle_probes "]);
}

#[test]
fn a_read_in_a_transaction_is_judged_before_it_goes_on() {
    let read = r#"{"request":{"method":"GET","url":"Observation/1"}}"#;
    let vread = r#"{"request":{"method":"GET","url":"Observation/1/_history/7"}}"#;
    let theirs = MINE.replace("Patient/P", "Patient/Q");
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let text = "POST \ncontent-type: application/fhir+json";
    let by = "by patient/*.cruds for P held";
    let rows: [Write<'_>; 6] = [
        ("transaction", read, &[("Observation/1", MINE)], by),
        ("transaction", read, &[("Observation/1", &theirs)], "compartment_not_member"),
        ("transaction", read, &[], "compartment_not_member"),
        ("transaction", vread, &[("Observation/1", MINE)], "bundle_entry_unjudged"),
        ("batch", read, &[], by),
        ("batch", vread, &[], by),
    ];
    for (kind, entry, stored, expected) in rows {
        let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entry}]}}"#);
        let got = settled(EVERYTHING, text, &body, stored, &api, &Smart::default());
        assert_eq!(got, expected, "{kind} {entry}");
    }
}

#[test]
fn an_export_starts_alone() {
    for url in ["$export", "Patient/$export?_type=Observation", "Group/1/$export"] {
        let get = format!(r#"{{"request":{{"method":"GET","url":"{url}"}}}}"#);
        assert_eq!(
            entries(system("system/*.rs"), "batch", &get),
            ["bundle_entry_unjudged entry 0"]
        );
    }
}
