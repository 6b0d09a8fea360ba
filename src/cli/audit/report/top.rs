//! The names that occur most, in bounded memory.
//!
//! Exact up to so many different names. Then those that occurred least are forgotten, and what is told of
//! the others is the least it can be (after Metwally and others, *Space-Saving*, 2005, in batches).

use std::cmp::Reverse;
use std::collections::HashMap;

use super::distinct::Distinct;
use crate::base::time::UnixSeconds;

/// Names and what was counted of them.
#[derive(Debug)]
pub(super) struct Top {
    names: HashMap<Box<str>, Count>,
    max: usize,
    /// No name that is not there occurred more often than this.
    forgotten: u64,
    distinct: Distinct,
}

/// What was counted of a name.
#[derive(Debug, Clone)]
pub(super) struct Count {
    /// Records with it.
    pub(super) records: u64,
    /// Of these, refused ones.
    pub(super) refused: u64,
    /// The time of its first record.
    pub(super) first: UnixSeconds,
    /// The time of its last record.
    pub(super) last: UnixSeconds,
    /// The patients in those that were not refused.
    pub(super) patients: Distinct,
    /// How many records there may have been before it was remembered.
    missed: u64,
}

/// A record, as far as it is counted for a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) time: UnixSeconds,
    pub(super) refused: bool,
    pub(super) patients: &'a [&'a str],
}

impl Top {
    /// Exact for up to `max` names.
    pub(super) fn new(max: usize) -> Top {
        Top { names: HashMap::new(), max, forgotten: 0, distinct: Distinct::default() }
    }

    /// Counts a record with this name.
    pub(super) fn add(&mut self, name: &str, seen: Seen<'_>) {
        if let Some(count) = self.names.get_mut(name) {
            return count.add(seen);
        }
        // A quarter of room, so that forgetting is paid for by many names.
        if self.names.len() >= self.max.saturating_add(self.max / 4) {
            self.forget();
        }
        if self.forgotten > 0 || self.names.len() >= self.max {
            self.count_distinct(name);
        }
        let mut count = Count::new(seen.time, self.forgotten);
        count.add(seen);
        self.names.insert(name.into(), count);
    }

    /// Whether nothing was forgotten.
    pub(super) fn is_exact(&self) -> bool {
        self.forgotten == 0
    }

    /// How many different names there were; an estimate unless [`Top::is_exact`].
    pub(super) fn distinct(&self) -> u64 {
        let known = self.names.len() as u64;
        if self.is_exact() { known } else { self.distinct.count().max(known) }
    }

    /// How many names occurred in refused records only, of those that are known.
    pub(super) fn only_refused(&self) -> u64 {
        self.names.values().filter(|count| count.refused == count.records).count() as u64
    }

    /// The names for which `rank` is highest, at most `limit`.
    pub(super) fn most(&self, limit: usize, rank: impl Fn(&Count) -> u64) -> Vec<(&str, &Count)> {
        let ranked = self.names.iter().map(|(name, count)| (Reverse(rank(count)), &**name, count));
        let mut ranked: Vec<_> = ranked.collect();
        let order = |a: &(Reverse<u64>, &str, &Count), b: &(Reverse<u64>, &str, &Count)| {
            (a.0, a.1).cmp(&(b.0, b.1))
        };
        if ranked.len() > limit && limit > 0 {
            ranked.select_nth_unstable_by(limit.saturating_sub(1), order);
        }
        ranked.truncate(limit);
        ranked.sort_unstable_by(order);
        ranked.into_iter().map(|(_, name, count)| (name, count)).collect()
    }

    fn count_distinct(&mut self, name: &str) {
        if self.distinct.is_empty() {
            self.names.keys().for_each(|known| self.distinct.add(known));
        }
        self.distinct.add(name);
    }

    /// Keeps the `max` names that may have occurred most.
    fn forget(&mut self) {
        let mut most: Vec<u64> = self.names.values().map(Count::at_most).collect();
        let (_, &mut least, _) = most.select_nth_unstable_by(self.max, |a, b| b.cmp(a));
        self.forgotten = self.forgotten.max(least);
        self.names.retain(|_, count| count.at_most() > least);
    }
}

impl Count {
    fn new(time: UnixSeconds, missed: u64) -> Count {
        let patients = Distinct::default();
        Count { records: 0, refused: 0, first: time, last: time, patients, missed }
    }

    fn add(&mut self, seen: Seen<'_>) {
        self.records = self.records.saturating_add(1);
        self.refused = self.refused.saturating_add(u64::from(seen.refused));
        self.first = self.first.min(seen.time);
        self.last = self.last.max(seen.time);
        if !seen.refused {
            seen.patients.iter().for_each(|patient| self.patients.add(patient));
        }
    }

    fn at_most(&self) -> u64 {
        self.records.saturating_add(self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: u64) -> Seen<'static> {
        Seen { time: UnixSeconds(second), refused: second.is_multiple_of(2), patients: &["p", "q"] }
    }

    #[test]
    fn counts_are_exact_as_long_as_there_is_room() {
        let mut top = Top::new(100);
        for number in 0..100_u64 {
            for time in 0..=number {
                top.add(&format!("name-{number}"), seen(time));
            }
        }
        assert!(top.is_exact());
        assert_eq!(top.distinct(), 100);
        let most = top.most(2, |count| count.records);
        assert_eq!((most[0].0, most[0].1.records, most[0].1.refused), ("name-99", 100, 50));
        assert_eq!((most[1].0, most[1].1.first, most[1].1.last.0), ("name-98", UnixSeconds(0), 98));
        assert_eq!(most[1].1.patients.count(), 2);
        assert_eq!(top.most(1000, |count| count.records).len(), 100);
        assert_eq!(top.most(0, |count| count.records).len(), 0);
    }

    #[test]
    fn frequent_names_survive_any_number_of_rare_ones_and_are_never_overstated() {
        let mut top = Top::new(100);
        for number in 0..50_000_u64 {
            top.add(&format!("rare-{number}"), seen(number));
            if number % 50 == 0 {
                top.add("frequent", seen(number));
            }
        }
        assert!(!top.is_exact());
        assert!(top.names.len() <= 125);
        let most = top.most(1, |count| count.records);
        assert_eq!(most[0].0, "frequent");
        assert!((900..=1000).contains(&most[0].1.records), "{}", most[0].1.records);
        let distinct = top.distinct() as f64;
        assert!((distinct / 50_001.0 - 1.0).abs() < 0.2, "{distinct}");
    }
}
