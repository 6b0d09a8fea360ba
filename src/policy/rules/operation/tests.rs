//! Operations, row by row: scopes and context, request, decision.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::config::section::read_document;
use crate::fhir::config::Api;
use crate::fhir::{Release, Routed, route};
use crate::limits::AdmittedToken;
use crate::policy::{Decision, Evidence, Form, Grants, Smart, Stored, decide};
use crate::request::{Headers, read};
use crate::token::Claims;

#[derive(Debug, Clone, Copy)]
struct Who {
    scope: &'static str,
    patient: Option<&'static str>,
    user: Option<&'static str>,
}

const fn patient(scope: &'static str) -> Who {
    Who { scope, patient: Some("P"), user: None }
}

const fn clinician(scope: &'static str) -> Who {
    Who { scope, patient: None, user: Some("Practitioner/7") }
}

const fn signed_in_patient(scope: &'static str) -> Who {
    Who { scope, patient: None, user: Some("Patient/P") }
}

const fn system(scope: &'static str) -> Who {
    Who { scope, patient: None, user: None }
}

const APP: Who = patient("patient/*.cruds");
const CLINICIAN: Who = clinician("user/*.cruds");
const BACKEND: Who = system("system/*.cruds");

fn api() -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: vec!["https://api.example/fhir".to_owned()],
        cluster: None,
        public: Vec::new(),
        passthrough: Vec::new(),
    }
}

/// Lists the operations of the tests.
fn smart(check: &str) -> Smart {
    let everyone = "patient/Observation.rs user/Observation.rs system/Observation.rs";
    let document = json!({
        "response_check": check,
        "operations": [
            {"name": "$docref", "level": "type", "requires": "patient/DocumentReference.rs"},
            {"name": "$lastn", "level": "type", "type": "Observation", "requires": everyone},
            {"name": "$stats", "level": "type", "requires": "patient/Observation.r"},
            {"name": "$stats", "level": "type", "type": "Observation",
             "requires": "patient/Observation.rs patient/Condition.r"},
            {"name": "$meta", "level": "instance", "requires": "patient/Patient.r"},
            {"name": "$sync", "level": "system", "requires": "patient/*.rs user/*.rs"},
            {"name": "$validate", "level": "type", "requires": "patient/Observation.r"},
            {"name": "$graphql", "level": "system", "requires": "patient/*.rs user/*.rs system/*.rs"},
            {"name": "$process-message", "level": "system", "requires": "patient/*.rs system/*.c"},
            {"name": "$new", "level": "type", "requires": "patient/DeviceDispense.r"},
        ],
    });
    let (smart, errors) = read_document(&document, Smart::read);
    assert_eq!(errors, []);
    smart
}

/// `METHOD path`, more lines `name: value`, after ` << ` a form or, in braces, a JSON body.
fn decided(who: Who, text: &str, smart: &Smart) -> String {
    let (request, body) = text.split_once(" << ").map_or((text, None), |(t, body)| (t, Some(body)));
    let mut lines = request.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut fields = vec![
        (":method".to_owned(), method.to_owned()),
        (":authority".to_owned(), "api.example".to_owned()),
        (":path".to_owned(), format!("/fhir/{path}")),
    ];
    let form = body.filter(|body| !body.starts_with('{'));
    let kind = if form.is_some() { "x-www-form-urlencoded" } else { "fhir+json" };
    if method == "POST" {
        fields.push(("content-type".to_owned(), format!("application/{kind}")));
    }
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        fields.push((name.to_owned(), value.to_owned()));
    }
    let bytes = fields.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes()));
    let head = read(Headers::new(bytes.collect())).unwrap();
    let Ok(Routed::Fhir(mut request)) = route(&head, &api()) else { panic!("{text}") };
    if let Some(form) = form {
        request = request.with_form(form.as_bytes()).unwrap();
    }
    let claims = Claims {
        scope: who.scope.to_owned(),
        patient: who.patient.map(str::to_owned),
        user: who.user.map(str::to_owned),
        ..Claims::default()
    };
    let grants = Rc::new(Grants::of(&claims, &api(), smart));
    let stored = Stored::default();
    let evidence = Evidence::new(body.filter(|_| form.is_none()).map(str::as_bytes), &stored);
    let token = AdmittedToken::for_tests(claims);
    let permit = match decide(&token, &grants, &request, &head, evidence, &api(), smart) {
        Ok(Decision::Permit(permit)) => permit,
        Ok(Decision::Body) => return "body".to_owned(),
        Ok(Decision::Stored(_)) => return "stored".to_owned(),
        Err(refusal) => return refusal.reason.code.to_owned(),
    };
    let held = match permit.expected().map(|expected| &expected.form) {
        None => "",
        Some(Form::Collection) => " held",
        Some(Form::Result) => " held as a result",
        Some(other) => panic!("{text}: {other:?}"),
    };
    let of = permit.patient().map_or(String::new(), |patient| format!(" for {}", patient.as_str()));
    format!("by {}{of}{held}", permit.allowed_by().unwrap())
}

