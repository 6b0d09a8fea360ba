use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::base::node::read;
use crate::fhir::compartment::{SubjectParameter, reference_targets, subject_parameter};

const ALL: [Release; 3] = [Release::R4, Release::R4B, Release::R5];
const BASES: [&str; 2] = ["https://api.example/fhir", "http://fhir:8080"];

/// What names `Patient/P`, all of it.
const NAMING: [&str; 6] = [
    "Patient/P",
    "Patient/P/_history/1",
    "https://api.example/fhir/Patient/P",
    "https://api.example/fhir/Patient/P/_history/2.a-Z",
    "http://fhir:8080/Patient/P",
    "http://fhir:8080/Patient/P/_history/1",
];

/// What does not, however near it comes.
const OTHER: [&str; 48] = [
    "",
    "P",
    "#P",
    "#",
    "Patient",
    "Patient/",
    "Patient/p",
    "Patient/PP",
    "Patient/xP",
    "Patient/P2",
    "Patient/P/",
    "Patient//P",
    "Patient/P ",
    " Patient/P",
    "Patient/P\n",
    "Patient/P\0",
    "Patient/%50",
    "Patient%2FP",
    "Patient\\P",
    "Patient/P?x",
    "Patient/P?_format=json",
    "Patient/P#x",
    "Patient/P|1",
    "Patient/P,Patient/Q",
    "Patient/P/_history",
    "Patient/P/_history/",
    "Patient/P/_history/1/",
    "Patient/P/_history/1/2",
    "Patient/P/_history/1?x",
    "Patient/P/_history/..",
    "Patient/P/history/1",
    "Patient/P/Observation/1",
    "Patient/../Patient/P",
    "./Patient/P",
    "/Patient/P",
    "/fhir/Patient/P",
    "patient/P",
    "PATIENT/P",
    "Group/P",
    "RelatedPerson/P",
    "urn:uuid:P",
    "urn:uuid:Patient/P",
    "http://evil/Patient/P",
    "https://api.example/Patient/P",
    "https://api.example/fhirPatient/P",
    "https://api.example/fhir//Patient/P",
    "http://api.example/fhir/Patient/P",
    "https://api.example/fhir/https://api.example/fhir/Patient/P",
];

fn patient() -> Id {
    Id::parse("P").unwrap()
}

fn bases() -> Vec<String> {
    BASES.map(str::to_owned).to_vec()
}

fn about(release: Release, resource: &Value) -> bool {
    about_whom(release, resource, &patient())
}

fn about_whom(release: Release, resource: &Value, patient: &Id) -> bool {
    let naming = Naming { patient, base_urls: &bases(), aliases: &[] };
    is_about(release, &read(resource.to_string().as_bytes()).unwrap(), &naming)
}

fn type_found(release: Release, resource: &Value) -> Option<ResourceType> {
    type_of(release, &read(resource.to_string().as_bytes()).unwrap())
}

fn names_patient(reference: &str, patient: &Id, base_urls: &[String]) -> bool {
    Naming { patient, base_urls, aliases: &[] }.names(reference)
}

fn types(release: Release) -> impl Iterator<Item = ResourceType> {
    release.types().iter().map(move |name| ResourceType::parse(release, name).unwrap())
}

/// A path as a person writes it: `participant[].actor`.
fn text(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::One(name) => (*name).to_owned(),
        Step::Many(name) => format!("{name}[]"),
    };
    path.iter().map(step).collect::<Vec<_>>().join(".")
}

/// Puts `end` where a path leads, in the resource's shape; `turned` makes one value of each array
/// and an array of each one value.
fn at(path: &[Step], end: &Value, turned: bool) -> Map<String, Value> {
    let (step, rest) = path.split_first().unwrap();
    let inner = if rest.is_empty() { end.clone() } else { Value::from(at(rest, end, turned)) };
    let (name, many) = match step {
        Step::One(name) => (name, false),
        Step::Many(name) => (name, true),
    };
    let value = if many == turned { inner } else { json!([inner]) };
    Map::from_iter([((*name).to_owned(), value)])
}

