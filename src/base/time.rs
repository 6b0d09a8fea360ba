//! Instants as arguments, with their unit in the type. Lengths of time are [`core::time::Duration`].

use core::time::Duration;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, as the host's clock gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant {
    nanoseconds: u64,
}

/// Whole seconds since 1970-01-01T00:00:00Z: `NumericDate` of RFC 7519 section 2, integers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct UnixSeconds(pub u64);

impl Instant {
    /// The instant this many nanoseconds after 1970.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Instant {
        Instant { nanoseconds }
    }

    /// The instant this many whole seconds after 1970; far-off values saturate.
    pub const fn from_seconds(seconds: UnixSeconds) -> Instant {
        Instant { nanoseconds: seconds.0.saturating_mul(1_000_000_000) }
    }

    /// Nanoseconds since 1970.
    pub const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.nanoseconds / 1_000_000_000)
    }

    /// The later instant; saturates at the end of time.
    pub fn plus(self, length: Duration) -> Instant {
        let length = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Instant { nanoseconds: self.nanoseconds.saturating_add(length) }
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

impl UnixSeconds {
    /// The later second; saturates.
    pub const fn plus(self, length: Duration) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(length.as_secs()))
    }
}
