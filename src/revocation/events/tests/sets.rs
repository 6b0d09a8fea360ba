//! Which events are taken, and what they revoke.

use super::*;

fn sub_id(subject: Value) -> Value {
    json!({"sub_id": subject})
}

/// What becomes of Ann's token of a minute ago and one of Ben's when this event came.
fn after(event: &Value) -> (&'static str, &'static str) {
    let mut scene = Scene::of(2, json!({}));
    scene.sends("e", signed(event)).run(0..=6);
    assert_eq!(scene.errors, BTreeMap::new(), "{event}");
    assert_eq!(scene.acknowledged, ["e"], "{event}");
    (scene.verdict(&token(60)), scene.verdict(&other_token()))
}

#[test]
fn an_event_revokes_the_tokens_that_its_subject_names() {
    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "ann"});
    let session = json!({"format": "opaque", "id": "s-1"});
    let rows = [
        (event("e", json!({})), true),
        (event("e", json!({"aud": ["x", AUDIENCE]})), true),
        (event("e", json!({"events": {CHANGED: {"change_type": "update"}}})), true),
        (event("e", json!({"events": {REVOKED: {}}})), true),
        (event("e", json!({"events": {REVOKED: {"event_timestamp": NOW - 60}}})), true),
        (event("e", json!({"events": {REVOKED: {"event_timestamp": NOW - 61}}})), false),
        (
            event("e", json!({"events": {REVOKED: {"event_timestamp": (NOW - 61) as f64 + 0.5}}})),
            true,
        ),
        (event("e", json!({"events": {REVOKED: {}, "https://x/unknown": {}}})), true),
        (event("e", sub_id(json!({"format": "jwt_id", "iss": ISSUER, "jti": "t-1"}))), true),
        (event("e", sub_id(json!({"format": "jwt_id", "iss": ISSUER, "jti": "t-2"}))), false),
        (event("e", sub_id(json!({"format": "opaque", "id": "ann"}))), true),
        (event("e", sub_id(json!({"format": "opaque", "id": "s-1"}))), true),
        (event("e", sub_id(json!({"format": "opaque", "id": "t-1"}))), false),
        (event("e", sub_id(json!({"format": "complex", "session": session}))), true),
        (event("e", sub_id(json!({"format": "complex", "user": user, "session": session}))), true),
        (
            event(
                "e",
                sub_id(json!({"format": "complex", "user": user,
                "session": {"format": "opaque", "id": "s-2"}})),
            ),
            false,
        ),
        (event("e", json!({"events": {"https://x/unknown": {}}})), false),
        (
            event(
                "e",
                json!({"sub_id": {"format": "opaque", "id": "stream-1"}, "events":
                {"https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": "x"}}}),
            ),
            false,
        ),
        (event("e", json!({"iat": NOW - 86_500, "events": {REVOKED: {}}})), false),
    ];
    for (event, revokes) in rows {
        let expected = if revokes { "token_revoked" } else { "fresh" };
        assert_eq!(after(&event), (expected, "fresh"), "{event}");
    }
}

#[test]
fn a_session_that_is_over_has_no_young_tokens_a_changed_credential_has() {
    let session = json!({"format": "complex", "session": {"format": "opaque", "id": "s-1"}});
    for (kind, young) in [(REVOKED, "token_revoked"), (CHANGED, "fresh")] {
        let mut scene = Scene::of(1, json!({}));
        let event = event("e", json!({"sub_id": session, "events": {kind: {}}}));
        scene.sends("e", signed(&event)).run(0..=6);
        let young_token = Claims { issued_at: UnixSeconds(NOW + 5), ..token(0) };
        assert_eq!(scene.verdict(&token(60)), "token_revoked", "{kind}");
        assert_eq!(scene.verdict(&young_token), young, "{kind}");
    }
}

#[test]
fn a_users_token_that_names_no_session_is_not_spared_when_one_of_them_is_over() {
    let subject = json!({"format": "complex", "session": {"format": "opaque", "id": "s-2"},
        "user": {"format": "iss_sub", "iss": ISSUER, "sub": "ann"}});
    let mut scene = Scene::of(1, json!({}));
    scene.sends("e", signed(&event("e", sub_id(subject)))).run(0..=6);
    let sessionless = |ago| Claims { session: None, ..token(ago) };
    assert_eq!(scene.verdict(&sessionless(60)), "token_revoked");
    assert_eq!(scene.verdict(&sessionless(0)), "fresh", "issued after the event");
    assert_eq!(scene.verdict(&token(60)), "fresh", "another session");
}

