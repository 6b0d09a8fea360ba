//! Binaries of which another resource tells whose they are.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::node;

const JSON: &str = "content-type: application/fhir+json";
const READER: Who = patient("patient/*.r");

fn with_cluster() -> Api {
    Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) }
}

/// The Binary `b` in version 7 with this `securityContext`.
fn binary(reference: &str) -> String {
    format!(
        r#"{{"resourceType":"Binary","id":"b","meta":{{"versionId":"7"}},"securityContext":{{"reference":"{reference}"}},"data":"eA=="}}"#
    )
}

/// The DocumentReference `d` about this patient.
fn letter(subject: &str) -> String {
    format!(
        r#"{{"resourceType":"DocumentReference","id":"d","meta":{{"versionId":"2"}},"status":"current","subject":{{"reference":"{subject}"}}}}"#
    )
}

/// What is decided with these stored, all of them, and nothing else.
fn decision(
    who: Who,
    text: &str,
    body: &str,
    stored: &[(&str, &str)],
    smart: &Smart,
) -> Result<(Permit, Vec<String>), String> {
    let (mut known, mut looked_up) = (Stored::default(), Vec::new());
    let api = with_cluster();
    for _ in 0..5 {
        let evidence = Evidence::new(Some(body.as_bytes()), &known);
        let refused = |refusal: Refusal| refusal.reason.code.to_owned();
        match asked(who, text, evidence, &api, smart).map_err(refused)? {
            Decision::Permit(permit) => return Ok((*permit, looked_up)),
            Decision::Body => panic!("the body is there"),
            Decision::Stored(lookups) => {
                for lookup in lookups {
                    let name = lookup.target();
                    let found = stored.iter().find(|(path, _)| *path == name);
                    let status = if found.is_some() { "200" } else { "404" };
                    let body = found.map(|(_, body)| (*body).to_owned()).unwrap_or_default();
                    let status = [(b":status".to_vec(), status.into())];
                    known
                        .answered(lookup, HttpAnswer::read(&status, body.into()))
                        .map_err(refused)?;
                    looked_up.push(name);
                }
            }
        }
    }
    panic!("{text}: asked again and again");
}

/// Whether a read of `Binary/b` goes on and its answer passes.
fn shows(who: Who, request: &str, stored: &[(&str, &str)], answer: &str) -> bool {
    let smart = Smart::default();
    let Ok((permit, _)) = decision(who, request, "", stored, &smart) else { return false };
    // For those who may have anybody's the answer is not looked at.
    let Some(expected) = permit.expected() else { return true };
    expected.sight.sees(&node::read(answer.as_bytes()).unwrap(), By::Read, &with_cluster(), &smart)
}

/// A `securityContext`, what is stored of it, what is decided, and what is looked up besides the Binary.
type Row<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a Result<String, String>, &'a [&'a str]);

