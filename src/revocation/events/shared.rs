//! What all instances share of a stream, under fixed keys. The head, small and read on
//! every tick, says how far the stream was read; the memory, what was revoked; the receipts, what the
//! next poll acknowledges. They are written in the order memory, head, receipts: what is acknowledged
//! is in force.

use super::memory::{Memory, Remembered, Revoked};
use super::poll::Receipts;
use super::settings::StreamSettings;
use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::{Instant, UnixSeconds};
use crate::store::bytes::Reader;
use crate::store::{Generation, prefix};

/// The shared keys of a stream.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// How far a stream was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Which memory is in force.
    pub(super) generation: [u8; Generation::LENGTH],
    /// When it was last asked and there was nothing left to read; 1970: never.
    pub(super) complete: Instant,
    /// When it is to be polled again.
    pub(super) next: Instant,
}

/// What became of a memory that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) generation: [u8; Generation::LENGTH],
    pub(super) remembered: Remembered,
    /// How much is revoked now.
    pub(super) entries: usize,
    /// Whether there was nothing to go on from.
    pub(super) anew: bool,
}

impl Keys {
    /// Of this stream.
    pub(super) fn new(stream: &StreamSettings) -> Keys {
        let url = stream.url.to_string();
        let parts = ["events", &stream.issuer, &stream.audience, &stream.cluster, &url];
        Keys { prefix: prefix(&parts) }
    }

    pub(super) fn lease(&self) -> String {
        format!("{}lease", self.prefix)
    }

    pub(super) fn head(&self, caps: &dyn Capabilities) -> Result<Option<Head>, HostFailed> {
        let shared = caps.shared(&format!("{}head", self.prefix))?;
        shared.map(|shared| Head::decode(&shared.value).ok_or(HostFailed)).transpose()
    }

    pub(super) fn write_head(
        &self,
        head: &Head,
        caps: &dyn Capabilities,
    ) -> Result<(), HostFailed> {
        // Whoever writes it read the stream: of two, either is right.
        let _ = caps.set_shared(&format!("{}head", self.prefix), &head.encode(), None)?;
        Ok(())
    }

    pub(super) fn memory(&self, caps: &dyn Capabilities) -> Result<Option<Memory>, HostFailed> {
        let shared = caps.shared(&self.memory_key())?;
        Ok(shared.and_then(|shared| Memory::decode(&shared.value)))
    }

    /// Adds to what is remembered. Where nothing is, tokens issued until `floor` are refused.
    pub(super) fn remember(
        &self,
        revoked: &[Revoked],
        floor: UnixSeconds,
        caps: &dyn Capabilities,
    ) -> Result<Kept, HostFailed> {
        for _ in 0..MAX_RACES {
            let shared = caps.shared(&self.memory_key())?;
            let stamp = shared.as_ref().map_or(NO_STAMP, |shared| shared.stamp);
            let known = shared.and_then(|shared| Memory::decode(&shared.value));
            let anew = known.is_none();
            let mut memory = known.unwrap_or_else(|| Memory::new(floor, caps));
            let remembered = memory.add(revoked, caps);
            let entries = memory.len();
            let kept = Kept { generation: memory.generation, remembered, entries, anew };
            if remembered == Remembered::Known && !anew {
                return Ok(kept);
            }
            match caps.set_shared(&self.memory_key(), &memory.encode(), Some(stamp))? {
                Written::Done => return Ok(kept),
                Written::Raced => (),
            }
        }
        Err(HostFailed)
    }

    pub(super) fn receipts(&self, caps: &dyn Capabilities) -> Result<Option<Vec<u8>>, HostFailed> {
        Ok(caps.shared(&self.receipts_key())?.map(|shared| shared.value))
    }

    pub(super) fn write_receipts(
        &self,
        receipts: &Receipts,
        caps: &dyn Capabilities,
    ) -> Result<(), HostFailed> {
        // Receipts that are lost are harmless: the events come again.
        let _ = caps.set_shared(&self.receipts_key(), &receipts.encode(), None)?;
        Ok(())
    }

    /// Remembers what went wrong, so that any instance can tell it: words of our own.
    pub(super) fn note(&self, problem: &str, caps: &dyn Capabilities) {
        let mut value = caps.now().nanoseconds().to_be_bytes().to_vec();
        value.extend(problem.bytes());
        // It is for reading only: whether it was written changes nothing.
        let _ = caps.set_shared(&self.problem_key(), &value, None);
    }

    /// What went wrong since the stream was last read to its end.
    pub(super) fn noted(&self, complete: Instant, caps: &dyn Capabilities) -> Option<String> {
        let shared = caps.shared(&self.problem_key()).ok()??;
        let mut reader = Reader::new(&shared.value);
        let when = Instant::from_nanoseconds(reader.u64()?);
        let problem = core::str::from_utf8(reader.rest()).ok()?;
        (complete < when).then(|| problem.to_owned())
    }

    fn problem_key(&self) -> String {
        format!("{}problem", self.prefix)
    }

    fn memory_key(&self) -> String {
        format!("{}memory", self.prefix)
    }

    fn receipts_key(&self) -> String {
        format!("{}receipts", self.prefix)
    }
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut value = self.generation.to_vec();
        value.extend(self.complete.nanoseconds().to_be_bytes());
        value.extend(self.next.nanoseconds().to_be_bytes());
        value
    }

    fn decode(value: &[u8]) -> Option<Head> {
        let mut reader = Reader::new(value);
        let generation = reader.array()?;
        let complete = Instant::from_nanoseconds(reader.u64()?);
        let next = Instant::from_nanoseconds(reader.u64()?);
        reader.is_empty().then_some(Head { generation, complete, next })
    }
}

/// Stamps count up from 1: with this one a value is written only where there is none.
const NO_STAMP: u32 = u32::MAX;

/// Each race lost is a memory that somebody else wrote.
const MAX_RACES: u8 = 8;
