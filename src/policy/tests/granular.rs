//! Scopes with search parameters.

use super::*;

const LAB: &str = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";

fn scope(text: &str) -> &'static str {
    text.replace("LAB", LAB).leak()
}

#[test]
fn a_search_is_narrowed_to_what_one_set_of_parameters_says() {
    let lab = scope("patient/Observation.rs?category=LAB");
    let narrowed = format!("by {lab} for P +patient=Patient/P +category={LAB} strict");
    check_all(
        patient(lab),
        &[
            ("GET Observation", &narrowed),
            ("GET Observation?_summary=count", &narrowed),
            ("GET Observation?category=vital-signs", &narrowed),
            ("GET Observation/1", &format!("by {lab} for P held")),
            ("GET Condition", "scope_insufficient"),
        ],
    );
    let two = scope("user/Observation.rs?category=LAB user/Observation.rs?category=vital-signs");
    let narrowed = format!("by {two} +category={LAB},vital-signs strict");
    check_all(clinician(two), &[("GET Observation", &narrowed)]);
}

#[test]
fn what_one_search_can_t_say_is_filtered_from_the_answer() {
    let two = scope("user/Observation.rs?category=LAB user/Observation.rs?code=1234-5");
    check_all(
        clinician(two),
        &[
            ("GET Observation", &format!("by {two} held")),
            ("GET Observation?_summary=count", "search_count_unjudged"),
            ("GET Observation/_history", &format!("by {two} held")),
        ],
    );
    let counted = |request: &str| {
        let decision = decided(clinician(two), request, &api(Release::R4), &Smart::default());
        decision.unwrap().expected().unwrap().counted
    };
    assert!(!counted("GET Observation"));
}

#[test]
fn what_can_t_be_evaluated_grants_nothing() {
    check_all(
        patient("patient/Observation.rs?nothing=x patient/Patient.rs?category=x"),
        &[("GET Observation", "scope_insufficient"), ("GET Patient/P", "scope_insufficient")],
    );
    check(&[
        (patient("patient/Observation.rs?category:in=x"), "GET Observation", "scope_insufficient"),
        (patient("patient/Observation.rs?subject.name=x"), "GET Observation", "scope_insufficient"),
        (patient("patient/Observation.rs?_include=*"), "GET Observation", "scope_insufficient"),
        // on every type: on those that have the parameter
        (
            patient("patient/*.rs?category=x"),
            "GET Observation",
            "by patient/*.rs?category=x for P +patient=Patient/P +category=x strict",
        ),
        (patient("patient/*.rs?category=x"), "GET Patient/P", "scope_insufficient"),
        (clinician("user/*.rs?category=x"), "GET _history", "scope_insufficient"),
    ]);
}

#[test]
fn a_plain_scope_on_the_type_makes_the_granular_one_needless() {
    check(&[
        (
            clinician("user/Observation.rs?category=b user/Observation.r"),
            "GET Observation/1",
            "by user/Observation.r",
        ),
        (
            clinician("user/Observation.rs?category=b user/Observation.r"),
            "GET Observation",
            "by user/Observation.rs?category=b +category=b strict",
        ),
        (
            clinician("user/Observation.rs?category=b user/*.read"),
            "GET Observation",
            "by user/*.read",
        ),
    ]);
}

#[test]
fn contexts_add_up_narrowed_by_no_more_than_both() {
    let both = Who { user: Some("Practitioner/7"), ..patient("") };
    let scope = "patient/Observation.rs user/Observation.rs?category=x";
    check(&[
        (Who { scope, ..both }, "GET Observation", &format!("by {} strict held", flipped(scope))),
        (Who { scope, ..both }, "GET Observation/1", &format!("by {} held", flipped(scope))),
    ]);
}

#[test]
fn in_one_compartment_two_contexts_add_up_too() {
    let smart =
        Smart { membership: crate::fhir::membership::Membership::Definition, ..Smart::default() };
    let who = Who {
        scope: "user/Observation.rs patient/Observation.rs?category=x",
        user: Some("Patient/P"),
        ..patient("")
    };
    let inside =
        "by patient/Observation.rs?category=x user/Observation.rs for P strict in Observation";
    check_with(&[(who, "GET Observation", inside)], &api(Release::R4), &smart);
}

/// The scopes as named: those of the context that reaches further first.
fn flipped(scope: &str) -> String {
    scope.split(' ').rev().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_proves_it_to_any_context_comes_along() {
    let scope = "patient/Observation.r?status=final user/Observation.r?category=x";
    let who = Who { user: Some("Practitioner/7"), ..patient(scope) };
    let (api, smart) = (api(Release::R4), Smart::default());
    let permit = decided(who, "GET Observation/1?_elements=code", &api, &smart).unwrap();
    assert_eq!(permit.expected().unwrap().proving, ["category", "status", "subject"]);
}
