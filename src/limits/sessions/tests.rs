#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::{
    Capabilities, HostFailed, HostSignature, HostVerdict, Native, Shared, Written,
};
use crate::base::time::Instant;
use crate::config::section::read_document;

const START: u64 = 1_790_000_000;

fn sessions(rules: &Value) -> Sessions {
    let document = json!({"capacity": 100, "rules": rules});
    let (settings, errors) = read_document(&document, Settings::read);
    assert!(errors.is_empty(), "{errors:?}");
    Sessions::new(settings.unwrap())
}

/// A token of the session `s`.
fn token() -> Claims {
    Claims {
        issuer: "https://auth.example".to_owned(),
        session: Some("s".to_owned()),
        token_id: Some("t".to_owned()),
        client: Some("app".to_owned()),
        ..Claims::default()
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_seconds(UnixSeconds(START + seconds))
}

/// What becomes of a request this many seconds after the start.
fn ask(sessions: &Sessions, claims: &Claims, seconds: u64, caps: &Native) -> &'static str {
    caps.set_now(at(seconds));
    match sessions.admit(claims, caps) {
        Ok(()) => "ok",
        Err(refusal) => refusal.reason.code,
    }
}

/// Requests of one session, each in seconds after the start with what becomes of it.
fn story(rules: &Value, claims: &Claims, requests: &[(u64, &str)]) {
    let (caps, sessions) = (Native::default(), sessions(rules));
    for (seconds, expected) in requests {
        assert_eq!(
            ask(&sessions, claims, *seconds, &caps),
            *expected,
            "at {seconds}: {requests:?}"
        );
    }
}

#[test]
fn a_session_ends_when_it_was_idle_and_stays_ended() {
    let rules = json!([{"idle": "60s"}]);
    story(
        &rules,
        &token(),
        &[(0, "ok"), (59, "ok"), (118, "ok"), (177, "ok"), (1_000, "session_idle")],
    );
    story(&rules, &token(), &[(0, "ok"), (60, "session_idle"), (61, "session_idle")]);
    story(&rules, &token(), &[(0, "ok"), (59, "ok"), (119, "session_idle"), (120, "session_idle")]);
}

#[test]
fn a_session_ends_with_its_lifetime_however_busy_it_is() {
    let rules = json!([{"lifetime": "100s"}]);
    story(
        &rules,
        &token(),
        &[(0, "ok"), (99, "ok"), (100, "session_over"), (5_000, "session_over")],
    );
    let rules = json!([{"idle": "60s", "lifetime": "100s"}]);
    story(&rules, &token(), &[(0, "ok"), (50, "ok"), (99, "ok"), (100, "session_over")]);
    story(&rules, &token(), &[(0, "ok"), (60, "session_idle"), (100, "session_idle")]);
    story(&rules, &token(), &[(0, "ok"), (100, "session_over")]);
}

#[test]
fn auth_time_is_when_it_began_unless_it_was_seen_before() {
    let rules = json!([{"lifetime": "100s"}]);
    let since = |seconds: i64| Claims {
        authenticated: Some(UnixSeconds(START.saturating_add_signed(seconds))),
        ..token()
    };
    story(&rules, &since(-30), &[(0, "ok"), (69, "ok"), (70, "session_over")]);
    story(&rules, &since(-100), &[(0, "session_over")]);
    story(&rules, &since(50), &[(0, "ok"), (99, "ok"), (100, "session_over")]);
    // A token that says so later shortens the session; one that signed in again does not prolong it.
    let (caps, sessions) = (Native::default(), sessions(&rules));
    assert_eq!(ask(&sessions, &token(), 0, &caps), "ok");
    assert_eq!(ask(&sessions, &since(-50), 10, &caps), "ok");
    assert_eq!(ask(&sessions, &since(40), 45, &caps), "ok");
    assert_eq!(ask(&sessions, &token(), 50, &caps), "session_over");
}

