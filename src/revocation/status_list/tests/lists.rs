//! One list: how it comes, how it changes, what happens when it can't be had.

use super::*;

/// A scene in which the list of one byte is in force.
fn in_force(instances: usize, settings: &Value, byte: u8) -> Scene {
    let mut scene = Scene::of(instances, settings);
    assert_eq!(scene.checks(0, 0), Err(WAITS.into()));
    scene.serves(URI, &list(1, &[byte])).settle();
    scene.asked.clear();
    scene.notices.clear();
    scene
}

#[test]
fn a_token_without_a_status_passes_unless_one_is_required() {
    let without = Claims { issuer: ISSUER.into(), ..Claims::default() };
    let mut scene = Scene::of(1, &settings());
    assert_eq!(scene.checks_of(0, &without, &mut None), Ok(Freshness::NoList));
    let required = merge(settings(), json!({"status_required": true}));
    let mut scene = Scene::of(1, &required);
    assert_eq!(scene.checks_of(0, &without, &mut None), Err("token_status_missing".into()));
    assert_eq!(scene.checks(0, 0), Err(WAITS.into()));
}

#[test]
fn where_no_list_may_be_asked_no_status_is_looked_up() {
    let mut scene = Scene::of(1, &json!({}));
    assert_eq!(scene.checks(0, 0), Ok(Freshness::NoList));
    scene.settle();
    assert_eq!((scene.asked.len(), scene.host.reads.get()), (0, 0));
}

#[test]
fn offline_a_status_counts_as_valid_and_what_needs_no_list_is_refused_all_the_same() {
    let mut scene = Scene::of(1, &merge(settings(), json!({"status_required": true})));
    scene.instances[0].1.settings.offline = true;
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
    let foreign = token("https://evil.example/lists/1", 0);
    assert_eq!(scene.checks_of(0, &foreign, &mut None), Err("token_status_foreign".into()));
    let without = Claims { issuer: ISSUER.into(), ..Claims::default() };
    assert_eq!(scene.checks_of(0, &without, &mut None), Err("token_status_missing".into()));
    scene.settle();
    assert_eq!(scene.asked, Vec::<String>::new());
}

#[test]
fn a_list_that_no_entry_covers_is_never_fetched() {
    let mut scene = Scene::of(2, &settings());
    for uri in [
        "https://evil.example/lists/1",
        "https://auth.clinic.example/lists/../1",
        "https://auth.clinic.example/1",
        "urn:list",
    ] {
        let checked = scene.checks_of(0, &token(uri, 0), &mut None);
        assert_eq!(checked, Err("token_status_foreign".into()), "{uri}");
    }
    scene.settle();
    assert_eq!(scene.asked, Vec::<String>::new());
}

#[test]
fn the_first_token_waits_for_its_list_which_one_instance_fetches_for_all() {
    let mut scene = Scene::of(3, &settings());
    scene.serves(URI, &list(1, &[0b10])).settle();
    assert_eq!(scene.asked, Vec::<String>::new(), "nobody named it yet");
    assert_eq!(scene.checks(1, 0), Err(WAITS.into()));
    assert!(scene.instances[1].1.busy());
    assert_eq!(scene.checks(2, 1), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.asked, ["/lists/1"]);
    assert_eq!(scene.notices, [format!("status list `{URI}`: 8 statuses of 1 bits are in force")]);
    for who in 0..3 {
        assert_eq!(scene.checks(who, 0), Ok(Freshness::Fresh));
        assert_eq!(scene.checks(who, 1), Err("token_revoked".into()));
    }
    scene.at(59).settle();
    assert_eq!(scene.asked.len(), 1, "its `ttl` is a minute");
    scene.at(61).settle();
    assert_eq!(scene.asked.len(), 2);
}

#[test]
fn a_status_that_changes_is_seen_by_every_instance_and_may_change_back() {
    let mut scene = in_force(2, &settings(), 0b00);
    let mut checked = [None, None];
    for (who, checked) in checked.iter_mut().enumerate() {
        scene.checks_of(who, &token(URI, 1), checked).unwrap();
    }
    for (second, byte, expected) in
        [(61, 0b10, Err("token_revoked".to_owned())), (122, 0, Ok(Freshness::Fresh))]
    {
        let changed = signed(1, &[byte], json!({"iat": NOW as i64 + second}));
        scene.at(second).serves(URI, &changed).settle();
        for (who, checked) in checked.iter_mut().enumerate() {
            assert_eq!(scene.checks_of(who, &token(URI, 1), checked), expected, "{second}");
        }
    }
}

