//! The decision table, row by row: scopes and context, request, decision.

mod attacks;
mod batches;
mod chains;
mod binaries;
mod compartments;
mod conditional;
mod database;
mod encounter;
mod generated;
mod granular;
mod laws;
mod searches;
mod sight;
mod writes;

use super::*;
use crate::fhir::{Body, Release, Routed, route};
use crate::request::{Headers, read};
use crate::store::HttpAnswer;
use crate::token::Claims;

/// Who asks: the token's claims in short.
#[derive(Debug, Clone, Copy)]
struct Who {
    scope: &'static str,
    patient: Option<&'static str>,
    user: Option<&'static str>,
    encounter: Option<&'static str>,
}

/// A patient app with patient P in context.
const fn patient(scope: &'static str) -> Who {
    Who { scope, patient: Some("P"), user: None, encounter: None }
}

/// Somebody signed in, no patient in context.
const fn user(scope: &'static str, user: &'static str) -> Who {
    Who { scope, patient: None, user: Some(user), encounter: None }
}

const fn clinician(scope: &'static str) -> Who {
    user(scope, "Practitioner/7")
}

const fn system(scope: &'static str) -> Who {
    Who { scope, patient: None, user: None, encounter: None }
}

impl Who {
    fn claims(self) -> Claims {
        Claims {
            scope: self.scope.to_owned(),
            patient: self.patient.map(str::to_owned),
            user: self.user.map(str::to_owned),
            encounter: self.encounter.map(str::to_owned),
            ..Claims::default()
        }
    }
}

fn api(release: Release) -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release,
        base_urls: vec!["https://api.example/fhir".to_owned()],
        cluster: None,
        public: vec!["metadata".to_owned(), ".well-known/smart-configuration".to_owned()],
        passthrough: Vec::new(),
    }
}

/// A head from `METHOD /path`, with more lines `name: value` after it.
fn head(text: &str) -> Head {
    let mut lines = text.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut fields = vec![
        (b":method".to_vec(), method.as_bytes().to_vec()),
        (b":scheme".to_vec(), b"https".to_vec()),
        (b":authority".to_vec(), b"api.example".to_vec()),
        (b":path".to_vec(), format!("/fhir/{path}").into_bytes()),
    ];
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        fields.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    read(Headers::new(fields)).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"))
}

/// Routes `METHOD path`; a text after ` < ` is the form of a POST.
fn routed(text: &str, api: &Api) -> (Head, Request) {
    let (text, form) = text.split_once(" < ").map_or((text, None), |(t, form)| (t, Some(form)));
    let typed = match form {
        Some(_) => format!("{text}\ncontent-type: application/x-www-form-urlencoded"),
        None => text.to_owned(),
    };
    let head = head(&typed);
    let request = match route(&head, api) {
        Ok(Routed::Fhir(request)) => request,
        other => panic!("{text}: {other:?}"),
    };
    let request = match form {
        Some(form) => request.with_form(form.as_bytes()).unwrap(),
        None => request,
    };
    assert_eq!(form.is_some(), request.body == Body::Form, "{text}");
    (head, request)
}

fn decided(who: Who, text: &str, api: &Api, smart: &Smart) -> Result<Permit, Refusal> {
    let nothing = Stored::default();
    match asked(who, text, Evidence::new(None, &nothing), api, smart)? {
        Decision::Permit(permit) => Ok(*permit),
        other => panic!("{who:?} {text}: {other:?}"),
    }
}

/// The decision by what came in so far.
fn asked(
    who: Who,
    text: &str,
    evidence: Evidence<'_>,
    api: &Api,
    smart: &Smart,
) -> Result<Decision, Refusal> {
    let claims = who.claims();
    let grants = Rc::new(Grants::of(&claims, api, smart));
    let (head, request) = routed(text, api);
    decide(&AdmittedToken::for_tests(claims), &grants, &request, &head, evidence, api, smart)
}

/// The decision in short once what it needs has come in: the body, and resources by `Type/id`.
fn settled(
    who: Who,
    text: &str,
    body: &str,
    stored: &[(&str, &str)],
    api: &Api,
    smart: &Smart,
) -> String {
    let mut known = Stored::default();
    let mut looked_up = 0_u8;
    loop {
        let evidence = Evidence::new(Some(body.as_bytes()), &known);
        match asked(who, text, evidence, api, smart) {
            Ok(Decision::Permit(permit)) => return shown(&Ok(*permit)),
            Ok(Decision::Body) => panic!("{text}: the body is there"),
            Err(refusal) => return refusal.reason.code.to_owned(),
            Ok(Decision::Stored(lookups)) => {
                looked_up = looked_up.saturating_add(1);
                assert!(looked_up < 4, "{text}: asked again for the same");
                for lookup in lookups {
                    let target = lookup.target();
                    let name = target.strip_suffix("&_count=10").unwrap_or(&target);
                    let found = stored.iter().find(|(path, _)| *path == name);
                    let (status, body) = match (found, &lookup) {
                        (Some((_, body)), _) => ("200", (*body).to_owned()),
                        (None, Lookup::Read(_)) => ("404", String::new()),
                        (None, Lookup::Search(_)) => ("200", searchset(&[])),
                    };
                    let answer =
                        HttpAnswer::read(&[(b":status".to_vec(), status.into())], body.into());
                    if let Err(refusal) = known.answered(lookup, answer) {
                        return refusal.reason.code.to_owned();
                    }
                }
            }
        }
    }
}

