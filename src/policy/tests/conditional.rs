//! Conditional writes: what the criteria find is looked up, judged and written by its id.

use super::writes::{JSON, MINE, NEW, PATCH, THEIRS, rows, with_cluster};
use super::*;
use crate::fhir::membership::Membership;

/// What is asked for `identifier=x`.
const LOOKUP: &str = "Observation?identifier=x&patient=Patient%2FP";

fn other(id: &str) -> String {
    MINE.replace("\"1\"", &format!("\"{id}\""))
}

#[track_caller]
fn check_found(who: Who, smart: &Smart, lookup: &str, found: &[&str], rows: &[(&str, &str, &str)]) {
    let found = searchset(found);
    for (request, body, expected) in rows {
        let media_type = if request.starts_with("PATCH") { PATCH } else { JSON };
        let text = match request.starts_with("DELETE") {
            true => (*request).to_owned(),
            false => format!("{request}\n{media_type}"),
        };
        let stored = [(lookup, found.as_str())];
        let got = settled(who, &text, body, &stored, &with_cluster(), smart);
        assert_eq!(got, *expected, "{request} {body} {found}");
    }
}

const CREATE: &str = "POST Observation\nif-none-exist: identifier=x";
const UPDATE: &str = "PUT Observation?identifier=x";
const PATCHES: &str = "PATCH Observation?identifier=x";
const DELETE: &str = "DELETE Observation?identifier=x";

#[test]
fn one_match_is_written_by_its_id_in_the_version_that_was_judged() {
    let by = "by patient/*.cruds for P";
    let here = format!("{by} on 1 at W/\"7\" held");
    let named = format!("{by} on 1, named at W/\"7\" held");
    let created = format!("{by} anew if no _id=1 strict held");
    let shaped = format!("{by} on 1?_format=json&_pretty=true at W/\"7\" held");
    let table = [
        (CREATE, NEW, created.as_str()),
        (UPDATE, NEW, &named),
        (UPDATE, MINE, &here),
        (UPDATE, &other("2"), "body_id"),
        (UPDATE, THEIRS, "write_not_member"),
        (PATCHES, "[]", &here),
        (DELETE, "", &here),
        // how the answer is shaped is no criterion
        ("DELETE Observation?_format=json&identifier=x&_pretty=true", "", &shaped),
        // the client's own condition holds too
        ("DELETE Observation?identifier=x\nif-match: W/\"7\"", "", &here),
        ("DELETE Observation?identifier=x\nif-match: W/\"6\"", "", "write_version_conflict"),
        ("PUT Observation?identifier=x\nif-none-match: *", NEW, "write_version_conflict"),
    ];
    // A server that ignores what narrows the search shows others' as well.
    let group = r#"{"resourceType":"Group","id":"P"}"#;
    for found in [&[MINE][..], &[THEIRS, MINE], &[MINE, THEIRS, THEIRS, group]] {
        check_found(EVERYTHING, &Smart::default(), LOOKUP, found, &table);
    }
}

#[test]
fn what_is_not_the_clients_is_as_if_it_were_not_there() {
    let anew = "by patient/*.cruds for P anew if no identifier=x&patient=Patient%2FP strict held";
    let table = [
        (CREATE, NEW, anew),
        (UPDATE, NEW, anew),
        // servers would overwrite or create it
        (UPDATE, MINE, "conditional_id"),
        ("PUT Observation?identifier=x\nif-match: W/\"7\"", NEW, "write_version_conflict"),
        (PATCHES, "[]", "conditional_no_match"),
        (DELETE, "", "conditional_no_match"),
    ];
    let no_version =
        r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/Q"}}"#;
    let group = r#"{"resourceType":"Group","id":"P"}"#;
    for found in [&[][..], &[THEIRS], &[THEIRS, THEIRS], &[group, no_version, THEIRS]] {
        check_found(EVERYTHING, &Smart::default(), LOOKUP, found, &table);
    }
}

#[test]
fn several_matches_are_none_that_is_meant() {
    let table = [
        (CREATE, NEW, "conditional_many_matches"),
        (UPDATE, NEW, "conditional_many_matches"),
        (UPDATE, MINE, "conditional_many_matches"),
        (PATCHES, "[]", "conditional_many_matches"),
        (DELETE, "", "conditional_many_matches"),
    ];
    let two = other("2");
    for found in [&[MINE, MINE][..], &[MINE, THEIRS, &two]] {
        check_found(EVERYTHING, &Smart::default(), LOOKUP, found, &table);
    }
}

#[test]
fn criteria_are_judged_before_anything_is_looked_up() {
    rows(
        EVERYTHING,
        &[
            ("POST Observation\nif-none-exist: patient=Q", NEW, &[], "search_other_patient"),
            ("PUT Observation?patient=Q", NEW, &[], "search_other_patient"),
            ("DELETE Observation?performer=Patient/Q", "", &[], "search_other_patient"),
            ("DELETE Observation?_include=*", "", &[], "search_parameter_unjudged"),
            ("DELETE Observation?_list=1", "", &[], "search_list_unjudged"),
            // what chooses among several matches
            ("DELETE Observation?code=x&_count=1", "", &[], "search_parameter_unjudged"),
            ("PATCH Observation?code=x&_sort=date", "[]", &[], "search_parameter_unjudged"),
            ("PUT Observation?code=x&%5Foffset=1", NEW, &[], "search_parameter_unjudged"),
            (
                "POST Observation\nif-none-exist: code=x&_summary=count",
                NEW,
                &[],
                "search_parameter_unjudged",
            ),
            ("DELETE ?identifier=x", "", &[], "conditional_unjudged"),
            ("DELETE Group?identifier=x", "", &[], "search_subject_unknown"),
            (
                "PUT Patient?identifier=x",
                r#"{"resourceType":"Patient"}"#,
                &[],
                "compartment_other_patient",
            ),
        ],
    );
    let api = api(Release::R4);
    for request in [CREATE, UPDATE] {
        let text = format!("{request}\n{JSON}");
        let got = settled(EVERYTHING, &text, NEW, &[], &api, &Smart::default());
        assert_eq!(got, "probe_unconfigured", "{request}");
    }
}

