//! An encounter in the token's context, with `smart.encounter: confine`.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::node;
use crate::fhir::ResourceType;
use crate::fhir::compartment::{encounter_parameter, is_in_encounter_compartment};
use crate::fhir::membership::Membership;

mod shown;

const JSON: &str = "content-type: application/fhir+json";

/// A patient app that was opened in encounter E.
const fn opened(scope: &'static str) -> Who {
    Who { encounter: Some("E"), ..patient(scope) }
}

fn confine() -> Smart {
    Smart { encounter: EncounterContext::Confine, ..Smart::default() }
}

#[track_caller]
fn check_opened(rows: &[(&str, &str)]) {
    let rows: Vec<_> = rows.iter().map(|(text, code)| (opened(ALL), *text, *code)).collect();
    check_with(&rows, &api(Release::R4), &confine());
}

const ALL: &str = "patient/*.cruds";
const OBSERVATIONS: &str =
    "by patient/*.cruds for P +patient=Patient/P +encounter=Encounter/E strict";
const PATIENT_ALONE: &str = "by patient/*.cruds for P +patient=Patient/P strict";

#[test]
fn smart_s_own_reading_is_the_default_an_encounter_neither_grants_nor_takes() {
    for encounter in ["E", ""] {
        let who = Who { encounter: Some(encounter), ..EVERYTHING };
        check(&[
            (who, "GET Observation", PATIENT_ALONE),
            (who, "GET Encounter/F", "by patient/*.cruds for P held"),
            (who, "GET Observation?encounter=Encounter/F", PATIENT_ALONE),
        ]);
    }
}

#[test]
fn the_context_of_an_encounter_that_is_no_id_is_worth_nothing_to_patient_scopes_alone() {
    let nameless = |scope| Who { encounter: Some(""), ..patient(scope) };
    let user = Who { user: Some("Patient/P"), ..nameless("user/*.rs") };
    let rows = [
        (nameless(ALL), "GET Patient/P", "scope_encounter_invalid"),
        (Who { patient: Some("no id"), ..nameless(ALL) }, "GET Patient/P", "scope_patient_invalid"),
        (user, "GET Observation", "by user/*.rs for P +patient=Patient/P strict"),
    ];
    check_with(&rows, &api(Release::R4), &confine());
}

#[test]
fn searches_of_what_belongs_to_encounters_are_narrowed_to_this_one() {
    let own = "by patient/*.cruds for P +patient=Patient/P +_id=E strict";
    check_opened(&[
        ("GET Observation", OBSERVATIONS),
        ("POST Observation/_search < code=x", OBSERVATIONS),
        ("GET Observation?encounter=Encounter/E", OBSERVATIONS),
        ("GET Observation?encounter:Encounter=E", OBSERVATIONS),
        ("GET Observation?encounter=https://api.example/fhir/Encounter/E", OBSERVATIONS),
        ("GET Observation?encounter=Encounter/F", "search_other_encounter"),
        ("GET Observation?encounter=Encounter/E,Encounter/F", "search_other_encounter"),
        ("GET Observation?encounter=EpisodeOfCare/E", "search_other_encounter"),
        ("GET Observation?ENCOUNTER=Encounter/F", "search_other_encounter"),
        ("GET Observation?encounter:missing=true", "search_other_encounter"),
        ("GET Observation?encounter:not=Encounter/F", "search_other_encounter"),
        ("POST Observation/_search < encounter=Encounter/F", "search_other_encounter"),
        ("GET Patient/P/Observation", OBSERVATIONS),
        ("GET Encounter/E/Observation", "probe_unconfigured"),
        ("GET Encounter/F/Observation", "compartment_other_encounter"),
        ("GET Encounter", own),
        ("GET Encounter?_id=E", own),
        ("GET Encounter?_id=F", "search_other_encounter"),
        (
            "GET MedicationAdministration",
            "by patient/*.cruds for P +patient=Patient/P +context=Encounter/E strict",
        ),
        ("GET MedicationAdministration?context=EpisodeOfCare/1", "search_other_encounter"),
        // what belongs to no encounter
        ("GET AllergyIntolerance", PATIENT_ALONE),
        ("GET Flag?encounter=Encounter/F", PATIENT_ALONE),
        ("GET Patient", "by patient/*.cruds for P +_id=P strict"),
        ("GET Practitioner?name=x", "by patient/*.cruds for P held"),
    ]);
}