/// What a search found.
fn searchset(resources: &[&str]) -> String {
    let entries = resources.iter().map(|one| format!(r#"{{"resource":{one}}}"#));
    let entries = entries.collect::<Vec<_>>().join(",");
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entries}]}}"#)
}

/// The decision in short: `by SCOPE for P +name=value strict`, or the reason's code.
fn shown(decision: &Result<Permit, Refusal>) -> String {
    let permit = match decision {
        Ok(permit) => permit,
        Err(refusal) => return refusal.reason.code.to_owned(),
    };
    let mut text = format!("by {}", permit.allowed_by().unwrap_or("nothing"));
    if let Some(patient) = permit.patient() {
        text += &format!(" for {}", patient.as_str());
    }
    for Narrowing { name, value } in permit.narrowing() {
        text += &format!(" +{name}={value}");
    }
    match permit.resolved().map(|resolved| (&resolved.becomes, &resolved.query)) {
        Some((Becomes::Known { id, unnamed }, query)) => {
            text += &format!(" on {}", id.as_str());
            text += if *unnamed { ", named" } else { "" };
            text += &if query.is_empty() { String::new() } else { format!("?{query}") };
        }
        Some((Becomes::New(Some(condition)), _)) => text += &format!(" anew if no {condition}"),
        Some((Becomes::New(None), _)) => text += " anew",
        None => {}
    }
    match permit.precondition() {
        Some(Precondition::Unchanged(tag)) => text += &format!(" at {tag}"),
        Some(Precondition::Absent) => text += " if absent",
        None => {}
    }
    if permit.strict_handling() {
        text += " strict";
    }
    if let Some(of) = permit.compartment() {
        text += &format!(" in {}", of.name());
    }
    let form = permit.expected().map(|expected| &expected.form);
    let narrow = !permit.narrowing().is_empty() || permit.compartment().is_some();
    assert!(!narrow || form.is_some(), "narrowed is judged");
    if form.is_some() && !narrow {
        text += " held";
    }
    text
}

#[track_caller]
fn check_with(rows: &[(Who, &str, &str)], api: &Api, smart: &Smart) {
    for (who, request, expected) in rows {
        let decision = decided(*who, request, api, smart);
        assert_eq!(shown(&decision), *expected, "{who:?} {request}");
    }
}

#[track_caller]
fn check(rows: &[(Who, &str, &str)]) {
    check_with(rows, &api(Release::R4), &Smart::default());
}

/// The decision of each request for one token.
#[track_caller]
fn check_all(who: Who, rows: &[(&str, &str)]) {
    let rows: Vec<_> = rows.iter().map(|(request, expected)| (who, *request, *expected)).collect();
    check(&rows);
}

/// A write: request, body, what is stored by `Type/id`, and the decision.
type Write<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

const EVERYTHING: Who = patient("patient/*.cruds");

#[test]
fn a_patient_scope_opens_the_patient_itself_and_no_other() {
    check_all(
        patient("patient/Patient.r"),
        &[
            ("GET Patient/P", "by patient/Patient.r for P held"),
            ("HEAD Patient/P", "by patient/Patient.r for P"),
            ("GET Patient/P/_history/3", "by patient/Patient.r for P held"),
            ("GET Patient/P/_history", "by patient/Patient.r for P held"),
            (
                "GET Patient/P/_history?_count=5&_since=2026-01-01",
                "by patient/Patient.r for P held",
            ),
            ("GET Patient/P?_elements=name&_format=json", "by patient/Patient.r for P held"),
            // whole ids, by case
            ("GET Patient/p", "compartment_other_patient"),
            ("GET Patient/P1", "compartment_other_patient"),
            ("GET Patient/1P", "compartment_other_patient"),
            ("GET Patient/P.", "compartment_other_patient"),
            ("GET Patient/other/_history/1", "compartment_other_patient"),
            ("GET Patient/other/_history", "compartment_other_patient"),
            // reading is not searching
            ("GET Patient?_id=P", "scope_insufficient"),
            ("GET Patient/P?_include=Patient:organization", "parameter_unjudged"),
            ("GET Patient/P?_getpages=abc", "parameter_unjudged"),
            ("GET Patient/P/_history?_list=x", "parameter_unjudged"),
            ("GET Patient/P/_history?_page=opaque", "parameter_unjudged"),
        ],
    );
    check(&[(
        Who { patient: Some("123"), ..patient("patient/*.rs") },
        "GET Patient/1234",
        "compartment_other_patient",
    )]);
}

#[test]
fn types_outside_the_compartment_are_readable_when_shared() {
    check_all(
        patient("patient/*.rs"),
        &[
            ("GET Practitioner/1", "by patient/*.rs for P held"),
            ("GET Practitioner/1/_history/1", "by patient/*.rs for P held"),
            ("GET Practitioner/1/_history", "by patient/*.rs for P held"),
            ("GET Practitioner?name=x", "by patient/*.rs for P held"),
            ("POST Organization/_search < name=x", "by patient/*.rs for P held"),
            ("GET Medication/1", "by patient/*.rs for P held"),
            ("GET Device/1", "compartment_type_outside"),
            ("GET Device?patient=P", "compartment_type_outside"),
            ("GET Task?patient=P", "compartment_type_outside"),
            ("GET Bundle/1", "compartment_type_outside"),
            ("GET Binary/1", "by patient/*.rs for P held"),
            ("GET Binary?_id=1", "search_subject_unknown"),
            ("GET Practitioner?_has:Observation:performer:code=x", "search_has_outside"),
            ("GET PractitionerRole?practitioner.name=x", "by patient/*.rs for P held"),
            ("GET Location?organization.name=x", "by patient/*.rs for P held"),
            ("GET PractitionerRole?_include=*", "by patient/*.rs for P held"),
            ("GET Practitioner?_revinclude=Observation:performer", "by patient/*.rs for P held"),
            ("GET Practitioner/_history", "history_unconfined"),
        ],
    );
    check(&[
        (patient("patient/Practitioner.r"), "GET Practitioner?name=x", "scope_insufficient"),
        (patient("patient/Observation.rs"), "GET Practitioner/1", "scope_insufficient"),
    ]);
}

