//! Whole documents: what is left out, what is wrong, and the two forms they come in.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::base::testing::violations;
use crate::config::protobuf::tests::encode;

/// The least that is a configuration.
fn least() -> Value {
    json!({
        "fhir": {"base_path": "/fhir"},
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/fhir"],
            "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
        }],
    })
}

/// Every key, none with its default.
fn most() -> Value {
    json!({
        "fhir": {
            "base_path": "/r4", "release": "R4B", "base_url": ["https://api.clinic.example/r4"],
            "cluster": "fhir", "public": ["metadata"], "passthrough": ["/healthz"],
        },
        "issuers": [{
            "issuer": "https://auth.clinic.example",
            "audiences": ["https://api.clinic.example/r4", "https://other.example"],
            "algorithms": ["ES256", "PS256", "EdDSA"],
            "jwks": {"inline": {"keys": [{
                "kty": "EC", "crv": "P-256", "kid": "rfc7515-a3",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }]}},
            "max_lifetime": "10m", "clock_skew": "5s", "require": ["sub"], "types": ["at+jwt"],
            "claims": {
                "scope": "scp", "patient": "pat", "encounter": "enc", "user": "usr", "client": "azp", "roles": "r",
                "organization": "org", "session": "ses",
            },
            "encryption": {
                "required": true,
                "keys": [{"kid": "enc-1", "algorithm": "ECDH-ES+A256KW", "key": "TOKEN_KEY_1"}],
            },
            "introspection": {
                "cluster": "auth", "url": "https://auth.clinic.example/introspect", "client_id": "gateway",
                "client_secret": "SECRET", "tokens": "all", "cache": "10s", "cache_inactive": "1s",
                "timeout": "5s", "calls_per_second": 20,
            },
        }],
        "revocation": {
            "cluster": "revocations", "url": "http://revocations.internal/v1/list", "every": "1s",
            "max_staleness": "1m", "when_stale": "allow",
            "status_lists": [{
                "cluster": "auth", "uri": "https://auth.clinic.example/statuslists/", "every": "1m",
                "max_staleness": "10m", "when_stale": "allow", "max_bytes": 65536,
            }],
            "status_required": true,
            "events": [{
                "issuer": "https://events.clinic.example", "audience": "https://api.clinic.example/r4",
                "cluster": "events", "url": "https://events.clinic.example/poll",
                "token": "EVENTS_TOKEN", "algorithms": ["ES256"],
                "jwks": {
                    "cluster": "events", "url": "https://events.clinic.example/jwks",
                    "refresh": "1m", "max_staleness": "10m",
                },
                "every": "10s", "max_staleness": "1m", "when_stale": "allow", "keep": "36h",
                "after_restart": "trust",
            }],
        },
        "sessions": {
            "capacity": 5,
            "rules": [{
                "roles": ["nurse"], "clients": ["kiosk"], "contexts": ["user"], "idle": "5m",
                "lifetime": "8h",
            }],
        },
        "cached_tokens": 100_000,
        "smart": {
            "search_without_patient": "refuse", "shared_types": ["Practitioner"],
            "operations": [{
                "name": "$docref", "level": "type", "type": "DocumentReference",
                "requires": "patient/DocumentReference.rs",
            }],
            "membership": "definition", "encounter": "confine", "response_check": "report",
        },
        "mode": "observe",
        "forward": {"token": "keep", "headers": ["subject", "scopes"]},
        "audit": {
            "sinks": ["log", "access_log", "collector", "fhir"],
            "when_full": "refuse",
            "patients": "answers",
            "show": ["_id", "patient"],
            "hash_key": "PHIWARD_HASH_KEY",
            "seal": {"key": "PHIWARD_SEAL_KEY", "key_id": "2026-11", "every": "30s"},
            "collector": {
                "cluster": "collector",
                "url": "http://collector:8080/records",
                "shape": "splunk_hec",
                "authorization": "PHIWARD_COLLECTOR",
                "every": "2s",
                "timeout": "3s",
                "queue_mib": 16,
            },
            "fhir": {
                "cluster": "audit-fhir",
                "url": "http://fhir/fhir",
                "authorization": "PHIWARD_FHIR",
                "every": "10s",
                "timeout": "10s",
                "queue_mib": 16,
            },
        },
    })
}