fn resource(name: &str, mut members: Map<String, Value>) -> Value {
    members.insert("resourceType".to_owned(), Value::from(name));
    Value::from(members)
}

/// Where each type that has a subject parameter says who it is about, read from the definitions by
/// hand: its element `subject` where neither it nor its release is named here.
fn expected(release: Release, name: &str) -> Vec<&'static str> {
    let r5 = release == Release::R5;
    match name {
        "Account" | "Contract" => vec!["subject[]"],
        "Composition" | "List" if r5 => vec!["subject[]"],
        "Appointment" if r5 => vec!["participant[].actor", "subject"],
        "Appointment" => vec!["participant[].actor"],
        "AppointmentResponse" => vec!["actor"],
        "AuditEvent" if !r5 => vec!["agent[].who", "entity[].what"],
        "Coverage" => vec!["beneficiary"],
        "EnrollmentRequest" => vec!["candidate"],
        "InventoryItem" => vec!["instance.subject"],
        "Person" => vec!["link[].target"],
        "Provenance" if !r5 => vec!["target[]"],
        "ResearchSubject" if !r5 => vec!["individual"],
        "SupplyRequest" if r5 => vec!["deliverFor"],
        "SupplyRequest" => vec!["deliverTo"],
        "Task" => vec!["for"],
        "Consent" | "DetectedIssue" | "MolecularSequence" | "NutritionOrder" if !r5 => {
            vec!["patient"]
        }
        "AuditEvent" | "BiologicallyDerivedProductDispense" | "DeviceUsage" | "Provenance" => {
            vec!["patient"]
        }
        "AllergyIntolerance"
        | "BodyStructure"
        | "Claim"
        | "ClaimResponse"
        | "CoverageEligibilityRequest"
        | "CoverageEligibilityResponse"
        | "Device"
        | "EpisodeOfCare"
        | "ExplanationOfBenefit"
        | "FamilyMemberHistory"
        | "Immunization"
        | "ImmunizationEvaluation"
        | "ImmunizationRecommendation"
        | "RelatedPerson"
        | "SupplyDelivery"
        | "VisionPrescription" => vec!["patient"],
        _ => vec!["subject"],
    }
}

#[test]
fn every_type_is_about_whom_its_definition_says() {
    for release in ALL {
        for found in types(release) {
            let paths = compartment::subject_paths(release, found);
            let narrowed = subject_parameter(release, found).is_some() && found.name() != PATIENT;
            let expected = if narrowed { expected(release, found.name()) } else { Vec::new() };
            let paths: Vec<String> = paths.iter().map(|path| text(path)).collect();
            assert_eq!(paths, expected, "{release:?} {}", found.name());
        }
    }
    let narrowed =
        |release| types(release).filter(move |t| subject_parameter(release, *t).is_some());
    assert_eq!(ALL.map(|release| narrowed(release).count()), [68, 68, 73]);
}

#[test]
fn the_parameter_whose_elements_are_read_is_patient_and_only_without_it_subject() {
    for release in ALL {
        for found in types(release).filter(|found| found.name() != PATIENT) {
            let can = |name: &&&str| {
                let targets = reference_targets(release, found, name);
                targets.is_some_and(|targets| targets.contains(&PATIENT))
            };
            let rule = ["patient", "subject"].iter().find(can).copied();
            let parameter = subject_parameter(release, found);
            let name = parameter.map(|SubjectParameter { name, .. }| name);
            assert_eq!(name, rule, "{release:?} {}", found.name());
        }
    }
}

#[test]
fn a_resource_of_every_type_is_about_the_patient_that_any_of_its_paths_names() {
    for release in ALL {
        for found in types(release) {
            for path in compartment::subject_paths(release, found) {
                let row = format!("{release:?} {} {}", found.name(), text(path));
                for reference in NAMING {
                    let end = json!({"reference": reference});
                    let given = resource(found.name(), at(path, &end, false));
                    assert!(about(release, &given), "{row} {reference}");
                    let given = resource(found.name(), at(path, &end, true));
                    assert!(!about(release, &given), "{row} {reference} turned");
                }
                for reference in OTHER {
                    let end = json!({"reference": reference});
                    let given = resource(found.name(), at(path, &end, false));
                    assert!(!about(release, &given), "{row} {reference:?}");
                }
            }
        }
    }
}

