//! Searches in the compartment of another resource than the patient.

use super::*;
use crate::fhir::membership::Membership;

fn with_cluster(release: Release) -> Api {
    Api { cluster: Some("fhir".to_owned()), ..api(release) }
}

fn visit(subject: &str) -> String {
    format!(
        r#"{{"resourceType":"Encounter","id":"1","status":"finished","subject":{{"reference":"{subject}"}}}}"#
    )
}

const NARROWED: &str = "by patient/*.rs for P +patient=Patient/P strict";
const READER: Who = patient("patient/*.rs");

#[test]
fn what_is_in_the_compartment_of_the_patients_encounter_is_searched_narrowed() {
    let (mine, theirs) = (visit("Patient/P"), visit("Patient/Q"));
    let friend = r#"{"resourceType":"RelatedPerson","id":"1","patient":{"reference":"Patient/P"}}"#;
    let stranger =
        r#"{"resourceType":"RelatedPerson","id":"1","patient":{"reference":"Patient/Q"}}"#;
    let no = "compartment_not_member";
    let rows = [
        ("GET Encounter/1/Observation", "Encounter/1", mine.as_str(), NARROWED),
        ("GET Encounter/1/Observation?code=x", "Encounter/1", &mine, NARROWED),
        ("GET Encounter/1/Observation?patient=Q", "Encounter/1", &mine, "search_other_patient"),
        ("GET Encounter/1/Observation", "Encounter/1", &theirs, no),
        ("GET Encounter/1/Observation", "Encounter/2", &mine, no),
        ("HEAD Encounter/1/Observation", "Encounter/1", &mine, "head_unjudged"),
        ("HEAD Encounter/1/Observation", "Encounter/1", &theirs, no),
        ("GET RelatedPerson/1/Observation", "RelatedPerson/1", friend, NARROWED),
        ("GET RelatedPerson/1/Observation", "RelatedPerson/1", stranger, no),
        ("GET Device/1/Observation", "Device/1", "", "search_compartment_unjudged"),
        ("GET Encounter/1/*", "Encounter/1", &mine, "search_compartment_unjudged"),
        ("GET Practitioner/7/Observation", "", "", NARROWED),
    ];
    for (request, name, resource, expected) in rows {
        let got = settled(
            READER,
            request,
            "",
            &[(name, resource)],
            &with_cluster(Release::R4),
            &Smart::default(),
        );
        assert_eq!(got, expected, "{request} {name} {resource}");
    }
}

#[test]
fn the_owner_of_the_compartment_must_be_readable() {
    let mine = visit("Patient/P");
    let rows = [
        ("patient/Observation.s", "scope_insufficient"),
        ("patient/Observation.s patient/Encounter.s", "scope_insufficient"),
        ("patient/Observation.s patient/Encounter.r?status=planned", "compartment_not_member"),
        (
            "patient/Observation.s patient/Encounter.r?status=finished",
            "by patient/Observation.s for P +patient=Patient/P strict",
        ),
        (
            "patient/Observation.s patient/Encounter.r",
            "by patient/Observation.s for P +patient=Patient/P strict",
        ),
    ];
    let request = "GET Encounter/1/Observation";
    for (scope, expected) in rows {
        let got = settled(
            patient(scope),
            request,
            "",
            &[("Encounter/1", &mine)],
            &with_cluster(Release::R4),
            &Smart::default(),
        );
        assert_eq!(got, expected, "{scope}");
    }
    // Another context adds to what a granular one finds, and is asked for what it needs.
    let who = Who {
        user: Some("Practitioner/7"),
        ..patient("patient/*.rs user/Observation.s?status=amended")
    };
    let got = settled(
        who,
        request,
        "",
        &[("Encounter/1", &mine)],
        &with_cluster(Release::R4),
        &Smart::default(),
    );
    assert!(!got.contains("+status"), "{got}");
}

#[test]
fn no_search_is_in_two_compartments_or_in_that_of_another_encounter() {
    let mine = visit("Patient/P");
    let stored = [("Encounter/1", mine.as_str())];
    let api = with_cluster(Release::R4);
    let definition = Smart { membership: Membership::Definition, ..Smart::default() };
    let request = "GET Encounter/1/Observation";
    let got = settled(READER, request, "", &stored, &api, &definition);
    assert_eq!(got, "search_compartment_unjudged");
    let confine = Smart { encounter: EncounterContext::Confine, ..Smart::default() };
    let opened = |encounter| Who { encounter: Some(encounter), ..READER };
    let got = settled(opened("1"), request, "", &stored, &api, &confine);
    assert_eq!(got, "by patient/*.rs for P +patient=Patient/P +encounter=Encounter/1 strict");
    let got = settled(opened("2"), request, "", &stored, &api, &confine);
    assert_eq!(got, "compartment_other_encounter");
}
