//! What one instance does with its events: each becomes a record, is sealed, and goes to every sink.

use core::time::Duration;

use super::config::{Settings, Sink, WhenFull};
use super::delivery::{Delivery, Tally};
use super::queue::{BatchId, Stored};
use super::reasons::{AUDIT_FULL, AUDIT_SECRET_MISSING};
use super::seal::{MIN_SECRET, Sealer};
use super::{Discretion, Event, EventId};
use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::store::{CallFailed, HttpAnswer, HttpCall, InstanceId};

/// The audit trail of one instance, which is one stream of records: they are counted from 1 without gaps.
#[derive(Debug)]
pub struct Trail {
    settings: Settings,
    instance: InstanceId,
    last: EventId,
    discretion: Discretion,
    sealer: Option<Sealer>,
    deliveries: Vec<Delivery>,
    /// Whether the secrets were looked up, and all of them were there.
    prepared: Option<bool>,
    checkpoint: Checkpoint,
}

/// What the last checkpoint said.
#[derive(Debug, Default)]
struct Checkpoint {
    time: Option<Instant>,
    count: u64,
}

/// What is left for the host to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Lines for its log.
    pub log: Vec<String>,
    /// Lines for its access loggers.
    pub access_log: Vec<String>,
}

/// What is to be done on a tick: calls, lines for the host's log, what an operator should read.
type Due = (Vec<(Sent, HttpCall)>, Left, Vec<Notice>);

/// A batch that was sent, by the sink it went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    sink: Sink,
    batch: BatchId,
}

impl Trail {
    /// A trail by these settings. Nothing is looked up before the first request or tick. `server`: the base
    /// URL of the FHIR API, where it is known.
    pub fn new(settings: Settings, instance: InstanceId, server: Option<&str>) -> Trail {
        let deliveries =
            settings.targets().map(|(sink, target)| Delivery::new(sink, target, server));
        Trail {
            last: EventId { instance: instance.short(), count: 0 },
            discretion: Discretion::new(&settings.show, None),
            sealer: None,
            deliveries: deliveries.collect(),
            prepared: None,
            checkpoint: Checkpoint::default(),
            instance,
            settings,
        }
    }

    /// Whether a request may be let in.
    ///
    /// # Errors
    ///
    /// A secret is not where the configuration says; a queue has no room, and that refuses requests.
    pub fn admit(&mut self, caps: &dyn Capabilities) -> Result<(), Refusal> {
        if !self.prepare(caps) {
            return Err(Refusal::new(&AUDIT_SECRET_MISSING));
        }
        let refuses = self.settings.when_full == WhenFull::Refuse;
        if refuses && !self.deliveries.iter().all(Delivery::has_room) {
            return Err(Refusal::new(&AUDIT_FULL).retry_after(RETRY_AFTER));
        }
        Ok(())
    }

    /// The id of the next event.
    pub fn next_id(&mut self) -> EventId {
        self.last.count = self.last.count.wrapping_add(1);
        self.last
    }

    /// Whether events are recorded at all.
    pub fn is_on(&self) -> bool {
        !self.settings.sinks.is_empty()
    }

    /// Records events in the order of their ids: gives what the host writes.
    pub fn record(&mut self, event: &Event<'_>, left: &mut Left, caps: &dyn Capabilities) {
        self.prepare(caps);
        let line = event.line(&self.discretion);
        let line = match &mut self.sealer {
            Some(sealer) => sealer.seal(line),
            None => line,
        };
        self.write(line, left, caps);
    }

    /// The calls to send now, and what the host writes: a checkpoint, when one is due.
    pub fn due(&mut self, caps: &dyn Capabilities) -> Due {
        self.prepare(caps);
        let mut left = Left::default();
        if self.is_checkpoint_due(caps.now()) {
            self.write_checkpoint(false, &mut left, caps);
        }
        let mut calls = Vec::new();
        let mut notices = Vec::new();
        for delivery in &mut self.deliveries {
            let sink = delivery.sink;
            let batches = delivery.due(&self.instance, caps);
            calls.extend(batches.into_iter().map(|(batch, call)| (Sent { sink, batch }, call)));
            notices.extend(delivery.notices());
        }
        (calls, left, notices)
    }

