use serde_json::{Map, Value, json};

use super::*;
use crate::base::node::read;
use crate::fhir::compartment::{PATIENT, SubjectParameter, reference_targets, subject_parameter};
use crate::fhir::tables;

mod laws;

const ALL: [Release; 3] = [Release::R4, Release::R4B, Release::R5];
const BOTH: [Membership; 2] = [Membership::Subject, Membership::Definition];
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
    is_of(release, Membership::Subject, resource, &patient())
}

fn is_of(release: Release, membership: Membership, resource: &Value, patient: &Id) -> bool {
    let naming = Naming { owner: PATIENT, id: patient, base_urls: &bases(), aliases: &[] };
    is_member(release, membership, &read(resource.to_string().as_bytes()).unwrap(), &naming)
}

fn type_found(release: Release, resource: &Value) -> Option<ResourceType> {
    type_of(release, &read(resource.to_string().as_bytes()).unwrap())
}

fn names_patient(reference: &str, patient: &Id, base_urls: &[String]) -> bool {
    Naming { owner: PATIENT, id: patient, base_urls, aliases: &[] }.names(reference)
}

fn types(release: Release) -> impl Iterator<Item = ResourceType> {
    release.types().iter().map(move |name| ResourceType::parse(release, name).unwrap())
}

/// The ways to the references by which resources of a type say whose they are.
fn paths(release: Release, membership: Membership, found: ResourceType) -> Vec<&'static str> {
    references(release, PATIENT, membership, found).map(|element| element.path).collect()
}

/// Puts `end` where a path leads, in the resource's shape; `turned` makes one value of each array
/// and an array of each one value.
fn at(path: &str, end: &Value, turned: bool) -> Map<String, Value> {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let inner = if rest.is_empty() { end.clone() } else { Value::from(at(rest, end, turned)) };
    let name = step.trim_end_matches('*').replace('+', "");
    let value = if step.ends_with('*') == turned { inner } else { json!([inner]) };
    Map::from_iter([(name, value)])
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
        "Account" | "Contract" => vec!["subject*"],
        "Composition" | "List" if r5 => vec!["subject*"],
        "Appointment" if r5 => vec!["participant*.actor", "subject"],
        "Appointment" => vec!["participant*.actor"],
        "AppointmentResponse" => vec!["actor"],
        "AuditEvent" if !r5 => vec!["agent*.who", "entity*.what"],
        "Coverage" => vec!["beneficiary"],
        "EnrollmentRequest" => vec!["candidate"],
        "InventoryItem" => vec!["instance.subject"],
        "Person" => vec!["link*.target"],
        "Provenance" if !r5 => vec!["target*"],
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
            let narrowed = subject_parameter(release, found).is_some() && found.name() != PATIENT;
            let expected = if narrowed { expected(release, found.name()) } else { Vec::new() };
            let paths = paths(release, Membership::Subject, found);
            assert_eq!(paths, expected, "{release:?} {}", found.name());
        }
    }
    let narrowed =
        |release| types(release).filter(move |t| subject_parameter(release, *t).is_some());
    assert_eq!(ALL.map(|release| narrowed(release).count()), [68, 68, 73]);
}

#[test]
fn by_the_definition_every_parameter_of_the_compartment_counts() {
    let cases: [(&str, [&[&str]; 3]); 12] = [
        ("Observation", [&["performer*", "subject"]; 3]),
        ("Group", [&["member*.entity"]; 3]),
        ("Schedule", [&["actor*"]; 3]),
        ("Patient", [&[]; 3]),
        ("Organization", [&[]; 3]),
        ("Device", [&[]; 3]),
        (
            "Condition",
            [
                &["asserter", "subject"],
                &["asserter", "subject"],
                &["participant*.actor", "subject"],
            ],
        ),
        (
            "AuditEvent",
            [&["agent*.who", "entity*.what"], &["agent*.who", "entity*.what"], &["patient"]],
        ),
        (
            "Coverage",
            [
                &["beneficiary", "payor*", "policyHolder", "subscriber"],
                &["beneficiary", "payor*", "policyHolder", "subscriber"],
                &["beneficiary", "paymentBy*.party", "policyHolder", "subscriber"],
            ],
        ),
        ("Procedure", [&["performer*.actor", "subject"]; 3]),
        ("Person", [&["link*.target"]; 3]),
        ("RequestOrchestration", [&[], &[], &["action*.participant*.actor+Reference", "subject"]]),
    ];
    for (name, expected) in cases {
        for (release, expected) in ALL.into_iter().zip(expected) {
            let Some(found) = ResourceType::parse(release, name) else { continue };
            let mut found = paths(release, Membership::Definition, found);
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, expected, "{release:?} {name}");
        }
    }
}