#[test]
fn only_the_answer_tells_whose_a_resource_is() {
    let held = "by patient/*.cruds for P held";
    check_all(
        EVERYTHING,
        &[
            ("GET Observation/1", held),
            ("HEAD Observation/1", "head_unjudged"),
            ("GET Observation/1?_format=xml", "format_unjudged"),
            ("GET Observation/1?_format=application/fhir+json", held),
            ("GET Observation/1\naccept: application/xml", "format_unjudged"),
            ("GET Observation/1\naccept: text/html, */*", held),
            ("GET Observation/1/_history/1", held),
            ("GET Observation/1/_history", held),
            ("GET Binary/1", held),
            ("GET Group/1", "search_subject_unknown"),
            ("GET Observation/_history", "history_unconfined"),
            ("GET _history", "history_unconfined"),
            ("GET ?_type=Observation", "search_system_unconfined"),
            ("POST _search < _type=Observation&patient=P", "search_system_unconfined"),
            ("GET Patient/P/*?code=x", "by patient/*.cruds for P strict held"),
            ("GET Patient/other/*?code=x", "compartment_other_patient"),
            ("GET Encounter/1/Observation", "probe_unconfigured"),
            (
                "GET Practitioner/7/Observation",
                "by patient/*.cruds for P +patient=Patient/P strict",
            ),
            ("GET Encounter/1/*", "search_compartment_unjudged"),
        ],
    );
}

#[test]
fn searches_are_narrowed_to_the_patient() {
    check_all(
        patient("patient/*.s"),
        &[
            ("GET Observation", "by patient/*.s for P +patient=Patient/P strict"),
            ("HEAD Observation", "head_unjudged"),
            ("GET Observation?_format=xml", "format_unjudged"),
            (
                "GET Observation?code=x&_sort=-date",
                "by patient/*.s for P +patient=Patient/P strict",
            ),
            ("GET Observation?_summary=count", "by patient/*.s for P +patient=Patient/P strict"),
            ("GET Observation?_id=1,2,3", "by patient/*.s for P +patient=Patient/P strict"),
            (
                "GET Observation?_offset=20&_page=2",
                "by patient/*.s for P +patient=Patient/P strict",
            ),
            ("POST Observation/_search < code=x", "by patient/*.s for P +patient=Patient/P strict"),
            ("GET Patient", "by patient/*.s for P +_id=P strict"),
            ("GET Patient?name=x", "by patient/*.s for P +_id=P strict"),
            ("GET QuestionnaireResponse", "by patient/*.s for P +patient=Patient/P strict"),
            ("GET Patient/P/Observation?code=x", "by patient/*.s for P +patient=Patient/P strict"),
            ("GET Patient/other/Observation", "compartment_other_patient"),
            ("GET Patient/p/Observation", "compartment_other_patient"),
            // in the compartment, but nothing says whom they are about
            ("GET Group", "search_subject_unknown"),
            ("GET Schedule?actor=Patient/P", "search_subject_unknown"),
        ],
    );
}

