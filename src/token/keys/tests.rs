use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::Native;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{Signer, claims, config, issuers, now, verify};
use crate::token::{CacheLimits, RawToken, TokenCache};

/// Two instances in one host: the first pulls, the second only reads.
struct Fleet {
    issuers: Issuers,
    leader: Keys,
    worker: Keys,
    caps: Native,
    id: InstanceId,
}

impl Fleet {
    fn new() -> Fleet {
        let jwks = json!({"cluster": "auth", "url": "https://auth.clinic.example/jwks"});
        let issuers = issuers(vec![config(vec![], json!({ "jwks": jwks }))]);
        let caps = Native::at(now());
        let (leader, worker) = (Keys::new(&issuers), Keys::new(&issuers));
        let id = InstanceId::draw(&caps);
        Fleet { issuers, leader, worker, caps, id }
    }

    /// Lets time pass until a fetch is due, and answers it.
    fn fetch(&mut self, answer: Result<HttpAnswer, CallFailed>) -> Option<Notice> {
        self.caps.set_now(self.caps.now().plus(Duration::from_secs(301)));
        let due = self.leader.due(&self.id, &self.caps);
        assert_eq!(due.len(), 1, "no fetch is due");
        self.leader.answered(due[0].0, answer, &self.caps)
    }

    fn fetch_keys(&mut self, keys: &Value) -> Option<Notice> {
        self.fetch(answer(200, json!({ "keys": keys }).to_string()))
    }

    fn verdict(&self, raw: &RawToken) -> &'static str {
        let refused = verify(raw, &self.issuers, &self.worker, &self.caps).err();
        refused.map_or("accepted", |rejected| rejected.refusal.reason.code)
    }

    fn token(&self, signer: &Signer) -> RawToken {
        let seconds = self.caps.now().seconds().0;
        signer.token(&claims(json!({"iat": seconds, "exp": seconds.saturating_add(3600)})))
    }
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Result<HttpAnswer, CallFailed> {
    Ok(HttpAnswer { status, etag: None, body: body.into() })
}

fn signer(id: &str, seed: u8) -> Signer {
    Signer::new(Algorithm::Es256, id, seed)
}

#[test]
fn before_the_first_fetch_tokens_wait_and_inline_keys_do_not() {
    let fleet = Fleet::new();
    let key = signer("k1", 7);
    let raw = fleet.token(&key);
    let rejected = verify(&raw, &fleet.issuers, &fleet.worker, &fleet.caps).unwrap_err();
    assert_eq!(rejected.refusal.reason, &reasons::KEYS_UNAVAILABLE);
    assert_eq!(
        (rejected.refusal.reason.status, rejected.refusal.retry_after),
        (503, Some(RETRY_AFTER))
    );

    let inline = issuers(vec![config(vec![key.jwk()], json!({}))]);
    let mut keys = Keys::new(&inline);
    assert!(verify(&raw, &inline, &keys, &fleet.caps).is_ok());
    assert!(keys.due(&fleet.id, &fleet.caps).is_empty());
    assert!(!keys.refresh(&fleet.caps));
    assert_eq!(keys.answered(Asked::Set(0), answer(200, "{}"), &fleet.caps), None);
    assert_eq!(keys.answered(Asked::Set(9), answer(200, "{}"), &fleet.caps), None);
}

#[test]
fn keys_that_one_instance_fetched_are_every_instance_s() {
    let mut fleet = Fleet::new();
    let key = signer("k1", 7);
    let notice = fleet.fetch_keys(&json!([key.jwk()])).unwrap();
    assert_eq!(notice.level, log::Level::Info);
    assert_eq!(notice.text, "new keys of issuer `https://auth.clinic.example`: 1 in force");
    assert_eq!(fleet.verdict(&fleet.token(&key)), "keys_unavailable");
    assert!(fleet.worker.refresh(&fleet.caps));
    assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted");
    assert!(!fleet.worker.refresh(&fleet.caps), "nothing changed");
    assert!(fleet.leader.refresh(&fleet.caps));
}

#[test]
fn the_call_goes_to_the_configured_place() {
    let mut fleet = Fleet::new();
    let due = fleet.leader.due(&fleet.id, &fleet.caps);
    let (place, call) = &due[0];
    assert_eq!(*place, Asked::Set(0));
    assert_eq!(
        (call.cluster.as_str(), call.authority.as_str(), call.path.as_str()),
        ("auth", "auth.clinic.example", "/jwks")
    );
    assert!(fleet.worker.due(&InstanceId::draw(&fleet.caps), &fleet.caps).is_empty());
}

