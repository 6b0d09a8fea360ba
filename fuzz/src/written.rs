//! What is written: whose it is, and with an id.

use phiward::base::{json, node};
use phiward::fhir::criteria;
use phiward::fhir::membership::{Membership, Naming, is_member, patients};
use phiward::fhir::references::names_another;
use phiward::fhir::{Id, Release, ResourceType, written};
use serde_json::{Value, json};

use super::world::AUDIENCE;

/// First the type, then the resource.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let release = if choice % 2 == 0 { Release::R4 } else { Release::R5 };
    let types = ["Observation", "Patient", "Encounter", "Group", "Appointment", "AuditEvent"];
    let of = ResourceType::parse(release, types[usize::from(choice / 2) % types.len()]).unwrap();
    let id = Id::parse("P").unwrap();
    let Ok(resource) = written::resource(body, of, None) else { return };
    let value = json::parse(body);
    let urls = [AUDIENCE.to_owned()];
    let naming = Naming { owner: "Patient", id: &id, base_urls: &urls, aliases: &[] };
    for membership in [Membership::Subject, Membership::Definition] {
        let all = patients(release, membership, &resource, &urls);
        for one in all.iter().filter_map(|one| Id::parse(one)) {
            let naming = Naming { id: &one, ..naming };
            assert!(is_member(release, membership, &resource, &naming), "{one:?}");
        }
        let is_one = is_member(release, membership, &resource, &naming);
        assert_eq!(is_one, all.iter().any(|one| one == "P"), "{all:?}");
    }
    let subject = is_member(release, Membership::Subject, &resource, &naming);
    let definition = is_member(release, Membership::Definition, &resource, &naming);
    assert!(!subject || definition, "about the patient, and not in the compartment");
    let _ = names_another(&resource, &naming);
    let _ = criteria::matches(release, &resource, "code", "http://loinc.org|8867-4", &urls);
    let Ok(mut value) = value else { return };
    if of.name() == "Observation" && subject {
        let named = |one: &Value| one["reference"].as_str().is_some_and(|text| naming.names(text));
        assert!(named(&value["subject"]), "{value}");
    }
    if resource.get("id").is_none() {
        let with_id = written::with_id(body, &id);
        value["id"] = json!("P");
        assert_eq!(json::parse(&with_id).expect("JSON"), value);
        assert!(node::read(&with_id).is_ok());
    }
}
