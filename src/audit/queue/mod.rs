//! The bounded queue of audit lines of one sink, shared by all instances of the filter in one Envoy.
//!
//! It lies in the host's shared data: a ring of slots of 16 KiB under fixed keys, and a header that
//! says which are in use. Every instance has at most one *open* slot, written whole with each line, so
//! that nothing is lost when its VM is. It is closed when full, or on a tick when it is old enough.
//! The elected instance sends closed slots in order and marks them; what it knows is in the ring, so
//! that another one goes on where it fell. Slots whose owner fell silent are closed by the sender.
//!
//! A line that was stored is sent at least once or given back, whatever instance dies and whenever;
//! lines of one instance keep their order within a slot. Twice is possible: after a batch whose answer
//! was lost, or when an instance that looked dead was not. One assumption is made: no thread stands
//! still for three seconds (`sender::SILENT` less `slot::FRESH`) between two calls of the host
//! while the others go once around the ring.
//!
//! Memory: as many slots as configured, each as large as its lines; one that was sent takes 34 bytes.
//! A line longer than a slot has one to itself.

use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::notice::Notice;
use crate::base::time::Instant;
use crate::store::InstanceId;
use crate::store::lease::Lease;

mod alive;
mod backoff;
mod batch;
mod own;
mod ring;
mod sender;
mod slot;

pub use batch::{Batch, BatchId};

use alive::Alive;
use ring::{Header, Ring};
use sender::{Limits, Sender};
use slot::{Open, SLOT_BYTES};

/// What a queue is for, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// What names the sink. Queues of one name and size in one Envoy (one `vm_id`) are the same queue,
    /// also across configurations.
    pub digest_of: String,
    /// Most bytes of lines that wait; at least four slots.
    pub bytes: usize,
    /// How long a slot takes lines before it is closed on a tick.
    pub every: Duration,
    /// Most bytes of lines in a batch; a longer line is one alone.
    pub batch_bytes: usize,
    /// Most batches under way at a time.
    pub in_flight: usize,
    /// How long a call takes at most; a batch whose answer never comes is sent again some time after.
    pub call_timeout: Duration,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// It will be sent or given back.
    Done,
    /// All slots are in use.
    Full,
    /// The host failed, or what it holds can't be read for now.
    Unavailable,
}

/// What one instance did since it began, and how much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Lines stored by this instance.
    pub queued: u64,
    /// Lines that arrived, in batches of this instance.
    pub sent: u64,
    /// Lines in batches of this instance that did not arrive, and are sent again.
    pub retried: u64,
    /// Lines that were rejected, given back by this instance.
    pub rejected: u64,
    /// Shared values that this instance could not read: what was in them is lost.
    pub broken: u64,
    /// Slots in use, as last seen.
    pub waiting: u64,
    /// Slots there are; each takes 16 KiB at most.
    pub capacity: u64,
    /// How old the oldest line was at the last tick, if this instance sends: `None` when none waits, or
    /// another one knows.
    pub oldest: Option<Duration>,
}

/// One instance's view of one sink's queue.
#[derive(Debug)]
pub struct Queue {
    every: Duration,
    ring: Ring,
    lease: Lease,
    alive: Alive,
    sender: Sender,
    /// Since when this instance knows that it is elected.
    elected: Option<Instant>,
    open: Option<Open>,
    /// Memory of the last open slot, to be used again.
    spare: Vec<u8>,
    /// `None`: it could not be read.
    seen: Option<Header>,
    counters: Counters,
    notices: Vec<Notice>,
}

impl Queue {
    /// The queue of these settings. Nothing is read or written yet.
    pub fn new(settings: QueueSettings) -> Queue {
        let ring = Ring::new(&settings.digest_of, settings.bytes);
        let limits = Limits {
            batch_bytes: settings.batch_bytes,
            in_flight: settings.in_flight,
            call: settings.call_timeout,
        };
        Queue {
            every: settings.every,
            lease: Lease::new(ring.key("lease"), TERM),
            alive: Alive::new(ring.key("alive")),
            sender: Sender::new(limits),
            elected: None,
            open: None,
            spare: Vec::new(),
            seen: Some(Header::default()),
            counters: Counters { capacity: ring.slots(), ..Counters::default() },
            notices: Vec::new(),
            ring,
        }
    }

    /// Stores a line, which has no line ends.
    pub fn push(&mut self, line: &str, instance: &InstanceId, caps: &dyn Capabilities) -> Stored {
        let now = caps.now();
        let stored =
            self.add(line, now, caps).unwrap_or_else(|| self.start(line, instance, now, caps));
        self.counters.queued =
            self.counters.queued.saturating_add(u64::from(stored == Stored::Done));
        stored
    }

    /// Whether a new request may be admitted that must be recorded: the last quarter of the slots is
    /// for those in flight. By what was last seen, on a tick or when a slot was taken.
    pub fn has_room(&self) -> bool {
        let most = self.ring.slots().saturating_sub(self.ring.slots().div_ceil(4));
        self.seen.is_some_and(|header| header.in_use() < most)
    }

    /// To be called on every tick: closes this instance's slot when it is time, and gives batches to send
    /// now if this instance is the sender. Whatever becomes of a batch is told by [`Queue::sent`],
    /// [`Queue::failed`] or [`Queue::rejected`].
    pub fn due(&mut self, instance: &InstanceId, caps: &dyn Capabilities) -> Vec<Batch> {
        let now = caps.now();
        self.alive.tell(instance, now, caps);
        self.keep_slot(now, caps);
        if self.sender.steps_aside(now) || !self.is_elected(instance, now, caps) {
            self.step_aside(instance, now, caps);
            return Vec::new();
        }
        let retried = self.sender.forget_lost(now, caps);
        self.counters.retried = self.counters.retried.saturating_add(retried);
        self.move_head(now, caps);
        let Some(header) = self.seen else { return Vec::new() };
        let batches = self.sender.gather(&self.ring, header, now, caps);
        self.count_broken();
        batches
    }