#[test]
fn no_chain_asks_what_belongs_to_other_encounters() {
    check_opened(&[
        ("GET Patient?_has:Observation:patient:code=x", "search_chain_encounter"),
        ("GET AllergyIntolerance?patient._has:Condition:patient:code=x", "search_chain_encounter"),
        ("GET Observation?encounter.part-of=Encounter/F", "search_chain_encounter"),
        ("GET Observation?_has:Observation:derived-from:code=x", "search_chain_encounter"),
        ("GET Observation?subject:Patient.name=x", OBSERVATIONS),
        ("GET Observation?performer:Practitioner.name=x", OBSERVATIONS),
        ("GET Observation?_include=Observation:encounter", OBSERVATIONS),
        ("GET AllergyIntolerance?_revinclude=Provenance:target", PATIENT_ALONE),
    ]);
}

#[test]
fn by_id_an_encounter_is_that_one_and_of_the_rest_the_answer_tells() {
    let held = "by patient/*.cruds for P held";
    check_opened(&[
        ("GET Encounter/E", held),
        ("GET Encounter/E/_history", held),
        ("GET Encounter/F", "compartment_other_encounter"),
        ("GET Encounter/e", "compartment_other_encounter"),
        ("GET Encounter/F/_history/1", "compartment_other_encounter"),
        ("GET Observation/1", held),
        ("GET Patient/P", "by patient/*.cruds for P held"),
        ("GET Patient/P/$everything", held),
    ]);
}

#[test]
fn two_contexts_of_one_patient_are_confined_no_more_than_the_wider_one() {
    let who = Who {
        user: Some("RelatedPerson/1"),
        ..opened("patient/Observation.ds user/Observation.ds")
    };
    let by = "by patient/Observation.ds user/Observation.ds for P +patient=Patient/P strict";
    check_with(&[(who, "GET Observation", by)], &api(Release::R4), &confine());
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let (mine, other) = (observation("Encounter/E"), observation("Encounter/F"));
    let wide = "Observation?code=x&patient=Patient%2FP";
    let narrow = "Observation?code=x&patient=Patient%2FP&encounter=Encounter%2FE";
    let both = "by patient/Observation.ds user/Observation.ds for P on 1 at W/\"7\" held";
    let one = "by user/Observation.ds for P on 1 at W/\"7\" held";
    for (inside, found, expected) in [
        (vec![mine.as_str()], mine.as_str(), both),
        (vec![], other.as_str(), one),
        (vec![other.as_str()], other.as_str(), one),
    ] {
        let (inside, found) = (searchset(&inside), searchset(&[found]));
        let stored = [(narrow, inside.as_str()), (wide, found.as_str())];
        let got = settled(who, "DELETE Observation?code=x", "", &stored, &api, &confine());
        assert_eq!(got, expected, "{found}");
    }
}

#[test]
fn by_definition_a_search_of_the_compartment_is_narrowed_besides() {
    let smart = Smart { membership: Membership::Definition, ..confine() };
    let narrowed = "by patient/*.cruds for P +encounter=Encounter/E strict in Observation";
    let rows = [
        (opened(ALL), "GET Observation", narrowed),
        (opened(ALL), "GET Encounter", "by patient/*.cruds for P +_id=E strict in Encounter"),
        (
            opened(ALL),
            "GET AllergyIntolerance",
            "by patient/*.cruds for P strict in AllergyIntolerance",
        ),
        (
            opened(ALL),
            "GET Patient/P/Observation",
            "by patient/*.cruds for P +encounter=Encounter/E strict",
        ),
        // What the user may have besides isn't narrowed to the encounter.
        (
            Who {
                user: Some("RelatedPerson/1"),
                ..opened("patient/Observation.rs user/Observation.rs")
            },
            "GET Observation",
            "by patient/Observation.rs user/Observation.rs for P strict in Observation",
        ),
    ];
    check_with(&rows, &api(Release::R4), &smart);
}

fn observation(encounter: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"1","meta":{{"versionId":"7"}},
        "subject":{{"reference":"Patient/P"}},"encounter":{{"reference":"{encounter}"}}}}"#
    )
}

