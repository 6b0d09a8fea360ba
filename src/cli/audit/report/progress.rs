//! How far long work is, told to a person and to nobody else.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::words::thousands;
use crate::cli::Stderr;

/// Tells how far reading is.
pub(in crate::cli::audit) struct Progress {
    /// `None` when nobody looks.
    started: Option<Instant>,
    total: Option<u64>,
    records: u64,
    told: Duration,
}

impl Progress {
    /// Of so many bytes, if that is known.
    pub(in crate::cli::audit) fn new(stderr: Stderr, total: Option<u64>) -> Progress {
        let started = (stderr == Stderr::Terminal).then(clock);
        Progress { started, total, records: 0, told: Duration::ZERO }
    }

    /// One more record was read, and so many bytes in all.
    pub(in crate::cli::audit) fn at(&mut self, bytes: u64, err: &mut dyn Write) -> io::Result<()> {
        self.records = self.records.saturating_add(1);
        let Some(started) = self.started else { return Ok(()) };
        if !self.records.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        let passed = clock().duration_since(started);
        if passed.saturating_sub(self.told) < TELL_EVERY {
            return Ok(());
        }
        self.told = passed;
        write!(err, "\r\x1b[K{}", line(bytes, self.total, self.records, passed))?;
        err.flush()
    }

    /// Takes back what was told.
    pub(in crate::cli::audit) fn end(&self, err: &mut dyn Write) -> io::Result<()> {
        if self.told.is_zero() { Ok(()) } else { write!(err, "\r\x1b[K") }
    }
}

fn line(bytes: u64, total: Option<u64>, records: u64, passed: Duration) -> String {
    let megabytes = |bytes: u64| thousands(bytes >> 20);
    let of = total.map(|total| format!(" of {}", megabytes(total))).unwrap_or_default();
    let share = total.filter(|total| *total > 0);
    let share = share.map(|total| format!(" ({:.0} %)", bytes as f64 * 100.0 / total as f64));
    let rate = records as f64 / passed.as_secs_f64().max(0.001);
    format!(
        "{}{of} MiB{}, {} records, {} a second",
        megabytes(bytes),
        share.unwrap_or_default(),
        thousands(records),
        thousands(rate as u64),
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells a person how fast it goes, and decides nothing"
)]
fn clock() -> Instant {
    Instant::now()
}

/// Records between two looks at the clock.
const LOOK_EVERY: u64 = 10_000;

const TELL_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_fast() {
        let second = Duration::from_secs(2);
        assert_eq!(
            line(100 << 20, Some(400 << 20), 500_000, second),
            "100 of 400 MiB (25 %), 500,000 records, 250,000 a second"
        );
        assert_eq!(line(1 << 30, None, 10, second), "1,024 MiB, 10 records, 5 a second");
        assert_eq!(line(0, Some(0), 10, second), "0 of 0 MiB, 10 records, 5 a second");
    }

    #[test]
    fn nothing_is_told_where_nobody_looks() {
        let mut told = Vec::new();
        let mut progress = Progress::new(Stderr::Elsewhere, None);
        (0..=LOOK_EVERY * 2).for_each(|_| progress.at(1, &mut told).unwrap());
        progress.end(&mut told).unwrap();
        assert!(told.is_empty());
    }
}