#[test]
fn a_token_is_looked_up_once_for_each_list_also_when_the_same_statuses_are_signed_anew() {
    let mut scene = in_force(1, &settings(), 0);
    let mut checked = None;
    let reads_of_a_check = |scene: &mut Scene, checked: &mut Checked| {
        let before = scene.host.reads.get();
        assert_eq!(scene.checks_of(0, &token(URI, 1), checked), Ok(Freshness::Fresh));
        scene.host.reads.get() - before
    };
    assert_eq!(reads_of_a_check(&mut scene, &mut checked), 1);
    assert_eq!(reads_of_a_check(&mut scene, &mut checked), 0);
    scene.at(61).serves(URI, &signed(1, &[0], json!({"iat": NOW + 61}))).settle();
    assert_eq!((scene.asked.len(), scene.notices.len()), (1, 0));
    assert_eq!(reads_of_a_check(&mut scene, &mut checked), 0);
    scene.at(122).serves(URI, &signed(1, &[1], json!({"iat": NOW + 122}))).settle();
    assert_eq!(reads_of_a_check(&mut scene, &mut checked), 1);
}

#[test]
fn what_can_not_be_used_leaves_the_last_good_list_and_tells_the_operator() {
    let bomb = json!({"status_list": {"bits": 1, "lst": encode(compress_to_vec_zlib(&vec![0; 5 << 20], 9))}});
    let late = json!({"iat": NOW + 61});
    let zlib = compress_to_vec_zlib(&[0], 6);
    let lst =
        |packed: &[u8]| json!({"iat": NOW + 61, "status_list": {"bits": 1, "lst": encode(packed)}});
    let honest =
        json!({"sub": URI, "iat": NOW + 61, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}});
    let rows = [
        ("<html>Log in</html>".to_owned(), "token_shape"),
        ("\u{0}\u{1}".to_owned(), "token_shape"),
        (format!("{}\n", list(1, &[0])), "token_encoding"),
        (list(1, &[0]).replace('.', "~"), "token_shape"),
        (sign(2, "statuslist+jwt", &honest), "token_signature_invalid"),
        (sign(1, "at+jwt", &honest), "token_type_refused"),
        (sign(1, "JWT", &honest), "token_type_refused"),
        (signed(1, &[0], json!({"sub": format!("{URI}0"), "iat": NOW + 61})), "its `sub`"),
        (signed(1, &[0], json!({"iss": OTHER, "iat": NOW + 61})), "token_issuer_unknown"),
        (signed(1, &[0], json!({"iat": NOW + 1_000})), "token_issued_in_future"),
        (signed(1, &[0], json!({"iat": NOW + 61, "exp": NOW + 31})), "token_expired"),
        (signed(1, &[0], json!({"iat": NOW - 6})), "it was issued before the one in force"),
        (signed(1, &[0], json!({"iat": NOW + 61, "ttl": 0})), "its `ttl`"),
        (signed(3, &[0], late.clone()), "its `bits`"),
        (signed(1, &[0], lst(&zlib[..zlib.len() - 1])), "is not packed with zlib, or is cut short"),
        (signed(1, &[0], lst(b"")), "is not packed with zlib, or is cut short"),
        (signed(1, &[0], lst(b"plain")), "is not packed with zlib, or is cut short"),
        (signed(1, &[0], lst(&[&zlib[..], b"x"].concat())), "goes on after its end"),
        (signed(1, &[], merge(late, bomb)), "it is larger than `max_bytes`"),
    ];
    for (body, problem) in rows {
        let mut scene = in_force(2, &settings(), 0b10);
        scene.at(61).serves(URI, &body).settle();
        assert_eq!(scene.notices.len(), 1, "{problem}: {:?}", scene.notices);
        let notice = &scene.notices[0];
        assert!(notice.contains(problem), "{problem}: {notice}");
        assert!(notice.contains("the last good one stays in force until it is stale"), "{notice}");
        for who in 0..2 {
            assert_eq!(scene.checks(who, 0), Ok(Freshness::Fresh), "{problem}");
            assert_eq!(scene.checks(who, 1), Err("token_revoked".into()), "{problem}");
        }
    }
}

#[test]
fn a_server_that_fails_leaves_the_last_good_list_until_it_is_stale() {
    let empty = |status| Ok(HttpAnswer { status, etag: None, body: Vec::new() });
    let huge = Ok(HttpAnswer { status: 200, etag: None, body: vec![b'a'; (1 << 20) + 1] });
    for answer in [empty(500), empty(200), empty(302), empty(304), huge, Err(CallFailed::NoAnswer)]
    {
        let mut scene = in_force(1, &with(json!({"max_staleness": "10m"})), 0b10);
        scene.answers(URI, answer.clone());
        for second in (60..=600).step_by(30) {
            scene.at(second).settle();
            assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh), "{second} {answer:?}");
        }
        scene.at(601).settle();
        assert_eq!(scene.checks(0, 0), Err("status_list_stale".into()));
        assert_eq!(scene.checks(0, 1), Err("status_list_stale".into()));
        scene.at(640).serves(URI, &signed(1, &[0b10], json!({"iat": NOW + 640}))).settle();
        assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
    }
}