#[test]
fn only_a_whole_literal_reference_names_the_patient() {
    for reference in NAMING {
        assert!(names_patient(reference, &patient(), &bases()), "{reference}");
    }
    for reference in OTHER {
        assert!(!names_patient(reference, &patient(), &bases()), "{reference:?}");
    }
    for reference in NAMING {
        let relative = reference.starts_with("Patient/");
        assert_eq!(
            names_patient(reference, &patient(), &[]),
            relative,
            "{reference} without bases"
        );
        let other = Id::parse("PP").unwrap();
        assert!(!names_patient(reference, &other, &bases()), "{reference} for another");
    }
}

#[test]
fn what_the_examples_of_the_definitions_look_like_is_judged_as_a_search_would() {
    let observation = json!({"resourceType": "Observation", "id": "f001", "status": "final",
        "subject": {"reference": "Patient/P", "display": "P. van de Heuvel"},
        "performer": [{"reference": "Practitioner/f005", "display": "A. Langeveld"}]});
    let child = json!({"resourceType": "Observation", "id": "c", "status": "final",
        "subject": {"reference": "Patient/child"}, "focus": [{"reference": "Patient/P"}],
        "performer": [{"reference": "Patient/P"}]});
    let appointment = json!({"resourceType": "Appointment", "id": "example", "status": "booked",
        "participant": [
            {"actor": {"reference": "Location/1"}, "status": "accepted"},
            {"type": [{"coding": [{"code": "ATND"}]}], "status": "accepted"},
            {"actor": {"reference": "Patient/Q"}, "status": "accepted"},
            {"actor": {"reference": "Patient/P"}, "status": "accepted"}]});
    let audit = json!({"resourceType": "AuditEvent", "id": "example-rest",
        "agent": [{"who": {"identifier": {"value": "95"}}, "requestor": true}],
        "source": {"observer": {"display": "hl7connect.healthintersections.com.au"}},
        "entity": [{"what": {"reference": "Patient/P/_history/1"}}]});
    let person = json!({"resourceType": "Person", "id": "example", "link": [
        {"target": {"reference": "RelatedPerson/peter"}},
        {"target": {"reference": "Patient/P"}, "assurance": "level3"}]});
    let group = json!({"resourceType": "Group", "id": "102", "type": "person", "actual": true,
        "member": [{"entity": {"reference": "Patient/P"}}]});
    let schedule = json!({"resourceType": "Schedule", "actor": [{"reference": "Patient/P"}]});
    let account = json!({"resourceType": "Account", "id": "ewg",
        "subject": [{"reference": "Device/d"}, {"reference": "Patient/P"}]});
    let cases = [
        ("subject among performers", &observation, [true, true, true]),
        ("of a child, recorded by the mother", &child, [false, false, false]),
        ("one of two patients", &appointment, [true, true, true]),
        ("an entity of an audit event, until R5", &audit, [true, true, false]),
        ("a person linked", &person, [true, true, true]),
        ("a group has no subject", &group, [false, false, false]),
        ("a schedule has no subject", &schedule, [false, false, false]),
        ("a list of subjects", &account, [true, true, true]),
    ];
    for (row, given, expected) in cases {
        assert_eq!(ALL.map(|release| about(release, given)), expected, "{row}");
    }
}

