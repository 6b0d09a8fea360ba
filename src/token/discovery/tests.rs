use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::Native;
use crate::token::algorithm::Algorithm;
use crate::token::issuers::{KeySource, Place};
use crate::token::keys::{Asked, Keys};
use crate::token::testing::{Signer, claims, config, issuers, now, verify};

const ISSUER: &str = "https://auth.clinic.example";

fn answer(status: u16, body: &Value) -> Result<HttpAnswer, CallFailed> {
    Ok(HttpAnswer { status, etag: None, body: body.to_string().into_bytes() })
}

#[test]
fn keys_are_found_by_the_issuer_s_own_metadata() {
    let issuers = issuers(vec![config(vec![], json!({"jwks": {"cluster": "auth"}}))]);
    let caps = Native::at(now());
    let (id, mut keys) = (InstanceId::draw(&caps), Keys::new(&issuers));
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let metadata = keys.due(&id, &caps);
    assert_eq!(metadata.len(), 1);
    let (asked, call) = &metadata[0];
    assert_eq!((*asked, call.cluster.as_str()), (Asked::Metadata(0), "auth"));
    assert_eq!(call.path, "/.well-known/openid-configuration");
    assert_eq!(call.authority, "auth.clinic.example");
    let found = json!({"issuer": ISSUER, "jwks_uri": "https://auth.clinic.example/k?v=1"});
    assert_eq!(keys.answered(*asked, answer(200, &found), &caps), None);
    keys.refresh(&caps);
    let set = keys.due(&id, &caps);
    assert_eq!(set.len(), 1);
    assert_eq!((set[0].0, set[0].1.path.as_str()), (Asked::Set(0), "/k?v=1"));
    keys.answered(set[0].0, answer(200, &json!({"keys": [signer.jwk()]})), &caps);
    assert!(keys.refresh(&caps));
    let raw = signer.token(&claims(json!({})));
    assert!(verify(&raw, &issuers, &keys, &caps).is_ok());
    // Another instance finds both in shared data.
    let mut other = Keys::new(&issuers);
    assert!(other.refresh(&caps));
    assert!(verify(&raw, &issuers, &other, &caps).is_ok());
}

#[test]
fn metadata_of_somebody_else_or_that_leads_elsewhere_is_refused() {
    let uri = "https://auth.clinic.example/jwks";
    let cases = [
        (json!({"issuer": "https://auth.clinic.example/", "jwks_uri": uri}), "`issuer` is another"),
        (json!({"issuer": "https://evil.example", "jwks_uri": uri}), "`issuer` is another"),
        (json!({ "jwks_uri": uri }), "`issuer` is another"),
        (json!({ "issuer": ISSUER }), "it has no `jwks_uri`"),
        (json!({"issuer": ISSUER, "jwks_uri": 7}), "it has no `jwks_uri`"),
        (json!({"issuer": ISSUER, "jwks_uri": "file:///etc/keys"}), "neither `http` nor `https`"),
        (json!({"issuer": ISSUER, "jwks_uri": "https://evil.example/jwks"}), "on another host"),
        (
            json!({"issuer": ISSUER, "jwks_uri": "https://auth.clinic.example:8/j"}),
            "on another host",
        ),
        (json!("<html>"), "`issuer` is another"),
    ];
    for (metadata, expected) in cases {
        let issuers = issuers(vec![config(vec![], json!({"jwks": {"cluster": "auth"}}))]);
        let caps = Native::at(now());
        let (id, mut keys) = (InstanceId::draw(&caps), Keys::new(&issuers));
        let (asked, _) = keys.due(&id, &caps).remove(0);
        let notice = keys.answered(asked, answer(200, &metadata), &caps).expect("a notice");
        assert!(notice.text.contains(expected), "{metadata}: {}", notice.text);
        keys.refresh(&caps);
        assert!(keys.due(&id, &caps).is_empty(), "no set is asked for: {metadata}");
    }
}