#[track_caller]
fn check(who: Who, rows: &[(&str, &str)]) {
    let smart = smart("enforce");
    for (request, expected) in rows {
        assert_eq!(decided(who, request, &smart), *expected, "{who:?} {request}");
    }
}

#[test]
fn everything_about_the_patient_is_held_and_about_nobody_else() {
    let held = "by patient/*.cruds for P held";
    check(
        APP,
        &[
            ("GET Patient/P/$everything", held),
            ("GET Patient/P/$everything?_since=2020-01-01&start=2020&end=2021&_count=5", held),
            ("GET Patient/P/$everything?_type=Observation,Condition", held),
            (
                "GET Patient/P/$everything?_getpages=7&_getpagesoffset=20&_bundletype=searchset",
                held,
            ),
            ("GET Patient/P/$everything?_format=json&_pretty=true", held),
            ("POST Patient/P/$everything", "body"),
            ("POST Patient/P/$everything << {\"resourceType\":\"Parameters\"}", held),
            ("POST Patient/P/$everything << _type=Observation", held),
            ("GET Patient/Q/$everything", "compartment_other_patient"),
            ("GET Patient/p/$everything", "compartment_other_patient"),
            ("GET Patient/$everything", "operation_unconfined"),
            ("GET Patient/$everything?_id=P", "operation_unconfined"),
            ("GET $everything", "operation_unconfined"),
            ("GET Encounter/1/$everything", "operation_unconfined"),
            ("GET Group/1/$everything", "operation_unconfined"),
            ("GET Practitioner/7/$everything", "operation_unconfined"),
            ("GET Patient/P/_history/1/$everything", "operation_unconfined"),
            ("GET Patient/P/$everything?_elements=id", "parameter_unjudged"),
            ("GET Patient/P/$everything?_summary=true", "parameter_unjudged"),
            ("GET Patient/P/$everything?_filter=x", "parameter_unjudged"),
            ("GET Patient/P/$everything?patient=Q", "parameter_unjudged"),
            ("GET Patient/P/$everything?_TYPE=Observation", "parameter_unjudged"),
            ("GET Patient/P/$everything?_typeFilter=Observation%3Fcode=x", "parameter_unjudged"),
            ("GET Patient/P/$everything\nx-provenance: {}", "header_unjudged"),
            ("HEAD Patient/P/$everything", "head_unjudged"),
            ("GET Patient/P/$everything?_format=xml", "format_unjudged"),
            ("GET Patient/P/$everything\naccept: application/fhir+xml", "format_unjudged"),
            ("GET Patient/P/$Everything", "operation_not_listed"),
            ("GET Patient/P/$everything.", "operation_not_listed"),
        ],
    );
    check(
        signed_in_patient("user/*.rs"),
        &[
            ("GET Patient/P/$everything", "by user/*.rs for P held"),
            ("GET Patient/Q/$everything", "compartment_other_patient"),
        ],
    );
    let off = smart("off");
    assert_eq!(decided(APP, "GET Patient/P/$everything", &off), "response_unchecked");
}

