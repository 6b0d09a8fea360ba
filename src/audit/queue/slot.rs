//! One slot of the ring: lines of one instance under one number, as one shared value.

use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::InstanceId;
use crate::store::bytes::Reader;
use crate::store::place::Place;

use super::ring::Header;

/// Most bytes of a slot with several lines; a longer line has one to itself.
pub(super) const SLOT_BYTES: usize = 16 * 1024;

/// What may still become of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its owner adds lines.
    Open,
    /// Its lines wait to be sent, or are under way.
    Closed,
    /// It holds no lines: they were sent, or there were none.
    Sent,
}

/// What stands before the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    /// Its number, counted through all rounds of the ring.
    pub(super) seq: u64,
    pub(super) state: State,
    /// Whose lines they are.
    pub(super) owner: [u8; 16],
    /// When the first line came.
    pub(super) opened: Instant,
}

impl Label {
    /// The label of a slot without lines.
    pub(super) fn sent(seq: u64) -> Label {
        Label { seq, state: State::Sent, owner: [0; 16], opened: Instant::default() }
    }

    /// The shared value: the label, then the lines, each ended by `\n`.
    pub(super) fn encode(&self, text: &str) -> Vec<u8> {
        let mut value = Vec::with_capacity(LABEL.saturating_add(text.len()));
        value.extend([FORMAT, self.state.code()]);
        value.extend(self.seq.to_be_bytes());
        value.extend(self.owner);
        value.extend(self.opened.nanoseconds().to_be_bytes());
        value.extend(text.as_bytes());
        value
    }
}

/// A slot as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) label: Label,
    /// Its lines, each ended by `\n`.
    pub(super) text: String,
}

impl Slot {
    /// Reads a shared value; `None` when it is no slot.
    pub(super) fn decode(mut value: Vec<u8>) -> Option<Slot> {
        let mut reader = Reader::new(&value);
        let (format, state) = (reader.u8()?, State::of(reader.u8()?)?);
        let label = Label {
            seq: reader.u64()?,
            state,
            owner: reader.array()?,
            opened: Instant::from_nanoseconds(reader.u64()?),
        };
        let text = String::from_utf8(value.split_off(LABEL)).ok()?;
        (format == FORMAT).then_some(Slot { label, text })
    }

    /// Whether it holds lines that are not sent.
    pub(super) fn waits(&self) -> bool {
        self.label.state != State::Sent && !self.text.is_empty()
    }
}

impl State {
    const fn code(self) -> u8 {
        match self {
            State::Open => b'o',
            State::Closed => b'c',
            State::Sent => b's',
        }
    }

    fn of(code: u8) -> Option<State> {
        [State::Open, State::Closed, State::Sent].into_iter().find(|state| state.code() == code)
    }
}

/// The slot that this instance adds lines to: the shared value, kept to be written whole each time.
#[derive(Debug)]
pub(super) struct Open {
    label: Label,
    key: String,
    /// Whether it was written there: before, the key is another's.
    placed: bool,
    value: Vec<u8>,
    /// When it was last written, as known before that write.
    written: Instant,
}

impl Open {
    /// A slot with one line, not written anywhere yet. `buffer` is memory to use again.
    pub(super) fn with(line: &str, owner: &InstanceId, now: Instant, buffer: Vec<u8>) -> Open {
        let label = Label { seq: 0, state: State::Open, owner: *owner.bytes(), opened: now };
        let mut value = buffer;
        value.clear();
        value.extend(label.encode(""));
        push_line(&mut value, line);
        Open { label, key: String::new(), placed: false, value, written: now }
    }

    /// Gives it a number and a key; its value is ready to be written there.
    pub(super) fn name(&mut self, seq: u64, key: String) {
        self.key = key;
        self.placed = false;
        self.relabel(Label { seq, ..self.label });
    }

    /// Says that its value was written.
    pub(super) fn set_placed(&mut self) {
        self.placed = true;
    }

    /// Whether it was written under its number.
    pub(super) fn is_placed(&self) -> bool {
        self.placed
    }

