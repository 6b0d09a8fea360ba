//! Searches that reach further than one type.

use super::*;
use crate::fhir::membership::Membership;

const NARROWED: &str = "by patient/*.cruds for P +patient=Patient/P strict";

#[test]
fn a_chain_needs_s_on_every_type_and_stays_in_the_compartment() {
    check_all(
        EVERYTHING,
        &[
            ("GET Observation?subject:Patient.name=x", NARROWED),
            ("GET Observation?patient:Patient.name=x", NARROWED),
            ("GET Observation?performer:Practitioner.name=x", NARROWED),
            ("GET Observation?performer:PractitionerRole.organization.name=x", NARROWED),
            // to what may be about somebody else: whose it is, no answer tells
            ("GET Observation?encounter.reason-code=x", "search_chain_outside"),
            ("GET Observation?derived-from:Observation.code=x", "search_chain_outside"),
            ("GET Provenance?target:Observation.code=x", "search_chain_outside"),
            // several patients in one resource
            ("GET Appointment?patient:Patient.birthdate=x", "search_chain_patient"),
            // to what is neither about patients nor shared
            ("GET Observation?subject.name=x", "search_chain_outside"),
            ("GET Observation?device:Device.type=x", "search_chain_outside"),
            // to whoever else it may be
            ("GET Observation?performer:Patient.name=x", "search_chain_patient"),
            ("GET Observation?encounter.subject:Patient.name=x", "search_chain_outside"),
            ("GET Observation?encounter.subject=Patient/P", "search_chain_outside"),
            ("GET Observation?subject:Patient._id=other", "search_other_patient"),
            ("GET Observation?subject:Patient.link=Patient/other", "search_other_patient"),
            ("GET Observation?nothing.name=x", "search_chain_unknown"),
            ("GET Observation?_sort=patient.name", "search_chain_unjudged"),
            ("GET Observation?subject%3APatient%2Ename=x", NARROWED),
        ],
    );
    check_all(
        patient("patient/Observation.s patient/Encounter.r"),
        &[
            ("GET Observation?encounter.reason-code=x", "scope_insufficient"),
            ("GET Observation?performer:Practitioner.name=x", "scope_insufficient"),
        ],
    );
    check_all(
        clinician("user/Observation.s user/Encounter.s"),
        &[
            ("GET Observation?encounter:Encounter.reason-code=x", "by user/Observation.s"),
            ("GET Observation?encounter.location.name=x", "scope_insufficient"),
            ("GET Observation?subject:Patient.name=x", "scope_insufficient"),
        ],
    );
}

#[test]
fn a_reverse_chain_needs_s_too_and_a_base_about_patients() {
    let patients = "by patient/*.cruds for P +_id=P strict";
    check_all(
        EVERYTHING,
        &[
            ("GET Patient?_has:Observation:patient:code=x", patients),
            ("GET Patient?_has:Observation:subject:performer:Practitioner.name=x", patients),
            ("GET Observation?subject:Patient._has:Encounter:patient:status=x", NARROWED),
            // what is not about the patient itself
            ("GET Patient?_has:Observation:performer:code=x", "search_chain_patient"),
            ("GET Encounter?_has:Observation:encounter:code=x", "search_chain_outside"),
            (
                "GET Patient?_has:Encounter:patient:_has:Observation:encounter:code=x",
                "search_chain_outside",
            ),
            (
                "GET Observation?performer:Practitioner._has:Observation:performer:code=x",
                "search_chain_outside",
            ),
            (
                "GET Patient?_has:Observation:patient:performer=Patient/other",
                "search_other_patient",
            ),
            ("GET Practitioner?_has:Observation:performer:code=x", "search_has_outside"),
            ("GET Patient?_has:Device:patient:type=x", "search_chain_outside"),
            ("GET Patient?_has:Nothing:patient:code=x", "search_has_unknown"),
            ("GET Patient?_has:Observation:code:code=x", "search_has_unknown"),
            ("GET Patient?_HAS:Observation:patient:code=x", "search_name_case"),
            ("GET Patient?%5Fhas:Observation:patient:code=x", patients),
        ],
    );
    check_all(
        patient("patient/Patient.s"),
        &[("GET Patient?_has:Observation:patient:code=x", "scope_insufficient")],
    );
}