#[test]
fn everything_needs_every_type_or_those_it_names() {
    let some = "patient/Patient.rs patient/Observation.rs";
    check(
        patient(some),
        &[
            ("GET Patient/P/$everything", "scope_insufficient"),
            ("GET Patient/P/$everything?_type=Observation", "by patient/Observation.rs for P held"),
            (
                "GET Patient/P/$everything?_type=Patient,Observation",
                "by patient/Patient.rs patient/Observation.rs for P held",
            ),
            ("GET Patient/P/$everything?_type=Observation,Condition", "scope_insufficient"),
            ("GET Patient/P/$everything?_type=Observation&_type=Condition", "scope_insufficient"),
            ("GET Patient/P/$everything?_type=", "operation_types"),
            ("GET Patient/P/$everything?_type=Observation,", "operation_types"),
            ("GET Patient/P/$everything?_type=observation", "operation_types"),
            ("GET Patient/P/$everything?_type=*", "operation_types"),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"_type\",\"valueString\":\"Observation\"}]}",
                "by patient/Observation.rs for P held",
            ),
            // what stands in the query and in the body counts together
            (
                "POST Patient/P/$everything?_type=Observation << {\"resourceType\":\"Parameters\",\
                 \"parameter\":[{\"name\":\"_type\",\"valueCode\":\"Condition\"}]}",
                "scope_insufficient",
            ),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\"}",
                "scope_insufficient",
            ),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"_type\",\"part\":[]}]}",
                "operation_body",
            ),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\",\"parameter\":{}}",
                "operation_body",
            ),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"x\",\"valueString\":\"y\"},{\"name\":\"_type\",\"valueString\":\
                 \"Observation\"}]}",
                "parameter_unjudged",
            ),
            (
                "POST Patient/P/$everything << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"_type\",\"valueBoolean\":true}]}",
                "operation_types",
            ),
        ],
    );
    for short in ["patient/*.r", "patient/*.s", "patient/*.cud", "openid"] {
        check(patient(short), &[("GET Patient/P/$everything", "scope_insufficient")]);
    }
    check(
        patient("patient/Observation.rs?category=x"),
        &[(
            "GET Patient/P/$everything?_type=Observation",
            "by patient/Observation.rs?category=x for P held",
        )],
    );
}

#[test]
fn unconfined_everything_is_anyones_and_held_where_it_relies_on_types() {
    for (who, every, some) in [
        (CLINICIAN, "by user/*.cruds", clinician("user/Patient.rs user/Observation.rs")),
        (BACKEND, "by system/*.cruds", system("system/Patient.rs system/Observation.rs")),
    ] {
        check(
            who,
            &[
                ("GET Patient/anyone/$everything", every),
                ("POST Patient/anyone/$everything", every),
                ("GET Patient/anyone/$everything?_elements=id", every),
                ("GET Patient/$everything", every),
                ("GET Encounter/1/$everything", every),
                ("GET Group/1/$everything?_type=Observation", every),
            ],
        );
        check(
            some,
            &[
                ("GET Patient/anyone/$everything", "scope_insufficient"),
                ("GET Patient/anyone/$everything?_type=Condition", "scope_insufficient"),
                (
                    "GET Patient/anyone/$everything?_type=Observation&_elements=id",
                    "parameter_unjudged",
                ),
            ],
        );
    }
    check(
        clinician("user/Observation.rs"),
        &[("GET Patient/x/$everything?_type=Observation", "by user/Observation.rs held")],
    );
    let off = smart("off");
    let some = clinician("user/Observation.rs");
    let typed = "GET Patient/x/$everything?_type=Observation";
    assert_eq!(decided(some, typed, &off), "response_unchecked");
    assert_eq!(decided(CLINICIAN, typed, &off), "by user/*.cruds");
}

/// Each row with the header that a kick-off needs.
#[track_caller]
fn check_exports(who: Who, rows: &[(&str, &str)]) {
    let smart = smart("enforce");
    for (request, expected) in rows {
        let (head, body) = request.split_once(" << ").unwrap_or((request, ""));
        let mark = if body.is_empty() { "" } else { " << " };
        let request = format!("{head}\nprefer: respond-async{mark}{body}");
        assert_eq!(decided(who, &request, &smart), *expected, "{who:?} {request}");
    }
}

