//! Records for the tests of the formats: one of each kind.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Each record with its name. Every golden file is made of one of them.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    let mut samples = allowed();
    samples.extend(refused());
    samples.extend(holders());
    for (count, (_, record)) in (1..).zip(&mut samples) {
        record["id"] = json!(format!("5f1c0d3e9a7b2c44-{count}"));
    }
    samples
}

/// A record with `what`, allowed and answered, of a user's app in the context of a patient.
pub(super) fn record(what: Value) -> Value {
    json!({
        "schema": "phiward.audit/1",
        "time": "2026-09-21T14:13:20.250Z",
        "id": "5f1c0d3e9a7b2c44-17",
        "request_id": "3b0c1a52-6f0e-4d7f-9b53-0d2f3c0b7e11",
        "decision": "allow",
        "reason": "allowed",
        "who": {
            "issuer": "https://auth.clinic.example", "sub": "alice", "client": "heart-app",
            "user": "Practitioner/17", "organization": "Organization/4",
            "roles": ["nurse", "night-shift"], "jti": "7c1f", "patient": "123",
        },
        "from": {"address": "10.0.0.7:51234", "tls": "TLSv1.3"},
        "what": what,
        "outcome": {"status": 200, "bytes": 1234, "duration_ms": 12.346},
        "scopes": ["patient/*.cruds"],
        "revocation": "fresh",
    })
}

/// `record` with the members of `changes`; null takes one away.
pub(super) fn with(mut record: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("{changes}") };
    for (name, value) in changes {
        let members = record.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    record
}

fn allowed() -> Vec<(&'static str, Value)> {
    let search = json!({
        "method": "GET", "interaction": "search-type", "type": "Observation",
        "parameters": [
            {"name": "category"}, {"name": "_id", "value": "a,b&c=d"}, {"name": "subject:identifier"},
        ],
    });
    let of = |interaction: &str, method: &str| {
        json!({
            "method": method, "interaction": interaction, "type": "Observation", "id": "pulse-1",
            "patient": "123",
        })
    };
    let everything = json!({
        "method": "POST", "interaction": "operation", "type": "Patient", "id": "123",
        "operation": "$everything", "patient": "123",
    });
    let narrowed = json!({"narrowed": ["patient=Patient/123"], "removed": 2});
    let vread = with(of("vread", "GET"), json!({"version": "4"}));
    let compartment = with(search.clone(), json!({"compartment": "Patient/123", "patient": "123"}));
    let created = json!({"method": "POST", "interaction": "create", "type": "Observation"});
    let conditional = with(
        of("delete", "DELETE"),
        json!({
            "id": null, "parameters": [{"name": "patient", "value": "123"}, {"name": "code"}],
        }),
    );
    let system = json!({"method": "GET", "interaction": "read", "type": "Organization", "id": "4"});
    let no_patient = json!({"issuer": "https://auth.clinic.example", "sub": "alice", "client": "heart-app",
                            "jti": "7c1f"});
    let entry = json!({"part_of": "5f1c0d3e9a7b2c44-1"});
    let several = json!({"patients": ["123", "124", "125", "…"]});
    vec![
        ("read", record(of("read", "GET"))),
        ("vread", record(vread)),
        ("read-without-patient", with(record(system), json!({"who": no_patient}))),
        ("search-narrowed", with(record(search.clone()), narrowed)),
        ("search-of-compartment", record(compartment)),
        ("search-of-several-patients", with(record(search), several)),
        ("history", record(of("history-instance", "GET"))),
        ("create", record(created)),
        ("update", record(of("update", "PUT"))),
        ("patch-in-batch", with(record(of("patch", "PATCH")), entry)),
        ("delete", record(of("delete", "DELETE"))),
        ("delete-conditional", record(conditional)),
        ("operation", record(everything)),
        ("batch", record(json!({"method": "POST", "interaction": "batch"}))),
        (
            "public",
            with(
                record(json!({"method": "GET", "interaction": "public"})),
                json!({"who": null, "scopes": null, "revocation": null}),
            ),
        ),
    ]
}