#[test]
fn an_event_that_breaks_a_rule_is_refused_with_its_code_and_the_others_are_taken() {
    let typ = |typ: Value| json!({"typ": typ});
    let good = typ(json!("secevent+jwt"));
    let stranger = Signer::new(Algorithm::Es256, "a", 9);
    let rows: [(&str, Signer, Value, Value, &str); 24] = [
        ("typ", signer(), typ(json!("at+jwt")), json!({}), "invalid_request"),
        ("no typ", signer(), typ(json!(null)), json!({}), "invalid_request"),
        ("alg", signer(), merge(good.clone(), json!({"alg": "none"})), json!({}), "invalid_key"),
        ("kid", signer(), merge(good.clone(), json!({"kid": "b"})), json!({}), "invalid_key"),
        ("crit", signer(), merge(good.clone(), json!({"crit": []})), json!({}), "invalid_request"),
        ("signature", stranger, good.clone(), json!({}), "authentication_failed"),
        ("iss", signer(), good.clone(), json!({"iss": "https://x"}), "invalid_issuer"),
        ("no iss", signer(), good.clone(), json!({"iss": null}), "invalid_issuer"),
        ("aud", signer(), good.clone(), json!({"aud": "https://x"}), "invalid_audience"),
        ("auds", signer(), good.clone(), json!({"aud": ["https://x", 1]}), "invalid_audience"),
        ("no aud", signer(), good.clone(), json!({"aud": null}), "invalid_audience"),
        ("jti", signer(), good.clone(), json!({"jti": "another"}), "invalid_request"),
        ("no jti", signer(), good.clone(), json!({"jti": null}), "invalid_request"),
        ("sub", signer(), good.clone(), json!({"sub": "ann"}), "invalid_request"),
        ("exp", signer(), good.clone(), json!({"exp": NOW + 60}), "invalid_request"),
        ("no iat", signer(), good.clone(), json!({"iat": null}), "invalid_request"),
        ("iat", signer(), good.clone(), json!({"iat": NOW + 100}), "invalid_request"),
        ("events", signer(), good.clone(), json!({"events": {}}), "invalid_request"),
        ("event", signer(), good.clone(), json!({"events": {REVOKED: 1}}), "invalid_request"),
        ("no events", signer(), good.clone(), json!({"events": null}), "invalid_request"),
        ("no sub_id", signer(), good.clone(), json!({"sub_id": null}), "invalid_request"),
        (
            "ahead",
            signer(),
            good.clone(),
            json!({"events": {REVOKED: {"event_timestamp": NOW * 1000}}}),
            "invalid_request",
        ),
        (
            "email",
            signer(),
            good.clone(),
            json!({"sub_id": {"format": "email", "email": "ann@example.com"}}),
            "invalid_request",
        ),
        (
            "theirs",
            signer(),
            good,
            json!({"sub_id": {"format": "iss_sub", "iss": "https://auth.other.example", "sub": "ann"}}),
            "invalid_request",
        ),
    ];
    let mut scene = Scene::of(2, json!({}));
    let mut expected = BTreeMap::new();
    for (name, signer, header, changes, code) in rows {
        let honest = event(name, json!({"jti": name}));
        scene.sends(name, signer.token_with(header, &merge(honest, changes)).text());
        expected.insert(name.to_owned(), code.to_owned());
    }
    let honest = signed(&event("cut", json!({})));
    let cut = [
        ("empty", String::new()),
        ("html", "<html>Log in</html>".to_owned()),
        ("cut", honest.chars().take(honest.len() / 2).collect()),
        ("huge", format!("{honest}{}", "A".repeat(16 << 10))),
    ];
    for (name, set) in cut {
        scene.sends(name, set);
        expected.insert(name.to_owned(), "invalid_request".to_owned());
    }
    let ben = json!({"format": "iss_sub", "iss": ISSUER, "sub": "ben"});
    scene.sends("good", signed(&event("good", sub_id(ben)))).run(0..=6);
    let found = |(code, _): &(String, String)| code.clone();
    let found: BTreeMap<_, _> =
        scene.errors.iter().map(|(jti, error)| (jti.clone(), found(error))).collect();
    assert_eq!(found, expected);
    assert_eq!(scene.acknowledged, ["good"]);
    assert_eq!(scene.verdict(&token(60)), "fresh");
    assert_eq!(scene.verdict(&other_token()), "token_revoked");
}

#[test]
fn a_transmitter_with_keys_of_its_own_signs_events_but_no_tokens() {
    let name = "https://events.clinic.example";
    let own = Signer::new(Algorithm::EdDsa, "own", 3);
    let jwks = json!({"inline": {"keys": [own.jwk()]}});
    let changes = json!({"issuer": name, "algorithms": ["EdDSA"], "jwks": jwks});
    let mut scene = Scene::of(2, changes);
    let subject = json!({"format": "opaque", "id": "ann"});
    let event = |jti| event(jti, json!({"iss": name, "sub_id": subject}));
    let typed = |signer: &Signer, jti| {
        signer.token_with(json!({"typ": "secevent+jwt"}), &event(jti)).text().to_owned()
    };
    scene.sends("own", typed(&own, "own")).sends("foreign", typed(&signer(), "foreign"));
    scene.run(0..=6);
    assert_eq!(scene.acknowledged, ["own"]);
    assert_eq!(scene.errors["foreign"].0, "invalid_key");
    assert_eq!(scene.verdict(&token(60)), "token_revoked");
    let other = Claims { issuer: "https://auth.other.example".to_owned(), ..token(60) };
    assert_eq!(scene.verdict(&other), "token_revoked", "it may be of any issuer");
    let token = own.token(&crate::token::testing::claims(json!({"iss": name})));
    let refused = crate::token::testing::verify(&token, &scene.issuers, &scene.keys, &scene.host);
    assert_eq!(refused.unwrap_err().refusal.reason.code, "token_issuer_unknown");
}
