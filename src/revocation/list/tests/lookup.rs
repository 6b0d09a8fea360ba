//! What an entry matches, in both tiers.

use super::*;
use crate::revocation::list::bucket::Bucket;
use crate::revocation::list::record::{Record, Secret};

pub(super) const NOW: u64 = START;

/// A list in force, in the small tier or in the large one.
pub(super) struct Listed {
    scene: Scene,
    large: bool,
}

impl Listed {
    pub(super) fn each(entries: &Value) -> [Listed; 2] {
        [false, true].map(|large| {
            let mut scene = Scene::of(1, &settings());
            scene.limits(if large { tiny() } else { Limits::default() });
            scene.serves(&json!({"entries": entries})).unwrap();
            scene.host.reads.set(0);
            Listed { scene, large }
        })
    }

    fn list(&self) -> &List {
        self.scene.list(0)
    }

    fn in_force(&self) -> &InForce {
        self.list().view.as_ref().unwrap().as_ref().unwrap()
    }

    pub(super) fn finds(&self, claims: &Claims) -> Found {
        look_up(claims, self.in_force(), &self.list().feed, &self.scene.host).unwrap()
    }
}

/// What both tiers say.
pub(super) fn found(entries: &Value, claims: &Claims) -> Found {
    let [small, large] = Listed::each(entries).map(|listed| listed.finds(claims));
    assert_eq!(small, large, "{entries}");
    small
}

pub(super) fn claims() -> Claims {
    let text = |text: &str| Some(text.to_owned());
    Claims {
        issuer: "https://auth.example".to_owned(),
        subject: text("nurse-17"),
        token_id: text("7c1f"),
        client: text("app"),
        patient: text("123"),
        session: text("s-1"),
        organization: text("clinic"),
        key_id: text("k1"),
        issued_at: UnixSeconds(NOW - 100),
        expires: UnixSeconds(NOW + 500),
        ..Claims::default()
    }
}

/// The contract read literally: every key of the entry against the token.
pub(super) fn naive(entry: &Value, claims: &Claims, now: u64) -> bool {
    let is = |claim: &Option<String>, value: &Value| claim.as_deref() == value.as_str();
    entry.as_object().unwrap().iter().all(|(key, value)| match key.as_str() {
        "jti" => is(&claims.token_id, value),
        "sid" => is(&claims.session, value),
        "sub" => is(&claims.subject, value),
        "patient" => claims.patients().any(|own| value.as_str() == Some(own)),
        "client_id" => is(&claims.client, value),
        "organization" => is(&claims.organization, value),
        "kid" => is(&claims.key_id, value),
        "iss" => value.as_str() == Some(&claims.issuer),
        "issued_before" => claims.issued_at.0 < value.as_u64().unwrap(),
        "expires" => now < value.as_u64().unwrap() || claims.expires.0 <= value.as_u64().unwrap(),
        other => panic!("{other}"),
    })
}

pub(super) const OWN: [(&str, &str); 8] = [
    ("jti", "7c1f"),
    ("sid", "s-1"),
    ("sub", "nurse-17"),
    ("patient", "123"),
    ("client_id", "app"),
    ("organization", "clinic"),
    ("kid", "k1"),
    ("iss", "https://auth.example"),
];

#[test]
fn each_key_alone_matches_its_own_claim_and_no_other() {
    for (key, own) in OWN {
        assert_eq!(found(&json!([{key: own}]), &claims()), Found::Revoked, "{key}");
        assert_eq!(found(&json!([{key: "other"}]), &claims()), Found::Nothing, "{key}");
        for (other, value) in OWN.into_iter().filter(|(other, _)| *other != key) {
            if other != "patient" || !value.contains([':', '/']) {
                let entry = if key == "patient" { "999" } else { value };
                assert_eq!(
                    found(&json!([{key: entry}]), &claims()),
                    Found::Nothing,
                    "{key} with the value of {other}"
                );
            }
        }
    }
}

#[test]
fn a_claim_that_the_token_has_not_matches_nothing() {
    let bare = Claims { issuer: "https://auth.example".to_owned(), ..Claims::default() };
    for (key, own) in OWN.into_iter().filter(|(key, _)| *key != "iss") {
        assert_eq!(found(&json!([{key: own}]), &bare), Found::Nothing, "{key}");
    }
}

