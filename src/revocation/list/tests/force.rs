//! What is in force, and how long.

use super::*;

#[test]
fn without_the_section_every_token_is_live_and_nothing_is_called() {
    let mut scene = Scene::of(1, &settings());
    scene.instances[0].1 = Revocation::new(None, &Issuers::default());
    assert_eq!(scene.tick(), None);
    assert_eq!(scene.checks(0), Ok(Freshness::NoList));
    assert_eq!(scene.host.reads.get(), 0);
}

#[test]
fn a_list_pulled_by_one_instance_holds_in_all() {
    let mut scene = Scene::of(4, &settings());
    let notice = scene.serves(&json!({"version": "42", "entries": [
        {"sub": "nurse-17"}, {"jti": "a", "expires": 7},
    ]}));
    assert_eq!(
        notice,
        Some(Notice::info("revocation list, version `42`: 1 entries are in force, 1 are over"))
    );
    for who in 0..4 {
        assert_eq!(scene.checks(who), Err("token_revoked"), "instance {who}");
    }
    assert_eq!(scene.at(5).serves(&without_nurse()).unwrap().level, log::Level::Info);
    scene.tick();
    for who in 0..4 {
        assert_eq!(scene.checks(who), Ok(Freshness::Fresh), "instance {who}");
    }
}

#[test]
fn a_revoked_token_is_an_invalid_token() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&with_nurse());
    let token = BoundToken::for_tests(nurse());
    let refusal =
        check(token, &mut scene.instances[0].1, &mut Checked::default(), &scene.host).unwrap_err();
    assert_eq!(refusal.reason.status, 401);
    assert_eq!(refusal.reason.challenge, crate::base::refusal::Challenge::InvalidToken);
    assert_eq!(refusal.retry_after, None);
}

#[test]
fn nothing_is_read_for_a_token_while_the_list_does_not_change() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&without_nurse());
    let mut checked = Checked::default();
    assert_eq!(scene.checks_again(0, &mut checked), Ok(Freshness::Fresh));
    scene.at(5).answers(answer(304, "")).map(drop).unwrap_or_default();
    let reads = scene.host.reads.get();
    for _ in 0..3 {
        assert_eq!(scene.checks_again(0, &mut checked), Ok(Freshness::Fresh));
    }
    assert_eq!(scene.host.reads.get(), reads);
    scene.at(10).serves(&with_nurse());
    assert_eq!(scene.checks_again(0, &mut checked), Err("token_revoked"));
    assert_eq!(checked.list, None);
    assert_eq!(scene.checks_again(0, &mut checked), Err("token_revoked"));
}

#[test]
fn until_the_first_list_requests_are_refused_or_marked() {
    let mut scene = Scene::of(1, &settings());
    assert_eq!(scene.checks(0), Err("revocation_unavailable"));
    let mut scene = Scene::of(1, &allowing());
    let mut checked = Checked::default();
    assert_eq!(scene.checks_again(0, &mut checked), Ok(Freshness::StaleAllowed));
    assert_eq!(checked.list, None, "nothing was checked");
    scene.serves(&with_nurse());
    assert_eq!(scene.checks_again(0, &mut checked), Err("token_revoked"));
}

#[test]
fn a_list_is_stale_when_it_is_older_than_allowed() {
    let cases = [
        (0, Ok(Freshness::Fresh)),
        (20, Ok(Freshness::Fresh)),
        (21, Err("revocation_stale")),
        (100_000, Err("revocation_stale")),
        // The clock was set back: how old the list is can't be known.
        (-20, Ok(Freshness::Fresh)),
        (-21, Err("revocation_stale")),
        (-100_000, Err("revocation_stale")),
    ];
    for (second, expected) in cases {
        let mut scene = Scene::of(1, &settings());
        scene.serves(&without_nurse());
        assert_eq!(scene.at(second).checks(0), expected, "after {second} s");
        let mut scene = Scene::of(1, &allowing());
        scene.serves(&without_nurse());
        let allowed = expected.unwrap_or(Freshness::StaleAllowed);
        assert_eq!(scene.at(second).checks(0), Ok(allowed), "after {second} s");
    }
}

#[test]
fn a_stale_list_that_is_allowed_still_revokes() {
    let mut scene = Scene::of(1, &allowing());
    scene.serves(&with_nurse());
    assert_eq!(scene.at(1_000).checks(0), Err("token_revoked"));
}

#[test]
fn what_passes_says_when_to_try_again() {
    let mut scene = Scene::of(1, &settings());
    let token = BoundToken::for_tests(nurse());
    let refusal =
        check(token, &mut scene.instances[0].1, &mut Checked::default(), &scene.host).unwrap_err();
    assert_eq!(refusal.reason.status, 503);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(5)));
}

