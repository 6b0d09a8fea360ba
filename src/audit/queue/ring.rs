//! The ring: a fixed number of slots under fixed keys, and a header that says which are in use.
//!
//! A number is taken by moving the header's tail, a slot with that number is then written. Head and
//! slots change by compare-and-swap only, but for the slot that its living owner adds to.

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::bytes::Reader;
use crate::store::place::Place;
use crate::store::prefix;

use super::slot::{Label, Open, SLOT_BYTES, Slot, State};

/// The ring's keys in shared data.
#[derive(Debug)]
pub(super) struct Ring {
    prefix: String,
    slots: u64,
}

/// Which numbers are in use: from `head` up to, but without, `tail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Header {
    pub(super) head: u64,
    pub(super) tail: u64,
    /// Whether the collector is away, as the sender found.
    pub(super) away: bool,
}

/// Why a slot found no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotPlaced {
    /// All slots are in use.
    Full(Header),
    /// The host failed, or the header can't be read.
    Unavailable,
}

/// What a slot's key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was written yet.
    Nothing,
    /// Not what this queue writes.
    Unreadable,
    /// A slot, perhaps of another round.
    Slot(Slot),
}

/// The ring after its head was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advanced {
    pub(super) header: Header,
    /// When the first line of the slot at the head came.
    pub(super) oldest: Option<Instant>,
}

impl Header {
    /// How many slots are in use.
    pub(super) fn in_use(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// Whether this number is in use.
    pub(super) fn has(&self, seq: u64) -> bool {
        (self.head..self.tail).contains(&seq)
    }

    fn encode(self) -> Vec<u8> {
        let mut value = vec![FORMAT, self.away.into()];
        value.extend(self.head.to_be_bytes());
        value.extend(self.tail.to_be_bytes());
        value
    }

    fn decode(value: &[u8], slots: u64) -> Option<Header> {
        let mut reader = Reader::new(value);
        let (format, away) = (reader.u8()?, reader.u8()? != 0);
        let header = Header { head: reader.u64()?, tail: reader.u64()?, away };
        let possible = header.head <= header.tail && header.in_use() <= slots && header.tail < LAST;
        (format == FORMAT && possible && reader.is_empty()).then_some(header)
    }
}

impl Ring {
    /// The ring of what `digest_of` names, with as many slots as go into `bytes`. Two sizes are two
    /// rings.
    pub(super) fn new(digest_of: &str, bytes: usize) -> Ring {
        let slots = bytes.checked_div(SLOT_BYTES).unwrap_or_default();
        let slots = u64::try_from(slots).unwrap_or(u64::MAX).max(FEWEST_SLOTS);
        let prefix = prefix(&["audit queue", digest_of, &slots.to_string()]);
        Ring { prefix, slots }
    }

    /// How many slots it has.
    pub(super) fn slots(&self) -> u64 {
        self.slots
    }

    /// The shared key of the queue with this name.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Which numbers are in use; `None` when that can't be read.
    pub(super) fn header(&self, caps: &dyn Capabilities) -> Option<Header> {
        let value = self.header_place().read(caps).ok()?;
        if value.is_empty() { Some(Header::default()) } else { Header::decode(&value, self.slots) }
    }

    /// What the slot of this number holds, and its place.
    pub(super) fn slot(
        &self,
        seq: u64,
        caps: &dyn Capabilities,
    ) -> Result<(Place, Found), HostFailed> {
        let mut place = Place::new(self.slot_key(seq));
        let found = self.find(&mut place, seq, caps)?;
        Ok((place, found))
    }

    /// Writes a slot under the next number.
    pub(super) fn put(
        &self,
        open: &mut Open,
        caps: &dyn Capabilities,
    ) -> Result<Header, NotPlaced> {
        for _ in 0..ATTEMPTS {
            let header = self.take_number(caps)?;
            let seq = header.tail.saturating_sub(1);
            open.name(seq, self.slot_key(seq));
            if self.occupy(open, caps)? {
                open.set_placed();
                return Ok(header);
            }
        }
        Err(NotPlaced::Unavailable)
    }

    /// Writes over a slot that was sent, or whose lines are to be given up, if nobody wrote it since:
    /// it needs no memory from now on.
    pub(super) fn clear(
        &self,
        seq: u64,
        stamp: Option<u32>,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        caps.set_shared(&self.slot_key(seq), &Label::sent(seq).encode(""), stamp)
    }

    /// Moves the head over slots that are sent, and notes whether the collector is away. `None` when the
    /// header can't be read.
    pub(super) fn advance(
        &self,
        away: bool,
        caps: &dyn Capabilities,
    ) -> Result<Option<Advanced>, HostFailed> {
        let mut place = self.header_place();
        for _ in 0..ATTEMPTS {
            let Some(header) = Header::decode(&place.read(caps)?, self.slots) else {
                return Ok(None);
            };
            let (head, oldest) = self.first_unsent(header, caps)?;
            let moved = Header { head, away, ..header };
            if moved == header || place.write(&moved.encode(), caps)? == Written::Done {
                return Ok(Some(Advanced { header: moved, oldest }));
            }
        }
        Err(HostFailed)
    }

