//! One shared value of the large tier: a hundred or so entries whose hashes begin with the same bits.
//!
//! `tag` of the loading (8 bytes), number of the last removal (4), numbers of short and long entries (4
//! each), then short entries: 6 bytes of the hash and `expires`; then long ones: the same and
//! `issued_before`; then zeros up to the length that all buckets of the loading have.
//!
//! They all have one length because the host's allocator keeps values of one size together: values that
//! grow a little with every write leave gaps that nothing else fits, as much again as they take.

use super::record::{Holder, NEVER, Record, is_over};
use crate::base::time::Instant;
use crate::store::bytes::Reader;

/// Names one loading: begins each of its buckets, so that a reader knows what it reads.
pub(super) type Tag = [u8; 8];

/// A bucket, to be changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    /// The last change by which something was removed: who knows only earlier ones has to look
    /// whether what took its place is elsewhere.
    pub(super) changes: u32,
    short: Vec<u8>,
    long: Vec<u8>,
}

/// A bucket as it was read.
struct View<'v> {
    changes: u32,
    short: &'v [[u8; SHORT]],
    long: &'v [[u8; LONG]],
}

impl Bucket {
    /// Reads a shared value; `None` when it is no bucket of this loading.
    pub(super) fn decode(value: &[u8], tag: &Tag) -> Option<Bucket> {
        let View { changes, short, long } = View::of(value, tag)?;
        Some(Bucket {
            changes,
            short: short.as_flattened().into(),
            long: long.as_flattened().into(),
        })
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        (self.short.len() / SHORT).saturating_add(self.long.len() / LONG)
    }

    /// The bucket as a shared value, if possible of the length `room`.
    pub(super) fn encode(&self, tag: &Tag, room: u16) -> Vec<u8> {
        let length = self.short.len().saturating_add(self.long.len()).saturating_add(HEADER);
        let room = length.max(usize::from(room));
        let mut value = Vec::with_capacity(room);
        value.extend(tag);
        value.extend(self.changes.to_be_bytes());
        value.extend(u32::try_from(self.short.len() / SHORT).unwrap_or(u32::MAX).to_be_bytes());
        value.extend(u32::try_from(self.long.len() / LONG).unwrap_or(u32::MAX).to_be_bytes());
        value.extend(&self.short);
        value.extend(&self.long);
        value.resize(room, 0);
        value
    }

    /// Adds an entry: whether it is new. One that is there already stays until the later `expires`.
    pub(super) fn insert(&mut self, record: &Record) -> Inserted {
        if record.issued_before == NEVER {
            let mut entry = [0; SHORT];
            write(&mut entry, &[&low(record.hash), &record.expires.to_be_bytes()]);
            insert::<SHORT>(&mut self.short, entry, |other| other.starts_with(&low(record.hash)))
        } else {
            let own = (low(record.hash), record.issued_before.to_be_bytes());
            let mut entry = [0; LONG];
            write(&mut entry, &[&own.0, &record.expires.to_be_bytes(), &own.1]);
            insert::<LONG>(&mut self.long, entry, |other| {
                other.starts_with(&own.0) && other.ends_with(&own.1)
            })
        }
    }

    /// Removes an entry, whatever its `expires`: how many there were.
    pub(super) fn remove(&mut self, record: &Record) -> u32 {
        let own = low(record.hash);
        if record.issued_before == NEVER {
            retain::<SHORT>(&mut self.short, |entry| !entry.starts_with(&own))
        } else {
            let issued_before = record.issued_before.to_be_bytes();
            retain::<LONG>(&mut self.long, |entry| {
                !(entry.starts_with(&own) && entry.ends_with(&issued_before))
            })
        }
    }

    /// Removes what is over: how many that were.
    pub(super) fn purge(&mut self, now: Instant) -> u32 {
        let short = retain::<SHORT>(&mut self.short, |entry| !is_over(expires(entry), now));
        let long = retain::<LONG>(&mut self.long, |entry| !is_over(expires(entry), now));
        short.saturating_add(long)
    }
}

/// What became of an entry that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It was not there before.
    New,
    /// It was there and stays longer now.
    Extended,
    /// It was there.
    Known,
}

