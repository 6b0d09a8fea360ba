//! Why requests were refused, and when.

use std::collections::HashMap;

use super::histogram::Histogram;
use crate::base::time::UnixSeconds;

/// Refused requests by their reason.
#[derive(Debug)]
pub(super) struct Refusals {
    /// A number for each reason, in the order they came.
    reasons: HashMap<Box<str>, usize>,
    counts: Vec<u64>,
    over_time: Histogram,
}

/// Counts over time, each part of it with its first second.
pub(super) type Buckets = Vec<(UnixSeconds, Vec<u64>)>;

impl Refusals {
    pub(super) fn new() -> Refusals {
        Refusals { reasons: HashMap::new(), counts: Vec::new(), over_time: Histogram::new() }
    }

    /// Counts a refused request.
    pub(super) fn add(&mut self, reason: &str, time: UnixSeconds) {
        let known = self.reasons.get(reason).copied();
        let number = known.unwrap_or_else(|| {
            let name = if self.reasons.len() < MAX_REASONS { reason } else { OTHERS };
            let next = self.reasons.len();
            *self.reasons.entry(name.into()).or_insert(next)
        });
        if self.counts.len() <= number {
            self.counts.resize(number.saturating_add(1), 0);
        }
        if let Some(count) = self.counts.get_mut(number) {
            *count = count.saturating_add(1);
        }
        self.over_time.add(time, number);
    }

    /// Every reason with its count, the most frequent first.
    pub(super) fn by_reason(&self) -> Vec<(&str, u64)> {
        self.ranked().into_iter().map(|(name, _, count)| (name, count)).collect()
    }

    /// The `most` frequent reasons and their counts over time, in the buckets of all requests. When there
    /// are other reasons, they are one more count.
    pub(super) fn over_time(&self, most: usize, requests: &Histogram) -> (Vec<String>, Buckets) {
        let ranked = self.ranked();
        let (told, others) = ranked.split_at(most.min(ranked.len()));
        let mut names: Vec<String> = told.iter().map(|(name, ..)| (*name).to_owned()).collect();
        names.extend((!others.is_empty()).then(|| OTHERS.to_owned()));
        let sum = |counts: &[u64], of: &[(&str, usize, u64)]| -> u64 {
            of.iter().filter_map(|(_, number, _)| counts.get(*number)).sum()
        };
        let buckets = self.over_time.buckets_of(requests, self.counts.len()).into_iter();
        let buckets = buckets.map(|(time, all)| {
            let mut counts: Vec<u64> = told.chunks(1).map(|one| sum(&all, one)).collect();
            counts.extend((!others.is_empty()).then(|| sum(&all, others)));
            (time, counts)
        });
        (names, buckets.collect())
    }

    /// Name, number and count of each reason, the most frequent first.
    fn ranked(&self) -> Vec<(&str, usize, u64)> {
        let count = |number: usize| self.counts.get(number).copied().unwrap_or_default();
        let reasons = self.reasons.iter().map(|(name, &number)| (&**name, number, count(number)));
        let mut ranked: Vec<_> = reasons.collect();
        ranked.sort_by(|(left, _, a), (right, _, b)| b.cmp(a).then_with(|| left.cmp(right)));
        ranked
    }
}

/// More than phiward has.
const MAX_REASONS: usize = 300;

/// Stands for all the others.
const OTHERS: &str = "others";
