use std::cell::Cell;

use super::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Native, Shared, Written};
use crate::revocation::list;
use crate::store::{HttpUrl, Source};
use core::time::Duration;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_790_000_000;

/// A host that counts reads.
#[derive(Default)]
struct Counting {
    native: Native,
    reads: Cell<usize>,
}

impl Capabilities for Counting {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.reads.set(self.reads.get().saturating_add(1));
        self.native.shared(key)
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.native.set_shared(key, value, stamp)
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

/// A list in shared data.
struct Scene {
    caps: Counting,
    feed: Feed,
    generation: Generation,
    summary: Summary,
}

impl Scene {
    fn of(entries: &Value) -> Scene {
        let native = Native::at(Instant::from_seconds(UnixSeconds(NOW)));
        let caps = Counting { native, reads: Cell::new(0) };
        let feed = Feed::new(Source {
            name: "revocation".to_owned(),
            cluster: "lists".to_owned(),
            url: HttpUrl::read("http://lists/").unwrap(),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            max_bytes: 1 << 20,
            accept: "application/json",
        });
        let generation = Generation::draw(&caps);
        let body = json!({"entries": entries}).to_string();
        let list = list::read(body.as_bytes(), Index::new(generation), caps.now()).unwrap();
        let summary = list.index.write(None, String::new(), &feed, &caps).unwrap();
        Scene { caps, feed, generation, summary }
    }

    fn finds(&self, claims: &Claims) -> Found {
        look_up(claims, &self.generation, &self.summary, &self.feed, &self.caps).unwrap()
    }

    /// Overwrites the bucket of a name.
    fn spoil(&self, kind: Kind, name: &str, value: &[u8]) {
        let bucket = bucket_of(hash(&self.generation, kind, name));
        let key = key(&self.feed, self.summary.slot, bucket);
        let _ = self.caps.set_shared(&key, value, None).unwrap();
    }
}

fn claims() -> Claims {
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
fn naive(entry: &Value, claims: &Claims, now: u64) -> bool {
    let is = |claim: &Option<String>, value: &Value| claim.as_deref() == value.as_str();
    entry.as_object().unwrap().iter().all(|(key, value)| match key.as_str() {
        "jti" => is(&claims.token_id, value),
        "sid" => is(&claims.session, value),
        "sub" => is(&claims.subject, value),
        "patient" => is(&claims.patient, value),
        "client_id" => is(&claims.client, value),
        "organization" => is(&claims.organization, value),
        "kid" => is(&claims.key_id, value),
        "iss" => value.as_str() == Some(&claims.issuer),
        "issued_before" => claims.issued_at.0 < value.as_u64().unwrap(),
        "expires" => now < value.as_u64().unwrap() || claims.expires.0 <= value.as_u64().unwrap(),
        other => panic!("{other}"),
    })
}

const OWN: [(&str, &str); 8] = [
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
        assert_eq!(Scene::of(&json!([{key: own}])).finds(&claims()), Found::Revoked, "{key}");
        assert_eq!(Scene::of(&json!([{key: "other"}])).finds(&claims()), Found::Nothing, "{key}");
        for (other, value) in OWN.into_iter().filter(|(other, _)| *other != key) {
            if other != "patient" || !value.contains([':', '/']) {
                let entry = if key == "patient" { "999" } else { value };
                let found = Scene::of(&json!([{key: entry}])).finds(&claims());
                assert_eq!(found, Found::Nothing, "{key} with the value of {other}");
            }
        }
    }
}

#[test]
fn a_claim_that_the_token_has_not_matches_nothing() {
    let bare = Claims { issuer: "https://auth.example".to_owned(), ..Claims::default() };
    for (key, own) in OWN.into_iter().filter(|(key, _)| *key != "iss") {
        assert_eq!(Scene::of(&json!([{key: own}])).finds(&bare), Found::Nothing, "{key}");
    }
}

#[test]
fn every_two_keys_match_only_together() {
    for (one, own_one) in OWN {
        for (two, own_two) in OWN.into_iter().filter(|(two, _)| *two != one) {
            let cases =
                [(own_one, own_two, true), (own_one, "other", false), ("other", own_two, false)];
            for (first, second, revoked) in cases {
                let found = Scene::of(&json!([{one: first, two: second}])).finds(&claims());
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
            let found = Scene::of(&json!([entry])).finds(&claims());
            assert_eq!(found == Found::Revoked, revoked, "{entry}");
        }
        let other = json!([{"sub": "other", "issued_before": bound}]);
        assert_eq!(Scene::of(&other).finds(&claims()), Found::Nothing, "{other}");
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
            let found = Scene::of(&json!([entry])).finds(&claims);
            assert_eq!(found == Found::Revoked, revoked, "{entry} exp {exp}");
        }
    }
}

#[test]
fn an_entry_expires_while_its_list_is_in_force() {
    let scene = Scene::of(&json!([{"jti": "7c1f", "expires": NOW + 10}]));
    assert_eq!(scene.finds(&claims()), Found::Revoked);
    scene.caps.native.set_now(Instant::from_seconds(UnixSeconds(NOW + 10)));
    assert_eq!(scene.finds(&claims()), Found::Nothing);
}

#[test]
fn only_what_the_list_names_is_read() {
    let cases = [
        (json!([]), 0),
        (json!([{"jti": "a"}]), 1),
        (json!([{"jti": "a", "sub": "b", "iss": "c"}]), 1),
        (json!([{"jti": "a"}, {"patient": "b"}]), 2),
        (json!([{"issued_before": 7}]), 1),
    ];
    for (entries, reads) in cases {
        let scene = Scene::of(&entries);
        assert_eq!(scene.finds(&claims()), Found::Nothing);
        assert_eq!(scene.caps.reads.get(), reads, "{entries}");
    }
}

#[test]
fn a_bucket_of_another_generation_or_of_garbage_is_told() {
    let scene = Scene::of(&json!([{"sub": "other"}]));
    let of = |generation: &Generation, entries: &[u8]| [generation.bytes(), entries].concat();
    let other = Generation::draw(&scene.caps);
    let garbage: [&[u8]; 5] =
        [&[1], &[0, 1], &[0, 1, 0, 0], &[0, 0], &[2, 0, 0, 0, 0, 0, 0, 0, 0, 9]];
    let torn = [Vec::new(), b"short".to_vec(), of(&other, b"")];
    let garbled = garbage.map(|entries| of(&scene.generation, entries));
    for value in torn.iter().chain(&garbled) {
        scene.spoil(Kind::Sub, "nurse-17", value);
        assert_eq!(scene.finds(&claims()), Found::Torn, "{value:?}");
    }
    scene.spoil(Kind::Sub, "nurse-17", &of(&scene.generation, b""));
    assert_eq!(scene.finds(&claims()), Found::Nothing);
}

#[test]
fn a_garbled_entry_behind_a_match_is_told_too() {
    let scene = Scene::of(&json!([{"sub": "nurse-17"}]));
    let mut bucket = scene.generation.bytes().to_vec();
    encode(
        &entry("nurse-17"),
        &[(Kind::Sub, hash(&scene.generation, Kind::Sub, "nurse-17"))],
        &mut bucket,
    );
    bucket.push(0);
    scene.spoil(Kind::Sub, "nurse-17", &bucket);
    assert_eq!(scene.finds(&claims()), Found::Torn);
}

fn entry(subject: &str) -> Entry {
    let mut entry = Entry::default();
    entry.name(Kind::Sub, subject.to_owned()).unwrap();
    entry
}

#[test]
fn a_new_list_goes_to_the_slot_that_is_not_in_force() {
    let scene = Scene::of(&json!([{"jti": "7c1f"}]));
    let generation = Generation::draw(&scene.caps);
    let empty = Index::new(generation);
    let next = empty.write(Some(&scene.summary), String::new(), &scene.feed, &scene.caps).unwrap();
    assert_ne!(next.slot, scene.summary.slot);
    assert_eq!(scene.finds(&claims()), Found::Revoked, "the old list is whole");
    let third = Index::new(Generation::draw(&scene.caps));
    let third = third.write(Some(&next), String::new(), &scene.feed, &scene.caps).unwrap();
    assert_eq!(third.slot, scene.summary.slot);
    assert_eq!(scene.finds(&claims()), Found::Torn, "the old list was overwritten");
}

#[test]
fn names_are_kept_apart_by_kind_and_by_generation() {
    let caps = Native::default();
    let (one, two) = (Generation::draw(&caps), Generation::draw(&caps));
    let mut hashes: Vec<u64> = Kind::ALL.into_iter().map(|kind| hash(&one, kind, "x")).collect();
    hashes.extend([nameless(&one), hash(&two, Kind::Jti, "x"), hash(&one, Kind::Jti, "")]);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 11);
}