#[test]
fn included_types_need_r_and_a_wildcard_all_of_them() {
    check_all(
        EVERYTHING,
        &[
            ("GET Observation?_include=Observation:performer", NARROWED),
            ("GET Observation?_include:iterate=Observation:performer", NARROWED),
            ("GET Observation?_revinclude=Provenance:target", NARROWED),
            ("GET Observation?_include=*", NARROWED),
            ("POST Observation/_search < _include=*", NARROWED),
            ("GET Observation?_INCLUDE=Observation:performer", "search_name_case"),
            ("GET Observation?_include=Nothing:performer", "search_include_unknown"),
            ("GET Observation?_include=x", "search_include_invalid"),
        ],
    );
    let narrowed = "by patient/Observation.rs for P +patient=Patient/P strict";
    check_all(
        patient("patient/Observation.rs patient/Practitioner.r patient/Encounter.c"),
        &[
            ("GET Observation?_include=Observation:performer:Practitioner", narrowed),
            ("GET Observation?_include=Observation:performer", "scope_insufficient"),
            ("GET Observation?_include=Observation:encounter", "scope_insufficient"),
            ("GET Observation?_revinclude=Observation:derived-from", narrowed),
            ("GET Observation?_include=*", "scope_insufficient"),
        ],
    );
    check_all(
        clinician("user/Observation.rs user/Encounter.r"),
        &[
            ("GET Observation?_include=Observation:encounter:Encounter", "by user/Observation.rs"),
            ("GET Observation?_include=Observation:subject", "scope_insufficient"),
        ],
    );
}

#[test]
fn what_nobody_can_judge_is_refused_unless_everything_is_granted() {
    let rows = [
        ("_sort=patient.name", "search_chain_unjudged"),
        ("_has=x", "search_name_invalid"),
        ("_include:=Observation:performer", "search_include_invalid"),
        ("_filter=code%20eq%20x", "search_filter_unjudged"),
        ("_query=x", "search_query_unjudged"),
        ("_list=x", "search_list_unjudged"),
        ("_contained=true", "search_contained_unjudged"),
        ("_containedType=container", "search_contained_unjudged"),
        ("_type=Patient", "search_types_unjudged"),
        ("_in=List/1", "search_parameter_unjudged"),
        ("_Count=1", "search_name_case"),
        ("_cascade=delete", "search_parameter_unjudged"),
        ("$x=1", "search_name_invalid"),
        (":patient=x", "search_name_invalid"),
        ("1=1", "search_name_invalid"),
    ];
    for (param, reason) in rows {
        let search = format!("GET Observation?code=x&{param}");
        check_all(EVERYTHING, &[(&search, reason)]);
        check_all(EVERYTHING, &[(&format!("GET Patient/P/Observation?{param}"), reason)]);
        check_all(EVERYTHING, &[(&format!("POST Observation/_search < {param}"), reason)]);
        check(&[
            (clinician("user/Observation.cruds user/*.s"), &search, reason),
            (clinician("user/*.rs"), &search, "by user/*.rs"),
            (system("system/*.cruds"), &format!("DELETE Observation?{param}"), "by system/*.cruds"),
            (
                clinician("user/*.rs user/Observation.d"),
                &format!("DELETE Observation?code=x&{param}"),
                reason,
            ),
        ]);
    }
}

#[test]
fn a_page_that_only_the_server_knows_is_judged_on_the_answer() {
    check(&[
        (
            EVERYTHING,
            "GET ?_getpages=abc&_getpagesoffset=20&_count=10",
            "by patient/*.cruds for P held",
        ),
        (
            patient("patient/Observation.rs"),
            "GET ?_getpages=abc",
            "by patient/Observation.rs for P held",
        ),
        (patient("patient/Observation.r"), "GET ?_getpages=abc", "scope_insufficient"),
        (patient("patient/*.rs"), "GET ?_getpages=abc&code=x", "search_system_unconfined"),
        (clinician("user/Observation.rs"), "GET ?_getpages=abc", "by user/Observation.rs held"),
        // who may search and read everything is not held up
        (clinician("user/*.rs"), "GET ?_getpages=abc&_format=xml", "by user/*.rs"),
        (clinician("user/*.s"), "GET ?_getpages=abc", "by user/*.s held"),
        (EVERYTHING, "GET Observation?_page=abc", NARROWED),
        (
            clinician("user/Observation.rs"),
            "GET Observation?_page=abc",
            "by user/Observation.rs held",
        ),
        (clinician("user/*.rs"), "GET Observation?_page=abc", "by user/*.rs"),
        (
            clinician("user/*.d user/*.s"),
            "DELETE Observation?_page=abc",
            "search_parameter_unjudged",
        ),
    ]);
}

