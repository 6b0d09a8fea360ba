//! Chains that lead to what belongs to the patient too.

use proptest::prelude::*;
use proptest::sample::select;

use super::database::{seen, with};
use super::*;
use crate::base::node;
use crate::config::setting::Setting;
use crate::fhir::ResourceType;
use crate::fhir::compartment::{is_in_patient_compartment, reference_targets, refers_to_one};
use crate::fhir::membership::Membership;

const OUTSIDE: &str = "search_chain_outside";

fn by(narrowing: &str) -> String {
    format!("by patient/*.cruds for P {narrowing} +patient=Patient/P strict")
}

#[test]
fn along_a_reference_that_has_one_value_the_search_is_narrowed_too() {
    let encounter = "+encounter:Encounter.patient=Patient/P";
    let specimen = "+specimen:Specimen.patient=Patient/P";
    let rows = [
        ("GET Observation?encounter:Encounter.status=finished", encounter.to_owned()),
        ("GET MedicationRequest?encounter:Encounter.class=AMB", encounter.to_owned()),
        ("POST DiagnosticReport/_search < encounter:Encounter.type=x", encounter.to_owned()),
        ("GET Patient/P/Observation?encounter:Encounter.type=x", encounter.to_owned()),
        ("GET Practitioner/7/Observation?encounter:Encounter.type=x", encounter.to_owned()),
        // the parameter's only target
        ("GET Observation?specimen.type=x", specimen.to_owned()),
        ("GET Observation?specimen:Specimen.type:not=x", specimen.to_owned()),
        // each way once
        (
            "GET Observation?encounter:Encounter.status=x&specimen.type=x&encounter:Encounter.class=x",
            format!("{encounter} {specimen}"),
        ),
        // on to what is shared, and to the patient itself
        ("GET Observation?encounter:Encounter.location.name=x", encounter.to_owned()),
        ("GET Observation?encounter:Encounter.subject:Patient.birthdate=x", encounter.to_owned()),
        // link by link
        (
            "GET Observation?encounter:Encounter.part-of.status=x",
            format!("{encounter} +encounter:Encounter.part-of:Encounter.patient=Patient/P"),
        ),
        // where it says so itself
        ("GET Observation?encounter:Encounter.patient=P", encounter.to_owned()),
        ("GET Observation?encounter:Encounter.patient:Patient=Patient/P", encounter.to_owned()),
    ];
    for (request, narrowing) in rows {
        check(&[(EVERYTHING, request, &by(&narrowing))]);
    }
}

#[test]
fn what_may_lead_to_several_or_name_others_is_refused() {
    check_all(
        EVERYTHING,
        &[
            // several types
            ("GET Observation?encounter.status=x", OUTSIDE),
            ("GET Observation?encounter:Encounter.diagnosis.code=x", OUTSIDE),
            // several values
            ("GET Observation?derived-from:Observation.code=x", OUTSIDE),
            ("GET DiagnosticReport?result.code=x", OUTSIDE),
            ("GET Observation?encounter:Encounter.account.status=x", OUTSIDE),
            ("GET Appointment?patient:Patient.name=x", "search_chain_patient"),
            // back to whatever refers to it, and by it
            ("GET Observation?encounter:Encounter._has:Condition:encounter:code=x", OUTSIDE),
            ("GET Encounter?_has:Observation:encounter:code=x", OUTSIDE),
            ("GET Patient?_has:Observation:patient:encounter:Encounter.status=x", OUTSIDE),
            // another patient
            ("GET Observation?encounter:Encounter.patient=other", "search_other_patient"),
            ("GET Observation?encounter:Encounter.subject=Patient/other", "search_other_patient"),
            ("GET Observation?encounter:Encounter.patient=P,other", "search_other_patient"),
            // the parameter that narrows names the patient alone: a server may read it once
            ("GET Observation?encounter:Encounter.patient=Group/1", "search_other_patient"),
            ("GET Observation?encounter:Encounter.patient:missing=true", "search_patient_modifier"),
            ("GET Condition?asserter:Patient.name=x", "search_chain_patient"),
            ("GET Observation?encounter:encounter.status=x", "search_chain_unknown"),
        ],
    );
    check(&[(
        patient("patient/Observation.rs patient/Encounter.s?status=finished"),
        "GET Observation?encounter:Encounter.status=x",
        "scope_insufficient",
    )]);
    // from what is everybody's
    let shared_types = vec![SharedType::parse(&"EnrollmentResponse".into()).unwrap()];
    let smart = Smart { shared_types, ..Smart::default() };
    let rows = [(EVERYTHING, "GET EnrollmentResponse?request:EnrollmentRequest.status=x", OUTSIDE)];
    check_with(&rows, &api(Release::R4), &smart);
}