#[test]
fn every_parameter_of_every_compartment_comes_down_to_references() {
    let mut counts = Vec::new();
    for release in ALL {
        for compartment in tables::of(release).compartments {
            let members = compartment.members.iter();
            for (name, parameter) in
                members.flat_map(|(name, all)| all.iter().map(move |p| (name, p)))
            {
                let row = format!("{release:?} {} {name}.{parameter}", compartment.owner);
                let found = ResourceType::parse(release, name).unwrap();
                let elements = element::of(release, found, parameter);
                let kinds: Vec<Kind> = elements.expect(&row).map(|element| element.kind).collect();
                assert!(kinds.contains(&Kind::Reference), "{row}");
                // A canonical names no resource of a compartment.
                let rest = kinds.iter().filter(|kind| **kind != Kind::Reference);
                assert!(rest.clone().all(|kind| *kind == Kind::Text), "{row}");
                assert!(rest.count() == 0 || *name == "RequestOrchestration", "{row}");
            }
        }
        let decided = types(release).filter(|found| {
            let paths = paths(release, Membership::Definition, *found);
            let member = compartment::is_in_patient_compartment(release, *found);
            assert_eq!(!paths.is_empty(), member && found.name() != PATIENT, "{found:?}");
            member
        });
        counts.push(decided.count());
    }
    assert_eq!(counts, [66, 66, 73]);
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
fn a_resource_of_every_type_is_of_the_patient_that_any_of_its_paths_names() {
    for (release, membership) in ALL.into_iter().flat_map(|r| BOTH.map(|m| (r, m))) {
        for found in types(release) {
            for path in paths(release, membership, found) {
                let row = format!("{release:?} {membership:?} {} {path}", found.name());
                let given = |reference: &str, turned: bool| {
                    let end = json!({"reference": reference});
                    resource(found.name(), at(path, &end, turned))
                };
                let is_of = |given: &Value| is_of(release, membership, given, &patient());
                for reference in NAMING {
                    assert!(is_of(&given(reference, false)), "{row} {reference}");
                    assert!(!is_of(&given(reference, true)), "{row} {reference} turned");
                }
                for reference in OTHER {
                    assert!(!is_of(&given(reference, false)), "{row} {reference:?}");
                }
            }
        }
    }
}

#[test]
fn an_alias_names_the_patient_as_a_whole_and_nowhere_else() {
    let aliases = ["urn:uuid:1".to_owned()];
    let (patient, base_urls) = (patient(), bases());
    let with = Naming { owner: PATIENT, id: &patient, base_urls: &base_urls, aliases: &aliases };
    let without = Naming { aliases: &[], ..with };
    for (reference, expected) in [("urn:uuid:1", true), ("urn:uuid:11", false), ("1", false)] {
        let given = json!({"resourceType": "Observation", "subject": {"reference": reference}});
        let given = given.to_string();
        let given = read(given.as_bytes()).unwrap();
        for (release, membership) in ALL.into_iter().flat_map(|r| BOTH.map(|m| (r, m))) {
            assert_eq!(is_member(release, membership, &given, &with), expected, "{reference}");
            assert!(!is_member(release, membership, &given, &without), "{reference}");
        }
    }
}

#[test]
fn what_proves_membership_is_named_as_elements_takes_it() {
    let proving = |release, membership, name| {
        proving_elements(release, PATIENT, membership, ResourceType::parse(release, name).unwrap())
    };
    for release in ALL {
        assert_eq!(proving(release, Membership::Subject, "Observation"), ["subject"]);
        assert_eq!(
            proving(release, Membership::Definition, "Observation"),
            ["performer", "subject"]
        );
        assert_eq!(proving(release, Membership::Definition, "Group"), ["member"]);
        for (membership, name) in
            BOTH.into_iter().flat_map(|m| ["Patient", "Organization"].map(|n| (m, n)))
        {
            assert!(proving(release, membership, name).is_empty(), "{name}");
        }
        assert!(proving(release, Membership::Subject, "Group").is_empty());
    }
    assert_eq!(
        proving(Release::R5, Membership::Definition, "NutritionIntake"),
        ["reported", "subject"]
    );
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
    // As the subject has it, and as the whole definition.
    let cases = [
        ("subject among performers", &observation, [[true; 2]; 3]),
        ("of a child, recorded by the mother", &child, [[false, true]; 3]),
        ("one of two patients", &appointment, [[true; 2]; 3]),
        ("an entity of an audit event, until R5", &audit, [[true; 2], [true; 2], [false; 2]]),
        ("a person linked", &person, [[true; 2]; 3]),
        ("a group has no subject", &group, [[false, true]; 3]),
        ("a schedule has no subject", &schedule, [[false, true]; 3]),
        ("a list of subjects", &account, [[true; 2]; 3]),
    ];
    for (row, given, expected) in cases {
        let found = ALL.map(|release| BOTH.map(|m| is_of(release, m, given, &patient())));
        assert_eq!(found, expected, "{row}");
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
        for (release, membership) in ALL.into_iter().flat_map(|r| BOTH.map(|m| (r, m))) {
            let found = is_of(release, membership, &given, &patient());
            assert_eq!(found, expected, "{release:?} {membership:?} {given}");
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
        for (release, membership) in ALL.into_iter().flat_map(|r| BOTH.map(|m| (r, m))) {
            let found = is_of(release, membership, &given, &patient());
            assert!(!found, "{release:?} {membership:?} {given}");
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
        for (release, membership) in ALL.into_iter().flat_map(|r| BOTH.map(|m| (r, m))) {
            let found = is_of(release, membership, &given, &patient());
            assert!(!found, "{release:?} {membership:?} {given}");
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

/// What an audit record names is what membership goes by.
#[test]
fn whose_a_resource_is_does_not_depend_on_how_the_question_is_put() {
    let bases = BASES.map(str::to_owned);
    let whose = |reference: &str| {
        let text = json!({"resourceType": "Observation", "subject": {"reference": reference}});
        let text = text.to_string();
        patients(Release::R4, Membership::Subject, &read(text.as_bytes()).unwrap(), &bases)
    };
    for reference in NAMING {
        assert_eq!(whose(reference), ["P"], "{reference}");
    }
    for reference in OTHER {
        assert!(!whose(reference).contains(&"P".to_owned()), "{reference}");
    }
}