#[test]
fn a_count_passes_only_where_it_counts_what_the_client_may_see() {
    let definition = Smart { membership: Membership::Definition, ..Smart::default() };
    let rows = [
        ("GET Observation?_summary=count", true, true),
        ("GET Observation?_getpages=of-somebody&_count=0", false, false),
        ("GET Practitioner?_getpages=of-somebody&_count=0", false, false),
        ("GET ?_getpages=of-somebody&_count=0", false, false),
    ];
    for (request, subject, by_definition) in rows {
        for (smart, expected) in [(Smart::default(), subject), (definition.clone(), by_definition)]
        {
            let permit = decided(EVERYTHING, request, &api(Release::R4), &smart).unwrap();
            assert_eq!(permit.expected().unwrap().counted, expected, "{request}");
        }
    }
}

#[test]
fn by_definition_a_search_goes_to_the_compartment_itself() {
    let smart = Smart { membership: Membership::Definition, ..Smart::default() };
    let who = EVERYTHING;
    let inside = "by patient/*.cruds for P strict in Observation";
    let rows = [
        (who, "GET Observation?code=x", inside),
        (who, "GET Group", "by patient/*.cruds for P strict in Group"),
        (who, "GET Patient?name=x", "by patient/*.cruds for P +_id=P strict"),
        (who, "GET Observation?performer=other", "search_other_patient"),
        (who, "GET Observation?_include=Observation:encounter", inside),
        // performed by P, about somebody else
        (who, "GET Observation?subject:Patient.birthdate=x", "search_chain_patient"),
        (
            who,
            "GET Observation?encounter:Encounter.type=x",
            "by patient/*.cruds for P +encounter:Encounter.patient=Patient/P strict in Observation",
        ),
        (who, "POST Observation/_search < code=x", "search_form_unconfined"),
        (who, "GET Patient/P/Observation?code=x", "by patient/*.cruds for P strict held"),
        (who, "GET Patient/other/Observation", "compartment_other_patient"),
        (who, "GET Patient/P/Patient", "by patient/*.cruds for P +_id=P strict"),
        (who, "GET Practitioner/7/Observation", "search_compartment_unjudged"),
        (who, "GET Encounter/1/Observation", "search_compartment_unjudged"),
        (who, "GET Group/1", "by patient/*.cruds for P held"),
        (who, "GET Patient/other", "compartment_other_patient"),
        (who, "GET Practitioner?name=x", "by patient/*.cruds for P held"),
        (who, "GET Device", "compartment_type_outside"),
    ];
    check_with(&rows, &api(Release::R4), &smart);
    let form = [(who, "POST Observation/_search < code=x", inside)];
    check_with(&form, &api(Release::R5), &smart);
}

#[test]
fn without_looking_at_answers_only_what_the_request_proves_is_allowed() {
    let smart = Smart { response_check: ResponseCheck::Off, ..Smart::default() };
    let rows = [
        (EVERYTHING, "GET Observation/1", "by_id_unjudged"),
        (EVERYTHING, "GET Patient/P", "by patient/*.cruds for P"),
        (EVERYTHING, "GET Observation?_include=*", "response_unchecked"),
        (EVERYTHING, "GET ?_getpages=x", "response_unchecked"),
        (patient("patient/Observation.rs?category=x"), "GET Observation/1", "by_id_unjudged"),
    ];
    check_with(&rows, &api(Release::R4), &smart);
    let types = [(
        clinician("user/Observation.s"),
        "GET ?_type=Observation",
        "by user/Observation.s strict",
    )];
    check_with(&types, &api(Release::R4), &smart);
    let narrowed = |who| {
        let permit = decided(who, "GET Observation?code=x", &api(Release::R4), &smart).unwrap();
        assert!(permit.expected().is_none());
        let shown = |one: &Narrowing| format!("{}={}", one.name, one.value);
        permit.narrowing().iter().map(shown).collect::<Vec<_>>().join("&")
    };
    assert_eq!(narrowed(EVERYTHING), "patient=Patient/P");
    // Two contexts, each narrowed by itself: no search says what both allow.
    let two = |scope, user| narrowed(Who { user: Some(user), ..patient(scope) });
    let granular = "patient/Observation.rs user/Observation.rs?category=x";
    assert_eq!(two(granular, "Practitioner/7"), "category=x");
    assert_eq!(two(granular, "Patient/A"), "patient=Patient/P");
    let plain = "patient/Observation.rs user/Observation.rs";
    assert_eq!(two(plain, "Patient/A"), "patient=Patient/P,Patient/A");
    assert_eq!(two(plain, "Patient/P"), "patient=Patient/P");
}