#[test]
fn what_is_written_belongs_to_the_encounter_before_and_after() {
    let (mine, other) = (observation("Encounter/E"), observation("Encounter/F"));
    let without = r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/P"}}"#;
    let new = r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"},"encounter":{"reference":"Encounter/E"}}"#;
    let encounter = |id: &str| {
        format!(
            r#"{{"resourceType":"Encounter","id":"{id}","meta":{{"versionId":"7"}},"subject":{{"reference":"Patient/P"}}}}"#
        )
    };
    let (own, another) = (encounter("E"), encounter("F"));
    let allergy = r#"{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/P"},"encounter":{"reference":"Encounter/F"}}"#;
    let patch = r#"[{"op":"replace","path":"/status","value":"final"}]"#;
    let moved = r#"[{"op":"replace","path":"/encounter/reference","value":"Encounter/E"}]"#;
    let held = "by patient/*.cruds for P held";
    let at = "by patient/*.cruds for P at W/\"7\" held";
    let criteria = "code=x&patient=Patient%2FP&encounter=Encounter%2FE";
    let lookup = &*format!("Observation?{criteria}");
    let anew = format!("by patient/*.cruds for P anew if no {criteria} strict held");
    let there = "by patient/*.cruds for P on 1 at W/\"7\" held";
    let (found, others) = (searchset(&[&mine, &other]), searchset(&[&other]));
    let rows: &[Write<'_>] = &[
        ("POST Observation", &mine, &[], held),
        ("POST Observation", &other, &[], "write_other_encounter"),
        ("POST Observation", without, &[], "write_other_encounter"),
        ("POST AllergyIntolerance", allergy, &[], held),
        ("POST Encounter", &own, &[], "compartment_other_encounter"),
        ("PUT Observation/1", &mine, &[("Observation/1", &mine)], at),
        ("PUT Observation/1", &mine, &[("Observation/1", &other)], "compartment_not_member"),
        ("PUT Observation/1", &other, &[("Observation/1", &mine)], "write_other_encounter"),
        ("PUT Encounter/E", &own, &[("Encounter/E", &own)], at),
        ("PUT Encounter/F", &another, &[("Encounter/F", &another)], "compartment_other_encounter"),
        ("PATCH Observation/1", patch, &[("Observation/1", &mine)], at),
        ("PATCH Observation/1", patch, &[("Observation/1", &other)], "compartment_not_member"),
        ("PATCH Observation/1", moved, &[("Observation/1", &mine)], "patch_membership"),
        ("PATCH Encounter/F", patch, &[("Encounter/F", &another)], "compartment_other_encounter"),
        ("DELETE Observation/1", "", &[("Observation/1", &mine)], at),
        ("DELETE Observation/1", "", &[("Observation/1", &other)], "compartment_not_member"),
        ("PUT Observation?code=x", new, &[], &anew),
        ("PUT Observation?code=x", new, &[(lookup, &others)], &anew),
        ("PUT Observation?code=x", &mine, &[(lookup, &found)], there),
        ("PUT Observation?encounter=Encounter/F", new, &[], "search_other_encounter"),
        ("DELETE Observation?code=x", "", &[(lookup, &found)], there),
        ("DELETE Observation?code=x", "", &[(lookup, &others)], "conditional_no_match"),
        ("DELETE Encounter?status=planned", "", &[], "compartment_other_encounter"),
        ("POST Observation\nif-none-exist: code=x", &mine, &[], &anew),
        ("POST Observation\nif-none-exist: encounter=F", &mine, &[], "search_other_encounter"),
    ];
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    for (request, body, stored, expected) in rows {
        let text = match request.split_once(' ') {
            Some(("DELETE", _)) => (*request).to_owned(),
            Some(("PATCH", _)) => format!("{request}\ncontent-type: application/json-patch+json"),
            _ => format!("{request}\n{JSON}"),
        };
        let got = settled(opened(ALL), &text, body, stored, &api, &confine());
        assert_eq!(got, *expected, "{request} {body}");
    }
}

#[test]
fn an_entry_of_a_batch_is_decided_as_if_it_had_come_alone() {
    let batch = |url: &str| {
        format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"request":{{"method":"GET","url":"{url}"}}}}]}}"#
        )
    };
    for (url, expected) in [
        ("Encounter/F", "compartment_other_encounter"),
        ("Observation?encounter=F", "search_other_encounter"),
        ("Encounter/E", "by patient/*.cruds for P held"),
    ] {
        let text = format!("POST \n{JSON}");
        let got = settled(opened(ALL), &text, &batch(url), &[], &api(Release::R4), &confine());
        assert_eq!(got, expected, "{url}");
    }
}

