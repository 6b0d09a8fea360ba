//! The large tier: buckets under a fixed set of keys, `slot/number`, found by the first bits of a hash.

use super::bucket::{Bucket, Inserted};
use super::record::{NEVER, Record};
use super::small::Taken;
use super::summary::{LEAST_BITS, Place};
use crate::base::capabilities::{Capabilities, HostFailed, Shared, Written};
use crate::store::Feed;

/// Why buckets can't be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The host failed.
    Host,
    /// A bucket is not of this loading: lost, or another instance writes at the same time.
    Torn,
    /// More entries than a bucket can hold name the same.
    Crowded,
}

impl From<HostFailed> for Broken {
    fn from(HostFailed: HostFailed) -> Broken {
        Broken::Host
    }
}

/// What a change did to a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// Whether it has to be written.
    write: bool,
    count: u32,
}

/// Where buckets are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'f> {
    pub(super) feed: &'f Feed,
    pub(super) place: Place,
}

impl Table<'_> {
    /// Reads the bucket of a hash.
    pub(super) fn read(
        &self,
        hash: u64,
        caps: &dyn Capabilities,
    ) -> Result<Option<Shared>, HostFailed> {
        caps.shared(&self.key(self.place.bucket_of(hash)))
    }

    /// Makes a bucket an empty one of this loading.
    pub(super) fn prepare(&self, bucket: u32, caps: &dyn Capabilities) -> Result<(), HostFailed> {
        let empty = Bucket::default().encode(&self.place.tag, self.place.room);
        caps.set_shared(&self.key(bucket), &empty, None).map(|_: Written| ())
    }

    /// Gives a bucket's memory back.
    pub(super) fn empty(&self, bucket: u32, caps: &dyn Capabilities) -> Result<(), HostFailed> {
        caps.set_shared(&self.key(bucket), b"", None).map(|_: Written| ())
    }

    /// Changes a bucket. Others may change it at the same time: `change` is asked again then. Gives the
    /// count of the change that took place.
    pub(super) fn change(
        &self,
        bucket: u32,
        mut change: impl FnMut(&mut Bucket) -> Change,
        caps: &dyn Capabilities,
    ) -> Result<u32, Broken> {
        let key = self.key(bucket);
        for _ in 0..TRIES {
            let Shared { value, stamp } = caps.shared(&key)?.ok_or(Broken::Torn)?;
            let mut bucket = Bucket::decode(&value, &self.place.tag).ok_or(Broken::Torn)?;
            let Change { write, count } = change(&mut bucket);
            if !write {
                return Ok(count);
            }
            if bucket.len() > MOST_OF_A_BUCKET {
                return Err(Broken::Crowded);
            }
            let value = bucket.encode(&self.place.tag, self.place.room);
            if caps.set_shared(&key, &value, Some(stamp))? == Written::Done {
                return Ok(count);
            }
        }
        Err(Broken::Torn)
    }

    /// Adds entries of one part to their buckets: how many are new.
    pub(super) fn insert(
        &self,
        records: &mut [Record],
        caps: &dyn Capabilities,
    ) -> Result<u32, Broken> {
        self.for_each_bucket(records, |bucket, records| {
            let insert = |bucket: &mut Bucket| {
                let mut done = Change { write: false, count: 0 };
                for record in records {
                    let inserted = bucket.insert(record);
                    done.write |= inserted != Inserted::Known;
                    let new = u32::from(inserted == Inserted::New);
                    done.count = done.count.saturating_add(new);
                }
                done
            };
            self.change(bucket, insert, caps)
        })
    }

    /// Removes entries of one part from their buckets, by the change of this number: how many went.
    pub(super) fn remove(
        &self,
        records: &mut [Record],
        changes: u32,
        caps: &dyn Capabilities,
    ) -> Result<u32, Broken> {
        self.for_each_bucket(records, |bucket, records| {
            let remove = |bucket: &mut Bucket| {
                let gone = records.iter().map(|record| bucket.remove(record));
                let count = gone.fold(0, u32::saturating_add);
                bucket.changes = if count > 0 { changes } else { bucket.changes };
                Change { write: count > 0, count }
            };
            self.change(bucket, remove, caps)
        })
    }

    /// Removes what is over from a bucket: how many went.
    pub(super) fn purge(&self, bucket: u32, caps: &dyn Capabilities) -> Result<u32, Broken> {
        let purge = |bucket: &mut Bucket| {
            let count = bucket.purge(caps.now());
            Change { write: count > 0, count }
        };
        self.change(bucket, purge, caps)
    }

    fn for_each_bucket(
        &self,
        records: &mut [Record],
        mut change: impl FnMut(u32, &[Record]) -> Result<u32, Broken>,
    ) -> Result<u32, Broken> {
        let bucket_of = |record: &Record| self.place.bucket_of(record.hash);
        records.sort_unstable_by_key(bucket_of);
        let mut sum = 0_u32;
        for records in records.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
            let Some(first) = records.first() else { continue };
            sum = sum.saturating_add(change(bucket_of(first), records)?);
        }
        Ok(sum)
    }

    fn key(&self, bucket: u32) -> String {
        self.feed.key(format_args!("{}/{bucket}", self.place.slot))
    }
}