#[test]
fn every_two_keys_match_only_together() {
    for (one, own_one) in OWN {
        for (two, own_two) in OWN.into_iter().filter(|(two, _)| *two != one) {
            let cases =
                [(own_one, own_two, true), (own_one, "other", false), ("other", own_two, false)];
            for (first, second, revoked) in cases {
                let found = found(&json!([{one: first, two: second}]), &claims());
                assert_eq!(found == Found::Revoked, revoked, "{one}={first} {two}={second}");
            }
        }
    }
}

#[test]
fn issued_before_is_a_strict_bound_alone_and_with_a_name() {
    let iat = NOW - 100;
    for (bound, revoked) in [(iat - 1, false), (iat, false), (iat + 1, true), (u64::MAX, true)] {
        for entry in [
            json!({"issued_before": bound}),
            json!({"sub": "nurse-17", "issued_before": bound}),
            json!({"iss": "https://auth.example", "issued_before": bound}),
        ] {
            let found = found(&json!([entry]), &claims());
            assert_eq!(found == Found::Revoked, revoked, "{entry}");
        }
        let other = json!([{"sub": "other", "issued_before": bound}]);
        assert_eq!(found(&other, &claims()), Found::Nothing, "{other}");
    }
}

#[test]
fn an_entry_that_expired_is_ignored_except_by_tokens_that_ended_with_it() {
    let cases = [
        // (entry's expires, token's exp, revoked)
        (NOW + 1, NOW + 500, true),
        (NOW, NOW + 500, false),
        (NOW - 10, NOW + 500, false),
        (NOW - 10, NOW - 10, true), // still accepted because of `clock_skew`
        (NOW - 10, NOW - 11, true),
        (NOW - 10, NOW - 9, false),
    ];
    for (expires, exp, revoked) in cases {
        let claims = Claims { expires: UnixSeconds(exp), ..claims() };
        for entry in [
            json!({"jti": "7c1f", "expires": expires}),
            json!({"issued_before": NOW, "expires": expires}),
        ] {
            let found = found(&json!([entry]), &claims);
            assert_eq!(found == Found::Revoked, revoked, "{entry} exp {exp}");
        }
    }
}

#[test]
fn an_entry_expires_while_its_list_is_in_force() {
    for mut listed in Listed::each(&json!([{"jti": "7c1f", "expires": NOW + 10}])) {
        assert_eq!(listed.finds(&claims()), Found::Revoked);
        listed.scene.at(10);
        assert_eq!(listed.finds(&claims()), Found::Nothing);
    }
}

#[test]
fn only_buckets_of_what_the_list_names_are_read() {
    let bare = Claims {
        issuer: "https://auth.example".to_owned(),
        issued_at: UnixSeconds(NOW),
        ..Claims::default()
    };
    let two = Claims { user: Some("Patient/9".to_owned()), ..claims() };
    let cases = [
        (json!([]), claims(), 0),
        (json!([{"jti": "a"}]), claims(), 1),
        (json!([{"jti": "a"}, {"jti": "b"}, {"jti": "c", "expires": NOW + 7}]), claims(), 1),
        (json!([{"jti": "a", "sub": "b", "iss": "c"}]), claims(), 1),
        (json!([{"jti": "a"}, {"patient": "b"}]), claims(), 2),
        (json!([{"jti": "a"}, {"patient": "b"}]), two, 3),
        (json!([{"issued_before": 7}]), claims(), 1),
        (json!([{"jti": "a"}, {"patient": "b"}, {"issued_before": 7}]), bare, 1),
    ];
    for (entries, claims, reads) in cases {
        for listed in Listed::each(&entries) {
            assert_eq!(listed.finds(&claims), Found::Nothing);
            let expected = if listed.large { reads } else { 0 };
            assert_eq!(listed.scene.host.reads.get(), expected, "{entries}");
        }
    }
}

