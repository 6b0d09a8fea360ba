//! Unpacks a list piece by piece, straight into shared data: a small list that swells to gigabytes
//! costs no more than the limit, and no piece keeps the worker for long.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use super::statuses::{self, CHUNK, Tag};
use crate::base::capabilities::Capabilities;
use crate::store::{Feed, Generation};

/// A list being unpacked.
pub(super) struct Unpacking {
    packed: Vec<u8>,
    read: usize,
    state: Box<InflateState>,
    chunk: Vec<u8>,
    filled: usize,
    chunks: u64,
    written: usize,
    most: usize,
    pub(super) generation: Generation,
    pub(super) side: u8,
    pub(super) tag: Tag,
}

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unpacked {
    /// There is more to do.
    Partly,
    /// All of it: so many bytes.
    Whole(usize),
}

impl Unpacking {
    /// Of this packed list, which may have `most` bytes unpacked, onto this side.
    pub(super) fn new(
        packed: Vec<u8>,
        tag: Tag,
        most: usize,
        generation: Generation,
        side: u8,
    ) -> Unpacking {
        Unpacking {
            packed,
            read: 0,
            state: InflateState::new_boxed(DataFormat::Zlib),
            chunk: vec![0; CHUNK],
            filled: 0,
            chunks: 0,
            written: 0,
            most,
            generation,
            side,
            tag,
        }
    }

    /// Unpacks at most one chunk, from at most [`PIECE`] bytes.
    ///
    /// # Errors
    ///
    /// Why the list can't be used, for the log.
    pub(super) fn step(
        &mut self,
        feed: &Feed,
        caps: &dyn Capabilities,
    ) -> Result<Unpacked, &'static str> {
        let rest = self.packed.get(self.read..).unwrap_or_default();
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let space = self.chunk.get_mut(self.filled..).unwrap_or_default();
        let result = inflate(&mut self.state, piece, space, MZFlush::None);
        self.read = self.read.saturating_add(result.bytes_consumed);
        self.filled = self.filled.saturating_add(result.bytes_written);
        self.written = self.written.saturating_add(result.bytes_written);
        if self.written > self.most {
            return Err("it is larger than `max_bytes`");
        }
        match result.status {
            Ok(MZStatus::StreamEnd) if self.read < self.packed.len() => {
                Err("its `lst` goes on after its end")
            }
            Ok(MZStatus::StreamEnd) => {
                self.put_down(feed, caps)?;
                Ok(Unpacked::Whole(self.written))
            }
            Ok(_) if result.bytes_consumed == 0 && result.bytes_written == 0 => Err(BROKEN),
            Ok(_) if self.filled == CHUNK => {
                self.put_down(feed, caps)?;
                Ok(Unpacked::Partly)
            }
            Ok(_) => Ok(Unpacked::Partly),
            Err(_) => Err(BROKEN),
        }
    }

    fn put_down(&mut self, feed: &Feed, caps: &dyn Capabilities) -> Result<(), &'static str> {
        let chunk = self.chunk.get(..self.filled).unwrap_or_default();
        statuses::write(chunk, self.chunks, self.side, &self.generation, feed, caps)
            .map_err(|_| "the host's shared data failed")?;
        self.chunks = self.chunks.saturating_add(1);
        self.filled = 0;
        Ok(())
    }
}

impl core::fmt::Debug for Unpacking {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "Unpacking({} of {} bytes)", self.read, self.packed.len())
    }
}

const BROKEN: &str = "its `lst` is not packed with zlib, or is cut short";
/// Bytes of the packed list that one step takes: empty blocks give nothing but time.
const PIECE: usize = 16 * 1024;
