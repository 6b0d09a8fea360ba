//! The small tier: entries of which there are few with the same keys, in one shared value that every
//! instance holds a copy of. They are sorted by hash, keys by keys, 16 bytes each: looked up as they
//! are, without parsing.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;

use super::limits::Limits;
use super::record::{Holder, Mask, Record};
use super::summary::Section;
use crate::base::time::Instant;
use crate::store::Generation;

/// The tier as every instance holds it.
#[derive(Debug, Clone)]
pub(super) struct Small(Vec<u8>);

impl Small {
    /// Reads the shared value; `None` when it is not the one of this generation, or not whole.
    pub(super) fn decode(
        value: Vec<u8>,
        generation: &Generation,
        sections: &[Section],
    ) -> Option<Small> {
        let entries = value.strip_prefix(generation.bytes())?;
        let count =
            sections.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add((*count).into()));
        let whole = u64::try_from(entries.len()).ok()? == count.checked_mul(LENGTH)?;
        whole.then_some(Small(value))
    }

    /// Whether an entry with this hash among those of one section revokes the token.
    pub(super) fn revokes(&self, section: &[[u8; SIZE]], hash: u64, holder: &Holder<'_>) -> bool {
        let from = section.partition_point(|entry| hash_of(entry) < hash);
        let mut same = section.iter().skip(from).take_while(|entry| hash_of(entry) == hash);
        same.any(|entry| {
            let (issued_before, expires) = instants(entry);
            holder.is_revoked(issued_before, expires)
        })
    }

    /// The sections, one for each mask in the summary's order.
    pub(super) fn sections<'s>(
        &'s self,
        sections: &'s [Section],
    ) -> impl Iterator<Item = (Mask, &'s [[u8; SIZE]])> {
        let entries = self.0.get(Generation::LENGTH..).unwrap_or_default();
        let mut rest = entries.as_chunks::<SIZE>().0;
        sections.iter().map(move |(mask, count)| {
            let count = usize::try_from(*count).unwrap_or(usize::MAX).min(rest.len());
            let (section, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = after;
            (*mask, section)
        })
    }
}

/// The tier as the instance changes it that loads a list.
#[derive(Debug, Default)]
pub(super) struct Masks {
    masks: BTreeMap<Mask, BTreeMap<(u64, u32), u32>>,
    count: usize,
}

impl Masks {
    /// Takes over one section, without what is over.
    pub(super) fn adopt(&mut self, mask: Mask, section: &[[u8; SIZE]], now: Instant) {
        let records = section.iter().map(|entry| {
            let (issued_before, expires) = instants(entry);
            Record { hash: hash_of(entry), issued_before, expires, mask }
        });
        for record in records.filter(|record| !record.is_over(now)) {
            self.insert(&record);
        }
    }

    /// Adds an entry: whether it is new. One that is there already stays until the later `expires`.
    pub(super) fn insert(&mut self, record: &Record) -> bool {
        let own = self.masks.entry(record.mask).or_default();
        match own.get_mut(&(record.hash, record.issued_before)) {
            Some(expires) => {
                *expires = record.expires.max(*expires);
                false
            }
            None => {
                own.insert((record.hash, record.issued_before), record.expires);
                self.count = self.count.saturating_add(1);
                true
            }
        }
    }

    /// Removes an entry, whatever its `expires`: whether it was there.
    pub(super) fn remove(&mut self, record: &Record) -> bool {
        let own = self.masks.get_mut(&record.mask);
        let found =
            own.is_some_and(|own| own.remove(&(record.hash, record.issued_before)).is_some());
        self.count = self.count.saturating_sub(usize::from(found));
        found
    }

    /// Keys that have outgrown the tier since an entry with `mask` was added: these, or those with the
    /// most entries when the whole tier has too many.
    pub(super) fn overgrown_by(&self, mask: Mask, limits: &Limits) -> Option<Mask> {
        if self.masks.get(&mask).is_some_and(|own| own.len() > limits.of_a_mask) {
            return Some(mask);
        }
        let largest = || self.masks.iter().max_by_key(|(_, own)| own.len()).map(|(mask, _)| *mask);
        if self.count > limits.small { largest() } else { None }
    }

    /// Takes all entries with these keys out.
    pub(super) fn take(&mut self, mask: Mask) -> Taken {
        let own = self.masks.remove(&mask).unwrap_or_default();
        self.count = self.count.saturating_sub(own.len());
        Taken { mask, own: own.into_iter() }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The shared value of this generation, and its sections.
    pub(super) fn encode(&self, generation: &Generation) -> (Vec<Section>, Vec<u8>) {
        let mut value = Vec::with_capacity(self.count.saturating_mul(SIZE).saturating_add(16));
        value.extend(generation.bytes());
        let mut sections = Vec::new();
        for (mask, own) in self.masks.iter().filter(|(_, own)| !own.is_empty()) {
            sections.push((*mask, u32::try_from(own.len()).unwrap_or(u32::MAX)));
            for ((hash, issued_before), expires) in own {
                value.extend(hash.to_be_bytes());
                value.extend(issued_before.to_be_bytes());
                value.extend(expires.to_be_bytes());
            }
        }
        (sections, value)
    }
}

/// Entries that were taken out of the tier. There are many: who needs them takes some at a time.
#[derive(Debug)]
pub(super) struct Taken {
    mask: Mask,
    own: IntoIter<(u64, u32), u32>,
}

impl Iterator for Taken {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let ((hash, issued_before), expires) = self.own.next()?;
        Some(Record { hash, issued_before, expires, mask: self.mask })
    }
}

fn hash_of(entry: &[u8; SIZE]) -> u64 {
    entry.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// `issued_before` and `expires`.
fn instants(entry: &[u8; SIZE]) -> (u32, u32) {
    let second = |from: usize| {
        let bytes = entry.get(from..from.saturating_add(4)).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(u32::MAX, u32::from_be_bytes)
    };
    (second(8), second(12))
}

pub(super) const SIZE: usize = 16;
const LENGTH: u64 = 16;