#[test]
fn a_list_ends_with_its_exp_and_is_fetched_before_that() {
    let mut scene = Scene::of(1, &settings());
    scene.checks(0, 0).unwrap_err();
    scene.serves(URI, &signed(1, &[0], json!({"exp": NOW + 100, "ttl": null}))).settle();
    // The issuer's clock skew is half a minute: 130 seconds are left, three quarters of which are 97.
    scene.at(97).settle();
    assert_eq!(scene.asked.len(), 1);
    scene.at(98).settle();
    assert_eq!(scene.asked.len(), 2);
    scene.at(129).settle();
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
    scene.at(130);
    assert!(scene.checks(0, 0).unwrap_err().starts_with("status_list_stale"));
    scene.at(145).serves(URI, &signed(1, &[0], json!({"iat": NOW + 130}))).settle();
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
}

#[test]
fn no_ttl_makes_the_filter_ask_too_often_or_too_rarely() {
    for (ttl, every, expected) in
        [(1, "5m", 10), (20, "5m", 20), (86_400, "5m", 300), (1, "2s", 2), (60, "1s", 1)]
    {
        let mut scene = Scene::of(1, &with(json!({"every": every})));
        scene.checks(0, 0).unwrap_err();
        scene.serves(URI, &signed(1, &[0], json!({"ttl": ttl}))).settle();
        scene.at(expected - 1).settle();
        assert_eq!(scene.asked.len(), 1, "{ttl} {every}");
        scene.at(expected).settle();
        assert_eq!(scene.asked.len(), 2, "{ttl} {every}");
    }
}

#[test]
fn while_the_first_fetch_fails_tokens_are_refused_at_once_or_let_through_as_configured() {
    let allow = with(json!({"when_stale": "allow"}));
    for (settings, expected) in [
        (settings(), Err("status_list_unavailable".to_owned())),
        (allow, Ok(Freshness::StaleAllowed)),
    ] {
        let mut scene = Scene::of(2, &settings);
        assert_eq!(scene.checks(0, 0), Err(WAITS.into()), "it is on its way");
        scene.answers(URI, Err(CallFailed::Undispatched)).settle();
        for who in 0..2 {
            assert_eq!(scene.checks(who, 0), expected);
        }
        scene.at(2).serves(URI, &list(1, &[1])).settle();
        scene.at(3).settle();
        assert_eq!(scene.checks(0, 0), Err("token_revoked".into()));
        assert_eq!(scene.checks(1, 1), Ok(Freshness::Fresh));
    }
}

#[test]
fn operators_see_how_old_the_oldest_list_is_and_what_is_wrong_with_it() {
    let seen = |scene: &Scene, who: usize| {
        let status = scene.instances[who].1.status(&scene.host).unwrap();
        (status.age.map(|age| age.as_secs()), status.entries, status.fresh, status.problem)
    };
    let mut scene = Scene::of(2, &with(json!({"max_staleness": "5m"})));
    assert_eq!(seen(&scene, 0), (Some(0), 0, true, None));
    scene.checks(0, 0).unwrap_err();
    scene.settle();
    let problem = |what| Some(format!("`{URI}`: {what}"));
    assert_eq!(seen(&scene, 1), (None, 1, false, problem("status 404")));
    scene.at(2).serves(URI, &list(1, &[0])).settle();
    assert_eq!(seen(&scene, 1), (Some(0), 1, true, None));
    scene.at(70).answers(URI, Err(CallFailed::NoAnswer)).settle();
    let (age, entries, fresh, problem) = seen(&scene, 1);
    assert_eq!((age, entries, fresh, problem.is_some()), (Some(68), 1, true, true));
    scene.at(303).settle();
    assert!(!seen(&scene, 1).2);
    assert_eq!(Scene::of(1, &json!({})).instances[0].1.status(&scene.host), None);
}

#[test]
fn a_stale_list_still_judges_where_that_is_allowed() {
    let mut scene = in_force(1, &with(json!({"when_stale": "allow"})), 0b10);
    scene.answers(URI, Err(CallFailed::NoAnswer));
    for second in (0..3_800).step_by(100) {
        scene.at(second).settle();
        scene.checks(0, 0).unwrap();
    }
    assert_eq!(scene.checks(0, 0), Ok(Freshness::StaleAllowed));
    assert_eq!(scene.checks(0, 1), Err("token_revoked".into()));
}

