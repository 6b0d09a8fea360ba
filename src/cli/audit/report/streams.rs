//! Which records of which instance were seen: repeats are told from new ones, and what is missing
//! between them is named.
//!
//! An instance counts its records from 1 without gaps, so what was seen of it is a few intervals, however
//! many records there are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words;
use crate::base::time::UnixSeconds;

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Streams {
    streams: BTreeMap<u64, Stream>,
    intervals: usize,
    max_intervals: usize,
    unchecked: u64,
}

/// What was seen of one instance.
#[derive(Debug, Default)]
struct Stream {
    /// By their first count.
    seen: BTreeMap<u64, Seen>,
    /// The checkpoint with the highest count.
    checkpoint: Option<(u64, UnixSeconds)>,
}

/// Consecutive records up to `last`, and when the first and the last of them were made.
#[derive(Debug, Clone, Copy)]
struct Seen {
    last: u64,
    from: UnixSeconds,
    to: UnixSeconds,
}

/// What is missing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Chain {
    /// How many instances wrote records.
    pub(super) streams: u64,
    /// How many records are missing between those that are there, and after them.
    pub(super) missing: u64,
    /// In how many places.
    pub(super) breaks: u64,
    /// The first of these places.
    pub(super) gaps: Vec<Gap>,
    /// Instances whose first record that is there is not their first.
    pub(super) begun_before: u64,
    /// Records that could not be told from repeats: there were too many gaps to remember.
    pub(super) unchecked: u64,
}

/// Consecutive records of an instance that are missing.
#[derive(Debug, Serialize)]
pub(super) struct Gap {
    /// The instance, as in the ids of its records.
    pub(super) stream: String,
    /// The first count that is missing.
    pub(super) first: u64,
    /// The last.
    pub(super) last: u64,
    /// How many are missing.
    pub(super) records: u64,
    /// When the record before them was made.
    pub(super) after: String,
    /// When the record behind them was made, or the checkpoint that counts them.
    pub(super) before: String,
    /// Whether a checkpoint counts them and no later record is there.
    pub(super) tail: bool,
}

impl Streams {
    /// Remembers up to so many intervals.
    pub(super) fn new(max_intervals: usize) -> Streams {
        Streams { streams: BTreeMap::new(), intervals: 0, max_intervals, unchecked: 0 }
    }

    /// Notes a record. `false` when it was there before.
    pub(super) fn add(&mut self, stream: u64, count: u64, time: UnixSeconds) -> bool {
        let full = self.intervals >= self.max_intervals;
        let seen = &mut self.streams.entry(stream).or_default().seen;
        let before = seen.range_mut(..=count).next_back();
        let mut joined = None;
        if let Some((first, interval)) = before {
            if count <= interval.last {
                return false;
            }
            if interval.last.checked_add(1) == Some(count) {
                interval.last = count;
                interval.to = time;
                joined = Some(*first);
            }
        }
        let after =
            count.checked_add(1).and_then(|next| seen.get(&next).copied().map(|s| (next, s)));
        match (joined, after) {
            (None, None) if full => self.unchecked = self.unchecked.saturating_add(1),
            (None, None) => {
                seen.insert(count, Seen { last: count, from: time, to: time });
                self.intervals = self.intervals.saturating_add(1);
            }
            (None, Some((next, behind))) => {
                seen.remove(&next);
                seen.insert(count, Seen { from: time, ..behind });
            }
            (Some(_), None) => {}
            (Some(first), Some((next, behind))) => {
                seen.remove(&next);
                self.intervals = self.intervals.saturating_sub(1);
                if let Some(interval) = seen.get_mut(&first) {
                    *interval = Seen { from: interval.from, ..behind };
                }
            }
        }
        true
    }

    /// Notes that an instance had written so many records at a time.
    pub(super) fn checkpoint(&mut self, stream: u64, count: u64, time: UnixSeconds) {
        let checkpoint = &mut self.streams.entry(stream).or_default().checkpoint;
        if checkpoint.is_none_or(|(known, _)| known < count) {
            *checkpoint = Some((count, time));
        }
    }

    /// What is missing, with the first `limit` places.
    pub(super) fn chain(&self, limit: usize) -> Chain {
        let mut chain = Chain {
            streams: self.streams.len() as u64,
            unchecked: self.unchecked,
            ..Chain::default()
        };
        for (&number, stream) in &self.streams {
            if stream.seen.first_key_value().is_some_and(|(&first, _)| first > 1) {
                chain.begun_before = chain.begun_before.saturating_add(1);
            }
            stream.gaps(|gap| {
                chain.breaks = chain.breaks.saturating_add(1);
                chain.missing = chain.missing.saturating_add(gap.records());
                if chain.gaps.len() < limit {
                    chain.gaps.push(gap.of(number));
                }
            });
        }
        chain
    }
}