#[test]
fn a_criterion_that_can_name_a_patient_names_this_one_and_nothing_else() {
    let narrowed = "by patient/*.s for P +patient=Patient/P strict";
    let other = "search_other_patient";
    let modifier = "search_patient_modifier";
    check_all(
        patient("patient/*.s"),
        &[
            ("GET Observation?patient=P", narrowed),
            ("GET Observation?patient=Patient/P", narrowed),
            ("GET Observation?patient:Patient=P", narrowed),
            ("GET Observation?subject:Patient=Patient/P", narrowed),
            ("GET Observation?subject=https://api.example/fhir/Patient/P", narrowed),
            ("GET Observation?patient=P&subject=Patient/P&performer=P", narrowed),
            ("GET Observation?patient=P,Patient/P", narrowed),
            ("GET Observation?focus=Patient/P", narrowed),
            ("GET Observation?performer=Practitioner/7,Patient/P", narrowed),
            ("GET Condition?evidence-detail=Observation/1", narrowed),
            // another patient, however it is written
            ("GET Observation?patient=other", other),
            ("GET Observation?patient=p", other),
            ("GET Observation?patient=P1", other),
            ("GET Observation?patient=", other),
            ("GET Observation?patient", other),
            ("GET Observation?patient=P,other", other),
            ("GET Observation?patient=other,P", other),
            ("GET Observation?patient=P,", other),
            ("GET Observation?patient=P%2Cother", other),
            ("GET Observation?patient=P%5C,other", other),
            ("GET Observation?patient=P%252Cother", other),
            ("GET Observation?patient=+P", other),
            ("GET Observation?patient=P%7C1", other),
            ("GET Observation?patient=P&patient=other", other),
            ("GET Observation?patient=other&patient=P", other),
            ("GET Observation?PATIENT=other", other),
            ("GET Observation?%70atient=other", other),
            ("GET Observation?performer=P&subject=other", other),
            ("GET Observation?performer=7", other),
            ("GET Observation?performer=Patient/other", other),
            ("GET Observation?performer=Location/1", other),
            ("GET Observation?performer=Practitioner/7,Patient/other", other),
            ("GET Observation?performer=Practitioner/7/_history/1", other),
            ("GET Observation?focus=Patient/other", other),
            ("GET Observation?subject=Patient/P/_history/1", other),
            ("GET Observation?subject=patient/P", other),
            ("GET Observation?subject=/Patient/P", other),
            ("GET Observation?subject=https://evil.example/fhir/Patient/P", other),
            ("GET Observation?subject=https://api.example/fhirPatient/P", other),
            ("GET Observation?subject=https://api.example/fhir/Patient/other", other),
            ("GET Observation?subject=urn:uuid:0", other),
            ("GET Observation?subject:Patient=Practitioner/7", other),
            // the parameter that narrows takes no other type either: a server may read it once
            ("GET CarePlan?patient=Group/1", other),
            ("GET CarePlan?patient=P,Group/1", other),
            ("GET AdverseEvent?subject=Practitioner/7", other),
            // modifiers
            ("GET Observation?patient:identifier=x", modifier),
            ("GET Observation?patient:not=other", modifier),
            ("GET Observation?patient:missing=true", modifier),
            ("GET Observation?patient:below=P", modifier),
            ("GET Observation?subject:Group=P", modifier),
            ("GET Observation?subject:patient=P", "search_modifier_unknown"),
            ("GET Observation?patient:=P", "search_modifier_unknown"),
            ("GET Observation?patient:Patient:Patient=P", "search_modifier_unknown"),
        ],
    );
    let patients = "by patient/*.s for P +_id=P strict";
    check_all(
        patient("patient/*.s"),
        &[
            ("GET Patient?_id=P", patients),
            ("GET Patient?_id=P,P", patients),
            ("GET Patient?_id=other", other),
            ("GET Patient?_id=P,other", other),
            ("GET Patient?_id=Patient/P", other),
            ("GET Patient?_id=P&_id=other", other),
            ("GET Patient?_id:not=other", modifier),
            ("GET Patient?_id:Patient=P", modifier),
            ("GET Patient?link=Patient/other", other),
            ("GET Patient?_ID=other", "search_name_case"),
        ],
    );
}

#[test]
fn a_type_that_only_has_subject_is_narrowed_by_a_whole_reference() {
    let narrowed = "by patient/*.s for P +subject=Patient/P strict";
    check_all(patient("patient/*.s"), &[("GET AdverseEvent?date=2026", narrowed)]);
}

#[test]
fn no_type_of_any_release_is_searched_or_read_beyond_the_patient() {
    let smart = Smart::default();
    for release in [Release::R4, Release::R4B, Release::R5] {
        let api = api(release);
        let mut narrowed = 0;
        for name in release.types() {
            let decision = decided(EVERYTHING, &format!("GET {name}"), &api, &smart);
            let read = decided(EVERYTHING, &format!("GET {name}/1"), &api, &smart);
            if smart.shares(name) {
                assert!(decision.is_ok() && read.is_ok(), "{name}");
                continue;
            }
            if let Ok(permit) = &read {
                if *name == "Binary" {
                    continue;
                }
                let expected = permit.expected().unwrap_or_else(|| panic!("{release:?} {name}"));
                assert!(matches!(expected.form, Form::Resource(of) if of.name() == *name));
                assert!(!expected.proving.is_empty(), "{release:?} {name}");
            }
            if let Ok(permit) = decision {
                let form = permit.expected().map(|expected| &expected.form);
                assert!(matches!(form, Some(Form::Searchset(Some(of))) if of.name() == *name));
                let narrowing =
                    permit.narrowing().first().unwrap_or_else(|| panic!("{release:?} {name}"));
                assert!(["_id", "patient", "subject"].contains(&narrowing.name.as_str()), "{name}");
                narrowed += 1;
            }
        }
        assert!(narrowed > 50, "{release:?}: only {narrowed} types can be searched");
    }
}

#[test]
fn a_hundred_kilobytes_of_scopes_are_judged_like_a_few() {
    let api = api(Release::R4);
    let mut scope = "patient/Nothing.rs user/*.r patient/Patient.read-only ".repeat(2_000);
    scope += "patient/Observation.s";
    assert!(scope.len() > 100_000);
    let decision = decided(patient(scope.leak()), "GET Observation", &api, &Smart::default());
    let narrowed = "by patient/Observation.s for P +patient=Patient/P strict";
    assert_eq!(shown(&decision), narrowed);
}

#[test]
fn a_form_counts_like_the_query_and_both_together() {
    let other = "search_other_patient";
    check_all(
        patient("patient/*.s"),
        &[
            ("POST Observation/_search < ", "by patient/*.s for P +patient=Patient/P strict"),
            (
                "POST Observation/_search?patient=P < patient=P",
                "by patient/*.s for P +patient=Patient/P strict",
            ),
            ("POST Observation/_search < patient=other", other),
            ("POST Observation/_search?patient=P < patient=other", other),
            ("POST Observation/_search?patient=other < patient=P", other),
            ("POST Observation/_search < _include=*", "scope_insufficient"),
            ("POST Observation/_search?_include=* < code=x", "scope_insufficient"),
            ("POST Patient/_search < _id=P%2Cother", other),
        ],
    );
}

