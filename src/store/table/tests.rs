#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Native, Shared};
use crate::base::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    count: u64,
    used: UnixSeconds,
}

impl Slot for Count {
    const BYTES: usize = 16;

    fn encode(&self, value: &mut Vec<u8>) {
        value.extend(self.count.to_be_bytes());
        value.extend(self.used.0.to_be_bytes());
    }

    fn decode(value: &mut Reader<'_>) -> Option<Count> {
        let count = value.u64()?;
        Some(Count { count, used: UnixSeconds(value.u64()?) })
    }

    fn used(&self) -> UnixSeconds {
        self.used
    }
}

/// Counts one more for a key; how many that are now.
fn add(table: &Table<Count>, key: &[u8], now: u64, caps: &dyn Capabilities) -> u64 {
    try_add(table, key, now, caps).unwrap()
}

fn try_add(
    table: &Table<Count>,
    key: &[u8],
    now: u64,
    caps: &dyn Capabilities,
) -> Result<u64, TableFailed> {
    let now = UnixSeconds(now);
    table.update(key, now, caps, |kept| {
        let count = kept.map_or(0, |kept| kept.count) + 1;
        (Some(Count { count, used: now }), count)
    })
}

fn count(table: &Table<Count>, key: &[u8], caps: &dyn Capabilities) -> Option<u64> {
    table.get(key, caps).unwrap().map(|kept| kept.count)
}

/// What others do with the host.
type Event = Box<dyn Fn(&Native)>;

/// A host on which something happens just before a write.
#[derive(Default)]
struct Interrupted {
    native: Native,
    before_writes: RefCell<VecDeque<Event>>,
    raced: AtomicU64,
    broken: bool,
}

impl Interrupted {
    fn by(events: Vec<Event>) -> Interrupted {
        Interrupted { before_writes: RefCell::new(events.into()), ..Interrupted::default() }
    }

    fn raced(&self) -> u64 {
        self.raced.load(Ordering::Relaxed)
    }
}

impl Capabilities for Interrupted {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        if self.broken { Err(HostFailed) } else { self.native.shared(key) }
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        let event = self.before_writes.borrow_mut().pop_front();
        if let Some(event) = event {
            event(&self.native);
        }
        let written = self.native.set_shared(key, value, stamp)?;
        self.raced.fetch_add(u64::from(written == Written::Raced), Ordering::Relaxed);
        Ok(written)
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

/// A host that many threads use at once, as Envoy's workers do: one lock, held for one call.
#[derive(Default)]
struct Workers {
    shared: Mutex<HashMap<String, Shared>>,
    stamps: AtomicU32,
    drawn: AtomicU64,
    raced: AtomicU64,
}

impl Capabilities for Workers {
    fn now(&self) -> Instant {
        Instant::default()
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        Ok(self.shared.lock().unwrap().get(key).cloned())
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        let mut shared = self.shared.lock().unwrap();
        if let (Some(stamp), Some(known)) = (stamp, shared.get(key))
            && known.stamp != stamp
        {
            self.raced.fetch_add(1, Ordering::Relaxed);
            return Ok(Written::Raced);
        }
        let stamp = self.stamps.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        shared.insert(key.to_owned(), Shared { value: value.to_vec(), stamp });
        Ok(Written::Done)
    }

