//! What answers show of an encounter, and keep to prove it.

use super::*;

#[test]
fn of_what_belongs_to_encounters_only_this_one_s_is_shown() {
    let contained = |inner: &str| {
        observation("Encounter/E").replacen('{', &format!(r#"{{"contained":[{inner}],"#), 1)
    };
    let document = r#"{"resourceType":"DocumentReference","subject":{"reference":"Patient/P"},"context":{"encounter":[{"reference":"EpisodeOfCare/1"},{"reference":"Encounter/E"}]}}"#;
    let rows = [
        (observation("Encounter/E"), true),
        (observation("https://api.example/fhir/Encounter/E/_history/2"), true),
        (observation("Encounter/F"), false),
        (observation("Encounter/e"), false),
        (observation("EpisodeOfCare/E"), false),
        (observation("#e"), false),
        (observation("urn:uuid:1"), false),
        (observation("Encounter/E").replace("Patient/P", "Patient/Q"), false),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#.to_owned(), false),
        (r#"{"resourceType":"Encounter","id":"E","subject":{"reference":"Patient/P"}}"#.to_owned(), true),
        (r#"{"resourceType":"Encounter","id":"E","subject":{"reference":"Patient/Q"}}"#.to_owned(), false),
        (r#"{"resourceType":"Encounter","id":"F","subject":{"reference":"Patient/P"},"partOf":{"reference":"Encounter/E"}}"#.to_owned(), false),
        (document.to_owned(), true),
        (document.replace("Encounter/E", "Encounter/F"), false),
        (r#"{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/P"},"encounter":{"reference":"Encounter/F"}}"#.to_owned(), true),
        (r#"{"resourceType":"Patient","id":"P"}"#.to_owned(), true),
        (r#"{"resourceType":"Practitioner","id":"1"}"#.to_owned(), true),
        (contained(r#"{"resourceType":"Observation","id":"o"}"#), true),
        (contained(r#"{"resourceType":"Observation","id":"o","encounter":{"reference":"Encounter/E"}}"#), true),
        (contained(r#"{"resourceType":"Observation","id":"o","encounter":{"reference":"Encounter/F"}}"#), false),
        (contained(r#"{"resourceType":"Encounter","id":"e"}"#), false),
    ];
    for (resource, shown) in rows {
        assert_eq!(sees(opened("patient/*.r"), &resource, &confine()), shown, "{resource}");
    }
    let user = Who { user: Some("RelatedPerson/1"), ..opened("patient/*.r user/Observation.r") };
    assert!(sees(user, &observation("Encounter/F"), &confine()), "user/ is not confined to it");
}

#[test]
fn an_answer_keeps_what_proves_the_encounter() {
    let permit = decided(opened(ALL), "GET Observation", &api(Release::R4), &confine()).unwrap();
    let expected = permit.expected().unwrap();
    assert_eq!(expected.proving, ["encounter", "subject"]);
    assert!(expected.counted);
    let of = ResourceType::parse(Release::R4, "Observation").unwrap();
    let looks_at = expected.sight.looks_at(of, &api(Release::R4), &confine());
    assert!(looks_at.contains(&"encounter"), "{looks_at:?}");
}
