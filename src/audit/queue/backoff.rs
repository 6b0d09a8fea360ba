//! How long to wait after failures.

use core::time::Duration;

use crate::base::time::Instant;

/// A delay that grows with failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// Since when and for how long nothing is tried.
    pause: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Whether nothing should be tried now.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.pause.is_some_and(|(since, delay)| now >= since && now.since(since) < delay)
    }

    /// Whether the last try failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether nothing should be tried now, and that after several failures in a row.
    pub(super) fn holds_long(&self, now: Instant) -> bool {
        self.failures >= MANY && self.holds(now)
    }

    /// After a failure: a second, and twice as long after each further one in a row, at most a minute;
    /// up to an eighth less, so that many proxies don't return all at once. A failure of what was tried
    /// before the last one changes nothing.
    pub(super) fn grow(&mut self, now: Instant, random: [u8; 16]) {
        if self.holds(now) {
            return;
        }
        let delay = FIRST.saturating_mul(1_u32 << self.failures.min(MOST_DOUBLINGS)).min(LONGEST);
        let [.., random] = random;
        let less = delay.saturating_mul(u32::from(random)).checked_div(8 * 256);
        self.pause = Some((now, delay.saturating_sub(less.unwrap_or_default())));
        self.failures = self.failures.saturating_add(1);
    }

    /// After a success.
    pub(super) fn end(&mut self) {
        *self = Backoff::default();
    }
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const MOST_DOUBLINGS: u32 = 6;
const MANY: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixSeconds;

    fn after(millis: u64) -> Instant {
        Instant::from_seconds(UnixSeconds(1_000)).plus(Duration::from_millis(millis))
    }

    #[test]
    fn delays_double_up_to_a_minute_and_begin_again_after_a_success() {
        let mut backoff = Backoff::default();
        let mut now = 0;
        for (failure, delay) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert!(!backoff.holds(after(now)), "failure {failure}");
            backoff.grow(after(now), [0; 16]);
            assert!(backoff.holds(after(now + delay * 1000 - 1)), "failure {failure}");
            assert_eq!(backoff.holds_long(after(now)), failure >= 2, "failure {failure}");
            now += delay * 1000;
            assert!(!backoff.holds(after(now)), "failure {failure}");
        }
        backoff.end();
        assert!(!backoff.is_failing());
        backoff.grow(after(now), [0; 16]);
        assert!(!backoff.holds(after(now + 1000)));
    }

    #[test]
    fn jitter_takes_off_an_eighth_at_most() {
        let mut backoff = Backoff::default();
        backoff.grow(after(0), [255; 16]);
        assert!(backoff.holds(after(875)));
        assert!(!backoff.holds(after(876)));
    }

    #[test]
    fn several_failures_of_one_moment_count_once() {
        let mut backoff = Backoff::default();
        for _ in 0..4 {
            backoff.grow(after(0), [0; 16]);
        }
        assert!(!backoff.holds(after(1000)));
    }

    #[test]
    fn a_clock_that_was_set_back_ends_the_delay() {
        let mut backoff = Backoff::default();
        backoff.grow(after(5000), [0; 16]);
        assert!(!backoff.holds(after(4999)));
    }
}
