//! What the elected instance does: it reads closed slots in order, hands them out in batches, and
//! marks them when they were sent. All it keeps in memory can be lost: the next one begins again at
//! the ring's head.

use core::time::Duration;
use std::collections::BTreeSet;

use super::backoff::Backoff;
use super::batch::{Batch, BatchId};
use super::ring::{Found, Header, Ring, adopted};
use super::slot::{Label, State};
use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::place::Place;

/// The sending side of one instance.
#[derive(Debug)]
pub(super) struct Sender {
    limits: Limits,
    /// The first number not looked at yet.
    next: u64,
    /// Numbers before `next` to look at again: open slots, batches that failed.
    again: BTreeSet<u64>,
    /// Slots that are not closed, and since when they look as they do.
    watched: Vec<Watched>,
    flights: Vec<Flight>,
    count: u64,
    backoff: Backoff,
    /// Whether more could have been handed out than was.
    more: bool,
    pub(super) broken: u64,
}

/// How much is sent at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of lines in a batch; a slot with more is a batch alone.
    pub(super) batch_bytes: usize,
    /// Batches under way at a time.
    pub(super) in_flight: usize,
    /// How long a call may take before it is forgotten.
    pub(super) call: Duration,
}

/// A batch under way.
#[derive(Debug)]
pub(super) struct Flight {
    id: BatchId,
    started: Instant,
    slots: Vec<Taken>,
    pub(super) lines: u64,
}

/// A slot in a batch, with the stamp that it was read at.
#[derive(Debug, Clone, Copy)]
struct Taken {
    seq: u64,
    stamp: Option<u32>,
}

/// A slot that is not closed, as it was seen first.
#[derive(Debug, Clone, Copy)]
struct Watched {
    seq: u64,
    stamp: Option<u32>,
    since: Instant,
}

/// What became of looking at a number.
enum Look {
    /// It went into the batch.
    Taken,
    /// There was no room for it in this batch.
    NotNow,
    /// Its owner may still add to it.
    Open,
    /// There is nothing in it to send.
    Done,
}

impl Sender {
    pub(super) fn new(limits: Limits) -> Sender {
        Sender {
            limits,
            next: 0,
            again: BTreeSet::new(),
            watched: Vec::new(),
            flights: Vec::new(),
            count: 0,
            backoff: Backoff::default(),
            more: false,
            broken: 0,
        }
    }

    /// Begins at the head, knowing nothing of what other senders did.
    pub(super) fn begin(&mut self, header: Header) {
        self.next = header.head;
        self.again.clear();
        self.watched.clear();
    }

    /// Whether there is more to send, and it may be sent now.
    pub(super) fn hurries(&self) -> bool {
        self.more && self.flights.len() < self.most_in_flight()
    }

    /// Whether the last batch did not arrive.
    pub(super) fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }

    /// Whether others should try: several batches in a row did not arrive.
    pub(super) fn steps_aside(&self, now: Instant) -> bool {
        self.backoff.holds_long(now)
    }

    /// Says that nothing is to be sent by this instance.
    pub(super) fn rest(&mut self) {
        self.more = false;
    }

    /// Batches to send now.
    pub(super) fn gather(
        &mut self,
        ring: &Ring,
        header: Header,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Vec<Batch> {
        self.follow(header);
        let mut batches = Vec::new();
        self.more = !self.backoff.holds(now);
        while self.more && self.flights.len() < self.most_in_flight() {
            match self.next_batch(ring, header, now, caps) {
                Some(batch) => batches.push(batch),
                None => self.more = false,
            }
        }
        batches
    }

    /// Takes batches back whose answer never came: how many lines.
    pub(super) fn forget_lost(&mut self, now: Instant, caps: &dyn Capabilities) -> u64 {
        let longest = self.limits.call.saturating_add(GRACE);
        let lost = |flight: &Flight| now < flight.started || now.since(flight.started) > longest;
        let lost: Vec<_> =
            self.flights.iter().filter(|flight| lost(flight)).map(|flight| flight.id).collect();
        lost.into_iter().map(|id| self.failed(id, now, caps)).sum()
    }

    /// A batch arrived: how many lines.
    pub(super) fn sent(&mut self, id: BatchId, ring: &Ring, caps: &dyn Capabilities) -> u64 {
        let Some(flight) = self.land(id) else { return 0 };
        self.backoff.end();
        for Taken { seq, stamp } in flight.slots {
            if ring.clear(seq, stamp, caps) != Ok(Written::Done) {
                self.look_again(seq);
            }
        }
        flight.lines
    }

    /// A batch did not arrive, or nobody knows: how many lines will be sent again.
    pub(super) fn failed(&mut self, id: BatchId, now: Instant, caps: &dyn Capabilities) -> u64 {
        let Some(flight) = self.land(id) else { return 0 };
        flight.slots.iter().for_each(|slot| self.look_again(slot.seq));
        self.backoff.grow(now, caps.random());
        self.more = false;
        flight.lines
    }

    /// A batch will never be taken: its lines, out of the ring.
    pub(super) fn rejected(
        &mut self,
        id: BatchId,
        ring: &Ring,
        caps: &dyn Capabilities,
    ) -> Vec<String> {
        let Some(flight) = self.land(id) else { return Vec::new() };
        self.backoff.end();
        let mut lines = Vec::new();
        for Taken { seq, .. } in flight.slots {
            match give_up(seq, ring, caps) {
                Ok(text) => lines.extend(text.lines().map(str::to_owned)),
                Err(HostFailed) => self.look_again(seq),
            }
        }
        lines
    }
}

