//! Counts over time in at most [`MAX_BUCKETS`] buckets, which grow wider as the period does.

use std::collections::BTreeMap;

use crate::base::time::UnixSeconds;

/// Counts of several series over time.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// Place in [`WIDTHS`], or how often the last of them was doubled beyond it.
    step: usize,
    /// By the number of the bucket: the time divided by the width. One count for each series.
    buckets: BTreeMap<u64, Vec<u64>>,
}

impl Histogram {
    /// Without a count.
    pub(super) fn new() -> Histogram {
        Histogram { step: 0, buckets: BTreeMap::new() }
    }

    /// Counts one of a series, numbered from 0.
    pub(super) fn add(&mut self, time: UnixSeconds, series: usize) {
        loop {
            let number = self.number(time);
            let first = self.buckets.keys().next().map_or(number, |&first| first.min(number));
            let last = self.buckets.keys().next_back().map_or(number, |&last| last.max(number));
            if last.saturating_sub(first) < MAX_BUCKETS {
                let counts = self.buckets.entry(number).or_default();
                return add(counts, series, 1);
            }
            self.widen();
        }
    }

    /// Seconds in a bucket.
    pub(super) fn width(&self) -> u64 {
        let last = WIDTHS.len().saturating_sub(1);
        let doubled = self.step.saturating_sub(last).min(40);
        WIDTHS.get(self.step.min(last)).map_or(1, |&width| width.saturating_mul(1 << doubled))
    }

    /// Every bucket of the period with its first second, empty ones too, and a count for each of so many
    /// series.
    pub(super) fn buckets(&self, series: usize) -> Vec<(UnixSeconds, Vec<u64>)> {
        self.buckets_of(self, series)
    }

    /// The same in the buckets of another one that has the same times and more, so that they can be
    /// drawn below each other.
    pub(super) fn buckets_of(
        &self,
        other: &Histogram,
        series: usize,
    ) -> Vec<(UnixSeconds, Vec<u64>)> {
        let ends = (other.buckets.keys().next(), other.buckets.keys().next_back());
        let (Some(&first), Some(&last)) = ends else { return Vec::new() };
        let mut same = self.clone();
        while same.step < other.step {
            same.widen();
        }
        same.between(first, last, series)
    }

    fn between(&self, first: u64, last: u64, series: usize) -> Vec<(UnixSeconds, Vec<u64>)> {
        let counts = |number| {
            let mut counts = self.buckets.get(&number).cloned().unwrap_or_default();
            counts.resize(series, 0);
            (UnixSeconds(number.saturating_mul(self.width())), counts)
        };
        (first..=last).map(counts).collect()
    }

    fn number(&self, time: UnixSeconds) -> u64 {
        time.0.checked_div(self.width()).unwrap_or_default()
    }

    /// Takes the next width, of which this one is a part, and joins the buckets.
    fn widen(&mut self) {
        let narrow = self.width();
        self.step = self.step.saturating_add(1);
        for (number, counts) in std::mem::take(&mut self.buckets) {
            let wide = self.number(UnixSeconds(number.saturating_mul(narrow)));
            let joined = self.buckets.entry(wide).or_default();
            for (series, count) in counts.into_iter().enumerate() {
                add(joined, series, count);
            }
        }
    }
}

fn add(counts: &mut Vec<u64>, series: usize, count: u64) {
    if counts.len() <= series {
        counts.resize(series.saturating_add(1), 0);
    }
    if let Some(known) = counts.get_mut(series) {
        *known = known.saturating_add(count);
    }
}

/// Most buckets: more bars than this are too thin to see.
const MAX_BUCKETS: u64 = 200;

/// Seconds in a bucket, each a multiple of the one before: up to an hour, a day, four weeks.
const WIDTHS: [u64; 14] =
    [1, 5, 15, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_419_200];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_grow_with_the_period_and_lose_nothing() {
        let rows = [
            (150, 1),
            (900, 5),
            (3600, 60),
            (86_400, 900),
            (30 * 86_400, 21_600),
            (31_536_000, 604_800),
        ];
        for (period, width) in rows {
            let mut histogram = Histogram::new();
            for part in 0..100 {
                histogram.add(UnixSeconds(1_790_000_000 + period * part / 99), (part % 3) as usize);
            }
            assert_eq!(histogram.width(), width, "{period}");
            let buckets = histogram.buckets(3);
            assert!(buckets.len() <= 200, "{period}");
            assert_eq!(buckets.iter().flat_map(|(_, counts)| counts).sum::<u64>(), 100);
        }
        assert!(Histogram::new().buckets(3).is_empty());
    }

    #[test]
    fn two_are_drawn_in_the_same_buckets() {
        let (mut all, mut some) = (Histogram::new(), Histogram::new());
        for time in (0..100_000).step_by(10) {
            all.add(UnixSeconds(time), 0);
        }
        [50_000, 50_001, 50_700].iter().for_each(|&time| some.add(UnixSeconds(time), 0));
        assert!(some.width() < all.width());
        let (all_buckets, buckets) = (all.buckets(1), some.buckets_of(&all, 1));
        assert_eq!(buckets.len(), all_buckets.len());
        assert!(all_buckets.iter().zip(&buckets).all(|(left, right)| left.0 == right.0));
        let counts: Vec<u64> =
            buckets.iter().map(|(_, counts)| counts[0]).filter(|&c| c > 0).collect();
        assert_eq!((counts, all.width()), (vec![2, 1], 900));
        assert!(some.buckets_of(&Histogram::new(), 1).is_empty());
    }

    #[test]
    fn every_width_is_a_multiple_of_the_one_before() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1] % pair[0] == 0));
    }

    proptest! {
        #[test]
        fn any_times_are_counted_once_in_their_bucket(
            times in proptest::collection::vec(any::<u64>(), 1..50),
            near in proptest::collection::vec(1_790_000_000_u64..1_790_100_000, 1..50),
        ) {
            for times in [times, near] {
                let mut histogram = Histogram::new();
                times.iter().for_each(|&time| histogram.add(UnixSeconds(time), 0));
                let buckets = histogram.buckets(1);
                prop_assert!(buckets.len() as u64 <= MAX_BUCKETS);
                for (start, counts) in &buckets {
                    let end = start.0.saturating_add(histogram.width());
                    let inside = times.iter().filter(|&&time| (start.0..end).contains(&time)).count();
                    prop_assert!(counts[0] == inside as u64 || end == u64::MAX);
                }
            }
        }
    }
}