#[test]
fn what_ended_is_ended_for_every_token_and_client_of_the_session() {
    let rules = json!([{"clients": ["kiosk"], "idle": "10s"}, {"idle": "60s"}]);
    let of = |client: &str, token_id: &str| Claims {
        client: Some(client.to_owned()),
        token_id: Some(token_id.to_owned()),
        ..token()
    };
    let (caps, sessions) = (Native::default(), sessions(&rules));
    assert_eq!(ask(&sessions, &of("kiosk", "1"), 0, &caps), "ok");
    assert_eq!(ask(&sessions, &of("ward", "2"), 9, &caps), "ok", "keeps it alive for all");
    assert_eq!(ask(&sessions, &of("kiosk", "3"), 18, &caps), "ok");
    assert_eq!(ask(&sessions, &of("ward", "4"), 40, &caps), "ok", "by its own rule");
    assert_eq!(ask(&sessions, &of("kiosk", "5"), 50, &caps), "session_idle");
    assert_eq!(ask(&sessions, &of("ward", "6"), 51, &caps), "session_idle");
}

#[test]
fn a_session_is_its_issuers_and_a_token_id_is_no_session_id() {
    let rules = json!([{"idle": "60s"}]);
    let (caps, sessions) = (Native::default(), sessions(&rules));
    assert_eq!(ask(&sessions, &token(), 0, &caps), "ok");
    assert_eq!(ask(&sessions, &token(), 100, &caps), "session_idle");
    let others = [
        Claims { issuer: "https://auth.example.org".to_owned(), ..token() },
        Claims { session: Some("S".to_owned()), ..token() },
        Claims { session: None, token_id: Some("s".to_owned()), ..token() },
        Claims {
            issuer: "https://auth.examples".to_owned(),
            session: Some(String::new()),
            ..token()
        },
    ];
    for (row, claims) in others.iter().enumerate() {
        assert_eq!(ask(&sessions, claims, 100, &caps), "ok", "row {row}");
    }
}

#[test]
fn without_a_session_id_each_token_is_a_session_and_without_a_name_it_is_refused() {
    let rules = json!([{"clients": ["app"], "idle": "60s"}]);
    let (caps, sessions) = (Native::default(), sessions(&rules));
    let one = Claims { session: None, ..token() };
    assert_eq!(ask(&sessions, &one, 0, &caps), "ok");
    assert_eq!(ask(&sessions, &one, 60, &caps), "session_idle");
    let fresh = Claims { token_id: Some("u".to_owned()), ..one.clone() };
    assert_eq!(ask(&sessions, &fresh, 60, &caps), "ok");
    let nameless = Claims { token_id: None, ..one };
    assert_eq!(ask(&sessions, &nameless, 0, &caps), "session_unnamed");
    let unlimited = Claims { client: None, ..nameless };
    assert_eq!(ask(&sessions, &unlimited, 0, &caps), "ok", "no rule fits it");
}

#[test]
fn a_clock_set_back_lets_no_session_last_longer_from_then_on() {
    let rules = json!([{"idle": "60s"}]);
    story(&rules, &token(), &[(5_000, "ok"), (0, "ok"), (59, "ok"), (119, "session_idle")]);
    let rules = json!([{"lifetime": "100s"}]);
    story(&rules, &token(), &[(5_000, "ok"), (0, "ok"), (99, "ok"), (100, "session_over")]);
    // What had ended stays so.
    let rules = json!([{"idle": "60s"}]);
    story(&rules, &token(), &[(5_000, "ok"), (5_060, "session_idle"), (5_001, "session_idle")]);
}

/// Counts what is read and written; fails or races when told to.
#[derive(Default)]
struct Watched {
    native: Native,
    reads: core::cell::Cell<u32>,
    writes: core::cell::Cell<u32>,
    fails: core::cell::Cell<bool>,
    races: core::cell::Cell<bool>,
}