impl Sender {
    /// After failures one batch at a time tries whether the collector is back.
    fn most_in_flight(&self) -> usize {
        if self.backoff.is_failing() { 1 } else { self.limits.in_flight.max(1) }
    }

    /// A number that was not looked at since this instance was elected will be anyway.
    fn look_again(&mut self, seq: u64) {
        if seq < self.next {
            self.again.insert(seq);
        }
    }

    fn land(&mut self, id: BatchId) -> Option<Flight> {
        let place = self.flights.iter().position(|flight| flight.id == id)?;
        Some(self.flights.swap_remove(place))
    }

    /// Forgets what the ring has passed.
    fn follow(&mut self, header: Header) {
        if self.next > header.tail {
            self.begin(header); // the header was lost and made anew
        }
        self.again = self.again.split_off(&header.head);
        if self.next > header.head {
            self.again.insert(header.head); // whatever keeps the head there is looked at
        }
        self.next = self.next.max(header.head);
        self.watched.retain(|watched| watched.seq >= header.head);
    }

    fn next_batch(
        &mut self,
        ring: &Ring,
        header: Header,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Option<Batch> {
        let id = BatchId(self.count);
        let mut flight = Flight { id, started: now, slots: Vec::new(), lines: 0 };
        let mut text = String::new();
        let again: Vec<u64> = self.again.iter().copied().collect();
        for seq in again.into_iter().chain(self.next..header.tail) {
            // After the host failed the slot is looked at another time.
            let look = self.look(seq, &mut flight, &mut text, ring, caps).unwrap_or(Look::NotNow);
            self.next = self.next.max(seq.saturating_add(1));
            match look {
                Look::Taken | Look::Done => {
                    self.again.remove(&seq);
                    self.watched.retain(|watched| watched.seq != seq);
                }
                Look::Open | Look::NotNow => {
                    self.again.insert(seq);
                }
            }
            if matches!(look, Look::NotNow) {
                break;
            }
        }
        if flight.slots.is_empty() {
            return None;
        }
        self.count = self.count.saturating_add(1);
        flight.lines = u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
        self.flights.push(flight);
        Some(Batch { id, text })
    }

    /// Looks at a number, and takes what is there into the batch.
    fn look(
        &mut self,
        seq: u64,
        flight: &mut Flight,
        text: &mut String,
        ring: &Ring,
        caps: &dyn Capabilities,
    ) -> Result<Look, HostFailed> {
        if self.flights.iter().flat_map(|flight| &flight.slots).any(|slot| slot.seq == seq) {
            return Ok(Look::Done);
        }
        let (mut place, found) = ring.slot(seq, caps)?;
        let slot = match found {
            Found::Slot(slot) if slot.label.seq > seq => return Ok(Look::Done),
            Found::Slot(slot) if slot.label.seq == seq && !slot.waits() => return Ok(Look::Done),
            Found::Slot(slot) if slot.label.seq == seq && slot.label.state == State::Closed => slot,
            found => {
                if self.is_silent(seq, place.stamp(), flight.started) {
                    let broken = close(seq, &mut place, &found, caps)?;
                    self.broken = self.broken.saturating_add(broken.into());
                }
                return Ok(Look::Open);
            }
        };
        let room = text.len().saturating_add(slot.text.len()) <= self.limits.batch_bytes;
        if !room && !text.is_empty() {
            return Ok(Look::NotNow);
        }
        text.push_str(&slot.text);
        flight.slots.push(Taken { seq, stamp: place.stamp() });
        Ok(Look::Taken)
    }

    /// Whether a slot that is not closed has looked the same for so long that its owner must be dead.
    fn is_silent(&mut self, seq: u64, stamp: Option<u32>, now: Instant) -> bool {
        let known = self.watched.iter().find(|watched| watched.seq == seq).copied();
        let known = known.filter(|known| known.stamp == stamp && now >= known.since);
        let watched = known.unwrap_or(Watched { seq, stamp, since: now });
        self.watched.retain(|watched| watched.seq != seq);
        self.watched.push(watched);
        now.since(watched.since) >= SILENT
    }
}

/// Closes the slot of a dead owner. A number without a slot (its owner died between taking and writing)
/// is given up; lines of another round that are found there get the number. What can't be read was not
/// written again by an owner meanwhile, and is lost: `true`.
fn close(
    seq: u64,
    place: &mut Place,
    found: &Found,
    caps: &dyn Capabilities,
) -> Result<bool, HostFailed> {
    let value = match found {
        Found::Slot(slot) if slot.waits() => adopted(slot, seq),
        _ => Label::sent(seq).encode(""),
    };
    if place.write(&value, caps)? == Written::Done {
        return Ok(*found == Found::Unreadable);
    }
    // A key that is neither absent nor holds anything was emptied by others.
    let emptied = *found == Found::Nothing && place.read(caps)?.is_empty();
    Ok(emptied && place.write(&value, caps)? == Written::Done)
}

/// Takes the lines out of a slot; none when they are gone already.
fn give_up(seq: u64, ring: &Ring, caps: &dyn Capabilities) -> Result<String, HostFailed> {
    for _ in 0..ATTEMPTS {
        let (place, found) = ring.slot(seq, caps)?;
        let Found::Slot(slot) = found else { return Ok(String::new()) };
        if slot.label.seq != seq || !slot.waits() {
            return Ok(String::new());
        }
        if place.write(&Label::sent(seq).encode(""), caps)? == Written::Done {
            return Ok(slot.text);
        }
    }
    Err(HostFailed)
}

/// An owner that has not written its slot for this long, as the sender sees it, is dead.
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// How much later than its timeout an answer may come.
const GRACE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 8;
