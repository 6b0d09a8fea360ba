use serde_json::{Value, json};

use super::*;
use crate::base::node;

mod laws;

const ALL: [Release; 3] = [Release::R4, Release::R4B, Release::R5];
const OBSERVATION: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const CONDITION: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
const US_CORE_CONDITION: &str = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";
const US_CORE: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category";

fn bases() -> Vec<String> {
    vec!["https://api.example/fhir".to_owned(), "http://fhir:8080".to_owned()]
}

fn meets(release: Release, resource: &Value, parameter: &str, value: &str) -> bool {
    let text = resource.to_string();
    matches(release, &node::read(text.as_bytes()).unwrap(), parameter, value, &bases())
}

/// Resource, parameter, values that it matches, values that it does not, in all releases.
fn check(resource: &Value, parameter: &str, matching: &[&str], others: &[&str]) {
    for release in ALL {
        for value in matching {
            assert!(meets(release, resource, parameter, value), "{release:?} {parameter}={value}");
        }
        for value in others {
            assert!(!meets(release, resource, parameter, value), "{release:?} {parameter}={value}");
        }
    }
}

fn of_category(kind: &str, codings: &[(&str, &str)]) -> Value {
    let concepts = codings.iter().map(|(system, code)| json!({"system": system, "code": code}));
    let concepts: Vec<Value> = concepts.map(|coding| json!({"coding": [coding]})).collect();
    json!({"resourceType": kind, "id": "x", "category": concepts})
}

#[test]
fn the_categories_of_us_core_are_told_apart() {
    let set = [
        ("Condition", CONDITION, "encounter-diagnosis"),
        ("Condition", CONDITION, "problem-list-item"),
        ("Condition", US_CORE_CONDITION, "health-concern"),
        ("Observation", OBSERVATION, "laboratory"),
        ("Observation", OBSERVATION, "social-history"),
        ("Observation", OBSERVATION, "vital-signs"),
        ("Observation", OBSERVATION, "survey"),
        ("Observation", US_CORE, "sdoh"),
    ];
    for (kind, system, code) in set {
        let resource = of_category(kind, &[(system, code)]);
        let both = of_category(kind, &[("http://other", "other"), (system, code)]);
        for (other_kind, other_system, other_code) in set {
            let value = format!("{other_system}|{other_code}");
            let same = other_system == system && other_code == code;
            for release in ALL {
                let row = format!("{release:?} {kind} {code} against {other_kind} {value}");
                assert_eq!(meets(release, &resource, "category", &value), same, "{row}");
                assert_eq!(meets(release, &both, "category", &value), same, "{row}, second");
                let code_alone = meets(release, &resource, "category", other_code);
                assert_eq!(code_alone, other_code == code, "{row}, code alone");
            }
        }
    }
}

#[test]
fn a_token_is_compared_by_code_and_system_whole() {
    let resource = of_category("Observation", &[("http://a", "lab"), ("http://b", "vital")]);
    let matching = [
        "lab",
        "vital",
        "http://a|lab",
        "http://a|",
        "http://b|",
        "x,lab",
        "lab,x",
        ",lab",
        "http://a|x,http://b|vital",
        "\\x,lab",
        "a|b|c,lab",
    ];
    let others = [
        "",
        ",",
        "|",
        "||",
        "Lab",
        "la",
        "labs",
        "lab ",
        " lab",
        "|lab",
        "lab|",
        "http://b|lab",
        "http://a|vital",
        "http://A|lab",
        "http://a/|lab",
        "http://c|",
        "http://a|lab|",
        "|http://a|lab",
        "lab|http://a",
        "http://a\\|lab",
        "lab\\,vital",
        "lab\\",
        "\\lab",
        "lab$vital",
        "http://a%7Clab",
        "http://a",
        "category",
    ];
    check(&resource, "category", &matching, &others);
    check(&resource, "code", &[], &["lab", "http://a|lab"]);
    check(&resource, "category:in", &[], &["lab", "http://a|lab"]);
    check(&resource, "category:not", &[], &["lab", "x"]);
    check(&resource, "Category", &[], &["lab"]);
    check(&resource, "", &[], &["lab", ""]);
}