fn sees(who: Who, resource: &str, smart: &Smart) -> bool {
    let api = api(Release::R4);
    let sight = Sight::new(Rc::new(Grants::of(&who.claims(), &api, smart)));
    sight.sees(&node::read(resource.as_bytes()).unwrap(), By::Read, &api, smart)
}

#[test]
fn every_type_of_the_compartment_is_about_patients_and_has_a_parameter_for_its_encounter() {
    for release in [Release::R4, Release::R4B, Release::R5] {
        let smart = confine();
        let mut narrowed = 0;
        for name in release.types() {
            let of = ResourceType::parse(release, name).unwrap();
            if !is_in_encounter_compartment(release, of) {
                assert_eq!(encounter_parameter(release, of), None, "{release:?} {name}");
                continue;
            }
            narrowed += 1;
            let parameter = encounter_parameter(release, of).unwrap();
            let criterion = match *name {
                "Encounter" => format!("+{parameter}=E"),
                _ => format!("+{parameter}=Encounter/E"),
            };
            let got = decided(opened(ALL), &format!("GET {name}"), &api(release), &smart);
            assert!(shown(&got).contains(&criterion), "{release:?} {name}: {}", shown(&got));
        }
        assert_eq!(narrowed, if release == Release::R5 { 26 } else { 25 }, "{release:?}");
    }
}

const REQUESTS: &[&str] = &[
    "GET Observation",
    "GET Observation?encounter=Encounter/E",
    "GET Observation?encounter=Encounter/F",
    "GET Observation?encounter.status=x",
    "GET Observation/1",
    "GET Encounter",
    "GET Encounter/E",
    "GET Encounter/F",
    "GET Encounter/E/Observation",
    "GET Encounter/F/Observation",
    "GET Patient/P/Observation",
    "GET Patient/P/*",
    "GET Patient/P",
    "GET Patient/P/$everything",
    "GET Patient?_has:Observation:patient:code=x",
    "GET AllergyIntolerance",
    "GET Practitioner/1",
    "GET Observation?_include=Observation:encounter",
    "DELETE Observation?code=x",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_encounter_never_widens(
        scopes in proptest::collection::vec(select(vec![
            "patient/*.cruds", "patient/Observation.rs", "patient/Observation.rs?status=final",
            "patient/Encounter.r", "user/Observation.rs", "user/*.r", "system/*.rs",
        ]), 1..4),
        user in select(vec![None, Some("Patient/P"), Some("Patient/A"), Some("RelatedPerson/1"),
            Some("Practitioner/1")]),
        encounter in select(vec!["E", "F", ""]),
        definition in any::<bool>(),
        confines in any::<bool>(),
        request in select(REQUESTS.to_vec()),
        resource in select(vec!["Observation", "Encounter", "AllergyIntolerance", "Patient"]),
        of in select(vec!["Patient/P", "Patient/A"]),
        within in select(vec!["Encounter/E", "Encounter/F", "Encounter?x=y"]),
    ) {
        let scope: &'static str = scopes.join(" ").leak();
        let without = Who { user, ..patient(scope) };
        let with = Who { encounter: Some(encounter), ..without };
        let membership =
            if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, ..if confines { confine() } else { Smart::default() } };
        let api = api(Release::R4);
        if let Ok(after) = decided(with, request, &api, &smart) {
            let before = decided(without, request, &api, &smart);
            prop_assert!(before.is_ok(), "{request} {with:?}");
            let before = before.unwrap();
            let narrows = |name: &str| after.narrowing().iter().any(|one| one.name == name);
            // Of two patients' compartments one is searched: without `patient/` scopes it is the other.
            let elsewhere = before.compartment().is_some() && before.patient() != after.patient();
            let as_narrow = before.narrowing().iter().all(|one| narrows(&one.name));
            prop_assert!(elsewhere || as_narrow, "{request}");
            prop_assert!(before.expected().is_none() || after.expected().is_some(), "{request}");
        }
        let resource = format!(
            r#"{{"resourceType":"{resource}","id":"E","subject":{{"reference":"{of}"}},
            "patient":{{"reference":"{of}"}},"encounter":{{"reference":"{within}"}},"status":"final"}}"#
        );
        let shown = |who| sees(who, &resource, &smart);
        prop_assert!(!shown(with) || shown(without), "{resource} {with:?}");
        if !confines {
            prop_assert_eq!(shown(with), shown(without), "{} {:?}", resource, with);
        }
    }
}