impl Capabilities for Watched {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.reads.set(self.reads.get() + 1);
        if self.fails.get() { Err(HostFailed) } else { self.native.shared(key) }
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.writes.set(self.writes.get() + 1);
        if self.races.get() {
            return Ok(Written::Raced);
        }
        self.native.set_shared(key, value, stamp)
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

#[test]
fn a_busy_session_costs_one_read_a_request_and_one_write_a_second() {
    let caps = Watched::default();
    let sessions = sessions(&json!([{"idle": "60s"}]));
    sessions.refresh(&caps);
    caps.native.set_now(at(0));
    sessions.admit(&token(), &caps).unwrap();
    caps.reads.set(0);
    caps.writes.set(0);
    for request in 0..1_000_u64 {
        caps.native.set_now(Instant::from_nanoseconds((START * 1_000 + request * 10) * 1_000_000));
        sessions.admit(&token(), &caps).unwrap();
    }
    assert_eq!((caps.reads.get(), caps.writes.get()), (1_000, 9));
}

#[test]
fn a_host_that_fails_or_others_that_are_faster_refuse_for_a_moment() {
    let caps = Watched::default();
    let sessions = sessions(&json!([{"idle": "60s"}]));
    sessions.refresh(&caps);
    caps.races.set(true);
    let refusal = sessions.admit(&token(), &caps).unwrap_err();
    assert_eq!((refusal.reason.code, refusal.reason.status), ("session_contended", 503));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    caps.fails.set(true);
    let refusal = sessions.admit(&token(), &caps).unwrap_err();
    assert_eq!((refusal.reason.code, refusal.reason.status), ("session_unreadable", 503));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
}

#[test]
fn a_session_that_was_forgotten_begins_anew_but_for_its_auth_time() {
    let rules = json!([{"idle": "60s", "lifetime": "500s"}]);
    let known_since = Claims { authenticated: Some(UnixSeconds(START)), ..token() };
    for (claims, after_all) in [(token(), "ok"), (known_since, "session_over")] {
        let caps = Native::default();
        // One set of 16 sessions.
        let document = json!({"capacity": 1, "rules": rules});
        let (settings, _) = read_document(&document, Settings::read);
        let sessions = Sessions::new(settings.unwrap());
        assert_eq!(ask(&sessions, &claims, 0, &caps), "ok");
        assert_eq!(ask(&sessions, &claims, 60, &caps), "session_idle");
        for other in 0..16 {
            let other = Claims { session: Some(format!("other {other}")), ..token() };
            assert_eq!(ask(&sessions, &other, 100, &caps), "ok");
        }
        assert_eq!(ask(&sessions, &claims, 120, &caps), "ok", "it was forgotten");
        assert_eq!(ask(&sessions, &claims, 170, &caps), "ok");
        let busy: Vec<u64> = (170..500).step_by(50).collect();
        for seconds in busy {
            ask(&sessions, &claims, seconds, &caps);
        }
        assert_eq!(ask(&sessions, &claims, 500, &caps), after_all);
    }
}

proptest! {
    #[test]
    fn what_is_remembered_comes_back_as_it_was(begun: u64, seen: u64, ended in 0..3_u8) {
        let ended = [None, Some(End::Idle), Some(End::Over)][usize::from(ended)];
        let session = Session { begun: UnixSeconds(begun), seen: UnixSeconds(seen), ended };
        let mut value = Vec::new();
        session.encode(&mut value);
        prop_assert_eq!(value.len(), Session::BYTES);
        prop_assert_eq!(Session::decode(&mut Reader::new(&value)), Some(session));
    }

    /// Against the plain words of the rule, over any times that go forward.
    #[test]
    fn a_session_goes_on_exactly_while_neither_limit_is_reached(
        gaps in proptest::collection::vec(0..40_u64, 1..30),
        idle in 2..40_u64,
        lifetime in 2..300_u64,
    ) {
        let rules = json!([{"idle": format!("{idle}s"), "lifetime": format!("{lifetime}s")}]);
        let (caps, sessions) = (Native::default(), sessions(&rules));
        let (mut now, mut last, mut ended) = (0, None, false);
        let mut begun = None;
        for gap in gaps {
            now += gap;
            let started = *begun.get_or_insert(now);
            let rested = last.map_or(0, |last| now - last);
            ended |= rested >= idle || now - started >= lifetime;
            let said = ask(&sessions, &token(), now, &caps);
            prop_assert_eq!(said == "ok", !ended, "at {} after {:?}: {}", now, last, said);
            last = Some(now);
        }
    }
}