#[test]
fn exports_are_for_backend_services_with_scopes_on_every_type() {
    let every = "by system/*.rs";
    check_exports(
        system("system/*.rs"),
        &[
            ("GET $export", every),
            ("POST $export", every),
            ("GET Patient/$export?_type=Observation&_experimental=x", every),
            ("GET Group/7/$export?organizeOutputBy=Patient", every),
            ("HEAD $export", "head_unjudged"),
            ("GET Observation/$export", "operation_level"),
            ("GET Patient/P/$export", "operation_level"),
            ("GET Group/$export", "operation_level"),
            ("GET Group/7/_history/1/$export", "operation_level"),
            ("GET $Export", "operation_not_listed"),
            ("GET $export-poll-status?_jobId=1", "operation_not_listed"),
        ],
    );
    check(
        system("system/*.rs"),
        &[
            ("GET $export", "export_prefer_missing"),
            ("GET $export\nprefer: handling=strict", "export_prefer_missing"),
            ("GET $export\nprefer: handling=lenient, Respond-Async", every),
        ],
    );
    for who in [APP, CLINICIAN, signed_in_patient("user/*.cruds")] {
        check_exports(
            who,
            &[
                ("GET $export", "export_system_only"),
                ("GET Patient/$export", "export_system_only"),
                ("GET Group/7/$export", "export_system_only"),
            ],
        );
    }
    let with_user = Who { scope: "system/*.rs", patient: None, user: Some("Practitioner/7") };
    check_exports(with_user, &[("GET $export", "scope_system_with_user")]);
    check_exports(system("openid"), &[("GET $export", "scope_insufficient")]);
}

#[test]
fn an_export_of_some_types_needs_scopes_on_each_and_looks_no_further() {
    let some = "system/Patient.rs system/Observation.rs system/Observation.c";
    let observations = "by system/Observation.rs";
    let both = "by system/Observation.rs system/Patient.rs";
    check_exports(
        system(some),
        &[
            ("GET $export", "scope_insufficient"),
            ("GET $export?_type=Observation", observations),
            ("GET $export?_type=Observation,Patient", both),
            ("GET $export?_type=Observation&_type=Patient", both),
            ("GET $export?_type=Observation,Condition", "scope_insufficient"),
            ("GET $export?_type=Nonsense", "operation_types"),
            ("GET $export?_type=", "operation_types"),
            ("GET $export?_type=Observation&_since=2020-01-01T00:00:00Z", observations),
            ("GET $export?_type=Observation&includeAssociatedData=x&_elements=id", observations),
            ("GET $export?_type=Observation&organizeOutputBy=Patient", "parameter_unjudged"),
            ("GET $export?_type=Observation&_container=x", "parameter_unjudged"),
            ("GET $export?_type=Observation\nx-provenance: {}", "header_unjudged"),
            ("GET Patient/$export?_type=Observation&patient=Patient/1", observations),
            // filters
            ("GET $export?_type=Observation&_typeFilter=Observation%3Fcode%3Da,b", observations),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3Fcode%3Da,Patient%3Fname%3Db",
                both,
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3Fstatus%3Da&\
                 _typeFilter=Condition%3Fcode%3Db",
                "scope_insufficient",
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3Fsubject:Patient.name%3Dx",
                both,
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3Fcode%3Da,b%26encounter.status%3Dx",
                "scope_insufficient",
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3F_has:Provenance:target:agent%3Dx",
                "scope_insufficient",
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3F_include%3D*",
                "export_filter_unjudged",
            ),
            (
                "GET $export?_type=Observation&_typeFilter=Observation%3F_filter%3Dx",
                "export_filter_unjudged",
            ),
            ("GET $export?_type=Observation&_typeFilter=status%3Dx", "export_filter_unjudged"),
            ("GET $export?_type=Observation&_typeFilter=", "export_filter_unjudged"),
            ("GET $export?_type=Observation&_typeFilter=x%3Fy%3Dz", "export_filter_unjudged"),
            // bodies
            ("POST $export", "body"),
            ("POST $export << _type=Observation", observations),
            (
                "POST $export << {\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"_type\",\
                 \"valueString\":\"Observation\"},{\"name\":\"patient\",\"valueReference\":\
                 {\"reference\":\"Patient/1\"}}]}",
                observations,
            ),
            (
                "POST $export?_type=Observation << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"_type\",\"valueString\":\"Condition\"}]}",
                "scope_insufficient",
            ),
            (
                "POST $export?_type=Observation << {\"resourceType\":\"Parameters\",\"parameter\":\
                 [{\"name\":\"_typeFilter\",\"valueString\":\"Condition?code=x\"}]}",
                "scope_insufficient",
            ),
        ],
    );
    check_exports(
        system("system/Observation.rs?category=x"),
        &[("GET $export?_type=Observation", "scope_insufficient")],
    );
    check_exports(
        system("system/Observation.r"),
        &[("GET $export?_type=Observation", "scope_insufficient")],
    );
}

