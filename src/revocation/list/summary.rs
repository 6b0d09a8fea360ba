//! What the head says of the list in force: where its entries are.

use super::bucket::Tag;
use super::record::{Mask, Secret};
use crate::base::capabilities::Capabilities;
use crate::store::bytes::{Reader, put_text};

/// Entries of the small tier with the same keys, and how many they are.
pub(super) type Section = (Mask, u32);

/// What the head says of the list in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// Keys the hashes. A list takes it over from the one before.
    pub(super) secret: Secret,
    /// Where the large tier is.
    pub(super) place: Place,
    /// How many entries the large tier has.
    pub(super) large: u32,
    /// How many there were when it was laid out.
    pub(super) laid_out_for: u32,
    /// Keys whose entries are in the large tier.
    pub(super) masks: Vec<Mask>,
    /// Which of the two values holds the small tier.
    pub(super) small_slot: u8,
    /// The small tier.
    pub(super) small: Vec<Section>,
    /// Counts the changes to buckets in force; see [`super::bucket::Bucket::changes`].
    pub(super) changes: u32,
    /// Bits of the buckets that may be left in the other slot; 0: none.
    pub(super) left_over: u8,
    /// Whether changes are being written to buckets in force: should they break off, the list is neither
    /// the old one nor the new one, and is loaded anew.
    pub(super) unfinished: bool,
    /// Whether the server can be asked for what changed.
    pub(super) deltas: bool,
    /// The list's `version`, fit for a log line; or nothing.
    pub(super) version: String,
}

/// Where the buckets of one loading are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Begins each bucket.
    pub(super) tag: Tag,
    /// Which of the two slots.
    pub(super) slot: u8,
    /// There are 2^bits buckets; 0: none at all.
    pub(super) bits: u8,
    /// The length of a bucket, as long as its entries fit.
    pub(super) room: u16,
}

impl Summary {
    /// An empty list, before the first.
    pub(super) fn empty(caps: &dyn Capabilities) -> Summary {
        Summary {
            secret: Secret::draw(caps),
            place: Place { tag: [0; 8], slot: 1, bits: 0, room: 0 },
            large: 0,
            laid_out_for: 0,
            masks: Vec::new(),
            small_slot: 1,
            small: Vec::new(),
            changes: 0,
            left_over: 0,
            unfinished: false,
            deltas: false,
            version: String::new(),
        }
    }

    /// How many entries the list has.
    pub(super) fn entries(&self) -> u64 {
        let small = self.small.iter().map(|(_, count)| u64::from(*count));
        small.fold(u64::from(self.large), u64::saturating_add)
    }

    /// Whether it has to be loaded anew: changes broke off, or its buckets hold far more than they were
    /// laid out for.
    pub(super) fn is_worn(&self) -> bool {
        let fit = u32::checked_shl(BUCKET_ENTRIES, self.place.bits.into()).unwrap_or(u32::MAX);
        let outgrown = self.large > fit.max(self.laid_out_for).saturating_mul(OUTGROWN);
        self.unfinished || outgrown && self.place.bits < MOST_BITS
    }

    /// The summary as a head's payload.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = self.secret.0.to_vec();
        payload.extend(self.place.tag);
        payload.extend([self.place.slot, self.place.bits, self.small_slot, self.left_over]);
        payload.push(u8::from(self.deltas) | u8::from(self.unfinished) << 1);
        payload.extend(self.place.room.to_be_bytes());
        payload.extend(self.large.to_be_bytes());
        payload.extend(self.laid_out_for.to_be_bytes());
        payload.extend(self.changes.to_be_bytes());
        put_text(&mut payload, &self.version);
        payload.extend(u16::try_from(self.masks.len()).unwrap_or(u16::MAX).to_be_bytes());
        payload.extend(self.masks.iter().map(|mask| mask.0));
        for (mask, count) in &self.small {
            payload.push(mask.0);
            payload.extend(count.to_be_bytes());
        }
        payload
    }

    /// Reads a head's payload.
    pub(super) fn decode(payload: &[u8]) -> Option<Summary> {
        let mut reader = Reader::new(payload);
        let secret = Secret(reader.array()?);
        let tag = reader.array()?;
        let [slot, bits, small_slot, left_over, flags] = reader.array()?;
        let sound = slot < 2 && small_slot < 2 && flags < 4;
        if !sound || [bits, left_over].iter().any(|bits| !is_bits(*bits)) {
            return None;
        }
        let room = reader.u16()?;
        let (large, laid_out_for, changes) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let version = reader.text()?.to_owned();
        let masks = usize::from(reader.u16()?);
        let masks = reader.slice(masks)?.iter().map(|mask| Mask(*mask)).collect();
        let mut small = Vec::new();
        while !reader.is_empty() {
            small.push((Mask(reader.u8()?), reader.u32()?));
        }
        Some(Summary {
            secret,
            place: Place { tag, slot, bits, room },
            large,
            laid_out_for,
            masks,
            small_slot,
            small,
            changes,
            left_over,
            unfinished: flags & 2 != 0,
            deltas: flags & 1 != 0,
            version,
        })
    }
}

/// Bits for so many entries.
pub(super) fn bits_for(entries: u64) -> u8 {
    let holds = |bits: &u8| u64::from(BUCKET_ENTRIES) << *bits >= entries;
    (LEAST_BITS..MOST_BITS).find(holds).unwrap_or(MOST_BITS)
}

fn is_bits(bits: u8) -> bool {
    bits == 0 || (LEAST_BITS..=MOST_BITS).contains(&bits)
}

/// Entries of a bucket, about.
const BUCKET_ENTRIES: u32 = 128;
pub(super) const LEAST_BITS: u8 = 10;
pub(super) const MOST_BITS: u8 = 16;
const OUTGROWN: u32 = 4;