    /// Makes a header from what the slots say, in the place of one that can't be read. `None`: somebody
    /// else did.
    pub(super) fn repair(&self, caps: &dyn Capabilities) -> Result<Option<Header>, HostFailed> {
        let mut place = self.header_place();
        for _ in 0..ATTEMPTS {
            if Header::decode(&place.read(caps)?, self.slots).is_some() {
                break;
            }
            let header = self.header_by_slots(caps)?;
            if place.write(&header.encode(), caps)? == Written::Done {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Takes all lines that are not sent out of the ring, oldest slot first. Open slots are copied and
    /// left as they are: an instance that has only begun may add to one.
    pub(super) fn drain(&self, caps: &dyn Capabilities) -> Vec<Slot> {
        let mut drained = Vec::new();
        for index in 0..self.slots {
            let Ok((place, Found::Slot(slot))) = self.slot(index, caps) else { continue };
            let gone = match slot.label.state {
                State::Open => true,
                State::Closed => {
                    let sent = Label::sent(slot.label.seq).encode("");
                    // Raced: another instance sends it.
                    place.write(&sent, caps) != Ok(Written::Raced)
                }
                State::Sent => false,
            };
            if gone {
                drained.push(slot);
            }
        }
        drained.sort_by_key(|slot| slot.label.seq);
        drained
    }
}

impl Ring {
    fn header_place(&self) -> Place {
        Place::new(self.key("ring"))
    }

    fn slot_key(&self, seq: u64) -> String {
        self.key(&format!("slot/{}", self.index(seq)))
    }

    fn index(&self, seq: u64) -> u64 {
        seq.checked_rem(self.slots).unwrap_or_default()
    }

    fn find(
        &self,
        place: &mut Place,
        seq: u64,
        caps: &dyn Capabilities,
    ) -> Result<Found, HostFailed> {
        let value = place.read(caps)?;
        if value.is_empty() {
            return Ok(Found::Nothing);
        }
        let possible =
            |slot: &Slot| self.index(slot.label.seq) == self.index(seq) && slot.label.seq < LAST;
        let slot = Slot::decode(value).filter(possible);
        Ok(slot.map_or(Found::Unreadable, Found::Slot))
    }

    /// Moves the tail: the number taken is the one before it.
    fn take_number(&self, caps: &dyn Capabilities) -> Result<Header, NotPlaced> {
        let mut place = self.header_place();
        let mut absent = false;
        for _ in 0..ATTEMPTS {
            let value = place.read(caps)?;
            let header = if value.is_empty() && !absent {
                absent = true;
                Header::default()
            } else {
                Header::decode(&value, self.slots).ok_or(NotPlaced::Unavailable)?
            };
            if header.in_use() >= self.slots {
                return Err(NotPlaced::Full(header));
            }
            let taken = Header { tail: header.tail.saturating_add(1), ..header };
            if place.write(&taken.encode(), caps)? == Written::Done {
                return Ok(taken);
            }
        }
        Err(NotPlaced::Unavailable)
    }

    /// Writes a slot to the place that is taken for it: whether it is there. It is not when the place
    /// was taken away meanwhile, or held lines that nobody had sent (after the header was lost): those
    /// get the number then.
    fn occupy(&self, open: &Open, caps: &dyn Capabilities) -> Result<bool, HostFailed> {
        let seq = open.seq();
        let mut place = Place::new(self.slot_key(seq));
        for _ in 0..ATTEMPTS {
            let left = match self.find(&mut place, seq, caps)? {
                Found::Slot(slot) if slot.label.seq == seq => return Ok(false),
                Found::Slot(slot) if slot.waits() => Some(slot),
                _ => None,
            };
            let written = match &left {
                Some(slot) => place.write(&adopted(slot, seq), caps)?,
                None => place.write(open.value(), caps)?,
            };
            if written == Written::Done {
                return Ok(left.is_none());
            }
        }
        Ok(false)
    }

    /// The first number whose slot is not sent, and when its first line came.
    fn first_unsent(
        &self,
        header: Header,
        caps: &dyn Capabilities,
    ) -> Result<(u64, Option<Instant>), HostFailed> {
        for seq in header.head..header.tail {
            match self.slot(seq, caps)?.1 {
                Found::Slot(slot) if slot.label.seq > seq => {}
                Found::Slot(slot) if slot.label.seq == seq && !slot.waits() => {}
                Found::Slot(slot) if slot.label.seq == seq => {
                    return Ok((seq, Some(slot.label.opened)));
                }
                _ => return Ok((seq, None)),
            }
        }
        Ok((header.tail, None))
    }

    fn header_by_slots(&self, caps: &dyn Capabilities) -> Result<Header, HostFailed> {
        let (mut head, mut tail) = (u64::MAX, 0);
        for index in 0..self.slots {
            if let (_, Found::Slot(slot)) = self.slot(index, caps)? {
                let seq = slot.label.seq;
                tail = seq.saturating_add(1).max(tail);
                head = if slot.waits() { seq.min(head) } else { head };
            }
        }
        let head = head.min(tail).max(tail.saturating_sub(self.slots));
        Ok(Header { head, tail, away: false })
    }
}

/// A slot with lines from another round, closed under this number.
pub(super) fn adopted(slot: &Slot, seq: u64) -> Vec<u8> {
    Label { seq, state: State::Closed, ..slot.label }.encode(&slot.text)
}

impl From<HostFailed> for NotPlaced {
    fn from(HostFailed: HostFailed) -> NotPlaced {
        NotPlaced::Unavailable
    }
}

/// Each attempt that fails is one in which another instance succeeded.
const ATTEMPTS: usize = 64;
/// Fewer would not do for the open slots of a few workers.
const FEWEST_SLOTS: u64 = 4;
/// A number that no ring comes to: what has it was not written by a queue.
const LAST: u64 = 1 << 60;
/// Changes with the form of the header.
const FORMAT: u8 = 1;