#[test]
fn a_backslash_makes_a_separator_part_of_the_code() {
    let odd = of_category("Observation", &[("http://a|b", "c,d$e\\f")]);
    let matching = [
        "c\\,d\\$e\\\\f",
        "c\\,d$e\\\\f",
        "http://a\\|b|c\\,d\\$e\\\\f",
        "http://a\\|b|",
        "x,c\\,d$e\\\\f,y",
    ];
    let others =
        ["c,d$e\\f", "c\\,d$e\\f", "http://a|b|c\\,d$e\\\\f", "c\\,d$e\\\\\\f", "c", "d$e"];
    check(&odd, "category", &matching, &others);
    // A backslash that is itself escaped escapes nothing.
    let last = of_category("Observation", &[("http://a\\", "c\\")]);
    let matching = ["c\\\\", "c\\\\,x", "x,c\\\\", "http://a\\\\|c\\\\", "http://a\\\\|"];
    check(&last, "category", &matching, &["c\\", "c\\,x", "c\\\\\\,x", "http://a\\|c\\\\", "c"]);
}

#[test]
fn a_token_without_a_system_is_told_from_one_whose_system_is_not_asked_for() {
    let bare = json!({"resourceType": "Observation", "code": {"coding": [{"code": "lab"}]}});
    check(&bare, "code", &["lab", "|lab"], &["http://a|lab", "|", "|x", "lab|"]);
    for system in [json!(null), json!(""), json!(["http://a"]), json!(1), json!({})] {
        let given = json!({"resourceType": "Observation",
            "code": {"coding": [{"system": system, "code": "lab"}]}});
        check(&given, "code", &["lab"], &["|lab", "http://a|lab", "http://a|"]);
    }
}

#[test]
fn any_coding_of_a_concept_will_do_and_nothing_else_of_it() {
    let concept = json!({"resourceType": "Observation", "code": {
        "text": "free", "id": "i", "extension": [{"url": "x", "valueCode": "ext"}],
        "coding": [null, 1, "loose", ["nested"], {"system": "http://loinc.org", "display": "shown"},
            {"system": "http://loinc.org", "code": "1-8", "version": "2.7"},
            {"system": "http://snomed.info/sct", "code": "271649006"}]}});
    let matching = [
        "1-8",
        "271649006",
        "http://loinc.org|1-8",
        "http://snomed.info/sct|271649006",
        "http://loinc.org|",
    ];
    let others = [
        "free",
        "i",
        "ext",
        "loose",
        "nested",
        "shown",
        "2.7",
        "http://loinc.org|271649006",
        "http://snomed.info/sct|1-8",
        "null",
        "1",
    ];
    check(&concept, "code", &matching, &others);
    check(&concept, "combo-code", &matching, &others);
}

#[test]
fn a_shape_that_the_release_does_not_allow_matches_nothing() {
    let coding = json!({"system": "http://a", "code": "lab"});
    let concept = json!({"coding": [coding]});
    for category in [
        json!("lab"),
        concept.clone(),
        json!({"coding": coding}),
        json!([{"coding": coding}]),
        json!([coding]),
        json!([[concept]]),
        json!([{"coding": [[coding]]}]),
        json!([{"coding": [{"code": ["lab"]}]}]),
        json!([{"coding": [{"code": {"value": "lab"}}]}]),
        json!([{"Coding": [coding]}]),
        json!({"0": concept}),
        json!(null),
    ] {
        let given = json!({"resourceType": "Observation", "category": category});
        check(&given, "category", &[], &["lab", "http://a|lab", "http://a|"]);
    }
    for given in [
        json!({"resourceType": "Observation", "code": [concept]}),
        json!({"resourceType": "Observation", "_code": concept}),
        json!({"resourceType": "Observation", "Code": concept}),
        json!({"resourceType": "Observation", "contained": [
            {"resourceType": "Observation", "code": concept}]}),
        json!({"resourceType": "observation", "code": concept}),
        json!({"resourceType": ["Observation"], "code": concept}),
        json!({"resourceType": "Nothing", "code": concept}),
        json!({"code": concept}),
        json!([{"resourceType": "Observation", "code": concept}]),
        json!("Observation"),
        json!(null),
    ] {
        check(&given, "code", &[], &["lab", "http://a|lab", "http://a|"]);
    }
}

