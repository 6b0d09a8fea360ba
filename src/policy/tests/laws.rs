//! Laws that hold for every token and every request.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const TYPES: &[&str] = &["Observation", "Patient", "Practitioner", "Group", "Binary", "*", "Nope"];

/// Clinical scopes, near misses, and other scopes.
fn scope() -> impl Strategy<Value = String> {
    let context = select(vec!["patient", "user", "system"]);
    let permissions = prop_oneof![
        "c?r?u?d?s?",
        select(vec!["read", "write", "*", "rs?category=x", "cruds?a=b&c=d", "sr", "rsx"])
            .prop_map(str::to_owned),
    ];
    prop_oneof![
        9 => (context, select(TYPES.to_vec()), permissions)
            .prop_map(|(context, resource, letters)| format!("{context}/{resource}.{letters}")),
        1 => select(vec!["openid", "fhirUser", "launch/patient", "offline_access"])
            .prop_map(str::to_owned),
    ]
}

fn claims() -> impl Strategy<Value = Claims> {
    let patient = select(vec![None, Some("P"), Some("A"), Some("not an id")]);
    let user = select(vec![
        None,
        Some("Practitioner/7"),
        Some("Patient/A"),
        Some("RelatedPerson/5"),
        Some("Person/1"),
        Some("nonsense"),
    ]);
    (patient, user).prop_map(|(patient, user)| Claims {
        patient: patient.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Claims::default()
    })
}

const PARAMS: &[&str] = &[
    "patient=P",
    "patient=A",
    "patient=P,A",
    "subject=Patient/P",
    "subject:Patient=A",
    "_id=P",
    "_id=1",
    "code=x",
    "_include=*",
    "_has:Observation:patient:code=x",
    "subject.name=x",
    "_count=5",
    "_summary=count",
    "_type=Observation",
    "_type=Patient,Observation",
    "performer=Practitioner/7",
    "PATIENT=A",
    "date=ge2026-01-01",
    "name=a%20b%26c",
    "x=%2C",
    "",
];

/// Requests of every interaction.
fn request() -> impl Strategy<Value = String> {
    let search = select(vec![
        "GET Observation?",
        "GET Patient?",
        "GET Group?",
        "GET Practitioner?",
        "GET ?",
        "GET Patient/P/Observation?",
        "GET Patient/A/Observation?",
        "GET Patient/P/*?",
        "GET Encounter/1/Observation?",
        "POST Observation/_search < ",
        "POST _search < ",
        "HEAD Observation?",
        "PUT Patient?x=1&",
        "PATCH Patient?x=1&",
        "DELETE Patient?x=1&",
        "GET Patient/P?",
        "GET Observation/1?",
    ]);
    let params = proptest::collection::vec(select(PARAMS.to_vec()), 0..4);
    let other = select(vec![
        "GET Patient/P",
        "GET Patient/A",
        "GET Patient/P/_history",
        "GET Patient/P/_history/1",
        "GET Observation/1",
        "GET Practitioner/7",
        "GET Binary/1",
        "GET Observation/_history",
        "GET _history",
        "POST Observation",
        "POST Patient\nif-none-exist: name=x",
        "PUT Patient/P",
        "PATCH Patient/P",
        "DELETE Patient/P",
        "DELETE ?name=x",
        "POST ",
        "GET $export",
        "GET Patient/P/$everything",
        "DELETE Observation/1\nx-cascade: delete",
    ]);
    prop_oneof![
        2 => (search, params).prop_map(|(start, params)| format!("{start}{}", params.join("&"))),
        1 => other.prop_map(str::to_owned),
    ]
}

fn decision(claims: &Claims, text: &str) -> Result<Decision, Refusal> {
    let api = Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) };
    let (head, request) = routed(text, &api);
    let grants = Rc::new(Grants::of(claims, &api, &Smart::default()));
    let token = AdmittedToken::for_tests(claims.clone());
    let nothing = Stored::default();
    let evidence = Evidence::new(None, &nothing);
    decide(&token, &grants, &request, &head, evidence, &api, &Smart::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn more_scope_never_means_less_access(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 0..5),
        added in scope(),
        at in any::<prop::sample::Index>(),
        request in request(),
    ) {
        let mut more = scopes.clone();
        more.insert(at.index(scopes.len().saturating_add(1)), added);
        let fewer = Claims { scope: scopes.join(" "), ..claims.clone() };
        let more = Claims { scope: more.join(" "), ..claims };
        let Ok(before) = decision(&fewer, &request) else { return Ok(()) };
        let after = decision(&more, &request);
        prop_assert!(after.is_ok(), "{request}: {} turned {before:?} into {after:?}", more.scope);
        let (Decision::Permit(before), Ok(Decision::Permit(after))) = (before, after) else {
            return Ok(());
        };
        if before.patient().is_none() {
            prop_assert_eq!(after.patient(), None, "{} is confined now", request);
        }
        let narrows = |permit: &Permit, name: &str| {
            permit.narrowing().iter().any(|one| one.name == name)
        };
        for Narrowing { name, .. } in after.narrowing() {
            prop_assert!(narrows(&before, name), "{request}: narrowed by {name} only now");
        }
    }

    #[test]
    fn a_token_without_clinical_scopes_is_never_permitted(
        claims in claims(),
        scope in "(openid|fhirUser|launch/patient|patient|/| |\\.|rs|\\*){0,6}",
        request in request(),
    ) {
        prop_assume!(!scope.contains("/*.") && !scope.contains("patient/"));
        let claims = Claims { scope, ..claims };
        prop_assert!(decision(&claims, &request).is_err(), "{} {request}", claims.scope);
    }

    #[test]
    fn a_confined_search_of_patient_data_is_narrowed_to_whom_it_is_confined_to(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 1..5),
        request in request(),
    ) {
        let claims = Claims { scope: scopes.join(" "), ..claims };
        let Ok(Decision::Permit(permit)) = decision(&claims, &request) else { return Ok(()) };
        prop_assert!(permit.allowed_by().is_some());
        let Some(confined) = permit.patient() else {
            // Two contexts, two patients: both are named.
            let to_one = |one: &Narrowing| one.name == "patient" && !one.value.contains(',');
            prop_assert!(!permit.narrowing().iter().any(to_one), "{}", request);
            return Ok(());
        };
        let patient = confined.as_str();
        let known = [claims.patient.as_deref(), Some("A")];
        prop_assert!(known.contains(&Some(patient)));
        let (_, routed) = routed(&request, &api(Release::R4));
        match routed.interaction {
            Interaction::Read(resource, id) | Interaction::Vread(resource, id, _)
            | Interaction::HistoryInstance(resource, id) => {
                let own = resource.name() == "Patient" && id.as_str() == patient;
                let held = permit.expected().is_some();
                prop_assert!(own || held || resource.name() == "Practitioner", "{}", request);
            }
            Interaction::SearchType(resource) if resource.name() == "Practitioner" => {}
            Interaction::SearchType(_) | Interaction::SearchCompartment(_, _, Some(_)) => {
                let to_patient = |one: &Narrowing| {
                    one.value.trim_start_matches("Patient/") == patient
                };
                prop_assert!(permit.narrowing().iter().any(to_patient), "{}", request);
                prop_assert!(permit.strict_handling() && permit.expected().is_some());
            }
            Interaction::SearchCompartment(_, _, None) => prop_assert!(permit.expected().is_some()),
            Interaction::Operation(_) => prop_assert!(permit.expected().is_some()),
            other => prop_assert!(false, "{:?} under a confined scope", other),
        }
    }
}