/// What a bucket says of a token whose entries have this hash: whether it is revoked, and the last
/// removal there was; `None` when it is no bucket of this loading.
pub(super) fn search(
    value: &[u8],
    tag: &Tag,
    hash: u64,
    holder: &Holder<'_>,
) -> Option<(bool, u32)> {
    let View { changes, short, long } = View::of(value, tag)?;
    let own = low(hash);
    let short = short.iter().filter(|entry| entry.starts_with(&own));
    let mut found = short.map(|entry| (NEVER, expires(entry))).chain(
        long.iter()
            .filter(|entry| entry.starts_with(&own))
            .map(|entry| (issued_before(entry), expires(entry))),
    );
    let revoked = found.any(|(issued_before, expires)| holder.is_revoked(issued_before, expires));
    Some((revoked, changes))
}

impl<'v> View<'v> {
    fn of(value: &'v [u8], tag: &Tag) -> Option<View<'v>> {
        let mut reader = Reader::new(value.strip_prefix(tag)?);
        let changes = reader.u32()?;
        let shorts = usize::try_from(reader.u32()?).ok()?;
        let longs = usize::try_from(reader.u32()?).ok()?;
        let (short, _) = reader.slice(shorts.checked_mul(SHORT)?)?.as_chunks();
        let (long, _) = reader.slice(longs.checked_mul(LONG)?)?.as_chunks();
        let padded = reader.rest().iter().all(|byte| *byte == 0);
        padded.then_some(View { changes, short, long })
    }
}

/// The length of buckets that hold so many entries on average, of which so many in a hundred are long:
/// room for two standard deviations more.
pub(super) fn room_for(entries: u64, long: u64) -> u16 {
    let width = 1_000_u64.saturating_add(long.saturating_mul(4)); // hundredths of a byte
    let most = entries.saturating_add(entries.isqrt().saturating_mul(2)).saturating_add(1);
    let length = most.saturating_mul(width).div_ceil(100).saturating_add(HEADER as u64);
    u16::try_from(length.next_multiple_of(STEP)).unwrap_or(0)
}

fn insert<const N: usize>(
    entries: &mut Vec<u8>,
    entry: [u8; N],
    is_same: impl Fn(&[u8; N]) -> bool,
) -> Inserted {
    match entries.as_chunks_mut::<N>().0.iter_mut().find(|other| is_same(other)) {
        Some(known) if expires(known.as_slice()) < expires(&entry) => {
            *known = entry;
            Inserted::Extended
        }
        Some(_) => Inserted::Known,
        None => {
            entries.extend(entry);
            Inserted::New
        }
    }
}

/// Keeps what is to be kept, in its order: how many went.
fn retain<const N: usize>(entries: &mut Vec<u8>, keep: impl Fn(&[u8; N]) -> bool) -> u32 {
    let (all, _) = entries.as_chunks::<N>();
    if all.iter().all(&keep) {
        return 0;
    }
    let kept: Vec<u8> = all.iter().filter(|entry| keep(entry)).flatten().copied().collect();
    let gone = all.len().saturating_sub(kept.as_chunks::<N>().0.len());
    *entries = kept;
    u32::try_from(gone).unwrap_or(u32::MAX)
}

/// The low 48 bits: the high ones chose the bucket.
fn low(hash: u64) -> [u8; 6] {
    let [_, _, low @ ..] = hash.to_be_bytes();
    low
}

fn expires(entry: &[u8]) -> u32 {
    entry.get(6..10).and_then(|bytes| bytes.try_into().ok()).map_or(NEVER, u32::from_be_bytes)
}

fn issued_before(entry: &[u8; LONG]) -> u32 {
    entry.last_chunk().copied().map_or(NEVER, u32::from_be_bytes)
}

/// Puts fields one after another.
fn write(entry: &mut [u8], fields: &[&[u8]]) {
    let bytes = fields.iter().copied().flatten();
    entry.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
}

const STEP: u64 = 64;
const HEADER: usize = 20;
const SHORT: usize = 10;
const LONG: usize = 14;
