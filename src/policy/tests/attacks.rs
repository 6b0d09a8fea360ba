//! Ways around the rules that were found by trying, row by row.

use super::*;
use crate::store::HttpAnswer;

/// The code of what is decided of a request with this body, while version 3 of `Observation/o-p` is
/// the patient's.
fn code(who: Who, request: &str, body: &str, smart: &Smart) -> &'static str {
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let mut stored = Stored::default();
    let probe = Probe {
        resource: crate::fhir::ResourceType::parse(Release::R4, "Observation").unwrap(),
        id: crate::fhir::Id::parse("o-p").unwrap(),
    };
    let resource = br#"{"resourceType":"Observation","id":"o-p","meta":{"versionId":"3"},"subject":{"reference":"Patient/P"}}"#;
    let answer = HttpAnswer { status: 200, etag: None, body: resource.to_vec() };
    stored.answered(probe, Ok(answer)).unwrap();
    let search = Search {
        resource: crate::fhir::ResourceType::parse(Release::R4, "Observation").unwrap(),
        compartment: None,
        criteria: "identifier=x".to_owned(),
        narrowing: vec![Narrowing { name: "patient".to_owned(), value: "Patient/P".to_owned() }],
    };
    let body_found = searchset(&[]).into_bytes();
    stored.answered(search, Ok(HttpAnswer { status: 200, etag: None, body: body_found })).unwrap();
    let evidence = Evidence::new(Some(body.as_bytes()), &stored);
    match asked(who, request, evidence, &api, smart) {
        Ok(Decision::Permit(_)) => "allowed",
        Ok(other) => panic!("{request} {body}: {other:?}"),
        Err(refusal) => refusal.reason.code,
    }
}

#[test]
fn a_conditional_update_names_no_id_by_which_a_server_could_overwrite_anything() {
    let request = "PUT Observation?identifier=x\ncontent-type: application/fhir+json";
    let rows = [
        (
            r#"{"resourceType":"Observation","id":"o-q","subject":{"reference":"Patient/P"}}"#,
            "conditional_id",
        ),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#, "allowed"),
    ];
    for (body, expected) in rows {
        assert_eq!(code(EVERYTHING, request, body, &Smart::default()), expected, "{body}");
    }
}

#[test]
fn a_patch_tests_only_what_may_be_read() {
    let request = "PATCH Observation/o-p\ncontent-type: application/json-patch+json";
    let test = r#"[{"op":"test","path":"/status","value":"final"}]"#;
    let replace = r#"[{"op":"replace","path":"/status","value":"final"}]"#;
    let rows = [
        ("patient/Observation.u", test, "scope_insufficient"),
        ("patient/Observation.u", replace, "allowed"),
        ("patient/Observation.ru", test, "allowed"),
        ("patient/Observation.u patient/Observation.r?status=final", test, "scope_insufficient"),
    ];
    for (scope, body, expected) in rows {
        assert_eq!(code(patient(scope), request, body, &Smart::default()), expected, "{scope}");
    }
}

#[test]
fn a_header_does_not_say_whose_a_binary_is() {
    let body = r#"{"resourceType":"Binary","contentType":"text/plain","securityContext":{"reference":"Patient/P"}}"#;
    let plain = "POST Binary\ncontent-type: application/fhir+json";
    let smart = Smart::default();
    assert_eq!(code(EVERYTHING, plain, body, &smart), "allowed");
    let other = format!("{plain}\nx-security-context: Patient/Q");
    assert_eq!(code(EVERYTHING, &other, body, &smart), "header_unjudged");
}