    /// Takes the answer to such a call.
    pub fn answered(
        &mut self,
        sent: Sent,
        answer: &Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> (Left, Option<Notice>) {
        let mut of = self.deliveries.iter_mut();
        let Some(delivery) = of.find(|delivery| delivery.sink == sent.sink) else {
            return Default::default();
        };
        let (lines, notice) = delivery.answered(sent.batch, answer, caps);
        (Left { log: self.unless_logged(lines), access_log: Vec::new() }, notice)
    }

    /// Whether the next tick should come soon.
    pub fn hurries(&self) -> bool {
        self.deliveries.iter().any(Delivery::hurries)
    }

    /// The instance ends: a last checkpoint, and what no other instance will send.
    pub fn end(&mut self, caps: &dyn Capabilities) -> Left {
        let mut left = Left::default();
        if self.last.count > 0 {
            self.write_checkpoint(true, &mut left, caps);
        }
        let instance = self.instance;
        let lines: Vec<String> =
            self.deliveries.iter_mut().flat_map(|delivery| delivery.end(&instance, caps)).collect();
        left.log.extend(self.unless_logged(lines));
        left
    }

    /// What happened to the records of each sink that has a queue.
    pub fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.deliveries.iter().map(Delivery::tally)
    }
}

impl Trail {
    /// Looks the secrets up, once: whether all are there.
    fn prepare(&mut self, caps: &dyn Capabilities) -> bool {
        if let Some(prepared) = self.prepared {
            return prepared;
        }
        let secret = |name: &str| caps.environment(name).filter(|key| key.len() >= MIN_SECRET);
        let hash = self.settings.hash_key.as_ref().map(|variable| secret(&variable.0));
        let seal = self.settings.seal.as_ref().map(|seal| (secret(&seal.key.0), &seal.key_id));
        let mut all = !matches!(hash, Some(None)) && !matches!(seal, Some((None, _)));
        let hash = hash.flatten();
        let hash = hash.as_ref().map(String::as_bytes);
        self.discretion = Discretion::new(&self.settings.show, hash);
        if let Some((Some(key), id)) = seal {
            self.sealer = Some(Sealer::new(key.as_bytes(), id));
        }
        for delivery in &mut self.deliveries {
            all &= delivery.prepare(caps);
        }
        self.prepared = Some(all);
        all
    }

    fn is_checkpoint_due(&mut self, now: Instant) -> bool {
        let Some(seal) = self.settings.seal.as_ref().filter(|_| self.sealer.is_some()) else {
            return false;
        };
        let since = *self.checkpoint.time.get_or_insert(now);
        let waited = now < since || now.since(since) >= seal.every;
        waited && self.last.count > self.checkpoint.count
    }

    fn write_checkpoint(&mut self, last: bool, left: &mut Left, caps: &dyn Capabilities) {
        let Some(sealer) = &mut self.sealer else { return };
        let EventId { instance, count } = self.last;
        let line = sealer.checkpoint(instance, count, caps.now(), last);
        self.checkpoint = Checkpoint { time: Some(caps.now()), count };
        // AuditEvents have no place for it; filter state belongs to a request, and there is none.
        let mut queued = false;
        for delivery in self.deliveries.iter_mut().filter(|one| one.sink == Sink::Collector) {
            queued |= delivery.push(&line, &self.instance, caps) == Stored::Done;
        }
        let elsewhere = [Sink::Log, Sink::AccessLog].iter().any(|sink| self.writes_to(*sink));
        if elsewhere || !queued {
            left.log.push(line);
        }
    }

    fn writes_to(&self, sink: Sink) -> bool {
        self.settings.sinks.contains(&sink)
    }

    /// Brings a record to every sink.
    fn write(&mut self, line: String, left: &mut Left, caps: &dyn Capabilities) {
        let logged = self.writes_to(Sink::Log);
        let mut spills = false;
        for delivery in &mut self.deliveries {
            spills |= delivery.push(&line, &self.instance, caps) != Stored::Done;
        }
        if self.writes_to(Sink::AccessLog) {
            left.access_log.push(line.clone());
        }
        if logged || spills {
            left.log.push(line);
        }
    }

    /// Lines that were queued and can't be sent. Those that are in the log already stay out of it.
    fn unless_logged(&self, lines: Vec<String>) -> Vec<String> {
        if self.writes_to(Sink::Log) { Vec::new() } else { lines }
    }
}

/// When a client may try again for whose request there was no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
