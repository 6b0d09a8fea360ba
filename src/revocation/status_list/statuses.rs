//! The statuses of one list in shared data: unpacked, in chunks under fixed keys, so that looking one
//! up is one small read. There are two sides of chunks: a new list goes to the side that is not in
//! force and is put in force by the head, written last. Each chunk begins with its generation, so
//! that a reader knows a chunk of another list.

use core::hash::Hasher;
use core::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::time::{Instant, UnixSeconds};
use crate::store::bytes::Reader;
use crate::store::{Feed, Generation};

/// Bytes of statuses in one chunk.
pub(super) const CHUNK: usize = 4096;
const CHUNK_BYTES: u64 = 4096;

/// What the head says of the list in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// Whose list this is: places are taken by one list after another.
    pub(super) identity: Identity,
    /// `iat`
    pub(super) issued_at: UnixSeconds,
    /// From this instant on it must not be used.
    pub(super) good_until: Instant,
    /// `ttl`
    pub(super) ttl: Option<Duration>,
    /// Which side of chunks it lies in: 0 or 1.
    pub(super) side: u8,
    /// Bits of one status: 1, 2, 4 or 8.
    pub(super) bits: u8,
    /// Bytes of statuses.
    pub(super) length: u64,
    /// [`tag`] of the packed statuses.
    pub(super) tag: Tag,
}

/// Tells lists apart by issuer, URI and how they are fetched.
pub(super) type Identity = [u8; 32];

/// Tells packed statuses apart, see [`tag`].
pub(super) type Tag = [u8; 16];

impl Summary {
    /// The summary as a head's payload.
    pub(super) fn encode(&self) -> Vec<u8> {
        let ttl = self.ttl.map_or(0, |ttl| ttl.as_secs());
        let mut payload = self.identity.to_vec();
        let numbers = [self.issued_at.0, self.good_until.nanoseconds(), ttl, self.length];
        payload.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        payload.extend([self.side, self.bits]);
        payload.extend(self.tag);
        payload
    }

    /// Reads a head's payload; `None` when it is no summary.
    pub(super) fn decode(payload: &[u8]) -> Option<Summary> {
        let mut reader = Reader::new(payload);
        let identity = reader.array()?;
        let issued_at = UnixSeconds(reader.u64()?);
        let good_until = Instant::from_nanoseconds(reader.u64()?);
        let ttl = Some(Duration::from_secs(reader.u64()?)).filter(|ttl| !ttl.is_zero());
        let length = reader.u64()?;
        let side = reader.u8().filter(|side| *side < 2)?;
        let bits = reader.u8().filter(|bits| matches!(bits, 1 | 2 | 4 | 8))?;
        let tag = reader.array()?;
        let summary = Summary { identity, issued_at, good_until, ttl, side, bits, length, tag };
        reader.is_empty().then_some(summary)
    }

    /// How many tokens it has a status for.
    pub(super) fn tokens(&self) -> u64 {
        self.length.saturating_mul(8).checked_div(u64::from(self.bits)).unwrap_or_default()
    }
}

/// What a list says of a token (draft-ietf-oauth-status-list section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Found {
    /// 0, `VALID`.
    Valid,
    /// 2, `SUSPENDED`.
    Suspended,
    /// 1, `INVALID`, and every status whose meaning is not defined here.
    Revoked,
    /// The list ends before this place.
    Unlisted,
    /// The chunk is of another generation, or can't be read.
    Torn,
}

/// Looks up the status at `index`.
pub(super) fn look_up(
    index: u64,
    generation: &Generation,
    summary: &Summary,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<Found, HostFailed> {
    if index >= summary.tokens() {
        return Ok(Found::Unlisted);
    }
    let (byte, shift) = place(index, summary.bits);
    let shared = caps.shared(&key(feed, summary.side, byte / CHUNK_BYTES))?;
    let chunk = shared.as_ref().and_then(|shared| shared.value.strip_prefix(generation.bytes()));
    let within = usize::try_from(byte % CHUNK_BYTES).unwrap_or(usize::MAX);
    let Some(byte) = chunk.and_then(|chunk| chunk.get(within)) else { return Ok(Found::Torn) };
    let mask = u8::MAX >> 8_u8.saturating_sub(summary.bits);
    Ok(match byte >> shift & mask {
        0 => Found::Valid,
        2 => Found::Suspended,
        _ => Found::Revoked,
    })
}

/// Writes a chunk of statuses, at most [`CHUNK`] bytes.
pub(super) fn write(
    chunk: &[u8],
    number: u64,
    side: u8,
    generation: &Generation,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<(), HostFailed> {
    let mut value = generation.bytes().to_vec();
    value.extend(chunk);
    // Without a stamp: who lost the lease meanwhile is found out by the generation.
    caps.set_shared(&key(feed, side, number), &value, None).map(|_| ())
}

/// Tells whether two lists have the same statuses, within one generation: its key is random, so
/// nobody outside can make two lists that look alike.
pub(super) fn tag(generation: &Generation, bits: u8, packed: &[u8]) -> Tag {
    let mut hasher = SipHasher24::new_with_key(generation.bytes());
    hasher.write(&[bits]);
    hasher.write(packed);
    hasher.finish128().as_bytes()
}

/// Byte and shift of a status: places are counted from the least significant bit of each byte.
fn place(index: u64, bits: u8) -> (u64, u32) {
    let bit = u128::from(index).saturating_mul(u128::from(bits));
    let byte = u64::try_from(bit / 8).unwrap_or(u64::MAX);
    (byte, u32::try_from(bit % 8).unwrap_or_default())
}

fn key(feed: &Feed, side: u8, number: u64) -> String {
    feed.key(format_args!("{side}/{number}"))
}
