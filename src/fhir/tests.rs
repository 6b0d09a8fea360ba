use proptest::prelude::*;

use super::compartment::{
    Form, SubjectParameter, is_in_patient_compartment, patient_parameters, reference_targets,
    subject_parameter,
};
use super::config::Api;
use super::*;
use crate::base::refusal::Refusal;
use crate::request::{self, Head, Headers};

const ALL: [Release; 3] = [Release::R4, Release::R4B, Release::R5];
const BEFORE_R5: [Release; 2] = [Release::R4, Release::R4B];
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn api(release: Release) -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release,
        base_urls: Vec::new(),
        cluster: None,
        public: vec!["metadata".to_owned(), ".well-known/smart-configuration".to_owned()],
        passthrough: vec!["/healthz".to_owned()],
    }
}

fn head(method: &str, target: &str, extra: &[(&str, &str)]) -> Head {
    let known = [(":method", method), (":path", target), (":authority", "api.example")];
    let fields = known.iter().chain(extra).map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()));
    request::read(Headers::new(fields.collect())).unwrap()
}

/// Routes a request for a path below the base.
fn ask(
    release: Release,
    method: &str,
    path: &str,
    extra: &[(&str, &str)],
) -> Result<Request, Refusal> {
    match route(&head(method, &format!("/fhir{path}"), extra), &api(release))? {
        Routed::Fhir(request) => Ok(request),
        Routed::Passthrough => panic!("{path} is not FHIR"),
    }
}

