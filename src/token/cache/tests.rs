use core::time::Duration;

use serde_json::json;

use super::*;
use crate::base::capabilities::Native;
use crate::token::RawToken;
use crate::token::algorithm::Algorithm;
use crate::token::issuers::Issuers;
use crate::token::testing::{NOW, Signer, claims, config, issuers, now, verify};

const AMPLE: CacheLimits = CacheLimits { entries: 100, bytes: 1 << 20 };

fn clinic(id: &str, seed: u8) -> (Signer, Issuers) {
    let signer = Signer::new(Algorithm::EdDsa, id, seed);
    let issuers = issuers(vec![config(vec![signer.jwk()], json!({}))]);
    (signer, issuers)
}

fn raw(name: &str) -> RawToken {
    RawToken::for_tests(name)
}

/// A cache with one entry that was verified, and its text.
fn filled(changes: serde_json::Value) -> (TokenCache<u32>, RawToken) {
    let (signer, issuers) = clinic("k1", 7);
    let raw = signer.token(&claims(changes));
    let token = verify(&raw, &issuers, &Keys::new(&issuers), &Native::at(now())).unwrap();
    let mut cache = TokenCache::new(AMPLE, [7; 16]);
    cache.insert_raw(&raw, token, 1);
    (cache, raw)
}

#[test]
fn a_hit_is_the_same_token_to_the_last_byte() {
    let (mut cache, raw_token) = filled(json!({}));
    let (token, extra) = cache.get_raw(&raw_token, now()).unwrap();
    assert_eq!(token.claims().subject.as_deref(), Some("nurse-17"));
    *extra += 1;
    assert_eq!(cache.get_raw(&raw_token, now()).map(|(_, extra)| *extra), Some(2));
    let text = raw_token.text();
    for other in [text.split_at(1).1, text.split_at(text.len() - 1).0, &format!("{text}A"), ""] {
        assert!(cache.get_raw(&raw(other), now()).is_none(), "{other}");
    }
}

#[test]
fn a_hit_ends_at_the_instant_at_which_the_token_would_be_refused() {
    let (mut cache, raw) = filled(json!({"exp": NOW + 300}));
    let end = now().plus(Duration::from_secs(330));
    let before = Instant::from_nanoseconds(end.nanoseconds() - 1);
    assert!(cache.get_raw(&raw, before).is_some());
    assert!(cache.get_raw(&raw, end).is_none());
    assert!(cache.get_raw(&raw, now()).is_none(), "an expired token came back");
    assert_eq!(cache.bytes, 0);
}

/// Without a clock the host's time is 1970: an expired token must not come back to life then.
#[test]
fn a_hit_is_none_when_the_clock_stands_before_the_token() {
    let begin = Instant::from_seconds(crate::base::time::UnixSeconds(NOW - 60 - 30));
    let before = Instant::from_nanoseconds(begin.nanoseconds() - 1);
    for (at, hit) in [(begin, true), (before, false), (Instant::default(), false)] {
        let (mut cache, raw) = filled(json!({}));
        assert_eq!(cache.get_raw(&raw, at).is_some(), hit, "{at:?}");
    }
}

#[test]
fn tokens_go_with_their_key() {
    let (_, same) = clinic("k1", 7);
    let (_, renamed) = clinic("k2", 7);
    let (_, replaced) = clinic("k1", 9);
    for (issuers, kept) in [(same, true), (renamed, false), (replaced, false)] {
        let (mut cache, raw) = filled(json!({}));
        cache.retain_trusted(&Keys::new(&issuers));
        assert_eq!(cache.get_raw(&raw, now()).is_some(), kept, "{issuers:?}");
        assert_eq!(cache.bytes > 0, kept);
    }
}

#[test]
fn entries_and_bytes_are_bounded_and_the_least_recently_used_goes_first() {
    let (mut source, text) = filled(json!({}));
    let token = source.get_raw(&text, now()).unwrap().0;
    let mut cache = TokenCache::new(CacheLimits { entries: 3, bytes: 1 << 20 }, [7; 16]);
    for name in ["a", "b", "c"] {
        cache.insert_raw(&raw(name), token.clone(), ());
    }
    assert!(cache.get_raw(&raw("a"), now()).is_some());
    cache.insert_raw(&raw("d"), token.clone(), ());
    let held: Vec<bool> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| cache.get_raw(&raw(name), now()).is_some())
        .collect();
    assert_eq!(held, [true, false, true, true]);

    let one = estimate::<()>(Mark { hash: 0, length: 1 }, &token);
    let mut cache =
        TokenCache::new(CacheLimits { entries: 100, bytes: 2 * one + one / 2 }, [7; 16]);
    for name in ["a", "b", "c", "c"] {
        cache.insert_raw(&raw(name), token.clone(), ());
        assert!(cache.bytes <= 2 * one);
        assert_eq!(cache.bytes, cache.entries.len() * one);
    }
    assert!(cache.get_raw(&raw("a"), now()).is_none());
    cache.insert_raw(&raw(&"x".repeat(3 * one)), token, ());
    assert!(
        cache.get_raw(&raw("c"), now()).is_some(),
        "a token that does not fit emptied the cache"
    );
}

/// A longer one takes the room of several.
#[test]
fn there_is_room_for_as_many_tokens_of_usual_length_as_are_configured() {
    let (mut source, text) = filled(json!({}));
    let token = source.get_raw(&text, now()).unwrap().0;
    let name = |number: usize, bytes: usize| raw(&format!("{number:0>bytes$}"));
    for (configured, bytes, kept) in [(1, 900, 1), (7, 900, 7), (8, 3_000, 3), (1, 3_000, 0)] {
        let mut cache = TokenCache::new(CacheLimits::of(configured), [7; 16]);
        for number in 0..20 {
            cache.insert_raw(&name(number, bytes), token.clone(), ());
        }
        assert_eq!(cache.entries.len(), kept, "{configured} of {bytes} bytes");
    }
}
