//! How a stream is polled, kept and trusted.

use super::*;

fn revoked(jti: &str, subject: &str) -> String {
    let subject = json!({"format": "iss_sub", "iss": ISSUER, "sub": subject});
    signed(&event(jti, json!({"sub_id": subject})))
}

#[test]
fn before_the_first_answer_tokens_wait_and_afterwards_one_instance_asks_for_all() {
    let mut scene = Scene::of(3, json!({}));
    assert_eq!(scene.verdict(&token(60)), "pending");
    scene.at(0).tick();
    assert_eq!(scene.verdict(&token(60)), "fresh");
    scene.run(0..=9);
    assert_eq!(scene.polls.len(), 2);
    assert_eq!(scene.polls[0], json!({"maxEvents": 100, "returnImmediately": true}));
    let other = Claims { issuer: "https://auth.other.example".to_owned(), ..token(60) };
    assert_eq!(scene.verdict(&other), "no_list", "its events are about its own tokens");
}

#[test]
fn an_event_is_acknowledged_by_the_poll_after_it_took_effect() {
    let mut scene = Scene::of(2, json!({}));
    scene.tick().sends("e", revoked("e", "ann")).run(1..=5);
    assert_eq!(scene.polls.len(), 2);
    assert_eq!(scene.polls[1]["ack"], json!([]));
    scene.run(6..=6);
    assert_eq!(scene.verdict(&token(60)), "token_revoked");
    assert_eq!(scene.acknowledged, [""; 0]);
    scene.run(7..=10);
    assert_eq!(scene.acknowledged, ["e"]);
    assert_eq!(scene.verdict(&token(60)), "token_revoked");
    assert_eq!(scene.verdict(&other_token()), "fresh");
}

#[test]
fn nothing_is_read_for_a_token_that_was_checked() {
    let mut scene = Scene::of(1, json!({}));
    scene.tick();
    let mut checked = Checked::default();
    for _ in 0..3 {
        let before = scene.host.reads.get();
        let live = scene.instances[0].1.check(&token(60), &mut checked, &scene.host);
        assert_eq!(verdict(live), "fresh");
        assert_eq!(scene.host.reads.get(), before);
    }
    scene.sends("e", revoked("e", "ann")).run(1..=6);
    let revoked = scene.instances[0].1.check(&token(60), &mut checked, &scene.host);
    assert_eq!(verdict(revoked), "token_revoked");
}

#[test]
fn pages_are_asked_for_at_once_and_the_stream_is_complete_after_the_last() {
    let mut scene = Scene::of(2, json!({}));
    for n in 0..5 {
        let jti = format!("e{n}");
        scene.sends(&jti, revoked(&jti, &format!("user-{n}")));
    }
    scene.page = 2;
    scene.at(0).tick();
    assert_eq!(scene.verdict(&other_token()), "pending", "there is more to read");
    scene.run(1..=1);
    assert_eq!(scene.verdict(&other_token()), "pending");
    scene.run(2..=2);
    assert_eq!(scene.verdict(&other_token()), "fresh");
    assert_eq!(scene.polls.len(), 3);
    for n in 0..5 {
        let claims = Claims { subject: Some(format!("user-{n}")), ..token(60) };
        assert_eq!(scene.verdict(&claims), "token_revoked", "{n}");
    }
    scene.run(3..=8);
    assert_eq!(scene.acknowledged.len(), 5);
}