/// Counts from `first` to `last` that are missing.
struct Missing {
    first: u64,
    last: u64,
    after: Option<UnixSeconds>,
    before: UnixSeconds,
    tail: bool,
}

impl Stream {
    fn gaps(&self, mut found: impl FnMut(Missing)) {
        let pairs = self.seen.values().zip(self.seen.iter().skip(1));
        for (left, (next, right)) in pairs {
            found(Missing {
                first: left.last.saturating_add(1),
                last: next.saturating_sub(1),
                after: Some(left.to),
                before: right.from,
                tail: false,
            });
        }
        let last = self.seen.last_key_value().map(|(_, seen)| *seen);
        let end = last.map_or(0, |seen| seen.last);
        if let Some((count, time)) = self.checkpoint.filter(|(count, _)| *count > end) {
            let first = end.saturating_add(1);
            let after = last.map(|seen| seen.to);
            found(Missing { first, last: count, after, before: time, tail: true });
        }
    }
}

impl Missing {
    fn records(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    fn of(&self, stream: u64) -> Gap {
        Gap {
            stream: format!("{stream:016x}"),
            first: self.first,
            last: self.last,
            records: self.records(),
            after: self.after.map(words::time).unwrap_or_default(),
            before: words::time(self.before),
            tail: self.tail,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds(seconds)
    }

    #[test]
    fn repeats_are_told_and_gaps_are_named() {
        let mut streams = Streams::new(100);
        for count in [1, 2, 3, 7, 6, 10] {
            assert!(streams.add(0xab, count, at(100 + count)), "{count}");
        }
        for count in [1, 3, 6, 7, 10] {
            assert!(!streams.add(0xab, count, at(0)), "{count}");
        }
        let chain = streams.chain(10);
        let gaps: Vec<_> = chain.gaps.iter().map(|gap| (gap.first, gap.last, gap.tail)).collect();
        assert_eq!(gaps, [(4, 5, false), (8, 9, false)]);
        assert_eq!((chain.streams, chain.missing, chain.breaks, chain.begun_before), (1, 4, 2, 0));
        assert_eq!(chain.gaps[0].stream, "00000000000000ab");
        assert_eq!(chain.gaps[0].after, "1970-01-01T00:01:43Z");
        assert_eq!(chain.gaps[0].before, "1970-01-01T00:01:46Z");
        assert_eq!(streams.chain(1).gaps.len(), 1);
    }

    #[test]
    fn a_checkpoint_tells_of_a_missing_tail_and_of_an_instance_without_records() {
        let mut streams = Streams::new(100);
        streams.add(1, 1, at(5));
        streams.checkpoint(1, 4, at(9));
        streams.checkpoint(1, 2, at(7));
        streams.checkpoint(2, 3, at(9));
        let chain = streams.chain(10);
        let gaps: Vec<_> = chain.gaps.iter().map(|gap| (gap.first, gap.last, gap.tail)).collect();
        assert_eq!(gaps, [(2, 4, true), (1, 3, true)]);
        assert_eq!(chain.gaps[1].after, "");
        streams.add(2, 3, at(8));
        assert_eq!(streams.chain(10).missing, 3);
        assert_eq!(streams.chain(10).begun_before, 1);
    }

    #[test]
    fn what_can_not_be_remembered_is_counted_as_unchecked() {
        let mut streams = Streams::new(2);
        for count in [1, 3, 5, 5, 2] {
            assert!(streams.add(1, count, at(0)) || count == 2, "{count}");
        }
        assert_eq!(streams.chain(10).unchecked, 2);
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_gives_the_set_that_was_added(
            counts in proptest::collection::vec(1_u64..60, 0..120),
        ) {
            let mut streams = Streams::new(1000);
            let mut known = std::collections::BTreeSet::new();
            for &count in &counts {
                prop_assert_eq!(streams.add(7, count, at(count)), known.insert(count));
            }
            let chain = streams.chain(1000);
            let missing: Vec<u64> = chain.gaps.iter().flat_map(|gap| gap.first..=gap.last).collect();
            let span = known.first().copied().unwrap_or(1)..=known.last().copied().unwrap_or(0);
            let expected: Vec<u64> = span.filter(|count| !known.contains(count)).collect();
            prop_assert_eq!(chain.missing, expected.len() as u64);
            prop_assert_eq!(missing, expected);
            for gap in &chain.gaps {
                prop_assert_eq!(&gap.after, &words::time(at(gap.first.saturating_sub(1))));
                prop_assert_eq!(&gap.before, &words::time(at(gap.last.saturating_add(1))));
            }
        }
    }
}
