//! Writes under a patient scope.

use super::*;

pub(super) const JSON: &str = "content-type: application/fhir+json";
pub(super) const PATCH: &str = "content-type: application/json-patch+json";
pub(super) const MINE: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"subject":{"reference":"Patient/P"}}"#;
pub(super) const NEW: &str =
    r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"}}"#;
pub(super) const THEIRS: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"subject":{"reference":"Patient/Q"}}"#;

pub(super) fn with_cluster() -> Api {
    Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) }
}

#[track_caller]
pub(super) fn rows(who: Who, rows: &[Write<'_>]) {
    for (request, body, stored, expected) in rows {
        let media_type = if request.starts_with("PATCH") { PATCH } else { JSON };
        let text = match request.split_once(' ') {
            Some(("DELETE" | "GET", _)) => (*request).to_owned(),
            _ => format!("{request}\n{media_type}"),
        };
        let got = settled(who, &text, body, stored, &with_cluster(), &Smart::default());
        assert_eq!(got, *expected, "{request} {body}");
    }
}

#[test]
fn what_is_created_names_the_patient_and_nobody_else() {
    let created = "by patient/*.cruds for P held";
    rows(
        EVERYTHING,
        &[
            ("POST Observation", MINE, &[], created),
            ("POST Observation", THEIRS, &[], "write_not_member"),
            ("POST Observation", r#"{"resourceType":"Observation"}"#, &[], "write_not_member"),
            (
                "POST Observation",
                r#"{"resourceType":"Observation","subject":{"identifier":{"value":"P"}}}"#,
                &[],
                "write_not_member",
            ),
            (
                "POST Observation",
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"},"performer":[{"reference":"Patient/Q"}]}"#,
                &[],
                "write_other_patient",
            ),
            (
                "POST Observation",
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"},"encounter":{"reference":"Encounter?identifier=x"}}"#,
                &[],
                "write_other_patient",
            ),
            (
                "POST Observation",
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/P"},"contained":[{"resourceType":"Observation","subject":{"reference":"Patient/Q"}}]}"#,
                &[],
                "write_other_patient",
            ),
            (
                "POST Observation",
                r#"{"resourceType":"Condition","subject":{"reference":"Patient/P"}}"#,
                &[],
                "body_type",
            ),
            ("POST Observation", "<Observation/>", &[], "body_unreadable"),
            (
                "POST Patient",
                r#"{"resourceType":"Patient","id":"P"}"#,
                &[],
                "compartment_other_patient",
            ),
            (
                "POST Practitioner",
                r#"{"resourceType":"Practitioner"}"#,
                &[],
                "compartment_type_outside",
            ),
            (
                "POST Bundle",
                r#"{"resourceType":"Bundle","type":"document"}"#,
                &[],
                "compartment_type_outside",
            ),
            (
                "POST Binary",
                r#"{"resourceType":"Binary","securityContext":{"reference":"Patient/P"}}"#,
                &[],
                created,
            ),
            ("POST Binary", r#"{"resourceType":"Binary"}"#, &[], "write_not_member"),
        ],
    );
    check(&[(
        EVERYTHING,
        "POST Observation\ncontent-type: application/fhir+xml",
        "body_media_type",
    )]);
}

#[test]
fn an_update_is_tied_to_the_version_that_was_judged() {
    rows(
        EVERYTHING,
        &[
            (
                "PUT Observation/1",
                MINE,
                &[("Observation/1", MINE)],
                "by patient/*.cruds for P at W/\"7\" held",
            ),
            ("PUT Observation/1", MINE, &[], "by patient/*.cruds for P if absent held"),
            // moved to the patient, or away
            ("PUT Observation/1", MINE, &[("Observation/1", THEIRS)], "compartment_not_member"),
            ("PUT Observation/1", THEIRS, &[("Observation/1", MINE)], "write_not_member"),
            ("PUT Observation/2", MINE, &[], "body_id"),
            (
                "PUT Observation/1",
                MINE,
                &[(
                    "Observation/1",
                    r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/P"}}"#,
                )],
                "probe_version_missing",
            ),
            // of somebody else's it tells nothing
            (
                "PUT Observation/1",
                MINE,
                &[(
                    "Observation/1",
                    r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/Q"}}"#,
                )],
                "compartment_not_member",
            ),
            (
                "PUT Observation/1",
                MINE,
                &[("Observation/1", r#"{"resourceType":"Observation","id":"2"}"#)],
                "probe_unreadable",
            ),
            ("PUT Observation/1", MINE, &[("Observation/1", "garbage")], "probe_unreadable"),
            (
                "PUT Observation/1\nif-match: W/\"7\"",
                MINE,
                &[("Observation/1", MINE)],
                "by patient/*.cruds for P at W/\"7\" held",
            ),
            (
                "PUT Observation/1\nif-match: W/\"6\"",
                MINE,
                &[("Observation/1", MINE)],
                "write_version_conflict",
            ),
            (
                "PUT Observation/1\nif-none-match: *",
                MINE,
                &[("Observation/1", MINE)],
                "write_version_conflict",
            ),
            (
                "PUT Patient/P",
                r#"{"resourceType":"Patient","id":"P"}"#,
                &[("Patient/P", r#"{"resourceType":"Patient","id":"P","meta":{"versionId":"1"}}"#)],
                "by patient/*.cruds for P at W/\"1\" held",
            ),
            (
                "PUT Patient/P",
                r#"{"resourceType":"Patient","id":"P","link":[{"other":{"reference":"Patient/Q"},"type":"seealso"}]}"#,
                &[],
                "write_other_patient",
            ),
            (
                "PUT Patient/Q",
                r#"{"resourceType":"Patient","id":"Q"}"#,
                &[],
                "compartment_other_patient",
            ),
        ],
    );
}

#[test]
fn a_deletion_and_a_patch_need_a_stored_resource_of_the_patient() {
    let replace = r#"[{"op":"replace","path":"/status","value":"final"}]"#;
    let at = "by patient/*.cruds for P at W/\"7\" held";
    rows(
        EVERYTHING,
        &[
            ("DELETE Observation/1", "", &[("Observation/1", MINE)], at),
            ("DELETE Observation/1", "", &[("Observation/1", THEIRS)], "compartment_not_member"),
            ("DELETE Observation/1", "", &[], "compartment_not_member"),
            ("DELETE Patient/Q", "", &[], "compartment_other_patient"),
            ("PATCH Observation/1", replace, &[("Observation/1", MINE)], at),
            (
                "PATCH Observation/1",
                replace,
                &[("Observation/1", THEIRS)],
                "compartment_not_member",
            ),
            ("PATCH Observation/1", replace, &[], "compartment_not_member"),
            (
                "PATCH Observation/1",
                r#"[{"op":"replace","path":"/subject/reference","value":"Patient/P"}]"#,
                &[],
                "patch_membership",
            ),
            (
                "PATCH Observation/1",
                r#"[{"op":"move","from":"/subject","path":"/focus/0"}]"#,
                &[],
                "patch_membership",
            ),
            (
                "PATCH Observation/1",
                r#"[{"op":"test","path":"/subject/reference","value":"Patient/P"}]"#,
                &[],
                "patch_membership",
            ),
            (
                "PATCH Observation/1",
                r#"[{"op":"add","path":"/_subject","value":{}}]"#,
                &[],
                "patch_membership",
            ),
            (
                "PATCH Observation/1",
                r#"[{"op":"add","path":"/performer/-","value":{"reference":"Patient/Q"}}]"#,
                &[],
                "write_other_patient",
            ),
            ("PATCH Observation/1", r#"[{"op":"add","path":"","value":{}}]"#, &[], "patch_whole"),
            (
                "PATCH Binary/1",
                r#"[{"op":"replace","path":"/securityContext/reference","value":"Encounter/1"}]"#,
                &[],
                "patch_membership",
            ),
        ],
    );
}

#[test]
fn without_a_cluster_for_lookups_such_writes_are_refused() {
    let text = format!("PUT Observation/1\n{JSON}");
    let got = settled(EVERYTHING, &text, MINE, &[], &api(Release::R4), &Smart::default());
    assert_eq!(got, "probe_unconfigured");
}

#[test]
fn granular_scopes_hold_for_what_is_stored_and_for_what_is_written() {
    let who = clinician("user/Observation.cud?status=final");
    let of = |status: &str| {
        let text =
            r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"7"},"status":"STATUS"}"#;
        text.replace("STATUS", status)
    };
    let (last, first) = (of("final"), of("preliminary"));
    let by = "by user/Observation.cud?status=final";
    rows(
        who,
        &[
            ("POST Observation", &last, &[], &format!("{by} held")),
            ("POST Observation", &first, &[], "write_out_of_scope"),
            (
                "PUT Observation/1",
                &last,
                &[("Observation/1", &last)],
                &format!("{by} at W/\"7\" held"),
            ),
            ("PUT Observation/1", &last, &[("Observation/1", &first)], "compartment_not_member"),
            ("PUT Observation/1", &first, &[("Observation/1", &last)], "write_out_of_scope"),
            ("DELETE Observation/1", "", &[("Observation/1", &first)], "compartment_not_member"),
            (
                "PATCH Observation/1",
                r#"[{"op":"replace","path":"/status","value":"final"}]"#,
                &[],
                "patch_membership",
            ),
        ],
    );
}

#[test]
fn unconfined_writes_need_neither_body_nor_lookup() {
    check_all(
        clinician("user/Observation.cud"),
        &[
            ("POST Observation", "by user/Observation.cud"),
            ("PUT Observation/1", "by user/Observation.cud"),
            ("DELETE Observation/1", "by user/Observation.cud"),
        ],
    );
}

/// A patient who signed in by themselves, with the same patient in context: both contexts permit.
#[test]
fn what_ties_a_write_down_holds_whichever_context_permits_it() {
    let scope = "patient/*.cruds user/*.cruds";
    let who = Who { user: Some("Patient/P"), ..patient(scope) };
    let by = format!("by {scope} for P");
    rows(
        who,
        &[
            (
                "PUT Observation/1",
                MINE,
                &[("Observation/1", MINE)],
                &format!("{by} at W/\"7\" held"),
            ),
            ("PUT Observation/1", MINE, &[], &format!("{by} if absent held")),
            (
                "DELETE Observation/1",
                "",
                &[("Observation/1", MINE)],
                &format!("{by} at W/\"7\" held"),
            ),
            (
                "POST Observation\nif-none-exist: identifier=x",
                MINE,
                &[],
                &format!("{by} anew if no identifier=x&patient=Patient%2FP strict held"),
            ),
            (
                "DELETE Observation?identifier=x",
                "",
                &[("Observation?identifier=x&patient=Patient%2FP", &searchset(&[MINE]))],
                &format!("{by} on 1 at W/\"7\" held"),
            ),
        ],
    );
    let another = Who { user: Some("Patient/A"), ..who };
    let of_a = MINE.replace("Patient/P", "Patient/A").replace("\"1\"", "\"2\"");
    let shared = r#"{"resourceType":"Appointment","id":"1","meta":{"versionId":"7"},"participant":[{"actor":{"reference":"Patient/P"}},{"actor":{"reference":"Patient/A"}}]}"#;
    rows(
        another,
        &[
            (
                "DELETE Appointment/1",
                "",
                &[("Appointment/1", shared)],
                &format!("by {scope} at W/\"7\" held"),
            ),
            // of both patients: of the first one's alone
            (
                "DELETE Observation?identifier=x",
                "",
                &[
                    ("Observation?identifier=x&patient=Patient%2FP", &searchset(&[MINE])),
                    ("Observation?identifier=x&patient=Patient%2FA", &searchset(&[&of_a])),
                ],
                "by patient/*.cruds for P on 1 at W/\"7\" held",
            ),
            (
                "DELETE Observation?identifier=x",
                "",
                &[("Observation?identifier=x&patient=Patient%2FA", &searchset(&[&of_a]))],
                "by user/*.cruds for A on 2 at W/\"7\" held",
            ),
        ],
    );
}