#[test]
fn a_host_that_fails_refuses() {
    let mut scene = Scene::of(1, &settings());
    scene.host.fails.set(true);
    assert_eq!(scene.checks(0, 0), Err("revocation_unreadable".into()));
    let mut scene = in_force(1, &settings(), 0);
    scene.host.fails.set(true);
    assert_eq!(scene.checks(0, 0), Err("revocation_unreadable".into()));
    scene.tick();
    assert_eq!(scene.checks(0, 0), Err("revocation_unreadable".into()));
    scene.host.fails.set(false);
    scene.settle();
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
}

#[test]
fn a_chunk_of_somebody_else_refuses_and_is_loaded_again() {
    let mut scene = in_force(2, &settings(), 0b10);
    let prefix = scene.instances[0].1.prefix.clone();
    for side in ["0", "1"] {
        let key = format!("{prefix}0/{side}/0");
        let _ = scene.host.set_shared(&key, b"something else", None).unwrap();
    }
    assert_eq!(scene.checks(0, 1), Err("revocation_torn, pending".into()));
    scene.settle();
    assert_eq!(scene.asked.len(), 1);
    assert_eq!(scene.checks(0, 1), Err("token_revoked".into()));
    scene.settle();
    assert_eq!(scene.checks(1, 0), Ok(Freshness::Fresh));
    assert_eq!(scene.asked.len(), 1);
}

#[test]
fn a_list_waits_for_keys_that_are_on_their_way_and_not_for_ever() {
    let mut scene = Scene::of(1, &settings());
    let remote = json!({"jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks"}});
    let issuers = issuers(vec![config(Vec::new(), remote)]);
    let without = Keys::new(&issuers);
    let with = core::mem::replace(&mut scene.keys, without);
    scene.issuers = issuers;
    scene.checks(0, 0).unwrap_err();
    scene.serves(URI, &list(1, &[0])).tick();
    for second in 0..5 {
        scene.at(second).tick();
        assert!(scene.instances[0].1.busy());
        assert_eq!(scene.checks(0, 0), Err(WAITS.into()));
    }
    scene.at(5).settle();
    assert!(scene.notices[0].contains("did not come"), "{:?}", scene.notices);
    assert_eq!(scene.checks(0, 0), Err("status_list_unavailable".into()));
    scene.keys = with;
    scene.issuers =
        super::issuers(vec![config(vec![Signer::new(Algorithm::Es256, "a", 1).jwk()], json!({}))]);
    scene.at(7).settle();
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
}

#[test]
fn a_large_list_is_unpacked_in_slices_and_seen_only_whole() {
    let mut bytes: Vec<u8> = (0..1 << 20)
        .map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x11)
        .collect();
    bytes[0] = 0;
    let mut scene = in_force(2, &settings(), 0b10);
    scene.at(61).serves(URI, &signed(1, &bytes, json!({"iat": NOW + 61})));
    scene.host.pace.set(Duration::from_micros(100));
    scene.tick_of(0);
    let mut slices = 0;
    while scene.instances[0].1.busy() {
        assert_eq!(
            scene.checks(1, 1),
            Err("token_revoked".into()),
            "the list before it is in force"
        );
        scene.tick_of(0);
        slices += 1;
    }
    assert!(slices > 10, "{slices}");
    scene.host.pace.set(Duration::ZERO);
    scene.settle();
    for who in 0..2 {
        assert_eq!(scene.checks(who, 1), Ok(Freshness::Fresh));
        let last = (1 << 23) - 4;
        let expected = bytes[(1 << 20) - 1] >> 4 & 1 == 1;
        assert_eq!(scene.checks(who, last).is_err(), expected);
    }
}

#[test]
fn a_new_instance_with_the_same_settings_begins_with_the_lists_there_are() {
    let mut scene = in_force(1, &settings(), 0b10);
    scene.checks(0, 0).unwrap();
    scene.add(&settings());
    assert_eq!(scene.checks(1, 0), Ok(Freshness::Fresh));
    assert_eq!(scene.checks(1, 1), Err("token_revoked".into()));
    scene.add(&with(json!({"max_bytes": 2048})));
    assert_eq!(scene.checks(2, 0), Err(WAITS.into()), "it was not judged by these settings");
}

#[test]
fn each_issuer_has_its_own_list_even_at_one_place() {
    let mut scene = in_force(1, &settings(), 0b10);
    let theirs = Claims { issuer: OTHER.into(), ..token(URI, 0) };
    assert_eq!(scene.checks_of(0, &theirs, &mut None), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.asked, ["/lists/1"]);
    assert!(scene.notices[0].contains("token_signature_invalid"), "{:?}", scene.notices);
    assert_eq!(scene.checks_of(0, &theirs, &mut None), Err("status_list_unavailable".into()));
    assert_eq!(scene.checks(0, 0), Ok(Freshness::Fresh));
}