impl Place {
    /// How many buckets there are.
    pub(super) fn buckets(&self) -> u32 {
        if self.bits == 0 { 0 } else { 1_u32.checked_shl(self.bits.into()).unwrap_or(0) }
    }

    /// The buckets whose hashes begin with the number of a part.
    pub(super) fn of_part(&self, part: usize) -> core::ops::Range<u32> {
        let each = self.buckets() >> LEAST_BITS;
        let first = u32::try_from(part).unwrap_or(u32::MAX).saturating_mul(each);
        first..first.saturating_add(each)
    }

    /// By the first bits.
    pub(super) fn bucket_of(&self, hash: u64) -> u32 {
        let rest = 64_u32.saturating_sub(self.bits.into());
        u32::try_from(hash.checked_shr(rest).unwrap_or(0)).unwrap_or(0)
    }
}

/// Entries on their way to buckets, divided by the first bits of their hashes: the entries of a part
/// go to few buckets, whatever their number.
#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<Vec<Record>>,
    count: usize,
    long: usize,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { parts: vec![Vec::new(); PARTS], count: 0, long: 0 }
    }
}

impl Parts {
    /// Adds an entry.
    pub(super) fn push(&mut self, record: Record) {
        let part = usize::try_from(record.hash >> (64_u32.saturating_sub(LEAST_BITS.into())));
        let part = part.ok().and_then(|part| self.parts.get_mut(part));
        if let Some(part) = part {
            self.long = self.long.saturating_add(usize::from(record.issued_before != NEVER));
            part.push(record);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Adds some of the entries that were taken out of the small tier: whether there are more.
    pub(super) fn push_some(&mut self, taken: &mut Vec<Taken>) -> bool {
        let Some(first) = taken.last_mut() else { return false };
        let before = self.count;
        first.take(PIECE).for_each(|record| self.push(record));
        if self.count == before {
            taken.pop();
        }
        true
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// How many in a hundred of those that were added have an `issued_before`, before any is taken out.
    pub(super) fn long(&self) -> u64 {
        let long = self.long.saturating_mul(100).checked_div(self.count).unwrap_or(0);
        u64::try_from(long).unwrap_or(100).min(100)
    }

    /// The first part from this one on that has entries; [`PARTS`]: none has.
    pub(super) fn next(&self, from: usize) -> usize {
        let parts = self.parts.iter().enumerate().skip(from);
        let mut filled = parts.filter(|(_, part)| !part.is_empty());
        filled.next().map_or(PARTS, |(number, _)| number)
    }

    /// A part's entries.
    pub(super) fn get(&self, part: usize) -> &[Record] {
        self.parts.get(part).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes a part's entries out.
    pub(super) fn take(&mut self, part: usize) -> Vec<Record> {
        self.take_some(part, usize::MAX)
    }

    /// Takes so many of a part's entries out: those with the same names are all in one, and changing
    /// a bucket takes as long as there are entries in it, for each.
    pub(super) fn take_piece(&mut self, part: usize) -> Vec<Record> {
        self.take_some(part, PIECE)
    }

    fn take_some(&mut self, part: usize, most: usize) -> Vec<Record> {
        let Some(part) = self.parts.get_mut(part) else { return Vec::new() };
        let records = part.split_off(part.len().saturating_sub(most));
        self.count = self.count.saturating_sub(records.len());
        records
    }
}

/// How many parts there are.
pub(super) const PARTS: usize = 1 << LEAST_BITS;
const TRIES: usize = 4;
/// A bucket has 128 entries, and 4 900 when a list has ten million and says that it has few.
pub(super) const MOST_OF_A_BUCKET: usize = 8192;
/// Buckets made or emptied in one step.
pub(super) const BUCKETS: u32 = 64;
/// Entries moved, written or removed in one step.
const PIECE: usize = 512;