#[test]
fn a_key_that_disappears_is_distrusted_with_its_cached_tokens() {
    let mut fleet = Fleet::new();
    let (old, new) = (signer("k1", 7), signer("k2", 9));
    fleet.fetch_keys(&json!([old.jwk(), new.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    let mut cache = TokenCache::new(CacheLimits { entries: 10, bytes: 1 << 20 }, [7; 16]);
    let tokens = [fleet.token(&old), fleet.token(&new)];
    for raw in &tokens {
        let token = verify(raw, &fleet.issuers, &fleet.worker, &fleet.caps).unwrap();
        cache.insert_raw(raw, token, ());
    }
    fleet.fetch_keys(&json!([new.jwk()]));
    assert!(fleet.worker.refresh(&fleet.caps));
    cache.retain_trusted(&fleet.worker);
    let now = fleet.caps.now();
    let held: Vec<bool> = tokens.iter().map(|raw| cache.get_raw(raw, now).is_some()).collect();
    assert_eq!(held, [false, true]);
    assert_eq!(fleet.verdict(&tokens[0]), "token_key_unknown");
    assert_eq!(fleet.verdict(&tokens[1]), "accepted");
}

#[test]
fn a_key_replaced_under_its_old_name_is_another_key() {
    let mut fleet = Fleet::new();
    let (old, new) = (signer("k1", 7), signer("k1", 9));
    fleet.fetch_keys(&json!([old.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    let raw = fleet.token(&old);
    let token = verify(&raw, &fleet.issuers, &fleet.worker, &fleet.caps).unwrap();
    fleet.fetch_keys(&json!([new.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    assert!(!fleet.worker.trusts(&token.signer.unwrap()));
    assert_eq!(fleet.verdict(&raw), "token_signature_invalid");
}

#[test]
fn whatever_is_not_a_key_set_leaves_the_last_good_one_in_force() {
    let mut fleet = Fleet::new();
    let key = signer("k1", 7);
    fleet.fetch_keys(&json!([key.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    fleet.leader.refresh(&fleet.caps);
    let twice = json!({"keys": [key.jwk(), key.jwk()]}).to_string();
    let cases = [
        (answer(500, "oops"), "status 500"),
        (answer(302, ""), "status 302"),
        (answer(200, ""), "an empty answer"),
        (answer(200, "<html>"), "it is not JSON"),
        (answer(200, "{}"), "it is not a JWK Set"),
        (answer(200, twice), "two of its keys"),
        (answer(200, vec![b' '; MAX_DOCUMENT + 1]), "262145 bytes"),
        (Err(CallFailed::NoAnswer), "no answer"),
        (Err(CallFailed::Undispatched), "Envoy did not send the call"),
    ];
    for (answer, expected) in cases {
        let notice = fleet.fetch(answer).unwrap();
        assert_eq!(notice.level, log::Level::Warn, "{expected}");
        assert!(notice.text.contains(expected), "{expected}: {}", notice.text);
        assert!(notice.text.ends_with("the last good keys stay in force"), "{}", notice.text);
        assert!(!fleet.worker.refresh(&fleet.caps), "{expected}");
        assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted", "{expected}");
    }
}

#[test]
fn a_set_without_a_usable_key_leaves_the_last_good_one_in_force() {
    let key = signer("k1", 7);
    let weak = json!({"kty": "RSA", "kid": "k1", "n": "AQ", "e": "AQAB"});
    for keys in [json!([]), json!([weak])] {
        let mut fleet = Fleet::new();
        fleet.fetch_keys(&json!([key.jwk()]));
        fleet.leader.refresh(&fleet.caps);
        let notice = fleet.fetch_keys(&keys).unwrap();
        assert_eq!(notice.level, log::Level::Warn);
        let expected = "no key in it can be used; the last good keys stay in force";
        assert!(notice.text.ends_with(expected), "{}", notice.text);
        fleet.worker.refresh(&fleet.caps);
        assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted", "{keys}");
    }
}

#[test]
fn keys_that_can_t_be_fetched_are_used_until_they_are_stale() {
    let mut fleet = Fleet::new();
    let key = signer("k1", 7);
    fleet.fetch_keys(&json!([key.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    let mut cache = TokenCache::new(CacheLimits { entries: 9, bytes: 99_999 }, [7; 16]);
    let raw = fleet.token(&key);
    let verified = verify(&raw, &fleet.issuers, &fleet.worker, &fleet.caps).unwrap();
    cache.insert_raw(&raw, verified, ());
    let pass = |fleet: &Fleet, seconds| {
        fleet.caps.set_now(fleet.caps.now().plus(Duration::from_secs(seconds)));
    };
    for (seconds, expected, cached) in [(3600, "accepted", true), (1, "keys_stale", false)] {
        pass(&fleet, seconds);
        if fleet.worker.refresh(&fleet.caps) {
            cache.retain_trusted(&fleet.worker);
        }
        assert_eq!(fleet.verdict(&fleet.token(&key)), expected, "{seconds}");
        assert_eq!(cache.get_raw(&raw, fleet.caps.now()).is_some(), cached, "{seconds}");
    }
    fleet.fetch(answer(500, "")).unwrap();
    assert!(!fleet.worker.refresh(&fleet.caps));
    fleet.fetch_keys(&json!([key.jwk()]));
    assert!(fleet.worker.refresh(&fleet.caps), "the same set, fresh again");
    assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted");
}

#[test]
fn an_unknown_key_is_looked_for_once_for_all_who_ask_and_believed_unknown_then() {
    let mut fleet = Fleet::new();
    let (old, new) = (signer("k1", 7), signer("k2", 8));
    fleet.fetch_keys(&json!([old.jwk()]));
    fleet.worker.refresh(&fleet.caps);
    let pass = |fleet: &Fleet, ms| {
        fleet.caps.set_now(fleet.caps.now().plus(Duration::from_millis(ms)));
    };
    // The set is younger than it takes to be worth another look.
    pass(&fleet, 3_499);
    assert_eq!(fleet.verdict(&fleet.token(&new)), "token_key_unknown");
    assert!(fleet.worker.due(&fleet.id, &fleet.caps).is_empty());
    pass(&fleet, 1);
    for _ in 0..100 {
        assert_eq!(fleet.verdict(&fleet.token(&new)), "keys_on_their_way");
    }
    assert!(fleet.worker.due(&fleet.id, &fleet.caps).is_empty(), "not so soon after the last");
    pass(&fleet, 1_500);
    let due = fleet.worker.due(&fleet.id, &fleet.caps);
    assert_eq!(due.len(), 1, "before its time");
    let other = InstanceId::draw(&fleet.caps);
    let leader = &mut fleet.leader;
    leader.refresh(&fleet.caps);
    assert_eq!(leader.unknown(0, &fleet.caps).reason.code, "keys_on_their_way");
    assert!(leader.due(&other, &fleet.caps).is_empty(), "one call for the process");
    let set = json!({"keys": [old.jwk(), new.jwk()]}).to_string();
    fleet.worker.answered(due[0].0, answer(200, set), &fleet.caps);
    assert_eq!(
        fleet.verdict(&fleet.token(&new)),
        "keys_on_their_way",
        "published, not adopted yet"
    );
    fleet.worker.refresh(&fleet.caps);
    assert_eq!(fleet.verdict(&fleet.token(&new)), "accepted");
    assert_eq!(fleet.verdict(&fleet.token(&signer("k3", 9))), "token_key_unknown");
}

#[test]
fn an_inline_set_is_never_looked_for() {
    let key = signer("k1", 7);
    let issuers = issuers(vec![config(vec![], json!({"jwks": {"inline": {"keys": [key.jwk()]}}}))]);
    let keys = Keys::new(&issuers);
    assert_eq!(keys.unknown(0, &Native::at(now())).reason.code, "token_key_unknown");
}

#[test]
fn what_is_left_out_is_logged_without_the_key() {
    let mut fleet = Fleet::new();
    let leaked = json!({"kty": "RSA", "kid": "k2", "n": "AQ", "e": "AQAB", "d": "c2VjcmV0"});
    let notice = fleet.fetch_keys(&json!([signer("k1", 7).jwk(), leaked])).unwrap();
    assert_eq!(notice.level, log::Level::Warn);
    assert!(notice.text.contains("1 in force; keys/1 is not used: it has the private member `d`"));
    assert!(!notice.text.contains("c2VjcmV0"));
}

#[test]
fn keys_of_the_same_document_are_not_adopted_twice() {
    let mut fleet = Fleet::new();
    let keys = json!([signer("k1", 7).jwk()]);
    fleet.fetch_keys(&keys);
    assert!(fleet.worker.refresh(&fleet.caps));
    assert_eq!(fleet.fetch_keys(&keys), None);
    assert!(!fleet.worker.refresh(&fleet.caps));
}

#[test]
fn a_set_gets_stale_also_when_nothing_published_tells_its_age() {
    let hour = Duration::from_secs(3600);
    for lost in [&b""[..], b"not a head"] {
        let mut fleet = Fleet::new();
        let key = signer("k1", 7);
        fleet.fetch_keys(&json!([key.jwk()]));
        assert!(fleet.worker.refresh(&fleet.caps));
        let mut cache = TokenCache::new(CacheLimits { entries: 10, bytes: 1 << 20 }, [7; 16]);
        let raw = fleet.token(&key);
        let token = verify(&raw, &fleet.issuers, &fleet.worker, &fleet.caps).unwrap();
        cache.insert_raw(&raw, token, ());
        let head = fleet.worker.issuers[0].feed.as_ref().unwrap().key("head");
        assert_eq!(fleet.caps.set_shared(&head, lost, None), Ok(Written::Done));
        fleet.caps.set_now(fleet.caps.now().plus(hour));
        assert!(!fleet.worker.refresh(&fleet.caps), "as old as allowed: {lost:?}");
        assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted");
        fleet.caps.set_now(fleet.caps.now().plus(Duration::from_secs(1)));
        assert!(fleet.worker.refresh(&fleet.caps), "{lost:?}");
        cache.retain_trusted(&fleet.worker);
        assert!(cache.get_raw(&raw, fleet.caps.now()).is_none());
        assert_eq!(fleet.verdict(&fleet.token(&key)), "keys_stale");
        fleet.fetch_keys(&json!([key.jwk()]));
        assert!(fleet.worker.refresh(&fleet.caps), "a new set is adopted");
        assert_eq!(fleet.verdict(&fleet.token(&key)), "accepted");
    }
}