/// An interaction in one line: its variant and what it acts on.
fn line(interaction: &Interaction) -> String {
    let variant = format!("{interaction:?}");
    let variant = variant.split('(').next().unwrap_or_default();
    let parts = [
        interaction.compartment().map(|(owner, id)| format!("{}/{}", owner.name(), id.as_str())),
        interaction.resource_type().map(|resource| resource.name().to_owned()),
        interaction.id().map(|id| id.as_str().to_owned()),
        interaction.version().map(|version| format!("v{}", version.as_str())),
        interaction.operation().map(str::to_owned),
    ];
    [variant.to_owned()]
        .into_iter()
        .chain(parts.into_iter().flatten())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn every_row_of_the_grammar_is_its_interaction_in_every_release() {
    let cases = [
        ("GET", "/metadata", "Capabilities", "capabilities"),
        ("HEAD", "/metadata", "Capabilities", "capabilities"),
        ("GET", "/metadata?mode=full", "Capabilities", "capabilities"),
        ("GET", "/.well-known/smart-configuration", "Public", "public"),
        ("GET", "/Patient/p1", "Read Patient p1", "read"),
        ("HEAD", "/Patient/p1", "Read Patient p1", "read"),
        ("GET", "/Patient/p1?_format=json", "Read Patient p1", "read"),
        ("GET", "/Binary/a.b-C", "Read Binary a.b-C", "read"),
        ("GET", "/Patient/p1/_history/2", "Vread Patient p1 v2", "vread"),
        ("HEAD", "/Patient/p1/_history/2", "Vread Patient p1 v2", "vread"),
        ("GET", "/Patient/p1/_history", "HistoryInstance Patient p1", "history-instance"),
        ("GET", "/Patient/_history", "HistoryType Patient", "history-type"),
        ("GET", "/_history", "HistorySystem", "history-system"),
        ("GET", "/_history?_since=2020", "HistorySystem", "history-system"),
        ("GET", "/Patient", "SearchType Patient", "search-type"),
        ("GET", "/Patient?name=x", "SearchType Patient", "search-type"),
        ("HEAD", "/Patient?name=x", "SearchType Patient", "search-type"),
        ("POST", "/Patient/_search", "SearchType Patient", "search-type"),
        ("GET", "?_type=Patient", "SearchSystem", "search-system"),
        ("GET", "/?_type=Patient", "SearchSystem", "search-system"),
        ("GET", "", "SearchSystem", "search-system"),
        ("POST", "/_search", "SearchSystem", "search-system"),
        (
            "GET",
            "/Patient/p1/Observation",
            "SearchCompartment Patient/p1 Observation",
            "search-type",
        ),
        (
            "GET",
            "/Patient/p1/Observation?code=1",
            "SearchCompartment Patient/p1 Observation",
            "search-type",
        ),
        ("GET", "/Patient/p1/*", "SearchCompartment Patient/p1", "search-system"),
        ("GET", "/Encounter/e/Encounter", "SearchCompartment Encounter/e Encounter", "search-type"),
        ("GET", "/Encounter/e/Condition", "SearchCompartment Encounter/e Condition", "search-type"),
        (
            "GET",
            "/Practitioner/d/Encounter",
            "SearchCompartment Practitioner/d Encounter",
            "search-type",
        ),
        (
            "GET",
            "/RelatedPerson/r/Appointment",
            "SearchCompartment RelatedPerson/r Appointment",
            "search-type",
        ),
        ("GET", "/Device/d/Observation", "SearchCompartment Device/d Observation", "search-type"),
        ("GET", "/Device/d/*", "SearchCompartment Device/d", "search-system"),
        ("POST", "/Patient", "Create Patient", "create"),
        ("POST", "/Bundle", "Create Bundle", "create"),
        ("PUT", "/Patient/p1", "Update Patient p1", "update"),
        ("PUT", "/Patient?identifier=1", "ConditionalUpdate Patient", "update"),
        ("PATCH", "/Patient/p1", "Patch Patient p1", "patch"),
        ("PATCH", "/Patient?identifier=1", "ConditionalPatch Patient", "patch"),
        ("DELETE", "/Patient/p1", "Delete Patient p1", "delete"),
        ("DELETE", "/Patient?identifier=1", "ConditionalDelete Patient", "delete"),
        ("DELETE", "?_type=Patient&identifier=1", "ConditionalDeleteSystem", "delete"),
        ("POST", "", "Batch", "batch"),
        ("POST", "/", "Batch", "batch"),
        ("GET", "/$export", "Operation $export", "operation"),
        ("POST", "/$process-message", "Operation $process-message", "operation"),
        ("GET", "/Patient/$export", "Operation Patient $export", "operation"),
        ("POST", "/Patient/$match", "Operation Patient $match", "operation"),
        ("GET", "/Patient/p1/$everything", "Operation Patient p1 $everything", "operation"),
        ("GET", "/Patient/p1/%24everything", "Operation Patient p1 $everything", "operation"),
        ("HEAD", "/Patient/p1/$everything", "Operation Patient p1 $everything", "operation"),
        ("POST", "/Patient/p1/$hapi.fhir.x_y", "Operation Patient p1 $hapi.fhir.x_y", "operation"),
        ("GET", "/Patient/p1/_history/2/$meta", "Operation Patient p1 v2 $meta", "operation"),
        (
            "POST",
            "/Patient/p1/_history/2/$meta-add",
            "Operation Patient p1 v2 $meta-add",
            "operation",
        ),
    ];
    for release in ALL {
        for (method, path, expected, code) in cases {
            let request = ask(release, method, path, &[]);
            let request = request.unwrap_or_else(|r| panic!("{release:?} {method} {path}: {r:?}"));
            assert_eq!(line(&request.interaction), expected, "{release:?} {method} {path}");
            assert_eq!(request.interaction.name(), code, "{release:?} {method} {path}");
        }
    }
}

#[test]
fn r5_adds_compartment_search_by_post_and_deletion_of_history() {
    let cases = [
        ("POST", "/Patient/p1/_search", "SearchCompartment Patient/p1"),
        ("POST", "/Patient/p1/Observation/_search", "SearchCompartment Patient/p1 Observation"),
        ("DELETE", "/Patient/p1/_history", "DeleteHistory Patient p1"),
        ("DELETE", "/Patient/p1/_history/2", "DeleteHistory Patient p1 v2"),
    ];
    for (method, path, expected) in cases {
        let request = ask(Release::R5, method, path, &[]).unwrap();
        assert_eq!(line(&request.interaction), expected, "{method} {path}");
        for release in BEFORE_R5 {
            let status = ask(release, method, path, &[]).expect_err(path).reason.status;
            assert!(status == 404 || status == 405, "{release:?} {method} {path}: {status}");
        }
    }
}

#[test]
fn types_are_those_of_the_release() {
    let cases = [
        ("MedicinalProduct", [true, false, false]),
        ("NutritionProduct", [false, true, true]),
        ("SubscriptionStatus", [false, true, true]),
        ("RequestGroup", [true, true, false]),
        ("RequestOrchestration", [false, false, true]),
        ("DeviceUseStatement", [true, true, false]),
        ("DeviceUsage", [false, false, true]),
        ("Observation", [true, true, true]),
        ("Resource", [false, false, false]),
        ("DomainResource", [false, false, false]),
        ("CanonicalResource", [false, false, false]),
    ];
    for (name, expected) in cases {
        let found = ALL.map(|release| ResourceType::parse(release, name).is_some());
        assert_eq!(found, expected, "{name}");
        let routed = ALL.map(|release| ask(release, "GET", &format!("/{name}/1"), &[]).is_ok());
        assert_eq!(routed, expected, "{name}");
    }
}

#[test]
fn what_is_not_in_the_grammar_is_refused_with_its_own_reason() {
    let long = format!("/Patient/{}", "a".repeat(65));
    let cases = [
        ("GET", "/patient/1", 404, "fhir_type_unknown"),
        ("GET", "/PATIENT/1", 404, "fhir_type_unknown"),
        ("GET", "/Patients", 404, "fhir_type_unknown"),
        ("GET", "/fhir/Patient/1", 404, "fhir_type_unknown"),
        ("GET", "/_foo", 404, "fhir_type_unknown"),
        ("GET", "/*", 404, "fhir_type_unknown"),
        ("GET", "/metadata/x", 404, "fhir_type_unknown"),
        ("GET", "/.well-known", 404, "fhir_type_unknown"),
        ("GET", "/Patient/", 400, "fhir_trailing_slash"),
        ("GET", "/Patient/1/", 400, "fhir_trailing_slash"),
        ("POST", "/Patient/_search/", 400, "fhir_trailing_slash"),
        ("GET", "/Patient/a_b", 400, "fhir_id_invalid"),
        ("GET", "/Patient/_history1", 400, "fhir_id_invalid"),
        ("GET", "/Patient/*", 400, "fhir_id_invalid"),
        ("GET", "/Patient/1%20", 400, "fhir_id_invalid"),
        ("GET", "/Patient/%C3%A9", 400, "fhir_id_invalid"),
        ("GET", "/Patient/1/_history/$x", 400, "fhir_id_invalid"),
        ("GET", "/Patient/1|2", 400, "fhir_id_invalid"),
        ("GET", &long, 400, "fhir_id_invalid"),
        ("GET", "/Patient/$everything/1", 400, "fhir_id_invalid"),
        ("GET", "/$", 400, "fhir_operation_name"),
        ("GET", "/Patient/$$x", 400, "fhir_operation_name"),
        ("GET", "/Patient/1/$-x", 400, "fhir_operation_name"),
        ("GET", "/Patient/1/$a:b", 400, "fhir_operation_name"),
        ("GET", "/Patient/1/Organization", 404, "fhir_compartment_unknown"),
        ("GET", "/Patient/1/observation", 404, "fhir_compartment_unknown"),
        ("GET", "/Observation/1/Patient", 404, "fhir_compartment_unknown"),
        ("GET", "/Observation/1/*", 404, "fhir_compartment_unknown"),
        ("GET", "/Patient/1/_foo", 404, "fhir_path_unknown"),
        ("GET", "/Patient/1/Observation/2", 404, "fhir_path_unknown"),
        ("GET", "/Patient/1/_history/2/3", 404, "fhir_path_unknown"),
        ("GET", "/Patient/1/_history/2/$meta/3", 404, "fhir_path_unknown"),
        ("GET", "/Observation/1/_search", 404, "fhir_path_unknown"),
        ("PUT", "/Patient", 400, "fhir_criteria_missing"),
        ("PATCH", "/Patient?", 400, "fhir_criteria_missing"),
        ("DELETE", "/Patient?&", 400, "fhir_criteria_missing"),
        ("DELETE", "", 400, "fhir_criteria_missing"),
    ];
    for release in ALL {
        for (method, path, status, code) in cases {
            let refusal = ask(release, method, path, &[]).map(|request| request.interaction);
            let refusal = refusal.expect_err(path);
            assert_eq!(refusal.reason.code, code, "{release:?} {method} {path}");
            assert_eq!(refusal.reason.status, status, "{release:?} {method} {path}");
        }
    }
}

#[test]
fn a_known_path_with_another_method_is_405_and_names_the_methods_that_would_do() {
    let cases = [
        ("PUT", "/", "GET, HEAD, POST, DELETE"),
        ("PATCH", "?a=b", "GET, HEAD, POST, DELETE"),
        ("POST", "/metadata", "GET, HEAD"),
        ("DELETE", "/.well-known/smart-configuration", "GET, HEAD"),
        ("GET", "/_search", "POST"),
        ("GET", "/Patient/_search?name=x", "POST"),
        ("HEAD", "/Patient/_search", "POST"),
        ("PUT", "/Patient/_search", "POST"),
        ("POST", "/_history", "GET, HEAD"),
        ("DELETE", "/_history", "GET, HEAD"),
        ("POST", "/Patient/_history", "GET, HEAD"),
        ("POST", "/Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("PUT", "/Patient/1/_history", "GET, HEAD"),
        ("PUT", "/Patient/1/_history/2", "GET, HEAD"),
        ("POST", "/Patient/1/Observation", "GET, HEAD"),
        ("DELETE", "/Patient/1/*", "GET, HEAD"),
        ("PUT", "/Patient/$match", "GET, HEAD, POST"),
        ("DELETE", "/$export", "GET, HEAD, POST"),
        ("OPTIONS", "/Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
    ];
    for release in BEFORE_R5 {
        for (method, path, allow) in cases {
            let refusal = ask(release, method, path, &[]).expect_err(path);
            assert_eq!(refusal.reason.code, "fhir_method", "{method} {path}");
            assert_eq!(refusal.reason.status, 405, "{method} {path}");
            assert_eq!(refusal.allow, Some(allow), "{method} {path}");
        }
    }
    let refusal = ask(Release::R5, "PUT", "/Patient/1/_history", &[]).expect_err("R5 history");
    assert_eq!(refusal.allow, Some("GET, HEAD, DELETE"));
}

#[test]
fn the_base_is_matched_by_whole_segments_and_exact_passthrough_paths_come_first() {
    let outside = ["/", "/fhirx/Patient", "/FHIR/Patient", "/r4/fhir", "/healthz/", "/healthz/x"];
    for target in outside {
        let refusal = route(&head("GET", target, &[]), &api(Release::R4)).map(|_| ());
        assert_eq!(refusal.expect_err(target).reason.code, "fhir_outside_base", "{target}");
    }
    for method in ["GET", "POST", "OPTIONS"] {
        let routed = route(&head(method, "/healthz?x=y", &[]), &api(Release::R4)).unwrap();
        assert!(matches!(routed, Routed::Passthrough), "{method}");
    }
    let root = Api { base_path: String::new(), ..api(Release::R4) };
    for (target, expected) in [("/", "SearchSystem"), ("/Patient/1", "Read Patient 1")] {
        let Ok(Routed::Fhir(request)) = route(&head("GET", target, &[]), &root) else {
            panic!("{target}")
        };
        assert_eq!(line(&request.interaction), expected, "{target}");
    }
}

#[test]
fn documents_that_are_not_listed_as_public_are_unknown() {
    let closed = Api { public: Vec::new(), ..api(Release::R4) };
    for target in ["/fhir/metadata", "/fhir/.well-known/smart-configuration"] {
        let refusal = route(&head("GET", target, &[]), &closed).map(|_| ()).expect_err(target);
        assert_eq!(refusal.reason.code, "fhir_type_unknown", "{target}");
    }
}

#[test]
fn if_none_exist_makes_a_create_conditional_and_may_come_once() {
    let once = ("if-none-exist", "identifier=1");
    let request = ask(Release::R4, "POST", "/Patient", &[once]).unwrap();
    assert_eq!(line(&request.interaction), "ConditionalCreate Patient");
    for wrong in [vec![once, once], vec![("if-none-exist", " ")]] {
        let refusal = ask(Release::R4, "POST", "/Patient", &wrong).expect_err("if-none-exist");
        assert_eq!(refusal.reason.code, "fhir_if_none_exist", "{wrong:?}");
    }
}

#[test]
fn a_preflight_is_public_when_what_it_asks_for_is_an_interaction() {
    let origin = ("origin", "https://app.example");
    let asks = |method| [origin, ("access-control-request-method", method)];
    for (path, method) in
        [("/Patient/1", "GET"), ("/Patient/_search", "POST"), ("/metadata", "GET")]
    {
        let request = ask(Release::R4, "OPTIONS", path, &asks(method)).unwrap();
        assert_eq!(request.interaction, Interaction::Public(PREFLIGHT.to_owned()), "{path}");
        assert_eq!(request.body, Body::None, "{path}");
    }
    let cases = [
        ("/patient/1", asks("GET").to_vec(), "fhir_type_unknown"),
        ("/Patient/_search", asks("GET").to_vec(), "fhir_method"),
        ("/Patient/1", asks("OPTIONS").to_vec(), "fhir_method"),
        ("/Patient/1", asks("BREW").to_vec(), "fhir_method"),
        ("/Patient/1", vec![origin], "fhir_method"),
        ("/Patient/1", vec![("access-control-request-method", "GET")], "fhir_method"),
        (
            "/Patient/1",
            [asks("GET").to_vec(), vec![("authorization", "x")]].concat(),
            "fhir_method",
        ),
        ("/Patient/1", [asks("GET"), asks("PUT")].concat(), "fhir_method"),
    ];
    for (path, headers, code) in cases {
        let refusal = ask(Release::R4, "OPTIONS", path, &headers).expect_err(path);
        assert_eq!(refusal.reason.code, code, "{path} {headers:?}");
    }
}

#[test]
fn each_interaction_takes_its_own_kind_of_body() {
    let json = ("content-type", "application/fhir+json");
    let cases = [
        ("GET", "/Patient/1", None, Ok(Body::None)),
        ("GET", "/Patient/1", Some(json), Ok(Body::None)),
        ("GET", "/Patient?name=x", Some(FORM), Err("fhir_media_type")),
        ("HEAD", "/Patient/1", Some(FORM), Err("fhir_media_type")),
        ("DELETE", "/Patient/1", None, Ok(Body::None)),
        ("DELETE", "/Patient?name=x", Some(FORM), Err("fhir_media_type")),
        ("POST", "/Patient/_search", None, Ok(Body::Form)),
        ("POST", "/Patient/_search", Some(FORM), Ok(Body::Form)),
        (
            "POST",
            "/_search",
            Some(("content-type", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8")),
            Ok(Body::Form),
        ),
        ("POST", "/Patient/_search", Some(json), Err("fhir_media_type")),
        ("POST", "/Patient/_search", Some(("content-type", "")), Err("fhir_media_type")),
        (
            "POST",
            "/Patient/_search",
            Some(("content-type", "application/x-www-form-urlencoded, text/plain")),
            Err("fhir_content_duplicate"),
        ),
        (
            "POST",
            "/Patient/_search",
            Some(("content-type", "application/x-www-form-urlencoded;charset=ibm037")),
            Err("fhir_form_encoding"),
        ),
        (
            "POST",
            "/Patient/_search",
            Some(("content-type", "application/x-www-form-urlencoded; charset = utf-16")),
            Err("fhir_form_encoding"),
        ),
        ("POST", "/Patient/$match", Some(FORM), Ok(Body::Form)),
        ("POST", "/Patient/$match", Some(json), Ok(Body::Resource)),
        ("POST", "/Patient/1/$everything", None, Ok(Body::Resource)),
        ("GET", "/Patient/1/$everything", None, Ok(Body::None)),
        ("POST", "/Patient", Some(json), Ok(Body::Resource)),
        ("POST", "/Patient", Some(FORM), Err("fhir_media_type")),
        ("POST", "/", Some(FORM), Err("fhir_media_type")),
        ("PUT", "/Patient/1", Some(FORM), Err("fhir_media_type")),
        (
            "POST",
            "/Patient",
            Some(("content-type", "application/fhir+json,application/x-www-form-urlencoded")),
            Err("fhir_content_duplicate"),
        ),
        (
            "PATCH",
            "/Patient/1",
            Some(("content-type", "application/json-patch+json")),
            Ok(Body::Resource),
        ),
    ];
    for (method, path, header, expected) in cases {
        let headers: Vec<_> = header.into_iter().collect();
        let body = ask(Release::R4, method, path, &headers).map(|request| request.body);
        assert_eq!(body.map_err(|r| r.reason.code), expected, "{method} {path} {header:?}");
    }
    let gzip = ("content-encoding", "gzip");
    for (headers, code) in [
        (vec![FORM, FORM], "fhir_content_duplicate"),
        (vec![FORM, json], "fhir_content_duplicate"),
        (vec![FORM, gzip], "fhir_form_encoding"),
        (vec![FORM, gzip, gzip], "fhir_content_duplicate"),
    ] {
        let refusal = ask(Release::R4, "POST", "/Patient/_search", &headers).expect_err(code);
        assert_eq!(refusal.reason.code, code, "{headers:?}");
    }
}

#[test]
fn criteria_of_a_form_count_as_those_of_the_query() {
    let request = ask(Release::R4, "POST", "/Observation/_search?patient=me", &[FORM]).unwrap();
    let request = request.with_form(b"patient=other&code=a%2Cb").unwrap();
    let params: Vec<_> = request.query.params().iter().map(|p| (&*p.name, &*p.value)).collect();
    assert_eq!(params, [("patient", "me"), ("patient", "other"), ("code", "a,b")]);
    let undeclared = ask(Release::R4, "POST", "/Observation/_search", &[]).unwrap();
    assert!(undeclared.clone().with_form(b"").unwrap().query.is_empty());
    assert_eq!(
        undeclared.with_form(b"a=b").expect_err("undeclared").reason.code,
        "fhir_media_type"
    );
}

#[test]
fn a_form_with_a_token_or_a_method_or_two_meanings_is_refused() {
    let cases: [(&[u8], &str); 8] = [
        (b"access_token=s3cret", "token_in_form"),
        (b"a=b&ACCESS%5FTOKEN=s3cret", "token_in_form"),
        (b"id_token=s3cret", "token_in_form"),
        (b"_method=PUT", "method_override"),
        (b"a=b;c=d", "parameter_character"),
        (b"a=b\n", "parameter_character"),
        (b"a=\xff", "parameter_character"),
        (b"\x1f\x8b\x08", "parameter_character"),
    ];
    for (form, code) in cases {
        let request = ask(Release::R4, "POST", "/Patient/_search", &[FORM]).unwrap();
        let refusal = request.with_form(form).map(|request| request.body).expect_err(code);
        assert_eq!(refusal.reason.code, code, "{form:?}");
        assert!(!format!("{refusal:?}").contains("s3cret"), "{code}");
    }
    let full = "a&".repeat(request::query::MAX_PARAMS);
    let request = ask(Release::R4, "POST", "/Patient/_search?b=1", &[FORM]).unwrap();
    let refusal = request.with_form(full.as_bytes()).map(|request| request.body);
    assert_eq!(refusal.expect_err("too many").reason.code, "parameters_too_many");
}

#[test]
fn the_patient_compartment_and_the_parameter_of_the_subject_follow_the_definitions() {
    let patient = Some(SubjectParameter { name: "patient", form: Form::Reference });
    let subject = Some(SubjectParameter { name: "subject", form: Form::Reference });
    let own = Some(SubjectParameter { name: "_id", form: Form::Bare });
    let cases = [
        ("Patient", true, own),
        ("Observation", true, patient),
        ("Condition", true, patient),
        ("Appointment", true, patient),
        ("Coverage", true, patient),
        ("Account", true, patient),
        ("AuditEvent", true, patient),
        ("Group", true, None),
        ("Schedule", true, None),
        ("Organization", false, None),
        ("Practitioner", false, None),
        ("Medication", false, None),
        ("Binary", false, None),
        ("Location", false, None),
    ];
    for release in ALL {
        for (name, member, parameter) in cases {
            let resource = ResourceType::parse(release, name).unwrap();
            let found = is_in_patient_compartment(release, resource);
            assert_eq!(found, member, "{release:?} {name}");
            assert_eq!(subject_parameter(release, resource), parameter, "{release:?} {name}");
        }
    }
    let adverse =
        |release| subject_parameter(release, ResourceType::parse(release, "AdverseEvent").unwrap());
    assert_eq!(ALL.map(adverse), [subject, subject, patient], "AdverseEvent");
    let members = |release: Release| {
        let types = release.types().iter().filter_map(|name| ResourceType::parse(release, name));
        types.filter(|resource| is_in_patient_compartment(release, *resource)).count()
    };
    assert_eq!(ALL.map(members), [66, 66, 73]);
    // What standards name as about a patient, but not in the compartment of R4.
    for name in ["Task", "Contract", "Device", "GuidanceResponse"] {
        let resource = ResourceType::parse(Release::R4, name).unwrap();
        assert!(!is_in_patient_compartment(Release::R4, resource), "{name}");
        assert!(subject_parameter(Release::R4, resource).is_some(), "{name}");
    }
}

#[test]
fn every_parameter_that_can_name_a_patient_is_listed() {
    let listed =
        |release, name| patient_parameters(release, ResourceType::parse(release, name).unwrap());
    assert_eq!(listed(Release::R4, "Observation"), ["focus", "patient", "performer", "subject"]);
    assert_eq!(listed(Release::R4, "Patient"), ["_id", "link"]);
    assert_eq!(listed(Release::R4, "Group"), ["member"]);
    assert_eq!(listed(Release::R4, "Schedule"), ["actor"]);
    assert_eq!(listed(Release::R4, "Organization"), [""; 0]);
    for release in ALL {
        for name in release.types() {
            let resource = ResourceType::parse(release, name).unwrap();
            if let Some(parameter) = subject_parameter(release, resource) {
                let listed = patient_parameters(release, resource);
                assert!(listed.contains(&parameter.name), "{release:?} {name}");
            }
        }
    }
}

#[test]
fn reference_parameters_know_their_targets() {
    let r4 = |name, parameter| {
        reference_targets(Release::R4, ResourceType::parse(Release::R4, name).unwrap(), parameter)
    };
    assert_eq!(r4("Observation", "encounter"), Some(&["Encounter", "EpisodeOfCare"][..]));
    assert_eq!(r4("Observation", "subject"), Some(&["Device", "Group", "Location", "Patient"][..]));
    assert_eq!(r4("Observation", "code"), None);
    assert_eq!(r4("Observation", "nothing"), None);
    assert_eq!(r4("Binary", "x"), None);
    // No targets in the definition: any type.
    assert_eq!(r4("QuestionnaireResponse", "item-subject"), Some(Release::R4.types()));
}

#[test]
fn every_code_is_in_the_documentation() {
    let page = include_str!("../../docs/fhir-interactions.md");
    for reason in request::reasons::ALL.iter().chain(reasons::ALL) {
        assert!(page.contains(&format!("`{}`", reason.code)), "{}", reason.code);
    }
}

#[test]
fn ids_are_fhir_ids_and_can_stand_in_a_path() {
    for id in ["1", "a.b-C", "...", &"x".repeat(64)] {
        assert_eq!(Id::parse(id).map(|id| id.as_str().to_owned()), Some(id.to_owned()));
    }
    for id in ["", ".", "..", "a_b", "a/b", "é", "1 ", "a\n", &"x".repeat(65)] {
        assert_eq!(Id::parse(id), None, "{id}");
    }
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Requests out of the pieces of the grammar and some that are not.
fn requests() -> impl Strategy<Value = (String, String, Fields)> {
    let method =
        prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    let segment = prop::sample::select(vec![
        "fhir",
        "Patient",
        "Observation",
        "Group",
        "p1",
        "_history",
        "_search",
        "$everything",
        "$",
        "*",
        "metadata",
        "1",
        "a_b",
        "%24x",
        "",
        "?a=b",
        "?",
        "&c",
    ]);
    let path =
        prop::collection::vec(segment, 0..6).prop_map(|path| format!("/fhir/{}", path.join("/")));
    let fields = prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..4);
    (method.prop_map(str::to_owned), path, fields)
}

proptest! {
    #[test]
    fn routing_never_panics_and_every_refusal_has_a_client_error_status(
        (method, path, mut fields) in requests(),
    ) {
        for (name, value) in [(":method", &*method), (":path", &*path), (":authority", "h")] {
            fields.push((name.as_bytes().into(), value.as_bytes().into()));
        }
        let Ok(head) = request::read(Headers::new(fields)) else { return Ok(()) };
        for release in ALL {
            match route(&head, &api(release)) {
                Ok(Routed::Fhir(request)) => {
                    let _ = line(&request.interaction);
                    let _ = request.with_form(path.as_bytes());
                }
                Ok(Routed::Passthrough) => prop_assert!(false, "{}", path),
                Err(refusal) => {
                    prop_assert!((400..500).contains(&refusal.reason.status));
                    prop_assert_eq!(refusal.reason.status == 405, refusal.allow.is_some());
                }
            }
        }
    }

    #[test]
    fn a_head_request_is_the_interaction_of_the_get(path in requests().prop_map(|r| r.1)) {
        let known = |method: &str| [(":method", method), (":path", &*path), (":authority", "h")]
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let ask = |method| {
            let head = request::read(Headers::new(known(method).to_vec()))?;
            route(&head, &api(Release::R5)).map(|routed| format!("{routed:?}"))
        };
        prop_assert_eq!(ask("GET"), ask("HEAD"));
    }

    #[test]
    fn an_id_is_read_only_when_it_has_the_form_of_one(text in "[A-Za-z0-9._/ -]{0,70}") {
        let pattern = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
            && text != "." && text != "..";
        prop_assert_eq!(Id::parse(&text).is_some(), pattern);
    }
}