#[test]
fn a_patient_is_about_itself_alone() {
    let linked = json!([{"other": {"reference": "Patient/P"}, "type": "seealso"}]);
    let cases = [
        (json!({"resourceType": "Patient", "id": "P"}), true),
        (json!({"resourceType": "Patient", "id": "P", "link": linked}), true),
        (json!({"resourceType": "Patient", "id": "Q", "link": linked}), false),
        (json!({"resourceType": "Patient", "link": linked}), false),
        (json!({"resourceType": "Patient", "id": "p"}), false),
        (json!({"resourceType": "Patient", "id": "Patient/P"}), false),
        (json!({"resourceType": "Patient", "id": ["P"]}), false),
        (json!({"resourceType": "Patient", "id": {"value": "P"}}), false),
        (json!({"resourceType": "Patient", "subject": {"reference": "Patient/P"}}), false),
        (json!({"resourceType": "patient", "id": "P"}), false),
        (json!({"resourceType": "Person", "id": "P"}), false),
        (json!({"id": "P"}), false),
    ];
    for (given, expected) in cases {
        for release in ALL {
            assert_eq!(about(release, &given), expected, "{release:?} {given}");
        }
    }
}

#[test]
fn what_can_not_be_told_is_not_about_the_patient() {
    let named = json!({"reference": "Patient/P"});
    let cases = [
        json!({"subject": "Patient/P"}),
        json!({"subject": {"reference": ["Patient/P"]}}),
        json!({"subject": {"reference": {"value": "Patient/P"}}}),
        json!({"subject": {"reference": null}}),
        json!({"subject": {"reference": 5}}),
        json!({"subject": {"Reference": "Patient/P"}}),
        json!({"subject": {"uri": "Patient/P"}}),
        json!({"subject": {"display": "Patient/P", "type": "Patient"}}),
        json!({"subject": {"identifier": {"system": "https://api.example/fhir", "value": "P"}}}),
        json!({"subject": {"extension": [{"url": "x", "valueReference": named}]}}),
        json!({"subject": {"subject": named}}),
        json!({"subject": [named]}),
        json!({"subject": [[named]]}),
        json!({"subject": null}),
        json!({"subject": true}),
        json!({"_subject": named}),
        json!({"Subject": named}),
        json!({"subject.reference": "Patient/P"}),
        json!({"subjectReference": named}),
        json!({"patient": named}),
        json!({"resource": {"resourceType": "Observation", "subject": named}}),
        json!({"subject": {"reference": "#p"}, "contained": [
            {"resourceType": "Patient", "id": "p"}, {"resourceType": "Patient", "id": "P"}]}),
        json!({"contained": [{"resourceType": "Observation", "subject": named}]}),
        json!({}),
    ];
    for given in cases {
        let given = resource("Observation", given.as_object().unwrap().clone());
        for release in ALL {
            assert!(!about(release, &given), "{release:?} {given}");
        }
    }
    for actors in [
        json!(named),
        json!({"actor": named}),
        json!([named]),
        json!([[{"actor": named}]]),
        json!([{"actor": [named]}]),
        json!([{"actor": [[named]]}]),
        json!([null, 1, "actor", {"actor": "Patient/P"}]),
    ] {
        let given = json!({"resourceType": "Appointment", "participant": actors});
        for release in ALL {
            assert!(!about(release, &given), "{release:?} {given}");
        }
    }
}

#[test]
fn the_type_of_a_resource_is_one_of_the_release_or_none() {
    let cases = [
        (json!({"resourceType": "Observation"}), [true, true, true]),
        (json!({"resourceType": "DeviceUsage"}), [false, false, true]),
        (json!({"resourceType": "Media"}), [true, true, false]),
        (json!({"resourceType": "observation"}), [false; 3]),
        (json!({"resourceType": "Observation "}), [false; 3]),
        (json!({"resourceType": "DomainResource"}), [false; 3]),
        (json!({"resourceType": ["Observation"]}), [false; 3]),
        (json!({"resourceType": null}), [false; 3]),
        (json!({"resourcetype": "Observation"}), [false; 3]),
        (json!({}), [false; 3]),
        (json!([{"resourceType": "Observation"}]), [false; 3]),
        (json!("Observation"), [false; 3]),
        (json!(null), [false; 3]),
    ];
    for (given, expected) in cases {
        let found = ALL.map(|release| type_found(release, &given));
        assert_eq!(found.map(|found| found.is_some()), expected, "{given}");
        let name = given["resourceType"].as_str();
        assert!(found.iter().flatten().all(|found| Some(found.name()) == name), "{given}");
        let mut given = given;
        if let Value::Object(members) = &mut given {
            members.insert("subject".to_owned(), json!({"reference": "Patient/P"}));
        }
        if !expected.contains(&true) {
            assert!(!ALL.iter().any(|release| about(*release, &given)), "{given}");
        }
    }
}