#[test]
fn a_search_without_the_patient_is_refused_when_configured_so() {
    let smart = Smart { search_without_patient: SearchWithoutPatient::Refuse, ..Smart::default() };
    let who = patient("patient/*.s");
    let named = "by patient/*.s for P +patient=Patient/P strict";
    let rows = [
        (who, "GET Observation", "search_patient_required"),
        (who, "GET Observation?code=x", "search_patient_required"),
        (who, "GET Observation?performer=Practitioner/7", "search_patient_required"),
        (who, "GET Patient?name=x", "search_patient_required"),
        (who, "GET Observation?patient=P", named),
        (who, "GET Observation?subject=Patient/P", named),
        (who, "GET Patient/P/Observation", named),
        (who, "GET Observation?patient=other", "search_other_patient"),
        (who, "GET Practitioner?name=x", "by patient/*.s for P held"),
        (clinician("user/*.s"), "GET Observation", "by user/*.s"),
    ];
    check_with(&rows, &api(Release::R4), &smart);
}

#[test]
fn unconfined_scopes_reach_as_far_as_the_type() {
    check_all(
        clinician("user/Observation.cruds user/Patient.r"),
        &[
            ("GET Patient/anyone", "by user/Patient.r"),
            ("GET Patient/anyone/_history", "by user/Patient.r"),
            ("GET Patient?name=x", "scope_insufficient"),
            ("GET Patient/_history", "scope_insufficient"),
            ("PUT Patient/anyone", "scope_insufficient"),
            ("GET Observation/1", "by user/Observation.cruds"),
            ("GET Observation?patient=anyone", "by user/Observation.cruds"),
            ("POST Observation/_search < patient=anyone", "by user/Observation.cruds"),
            ("GET Observation/_history?_since=2026-01-01", "by user/Observation.cruds"),
            ("GET Patient/anyone/Observation", "by user/Observation.cruds"),
            ("GET Practitioner/7/Observation", "by user/Observation.cruds"),
            ("GET Patient/anyone/Encounter", "scope_insufficient"),
            ("GET Patient/anyone/*", "scope_insufficient"),
            ("POST Observation", "by user/Observation.cruds"),
            ("PUT Observation/1", "by user/Observation.cruds"),
            ("PATCH Observation/1", "by user/Observation.cruds"),
            ("DELETE Observation/1", "by user/Observation.cruds"),
            ("POST Observation\nif-none-exist: identifier=x", "by user/Observation.cruds"),
            ("PUT Observation?identifier=x", "by user/Observation.cruds"),
            ("PATCH Observation?identifier=x", "by user/Observation.cruds"),
            ("DELETE Observation?identifier=x", "by user/Observation.cruds"),
            ("DELETE ?identifier=x", "scope_insufficient"),
            ("GET _history", "scope_insufficient"),
            ("GET ?_type=Observation", "by user/Observation.cruds strict held"),
            ("GET ?_type=Observation,Observation&code=x", "by user/Observation.cruds strict held"),
            ("GET ?_type=Observation,Patient", "scope_insufficient"),
            ("GET ?_type=Observation&_type=Patient", "scope_insufficient"),
            ("POST _search?_type=Observation < _type=Patient", "scope_insufficient"),
            ("GET ?_type=", "search_types_unjudged"),
            ("GET ?_type=Observation,", "search_types_unjudged"),
            ("GET ?_type=observation", "search_types_unjudged"),
            ("GET ?_type=Nothing", "search_types_unjudged"),
            ("GET ?_type:not=Patient", "scope_insufficient"),
            ("GET ?_TYPE=Observation", "scope_insufficient"),
            ("GET ?code=x", "scope_insufficient"),
            ("GET Patient/anyone/$everything", "scope_insufficient"),
            ("POST Observation/$lastn", "operation_not_listed"),
            // what a write may not carry along
            ("DELETE Observation/1?_cascade=delete", "parameter_unjudged"),
            ("DELETE Observation/1\nx-cascade: delete", "header_unjudged"),
            ("DELETE Observation?code=x\nx-cascade: delete", "header_unjudged"),
            ("POST Observation\nx-provenance: {}", "header_unjudged"),
            ("PUT Observation/1\nx-provenance: {}", "header_unjudged"),
            ("PUT Observation/1?_format=json", "by user/Observation.cruds"),
            ("POST Observation\nif-none-exist: patient.name=x", "scope_insufficient"),
            (
                "POST Observation\nif-none-exist: _has:Provenance:target:agent=x",
                "scope_insufficient",
            ),
            ("POST Observation\nif-none-exist: _include=*", "search_parameter_unjudged"),
            ("POST Observation\nif-none-exist: Patient?identifier=x", "parameter_name"),
            ("POST Observation?identifier=x", "parameter_unjudged"),
        ],
    );
    check_all(
        system("system/*.rs system/Patient.cud"),
        &[
            ("GET Observation/1", "by system/*.rs"),
            ("GET _history", "by system/*.rs"),
            ("GET Observation/_history", "by system/*.rs"),
            ("GET ", "by system/*.rs strict"),
            ("GET ?_type=Patient,Observation", "by system/*.rs strict"),
            ("GET Patient/anyone/*", "by system/*.rs"),
            ("GET Binary/1", "by system/*.rs"),
            ("PUT Patient?identifier=x", "by system/Patient.cud system/*.rs"),
            ("POST Observation", "scope_insufficient"),
            (
                "POST Patient\nif-none-exist: _has:Observation:patient:code=x",
                "by system/Patient.cud system/*.rs",
            ),
            ("DELETE Patient/1?_cascade=delete", "parameter_unjudged"),
            ("GET $export", "export_prefer_missing"),
        ],
    );
}