#[test]
fn what_is_not_listed_is_refused_to_everyone() {
    for who in [APP, CLINICIAN, BACKEND, signed_in_patient("user/*.cruds"), system("openid")] {
        check(
            who,
            &[
                ("POST Observation/$submit", "operation_not_listed"),
                (
                    "POST Patient/$match << {\"resourceType\":\"Parameters\"}",
                    "operation_not_listed",
                ),
                ("POST Patient/$member-match << {}", "operation_not_listed"),
                ("GET Patient/P/$meta-add", "operation_not_listed"),
                ("GET DocumentReference/$DocRef?patient=P", "operation_not_listed"),
                // listed, but not there
                ("GET $docref", "operation_level"),
                ("GET DocumentReference/1/$docref", "operation_level"),
                ("GET Condition/$lastn", "operation_level"),
                ("GET $meta", "operation_level"),
                ("POST Observation/$sync", "operation_level"),
            ],
        );
    }
}

#[test]
fn a_listed_operation_needs_its_scopes_in_their_own_context() {
    let held = "by patient/DocumentReference.rs for P held as a result";
    check(
        patient("patient/DocumentReference.rs"),
        &[
            ("GET DocumentReference/$docref?patient=P", held),
            ("GET DocumentReference/$docref", held),
        ],
    );
    let lacking = "scope_insufficient";
    for short in [
        "patient/DocumentReference.r",
        "patient/DocumentReference.rs?category=x",
        "patient/Observation.rs",
        "openid",
    ] {
        check(patient(short), &[("GET DocumentReference/$docref", lacking)]);
    }
    // only patient/ is named
    for who in [CLINICIAN, BACKEND, signed_in_patient("user/*.rs")] {
        check(who, &[("GET DocumentReference/$docref", lacking)]);
    }
    check(
        patient("patient/Observation.rs"),
        &[
            // the entry for the type counts, and needs more
            ("GET Observation/$stats", lacking),
            ("GET Condition/$stats", "by patient/Observation.rs for P held as a result"),
        ],
    );
    let lastn = "GET Observation/$lastn?anything=Patient/Q&patient=Q";
    check(clinician("user/Observation.rs"), &[(lastn, "by user/Observation.rs")]);
    check(system("system/Observation.rs"), &[(lastn, "by system/Observation.rs")]);
    check(
        signed_in_patient("user/Observation.rs"),
        &[
            (lastn, "operation_other_patient"),
            ("GET Observation/$lastn?patient=P", "by user/Observation.rs for P held as a result"),
        ],
    );
    check(system("patient/Observation.rs"), &[("GET Observation/$lastn", "scope_patient_missing")]);
    // a type that this release doesn't have
    check(APP, &[("GET Observation/$new", lacking)]);
}