fn small() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(prop_oneof![Just("a"), Just("b"), Just("c")])
}

fn any_entry() -> impl Strategy<Value = Value> {
    let names =
        proptest::collection::vec(proptest::option::weighted(0.3, prop_oneof!["a", "b"]), 8);
    let instants = (proptest::option::of(95_u64..105), proptest::option::of(NOW - 5..NOW + 5));
    (names, instants).prop_map(|(names, (issued_before, expires))| {
        let mut entry = serde_json::Map::new();
        for ((key, _), name) in OWN.iter().zip(names) {
            entry.extend(name.map(|name| ((*key).to_owned(), Value::from(name))));
        }
        entry.extend(issued_before.map(|at| ("issued_before".to_owned(), Value::from(at))));
        entry.extend(expires.map(|at| ("expires".to_owned(), Value::from(at))));
        if entry.keys().all(|key| key == "expires") {
            entry.insert("sub".to_owned(), Value::from("a"));
        }
        Value::Object(entry)
    })
}

prop_compose! {
    fn any_claims()(
        names in (small(), small(), small(), small(), small(), small(), small()),
        issuer in prop_oneof!["a", "b"],
        issued_at in 95_u64..105,
        expires in NOW - 5..NOW + 5,
    ) -> Claims {
        let own = |name: Option<&str>| name.map(str::to_owned);
        let (token_id, session, subject, patient, client, organization, key_id) = names;
        Claims {
            issuer,
            token_id: own(token_id), session: own(session), subject: own(subject),
            patient: own(patient), client: own(client), organization: own(organization),
            key_id: own(key_id),
            issued_at: UnixSeconds(issued_at),
            expires: UnixSeconds(expires),
            ..Claims::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn looking_up_equals_scanning_the_list(
        entries in proptest::collection::vec(any_entry(), 0..12),
        tokens in proptest::collection::vec(any_claims(), 1..20),
    ) {
        let scene = Scene::of(&Value::from(entries.clone()));
        for claims in tokens {
            let revoked = entries.iter().any(|entry| naive(entry, &claims, NOW));
            prop_assert_eq!(scene.finds(&claims) == Found::Revoked, revoked, "{:?}", claims);
        }
    }

    #[test]
    fn reading_what_others_wrote_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let generation = Generation::draw(&Native::default());
        let token = Token::new(&claims(), None, &generation, Instant::from_seconds(UnixSeconds(NOW)));
        let read = token.is_in(&bytes);
        prop_assert!(read.is_some() || !bytes.is_empty());
        if let Some(summary) = Summary::decode(&bytes) {
            prop_assert_eq!(summary.encode(), bytes);
        }
    }
}