#[test]
fn every_interaction_needs_its_own_letters() {
    let rows = [
        ("r", "GET Observation/1"),
        ("r", "GET Observation/1/_history/1"),
        ("r", "GET Observation/1/_history"),
        ("s", "GET Observation/_history"),
        ("s", "GET Observation?code=x"),
        ("s", "GET Patient/1/Observation"),
        ("s", "GET ?_type=Observation"),
        ("c", "POST Observation"),
        ("u", "PUT Observation/1"),
        ("u", "PATCH Observation/1"),
        ("d", "DELETE Observation/1"),
        ("cs", "POST Observation\nif-none-exist: identifier=x"),
        ("cus", "PUT Observation?identifier=x"),
        ("us", "PATCH Observation?identifier=x"),
        ("ds", "DELETE Observation?identifier=x"),
    ];
    for (needed, request) in rows {
        for bits in 1..32_u32 {
            let granted: String = "cruds"
                .chars()
                .enumerate()
                .filter_map(|(i, letter)| (bits >> i & 1 == 1).then_some(letter))
                .collect();
            let scope: &'static str =
                Box::leak(format!("user/Observation.{granted}").into_boxed_str());
            let decision = decided(clinician(scope), request, &api(Release::R4), &Smart::default());
            let suffices = needed.chars().all(|letter| granted.contains(letter));
            match decision {
                Ok(permit) => {
                    assert!(suffices, "{scope} allowed {request}");
                    assert_eq!(permit.allowed_by(), Some(scope));
                }
                Err(refusal) => {
                    assert!(!suffices, "{scope} refused {request}");
                    assert_eq!(refusal.reason.code, "scope_insufficient");
                    let scope = format!("user/Observation.{needed}");
                    assert_eq!(refusal.scope.as_deref(), Some(scope.as_str()), "{request}");
                }
            }
        }
    }
}

#[test]
fn what_is_missing_is_named_as_the_smallest_scope_that_would_do() {
    let rows = [
        (patient("patient/Patient.rs"), "GET Observation?code=x", "patient/Observation.s"),
        (patient("patient/Patient.r"), "GET Patient?_id=P", "patient/Patient.s"),
        (clinician("user/Patient.r"), "PUT Patient?name=x", "user/Patient.cus"),
        (clinician("user/Patient.r"), "GET _history", "user/*.s"),
        (
            system("system/Patient.s"),
            "GET ?_type=Patient,Observation",
            "system/Patient.s system/Observation.s",
        ),
        (patient("openid launch/patient"), "GET Observation/1", "patient/Observation.r"),
        (clinician("openid fhirUser"), "GET Observation/1", "user/Observation.r"),
        (system(""), "GET Observation/1", "system/Observation.r"),
        (clinician("user/Observation.rs?nothing=x"), "GET Observation/1", "user/Observation.r"),
        (system("patient/Observation.rs"), "GET Observation", "launch/patient"),
        (system("user/Observation.rs"), "GET Observation", "openid fhirUser"),
    ];
    for (who, request, expected) in rows {
        let refusal = decided(who, request, &api(Release::R4), &Smart::default()).unwrap_err();
        assert_eq!(refusal.reason.challenge, crate::base::refusal::Challenge::InsufficientScope);
        assert_eq!(refusal.scope.as_deref(), Some(expected), "{who:?} {request}");
    }
}