fn refused() -> Vec<(&'static str, Value)> {
    let what = json!({
        "method": "GET", "interaction": "read", "type": "Patient", "id": "999", "patient": "999",
    });
    let refused = |decision: &str, reason: &str, status: u16| {
        json!({
            "decision": decision, "reason": reason, "scopes": null,
            "outcome": {"status": status, "bytes": 310, "duration_ms": 0.087},
        })
    };
    let unproven = json!({"who": null, "revocation": null});
    let observed = json!({"observe": true, "would": "deny", "reason": "scope_insufficient"});
    let outcome = |outcome: Value| json!({ "outcome": outcome });
    let silent =
        |failure: &str| outcome(json!({"failure": failure, "bytes": 0, "duration_ms": 30000.0}));
    let unread = with(record(json!({})), refused("error", "keys_unavailable", 503));
    vec![
        ("denied-by-scope", with(record(what.clone()), refused("deny", "scope_insufficient", 403))),
        (
            "denied-for-token",
            with(
                with(
                    record(json!({"method": "GET"})),
                    refused("deny", "token_signature_invalid", 401),
                ),
                unproven.clone(),
            ),
        ),
        ("error-without-keys", with(unread, with(unproven, json!({"request_id": null})))),
        ("observed", with(record(what.clone()), observed)),
        (
            "not-found",
            with(
                record(what.clone()),
                outcome(json!({"status": 404, "bytes": 99, "duration_ms": 3.0})),
            ),
        ),
        ("client-left", with(record(what.clone()), silent("client_gone"))),
        ("server-silent", with(record(what), silent("upstream_timeout"))),
    ]
}

/// Tokens of other kinds, and what an attacker would send.
fn holders() -> Vec<(&'static str, Value)> {
    let read = json!({
        "method": "GET", "interaction": "read", "type": "Patient", "id": "123", "patient": "123",
    });
    let who = |who: Value| with(record(read.clone()), json!({ "who": who }));
    let nasty = "a\r\n{\"x\":\"y\"}\0\u{7f}\u{85}\u{2028}\u{202e}\u{1f600}\"\\ \t";
    let hostile = json!({
        "request_id": nasty, "patients": ["../999", nasty, " "],
        "who": {
            "issuer": "not a uri\n", "sub": nasty, "client": format!("the {nasty}"), "user": "Practitioner/../17",
            "organization": nasty, "roles": [nasty, " "], "jti": "a b\u{2028}%<>",
        },
        "from": {"address": nasty},
        "what": {
            "method": "G\u{1b}[31mT", "interaction": "search-type", "type": "Observation?x",
            "parameters": [{"name": "a&b", "value": nasty}],
        },
    });
    vec![
        (
            "backend",
            who(json!({
            "issuer": "https://auth.clinic.example", "sub": "loader", "client": "loader", "jti": "7c1f"})),
        ),
        (
            "token-without-id",
            who(json!({
            "issuer": "https://auth.clinic.example", "sub": "alice", "client": "heart-app"})),
        ),
        (
            "client-unknown",
            who(json!({
            "issuer": "https://auth.clinic.example", "sub": "alice", "jti": "7c1f",
            "user": "https://directory.example/fhir/Practitioner/17"})),
        ),
        ("hostile-strings", with(record(read.clone()), hostile)),
    ]
}

/// Records that any caller could bring about: every text is anything.
pub(super) fn any_record() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![any::<String>(), "[ \t\n]{0,3}", "[A-Za-z0-9.-]{1,64}", ".{0,20}"];
    let texts = || proptest::collection::vec(text(), 0..4);
    let interaction = prop_oneof![
        Just("read"),
        Just("vread"),
        Just("search-type"),
        Just("create"),
        Just("patch"),
        Just("delete"),
        Just("operation"),
        Just("history-type"),
        Just("public"),
        Just("nonsense"),
    ];
    let decided = prop_oneof![Just("allow"), Just("deny"), Just("error")];
    let status = proptest::option::of(200_u16..600);
    let base = (interaction, decided, status, 0.0_f64..1e9);
    (base, proptest::collection::vec(text(), 14), texts(), texts(), proptest::option::of(texts()))
        .prop_map(|((interaction, decision, status, duration), t, roles, scopes, patients)| {
            let what = json!({
                "method": t[0], "interaction": interaction, "type": t[1], "id": t[2], "version": t[3],
                "operation": t[4], "compartment": t[5],
                "parameters": [{"name": t[6], "value": t[7]}, {"name": t[7]}],
            });
            let who = json!({
                "issuer": t[8], "sub": t[9], "client": t[10], "user": t[11], "organization": t[12],
                "jti": t[13], "roles": roles,
            });
            with(record(what), json!({
                "who": who, "from": {"address": t[8], "tls": t[9]}, "request_id": t[6], "reason": t[0],
                "decision": decision, "scopes": scopes, "patients": patients,
                "outcome": {"status": status, "bytes": 1, "duration_ms": duration},
            }))
        })
}