    fn verify_signature(&self, _: &HostSignature<'_>) -> HostVerdict {
        HostVerdict::Unavailable
    }
}

#[test]
fn what_one_instance_writes_all_others_see() {
    let caps = Native::default();
    let (first, second) = (Table::<Count>::new("t", 100), Table::<Count>::new("t", 100));
    assert_eq!(count(&first, b"k", &caps), None);
    assert_eq!(add(&first, b"k", 1, &caps), 1);
    assert_eq!(add(&second, b"k", 2, &caps), 2);
    assert_eq!(count(&first, b"k", &caps), Some(2));
    assert_eq!(count(&first, b"other", &caps), None);
    for other in [Table::<Count>::new("u", 100), Table::<Count>::new("t", 200)] {
        assert_eq!(count(&other, b"k", &caps), None, "{}", other.prefix);
    }
}

#[test]
fn what_is_left_as_it_was_is_not_written() {
    let caps = Interrupted::default();
    let table = Table::<Count>::new("t", 100);
    table.refresh(&caps).unwrap();
    caps.before_writes.borrow_mut().push_back(Box::new(|_| panic!("it was written")));
    let result = table.update(b"k", UnixSeconds(1), &caps, |kept| (None, kept));
    assert_eq!(result, Ok(None));
}

#[test]
fn a_full_set_forgets_what_was_used_longest_ago_and_nothing_else() {
    let caps = Native::default();
    let table = Table::<Count>::new("t", 1);
    let keys: Vec<[u8; 1]> = (0..=16).map(|key| [key]).collect();
    for (now, key) in (100..).zip(&keys[..16]) {
        add(&table, key, now, &caps);
    }
    add(&table, &keys[0], 200, &caps);
    add(&table, &keys[16], 201, &caps);
    for (place, key) in keys.iter().enumerate() {
        let kept = count(&table, key, &caps).is_some();
        assert_eq!(kept, place != 1, "key {place}: the second was used longest ago");
    }
}

#[test]
fn after_the_clock_was_set_back_new_keys_find_room_among_those_of_a_time_to_come() {
    let caps = Native::default();
    let table = Table::<Count>::new("t", 1);
    for key in 0..16_u8 {
        add(&table, &[key], 10_000, &caps);
    }
    for key in 100..103_u8 {
        add(&table, &[key], 50, &caps);
    }
    for key in 100..103_u8 {
        assert_eq!(count(&table, &[key], &caps), Some(1), "{key}");
    }
}

#[test]
fn what_others_wrote_counts_as_nothing_and_is_replaced() {
    let table = Table::<Count>::new("t", 1);
    let slot = TAG + Count::BYTES;
    let garbage = [vec![], vec![7], vec![7; slot - 1], vec![0; slot * 17], vec![9; slot * 2 + 1]];
    for value in garbage {
        let caps = Native::default();
        add(&table, b"k", 1, &caps);
        let _ = caps.set_shared(&format!("{}0", table.prefix), &value, None).unwrap();
        assert_eq!(count(&table, b"k", &caps), None, "{} bytes", value.len());
        assert_eq!(add(&table, b"k", 1, &caps), 1, "{} bytes", value.len());
        assert_eq!(add(&table, b"k", 1, &caps), 2, "{} bytes", value.len());
    }
}

#[test]
fn a_secret_that_others_overwrote_is_put_back_by_whoever_knows_it() {
    for value in [vec![], vec![1, 2, 3]] {
        let caps = Native::default();
        let table = Table::<Count>::new("t", 9);
        add(&table, b"k", 1, &caps);
        let _ = caps.set_shared(&format!("{}secret", table.prefix), &value, None).unwrap();
        table.refresh(&caps).unwrap();
        assert_eq!(count(&Table::new("t", 9), b"k", &caps), Some(1), "{value:?}");
    }
}

#[test]
fn two_that_draw_the_secret_at_once_end_with_one() {
    let theirs = Box::new(|native: &Native| {
        add(&Table::<Count>::new("t", 9), b"k", 1, native);
    });
    let caps = Interrupted::by(vec![theirs]);
    let table = Table::<Count>::new("t", 9);
    assert_eq!(add(&table, b"k", 1, &caps), 2, "what they wrote is found");
    assert_eq!(caps.raced(), 1);
}

#[test]
fn a_write_between_reading_and_writing_is_never_lost() {
    // The first write of `table` creates its set or changes it; others do so just before, up to so
    // many times in a row.
    for created in [false, true] {
        for times in [1_u64, 2, 5, 63] {
            let theirs = |key: &'static [u8]| -> Event {
                Box::new(move |native| {
                    add(&Table::<Count>::new("t", 1), key, 5, native);
                })
            };
            let caps = Interrupted::default();
            let table = Table::<Count>::new("t", 1);
            table.refresh(&caps).unwrap();
            if created {
                add(&table, b"before", 1, &caps);
            }
            let plan = (0..times).map(|n| theirs(if n % 2 == 0 { b"k" } else { b"theirs" }));
            caps.before_writes.borrow_mut().extend(plan);
            assert_eq!(add(&table, b"k", 6, &caps), times.div_ceil(2) + 1, "{created} {times}");
            let other = count(&table, b"theirs", &caps).unwrap_or(0);
            assert_eq!((other, caps.raced()), (times / 2, times), "{created} {times}");
        }
    }
}

#[test]
fn a_set_that_others_write_each_time_is_given_up_without_a_trace() {
    let theirs = || -> Event {
        Box::new(|native| {
            add(&Table::<Count>::new("t", 1), b"theirs", 5, native);
        })
    };
    let caps = Interrupted::default();
    let table = Table::<Count>::new("t", 1);
    table.refresh(&caps).unwrap();
    caps.before_writes.borrow_mut().extend((0..64).map(|_| theirs()));
    let added = table.update(b"k", UnixSeconds(6), &caps, |_| {
        (Some(Count { count: 1, used: UnixSeconds(6) }), ())
    });
    assert_eq!(added, Err(TableFailed::Contended));
    assert_eq!(count(&table, b"k", &caps), None);
    assert_eq!(count(&table, b"theirs", &caps), Some(64));
}

