//! Elects the instance that pulls a document next. Every instance ticks; the first that finds the
//! document due and the lease free takes it for the length of one call. An instance that dies leaves
//! a lease that expires; after a failure the lease stays with nobody for a while, so the delay before
//! the next try holds for all.
//!
//! Two instances that create the key at once both get it. That costs a second call and no more:
//! what they publish is told apart by its [`Generation`](super::Generation).

use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed, Shared, Written};
use crate::base::time::Instant;

use super::InstanceId;
use super::bytes::Reader;

/// A lease in shared data: who holds it and until when.
#[derive(Debug)]
pub struct Lease {
    key: String,
    longest: Duration,
}

impl Lease {
    /// The lease under this key. Nobody holds it longer than `longest` at a time: one that seems to
    /// is left over from before the clock was set back, or from a configuration with longer times,
    /// and counts as free.
    pub fn new(key: String, longest: Duration) -> Lease {
        Lease { key, longest }
    }

    /// Takes the lease if it is free: whether `me` holds it now.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn take(
        &self,
        me: &InstanceId,
        length: Duration,
        caps: &dyn Capabilities,
    ) -> Result<bool, HostFailed> {
        let (record, stamp) = self.record(caps)?;
        let now = caps.now();
        if record.until > now && record.until <= now.plus(self.longest) {
            return Ok(false);
        }
        let taken = Record { owner: me.0, until: now.plus(length), ..record };
        self.write(&taken, stamp, caps)
    }

    /// Holds the lease for another `length` from now: whether it is still `me` who holds it.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn keep(
        &self,
        me: &InstanceId,
        length: Duration,
        caps: &dyn Capabilities,
    ) -> Result<bool, HostFailed> {
        let (record, stamp) = self.record(caps)?;
        if record.owner != me.0 {
            return Ok(false);
        }
        self.write(&Record { until: caps.now().plus(length), ..record }, stamp, caps)
    }

    /// Gives the lease back after success. A lease that somebody else holds by now stays theirs.
    pub fn give_back(&self, me: &InstanceId, caps: &dyn Capabilities) {
        self.leave(me, caps, |_| Record::default());
    }

    /// Leaves the lease with nobody after a failure: for a second, and twice as long after each
    /// further failure in a row, at most `longest`.
    pub fn pause(&self, me: &InstanceId, longest: Duration, caps: &dyn Capabilities) {
        self.leave(me, caps, |record| {
            let failures = record.failures.saturating_add(1);
            let delay = FIRST_DELAY.saturating_mul(1_u32 << record.failures.min(MOST_DOUBLINGS));
            let until = caps.now().plus(delay.min(longest));
            Record { owner: NOBODY, until, failures }
        });
    }

    /// Whether the last turn, whoever had it, ended in a failure. What can't be read failed.
    pub fn is_failing(&self, caps: &dyn Capabilities) -> bool {
        self.record(caps).map_or(true, |(record, _)| record.failures > 0)
    }

    /// Whether it stays with nobody for now, after a failure.
    pub fn is_paused(&self, caps: &dyn Capabilities) -> bool {
        let now = caps.now();
        self.record(caps).is_ok_and(|(record, _)| {
            let held = record.until > now && record.until <= now.plus(self.longest);
            held && record.owner == NOBODY
        })
    }

    /// A lease that can't be given back expires by itself: failures need no handling here.
    fn leave(
        &self,
        me: &InstanceId,
        caps: &dyn Capabilities,
        next: impl FnOnce(&Record) -> Record,
    ) {
        if let Ok((record, stamp)) = self.record(caps)
            && record.owner == me.0
        {
            self.write(&next(&record), stamp, caps).unwrap_or_default();
        }
    }

    /// What does not read as a record counts as free.
    fn record(&self, caps: &dyn Capabilities) -> Result<(Record, Option<u32>), HostFailed> {
        let Some(Shared { value, stamp }) = caps.shared(&self.key)? else {
            return Ok((Record::default(), None));
        };
        Ok((Record::decode(&value).unwrap_or_default(), Some(stamp)))
    }

    fn write(
        &self,
        record: &Record,
        stamp: Option<u32>,
        caps: &dyn Capabilities,
    ) -> Result<bool, HostFailed> {
        Ok(caps.set_shared(&self.key, &record.encode(), stamp)? == Written::Done)
    }
}

/// The shared value. The default is a free lease.
#[derive(Debug, Default)]
struct Record {
    owner: [u8; 16],
    until: Instant,
    failures: u8,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut value = self.owner.to_vec();
        value.extend(self.until.nanoseconds().to_be_bytes());
        value.push(self.failures);
        value
    }

    fn decode(value: &[u8]) -> Option<Record> {
        let mut reader = Reader::new(value);
        Some(Record {
            owner: reader.array()?,
            until: Instant::from_nanoseconds(reader.u64()?),
            failures: reader.u8()?,
        })
    }
}

const NOBODY: [u8; 16] = [0; 16];
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u8 = 16;

#[cfg(test)]
mod tests;
