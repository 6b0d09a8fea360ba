//! Loads a full list into the slot that is not in force.

use super::bucket::room_for;
use super::context::Context;
use super::limits::Limits;
use super::page::Header;
use super::record::{Mask, Record};
use super::small::{Masks, Taken};
use super::summary::{MOST_BITS, Place, Summary, bits_for};
use super::table::{BUCKETS, Broken, PARTS, Parts, Table};
use crate::base::time::Instant;
use crate::store::{Generation, Head, Receipt};

/// A full list on its way.
#[derive(Debug)]
pub(super) struct Full {
    /// What was in force when it began.
    before: Summary,
    small: Masks,
    /// On their way from the small tier to the large one.
    taken: Vec<Taken>,
    parts: Parts,
    /// Keys of the large tier.
    masks: Vec<Mask>,
    place: Option<Place>,
    prepared: u32,
    large: u32,
    total: u64,
    more: bool,
    read: u64,
    over: u64,
    now: Instant,
}

impl Full {
    /// A list that takes the place of this one.
    pub(super) fn new(before: Summary, header: &Header, now: Instant) -> Full {
        Full {
            before,
            small: Masks::default(),
            taken: Vec::new(),
            parts: Parts::default(),
            masks: Vec::new(),
            place: None,
            prepared: 0,
            large: 0,
            total: header.total.unwrap_or_default(),
            more: true,
            read: 0,
            over: 0,
            now,
        }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, record: Record, limits: &Limits) {
        self.read = self.read.saturating_add(1);
        if record.is_over(self.now) {
            self.over = self.over.saturating_add(1);
        } else if self.masks.contains(&record.mask) {
            self.parts.push(record);
        } else if self.small.insert(&record)
            && let Some(mask) = self.small.overgrown_by(record.mask, limits)
        {
            self.masks.push(mask);
            self.taken.push(self.small.take(mask));
        }
    }

    /// Whether there is something to write before more is added.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        !self.taken.is_empty() || self.parts.len() >= limits.batch
    }

    /// Says that all was read, and how many that were.
    pub(super) fn end(&mut self, entries: u64) {
        self.more = false;
        self.total = self.total.max(entries);
    }

    /// Writes some entries to their buckets: whether all are written.
    pub(super) fn write(&mut self, context: &Context<'_>) -> Result<bool, Broken> {
        if self.parts.push_some(&mut self.taken) {
            return Ok(false);
        }
        let table = Table { feed: context.feed, place: self.place(context)? };
        let (buckets, left_over) = (table.place.buckets(), self.left_over());
        if self.prepared < buckets.max(left_over) {
            let until = self.prepared.saturating_add(BUCKETS).min(buckets.max(left_over));
            for bucket in self.prepared..until {
                match bucket < buckets {
                    true => table.prepare(bucket, context.caps)?,
                    false => table.empty(bucket, context.caps)?,
                }
            }
            self.prepared = until;
            return Ok(false);
        }
        let part = self.parts.next(0);
        let new = table.insert(&mut self.parts.take_piece(part), context.caps)?;
        self.large = self.large.saturating_add(new);
        Ok(self.parts.next(part) == PARTS)
    }

    /// Puts the list in force.
    pub(super) fn head(
        &mut self,
        receipt: &Receipt,
        version: &Header,
        context: &Context<'_>,
    ) -> Result<Head, Broken> {
        let generation = Generation::draw(context.caps);
        let place = self.place(context)?;
        let (small, value) = self.small.encode(&generation);
        let small_slot = 1_u8.saturating_sub(self.before.small_slot);
        context.write_small(small_slot, &value)?;
        let summary = Summary {
            secret: self.before.secret,
            place,
            large: self.large,
            laid_out_for: self.large,
            masks: self.masks.clone(),
            small_slot,
            small,
            changes: 0,
            left_over: self.before.place.bits,
            unfinished: false,
            deltas: version.deltas,
            version: version.version.clone().unwrap_or_default(),
        };
        Ok(receipt.head(generation, summary.encode()))
    }

    /// What an operator reads of it.
    pub(super) fn told(&self) -> String {
        let in_force = usize::try_from(self.large).unwrap_or(usize::MAX);
        let in_force = in_force.saturating_add(self.small.len());
        format!("{in_force} entries are in force, {} are over", self.over)
    }

    /// Buckets that an earlier loading left in the slot.
    fn left_over(&self) -> u32 {
        Place { bits: self.before.left_over, ..self.before.place }.buckets()
    }

    /// Where its buckets are: laid out when the first are written, by what is known then.
    fn place(&mut self, context: &Context<'_>) -> Result<Place, Broken> {
        if let Some(place) = self.place {
            return Ok(place);
        }
        let known = self.total.max(u64::try_from(self.parts.len()).unwrap_or(u64::MAX));
        let bits = match (self.masks.is_empty(), self.more && self.total == 0) {
            (true, _) => 0,
            (false, true) => MOST_BITS,
            (false, false) => bits_for(known),
        };
        // Nobody knows how many more pages there are: buckets then grow with what comes.
        let room = match self.more && self.total == 0 {
            true => 0,
            false => room_for(known >> bits, self.parts.long()),
        };
        let [tag @ .., _, _, _, _, _, _, _, _] = context.caps.random();
        let place = Place { tag, slot: 1_u8.saturating_sub(self.before.place.slot), bits, room };
        // Should this instance die meanwhile, the next one knows what to clean up.
        let left_over = self.before.left_over.max(bits);
        if left_over != self.before.left_over {
            context.amend(|summary| summary.left_over = left_over)?;
        }
        self.place = Some(place);
        Ok(place)
    }

    /// Whether the slot has buckets to clean up, or entries to take.
    pub(super) fn is_to_write(&self) -> bool {
        !self.taken.is_empty() || self.parts.len() > 0 || self.prepared < self.left_over()
    }
}