#[test]
fn an_issuer_with_a_path_has_its_metadata_below_it() {
    for (issuer, path) in [
        ("https://auth.example/realms/a", "/realms/a/.well-known/openid-configuration"),
        ("https://auth.example/realms/a/", "/realms/a/.well-known/openid-configuration"),
    ] {
        let document = json!({"issuer": issuer, "jwks": {"cluster": "auth"}});
        let issuers = issuers(vec![config(vec![], document)]);
        let (_, issuer) = issuers.named(issuer).expect("configured");
        let KeySource::Remote(remote) = &issuer.keys else { panic!("remote") };
        let Place::Metadata(url) = &remote.place else { panic!("by metadata") };
        assert_eq!(url.path(), path);
    }
}

/// What metadata that names this path says.
fn found(path: &str) -> Result<HttpAnswer, CallFailed> {
    let uri = format!("https://auth.clinic.example{path}");
    answer(200, &json!({"issuer": ISSUER, "jwks_uri": uri}))
}

#[test]
fn where_the_metadata_names_a_place_without_a_set_the_last_good_set_gets_stale() {
    let issuers = issuers(vec![config(vec![], json!({"jwks": {"cluster": "auth"}}))]);
    let caps = Native::at(now());
    let (id, mut keys) = (InstanceId::draw(&caps), Keys::new(&issuers));
    let signer = Signer::new(Algorithm::Es256, "k1", 7);
    let mut last = "";
    for second in 0..4_000 {
        caps.set_now(now().plus(Duration::from_secs(second)));
        for (asked, call) in keys.due(&id, &caps) {
            let set = json!({"keys": [signer.jwk()]});
            let answer = match (asked, call.path.as_str()) {
                (Asked::Metadata(_), _) => found(if second < 300 { "/old" } else { "/new" }),
                (Asked::Set(_), "/old") => answer(200, &set),
                (Asked::Set(_), _) => answer(500, &json!({})),
            };
            keys.answered(asked, answer, &caps);
        }
        keys.refresh(&caps);
        let seconds = caps.now().seconds().0;
        let raw = signer.token(&claims(json!({"iat": seconds, "exp": seconds + 60})));
        let refused = verify(&raw, &issuers, &keys, &caps).err();
        last = refused.map_or("accepted", |rejected| rejected.refusal.reason.code);
        if (2..3_600).contains(&second) {
            assert_eq!(last, "accepted", "second {second}");
        }
    }
    assert_eq!(last, "keys_stale");
}

#[test]
fn a_set_that_comes_from_the_former_place_is_not_taken_for_that_of_the_new_one() {
    let issuers = issuers(vec![config(vec![], json!({"jwks": {"cluster": "auth"}}))]);
    let caps = Native::at(now());
    let (id, mut keys) = (InstanceId::draw(&caps), Keys::new(&issuers));
    let (old, new) =
        (Signer::new(Algorithm::Es256, "k1", 7), Signer::new(Algorithm::Es256, "k2", 9));
    let set = |signer: &Signer| answer(200, &json!({"keys": [signer.jwk()]}));
    let first = keys.due(&id, &caps).remove(0);
    keys.answered(first.0, found("/old"), &caps);
    keys.refresh(&caps);
    let first = keys.due(&id, &caps).remove(0);
    keys.answered(first.0, set(&old), &caps);
    keys.refresh(&caps);
    caps.set_now(now().plus(Duration::from_secs(301)));
    let due = keys.due(&id, &caps);
    let asked: Vec<_> = due.iter().map(|(asked, _)| *asked).collect();
    assert_eq!(asked, [Asked::Set(0), Asked::Metadata(0)], "both at a time");
    keys.answered(Asked::Metadata(0), found("/new"), &caps);
    keys.refresh(&caps);
    assert!(keys.due(&id, &caps).is_empty(), "the former place has not answered yet");
    keys.answered(Asked::Set(0), set(&old), &caps);
    keys.refresh(&caps);
    let due = keys.due(&id, &caps);
    assert_eq!(due.first().map(|(_, call)| call.path.as_str()), Some("/new"));
    keys.answered(Asked::Set(0), set(&new), &caps);
    keys.refresh(&caps);
    let verdict = |signer: &Signer| {
        let raw = signer.token(&claims(json!({})));
        verify(&raw, &issuers, &keys, &caps).is_ok()
    };
    assert_eq!((verdict(&old), verdict(&new)), (false, true));
}