#[test]
fn where_nobody_would_notice_a_server_that_ignores_the_narrowing_a_chain_is_refused() {
    let chain = "encounter:Encounter.status=finished";
    let body =
        r#"{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/P"}}"#;
    let json = "content-type: application/fhir+json";
    let patches = "content-type: application/json-patch+json";
    let (api, smart) = (api(Release::R4), Smart::default());
    for write in [
        format!("POST Observation\nif-none-exist: {chain}\n{json}"),
        format!("PUT Observation?{chain}\n{json}"),
        format!("PATCH Observation?{chain}\n{patches}"),
        format!("DELETE Observation?{chain}"),
    ] {
        assert_eq!(settled(EVERYTHING, &write, body, &[], &api, &smart), OUTSIDE, "{write}");
    }
    let entry = format!(r#"{{"request":{{"method":"GET","url":"Observation?{chain}"}}}}"#);
    for kind in ["batch", "transaction"] {
        let refused = batches::entries(EVERYTHING, kind, &entry);
        assert_eq!(refused, [format!("{OUTSIDE} entry 0")], "{kind}");
        // Who may search every encounter needs no narrowing.
        let both = Who { user: Some("Practitioner/7"), ..patient("patient/*.rs user/*.rs") };
        assert_eq!(batches::entries(both, kind, &entry), ["by user/*.rs"], "{kind}");
    }
}

#[test]
fn a_chain_is_narrowed_only_along_one_reference_from_the_compartment_into_it() {
    let mut narrowed = 0_usize;
    for release in [Release::R4, Release::R4B, Release::R5] {
        for name in release.types() {
            let of = ResourceType::parse(release, name).unwrap();
            for parameter in PARAMETERS {
                for end in reference_targets(release, of, parameter).unwrap_or_default() {
                    let end = ResourceType::parse(release, end).unwrap();
                    narrowed = narrowed.saturating_add(narrowings(release, of, parameter, end));
                }
            }
        }
    }
    assert!(narrowed > 100, "{narrowed}");
}

/// How often a chain by this link is narrowed along it.
fn narrowings(release: Release, of: ResourceType, parameter: &str, end: ResourceType) -> usize {
    let link = format!("{parameter}:{}.", end.name());
    let request = format!("GET {}?{link}x=1", of.name());
    let Ok(permit) = decided(EVERYTHING, &request, &api(release), &Smart::default()) else {
        return 0;
    };
    let is_inside = |of| is_in_patient_compartment(release, of);
    let along = permit.narrowing().iter().filter(|one| one.name.starts_with(&link)).count();
    if along == 0 {
        assert!(!is_inside(end) || end.name() == "Patient", "{release:?} {request}");
    } else {
        assert!(is_inside(of) && is_inside(end), "{release:?} {request}");
        assert!(refers_to_one(release, of, parameter), "{release:?} {request}");
    }
    along
}

const PARAMETERS: &[&str] = &[
    "encounter",
    "context",
    "specimen",
    "subject",
    "patient",
    "asserter",
    "author",
    "recorder",
    "part-of",
    "based-on",
    "result",
    "derived-from",
    "has-member",
    "performer",
    "request",
    "target",
    "appointment",
    "prescription",
    "partof",
    "claim",
    "medication",
    "entity",
    "focus",
    "device",
];

/// Observations and the encounters they refer to, which may be somebody else's.
fn database() -> impl Strategy<Value = Vec<String>> {
    let person = || select(vec!["P", "A", "Q"]);
    let encounter = (person(), select(vec!["finished", "planned"]), 0_u8..5);
    let observation = (person(), select(vec!["final", "amended"]), 0_u8..5);
    let encounters = proptest::collection::vec(encounter, 4).prop_map(|all| {
        let written = |(id, (who, status, of)): (usize, (&str, &str, u8))| {
            format!(
                r#"{{"resourceType":"Encounter","id":"{id}","status":"{status}","subject":{{"reference":"Patient/{who}"}},"partOf":{{"reference":"Encounter/{of}"}}}}"#
            )
        };
        all.into_iter().enumerate().map(written).collect::<Vec<String>>()
    });
    let observations = proptest::collection::vec(observation, 1..8).prop_map(|all| {
        let written = |(id, (who, status, at)): (usize, (&str, &str, u8))| {
            format!(
                r#"{{"resourceType":"Observation","id":"{id}","status":"{status}","subject":{{"reference":"Patient/{who}"}},"encounter":{{"reference":"Encounter/{at}"}}}}"#
            )
        };
        all.into_iter().enumerate().map(written).collect::<Vec<String>>()
    });
    (encounters, observations).prop_map(|(one, other)| [one, other].concat())
}

fn claims() -> impl Strategy<Value = Claims> {
    let user = select(vec![None, Some("Patient/A"), Some("Patient/P"), Some("Practitioner/7")]);
    (select(vec![None, Some("P")]), user).prop_map(|(patient, user)| Claims {
        patient: patient.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Claims::default()
    })
}

fn scope() -> impl Strategy<Value = String> {
    select(vec![
        "patient/*.rs",
        "patient/Observation.rs",
        "patient/Observation.rs?status=final",
        "patient/Encounter.s",
        "user/*.rs",
        "user/Observation.rs",
        "user/Observation.rs?status=final",
        "user/Encounter.s",
        "system/Observation.rs?status=amended",
        "system/Encounter.s",
    ])
    .prop_map(str::to_owned)
}

fn search() -> impl Strategy<Value = String> {
    let criteria = proptest::collection::vec(
        select(vec![
            "encounter:Encounter.status=finished",
            "encounter:Encounter.status=planned",
            "encounter:Encounter.part-of:Encounter.status=finished",
            "status=final",
        ]),
        1..3,
    );
    criteria.prop_map(|criteria| format!("GET Observation?{}", criteria.join("&")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_a_chain_finds_does_not_depend_on_what_the_token_may_not_search(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 1..5),
        text in search(),
        stored in database(),
        definition in any::<bool>(),
    ) {
        let membership = if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, ..Smart::default() };
        let claims = with(&claims, &scopes, None);
        let api = api(Release::R4);
        let sight = Sight::new(Rc::new(Grants::of(&claims, &api, &smart)));
        let turned = |text: &String| {
            let resource = node::read(text.as_bytes()).unwrap();
            let is_encounter = resource.text_of("resourceType") == Some("Encounter");
            if !is_encounter || sight.sees(&resource, By::Search, &api, &smart) {
                return text.clone();
            }
            match text.contains("finished") {
                true => text.replace("finished", "planned"),
                false => text.replace("planned", "finished"),
            }
        };
        let other: Vec<String> = stored.iter().map(turned).collect();
        let (one, other) = (seen(&claims, &text, &stored, &smart), seen(&claims, &text, &other, &smart));
        prop_assert_eq!(one, other, "{}", text);
    }

    #[test]
    fn a_chain_finds_no_less_with_more_scope(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 1..5),
        added in scope(),
        at in any::<prop::sample::Index>(),
        text in search(),
        stored in database(),
    ) {
        let smart = Smart::default();
        let at = at.index(scopes.len().saturating_add(1));
        let fewer = with(&claims, &scopes, None);
        let more = with(&claims, &scopes, Some((&added, at)));
        let Some(before) = seen(&fewer, &text, &stored, &smart) else { return Ok(()) };
        let after = seen(&more, &text, &stored, &smart);
        prop_assert!(after.is_some(), "{text}: {added} refuses");
        let after = after.unwrap();
        for place in before {
            prop_assert!(after.contains(&place), "{text}: {added} hides {}", stored[place]);
        }
    }

    #[test]
    fn a_chain_over_what_is_all_the_patient_s_finds_what_is_asked_for(
        text in search(),
        stored in database(),
    ) {
        let smart = Smart::default();
        let own: Vec<String> = stored
            .iter()
            .map(|text| text.replace("Patient/A", "Patient/P").replace("Patient/Q", "Patient/P"))
            .collect();
        let system = Claims { scope: "system/*.rs".to_owned(), ..Claims::default() };
        let found = seen(&EVERYTHING.claims(), &text, &own, &smart);
        prop_assert_eq!(found, seen(&system, &text, &own, &smart), "{}", text);
    }
}
