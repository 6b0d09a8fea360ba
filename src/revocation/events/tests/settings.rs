//! `revocation.events` of the configuration.

use super::*;
use crate::config::section::ConfigError;

fn read(streams: Value) -> (usize, Vec<ConfigError>) {
    let keys = vec![signer().jwk()];
    let mut issuers = issuers(vec![config(keys, json!({"max_lifetime": "2h"}))]);
    let (count, errors) = read_document(&json!({"events": streams}), |section| {
        let settings = Settings::read(section);
        settings.join(&mut issuers, section);
        settings.0.len()
    });
    (count, errors)
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let document = json!({"events": [{"issuer": ISSUER, "audience": "a", "cluster": "c",
        "url": "https://auth/poll"}]});
    let (settings, errors) = read_document(&document, Settings::read);
    assert_eq!(errors, []);
    let stream = &settings.0[0];
    assert_eq!(stream.every, Duration::from_secs(5));
    assert_eq!(stream.max_staleness, Duration::from_secs(120));
    assert_eq!(stream.when_stale.word(), "refuse");
    assert_eq!(stream.after_restart.word(), "refuse_older");
    assert_eq!((stream.token.as_deref(), stream.keep), (None, None));
    for (lifetime, keep) in [("1h", 86_400), ("2d", 172_830)] {
        let config = config(vec![signer().jwk()], json!({"max_lifetime": lifetime}));
        let kept = stream::Stream::new(stream.clone(), &issuers(vec![config])).keep;
        assert_eq!(kept, Duration::from_secs(keep), "{lifetime}");
    }
}

#[test]
fn every_wrong_key_is_named() {
    let keys = json!({"inline": {"keys": [signer().jwk()]}});
    let rows = [
        (json!([stream(json!({}))]), vec![]),
        (json!([stream(json!({"jwks": keys, "issuer": "https://x"}))]), vec![]),
        (json!([stream(json!({"jwks": keys, "algorithms": ["PS256"]}))]), vec![]),
        (json!([stream(json!({"keep": "7230s"}))]), vec![]),
        (json!([stream(json!({"issuer": "https://x"}))]), vec!["/revocation/events/0/issuer"]),
        (json!([stream(json!({"keep": "2h"}))]), vec!["/revocation/events/0/keep"]),
        (json!([stream(json!({})), stream(json!({}))]), vec!["/events/1/issuer"]),
        (json!([stream(json!({"algorithms": ["ES256"]}))]), vec!["/events/0/algorithms"]),
        (
            json!([stream(json!({"algorithms": ["none"]}))]),
            vec!["/events/0/algorithms/0", "/events/0/algorithms"],
        ),
        (json!([stream(json!({"jwks": {}}))]), vec!["/events/0/jwks/cluster"]),
        (json!([stream(json!({"every": "30s"}))]), vec!["/events/0/max_staleness"]),
        (json!([stream(json!({"after_restart": "forget"}))]), vec!["/events/0/after_restart"]),
        (json!([stream(json!({"push": true}))]), vec!["/events/0/push"]),
        (
            json!([{}]),
            vec!["/events/0/issuer", "/events/0/audience", "/events/0/cluster", "/events/0/url"],
        ),
    ];
    for (streams, expected) in rows {
        let (_, errors) = read(streams.clone());
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{streams}");
    }
}
