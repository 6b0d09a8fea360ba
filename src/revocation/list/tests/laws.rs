//! Laws of looking up, for any list and any token.

use super::lookup::{Listed, NOW, OWN, claims, naive};
use super::*;
use crate::revocation::list::bucket::{Bucket, search};
use crate::revocation::list::record::{Holder, Mask, NEVER, Record};
use proptest::prelude::*;

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
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn looking_up_equals_scanning_the_list(
        entries in proptest::collection::vec(any_entry(), 0..12),
        tokens in proptest::collection::vec(any_claims(), 1..40),
    ) {
        for listed in Listed::each(&Value::from(entries.clone())) {
            for claims in &tokens {
                let revoked = entries.iter().any(|entry| naive(entry, claims, NOW));
                prop_assert_eq!(listed.finds(claims) == Found::Revoked, revoked, "{:?}", claims);
            }
        }
    }
}

proptest! {
    #[test]
    fn reading_what_others_wrote_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        hash: u64,
    ) {
        let claims = claims();
        let now = Instant::from_seconds(UnixSeconds(NOW));
        let holder = Holder { claims: &claims, patient: None, now };
        let tag = [1; 8];
        let _ = search(&bytes, &tag, hash, &holder);
        let value = [&tag[..], &bytes].concat();
        if let Some(bucket) = Bucket::decode(&value, &tag) {
            let room = u16::try_from(value.len()).unwrap();
            prop_assert_eq!(bucket.encode(&tag, room), value);
        }
        if let Some(summary) = Summary::decode(&bytes) {
            prop_assert_eq!(summary.encode(), bytes);
        }
    }

    #[test]
    fn a_bucket_holds_what_was_added_and_not_removed(
        steps in proptest::collection::vec((0_u64..6, 0_u32..3, 1_u32..5, any::<bool>()), 0..40),
    ) {
        let tag = [3; 8];
        let mut bucket = Bucket::default();
        let mut model = std::collections::HashMap::new();
        for (hash, before, expires, remove) in steps {
            let issued_before = before.checked_sub(1).map_or(NEVER, |before| before.saturating_add(1));
            let record = Record { hash, issued_before, expires, mask: Mask(1) };
            let key = (hash, issued_before);
            if remove {
                let gone = u32::from(model.remove(&key).is_some());
                prop_assert_eq!(bucket.remove(&record), gone);
            } else {
                let known = model.entry(key).or_insert(expires);
                *known = expires.max(*known);
                bucket.insert(&record);
            }
            let read = Bucket::decode(&bucket.encode(&tag, 0), &tag);
            prop_assert_eq!(read.as_ref(), Some(&bucket));
        }
        for ((hash, issued_before), expires) in &model {
            let claims = Claims {
                issued_at: UnixSeconds(u64::from(issued_before.saturating_sub(1))),
                expires: UnixSeconds(u64::from(*expires).saturating_add(1)),
                ..Claims::default()
            };
            for (now, stands) in [(expires.saturating_sub(1), true), (*expires, false)] {
                let now = Instant::from_seconds(UnixSeconds(u64::from(now)));
                let holder = Holder { claims: &claims, patient: None, now };
                let found = search(&bucket.encode(&tag, 0), &tag, *hash, &holder).unwrap().0;
                let others = model.iter().any(|((other, before), expires)| {
                    other == hash && holder.is_revoked(*before, *expires)
                });
                prop_assert_eq!(found, others);
                prop_assert!(found || !stands);
            }
        }
    }
}