/// Every string in a value with the way to it: `.participant[].actor.reference`.
fn strings(value: &Value, way: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((way.to_owned(), text.clone())),
        Value::Array(items) => {
            items.iter().for_each(|item| strings(item, &format!("{way}[]"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| strings(item, &format!("{way}.{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Member names of the paths and of references, so that random values meet them often.
const NAMES: [&str; 18] = [
    "subject",
    "patient",
    "participant",
    "actor",
    "agent",
    "who",
    "entity",
    "what",
    "link",
    "target",
    "beneficiary",
    "for",
    "instance",
    "contained",
    "reference",
    "resource",
    "resourceType",
    "id",
];

fn references() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&NAMING[..]).prop_map(str::to_owned),
        prop::sample::select(&OTHER[..]).prop_map(str::to_owned),
        "(Patient|Group)/[PQ]{1,2}",
    ]
}

fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => references().prop_map(Value::from),
        3 => references().prop_map(|reference| json!({"reference": reference})),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..4)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

/// A resource of a random type, with noise, and something where one of its paths leads.
fn resources() -> impl Strategy<Value = (Release, Value)> {
    let pick = any::<prop::sample::Index>;
    let end = prop_oneof![
        3 => references().prop_map(|reference| json!({"reference": reference})),
        1 => noise(),
    ];
    let parts = (prop::sample::select(&ALL[..]), pick(), pick(), end, 0..8, noise());
    parts.prop_map(|(release, kind, path, end, shape, noise)| {
        let found =
            ResourceType::parse(release, release.types()[kind.index(release.types().len())])
                .unwrap();
        let mut members = noise.as_object().cloned().unwrap_or_default();
        let paths = compartment::subject_paths(release, found);
        if !paths.is_empty() && shape > 0 {
            let mut planted = at(paths[path.index(paths.len())], &end, shape == 1);
            // Arrays get more than what was planted.
            let lists = planted.values_mut().filter_map(Value::as_array_mut);
            lists.for_each(|list| list.insert(0, noise.clone()));
            members.extend(planted);
        }
        (release, resource(found.name(), members))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_resource_is_about_the_patient_if_and_only_if_a_path_holds_a_reference_that_names_it(
        (release, given) in resources(),
    ) {
        let found = type_found(release, &given).unwrap();
        let mut all = Vec::new();
        strings(&given, "", &mut all);
        let paths = compartment::subject_paths(release, found).iter();
        let paths: Vec<String> = paths.map(|path| format!(".{}.reference", text(path))).collect();
        let naming = |(way, text): &(String, String)| {
            paths.contains(way) && NAMING.contains(&text.as_str())
                || found.name() == PATIENT && way == ".id" && text == "P"
        };
        prop_assert_eq!(about(release, &given), all.iter().any(naming), "{:?}", given);
    }

    #[test]
    fn no_value_and_no_reference_makes_it_panic_or_is_about_two_patients_by_one_reference(
        (release, given) in resources(), any in noise(), text in ".*", id in "[A-Za-z0-9.-]{1,64}",
    ) {
        type_found(release, &any);
        about(release, &any);
        names_patient(&text, &patient(), &bases());
        let Some(id) = Id::parse(&id) else { return Ok(()) };
        prop_assume!(id != patient());
        for reference in [format!("Patient/{}", id.as_str()), text] {
            let both = [&id, &patient()].map(|id| names_patient(&reference, id, &bases()));
            prop_assert!(both != [true, true], "{:?}", reference);
        }
        about_whom(release, &given, &id);
    }
}
