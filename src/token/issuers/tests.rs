use super::*;
use crate::config::section::{ConfigError, describe, read_document};
use crate::token::testing::{Signer, config, merge};

fn key() -> Value {
    Signer::new(Algorithm::Es256, "k1", 7).jwk()
}

fn read(document: &Value) -> (Issuers, Vec<ConfigError>) {
    read_document(document, Issuers::read)
}

/// Pointer and problem of every error of one issuer with these members changed.
fn errors(changes: Value) -> Vec<(String, String)> {
    let document = json!({"issuers": [config(vec![key()], changes)]});
    read(&document).1.into_iter().map(|error| (error.pointer, error.problem)).collect()
}

fn remote(jwks: Value) -> Vec<(String, String)> {
    errors(json!({ "jwks": jwks }))
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let document = json!({"issuers": [{
        "issuer": "https://auth.clinic.example",
        "audiences": ["https://api.clinic.example/fhir"],
        "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"},
    }]});
    let (issuers, errors) = read(&document);
    assert_eq!(errors, []);
    let issuer = issuers.iter().next().unwrap();
    let names: Vec<_> = issuer.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    assert_eq!(names, ["RS256", "RS384", "ES256", "ES384"]);
    assert_eq!(issuer.max_lifetime, Duration::from_secs(3600));
    assert_eq!(issuer.clock_skew, Duration::from_secs(30));
    assert_eq!(issuer.require, ["sub", "jti"]);
    assert_eq!(issuer.types, ["at+jwt", "jwt"]);
    let names = &issuer.claims;
    let names = [
        &names.scope,
        &names.patient,
        &names.user,
        &names.client,
        &names.roles,
        &names.organization,
        &names.session,
    ];
    assert_eq!(
        names,
        ["scope", "patient", "fhirUser", "client_id", "roles", "organization", "sid"]
    );
    let KeySource::Remote(remote) = &issuer.keys else { panic!("not remote") };
    assert_eq!(remote.refresh, Duration::from_secs(300));
    assert_eq!(remote.max_staleness, Duration::from_secs(3600));
    let Place::Url(url) = &remote.place else { panic!("not by URL") };
    assert_eq!(url.authority(), "auth.clinic.example");
}