    /// Whether it was written under a number that is in use.
    pub(super) fn is_within(&self, header: Header) -> bool {
        self.placed && header.has(self.label.seq)
    }

    /// Whether somebody took it away, with all lines that were written.
    pub(super) fn was_taken(&self, caps: &dyn Capabilities) -> Result<bool, HostFailed> {
        let value = Place::new(self.key.clone()).read(caps)?;
        Ok(self.placed && !self.is_here(value))
    }

    /// Its number.
    pub(super) fn seq(&self) -> u64 {
        self.label.seq
    }

    /// The shared value.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Its lines, each ended by `\n`.
    pub(super) fn text(&self) -> &str {
        let text = self.value.get(LABEL..).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }

    /// When its first line came.
    pub(super) fn opened(&self) -> Instant {
        self.label.opened
    }

    /// Whether there is room for a line.
    pub(super) fn fits(&self, line: &str) -> bool {
        self.value.len().saturating_add(line.len()) < SLOT_BYTES
    }

    /// Adds a line. [`Written::Raced`]: the slot was taken away, with the lines before this one.
    pub(super) fn append(
        &mut self,
        line: &str,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        let before = self.value.len();
        push_line(&mut self.value, line);
        let written = self.write(now, caps);
        if written != Ok(Written::Done) {
            self.value.truncate(before);
        }
        written
    }

    /// Says that no more lines come. [`Written::Raced`]: somebody did so before.
    pub(super) fn close(
        &mut self,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        self.relabel(Label { state: State::Closed, ..self.label });
        let written = self.write(now, caps);
        self.relabel(Label { state: State::Open, ..self.label });
        written
    }

    /// Shows the sender that its owner lives, by writing it again.
    pub(super) fn touch(
        &mut self,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        if now >= self.written && now.since(self.written) < TOUCH {
            return Ok(Written::Done);
        }
        self.write(now, caps)
    }

    /// Its memory, to be used again.
    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        self.value.clear();
        self.value.shrink_to(SLOT_BYTES);
        self.value
    }

    /// Writes the slot. The host doesn't tell the stamp of what was written, and reading it costs more
    /// than the write: so nothing is compared while the last write is so recent that nobody can have
    /// taken the owner for dead ([`FRESH`] is far less than [`super::sender::SILENT`]).
    fn write(&mut self, now: Instant, caps: &dyn Capabilities) -> Result<Written, HostFailed> {
        if !self.placed {
            return Err(HostFailed);
        }
        let fresh = now >= self.written && now.since(self.written) < FRESH;
        let written = if fresh {
            caps.set_shared(&self.key, &self.value, None)?
        } else {
            self.write_if_mine(caps)?
        };
        if written == Written::Done {
            self.written = now;
        }
        Ok(written)
    }

    /// Writes the slot unless it was taken away. What can't be read is put right.
    fn write_if_mine(&self, caps: &dyn Capabilities) -> Result<Written, HostFailed> {
        let mut place = Place::new(self.key.clone());
        for _ in 0..ATTEMPTS {
            if !self.is_here(place.read(caps)?) {
                return Ok(Written::Raced);
            }
            if place.write(&self.value, caps)? == Written::Done {
                return Ok(Written::Done);
            }
        }
        Err(HostFailed)
    }

    /// Whether this value is the open slot, or can't be read.
    fn is_here(&self, value: Vec<u8>) -> bool {
        let mine = Label { state: State::Open, ..self.label };
        Slot::decode(value).is_none_or(|slot| slot.label == mine)
    }

    fn relabel(&mut self, label: Label) {
        self.label = label;
        for (byte, new) in self.value.iter_mut().zip(label.encode("")) {
            *byte = new;
        }
    }
}

fn push_line(value: &mut Vec<u8>, line: &str) {
    value.extend(line.as_bytes());
    value.push(b'\n');
}

/// Bytes before the lines.
pub(super) const LABEL: usize = 34;
/// Changes with the form of a slot.
const FORMAT: u8 = 1;
/// How long after a write nobody can have taken the owner for dead.
pub(super) const FRESH: Duration = Duration::from_secs(2);
/// From one sign of life to the next, while no lines come.
const TOUCH: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 8;
