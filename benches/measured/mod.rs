//! How both benches measure: in rounds in which all sides take turns, so that what slows the machine
//! down slows all of them; the middle of the rounds counts.

use std::time::{Duration, Instant};

/// Rounds in which all sides take turns.
pub(crate) const ROUNDS: usize = 21;

/// How long each side runs in a round.
const TURN: Duration = Duration::from_millis(15);

/// Microseconds that one call takes.
pub(crate) fn once(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while calls == 0 || start.elapsed() < TURN {
        call();
        calls += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// A middle and how far the middle half lies around it.
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) around: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[values.len() * quarter / 4];
        Spread { median: at(2), around: (at(3) - at(1)) / 2.0 }
    }
}