#[test]
fn what_has_no_system_of_its_own_is_matched_by_its_code_alone() {
    let observation = json!({"resourceType": "Observation", "id": "o-1", "status": "final"});
    let with_system = ["|final", "http://hl7.org/fhir/observation-status|final", "final|", "fina"];
    check(&observation, "status", &["final", "x,final"], &with_system);
    check(&observation, "_id", &["o-1", "x,o-1"], &["o-2", "O-1", "|o-1", "Observation/o-1", ""]);
    let patient = json!({"resourceType": "Patient", "active": true, "telecom": [
        {"system": "phone", "value": "555"}, {"system": "email", "value": "a@b.example"},
        {"value": "none"}, {"system": ["phone"], "value": "list"}]});
    check(&patient, "active", &["true"], &["false", "True", "|true", "1", "true|"]);
    check(&patient, "telecom", &["555", "a@b.example", "none"], &["phone", "phone|555", "|none"]);
    check(&patient, "phone", &["555"], &["a@b.example", "none", "list", "phone"]);
    check(&patient, "email", &["a@b.example"], &["555", "none", "list"]);
    let inactive = json!({"resourceType": "Patient", "active": false});
    check(&inactive, "active", &["false"], &["true", ""]);
    let text = json!({"resourceType": "Patient", "active": "true"});
    check(&text, "active", &[], &["true", "false"]);
}

#[test]
fn identifiers_codings_and_labels_are_tokens() {
    let observation = json!({"resourceType": "Observation",
        "meta": {
            "tag": [{"system": "http://tags", "code": "mine"}],
            "security": [{"system": "http://labels", "code": "R"}],
            "profile": ["http://example/StructureDefinition/p|1"],
            "source": "urn:feed#1"},
        "identifier": [{"system": "urn:oid:1.2", "value": "42"}, {"value": "bare"}]});
    check(
        &observation,
        "identifier",
        &["42", "urn:oid:1.2|42", "urn:oid:1.2|", "bare", "|bare"],
        &["|42", "urn:oid:1.2|bare", "urn:oid:1.2", "4"],
    );
    check(&observation, "_tag", &["mine", "http://tags|mine"], &["R", "|mine", "http://labels|R"]);
    check(&observation, "_security", &["R", "http://labels|R"], &["mine", "http://tags|R"]);
    check(
        &observation,
        "_profile",
        &["http://example/StructureDefinition/p|1"],
        &[
            "http://example/StructureDefinition/p",
            "http://example/StructureDefinition/p|2",
            "p",
            "1",
        ],
    );
    check(&observation, "_source", &["urn:feed#1"], &["urn:feed", "urn:feed#", "1"]);
}

#[test]
fn a_reference_is_matched_by_type_and_id_below_our_base() {
    let to = |reference: &str| {
        json!({"resourceType": "Observation", "encounter": {"reference": reference},
            "performer": [{"reference": reference}]})
    };
    let wanted =
        ["Encounter/1", "https://api.example/fhir/Encounter/1", "http://fhir:8080/Encounter/1"];
    let others = [
        "Encounter/2",
        "Encounter/11",
        "encounter/1",
        "Encounter/1/",
        "/Encounter/1",
        "Encounter/1/_history/1",
        "Patient/1",
        "Encounter",
        "Encounter/",
        "#1",
        "urn:uuid:1",
        "http://evil/Encounter/1",
        "https://api.example/Encounter/1",
        "https://api.example/fhir/Encounter/2",
        "",
        "2",
        "1 ",
    ];
    for reference in ["Encounter/1", "Encounter/1/_history/3"] {
        check(&to(reference), "encounter", &wanted, &others);
        check(&to(&format!("{}/{reference}", bases()[0])), "encounter", &wanted, &others);
    }
    let practitioner = to("Practitioner/1");
    check(&practitioner, "performer", &["Practitioner/1"], &["1", "Patient/1", "Encounter/1"]);
    for reference in [
        "#1",
        "1",
        "Encounter/1#x",
        "Encounter/1?x",
        "Encounter/1/_history",
        "Encounter/1/_history/",
        "Nothing/1",
        "urn:uuid:Encounter/1",
        "http://evil/Encounter/1",
        "Encounter?identifier=1",
    ] {
        check(&to(reference), "encounter", &[], &wanted);
        check(&to(reference), "encounter", &[], &[reference, "1"]);
    }
    let logical = json!({"resourceType": "Observation", "encounter": {"type": "Encounter",
        "identifier": {"system": "https://api.example/fhir", "value": "1"}, "display": "Encounter/1"}});
    check(&logical, "encounter", &[], &wanted);
}

#[test]
fn a_reference_that_must_be_to_a_type_is_to_no_other() {
    let about = |reference: &str| json!({"resourceType": "Observation", "subject": {"reference": reference}});
    // A bare id names one resource only where the parameter is to one type.
    check(&about("Patient/1"), "patient", &["1", "x,1", "Patient/1"], &["Group/1", "2", "#1"]);
    check(&about("Patient/1/_history/2"), "patient", &["1", "Patient/1"], &["2"]);
    check(&about("Patient/1"), "subject", &["Patient/1"], &["1", "Group/1"]);
    check(&about("Group/1"), "patient", &[], &["1", "Patient/1", "Group/1"]);
    check(&about("Group/1"), "subject", &["Group/1"], &["1", "Patient/1"]);
}

