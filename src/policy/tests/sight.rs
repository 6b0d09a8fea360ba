//! What of the server's resources a token shows.

use super::*;
use crate::base::node;

fn sees(who: Who, by: By, resource: &str) -> bool {
    let api = api(Release::R4);
    let sight = Sight::new(Rc::new(Grants::of(&who.claims(), &api, &Smart::default())));
    sight.sees(&node::read(resource.as_bytes()).unwrap(), by, &api, &Smart::default())
}

#[test]
fn a_resource_is_shown_by_one_context_that_reaches_it() {
    let mine = r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#;
    let theirs = r#"{"resourceType":"Observation","subject":{"reference":"Patient/Q"}}"#;
    let clinic = r#"{"resourceType":"Organization"}"#;
    let device = r#"{"resourceType":"Device"}"#;
    // Outside the compartment of R4, though it has a parameter `patient`.
    let task = r#"{"resourceType":"Task","for":{"reference":"Patient/P"}}"#;
    let own = r#"{"resourceType":"Patient","id":"P"}"#;
    let linked =
        r#"{"resourceType":"Patient","id":"Q","link":[{"other":{"reference":"Patient/P"}}]}"#;
    let rows = [
        (patient("patient/*.r"), By::Read, mine, true),
        (patient("patient/*.r"), By::Search, mine, false),
        (patient("patient/*.rs"), By::Read, theirs, false),
        (patient("patient/Observation.s"), By::Search, mine, true),
        (patient("patient/Condition.rs"), By::Read, mine, false),
        (patient("patient/*.rs"), By::Read, clinic, true),
        (patient("patient/*.rs"), By::Read, device, false),
        (patient("patient/*.rs"), By::Read, task, false),
        (patient("patient/*.rs"), By::Read, own, true),
        (patient("patient/*.rs"), By::Read, linked, false),
        (clinician("user/Observation.r"), By::Read, theirs, true),
        (
            Who {
                user: Some("Practitioner/7"),
                ..patient("patient/Condition.r user/Observation.r")
            },
            By::Read,
            theirs,
            true,
        ),
        (
            Who { user: Some("Patient/Q"), ..patient("patient/*.r user/*.r") },
            By::Read,
            theirs,
            true,
        ),
        (system(""), By::Read, clinic, false),
    ];
    for (who, by, resource, shown) in rows {
        assert_eq!(sees(who, by, resource), shown, "{who:?} {by:?} {resource}");
    }
}

#[test]
fn what_is_contained_needs_a_scope_of_its_type_and_names_nobody_else() {
    let rows = [
        ("patient/*.r", r#"{"resourceType":"Practitioner"}"#, true),
        ("patient/Observation.r", r#"{"resourceType":"Practitioner"}"#, false),
        (
            "patient/Observation.r patient/Practitioner.r",
            r#"{"resourceType":"Practitioner"}"#,
            true,
        ),
        ("patient/*.r", r#"{"resourceType":"Device"}"#, false),
        ("patient/*.r", r#"{"resourceType":"Specimen"}"#, true),
        ("patient/*.r", r#"{"resourceType":"Specimen","subject":{"reference":"Patient/P"}}"#, true),
        (
            "patient/*.r",
            r#"{"resourceType":"Specimen","subject":{"reference":"Patient/Q"}}"#,
            false,
        ),
        ("patient/*.r", r#"{"resourceType":"Patient","id":"P"}"#, false),
        ("patient/*.r", "\"text\"", false),
    ];
    for (scope, contained, shown) in rows {
        let resource = r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"},"contained":[INNER]}"#;
        let resource = resource.replace("INNER", contained);
        assert_eq!(sees(patient(scope), By::Read, &resource), shown, "{scope} {contained}");
    }
}

#[test]
fn what_is_contained_is_part_of_a_resource_to_those_who_may_have_all_of_its_type() {
    let resource = r#"{"resourceType":"Encounter","status":"finished","contained":[{"resourceType":"Practitioner"}]}"#;
    let rows = [
        (clinician("user/Encounter.r"), By::Read, true),
        (clinician("user/Encounter.r"), By::Search, false),
        (clinician("user/Encounter.r?status=finished"), By::Read, false),
        (clinician("user/Encounter.r?status=finished user/Practitioner.r"), By::Read, true),
        (system("system/*.s"), By::Search, true),
    ];
    for (who, by, shown) in rows {
        assert_eq!(sees(who, by, resource), shown, "{who:?} {by:?}");
    }
}

#[test]
fn a_binary_says_whose_it_is_by_its_security_context() {
    let rows = [
        (r#"{"resourceType":"Binary","securityContext":{"reference":"Patient/P"}}"#, true),
        (r#"{"resourceType":"Binary","securityContext":{"reference":"Patient/Q"}}"#, false),
        (
            r#"{"resourceType":"Binary","securityContext":{"reference":"DocumentReference/1"}}"#,
            false,
        ),
        (r#"{"resourceType":"Binary","securityContext":[{"reference":"Patient/P"}]}"#, false),
        (r#"{"resourceType":"Binary"}"#, false),
    ];
    for (resource, shown) in rows {
        assert_eq!(sees(patient("patient/*.r"), By::Read, resource), shown, "{resource}");
    }
}

#[test]
fn granular_scopes_show_what_matches_one_of_them() {
    let lab =
        "patient/Observation.r?category=http://t.example|lab patient/Observation.r?status=final";
    let of = |category: &str, status: &str| {
        format!(
            r#"{{"resourceType":"Observation","subject":{{"reference":"Patient/P"}},"status":"{status}",
            "category":[{{"coding":[{{"system":"http://t.example","code":"{category}"}}]}}]}}"#
        )
    };
    for (category, status, shown) in
        [("lab", "preliminary", true), ("x", "final", true), ("x", "preliminary", false)]
    {
        assert_eq!(
            sees(patient(lab), By::Read, &of(category, status)),
            shown,
            "{category} {status}"
        );
    }
}