#[test]
fn what_refers_to_the_patient_is_asked_for_only_where_it_is_the_patients() {
    use crate::fhir::membership::Membership::{Definition, Subject};
    let rows = [
        ("GET Patient?_has:Observation:patient:code=x", "allowed", "allowed"),
        ("GET Patient?_has:Observation:subject:code=x", "allowed", "allowed"),
        ("GET Patient?_has:Observation:performer:code=x", "search_chain_patient", "allowed"),
        (
            "GET Patient?_has:Observation:focus:code=x",
            "search_chain_patient",
            "search_chain_patient",
        ),
        ("GET Patient?_has:Group:member:code=x", "search_chain_patient", "allowed"),
        // what refers to an encounter may be about anybody
        (
            "GET Encounter?_has:Observation:encounter:code=x",
            "search_chain_outside",
            "search_chain_outside",
        ),
        (
            "GET Observation?patient:Patient._has:Observation:focus:code=x",
            "search_chain_patient",
            "search_chain_patient",
        ),
        (
            "GET Encounter?_has:Observation:encounter:patient._has:Observation:performer:code=x",
            "search_chain_outside",
            "search_chain_outside",
        ),
        (
            "GET Patient?_has:Encounter:patient:_has:Observation:encounter:code=x",
            "search_chain_outside",
            "search_chain_outside",
        ),
    ];
    for (request, subject, definition) in rows {
        for (membership, expected) in [(Subject, subject), (Definition, definition)] {
            let smart = Smart { membership, ..Smart::default() };
            assert_eq!(code(EVERYTHING, request, "", &smart), expected, "{membership:?} {request}");
        }
    }
}

#[test]
fn a_chain_over_the_patient_may_say_so() {
    let rows = [
        ("GET Observation?subject:Patient.name=x", "allowed"),
        ("GET Observation?patient:Patient.name=x", "allowed"),
        ("GET Observation?subject:Patient._id=P", "allowed"),
        ("GET Observation?subject:Patient._id=Q", "search_other_patient"),
        ("GET Observation?subject:Patient.link=Patient/Q", "search_other_patient"),
        ("GET Observation?subject:Group.member=Patient/Q", "search_chain_outside"),
        ("GET Observation?performer:Patient.name=x", "search_chain_patient"),
        ("GET Observation?subject.name=x", "search_chain_outside"),
        ("GET Observation?subject:patient.name=x", "search_chain_unknown"),
    ];
    for (request, expected) in rows {
        assert_eq!(code(EVERYTHING, request, "", &Smart::default()), expected, "{request}");
    }
}

#[test]
fn no_condition_has_a_fragment_that_would_cut_off_what_narrows_it() {
    let rows = ["identifier=x#", "identifier=x%23&code=#y", "#"];
    for criteria in rows {
        let request = format!(
            "POST Observation\nif-none-exist: {criteria}\ncontent-type: application/fhir+json"
        );
        for who in [EVERYTHING, clinician("user/*.cruds")] {
            let got = code(who, &request, "{}", &Smart::default());
            assert_eq!(got, "parameter_character", "{criteria}");
        }
    }
}

#[test]
fn what_one_context_cannot_look_up_takes_nothing_from_another() {
    let scope = "user/Observation.rs?status=final patient/*.rs";
    let who = Who { user: Some("Practitioner/7"), ..patient(scope) };
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let text = "GET Encounter/e/Observation";
    let failed = Err(crate::store::CallFailed::NoAnswer);
    let answer = |status| Ok(HttpAnswer { status, etag: None, body: b"{}".to_vec() });
    for answer in [failed, answer(404), answer(410), answer(500), answer(200)] {
        let mut known = Stored::default();
        let asks = |known: &Stored, who| {
            asked(who, text, Evidence::new(None, known), &api, &Smart::default())
        };
        let Ok(Decision::Stored(lookups)) = asks(&known, who) else { panic!("{answer:?}") };
        let [lookup] = <[Lookup; 1]>::try_from(lookups).unwrap();
        known.answered(lookup, answer.clone()).unwrap();
        assert!(asks(&known, patient("patient/*.rs")).is_err(), "{answer:?}");
        let alone = asks(&known, clinician("user/Observation.rs?status=final")).is_ok();
        assert!(alone && asks(&known, who).is_ok(), "{answer:?}");
    }
}

#[test]
fn what_is_looked_up_for_one_request_is_bounded() {
    let mut stored = Stored::default();
    let probe = |id: usize| Probe {
        resource: crate::fhir::ResourceType::parse(Release::R4, "Observation").unwrap(),
        id: crate::fhir::Id::parse(&id.to_string()).unwrap(),
    };
    let answer = || Ok(HttpAnswer { status: 200, etag: None, body: vec![b' '; 4 << 20] });
    for id in 0..4 {
        stored.answered(probe(id), answer()).unwrap();
    }
    let refusal = stored.answered(probe(4), answer()).unwrap_err();
    assert_eq!(refusal.reason.code, "probe_too_long");
}