#[test]
fn contexts_are_judged_apart() {
    let both = Who { user: Some("Practitioner/7"), ..patient("") };
    check(&[
        // patient/
        (
            Who { patient: None, ..patient("patient/*.cruds") },
            "GET Patient/P",
            "scope_patient_missing",
        ),
        (
            Who { patient: None, ..patient("patient/*.cruds") },
            "GET Observation",
            "scope_patient_missing",
        ),
        (
            Who { patient: Some("Patient/P"), ..EVERYTHING },
            "GET Patient/P",
            "scope_patient_invalid",
        ),
        (Who { patient: Some(""), ..EVERYTHING }, "GET Patient/P", "scope_patient_invalid"),
        (
            Who { patient: Some("P,other"), ..EVERYTHING },
            "GET Observation",
            "scope_patient_invalid",
        ),
        (
            Who { patient: None, ..patient("patient/Patient.r") },
            "GET Observation/1",
            "scope_insufficient",
        ),
        // user/
        (system("user/*.cruds"), "GET Patient/1", "scope_user_missing"),
        (user("user/*.rs", "Practitioner/7"), "GET Patient/1", "by user/*.rs"),
        (user("user/*.rs", "PractitionerRole/7"), "GET Patient/1", "by user/*.rs"),
        (
            user("user/*.rs", "https://ehr.example/r4/Practitioner/7"),
            "GET Patient/1",
            "by user/*.rs",
        ),
        (user("user/*.rs", "Patient/P"), "GET Patient/P", "by user/*.rs for P held"),
        (user("user/*.rs", "Patient/P"), "GET Patient/other", "compartment_other_patient"),
        (
            user("user/*.rs", "Patient/P"),
            "GET Observation",
            "by user/*.rs for P +patient=Patient/P strict",
        ),
        (user("user/*.rs", "Patient/P"), "GET Observation/1", "by user/*.rs for P held"),
        (
            user("user/*.rs", "https://api.example/fhir/Patient/P"),
            "GET Patient/P",
            "by user/*.rs for P held",
        ),
        (
            user("user/*.rs", "https://else.example/fhir/Patient/P"),
            "GET Patient/P",
            "scope_user_elsewhere",
        ),
        (
            user("user/*.rs", "https://api.example/fhir2/Patient/P"),
            "GET Patient/P",
            "scope_user_elsewhere",
        ),
        (user("user/*.rs", "RelatedPerson/5"), "GET Patient/P", "scope_user_patient_missing"),
        (
            Who { user: Some("RelatedPerson/5"), ..patient("user/*.rs") },
            "GET Patient/P",
            "by user/*.rs for P held",
        ),
        (
            Who { user: Some("RelatedPerson/5"), ..patient("user/*.rs") },
            "GET Patient/other",
            "compartment_other_patient",
        ),
        (
            Who { patient: Some("a/b"), ..user("user/*.rs", "RelatedPerson/5") },
            "GET Patient/P",
            "scope_user_patient_missing",
        ),
        (user("user/*.rs", "Person/5"), "GET Patient/P", "scope_user_type"),
        (user("user/*.rs", "Device/5"), "GET Patient/P", "scope_user_type"),
        (user("user/*.rs", "practitioner/5"), "GET Patient/P", "scope_user_type"),
        (user("user/*.rs", "Practitioner"), "GET Patient/P", "scope_user_invalid"),
        (user("user/*.rs", "Practitioner/"), "GET Patient/P", "scope_user_invalid"),
        (user("user/*.rs", "/Practitioner/1"), "GET Patient/P", "scope_user_invalid"),
        (user("user/*.rs", "Practitioner/1 "), "GET Patient/P", "scope_user_invalid"),
        (user("user/*.rs", "Practitioner/1/_history/2"), "GET Patient/P", "scope_user_invalid"),
        (user("user/*.rs", "https://Practitioner/1"), "GET Patient/P", "scope_user_invalid"),
        (
            user("user/*.rs", "https://x.example/Patient/1?x=/Practitioner/1"),
            "GET Patient/P",
            "scope_user_invalid",
        ),
        (
            user("user/*.rs", "https://x.example/#/Practitioner/1"),
            "GET Patient/P",
            "scope_user_invalid",
        ),
        (
            user("user/*.rs", "ftp://x.example/Practitioner/1"),
            "GET Patient/P",
            "scope_user_invalid",
        ),
        (user("user/*.rs", ""), "GET Patient/P", "scope_user_invalid"),
        // system/
        (system("system/*.rs"), "GET Patient/1", "by system/*.rs"),
        (patient("system/*.rs"), "GET Patient/P", "scope_system_with_user"),
        (clinician("system/*.rs"), "GET Patient/1", "scope_system_with_user"),
        // together
        (
            Who { scope: "patient/Patient.r user/Observation.rs", ..both },
            "GET Observation",
            "by user/Observation.rs",
        ),
        (
            Who { scope: "patient/Patient.r user/Observation.rs", ..both },
            "GET Patient/P",
            "by patient/Patient.r for P held",
        ),
        (
            Who { scope: "patient/Patient.r user/Observation.rs", ..both },
            "GET Patient/1",
            "compartment_other_patient",
        ),
        (
            Who { scope: "patient/Patient.r user/Observation.rs", ..both },
            "GET Encounter/1",
            "scope_insufficient",
        ),
        (
            Who { scope: "patient/*.rs user/*.rs", user: Some("Patient/A"), ..both },
            "GET Patient/A",
            "by user/*.rs for A held",
        ),
        (
            Who { scope: "patient/*.rs user/*.rs", user: Some("Patient/A"), ..both },
            "GET Observation",
            "by patient/*.rs user/*.rs +patient=Patient/P,Patient/A strict",
        ),
        (
            Who { scope: "patient/*.rs user/*.rs", user: Some("Patient/A"), ..both },
            "GET Observation?patient=A",
            "by user/*.rs for A +patient=Patient/A strict",
        ),
        (
            Who { scope: "patient/*.rs user/*.rs", user: Some("Patient/A"), ..both },
            "GET Observation?patient=P,A",
            "search_other_patient",
        ),
    ]);
}

#[test]
fn scopes_that_are_not_clinical_or_not_of_the_release_grant_nothing() {
    for scope in [
        "",
        "openid fhirUser launch/patient offline_access online_access profile launch",
        "patient/Observation.sr",
        "patient/Observation.rs?",
        "patient/Observation.read-only",
        "patient/Observations.rs",
        "patient/observation.rs",
        "patient/Medicines.cruds",
        "Patient/*.cruds",
        "patient/*.cruds\t",
        "patient/*.cruds,user/*.cruds",
    ] {
        for request in ["GET Observation", "GET Patient/P", "GET Observation/1", "POST Observation"]
        {
            check(&[(patient(scope), request, "scope_insufficient")]);
        }
    }
    // DeviceUsage came with R5, DeviceUseStatement went.
    let r5 = api(Release::R5);
    let rows = [
        (system("system/DeviceUsage.rs"), "GET DeviceUsage", "by system/DeviceUsage.rs"),
        (system("system/DeviceUseStatement.rs"), "GET DeviceUsage", "scope_insufficient"),
    ];
    check_with(&rows, &r5, &Smart::default());
    check(&[(system("system/DeviceUsage.rs"), "GET DeviceUseStatement", "scope_insufficient")]);
}