#[test]
fn confined_it_is_invoked_on_the_patient_and_names_nobody_else() {
    let held = "by patient/*.cruds for P held as a result";
    let other = "operation_other_patient";
    check(
        APP,
        &[
            ("GET Patient/P/$meta", held),
            ("GET Patient/P/_history/2/$meta", held),
            ("GET Patient/Q/$meta", "compartment_other_patient"),
            ("GET Patient/Q/_history/2/$meta", "compartment_other_patient"),
            ("GET Observation/1/$meta", "operation_resource_unjudged"),
            ("GET Organization/1/$meta", "operation_resource_unjudged"),
            ("HEAD Patient/P/$meta", "head_unjudged"),
            ("GET Patient/P/$meta?_format=xml", "format_unjudged"),
            ("GET Patient/P/$meta\nx-cascade: delete", "header_unjudged"),
            // parameters
            ("GET Observation/$lastn?patient=P&code=x", held),
            ("GET Observation/$lastn?patient=Patient/P", held),
            ("GET Observation/$lastn?subject=https://api.example/fhir/Patient/P", held),
            ("GET Observation/$lastn?performer=Practitioner/7", held),
            ("POST Observation/$lastn << patient=P", held),
            ("GET Observation/$lastn?patient=Q", other),
            ("GET Observation/$lastn?patient=p", other),
            ("GET Observation/$lastn?patient=", other),
            ("GET Observation/$lastn?patient=P,Q", other),
            ("GET Observation/$lastn?patient=P&patient=Q", other),
            ("GET Observation/$lastn?Patient=Q", other),
            ("GET Observation/$lastn?subject=Q", other),
            ("GET Observation/$lastn?patientId=Q", other),
            ("GET Observation/$lastn?_id=Q", other),
            ("GET Observation/$lastn?id=Q", other),
            ("GET Observation/$lastn?patient.identifier=x", other),
            ("GET Observation/$lastn?patient:identifier=x", other),
            ("GET Observation/$lastn?subject:Patient.name=x", other),
            ("GET Observation/$lastn?_has:Group:member:patient=x", other),
            ("GET Observation/$lastn?about=Patient/Q", other),
            ("GET Observation/$lastn?about=P,Patient/Q", other),
            ("GET Observation/$lastn?about=Patient%252FQ", other),
            ("GET Observation/$lastn?about=https://elsewhere/Patient/P", other),
            ("GET Observation/$lastn?about=Patient%3Fidentifier=x", other),
            ("GET Observation/$lastn?patient=P%26patient=Q", other),
            ("GET Observation/$lastn?patient=Patient/P?x", other),
            ("POST Observation/$lastn << patient=Q", other),
            ("POST Observation/$lastn?patient=P << patient=Q", other),
            // said in a language, or a message, that nobody here reads
            ("POST $graphql << {\"query\":\"{Patient(id:1){name}}\"}", "operation_opaque"),
            ("GET $graphql?query=x", "operation_opaque"),
            ("POST $process-message << {\"resourceType\":\"Bundle\"}", "operation_opaque"),
        ],
    );
    check(CLINICIAN, &[("GET $graphql?query=x", "by user/*.cruds")]);
    check(
        BACKEND,
        &[
            ("POST $graphql << {\"query\":\"x\"}", "by system/*.cruds"),
            ("POST $process-message << {}", "by system/*.cruds"),
        ],
    );
    let off = smart("off");
    assert_eq!(decided(APP, "GET Patient/P/$meta", &off), "response_unchecked");
}