#[test]
fn a_transmitter_that_gives_no_good_answer_makes_the_stream_stale() {
    let bad = |status, body: &str| Ok(HttpAnswer { status, ..ok(body) });
    let many = (0..101).map(|n| (n.to_string(), json!(""))).collect::<serde_json::Map<_, _>>();
    let answers = [
        Err(CallFailed::NoAnswer),
        Err(CallFailed::Undispatched),
        bad(503, ""),
        bad(401, r#"{"sets":{}}"#),
        bad(302, r#"{"sets":{}}"#),
        bad(202, r#"{"sets":{}}"#),
        bad(200, ""),
        bad(200, "<html>Log in</html>"),
        bad(200, r#"{"sets":{"#),
        bad(200, r#"{}"#),
        bad(200, r#"[]"#),
        bad(200, r#"{"sets":[]}"#),
        bad(200, r#"{"sets":{},"sets":{}}"#),
        bad(200, r#"{"sets":{},"moreAvailable":"no"}"#),
        bad(200, &json!({"sets": many}).to_string()),
        bad(200, &format!(r#"{{"sets":{{}}}}{}"#, " ".repeat(1 << 20))),
    ];
    for answer in answers {
        for (when_stale, expected) in
            [("refuse", "revocation_events_stale"), ("allow", "stale_allowed")]
        {
            let row = format!("{when_stale} {answer:?}").chars().take(120).collect::<String>();
            let mut scene = Scene::of(2, json!({"when_stale": when_stale}));
            scene.sends("e", revoked("e", "ann")).run(0..=1);
            scene.answer = Some(answer.clone());
            scene.run(2..=20);
            assert_eq!(scene.verdict(&other_token()), "fresh", "{row}");
            scene.run(21..=30);
            assert_eq!(scene.verdict(&other_token()), expected, "{row}");
            let revoked = scene.verdict(&token(60));
            assert_ne!((when_stale, revoked), ("allow", "stale_allowed"), "{row}");
            assert!(!scene.notices.is_empty(), "{row}");
            let status = scene.instances[0].1.statuses(&scene.host).next().unwrap();
            assert!(!status.fresh && status.age > Some(Duration::from_secs(20)), "{status:?}");
            assert!(status.problem.is_some() && status.entries == 1, "{status:?}");
            scene.answer = None;
            scene.run(31..=40);
            let status = scene.instances[1].1.statuses(&scene.host).next().unwrap();
            assert!(status.fresh && status.problem.is_none(), "{status:?}");
            assert_eq!(scene.verdict(&other_token()), "fresh", "{row}");
            assert_eq!(scene.verdict(&token(60)), "token_revoked", "{row}");
        }
    }
}

#[test]
fn after_a_restart_older_tokens_are_refused_or_trusted() {
    for (after_restart, expected) in [("refuse_older", "token_predates_events"), ("trust", "fresh")]
    {
        let mut scene = Scene::of(2, json!({"after_restart": after_restart}));
        scene.run(0..=1).sends("e", revoked("e", "ann")).run(2..=12);
        scene.restart();
        assert_eq!(scene.acknowledged, ["e"]);
        assert_eq!(scene.verdict(&token(60)), "pending", "{after_restart}");
        scene.run(13..=13);
        assert_eq!(scene.verdict(&token(60)), expected, "{after_restart}");
        let younger = Claims { issued_at: UnixSeconds(NOW + 14), ..token(0) };
        assert_eq!(scene.verdict(&younger), "fresh", "{after_restart}");
    }
}

#[test]
fn a_new_configuration_goes_on_with_what_is_remembered() {
    let mut scene = Scene::of(2, json!({"after_restart": "refuse_older"}));
    let session = json!({"format": "complex", "session": {"format": "opaque", "id": "s-1"}});
    scene.sends("e", signed(&event("e", json!({"sub_id": session})))).run(0..=6);
    scene.instances.clear();
    scene.add();
    let after = |claims| Claims { issued_at: UnixSeconds(NOW + 1), ..claims };
    assert_eq!(scene.verdict(&after(other_token())), "fresh");
    assert_eq!(scene.verdict(&after(token(60))), "token_revoked");
    assert_eq!(scene.verdict(&other_token()), "token_predates_events");
}

#[test]
fn what_somebody_else_wrote_over_the_memory_is_a_loss_like_a_restart() {
    let mut scene = Scene::of(2, json!({"after_restart": "refuse_older"}));
    scene.sends("e", revoked("e", "ann")).run(0..=6);
    let keys = shared::Keys::new(&scene.instances[0].1.streams[0].settings);
    let key = keys.lease().replace("lease", "memory");
    assert!(scene.host.shared(&key).unwrap().is_some());
    let _ = scene.host.set_shared(&key, b"garbage", None).unwrap();
    scene.instances.iter_mut().for_each(|(_, events)| events.streams[0].memory_for_tests(None));
    scene.run(7..=7);
    assert_eq!(scene.verdict(&other_token()), "revocation_events_unreadable");
    scene.run(8..=10);
    assert_eq!(scene.verdict(&token(60)), "token_predates_events");
    let younger = Claims { issued_at: UnixSeconds(NOW + 11), ..token(0) };
    assert_eq!(scene.verdict(&younger), "fresh");
}

#[test]
fn what_was_not_written_is_not_acknowledged() {
    let mut scene = Scene::of(1, json!({}));
    scene.tick().sends("e", revoked("e", "ann")).at(5);
    let (instance, events) = &mut scene.instances[0];
    let calls = events.due(instance, &scene.host);
    let answer = ok(&json!({"sets": {"e": revoked("e", "ann")}}).to_string());
    assert!(events.answered(calls[0].0, Ok(answer), &scene.host).is_none());
    scene.host.fails.set(true);
    let notices = events.work(&scene.issuers, &scene.keys, &scene.host);
    assert!(notices[0].text.contains("shared data failed"), "{notices:?}");
    scene.host.fails.set(false);
    scene.run(30..=40);
    let acknowledged: Vec<_> = scene.polls.iter().map(|poll| poll["ack"].clone()).collect();
    assert_eq!(acknowledged[1], json!([]), "the poll after the failure acknowledges nothing");
    assert_eq!(scene.verdict(&token(60)), "token_revoked");
}

#[test]
fn events_whose_keys_are_on_their_way_come_again() {
    let jwks = json!({"cluster": "auth", "url": "https://events.clinic.example/jwks"});
    let name = "https://events.clinic.example";
    let mut scene = Scene::of(1, json!({"issuer": name, "jwks": jwks}));
    let event = event("e", json!({"iss": name, "sub_id": {"format": "opaque", "id": "ann"}}));
    scene.sends("e", signed(&event)).run(0..=3);
    assert_eq!(scene.verdict(&token(60)), "pending");
    assert_eq!((scene.acknowledged.len(), scene.errors.len()), (0, 0));
    let instance = InstanceId::draw(&scene.host);
    let calls = scene.keys.due(&instance, &scene.host);
    let set = ok(&json!({"keys": [signer().jwk()]}).to_string());
    scene.keys.answered(calls[0].0, Ok(set), &scene.host);
    assert!(scene.keys.refresh(&scene.host));
    scene.run(4..=16);
    assert_eq!(scene.verdict(&token(60)), "token_revoked");
    assert_eq!(scene.acknowledged, ["e"]);
}

#[test]
fn the_token_for_polling_comes_from_the_environment_and_goes_nowhere_else() {
    let mut scene = Scene::of(1, json!({"token": "POLL_TOKEN"}));
    for wrong in [None, Some(""), Some("a b"), Some("a\r\nx: y"), Some("\u{e9}")] {
        let environment = wrong.map(|token| ("POLL_TOKEN".to_owned(), token.to_owned()));
        *scene.host.environment.borrow_mut() = environment.into_iter().collect();
        scene.run(0..=2);
        assert_eq!(scene.polls.len(), 0, "{wrong:?}");
        assert_eq!(scene.verdict(&token(60)), "pending");
        scene.restart();
    }
    assert!(scene.notices[0].contains("`POLL_TOKEN`"), "{:?}", scene.notices);
    let environment = [("POLL_TOKEN".to_owned(), "s3cret~".to_owned())];
    *scene.host.environment.borrow_mut() = environment.into_iter().collect();
    let (instance, events) = &mut scene.instances[0];
    let calls = events.due(instance, &scene.host);
    let field = |name: &str| {
        let mut fields = calls[0].1.headers.iter();
        fields.find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(field("authorization"), Some("Bearer s3cret~"));
    assert_eq!(field("content-type"), Some("application/json"));
    assert!(!format!("{:?}", scene.instances[0].1).contains("s3cret"));
    assert!(scene.notices.iter().all(|notice| !notice.contains("s3cret")));
}

#[test]
fn two_instances_that_poll_at_once_lose_nothing() {
    let mut scene = Scene::of(2, json!({}));
    let calls: Vec<_> = scene
        .instances
        .iter_mut()
        .map(|(instance, events)| events.due(instance, &scene.host))
        .collect();
    assert_eq!(calls.iter().map(Vec::len).sum::<usize>(), 1, "the lease is one's");
    let keys = shared::Keys::new(&scene.instances[0].1.streams[0].settings);
    let one = |subject: &str| memory::Revoked {
        names: subject::Names { subject: Some(subject.to_owned()), ..Default::default() },
        issued_until: UnixSeconds(NOW),
        forget: UnixSeconds(NOW + 10),
    };
    for subject in ["ann", "ben"] {
        let kept = keys.remember(&[one(subject)], UnixSeconds(0), &scene.host).unwrap();
        assert_eq!(kept.remembered, memory::Remembered::More);
    }
    let memory = keys.memory(&scene.host).unwrap().unwrap();
    assert!(memory.revokes(&token(60)) && memory.revokes(&other_token()));
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_the_stream_fresh_or_silent() {
    let mut scene = Scene::of(1, json!({}));
    scene.run(0..=1).at(-3600);
    assert_eq!(scene.verdict(&other_token()), "revocation_events_stale");
    scene.tick();
    assert_eq!(scene.verdict(&other_token()), "fresh");
}

#[test]
fn an_event_that_came_late_is_in_force_everywhere_before_it_is_acknowledged() {
    for every in ["5s", "100ms"] {
        let mut scene = Scene::of(2, json!({"every": every}));
        scene.tick().sends("e", revoked("e", "ann")).at(5);
        let (instance, events) = &mut scene.instances[0];
        let (place, call) = events.due(instance, &scene.host).pop().unwrap();
        let answer = scene.polled(&call);
        scene.at(11);
        let (instance, events) = &mut scene.instances[0];
        events.answered(place, answer, &scene.host);
        events.work(&scene.issuers, &scene.keys, &scene.host);
        assert_eq!(events.due(instance, &scene.host), [], "the other one has not ticked yet");
        scene.run(12..=12);
        assert_eq!(scene.acknowledged, ["e"], "{every}");
    }
}