#[test]
fn a_list_that_cannot_be_used_leaves_the_last_good_one_and_its_age() {
    let long = "x".repeat(16 * 1024 * 1024 + 1);
    let cases = [
        (answer(200, ""), "an empty answer"),
        (answer(200, "<html>down for maintenance</html>"), "expected value"),
        (answer(200, r#"{"entries": [{"sub": "nurse"#), "entry 1: EOF"),
        (answer(200, r#"{"entries": [{"sub": "x"}, {}]}"#), "entry 2: it names no tokens"),
        (answer(200, r#"{"entries": [{"subject": "x"}]}"#), "entry 1: `subject` is none"),
        (answer(200, &long), "more than the 16777216 allowed"),
        (answer(500, "oops"), "status 500"),
        (answer(503, "no healthy upstream"), "status 503"),
        (answer(404, ""), "status 404"),
        (answer(302, ""), "redirects are not followed"),
        (Err(CallFailed::NoAnswer), "no answer"),
        (Err(CallFailed::Undispatched), "does it have a cluster `lists`?"),
    ];
    for (broken, text) in cases {
        let mut scene = Scene::of(2, &settings());
        let notice = scene.answers(broken.clone()).unwrap();
        assert!(notice.text.ends_with("; there is none in force"), "{}", notice.text);
        assert_eq!(scene.checks(0), Err("revocation_unavailable"), "{text}");

        scene.at(1).serves(&with_nurse());
        let notice = scene.at(6).answers(broken).unwrap();
        assert_eq!(notice.level, log::Level::Warn);
        assert!(notice.text.contains(text), "{}", notice.text);
        assert!(notice.text.ends_with("; the last good one stays in force"), "{}", notice.text);
        for who in 0..2 {
            assert_eq!(scene.checks(who), Err("token_revoked"), "{text}");
        }
        assert_eq!(scene.at(22).checks(0), Err("revocation_stale"), "{text}");
    }
}

#[test]
fn a_list_that_stays_the_same_stays_fresh() {
    for same in [answer(304, ""), answer(200, &without_nurse().to_string())] {
        let mut scene = Scene::of(2, &settings());
        scene.serves(&without_nurse());
        for second in [5, 10, 15, 20, 25] {
            assert_eq!(scene.at(second).answers(same.clone()), None, "{same:?}");
        }
        scene.at(45).tick();
        assert_eq!(scene.checks(0), Ok(Freshness::Fresh));
        assert_eq!(scene.at(46).checks(1), Err("revocation_stale"));
    }
}

#[test]
fn an_instance_that_has_not_ticked_yet_looks_by_itself() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&with_nurse());
    scene.add(&settings());
    assert_eq!(scene.checks(1), Err("token_revoked"), "a reloaded configuration");
    scene.add(&allowing());
    assert_eq!(scene.checks(2), Err("token_revoked"), "with other settings");
}

#[test]
fn a_reader_two_lists_behind_finds_the_one_in_force() {
    let mut scene = Scene::of(2, &settings());
    scene.limits(tiny());
    scene.serves(&without_nurse());
    scene.tick();
    assert_eq!(scene.checks(1), Ok(Freshness::Fresh));
    // Two more lists, while the second instance does not tick: its slot is overwritten.
    for (second, list) in [(5, without_nurse()), (10, with_nurse())] {
        let now = UnixSeconds(START + second);
        scene.host.native.set_now(Instant::from_seconds(now));
        let (instance, revocation) = &mut scene.instances[0];
        assert_eq!(revocation.due(instance, &scene.host).len(), 1);
        let body = format!("{list}\n{}", " ".repeat(usize::try_from(second).unwrap()));
        scene.answered(0, answer(200, &body)).unwrap();
    }
    assert_eq!(scene.checks(1), Err("token_revoked"));
}

#[test]
fn a_torn_list_is_refused_and_loaded_again() {
    for settings in [settings(), allowing()] {
        let mut scene = Scene::of(2, &settings);
        scene.limits(tiny());
        scene.serves(&with_nurse());
        scene.tick();
        tear(&scene);
        assert_eq!(scene.checks(1), Err("revocation_torn"));
        let (who, call) = scene.tick().expect("a call at once");
        assert_eq!(who, 1);
        assert!(call.headers.iter().all(|(name, _)| name != "if-none-match"), "{call:?}");
        let body = with_nurse().to_string();
        let notice = scene.answered(who, answer(200, &body));
        assert_eq!(notice.unwrap().level, log::Level::Info);
        scene.tick();
        assert_eq!(scene.checks(0), Err("token_revoked"));
        assert_eq!(scene.checks(1), Err("token_revoked"));
    }
}

/// What a writer leaves that lost its lease in the middle: its own tag in every bucket.
fn tear(scene: &Scene) {
    for slot in 0..2 {
        let tag = [7; 8];
        for bucket in 0..1024 {
            let key = scene.list(0).feed.key(format_args!("{slot}/{bucket}"));
            let _ = scene.host.set_shared(&key, &Bucket::default().encode(&tag, 0), None).unwrap();
        }
    }
}

#[test]
fn failing_shared_data_refuses_whatever_the_settings() {
    for settings in [settings(), allowing()] {
        let mut scene = Scene::of(1, &settings);
        scene.limits(tiny());
        scene.host.fails.set(true);
        assert_eq!(scene.checks(0), Err("revocation_unreadable"), "before the first list");
        assert_eq!(scene.tick(), None);
        scene.host.fails.set(false);
        scene.serves(&without_nurse());
        scene.host.fails.set(true);
        assert_eq!(scene.checks(0), Err("revocation_unreadable"), "in a lookup");
        scene.tick();
        assert_eq!(scene.checks(0), Err("revocation_unreadable"), "after a tick");
        scene.host.fails.set(false);
        assert_eq!(scene.checks(0), Ok(Freshness::Fresh), "as soon as it works again");
    }
}

#[test]
fn shared_data_that_fails_while_a_list_is_loaded_puts_nothing_in_force() {
    let mut scene = Scene::of(1, &settings());
    let (who, _) = scene.tick().unwrap();
    scene.host.fails.set(true);
    let body = with_nurse().to_string();
    let notice =
        scene.instances[who].1.answered(Which::List, answer(200, &body), &scene.host).unwrap();
    assert_eq!(notice.level, log::Level::Warn);
    scene.host.fails.set(false);
    assert_eq!(scene.checks(0), Err("revocation_unavailable"));
}

#[test]
fn a_head_that_is_not_ours_is_refused_and_replaced() {
    let mut scene = Scene::of(1, &allowing());
    scene.serves(&with_nurse());
    let watch = scene.instances[0].1.list.as_ref().unwrap();
    let key = watch.feed.key("head");
    let mut head = watch.feed.head(&scene.host).unwrap().unwrap();
    head.payload = b"what?".to_vec();
    for value in [b"what?".to_vec(), head.encode()] {
        let _ = scene.host.set_shared(&key, &value, None).unwrap();
        scene.instances[0].1.refresh(&scene.host);
        assert_eq!(scene.checks(0), Err("revocation_unreadable"));
        scene.serves(&with_nurse());
        assert_eq!(scene.checks(0), Err("token_revoked"));
    }
}

#[test]
fn every_reason_has_its_own_code_of_this_stage() {
    let mut codes: Vec<_> = reasons::ALL.iter().map(|reason| reason.code).collect();
    let stage = ["token_", "revocation_", "status_list"];
    assert!(codes.iter().all(|code| stage.iter().any(|start| code.starts_with(start))));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), reasons::ALL.len());
}

#[test]
fn the_slot_in_force_is_not_touched_by_an_instance_that_did_not_tick() {
    let mut scene = Scene::of(2, &settings());
    scene.limits(tiny());
    let slot = |scene: &Scene| {
        let list = scene.list(0);
        Summary::decode(&list.feed.head(&scene.host).unwrap().unwrap().payload).unwrap().place.slot
    };
    scene.serves(&without_nurse());
    let before = slot(&scene);
    scene.at(5);
    let (instance, revocation) = &mut scene.instances[1];
    assert_eq!(revocation.due(instance, &scene.host).len(), 1);
    scene.answered(1, answer(200, &with_nurse().to_string())).unwrap();
    assert_ne!(slot(&scene), before);
}

#[test]
fn a_patient_is_revoked_as_the_user_and_as_the_patient_in_context() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&json!({"entries": [{"patient": "123", "client_id": "app"}]}));
    let cases = [
        (Some("123"), None, true),
        (Some("456"), Some("Patient/123"), true),
        (None, Some("Patient/123"), true),
        (None, Some("https://api.clinic.example/fhir/Patient/123"), true),
        (Some("456"), Some("Patient/4567"), false),
        (None, Some("Practitioner/123"), false),
        (None, Some("Patient/1234"), false),
        (None, None, false),
    ];
    for (patient, user, revoked) in cases {
        let claims = Claims {
            patient: patient.map(str::to_owned),
            user: user.map(str::to_owned),
            client: Some("app".to_owned()),
            ..nurse()
        };
        let token = BoundToken::for_tests(claims);
        let found = check(token, &mut scene.instances[0].1, &mut Checked::default(), &scene.host);
        assert_eq!(found.is_err(), revoked, "{patient:?} {user:?}");
    }
}