#[test]
fn a_host_that_fails_is_said_to() {
    let caps = Interrupted { broken: true, ..Interrupted::default() };
    let table = Table::<Count>::new("t", 1);
    assert_eq!(table.get(b"k", &caps), Err(TableFailed::Host));
    assert_eq!(table.refresh(&caps), Err(TableFailed::Host));
}

#[test]
fn threads_that_count_at_once_lose_nothing() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 4_000;
    // One key for all; a key of its own for each in one set for all; many sets.
    for (capacity, shared_key) in [(1, true), (1, false), (1_000, false)] {
        let caps = Workers::default();
        let key = |thread: u64| if shared_key { vec![0] } else { vec![1, thread as u8] };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (caps, key) = (&caps, key(thread));
                scope.spawn(move || {
                    let table = Table::<Count>::new("t", capacity);
                    for now in 0..TIMES {
                        // Who is told that others were faster has not counted.
                        while try_add(&table, &key, now, caps) == Err(TableFailed::Contended) {}
                    }
                });
            }
        });
        let table = Table::<Count>::new("t", capacity);
        let counted: Vec<_> =
            (0..THREADS).map(|thread| count(&table, &key(thread), &caps)).collect();
        let expected = if shared_key { THREADS * TIMES } else { TIMES };
        assert_eq!(counted, vec![Some(expected); 4], "{capacity} {shared_key}");
        println!(
            "capacity {capacity}, one key {shared_key}: {} of {} writes raced",
            caps.raced.load(Ordering::Relaxed),
            caps.stamps.load(Ordering::Relaxed),
        );
    }
}

#[test]
fn as_many_keys_as_the_capacity_says_are_all_kept() {
    let caps = Native::default();
    let table = Table::<Count>::new("t", 20_000);
    for key in 0..20_000_u32 {
        add(&table, &key.to_be_bytes(), u64::from(key), &caps);
    }
    for key in 0..20_000_u32 {
        assert_eq!(count(&table, &key.to_be_bytes(), &caps), Some(1), "{key}");
    }
}

/// What a table must do, told by lists: of a full set the first that is furthest from now goes. Of
/// several equally far any may; here that is the last, as in the table.
#[derive(Default)]
struct Model(HashMap<String, Vec<(u8, Count)>>);

impl Model {
    fn put(&mut self, set: String, key: u8, count: Count, now: u64) {
        let set = self.0.entry(set).or_default();
        if let Some(own) = set.iter_mut().find(|(known, _)| *known == key) {
            own.1 = count;
        } else if set.len() < WAYS {
            set.push((key, count));
        } else {
            let far = |(_, kept): &(u8, Count)| kept.used.0.abs_diff(now);
            let furthest = set.iter().map(far).max().unwrap();
            let place = set.iter().rposition(|one| far(one) == furthest).unwrap();
            set[place] = (key, count);
        }
    }

    fn get(&self, set: &str, key: u8) -> Option<Count> {
        let set = self.0.get(set)?;
        set.iter().find(|(known, _)| *known == key).map(|(_, count)| *count)
    }
}

proptest! {
    #[test]
    fn a_table_behaves_as_its_model(
        capacity in 1..12_u32,
        steps in proptest::collection::vec((0..60_u8, 0..50_u64), 1..200),
    ) {
        let caps = Native::default();
        let tables = [Table::<Count>::new("t", capacity), Table::<Count>::new("t", capacity)];
        let mut model = Model::default();
        for (step, (key, now)) in steps.into_iter().enumerate() {
            let table = &tables[step % 2];
            let set = table.place(&table.tag(&[key], &caps).unwrap());
            let expected = model.get(&set, key);
            let added = add(table, &[key], now, &caps);
            prop_assert_eq!(added, expected.map_or(1, |kept| kept.count + 1));
            model.put(set, key, Count { count: added, used: UnixSeconds(now) }, now);
        }
        for key in 0..60 {
            let set = tables[0].place(&tables[0].tag(&[key], &caps).unwrap());
            prop_assert_eq!(tables[0].get(&[key], &caps).unwrap(), model.get(&set, key));
        }
    }

    #[test]
    fn whatever_stands_in_shared_data_no_set_grows_and_what_is_put_is_found(
        value in proptest::collection::vec(any::<u8>(), 0..700),
        key in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let caps = Native::default();
        let table = Table::<Count>::new("t", 1);
        let place = format!("{}0", table.prefix);
        let _ = caps.set_shared(&place, &value, None).unwrap();
        add(&table, &key, 1, &caps);
        prop_assert!(count(&table, &key, &caps).is_some());
        let kept = caps.shared(&place).unwrap().unwrap().value.len();
        prop_assert!(kept <= WAYS * 32 && kept % 32 == 0, "{} bytes", kept);
    }
}
