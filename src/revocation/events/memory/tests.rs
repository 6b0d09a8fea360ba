use super::*;
use crate::base::capabilities::Native;
use crate::base::time::Instant;
use proptest::prelude::*;

const NOW: u64 = 1_000_000;

fn caps() -> Native {
    Native::at(Instant::from_seconds(UnixSeconds(NOW)))
}

fn empty(floor: u64) -> Memory {
    Memory::new(UnixSeconds(floor), &caps())
}

fn subject(name: &str, issued_until: u64) -> Revoked {
    let names = Names { subject: Some(name.to_owned()), ..Names::default() };
    let (issued_until, forget) = (UnixSeconds(issued_until), UnixSeconds(NOW + 100));
    Revoked { names, issued_until, forget }
}

fn claims(subject: &str, session: Option<&str>, issued_at: u64) -> Claims {
    Claims {
        issuer: "https://idp".to_owned(),
        subject: Some(subject.to_owned()),
        session: session.map(str::to_owned),
        token_id: Some("t-1".to_owned()),
        issued_at: UnixSeconds(issued_at),
        ..Claims::default()
    }
}

#[test]
fn a_token_is_revoked_when_it_has_every_name_and_is_not_too_young() {
    let (any, named, unsaid) = (Session::Any, Session::Named("s-1".to_owned()), Session::Unsaid);
    let rows = [
        ((None, Some("ann"), any.clone(), None), true),
        ((None, Some("an"), any.clone(), None), false),
        ((Some("https://idp"), Some("ann"), any.clone(), None), true),
        ((Some("https://other"), Some("ann"), any.clone(), None), false),
        ((None, None, named.clone(), None), true),
        ((None, Some("ann"), named.clone(), Some("t-1")), true),
        ((None, Some("ann"), named.clone(), Some("t-2")), false),
        ((None, Some("ben"), named, None), false),
        ((None, None, Session::Named("ann".to_owned()), None), false),
        ((None, Some("ann"), unsaid, None), false),
        ((None, None, any.clone(), Some("t-1")), true),
        ((None, Some("t-1"), any, None), false),
    ];
    for ((issuer, subject, session, token), expected) in rows {
        let own = |name: Option<&str>| name.map(str::to_owned);
        let (issuer, subject, token) = (own(issuer), own(subject), own(token));
        let names = Names { issuer, subject, session, token };
        let row = format!("{names:?}");
        let mut memory = empty(0);
        let (issued_until, forget) = (UnixSeconds(NOW - 10), UnixSeconds(NOW + 10));
        let revoked = Revoked { names, issued_until, forget };
        assert_eq!(memory.add(&[revoked], &caps()), Remembered::More, "{row}");
        assert_eq!(memory.revokes(&claims("ann", Some("s-1"), NOW - 10)), expected, "{row}");
        assert!(!memory.revokes(&claims("ann", Some("s-1"), NOW - 9)), "{row}: issued later");
    }
}

#[test]
fn a_token_without_a_session_is_found_by_that() {
    let names =
        Names { subject: Some("ann".to_owned()), session: Session::Unsaid, ..Names::default() };
    let mut memory = empty(0);
    let revoked = Revoked { names, ..subject("", NOW) };
    let _ = memory.add(&[revoked], &caps());
    assert!(memory.revokes(&claims("ann", None, NOW)));
    assert!(!memory.revokes(&claims("ben", None, NOW)));
}

#[test]
fn what_is_known_is_not_news_and_what_is_over_is_not_kept() {
    let caps = caps();
    let mut memory = Memory::new(UnixSeconds(5), &caps);
    let before = memory.generation;
    assert_eq!(memory.add(&[], &caps), Remembered::Known);
    assert_eq!(memory.add(&[subject("ann", 5)], &caps), Remembered::Known, "below the floor");
    let over = Revoked { forget: UnixSeconds(NOW), ..subject("ann", NOW) };
    assert_eq!(memory.add(&[over], &caps), Remembered::Known, "over");
    assert_eq!(memory.generation, before);
    assert_eq!(memory.add(&[subject("ann", NOW - 1)], &caps), Remembered::More);
    let first = memory.generation;
    assert_ne!(first, before);
    assert_eq!(
        memory.add(&[subject("ann", NOW - 1), subject("ann", NOW - 2)], &caps),
        Remembered::Known
    );
    assert_eq!(memory.generation, first);
    assert_eq!(memory.add(&[subject("ann", NOW)], &caps), Remembered::More, "later");
    assert!(memory.revokes(&claims("ann", None, NOW)));
    assert_eq!(memory.len(), 1);
    caps.set_now(Instant::from_seconds(UnixSeconds(NOW + 100)));
    let later = Revoked { forget: UnixSeconds(NOW + 200), ..subject("ben", NOW) };
    assert_eq!(memory.add(&[later], &caps), Remembered::More);
    assert_eq!(memory.len(), 1, "the first is forgotten with the next news");
}

#[test]
fn when_there_is_no_room_every_token_issued_until_now_is_refused_instead() {
    let caps = caps();
    let mut memory = empty(0);
    let many: Vec<_> = (0..MAX_ENTRIES).map(|n| subject(&n.to_string(), NOW)).collect();
    assert_eq!(memory.add(&many, &caps), Remembered::More);
    assert_eq!(memory.len(), MAX_ENTRIES);
    assert_eq!(Memory::decode(&memory.encode()).as_ref(), Some(&memory));
    assert_eq!(memory.add(&[subject("ann", NOW)], &caps), Remembered::Full);
    assert_eq!((memory.len(), memory.floor), (0, UnixSeconds(NOW)));
}

proptest! {
    #[test]
    fn a_memory_comes_back_as_it_was_and_nothing_cut_or_longer_does(
        names in proptest::collection::vec(("[a-c]{1,3}", 1..NOW), 0..20),
        cut in 1_usize..40,
    ) {
        let mut memory = empty(0);
        let all: Vec<_> = names.iter().map(|(name, until)| subject(name, *until)).collect();
        let _ = memory.add(&all, &caps());
        let value = memory.encode();
        prop_assert_eq!(Memory::decode(&value), Some(memory.clone()));
        prop_assert!(Memory::decode(&value[..value.len().saturating_sub(cut)]).is_none());
        prop_assert!(Memory::decode(&[value, vec![0; cut]].concat()).is_none());
        for (name, until) in names {
            prop_assert!(memory.revokes(&claims(&name, None, until)));
        }
    }

    #[test]
    fn in_whatever_order_events_come_the_same_tokens_are_revoked(
        names in proptest::collection::vec(("[ab]", 1..20_u64), 1..8),
        asked in ("[abc]", 1..25_u64),
    ) {
        let all: Vec<_> = names.iter().map(|(name, until)| subject(name, *until)).collect();
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        let claims = claims(&asked.0, None, asked.1);
        let expected = names.iter().any(|(name, until)| *name == asked.0 && asked.1 <= *until);
        for order in [all, backwards] {
            let mut memory = empty(0);
            for one in &order {
                let _ = memory.add(core::slice::from_ref(one), &caps());
            }
            prop_assert_eq!(memory.revokes(&claims), expected);
        }
    }

    #[test]
    fn reading_what_others_wrote_never_panics(
        value in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let read = Memory::decode(&value);
        prop_assert!(read.is_none() || value.len() >= 44);
    }
}
