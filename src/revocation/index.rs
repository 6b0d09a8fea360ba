//! The list in shared data: entries spread over a fixed number of buckets by what they name most
//! selectively, so that a lookup reads one small bucket for each thing that a token says of itself.
//!
//! There are two slots of buckets. A new list goes to the slot that is not in force and is put in
//! force by the head, written last. Each bucket begins with its generation: a reader whose head
//! names another one knows that what it reads is not the list it asked for.
//!
//! Names are kept as 64-bit SipHash-2-4 keyed with the generation, which is random and known to
//! nobody outside. Two different names with one hash make an entry match a token that it does not
//! name: a good token is refused, never a revoked one let through. With a million entries of one
//! kind that happens to one name in 18 million million, and no longer than until the list changes.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::entry::{Entry, Kind};
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::time::{Instant, UnixSeconds};
use crate::store::bytes::{Reader, put_text};
use crate::store::{Feed, Generation};
use crate::token::Claims;

/// A list on its way into shared data.
#[derive(Debug)]
pub(super) struct Index {
    generation: Generation,
    counts: Counts,
    buckets: Vec<Vec<u8>>,
}

/// How many entries are found by what: by a [`Kind`], in its order, or, last, by no name at all.
type Counts = [u32; PLACES];

impl Index {
    /// An index without entries.
    pub(super) fn new(generation: Generation) -> Index {
        let buckets = vec![generation.bytes().to_vec(); BUCKETS];
        Index { generation, counts: [0; PLACES], buckets }
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: &Entry) {
        let names: Vec<(Kind, u64)> =
            entry.names().map(|(kind, name)| (kind, hash(&self.generation, kind, name))).collect();
        let (place, hash) = match names.first() {
            Some((kind, hash)) => (usize::from(kind.place()), *hash),
            None => (NAMELESS, nameless(&self.generation)),
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
        if let Some(bucket) = self.buckets.get_mut(bucket_of(hash)) {
            encode(entry, &names, bucket);
        }
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        let sum = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
        usize::try_from(sum).unwrap_or(usize::MAX)
    }

    /// Writes the buckets into the slot that is not in force, and says what the head has to.
    pub(super) fn write(
        &self,
        in_force: Option<&Summary>,
        version: String,
        feed: &Feed,
        caps: &dyn Capabilities,
    ) -> Result<Summary, HostFailed> {
        let slot = u8::from(in_force.is_some_and(|summary| summary.slot == 0));
        for (number, bucket) in self.buckets.iter().enumerate() {
            // Without a stamp: who lost the lease meanwhile is found out by the generation.
            let _ = caps.set_shared(&key(feed, slot, number), bucket, None)?;
        }
        Ok(Summary { slot, counts: self.counts, version })
    }
}

/// What the head says of the list in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    slot: u8,
    counts: Counts,
    /// The list's `version`, or nothing.
    pub(super) version: String,
}

impl Summary {
    /// The summary as a head's payload.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = vec![self.slot];
        for count in self.counts {
            payload.extend(count.to_be_bytes());
        }
        put_text(&mut payload, &self.version);
        payload
    }

    /// Reads a head's payload.
    pub(super) fn decode(payload: &[u8]) -> Option<Summary> {
        let mut reader = Reader::new(payload);
        let slot = reader.u8().filter(|slot| *slot < 2)?;
        let mut counts = [0; PLACES];
        for count in &mut counts {
            *count = reader.u32()?;
        }
        let version = reader.text()?.to_owned();
        reader.is_empty().then_some(Summary { slot, counts, version })
    }
}

/// What the list says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Found {
    /// No entry matches it.
    Nothing,
    /// An entry matches it.
    Revoked,
    /// A bucket is not of this generation, or can't be read.
    Torn,
}

