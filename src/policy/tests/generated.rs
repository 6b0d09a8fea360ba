//! Databases, tokens and requests, drawn.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Resources as texts; ids are their places.
pub(super) fn database() -> impl Strategy<Value = Vec<String>> {
    let person = || select(vec!["Patient/P", "Patient/A", "Patient/Q", "Group/P", "urn:uuid:1"]);
    let category = || select(vec!["x", "y", "z"]);
    let status = || select(vec!["final", "amended"]);
    let observation = (person(), person(), category(), status()).prop_map(
        |(subject, performer, category, status)| {
            format!(
                r#""resourceType":"Observation","subject":{{"reference":"{subject}"}},"performer":[{{"reference":"{performer}"}}],"category":[{{"coding":[{{"code":"{category}"}}]}}],"status":"{status}""#
            )
        },
    );
    let appointment = (person(), person(), status()).prop_map(|(one, other, status)| {
        format!(
            r#""resourceType":"Appointment","status":"{status}","participant":[{{"actor":{{"reference":"{one}"}}}},{{"actor":{{"reference":"{other}"}}}}]"#
        )
    });
    let document = (person(), person(), category()).prop_map(|(subject, inner, category)| {
        format!(
            r#""resourceType":"DocumentReference","subject":{{"reference":"{subject}"}},"category":[{{"coding":[{{"code":"{category}"}}]}}],"contained":[{{"resourceType":"Observation","id":"c","subject":{{"reference":"{inner}"}}}}]"#
        )
    });
    let other = select(vec![
        r#""resourceType":"Practitioner""#,
        r#""resourceType":"Device","patient":{"reference":"Patient/P"}"#,
        r#""resourceType":"Binary","securityContext":{"reference":"Patient/P"}"#,
    ])
    .prop_map(str::to_owned);
    let one = prop_oneof![4 => observation, 1 => appointment, 1 => document, 1 => other];
    proptest::collection::vec(one, 0..12).prop_map(|resources| {
        let numbered = resources.into_iter().enumerate();
        let mut all: Vec<String> = numbered
            .map(|(id, members)| format!(r#"{{{members},"id":"{id}","meta":{{"versionId":"1"}}}}"#))
            .collect();
        let patients = ["P", "A", "Q"].map(|id| {
            format!(r#"{{"resourceType":"Patient","id":"{id}","meta":{{"versionId":"1"}}}}"#)
        });
        all.extend(patients);
        all
    })
}

pub(super) fn scope() -> impl Strategy<Value = String> {
    let types = prop_oneof![
        3 => Just("Observation"),
        1 => select(vec![
            "Appointment", "DocumentReference", "Patient", "Practitioner", "Device", "*",
        ]),
    ];
    let letters = select(vec!["cruds", "rs", "rs", "s", "r", "u", "ud", "c", "su"]);
    let granular = select(vec![
        "",
        "",
        "?category=x",
        "?category=y",
        "?category=x,y",
        "?status=final",
        "?category=x&status=final",
        "?nothing=x",
    ]);
    (select(vec!["patient", "patient", "user", "user", "system"]), types, letters, granular)
        .prop_map(|(context, of, letters, granular)| format!("{context}/{of}.{letters}{granular}"))
}

/// The token of a patient, or of an app with a patient in context.
pub(super) fn confined() -> impl Strategy<Value = Claims> {
    let two = select(vec![
        (Some("P"), None),
        (None, Some("Patient/A")),
        (Some("P"), Some("Patient/A")),
        (Some("P"), Some("Patient/P")),
    ]);
    two.prop_map(|(patient, user)| Claims {
        patient: patient.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Claims::default()
    })
}

/// A token of one of these people.
pub(super) fn claims() -> impl Strategy<Value = Claims> {
    let patient = select(vec![None, Some("P"), Some("P"), Some("A")]);
    let user = select(vec![
        None,
        Some("Practitioner/7"),
        Some("Practitioner/7"),
        Some("Patient/A"),
        Some("Patient/P"),
    ]);
    (patient, user).prop_map(|(patient, user)| Claims {
        patient: patient.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Claims::default()
    })
}

pub(super) fn search() -> impl Strategy<Value = String> {
    let of = select(vec![
        "Observation",
        "Observation",
        "Observation",
        "Appointment",
        "DocumentReference",
        "Patient",
    ]);
    let criteria = proptest::collection::vec(
        select(vec!["category=x", "status=final", "patient=Patient/P", "_id=1,3,P", "_count=5"]),
        0..3,
    );
    (of, criteria).prop_map(|(of, criteria)| format!("GET {of}?{}", criteria.join("&")))
}

/// Writes with their bodies.
pub(super) fn write() -> impl Strategy<Value = (String, String)> {
    let body = |id: &str, subject: &str, category: &str| {
        let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
        format!(
            r#"{{"resourceType":"Observation",{id}"subject":{{"reference":"{subject}"}},"category":[{{"coding":[{{"code":"{category}"}}]}}],"status":"final"}}"#
        )
    };
    let patch = r#"[{"op":"replace","path":"/note","value":[]}]"#;
    let of =
        (0_u8..14, select(vec!["Patient/P", "Patient/A", "Patient/Q"]), select(vec!["x", "y"]));
    (of, 0_u8..7).prop_map(move |((id, subject, category), kind)| {
        let id = id.to_string();
        let json = "content-type: application/fhir+json";
        let patches = "content-type: application/json-patch+json";
        match kind {
            0 => (format!("POST Observation\n{json}"), body("", subject, category)),
            1 => (format!("PUT Observation/{id}\n{json}"), body(&id, subject, category)),
            2 => (format!("PATCH Observation/{id}\n{patches}"), patch.to_owned()),
            3 => (format!("DELETE Observation/{id}"), String::new()),
            4 => (
                format!("POST Observation\nif-none-exist: status=final\n{json}"),
                body("", subject, category),
            ),
            5 => (format!("PUT Observation?status=final\n{json}"), body("", subject, category)),
            _ => ("DELETE Observation?status=final".to_owned(), String::new()),
        }
    })
}
