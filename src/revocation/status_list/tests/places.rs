//! Many lists, and the places there are for them.

use super::*;
use proptest::prelude::*;

fn uri(number: usize) -> String {
    format!("https://auth.clinic.example/lists/{number}")
}

/// A scene in which so many lists were asked for at second 0.
fn crowded(lists: usize) -> Scene {
    let mut scene = Scene::of(2, &settings());
    for number in 0..lists {
        let claims = json!({"sub": uri(number)});
        scene.serves(&uri(number), &signed(1, &[1], claims));
        scene.checks_of(0, &token(&uri(number), 0), &mut None).unwrap_err();
    }
    scene.settle();
    scene
}

#[test]
fn there_is_room_for_so_many_lists_and_no_more_until_one_is_no_longer_named() {
    let mut scene = crowded(PLACES);
    assert_eq!(scene.asked.len(), PLACES);
    for number in 0..PLACES {
        let token = token(&uri(number), 0);
        assert_eq!(scene.checks_of(1, &token, &mut None), Err("token_revoked".into()), "{number}");
    }
    let late = token(&uri(PLACES), 1);
    scene.serves(&uri(PLACES), &signed(1, &[1], json!({"sub": uri(PLACES)})));
    assert_eq!(scene.checks_of(0, &late, &mut None), Err("status_lists_full".into()));
    // All but the first are named again.
    scene.at(61).settle();
    scene.at(400);
    for number in 1..PLACES {
        scene.checks_of(0, &token(&uri(number), 0), &mut None).unwrap_err();
    }
    scene.settle();
    scene.at(662).settle();
    assert_eq!(scene.checks_of(1, &late, &mut None), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.checks_of(1, &late, &mut None), Ok(Freshness::Fresh));
    assert_eq!(scene.checks_of(0, &token(&uri(7), 0), &mut None), Err("token_revoked".into()));
    assert_eq!(scene.checks_of(0, &token(&uri(0), 0), &mut None), Err("status_lists_full".into()));
}

#[test]
fn a_list_that_no_token_names_is_no_longer_fetched_and_comes_back_fresh() {
    let mut scene = crowded(1);
    for second in (60..600).step_by(60) {
        scene.at(second).settle();
    }
    let asked = scene.asked.len();
    assert!(asked > 5, "{asked}");
    scene.at(660).settle();
    scene.at(1_200).settle();
    assert_eq!(scene.asked.len(), asked);
    scene.serves(&uri(0), &signed(1, &[0], json!({"sub": uri(0), "iat": NOW + 1_200})));
    let token = token(&uri(0), 0);
    assert_eq!(scene.checks_of(0, &token, &mut None), Err(WAITS.into()), "what is left is too old");
    scene.settle();
    assert_eq!(scene.checks_of(0, &token, &mut None), Ok(Freshness::Fresh));
}

#[test]
fn a_list_that_tokens_go_on_naming_keeps_its_place() {
    let mut scene = crowded(1);
    for second in (0..3_000).step_by(100) {
        scene.at(second).settle();
        let who = usize::from(second % 200 == 0);
        let claims = json!({"sub": uri(0), "iat": NOW as i64 + second});
        scene.serves(&uri(0), &signed(1, &[1], claims));
        assert_eq!(
            scene.checks_of(who, &token(&uri(0), 0), &mut None),
            Err("token_revoked".into()),
            "{second}"
        );
    }
}

#[test]
fn the_next_in_a_place_never_sees_what_was_there_before() {
    let mut scene = crowded(1);
    scene.at(700);
    scene.serves(&uri(5), &signed(1, &[0], json!({"sub": uri(5), "iat": NOW + 700})));
    let next = token(&uri(5), 0);
    assert_eq!(scene.checks_of(1, &next, &mut None), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.checks_of(0, &next, &mut None), Ok(Freshness::Fresh));
    assert_eq!(scene.instances[0].1.place_of(ISSUER, &uri(5)), Some(0));
}

#[test]
fn that_a_list_failed_lets_no_token_of_the_next_one_in_its_place_through() {
    let mut scene = Scene::of(1, &with(json!({"when_stale": "allow"})));
    scene.checks_of(0, &token(&uri(0), 0), &mut None).unwrap_err();
    for second in (0..600).step_by(7) {
        scene.at(second).settle();
    }
    // The last call failed 20 seconds ago.
    scene.at(601).serves(&uri(5), &signed(1, &[1], json!({"sub": uri(5)})));
    let next = token(&uri(5), 0);
    assert_eq!(scene.checks_of(0, &next, &mut None), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.instances[0].1.place_of(ISSUER, &uri(5)), Some(0));
    assert_eq!(scene.checks_of(0, &next, &mut None), Err(WAITS.into()), "it was not asked for yet");
    scene.at(640).settle();
    assert_eq!(scene.checks_of(0, &next, &mut None), Err("token_revoked".into()));
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut scene = Scene::of(2, &settings());
    let token = token(URI, 0);
    let signed_at = |second: u64, byte| signed(1, &[byte], json!({"iat": NOW - second}));
    scene.serves(URI, &signed_at(305, 1));
    scene.checks_of(0, &token, &mut None).unwrap_err();
    scene.settle();
    scene.at(-300).serves(URI, &signed_at(300, 0)).settle();
    assert_eq!(scene.checks_of(0, &token, &mut None), Err(WAITS.into()));
    scene.settle();
    assert_eq!(scene.checks_of(0, &token, &mut None), Ok(Freshness::Fresh));
    assert!(scene.asked.len() < 5, "{}", scene.asked.len());
}

#[test]
fn a_directory_of_somebody_else_is_checked_like_a_token() {
    let mut scene = crowded(2);
    let key = format!("{}places", scene.instances[0].1.prefix);
    let good = scene.host.shared(&key).unwrap().unwrap().value;
    let mut evil = good.clone();
    let at = evil.windows(6).position(|part| part == b"clinic").unwrap();
    evil[at + 40..at + 41].copy_from_slice(b"/");
    for value in [vec![7; 300], vec![0], good[..good.len() - 1].to_vec(), evil] {
        let _ = scene.host.set_shared(&key, &value, None).unwrap();
        scene.asked.clear();
        scene.settle();
        assert_eq!(scene.asked, Vec::<String>::new());
        for number in 0..2 {
            scene.checks_of(0, &token(&uri(number), 0), &mut None).unwrap_err();
        }
        scene.settle();
        assert_eq!(scene.checks_of(1, &token(&uri(1), 0), &mut None), Err("token_revoked".into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_in_shared_data_never_panics_nor_lets_a_revoked_token_through(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut scene = crowded(1);
        let prefix = scene.instances[0].1.prefix.clone();
        for (name, value) in ["places", "0/head", "0/0/0", "0/lease"].into_iter().zip(values) {
            let key = format!("{prefix}{name}");
            let good = scene.host.shared(&key).unwrap().unwrap_or(Shared { value: vec![], stamp: 0 }).value;
            let kept = if name == "0/0/0" { &[] } else { &good[..cut.index(good.len().saturating_add(1))] };
            let _ = scene.host.set_shared(&key, &[kept, &value].concat(), None).unwrap();
            for who in 0..2 {
                prop_assert!(scene.checks_of(who, &token(&uri(0), 0), &mut None).is_err());
                scene.tick();
                prop_assert!(scene.checks_of(who, &token(&uri(0), 0), &mut None).is_err());
            }
        }
    }
}