#[test]
fn by_definition_the_compartment_is_searched_and_no_condition_goes_on() {
    let smart = Smart { membership: Membership::Definition, ..Smart::default() };
    let performed = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"subject":{"reference":"Group/G"},"performer":[{"reference":"Patient/P"}]}"#;
    let by = "by patient/*.cruds for P";
    let lookup = "Patient/P/Observation?identifier=x";
    let one = [
        (CREATE, NEW, format!("{by} anew if no _id=1 strict held")),
        (UPDATE, NEW, format!("{by} on 1, named at W/\"7\" held")),
        (DELETE, "", format!("{by} on 1 at W/\"7\" held")),
    ];
    let one: Vec<_> =
        one.iter().map(|(request, body, to)| (*request, *body, to.as_str())).collect();
    check_found(EVERYTHING, &smart, lookup, &[performed], &one);
    let anew = format!("{by} anew held");
    let none = [
        (CREATE, NEW, anew.as_str()),
        (UPDATE, NEW, &anew),
        (DELETE, "", "conditional_no_match"),
        ("DELETE Observation?patient=Q", "", "search_other_patient"),
        ("DELETE Binary?_id=x", "", "search_subject_unknown"),
    ];
    check_found(EVERYTHING, &smart, lookup, &[THEIRS], &none);
}

#[test]
fn granular_scopes_hold_for_what_criteria_find() {
    let of = |id: &str, status: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"7"}},"status":"{status}"}}"#
        )
    };
    let (last, first) = (of("1", "final"), of("2", "preliminary"));
    let new = r#"{"resourceType":"Observation","status":"final"}"#;
    let lookup = "Observation?identifier=x&status=final";
    let by = "by user/Observation.cuds?status=final";
    let who = clinician("user/Observation.cuds?status=final");
    let (here, named) =
        (format!("{by} on 1 at W/\"7\" held"), format!("{by} on 1, named at W/\"7\" held"));
    let one = [(UPDATE, new, named.as_str()), (DELETE, "", here.as_str())];
    check_found(who, &Smart::default(), lookup, &[&first, &last], &one);
    let anew = format!("{by} anew if no identifier=x&status=final strict held");
    let none = [
        (CREATE, new, anew.as_str()),
        (UPDATE, new, &anew),
        (UPDATE, &first.replace(r#""id":"2","#, ""), "write_out_of_scope"),
        (PATCHES, "[]", "conditional_no_match"),
        (DELETE, "", "conditional_no_match"),
    ];
    check_found(who, &Smart::default(), lookup, &[&first], &none);
    // what may be searched and not written is not what is meant
    let who = clinician("user/Observation.s user/Observation.ud?status=final");
    let plain = "Observation?identifier=x";
    let by = "by user/Observation.ud?status=final user/Observation.s on 1 at W/\"7\" held";
    check_found(who, &Smart::default(), plain, &[&first, &last], &[(DELETE, "", by)]);
    // several scopes that no one search can say: neither can a condition
    let scope = "user/Observation.cus?status=final user/Observation.cus?code=x&category=y";
    let anew = format!("by {scope} anew held");
    check_found(clinician(scope), &Smart::default(), plain, &[&first], &[(CREATE, new, &anew)]);
}

#[test]
fn a_server_that_does_not_say_what_it_finds_decides_nothing() {
    let answers = [
        (500, String::new(), "probe_failed"),
        (404, String::new(), "probe_failed"),
        (400, String::new(), "conditional_criteria"),
        (200, "x".to_owned(), "probe_unreadable"),
        (200, MINE.to_owned(), "probe_unreadable"),
        (200, searchset(&[]).replace("searchset", "history"), "probe_unreadable"),
        (200, searchset(&[&MINE.replace("versionId", "version")]), "probe_version_missing"),
        (
            200,
            searchset(&[MINE]).replace("}]}", &format!("}}],\"x\":\"{}\"}}", "x".repeat(4 << 20))),
            "probe_too_long",
        ),
    ];
    let api = with_cluster();
    for (status, body, expected) in answers {
        let mut known = Stored::default();
        let evidence = Evidence::new(Some(b""), &known);
        let decision = asked(EVERYTHING, DELETE, evidence, &api, &Smart::default());
        let Ok(Decision::Stored(lookups)) = decision else { panic!("{decision:?}") };
        let [lookup] = <[Lookup; 1]>::try_from(lookups).unwrap();
        assert_eq!(lookup.target(), format!("{LOOKUP}&_count=10"));
        known.answered(lookup, Ok(HttpAnswer { status, etag: None, body: body.into() })).unwrap();
        let evidence = Evidence::new(Some(b""), &known);
        let refusal = asked(EVERYTHING, DELETE, evidence, &api, &Smart::default()).unwrap_err();
        assert_eq!(refusal.reason.code, expected, "{status}");
    }
}