    /// The collector took a batch.
    pub fn sent(&mut self, batch: BatchId, caps: &dyn Capabilities) {
        let lines = self.sender.sent(batch, &self.ring, caps);
        self.counters.sent = self.counters.sent.saturating_add(lines);
        self.move_head(caps.now(), caps);
    }

    /// A batch did not arrive, or nobody knows: it is sent again, after a delay.
    pub fn failed(&mut self, batch: BatchId, caps: &dyn Capabilities) {
        let now = caps.now();
        let lines = self.sender.failed(batch, now, caps);
        self.counters.retried = self.counters.retried.saturating_add(lines);
        self.move_head(now, caps);
    }

    /// The collector will never take a batch: its lines, which the queue forgets.
    pub fn rejected(&mut self, batch: BatchId, caps: &dyn Capabilities) -> Vec<String> {
        let lines = self.sender.rejected(batch, &self.ring, caps);
        let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.counters.rejected = self.counters.rejected.saturating_add(count);
        self.move_head(caps.now(), caps);
        lines
    }

    /// Whether ticks should come soon: slots wait that could be sent now.
    pub fn hurries(&self) -> bool {
        self.sender.hurries()
    }

    /// This instance ends: its slot is closed, another one sends. When no other seems to be alive, every
    /// line that still waits is given back and forgotten.
    pub fn end(&mut self, instance: &InstanceId, caps: &dyn Capabilities) -> Vec<String> {
        let now = caps.now();
        let mut lines = self.close_or_give_back(now, caps);
        self.lease.give_back(instance, caps);
        self.elected = None;
        if self.alive.leave(instance, now, caps) {
            let slots = self.ring.drain(caps);
            lines.extend(slots.iter().flat_map(|slot| slot.text.lines()).map(str::to_owned));
            // Should that fail, the next sender does it.
            self.seen =
                self.ring.advance(false, caps).ok().flatten().map(|advanced| advanced.header);
        }
        lines
    }

    /// What this instance did since it began, and how much waits.
    pub fn counters(&self) -> Counters {
        let waiting = self.seen.map_or(self.counters.waiting, |header| header.in_use());
        Counters { waiting, ..self.counters }
    }

    /// What an operator should read, since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }
}

impl Queue {
    /// Whether this instance sends. Nobody else can be elected within its term, so the lease is looked at
    /// only now and then.
    fn is_elected(&mut self, instance: &InstanceId, now: Instant, caps: &dyn Capabilities) -> bool {
        if self.elected.is_some_and(|since| now >= since && now.since(since) < RENEWAL) {
            return true;
        }
        let was = self.elected.is_some();
        let kept = was && self.lease.keep(instance, TERM, caps).unwrap_or_default();
        let elected = kept || self.lease.take(instance, TERM, caps).unwrap_or_default();
        if elected && !kept {
            self.sender.begin(self.seen.unwrap_or_default());
        }
        self.elected = elected.then_some(now);
        elected
    }

    /// Leaves the sending to others. Who does so because its batches did not arrive still tells how old the
    /// oldest line is: maybe nobody sends. Others may fare better: one whose configuration is newer may
    /// know a password that this one does not.
    fn step_aside(&mut self, instance: &InstanceId, now: Instant, caps: &dyn Capabilities) {
        self.sender.rest();
        self.counters.oldest = None;
        if self.elected.take().is_some() {
            self.lease.give_back(instance, caps);
        }
        if self.sender.steps_aside(now)
            && let Ok(Some(advanced)) = self.ring.advance(true, caps)
        {
            self.counters.oldest = advanced.oldest.map(|opened| now.since(opened));
        }
    }

    /// Moves the head over what was sent. A header that can't be read is made anew from the slots.
    fn move_head(&mut self, now: Instant, caps: &dyn Capabilities) {
        if self.elected.is_none() {
            return;
        }
        match self.ring.advance(self.sender.is_failing(), caps) {
            Ok(Some(advanced)) => {
                self.seen = Some(advanced.header);
                self.counters.oldest = advanced.oldest.map(|opened| now.since(opened));
            }
            Ok(None) => self.repair(caps),
            Err(HostFailed) => self.seen = None,
        }
    }

    fn repair(&mut self, caps: &dyn Capabilities) {
        let made = self.ring.repair(caps).ok().flatten();
        self.seen = self.ring.header(caps);
        // Without slots it is the first one.
        if let Some(header) = made.filter(|header| *header != Header::default()) {
            self.counters.broken = self.counters.broken.saturating_add(1);
            let text = format!(
                "audit queue: its header in the host's shared data was overwritten and was made anew \
                 from the slots: {} of them wait",
                header.in_use()
            );
            self.notices.push(Notice::warn(text));
        }
    }

    fn count_broken(&mut self) {
        let broken = core::mem::take(&mut self.sender.broken);
        if broken > 0 {
            self.counters.broken = self.counters.broken.saturating_add(broken);
            let text = format!(
                "audit queue: {broken} slots in the host's shared data were overwritten: their records \
                 may be lost; give this filter a `vm_id` of its own"
            );
            self.notices.push(Notice::warn(text));
        }
    }
}

/// How long a sender is elected for. One that died is followed after this time.
const TERM: Duration = Duration::from_secs(5);
const RENEWAL: Duration = Duration::from_secs(1);

const _: () = assert!(SLOT_BYTES > slot::LABEL);

#[cfg(test)]
mod tests;