#[test]
fn scopes_add_up_and_the_ones_that_allowed_it_are_named() {
    check(&[
        (
            clinician("user/Observation.c user/Observation.s"),
            "POST Observation\nif-none-exist: code=x",
            "by user/Observation.c user/Observation.s",
        ),
        (
            clinician("user/*.s user/Observation.c"),
            "POST Observation\nif-none-exist: code=x",
            "by user/Observation.c user/*.s",
        ),
        (
            clinician("user/Observation.read user/Observation.write"),
            "PUT Observation?code=x",
            "by user/Observation.write user/Observation.read",
        ),
        (
            clinician("user/Observation.r user/Observation.cruds user/*.cruds"),
            "GET Observation/1",
            "by user/Observation.r",
        ),
        (system("system/*.*"), "DELETE ?code=x", "by system/*.*"),
    ]);
}

#[test]
fn public_documents_need_no_token_and_no_scope() {
    let api = api(Release::R4);
    for text in ["GET metadata", "GET .well-known/smart-configuration"] {
        let (_, request) = routed(text, &api);
        let permit = public(&request.interaction).unwrap();
        assert_eq!(shown(&Ok(permit)), "by nothing", "{text}");
        check(&[(system(""), text, "by nothing")]);
    }
    for text in ["GET Patient/P", "GET Patient", "POST ", "GET $export", "GET _history"] {
        let (_, request) = routed(text, &api);
        assert!(public(&request.interaction).is_none(), "{text}");
    }
}

#[test]
fn every_refusal_but_those_of_form_is_forbidden_and_its_code_is_its_own() {
    let mut codes: Vec<&str> = reasons::ALL.iter().map(|reason| reason.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), reasons::ALL.len());
    for reason in reasons::ALL {
        let (status, issue) = match reason.code {
            "head_unjudged" => (405, "not-supported"),
            "format_unjudged" => (406, "not-supported"),
            "conditional_criteria" => (400, "invalid"),
            "conditional_no_match" => (404, "not-found"),
            "conditional_many_matches" => (412, "multiple-matches"),
            "probe_too_long" => (502, "too-long"),
            "write_version_conflict" => (412, "conflict"),
            "probe_failed" => (503, "transient"),
            "probe_unreadable" | "probe_version_missing" => (502, "exception"),
            "export_prefer_missing" => (400, "invalid"),
            _ => (403, "forbidden"),
        };
        assert_eq!((reason.status, reason.issue, reason.public), (status, issue, reason.code));
    }
}

#[test]
fn the_decision_page_names_every_reason() {
    let page = include_str!("../../docs/decisions.md");
    for reason in reasons::ALL {
        let code = format!("`{}`", reason.code);
        assert!(page.contains(&code), "docs/decisions.md lacks {code}");
    }
}

#[test]
fn settings_have_the_documented_defaults_and_name_what_is_wrong() {
    use crate::config::section::read_document;
    use serde_json::json;

    let (smart, errors) = read_document(&json!({}), Smart::read);
    assert_eq!((smart, errors), (Smart::default(), Vec::new()));
    let document = json!({"search_without_patient": "refuse", "shared_types": ["Questionnaire"]});
    let (smart, errors) = read_document(&document, Smart::read);
    assert_eq!(errors, Vec::new());
    assert_eq!(smart.search_without_patient, SearchWithoutPatient::Refuse);
    let rows = [
        (patient("patient/*.rs"), "GET Questionnaire/1", "by patient/*.rs for P held"),
        (patient("patient/*.rs"), "GET Practitioner/1", "compartment_type_outside"),
    ];
    check_with(&rows, &api(Release::R4), &smart);
    for wrong in [
        json!({"search_without_patient": "allow"}),
        json!({"shared_types": ["Patient"]}),
        json!({"shared_types": ["Binary"]}),
        json!({"shared_types": ["practitioner"]}),
        json!({"shared_types": ["*"]}),
        json!({"shared_types": [""]}),
        json!({"shared_types": [1]}),
        json!({"shared_types": "Practitioner"}),
        json!({"shared_type": []}),
        json!({"membership": "owner"}),
    ] {
        let (_, errors) = read_document(&wrong, Smart::read);
        assert_eq!(errors.len(), 1, "{wrong}: {errors:?}");
    }
}

#[test]
fn no_type_whose_resources_are_about_a_patient_can_be_shared() {
    use crate::config::section::read_document;
    use crate::fhir::compartment::{is_in_patient_compartment, reference_targets};

    let mut seen = 0;
    for release in [Release::R4, Release::R4B, Release::R5] {
        for name in release.types() {
            let resource = crate::fhir::ResourceType::parse(release, name).unwrap();
            let about = reference_targets(release, resource, "patient").is_some();
            if about && !is_in_patient_compartment(release, resource) {
                seen += 1;
                let document = serde_json::json!({"shared_types": [name]});
                let (_, errors) = read_document(&document, Smart::read);
                assert_eq!(errors.len(), 1, "{release:?} {name} can be shared");
            }
        }
    }
    assert!(seen >= 9, "found only {seen} such types");
}

#[test]
fn a_compartment_type_that_is_listed_as_shared_is_still_confined() {
    use crate::config::section::read_document;

    let document = serde_json::json!({"shared_types": ["Observation"]});
    let (smart, _) = read_document(&document, Smart::read);
    let rows = [
        (patient("patient/*.rs"), "GET Observation/1", "by patient/*.rs for P held"),
        (
            patient("patient/*.rs"),
            "GET Observation",
            "by patient/*.rs for P +patient=Patient/P strict",
        ),
    ];
    check_with(&rows, &api(Release::R4), &smart);
}