fn text(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

fn errors(bytes: &[u8]) -> Vec<String> {
    match load(bytes) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// Puts `value` at `pointer`, whose parents exist; `None` takes the key away.
fn changed(pointer: &str, value: Option<Value>) -> Value {
    let mut document = least();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let object = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    document
}

#[test]
fn the_least_document_is_enough_and_every_key_may_be_given() {
    assert_eq!(errors(&text(&least())), Vec::<String>::new());
    assert_eq!(errors(&text(&most())), Vec::<String>::new());
    let configuration = load(&text(&most())).unwrap();
    assert_eq!(configuration.mode, Mode::Observe);
    assert!(configuration.revocation.is_some());
    let configuration = load(&text(&least())).unwrap();
    assert_eq!(configuration.mode, Mode::Enforce);
    assert_eq!(configuration.smart, Smart::default());
    assert_eq!(configuration.forward, forward::Settings::default());
    assert!(configuration.revocation.is_none());
}

#[test]
fn the_sample_with_every_key_leaves_none_out() {
    let sample = most();
    for key in keys() {
        // Keys are either inline or fetched, and a variable's name stands instead of the secret.
        if matches!(
            key.path.as_str(),
            "issuers[].jwks.cluster"
                | "issuers[].jwks.url"
                | "issuers[].jwks.refresh"
                | "issuers[].jwks.max_staleness"
                | "revocation.events[].jwks.inline"
                | "issuers[].introspection.client_secret_inline"
        ) {
            continue;
        }
        let pointer = format!("/{}", key.path.replace("[].", "/0/").replace('.', "/"));
        assert!(sample.pointer(&pointer).is_some(), "{pointer} is not in the sample");
    }
}

#[test]
fn every_default_is_the_documented_one() {
    let expected = [
        ("fhir.release", json!("R4")),
        ("fhir.public", json!(["metadata", ".well-known/smart-configuration"])),
        ("fhir.passthrough", json!([])),
        ("issuers[].algorithms", json!(["RS256", "RS384", "ES256", "ES384"])),
        ("issuers[].jwks.refresh", json!("5m")),
        ("issuers[].jwks.max_staleness", json!("1h")),
        ("issuers[].max_lifetime", json!("1h")),
        ("issuers[].clock_skew", json!("30s")),
        ("issuers[].require", json!(["sub", "jti"])),
        ("issuers[].types", json!(["at+jwt", "JWT"])),
        ("issuers[].claims.scope", json!("scope")),
        ("issuers[].claims.patient", json!("patient")),
        ("issuers[].claims.encounter", json!("encounter")),
        ("issuers[].claims.user", json!("fhirUser")),
        ("issuers[].claims.client", json!("client_id")),
        ("issuers[].claims.roles", json!("roles")),
        ("issuers[].claims.organization", json!("organization")),
        ("issuers[].claims.session", json!("sid")),
        ("issuers[].encryption.required", json!(false)),
        ("issuers[].introspection.tokens", json!("opaque")),
        ("issuers[].introspection.cache", json!("30s")),
        ("issuers[].introspection.cache_inactive", json!("5s")),
        ("issuers[].introspection.timeout", json!("3s")),
        ("issuers[].introspection.calls_per_second", json!(100)),
        ("revocation.every", json!("5s")),
        ("revocation.max_staleness", json!("2m")),
        ("revocation.when_stale", json!("refuse")),
        ("revocation.status_lists", json!([])),
        ("revocation.status_lists[].every", json!("5m")),
        ("revocation.status_lists[].max_staleness", json!("1h")),
        ("revocation.status_lists[].when_stale", json!("refuse")),
        ("revocation.status_lists[].max_bytes", json!(4_194_304)),
        ("revocation.status_required", json!(false)),
        ("revocation.events", json!([])),
        ("revocation.events[].algorithms", json!(["RS256", "RS384", "ES256", "ES384"])),
        ("revocation.events[].jwks.refresh", json!("5m")),
        ("revocation.events[].jwks.max_staleness", json!("1h")),
        ("revocation.events[].every", json!("5s")),
        ("revocation.events[].max_staleness", json!("2m")),
        ("revocation.events[].when_stale", json!("refuse")),
        ("revocation.events[].after_restart", json!("refuse_older")),
        ("sessions.capacity", json!(100_000)),
        ("cached_tokens", json!(12_000)),
        ("smart.search_without_patient", json!("narrow")),
        ("smart.membership", json!("subject")),
        ("smart.encounter", json!("ignore")),
        (
            "smart.shared_types",
            json!([
                "Practitioner",
                "PractitionerRole",
                "Organization",
                "Location",
                "Medication",
                "HealthcareService",
                "Endpoint"
            ]),
        ),
        ("smart.operations", json!([])),
        ("smart.response_check", json!("enforce")),
        ("mode", json!("enforce")),
        ("forward.token", json!("strip")),
        ("forward.headers", json!([])),
        ("audit.sinks", json!(["log"])),
        ("audit.when_full", json!("spill")),
        ("audit.patients", json!("request")),
        ("audit.show", json!(["_id", "patient", "subject"])),
        ("audit.seal.every", json!("1m")),
        ("audit.collector.shape", json!("ndjson")),
        ("audit.collector.every", json!("1s")),
        ("audit.collector.timeout", json!("5s")),
        ("audit.collector.queue_mib", json!(64)),
        ("audit.fhir.every", json!("5s")),
        ("audit.fhir.timeout", json!("5s")),
        ("audit.fhir.queue_mib", json!(64)),
    ];
    let defaults: Vec<(String, Value)> =
        keys().into_iter().filter_map(|key| Some((key.path, key.default?))).collect();
    let expected = expected.map(|(path, default)| (path.to_owned(), default));
    assert_eq!(defaults, expected);
}

#[test]
fn one_wrong_thing_is_one_error() {
    let rows: Vec<(&str, Option<Value>, &str)> = vec![
        ("/fhir", None, "/fhir: `fhir` is missing: expected an object"),
        ("/fhir", Some(json!("/fhir")), "/fhir: `/fhir` is not an object: expected an object"),
        (
            "/fhir/release",
            Some(json!("r4")),
            "/fhir/release: unknown value `r4`: expected one of `R4` `R4B` `R5`: did you mean `R4`?",
        ),
        (
            "/issuers",
            None,
            "/issuers: `issuers` is missing: expected a list of at least one object",
        ),
        (
            "/issuers",
            Some(json!([])),
            "/issuers: `a list` is not such a list: expected a list of at least one object",
        ),
        (
            "/issuers/0/issuer",
            None,
            "/issuers/0/issuer: `issuer` is missing: expected text that is not empty",
        ),
        (
            "/issuers/0/audiences",
            Some(json!([])),
            "/issuers/0/audiences: `audiences` is empty: expected at least one audience",
        ),
        (
            "/issuers/0/audiences",
            Some(json!(["a", 5])),
            "/issuers/0/audiences/1: `5` is not such text: expected text that is not empty",
        ),
        (
            "/issuers/0/max_lifetme",
            Some(json!("1h")),
            "/issuers/0/max_lifetme: unknown key `max_lifetme`: expected one of `algorithms`, `audiences`, `claims`, `clock_skew`, `encryption`, `introspection`, `issuer`, `jwks`, `max_lifetime`, `require`, `types`: did you mean `max_lifetime`?",
        ),
        (
            "/issuers/0/max_lifetime",
            Some(json!(3600)),
            "/issuers/0/max_lifetime: `3600` is not a length of time: expected a length of time with its unit, such as `30s`, `5m` or `1h`: add the unit: `3600s` for seconds",
        ),
        (
            "/issuers/0/jwks/cluster",
            None,
            "/issuers/0/jwks/cluster: `cluster` is missing: expected the Envoy cluster that reaches the issuer: or give the keys in `inline`",
        ),
        (
            "/revocation",
            Some(json!({"cluster": "r"})),
            "/revocation/url: `url` is missing: expected `cluster` and `url`: or give `status_lists` or `events`",
        ),
        (
            "/mode",
            Some(json!("enforced")),
            "/mode: unknown value `enforced`: expected one of `enforce` `observe`: did you mean `enforce`?",
        ),
        (
            "/audit",
            Some(json!({"sinks": ["log", "log"]})),
            "/audit/sinks: the list names a sink twice: expected a list of `log`, `access_log`, `collector` and `fhir`, each once; `[]` records nothing",
        ),
        (
            "/forward",
            Some(json!({"headers": ["subjects"]})),
            "/forward/headers/0: unknown value `subjects`: expected one of `subject` `client` `user` `patient` `scopes`: did you mean `subject`?",
        ),
        (
            "/smrt",
            Some(json!({})),
            "/smrt: unknown key `smrt`: expected one of `audit`, `cached_tokens`, `fhir`, `forward`, `issuers`, `mode`, `revocation`, `sessions`, `smart`: did you mean `smart`?",
        ),
    ];
    for (pointer, value, expected) in rows {
        let found = errors(&text(&changed(pointer, value)));
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert!(found[0].starts_with(expected), "{pointer}:\n{}\n{expected}", found[0]);
    }
}

#[test]
fn every_error_of_a_document_is_told_at_once() {
    let document = json!({
        "fhir": {"base_pth": "/fhir", "release": "R6"},
        "issuers": [
            {"issuer": "https://a.example", "audiences": "https://api.example", "algorithms": ["HS256", "none"]},
            "https://b.example",
        ],
        "revocation": {"cluster": "r", "url": "ftp://x", "every": "5"},
        "mode": true,
        "audit": null,
    });
    let bytes = text(&document);
    let Err(found) = load(&bytes) else { panic!("it was read") };
    let pointers: Vec<&str> = found.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/fhir/base_path",
            "/fhir/release",
            "/fhir/base_pth",
            "/issuers/0/audiences",
            "/issuers/0/algorithms/0",
            "/issuers/0/algorithms/1",
            "/issuers/0/jwks",
            "/issuers/1",
            "/revocation/url",
            "/revocation/every",
            "/mode",
            "/audit",
        ]
    );
}