#[test]
fn a_binary_is_the_patients_when_what_it_refers_to_is() {
    let (mine, theirs, own) =
        (letter("Patient/P"), letter("Patient/Q"), r#"{"resourceType":"Patient","id":"P"}"#);
    let organization = r#"{"resourceType":"Organization","id":"o"}"#;
    let other =
        r#"{"resourceType":"Binary","id":"other","securityContext":{"reference":"Patient/P"}}"#;
    let visit = r#"{"resourceType":"Encounter","id":"e","subject":{"reference":"Patient/P"}}"#;
    let held = Ok("by patient/*.r for P held".to_owned());
    let no = Err("compartment_not_member".to_owned());
    let at_d = ("DocumentReference/d", mine.as_str());
    let rows: [Row<'_>; 18] = [
        ("Patient/P", None, &held, &[]),
        ("Patient/P", Some(("Patient/P", own)), &held, &[]),
        ("Patient/Q", None, &no, &[]),
        ("DocumentReference/d", Some(at_d), &held, &["DocumentReference/d"]),
        (
            "https://api.example/fhir/DocumentReference/d",
            Some(at_d),
            &held,
            &["DocumentReference/d"],
        ),
        ("Encounter/e", Some(("Encounter/e", visit)), &held, &["Encounter/e"]),
        (
            "DocumentReference/d",
            Some(("DocumentReference/d", theirs.as_str())),
            &no,
            &["DocumentReference/d"],
        ),
        ("DocumentReference/d", None, &no, &["DocumentReference/d"]),
        // nothing of this is looked up
        ("DocumentReference/d/_history/1", Some(at_d), &no, &[]),
        ("https://other.example/fhir/DocumentReference/d", Some(at_d), &no, &[]),
        ("Organization/o", Some(("Organization/o", organization)), &no, &[]),
        ("Binary/other", Some(("Binary/other", other)), &no, &[]),
        ("Binary/b", None, &no, &[]),
        ("#d", Some(at_d), &no, &[]),
        ("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", Some(at_d), &no, &[]),
        ("DocumentReference?identifier=x", Some(at_d), &no, &[]),
        ("DocumentReference/d/", Some(at_d), &no, &[]),
        ("documentreference/d", Some(at_d), &no, &[]),
    ];
    for (reference, stored, expected, looked_up) in rows {
        for request in ["GET Binary/b", "GET Binary/b/_history/7"] {
            let found = binary(reference);
            let all: Vec<_> = [("Binary/b", found.as_str())].into_iter().chain(stored).collect();
            let got = decision(READER, request, "", &all, &Smart::default());
            if let Ok((_, asked)) = &got {
                assert_eq!(asked[0], "Binary/b");
                assert_eq!(asked[1..], *looked_up, "{request} {reference}");
            }
            let got = got.map(|(permit, _)| shown(&Ok(permit)));
            assert_eq!(got, *expected, "{request} {reference}");
            assert_eq!(shows(READER, request, &all, &found), expected.is_ok(), "{reference}");
        }
    }
    let missing = decision(READER, "GET Binary/b", "", &[], &Smart::default());
    assert_eq!(missing.map(|_| String::new()), no);
}

#[test]
fn the_answer_must_be_that_binary_with_the_context_that_was_looked_up() {
    let (asked, mine) = (binary("DocumentReference/d"), letter("Patient/P"));
    let stored = [("Binary/b", asked.as_str()), ("DocumentReference/d", mine.as_str())];
    let absolute = binary("https://api.example/fhir/DocumentReference/d");
    let rows = [
        (asked.clone(), true),
        (binary("Patient/P"), true),
        // the same in other words was not looked up
        (absolute, false),
        (binary("DocumentReference/e"), false),
        (binary("Patient/Q"), false),
        (asked.replace(r#""id":"b""#, r#""id":"c""#), false),
        (asked.replace(r#""id":"b","#, ""), false),
        (asked.replace(r#""resourceType":"Binary""#, r#""resourceType":"Observation""#), false),
        (
            asked.replace(
                r#"{"reference":"DocumentReference/d"}"#,
                r#"[{"reference":"DocumentReference/d"}]"#,
            ),
            false,
        ),
        (
            asked.replace(
                r#""data""#,
                r#""contained":[{"resourceType":"Patient","id":"Q"}],"data""#,
            ),
            false,
        ),
    ];
    for (answer, passes) in rows {
        assert_eq!(shows(READER, "GET Binary/b", &stored, &answer), passes, "{answer}");
    }
}

#[test]
fn what_tells_must_be_readable_in_the_same_context() {
    let (asked, mine, theirs) =
        (binary("DocumentReference/d"), letter("Patient/P"), letter("Patient/Q"));
    let q = |scope| Who { user: Some("Patient/Q"), ..patient(scope) };
    let rows = [
        (patient("patient/Binary.r patient/DocumentReference.r"), &mine, true),
        (patient("patient/Binary.r patient/DocumentReference.r?status=current"), &mine, true),
        (patient("patient/Binary.r patient/DocumentReference.r?status=superseded"), &mine, false),
        (patient("patient/Binary.r patient/DocumentReference.cuds"), &mine, false),
        (patient("patient/Binary.r"), &mine, false),
        (patient("patient/DocumentReference.r"), &mine, false),
        (q("patient/Binary.r user/DocumentReference.r"), &mine, false),
        (q("patient/Binary.r user/DocumentReference.r"), &theirs, false),
        (q("patient/*.r user/Binary.r"), &theirs, false),
        (q("patient/*.r user/Binary.r user/DocumentReference.r"), &theirs, true),
        (q("patient/Binary.r user/*.r"), &mine, false),
        // a granular scope on what is anybody's does not stand before what the patient's context adds
        (
            Who { user: Some("Practitioner/7"), ..patient("patient/*.r user/Binary.r?_tag=x") },
            &mine,
            true,
        ),
    ];
    for (who, letter, shown) in rows {
        let stored = [("Binary/b", asked.as_str()), ("DocumentReference/d", letter.as_str())];
        assert_eq!(shows(who, "GET Binary/b", &stored, &asked), shown, "{who:?} {letter}");
    }
}

#[test]
fn with_an_encounter_in_context_what_tells_is_of_that_encounter() {
    let smart = Smart { encounter: EncounterContext::Confine, ..Smart::default() };
    let who = Who { encounter: Some("E"), ..READER };
    let asked = binary("DocumentReference/d");
    for (encounter, passes) in [("Encounter/E", true), ("Encounter/F", false)] {
        let context =
            format!(r#""context":{{"encounter":[{{"reference":"{encounter}"}}]}},"subject""#);
        let letter = letter("Patient/P").replace(r#""subject""#, &context);
        let stored = [("Binary/b", asked.as_str()), ("DocumentReference/d", letter.as_str())];
        let got = decision(who, "GET Binary/b", "", &stored, &smart);
        assert_eq!(got.is_ok(), passes, "{encounter}: {got:?}");
    }
}

#[test]
fn nothing_is_looked_up_of_what_is_refused_or_judged_anyway() {
    let rows = [
        (READER, "GET Binary/b\naccept: application/pdf", "format_unjudged"),
        (READER, "HEAD Binary/b", "head_unjudged"),
        (READER, "GET Binary/b/_history", "by patient/*.r for P held"),
        (patient("patient/Observation.r"), "GET Binary/b", "scope_insufficient"),
        (clinician("user/Binary.r"), "GET Binary/b", "by user/Binary.r"),
        (clinician("user/Binary.r?_tag=x"), "GET Binary/b", "by user/Binary.r?_tag=x held"),
    ];
    check_with(&rows, &with_cluster(), &Smart::default());
    check(&[(READER, "GET Binary/b", "by patient/*.r for P held")]);
}

#[test]
fn what_is_written_may_refer_to_what_the_client_reads_of_the_patients() {
    let (context, mine, theirs) =
        (binary("DocumentReference/d"), letter("Patient/P"), letter("Patient/Q"));
    let direct = binary("Patient/P");
    let at = |binary, letter| [("Binary/b", binary), ("DocumentReference/d", letter)];
    let by = "by patient/*.cruds for P";
    let rows = [
        (EVERYTHING, "POST Binary", &context, at("", &mine), format!("{by} held")),
        (EVERYTHING, "POST Binary", &context, at("", &theirs), "compartment_not_member".into()),
        (
            patient("patient/Binary.c"),
            "POST Binary",
            &context,
            at("", &mine),
            "compartment_not_member".into(),
        ),
        (EVERYTHING, "PUT Binary/b", &context, at(&direct, &mine), format!("{by} at W/\"7\" held")),
        (
            EVERYTHING,
            "PUT Binary/b",
            &context,
            at(&context, &mine),
            format!("{by} at W/\"7\" held"),
        ),
        (EVERYTHING, "PUT Binary/b", &direct, at(&context, &mine), format!("{by} at W/\"7\" held")),
        (
            EVERYTHING,
            "PUT Binary/b",
            &direct,
            at(&context, &theirs),
            "compartment_not_member".into(),
        ),
        (
            EVERYTHING,
            "DELETE Binary/b",
            &direct,
            at(&context, &mine),
            format!("{by} at W/\"7\" held"),
        ),
        (
            EVERYTHING,
            "DELETE Binary/b",
            &direct,
            at(&context, &theirs),
            "compartment_not_member".into(),
        ),
    ];
    for (who, request, body, stored, expected) in rows {
        let text = format!("{request}\n{JSON}");
        let text = if request.starts_with("DELETE") { request } else { &text };
        let got = settled(who, text, body, &stored, &with_cluster(), &Smart::default());
        assert_eq!(got, expected, "{who:?} {request} {body} {stored:?}");
    }
    let missing = settled(
        EVERYTHING,
        &format!("POST Binary\n{JSON}"),
        &context,
        &[],
        &with_cluster(),
        &Smart::default(),
    );
    assert_eq!(missing, "compartment_not_member");
    let blind = settled(
        EVERYTHING,
        &format!("POST Binary\n{JSON}"),
        &context,
        &[],
        &api(Release::R4),
        &Smart::default(),
    );
    assert_eq!(blind, "probe_unconfigured");
    let unknown = binary("Organization/o");
    let other = settled(
        EVERYTHING,
        &format!("POST Binary\n{JSON}"),
        &unknown,
        &[],
        &with_cluster(),
        &Smart::default(),
    );
    assert_eq!(other, "write_not_member");
}

#[test]
fn in_a_bundle_binaries_are_looked_up_as_alone_and_all_lookups_count() {
    let (context, mine) = (binary("DocumentReference/d"), letter("Patient/P"));
    let stored = [("Binary/b", context.as_str()), ("DocumentReference/d", mine.as_str())];
    let text = format!("POST \n{JSON}");
    let get = r#"{"request":{"method":"GET","url":"Binary/b"}}"#;
    for kind in ["batch", "transaction"] {
        let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{get}]}}"#);
        let (permit, looked_up) =
            decision(EVERYTHING, &text, &body, &stored, &Smart::default()).unwrap();
        assert_eq!(looked_up, ["Binary/b", "DocumentReference/d"], "{kind}");
        let Some(Form::Batch(expected)) = permit.expected().map(|expected| &expected.form) else {
            panic!("{kind}: not judged")
        };
        let [Some(expected)] = expected.as_slice() else { panic!("{kind}: {expected:?}") };
        let answer = node::read(context.as_bytes()).unwrap();
        assert!(expected.sight.sees(&answer, By::Read, &with_cluster(), &Smart::default()));
        let refused = decision(EVERYTHING, &text, &body, &stored[..1], &Smart::default());
        assert_eq!(refused.unwrap_err(), "compartment_not_member", "{kind}");
    }
    // 26 Binaries, each with a letter of its own: 52 lookups
    for (count, expected) in [(25, None), (26, Some("bundle_probes"))] {
        let ids: Vec<String> = (0..count).map(|number| format!("x{number}")).collect();
        let entries: Vec<String> =
            ids.iter().map(|id| get.replace("Binary/b", &format!("Binary/{id}"))).collect();
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#,
            entries.join(",")
        );
        let stored: Vec<(String, String)> = ids
            .iter()
            .flat_map(|id| {
                let quoted = format!(r#""id":"{id}""#);
                [
                    (
                        format!("Binary/{id}"),
                        binary(&format!("DocumentReference/{id}")).replace(r#""id":"b""#, &quoted),
                    ),
                    (format!("DocumentReference/{id}"), mine.replace(r#""id":"d""#, &quoted)),
                ]
            })
            .collect();
        let stored: Vec<(&str, &str)> =
            stored.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
        let got = decision(EVERYTHING, &text, &body, &stored, &Smart::default());
        assert_eq!(got.err().as_deref(), expected, "{count}");
    }
}

proptest! {
    /// Whatever is stored and answered: what passes is P's, by itself or by what it refers to.
    #[test]
    fn nothing_foreign_passes_by_what_it_refers_to(
        stored in select(vec!["Patient/P", "Patient/Q", "DocumentReference/d", "Binary/b", "#d", "Organization/d"]),
        subject in select(vec!["Patient/P", "Patient/Q", "Group/P", "Patient/P/_history/1"]),
        answered in select(vec!["Patient/P", "Patient/Q", "DocumentReference/d", "DocumentReference/e"]),
        id in select(vec!["b", "c"]),
        scopes in proptest::collection::vec(select(vec![
            "patient/Binary.r", "patient/DocumentReference.r", "patient/*.r", "patient/DocumentReference.r?status=x",
            "patient/DocumentReference.r?status=current", "patient/Binary.s",
        ]), 0..4),
        added in select(vec!["patient/Binary.r", "patient/DocumentReference.r", "user/Binary.r", "user/Binary.r?_tag=x"]),
    ) {
        let (found, letter) = (binary(stored), letter(subject));
        let all = [("Binary/b", found.as_str()), ("DocumentReference/d", letter.as_str())];
        let answer = binary(answered).replace(r#""id":"b""#, &format!(r#""id":"{id}""#));
        let scope = |scopes: &[&str]| -> &'static str { Box::leak(scopes.join(" ").into_boxed_str()) };
        let before = shows(patient(scope(&scopes)), "GET Binary/b", &all, &answer);
        if before {
            let of_letter = subject.starts_with("Patient/P") && stored == answered && id == "b";
            prop_assert!(answered == "Patient/P" || (answered == "DocumentReference/d" && of_letter));
        }
        let more: Vec<&str> = scopes.iter().copied().chain([added]).collect();
        for user in [None, Some("Practitioner/7"), Some("Patient/Q")] {
            let fewer = Who { user, ..patient(scope(&scopes)) };
            let more = Who { user, ..patient(scope(&more)) };
            let before = shows(fewer, "GET Binary/b", &all, &answer);
            prop_assert!(!before || shows(more, "GET Binary/b", &all, &answer), "{more:?}");
        }
    }
}