#[test]
fn every_error_is_reported_at_its_place() {
    let one = |pointer: &str, problem: &str| vec![(pointer.to_owned(), problem.to_owned())];
    let at = |name: &str| format!("/issuers/0/{name}");
    let cases = [
        (json!({"issuer": null}), one(&at("issuer"), "`issuer` is missing")),
        (json!({"issuer": ""}), one(&at("issuer"), "`` is not such text")),
        (json!({"audiences": []}), one(&at("audiences"), "`audiences` is empty")),
        (json!({"algorithms": []}), one(&at("algorithms"), "`algorithms` is empty")),
        (json!({"types": []}), one(&at("types"), "`types` is empty")),
        (json!({"require": "sub"}), one(&at("require"), "`sub` is not a list")),
        (json!({"clock_skew": "6m"}), one(&at("clock_skew"), "`6m` is too long")),
        (json!({"clock_skew": "5m"}), vec![]),
        (json!({"clock_skew": "0s"}), vec![]),
        (json!({"max_lifetime": "0s"}), one(&at("max_lifetime"), "`0s` is not a length of time")),
        (json!({"max_lifetime": 3600}), one(&at("max_lifetime"), "`3600` is not a length of time")),
        (json!({"claims": {"scop": "scp"}}), one(&at("claims/scop"), "unknown key `scop`")),
        (json!({"claims": {"scope": "scp"}}), vec![]),
        (json!({"jwks": null}), one(&at("jwks"), "`jwks` is missing")),
    ];
    for (changes, expected) in cases {
        assert_eq!(errors(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn algorithms_without_a_public_key_are_refused_with_the_reason() {
    let cases = [
        ("none", "`none` would accept tokens that nobody signed"),
        ("None", "`none` would accept tokens that nobody signed"),
        ("HS256", "`HS256` signs with a shared secret: whoever can verify a token could forge one"),
        ("hs512", "`hs512` signs with a shared secret: whoever can verify a token could forge one"),
        ("rs256", "unknown algorithm `rs256`"),
        ("RS1", "unknown algorithm `RS1`"),
        ("ES256K", "unknown algorithm `ES256K`"),
    ];
    for (name, expected) in cases {
        let found = errors(json!({"algorithms": ["RS256", name]}));
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].1.starts_with(expected), "{name}: {}", found[0].1);
    }
}

#[test]
fn keys_are_either_inline_or_remote() {
    let url = "https://auth.clinic.example/jwks";
    let keys = json!({"keys": [key()]});
    let at = |name: &str| format!("/issuers/0/jwks/{name}");
    let missing = |name: &str| (at(name), format!("`{name}` is missing"));
    let beside = |name: &str| (at(name), format!("`{name}` stands beside `inline`"));
    let cases = [
        (json!({}), vec![missing("cluster")]),
        (json!({"cluster": "auth"}), vec![]),
        (json!({"url": url}), vec![missing("cluster")]),
        (
            json!({"inline": keys, "cluster": "auth", "url": url}),
            vec![beside("cluster"), beside("url")],
        ),
        (json!({"inline": keys, "refresh": "5m"}), vec![beside("refresh")]),
        (json!({"cluster": "auth", "url": url, "refresh": "1s"}), vec![]),
        (
            json!({"cluster": "auth", "url": url, "refresh": "999ms"}),
            vec![(at("refresh"), "`999ms` is too short".to_owned())],
        ),
        (
            json!({"cluster": "auth", "url": url, "refresh": "5m", "max_staleness": "4m"}),
            vec![(
                at("max_staleness"),
                "it is shorter than `refresh`: the keys would be stale between two fetches"
                    .to_owned(),
            )],
        ),
    ];
    for (jwks, expected) in cases {
        assert_eq!(remote(jwks.clone()), expected, "{jwks}");
    }
    for url in ["auth/jwks", "ftp://auth/jwks", "https://", "https:///jwks"] {
        let found = remote(json!({"cluster": "auth", "url": url}));
        assert_eq!(found.len(), 1, "{url}");
        assert_eq!(found[0].0, at("url"), "{url}");
    }
}

#[test]
fn every_unusable_inline_key_is_an_error_at_its_place_that_shows_no_key() {
    let bad = |changes: Value| merge(key(), changes);
    let keys = json!([
        bad(json!({"kid": "a", "x": "AA"})),
        bad(json!({"kid": "b", "d": "c2VjcmV0"})),
        bad(json!({"kid": "c"})),
        bad(json!({"kid": "d", "use": "enc"})),
    ]);
    let found = remote(json!({"inline": {"keys": keys}}));
    let at = |place: usize| format!("/issuers/0/jwks/inline/keys/{place}");
    let places: Vec<_> = found.iter().map(|(pointer, _)| pointer.clone()).collect();
    assert_eq!(places, [at(0), at(1), at(3)]);
    assert!(found.iter().all(|(_, problem)| !problem.contains("c2VjcmV0")), "{found:?}");
    let cases = [
        (json!({"keys": []}), "there is no key in `keys`"),
        (json!({"keys": [key(), key()]}), "two of its keys have the `kid` of `keys/1`"),
        (json!({"keys": 7}), "`an object` is not a JWK Set"),
        (json!([]), "`a list` is not a JWK Set"),
    ];
    for (inline, expected) in cases {
        let found = remote(json!({ "inline": inline }));
        assert_eq!(found, [("/issuers/0/jwks/inline".to_owned(), expected.to_owned())]);
    }
}

#[test]
fn an_issuer_stands_there_once() {
    let document =
        json!({"issuers": [config(vec![key()], json!({})), config(vec![key()], json!({}))]});
    let (issuers, errors) = read(&document);
    assert_eq!(issuers.iter().count(), 1);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].pointer, "/issuers/1/issuer");
    assert_eq!(errors[0].problem, "`https://auth.clinic.example` stands in `issuers` twice");
}

#[test]
fn no_issuer_is_an_error() {
    for document in [json!({}), json!({"issuers": []}), json!({"issuers": {}})] {
        assert_eq!(read(&document).1[0].pointer, "/issuers", "{document}");
    }
}

#[test]
fn the_schema_describes_what_is_read() {
    let schema = describe(Issuers::read);
    let issuer = &schema["properties"]["issuers"]["items"];
    assert_eq!(issuer["required"], json!(["issuer", "audiences"]));
    assert_eq!(issuer["properties"]["max_lifetime"]["default"], "1h");
    assert_eq!(issuer["properties"]["jwks"]["properties"]["refresh"]["default"], "5m");
    assert_eq!(issuer["properties"]["types"]["default"], json!(["at+jwt", "JWT"]));
}
