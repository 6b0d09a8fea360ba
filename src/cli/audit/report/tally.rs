//! What is counted while records are read, in memory that does not grow with them.

use super::accesses::Accesses;
use super::exports::Exports;
use super::filter::Filter;
use super::histogram::Histogram;
use super::refusals::Refusals;
use super::streams::Streams;
use super::top::{Seen, Top};
use crate::base::time::{Instant, UnixSeconds};
use crate::cli::audit::read::{Found, Kind};
use crate::cli::audit::record::{self, Decision, Record};
use crate::cli::time;

/// Everything that a report tells.
#[derive(Debug)]
pub(super) struct Tally {
    filter: Filter,
    /// Records, each counted once.
    pub(super) records: u64,
    /// Records that were there before.
    pub(super) repeats: u64,
    /// Of the records, those the report is about.
    pub(super) taken: u64,
    pub(super) checkpoints: u64,
    /// Records of answers whose patients are not known.
    pub(super) patients_unread: u64,
    pub(super) broken: Broken,
    pub(super) streams: Streams,
    pub(super) period: Option<(UnixSeconds, UnixSeconds)>,
    pub(super) requests: Decisions,
    /// What was recorded of parts of requests, such as the entries of a batch.
    pub(super) parts: Decisions,
    pub(super) batches: u64,
    pub(super) over_time: Histogram,
    pub(super) refusals: Refusals,
    pub(super) failures: Top,
    pub(super) clients: Top,
    pub(super) users: Top,
    pub(super) tokens: Top,
    pub(super) patients: Top,
    pub(super) exports: Exports,
    pub(super) accesses: Accesses,
    key: String,
}

/// How many were allowed, and how many not.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Decisions {
    pub(super) allow: u64,
    pub(super) deny: u64,
    pub(super) error: u64,
    /// Of those allowed, how many mode `enforce` would have refused.
    pub(super) observed: u64,
}

/// Records that can't be read.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) records: u64,
    /// Place and problem of the first ones.
    pub(super) first: Vec<(String, String)>,
}

impl Tally {
    /// Of records that pass the filter, with at most `limit` accesses.
    pub(super) fn new(filter: &Filter, limit: usize) -> Tally {
        let top = || Top::new(MAX_NAMES);
        Tally {
            filter: filter.clone(),
            records: 0,
            repeats: 0,
            taken: 0,
            checkpoints: 0,
            patients_unread: 0,
            broken: Broken::default(),
            streams: Streams::new(MAX_INTERVALS),
            period: None,
            requests: Decisions::default(),
            parts: Decisions::default(),
            batches: 0,
            over_time: Histogram::new(),
            refusals: Refusals::new(),
            failures: Top::new(MAX_WORDS),
            clients: top(),
            users: top(),
            tokens: top(),
            patients: top(),
            exports: Exports::default(),
            accesses: Accesses::new(if filter.names_one() { limit } else { 0 }),
            key: String::new(),
        }
    }

    /// Counts what was found.
    pub(super) fn add(&mut self, found: &Found) {
        let counted = match found.kind {
            Kind::Record => found
                .record()
                .map_err(|error| error.to_string())
                .and_then(|record| self.record(&record)),
            Kind::Checkpoint => self.checkpoint(found),
        };
        if let Err(problem) = counted {
            self.broken.records = self.broken.records.saturating_add(1);
            if self.broken.first.len() < MAX_BROKEN {
                self.broken.first.push((found.place.to_string(), problem));
            }
        }
    }

    fn checkpoint(&mut self, found: &Found) -> Result<(), String> {
        let checkpoint = found.checkpoint().map_err(|error| error.to_string())?;
        let stream = record::stream(&checkpoint.stream).ok_or(NO_STREAM)?;
        let time = time::instant(&checkpoint.time)?;
        self.checkpoints = self.checkpoints.saturating_add(1);
        self.streams.checkpoint(stream, checkpoint.count, time.seconds());
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), String> {
        let time = time::instant(&record.time)?;
        let (stream, count) = record.place_in_stream().ok_or(NO_ID)?;
        if !self.streams.add(stream, count, time.seconds()) {
            self.repeats = self.repeats.saturating_add(1);
            return Ok(());
        }
        self.records = self.records.saturating_add(1);
        let patients = record.patients();
        if self.filter.takes(record, &patients, time) {
            self.take(record, &patients, time);
        }
        Ok(())
    }

    fn take(&mut self, record: &Record<'_>, patients: &[&str], time: Instant) {
        let time = time.seconds();
        self.taken = self.taken.saturating_add(1);
        let unread = u64::from(record.patients_unread);
        self.patients_unread = self.patients_unread.saturating_add(unread);
        let (first, last) = self.period.unwrap_or((time, time));
        self.period = Some((first.min(time), last.max(time)));
        let seen = Seen { time, refused: record.decision != Decision::Allow, patients };
        let part = record.part_of.is_some();
        if part {
            self.parts.add(record);
        } else {
            self.request(record, seen);
        }
        self.holders(record, seen);
        for patient in patients {
            self.patients.add(patient, Seen { patients: &[], ..seen });
        }
        self.exports.add(record, time);
        self.accesses.add(record, patients, time);
    }

    fn request(&mut self, record: &Record<'_>, seen: Seen<'_>) {
        self.requests.add(record);
        self.over_time.add(seen.time, record.decision as usize);
        if seen.refused {
            self.refusals.add(&record.reason, seen.time);
        }
        if record.what.interaction.as_deref() == Some("batch") {
            self.batches = self.batches.saturating_add(1);
        }
        if let Some(failure) = record.outcome.failure.as_deref() {
            self.failures.add(failure, seen);
        }
    }

    /// A name counts for itself with each issuer: equal names of two issuers are two users.
    fn holders(&mut self, record: &Record<'_>, seen: Seen<'_>) {
        let Some(who) = &record.who else { return };
        let names = [
            (&mut self.clients, who.client.as_deref()),
            (&mut self.users, record.user()),
            (&mut self.tokens, who.jti.as_deref()),
        ];
        for (top, name) in names {
            let Some(name) = name else { continue };
            self.key.clear();
            self.key.extend([name, ISSUED_BY, &who.issuer]);
            top.add(&self.key, seen);
        }
    }
}

impl Decisions {
    fn add(&mut self, record: &Record<'_>) {
        let count = match record.decision {
            Decision::Allow => &mut self.allow,
            Decision::Deny => &mut self.deny,
            Decision::Error => &mut self.error,
        };
        *count = count.saturating_add(1);
        if record.would.is_some_and(|would| would != Decision::Allow) {
            self.observed = self.observed.saturating_add(1);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.allow.saturating_add(self.deny).saturating_add(self.error)
    }
}

/// Stands between a name and its issuer.
pub(super) const ISSUED_BY: &str = "\u{1f}";

/// Different clients, users, tokens or patients that are counted exactly.
const MAX_NAMES: usize = 100_000;

/// Different words that are counted exactly, where phiward itself has a few.
const MAX_WORDS: usize = 1000;

/// Gaps between records that are remembered: 32 bytes each.
const MAX_INTERVALS: usize = 2_000_000;

/// Broken records that are named.
const MAX_BROKEN: usize = 10;

const NO_ID: &str = "`id` is not an instance and a count";

const NO_STREAM: &str = "`stream` is not an instance";