#[test]
fn strings_and_uris_are_equal_as_a_whole() {
    let patient = json!({"resourceType": "Patient",
        "name": [{"text": "Dr Ann Chalmers", "family": "Chalmers", "given": ["Ann", "Mary"],
            "prefix": ["Dr"], "use": "official"}],
        "address": [{"line": ["1 High St"], "city": "Leeds", "postalCode": "LS1", "use": "home"}]});
    check(
        &patient,
        "name",
        &["Dr Ann Chalmers", "Chalmers", "Ann", "Mary", "Dr", "x,Mary"],
        &["chalmers", "Chal", "official", "Ann Chalmers", "", "Ann\\,Mary"],
    );
    check(&patient, "family", &["Chalmers"], &["Ann", "chalmers", "Chal"]);
    check(&patient, "given", &["Ann", "Mary"], &["Chalmers", "An"]);
    check(&patient, "address", &["1 High St", "Leeds", "LS1"], &["home", "High St", "leeds"]);
    check(&patient, "address-city", &["Leeds"], &["LS1"]);
    let set = json!({"resourceType": "ValueSet", "url": "http://example/vs,1", "title": "A|b"});
    check(&set, "url", &["http://example/vs\\,1"], &["http://example/vs,1", "http://example/vs"]);
    check(&set, "title", &["A|b", "A\\|b"], &["A", "b", "a|b"]);
}

#[test]
fn choices_and_concepts_with_references_are_found_where_each_release_has_them() {
    let value = json!({"resourceType": "Observation", "valueCodeableConcept": {
        "coding": [{"system": "http://a", "code": "pos"}], "text": "positive"}});
    check(&value, "value-concept", &["pos", "http://a|pos"], &["positive"]);
    let string = json!({"resourceType": "Observation", "value": {"coding": [{"code": "pos"}]},
        "valueString": "pos", "valueCodeableConceptual": {"coding": [{"code": "pos"}]}});
    check(&string, "value-concept", &[], &["pos"]);
    let component = json!({"resourceType": "Observation", "component": [
        {"code": {"coding": [{"code": "8480-6"}]}}, {"valueCodeableConcept": {"coding": [{"code": "n"}]}}]});
    check(&component, "component-code", &["8480-6"], &["n"]);
    check(&component, "combo-code", &["8480-6"], &["n"]);
    check(&component, "combo-value-concept", &["n"], &["8480-6"]);
    check(&component, "code", &[], &["8480-6"]);

    let four = json!({"resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"coding": [{"code": "a"}]}});
    let five = json!({"resourceType": "MedicationRequest",
        "medication": {"concept": {"coding": [{"code": "a"}]}}});
    for (release, here, there) in
        [(Release::R4, &four, &five), (Release::R4B, &four, &five), (Release::R5, &five, &four)]
    {
        assert!(meets(release, here, "code", "a"), "{release:?}");
        assert!(!meets(release, there, "code", "a"), "{release:?}");
    }
}

#[test]
fn the_elements_of_a_parameter_are_named_as_elements_takes_them() {
    let cases: [(&str, &str, Option<&[&str]>); 12] = [
        ("Observation", "category", Some(&["category"])),
        ("Observation", "combo-code", Some(&["code", "component"])),
        ("Observation", "value-concept", Some(&["value"])),
        ("Observation", "patient", Some(&["subject"])),
        ("Patient", "phone", Some(&["telecom"])),
        ("Observation", "_id", Some(&["id"])),
        ("Observation", "_tag", Some(&["meta"])),
        ("Observation", "date", None),
        ("Observation", "value-quantity", None),
        ("Observation", "code-value-concept", None),
        ("Observation", "_lastUpdated", None),
        ("Observation", "nothing", None),
    ];
    for (kind, parameter, expected) in cases {
        for release in ALL {
            let found = elements(release, ResourceType::parse(release, kind).unwrap(), parameter);
            assert_eq!(found.as_deref(), expected, "{release:?} {kind} {parameter}");
        }
    }
    let patient = |release| ResourceType::parse(release, "Patient").unwrap();
    for tricky in ["phone=Ptelecom*[system", "active=b", "active=", "=", "", "active;address", ";"]
    {
        for release in ALL {
            assert_eq!(elements(release, patient(release), tricky), None, "{release:?} {tricky}");
        }
    }
}