#[test]
fn a_document_of_another_kind_gets_one_hint_and_no_list_of_unknown_keys() {
    let unwrap_envoy = "take what stands below `configuration.value` of the Wasm filter";
    let rows = [
        (json!({"static_resources": {}, "admin": {}}), unwrap_envoy),
        (json!({"name": "phiward", "vm_config": {}, "configuration": {}}), unwrap_envoy),
        (
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{}"}),
            "take what stands below `value`",
        ),
        (
            json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": {}}),
            "take what stands below `spec.pluginConfig`",
        ),
        (json!({}), "set `configuration` of the Wasm filter in Envoy"),
        (json!(null), "set `configuration` of the Wasm filter in Envoy"),
    ];
    for (document, hint) in rows {
        let found = errors(&text(&document));
        assert_eq!(found.len(), 1, "{document}: {found:?}");
        assert!(found[0].contains(hint), "{document}: {found:?}");
    }
}

#[test]
fn bytes_that_are_no_document_are_one_clear_error() {
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let damaged = [&encode(&least())[..], b"\x0a"].concat();
    let rows: [(&[u8], &str); 9] = [
        (b"", "the configuration is empty"),
        (b" \r\n\t", "the configuration is empty"),
        (b"[]", "`a list` is not an object"),
        (b"nonsense", "the text is not strict JSON"),
        (br#"{"fhir":{},"fhir":{}}"#, "the text is not strict JSON: duplicate member"),
        (b"fhir:\n  base_path: /fhir\n", "the text is not strict JSON"),
        (b"\xff\xfe", "the text is not strict JSON"),
        (long.as_bytes(), "the configuration has 1048584 bytes"),
        (&damaged, "the bytes can't be decoded: the bytes end too early"),
    ];
    for (bytes, expected) in rows {
        let found = errors(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert_eq!(found.len(), 1, "{shown}: {found:?}");
        assert!(found[0].starts_with(expected), "{shown}: {found:?}");
    }
}

#[test]
fn both_forms_of_a_document_are_told_apart_and_read_the_same() {
    for document in [least(), most()] {
        let from_text = load(&text(&document)).unwrap();
        let from_struct = load(&encode(&document)).unwrap();
        assert_eq!(format!("{from_text:?}"), format!("{from_struct:?}"));
        let pretty = format!("\n{document:#}\n");
        assert!(load(pretty.as_bytes()).is_ok(), "the line feed is also a protobuf tag");
    }
}

#[test]
fn the_schema_says_the_same_as_the_loader() {
    let schema = schema();
    assert_eq!(schema["$schema"], DIALECT);
    let mut documents = vec![least(), most(), json!({}), json!([])];
    documents.extend([
        changed("/fhir", None),
        changed("/issuers", Some(json!([]))),
        changed("/issuers/0/issuer", Some(json!(""))),
        changed("/issuers/0/algorithms", Some(json!(["HS256"]))),
        changed("/issuers/0/max_lifetme", Some(json!("1h"))),
        changed("/issuers/0/claims", Some(json!({"scope": "scp"}))),
        changed("/fhir/base_url", Some(json!(["https://a.example", "https://b.example"]))),
        changed("/fhir/base_url", Some(json!(5))),
        changed("/mode", Some(json!("observe"))),
        changed("/mode", Some(json!("off"))),
        changed("/audit", Some(json!({"sinks": []}))),
        changed("/audit", Some(json!({"sinks": ["syslog"]}))),
        changed("/audit", Some(json!({"seal": {"key": "PHIWARD_KEY"}}))),
        changed("/smart", Some(json!({"shared_types": ["Patient"]}))),
        changed("/revocation", Some(json!({"cluster": "r", "url": "http://r/"}))),
        changed("/revocation", Some(json!({"cluster": "r", "url": "http://r/", "every": 5}))),
        changed(
            "/revocation",
            Some(json!({"status_lists": [{"cluster": "r", "uri": "http://r/"}]})),
        ),
        changed("/revocation", Some(json!({"status_lists": [{"cluster": "r"}]}))),
    ]);
    for document in documents {
        let broken = violations(&schema, &document);
        let refused = errors(&text(&document));
        assert_eq!(broken.is_empty(), refused.is_empty(), "{document}: {broken:?} {refused:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&bytes);
    }

    #[test]
    fn damaged_documents_are_read_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
        for mut bytes in [text(&most()), encode(&most())] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = load(&bytes);
            let _ = load(&bytes[..at]);
        }
    }

    #[test]
    fn any_value_at_any_key_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!(-1)), Just(json!([[{}]])),
            Just(json!({"keys": [{}]})), any::<String>().prop_map(Value::from),
        ],
    ) {
        let keys = keys();
        let path = &keys[at.index(keys.len())].path;
        let mut document = most();
        let pointer = format!("/{}", path.replace("[].", "/0/").replace('.', "/"));
        if let Some(place) = document.pointer_mut(&pointer) {
            *place = value;
        }
        let _ = load(&text(&document));
    }
}
