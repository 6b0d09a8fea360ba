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