#[test]
fn a_bucket_of_another_loading_or_of_garbage_is_told() {
    let [_, listed] = Listed::each(&json!([{"sub": "other"}]));
    let place = listed.in_force().summary.place;
    let (tag, other) = (place.tag, [7; 8]);
    let of = |tag: [u8; 8], rest: &[u8]| [&tag, rest].concat();
    let torn = [Vec::new(), b"short".to_vec(), Bucket::default().encode(&other, 0), tag.to_vec()];
    let garbled = [
        of(tag, &[0; 4]),
        of(tag, &[0; 7]),
        of(tag, &[0; 11]),
        of(tag, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        of(tag, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        of(tag, &[0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]),
        of(tag, &[0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]),
        of(tag, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    let spoil = |value: &[u8]| {
        for bucket in 0..place.buckets() {
            let key = listed.list().feed.key(format_args!("{}/{bucket}", place.slot));
            let _ = listed.scene.host.set_shared(&key, value, None).unwrap();
        }
    };
    for value in torn.iter().chain(&garbled) {
        spoil(value);
        assert_eq!(listed.finds(&claims()), Found::Torn, "{value:?}");
    }
    spoil(&Bucket::default().encode(&tag, 0));
    assert_eq!(listed.finds(&claims()), Found::Nothing);
}

#[test]
fn a_bucket_whose_removals_the_head_does_not_know_yet_is_told() {
    let [_, listed] = Listed::each(&json!([{"sub": "other"}]));
    let InForce { summary, .. } = listed.in_force();
    for (ahead, expected) in [(0, Found::Nothing), (1, Found::Torn), (u32::MAX, Found::Nothing)] {
        let changes = summary.changes.wrapping_add(ahead);
        let mut bucket = Bucket::default();
        bucket.changes = changes;
        let bucket = bucket.encode(&summary.place.tag, 0);
        for number in 0..summary.place.buckets() {
            let key = listed.list().feed.key(format_args!("{}/{number}", summary.place.slot));
            let _ = listed.scene.host.set_shared(&key, &bucket, None).unwrap();
        }
        assert_eq!(listed.finds(&claims()), expected, "{ahead}");
    }
}

#[test]
fn a_small_tier_that_is_not_the_heads_is_told_and_loaded_again() {
    let [mut listed, _] = Listed::each(&json!([{"sub": "other"}]));
    let InForce { head, summary, .. } = listed.in_force().clone();
    let key = listed.list().feed.key(format_args!("small/{}", summary.small_slot));
    let whole = [head.generation.bytes().as_slice(), &[0; 16]].concat();
    let cases = [b"what?".to_vec(), vec![0; 32], whole[..31].to_vec(), [&whole[..], &[0]].concat()];
    for value in cases {
        let _ = listed.scene.host.set_shared(&key, &value, None).unwrap();
        listed.scene.add(&settings());
        let who = listed.scene.instances.len() - 1;
        assert_eq!(listed.scene.checks(who), Err("revocation_torn"), "{value:?}");
        listed.scene.instances.pop();
    }
    let _ = listed.scene.host.set_shared(&key, &whole, None).unwrap();
    listed.scene.add(&settings());
    assert_eq!(listed.scene.checks(1), Ok(Freshness::Fresh));
}

#[test]
fn values_are_kept_apart_by_their_keys_and_by_the_secret() {
    let host = Host::default();
    let (one, two) = (Secret::draw(&host), Secret::draw(&host));
    let record =
        |json: &str, secret: &Secret| Record::of(&serde_json::from_str(json).unwrap(), secret).hash;
    let entries = [
        r#"{"jti": "x"}"#,
        r#"{"sid": "x"}"#,
        r#"{"jti": "xx"}"#,
        r#"{"jti": "x", "sid": "yz"}"#,
        r#"{"jti": "xy", "sid": "z"}"#,
        r#"{"issued_before": 7}"#,
    ];
    let mut hashes: Vec<u64> = entries.iter().map(|entry| record(entry, &one)).collect();
    hashes.push(record(entries[0], &two));
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), entries.len() + 1);
    assert_eq!(record(r#"{"issued_before": 7}"#, &one), record(r#"{"issued_before": 8}"#, &one));
}

#[test]
fn of_two_entries_that_differ_in_expires_the_later_stands_and_others_stand_side_by_side() {
    let cases = [
        (
            json!([{"jti": "7c1f", "expires": NOW + 5}, {"jti": "7c1f", "expires": NOW - 5}]),
            true,
            1,
        ),
        (json!([{"jti": "7c1f"}, {"jti": "7c1f", "expires": NOW - 5}]), true, 1),
        (json!([{"jti": "7c1f", "expires": NOW - 5}, {"jti": "7c1f"}]), true, 1),
        (json!([{"jti": "7c1f"}, {"jti": "7c1f"}]), true, 1),
        (json!([{"sub": "nurse-17", "issued_before": 7}, {"sub": "nurse-17"}]), true, 2),
        (
            json!([{"sub": "nurse-17", "issued_before": 7},
                {"sub": "nurse-17", "issued_before": NOW, "expires": NOW - 5}]),
            false,
            2,
        ),
    ];
    for (entries, revoked, count) in cases {
        assert_eq!(found(&entries, &claims()) == Found::Revoked, revoked, "{entries}");
        for listed in Listed::each(&entries) {
            assert_eq!(listed.in_force().summary.entries(), count, "{entries}");
        }
    }
}