#[test]
fn confined_a_body_is_looked_through_for_anyone_else() {
    let held = "by patient/*.cruds for P held as a result";
    let other = "operation_other_patient";
    let rows = [
        (r#"{"resourceType":"Parameters"}"#, held),
        (r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueId":"P"}]}"#, held),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"subject","valueReference":{"reference":"Patient/P"}}]}"#,
            held,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Observation","subject":{"reference":"Patient/P"},"performer":[{"reference":"Practitioner/7"}]}}]}"#,
            held,
        ),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#, held),
        (r#"{"resourceType":"Patient","id":"P","name":[{"family":"x"}]}"#, held),
        (r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueId":"Q"}]}"#, other),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"PatientId","valueString":"Q"}]}"#,
            other,
        ),
        (r#"{"resourceType":"Parameters","parameter":[{"name":"id","valueId":"Q"}]}"#, other),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueIdentifier":{"value":"x"}}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/P/x"}}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","part":[{"name":"x","valueId":"Q"}]}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"x","part":[{"name":"subject","valueId":"Q"}]}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","resource":{"resourceType":"Group","id":"P"}}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"MemberPatient","resource":{"resourceType":"Patient","name":[{"family":"Q"}]}}]}"#,
            other,
        ),
        (
            r#"{"resourceType":"Parameters","parameter":[{"name":"x","valueUri":"Patient/Q"}]}"#,
            other,
        ),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/Q"}}"#, other),
        (r#"{"resourceType":"Observation","subject":{"reference":"patient/Q"}}"#, other),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient?name=x"}}"#, other),
        (r#"{"resourceType":"Observation","encounter":{"reference":"Encounter?x=y"}}"#, other),
        (
            r#"{"resourceType":"Observation","subject":{"type":"Patient","identifier":{"value":"x"}}}"#,
            other,
        ),
        (
            r#"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"Q"}]}"#,
            other,
        ),
        (r#"{"resourceType":"Patient","name":[{"family":"x"}]}"#, other),
        (r#"{"resourceType":"Patient","id":"Q"}"#, other),
        (r#"{"resourceType":"Nonsense"}"#, "operation_body"),
        (r#"{"parameter":[]}"#, "operation_body"),
        ("{", "operation_body"),
        (r#"{"resourceType":"Parameters","resourceType":"Patient"}"#, "operation_body"),
    ];
    for (body, expected) in rows {
        check(APP, &[(&format!("POST Observation/$validate << {body}"), expected)]);
    }
    check(
        APP,
        &[("POST Observation/$validate", "body"), ("POST Observation/$validate?patient=Q", other)],
    );
}

const NAMES: &[&str] = &[
    "$everything",
    "$export",
    "$lastn",
    "$docref",
    "$meta",
    "$sync",
    "$graphql",
    "$validate",
    "$x",
];
const PARAMS: &[&str] = &[
    "",
    "?_type=Observation",
    "?_type=Patient,Observation",
    "?patient=P",
    "?patient=Q",
    "?_typeFilter=Observation%3Fcode%3Dx",
    "?about=Patient/Q",
];

proptest! {
    #[test]
    fn confined_what_passes_is_for_the_patient_and_held(
        name in select(NAMES),
        place in select(vec!["", "Patient/", "Observation/", "Patient/P/", "Patient/Q/", "Group/1/"]),
        params in select(PARAMS),
        scope in select(vec!["patient/*.cruds", "patient/*.rs", "patient/Observation.rs", "patient/*.s"]),
        check in select(vec!["enforce", "report"]),
    ) {
        let request = format!("GET {place}{name}{params}\nprefer: respond-async");
        let decision = decided(patient(scope), &request, &smart(check));
        if decision.starts_with("by ") {
            prop_assert!(decision.contains(" for P held"), "{}: {}", request, decision);
            prop_assert!(!request.contains('Q'), "{}: {}", request, decision);
        }
    }

    #[test]
    fn more_scope_never_means_less(
        name in select(NAMES),
        place in select(vec!["", "Patient/", "Observation/", "Patient/P/", "Group/1/"]),
        params in select(PARAMS),
        context in select(vec!["patient", "user", "system"]),
    ) {
        let request = format!("GET {place}{name}{params}\nprefer: respond-async");
        let scopes = ["Observation.rs", "Observation.rs CONTEXT/Patient.rs", "*.rs", "*.cruds"];
        let mut allowed = false;
        for scope in scopes {
            let scope = format!("CONTEXT/{scope}").replace("CONTEXT", context);
            let scope: &'static str = Box::leak(scope.into_boxed_str());
            let who = Who { scope, patient: None, user: None };
            let who = match context {
                "patient" => Who { patient: Some("P"), ..who },
                "user" => Who { user: Some("Practitioner/7"), ..who },
                _ => who,
            };
            let now = decided(who, &request, &smart("enforce")).starts_with("by ");
            prop_assert!(now || !allowed, "{} {}", scope, request);
            allowed = now;
        }
    }
}