/// Looks a token up in the list of this generation: once, or once for each patient whose records it
/// opens.
pub(super) fn look_up(
    claims: &Claims,
    generation: &Generation,
    summary: &Summary,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<Found, HostFailed> {
    let mut patients = claims.patients();
    let first = Token::new(claims, patients.next(), generation, caps.now());
    let mut found = look_up_one(&first, generation, summary, feed, caps)?;
    for patient in patients {
        if found == Found::Nothing {
            let other = Token::new(claims, Some(patient), generation, caps.now());
            found = look_up_one(&other, generation, summary, feed, caps)?;
        }
    }
    Ok(found)
}

fn look_up_one(
    token: &Token,
    generation: &Generation,
    summary: &Summary,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<Found, HostFailed> {
    let names = token.names.iter().copied().chain([Some(nameless(generation))]);
    for (hash, count) in names.zip(summary.counts) {
        let (Some(hash), 1..) = (hash, count) else { continue };
        let shared = caps.shared(&key(feed, summary.slot, bucket_of(hash)))?;
        let bucket =
            shared.as_ref().and_then(|shared| shared.value.strip_prefix(generation.bytes()));
        match bucket.and_then(|entries| token.is_in(entries)) {
            None => return Ok(Found::Torn),
            Some(true) => return Ok(Found::Revoked),
            Some(false) => (),
        }
    }
    Ok(Found::Nothing)
}

/// What entries are compared with.
struct Token {
    /// Hashes of what it says of itself, in the order of [`Kind::ALL`].
    names: [Option<u64>; 8],
    issued_at: UnixSeconds,
    expires: UnixSeconds,
    now: Instant,
}

impl Token {
    fn new(claims: &Claims, patient: Option<&str>, generation: &Generation, now: Instant) -> Token {
        let names =
            Kind::ALL.map(|kind| kind.of(claims, patient).map(|name| hash(generation, kind, name)));
        Token { names, issued_at: claims.issued_at, expires: claims.expires, now }
    }

    /// Whether one of a bucket's entries matches; `None` when the bucket can't be read.
    fn is_in(&self, entries: &[u8]) -> Option<bool> {
        let mut reader = Reader::new(entries);
        let mut found = false;
        while !reader.is_empty() {
            found |= self.matches(&mut reader)?;
        }
        Some(found)
    }

    /// Reads one entry to its end and compares it.
    fn matches(&self, reader: &mut Reader<'_>) -> Option<bool> {
        let marks = reader.u16().filter(|marks| *marks & !EXPIRES != 0)?;
        let mut matches = true;
        for (kind, own) in Kind::ALL.into_iter().zip(self.names) {
            if marks & kind.bit() != 0 {
                matches &= Some(reader.u64()?) == own;
            }
        }
        if marks & ISSUED_BEFORE != 0 {
            matches &= self.issued_at < UnixSeconds(reader.u64()?);
        }
        if marks & EXPIRES != 0 {
            matches &= self.is_in_force(UnixSeconds(reader.u64()?));
        }
        Some(matches)
    }

    /// An entry may be forgotten once it expires. It still stands against tokens that were to end by
    /// then: they are accepted for `clock_skew` longer, and who revokes a token names its `exp`.
    fn is_in_force(&self, expires: UnixSeconds) -> bool {
        self.now.seconds() < expires || self.expires <= expires
    }
}

/// An entry: marks of what it has, then those in order, eight bytes each.
fn encode(entry: &Entry, names: &[(Kind, u64)], bucket: &mut Vec<u8>) {
    let instants = [(ISSUED_BEFORE, entry.issued_before), (EXPIRES, entry.expires)];
    let names = names.iter().map(|(kind, hash)| (kind.bit(), *hash));
    let instants = instants.into_iter().filter_map(|(mark, instant)| Some((mark, instant?.0)));
    let (marks, values): (Vec<u16>, Vec<u64>) = names.chain(instants).unzip();
    let marks = marks.into_iter().fold(0, |all, mark| all | mark);
    bucket.extend(u16::to_be_bytes(marks));
    bucket.extend(values.into_iter().flat_map(u64::to_be_bytes));
}

fn hash(generation: &Generation, kind: Kind, name: &str) -> u64 {
    keyed(generation, kind.place(), name.as_bytes())
}

/// Where entries are that name nothing.
fn nameless(generation: &Generation) -> u64 {
    keyed(generation, u8::MAX, b"")
}

fn keyed(generation: &Generation, place: u8, name: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(generation.bytes());
    hasher.write(&[place]);
    hasher.write(name);
    hasher.finish()
}

fn bucket_of(hash: u64) -> usize {
    usize::try_from(hash & BUCKET_MASK).unwrap_or_default()
}

fn key(feed: &Feed, slot: u8, bucket: usize) -> String {
    feed.key(format_args!("{slot}/{bucket}"))
}

const BUCKETS: usize = 1024;
const BUCKET_MASK: u64 = 1023;
const PLACES: usize = 9;
const NAMELESS: usize = 8;
/// Beside [`Kind::bit`].
const ISSUED_BEFORE: u16 = 1 << 8;
const EXPIRES: u16 = 1 << 9;

#[cfg(test)]
mod tests;
