//! Applies what changed to the list in force, in place.
//!
//! Everything is read before anything is written. Then what was added is written, a head is put in force
//! that knows it, and only then what was removed is taken out: nobody sees a removal before what came with
//! it. The head names the new version last. It says before the first write that one is under way: what
//! breaks off is followed by a full list.

use super::InForce;
use super::bucket::Tag;
use super::context::Context;
use super::limits::Limits;
use super::page::{Header, Page};
use super::record::{Mask, Record};
use super::small::{Masks, Taken};
use super::summary::{Place, Summary, bits_for};
use super::table::{BUCKETS, Broken, MOST_OF_A_BUCKET, PARTS, Parts, Table};
use crate::base::set_of;
use crate::store::{Generation, Head, Receipt};

/// Changes on their way.
#[derive(Debug)]
pub(super) struct Delta {
    list: InForce,
    generation: Generation,
    added: Parts,
    removed: Parts,
    /// Entries on their way from the small tier to the large one.
    moved: Parts,
    taken: Vec<Taken>,
    small: Masks,
    /// Whether the buckets have to be made first.
    unprepared: u32,
    told: (usize, usize),
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Takes over this section of the small tier.
    Adopt(usize),
    /// Decides on this part: what was added stays, even if it was removed too.
    Settle(usize),
    /// Makes the buckets from this one on.
    Prepare(u32),
    /// Adds this part to its buckets.
    Insert(usize),
    /// Puts in force what was added.
    Put,
    /// Removes this part from its buckets.
    Remove(usize),
    /// All is written.
    Done,
}

impl Delta {
    /// Changes of this list.
    pub(super) fn new(list: InForce, context: &Context<'_>) -> Delta {
        Delta {
            list,
            generation: Generation::draw(context.caps),
            added: Parts::default(),
            removed: Parts::default(),
            moved: Parts::default(),
            taken: Vec::new(),
            small: Masks::default(),
            unprepared: 0,
            told: (0, 0),
            step: Step::Adopt(0),
        }
    }

    /// Adds what one page says was added.
    pub(super) fn add(&mut self, record: Record) {
        self.told.0 = self.told.0.saturating_add(1);
        self.added.push(record);
    }

    /// Adds what one page says was removed.
    pub(super) fn remove(&mut self, record: Record) {
        self.told.1 = self.told.1.saturating_add(1);
        self.removed.push(record);
    }

    /// How many changes there are.
    pub(super) fn len(&self) -> usize {
        self.told.0.saturating_add(self.told.1)
    }

    /// How many entries there will be, about, after this page.
    pub(super) fn entries_after(&self, page: &Page) -> u64 {
        let sum =
            |one: usize, other: usize| u64::try_from(one.saturating_add(other)).unwrap_or(u64::MAX);
        let entries = self.list.summary.entries();
        let more = entries.saturating_add(sum(self.told.0, page.entries.len()));
        more.saturating_sub(sum(self.told.1, page.removed.len()))
    }

    /// Does one step: whether all is written.
    pub(super) fn write(&mut self, limits: &Limits, context: &Context<'_>) -> Result<bool, Broken> {
        self.step = match self.step {
            Step::Adopt(_) if self.len() == 0 => Step::Done,
            Step::Adopt(section) => self.adopt(section, context)?,
            Step::Settle(part) => self.settle(part, limits, context)?,
            Step::Prepare(bucket) => self.prepare(bucket, context)?,
            Step::Insert(part) => self.insert(part, context)?,
            Step::Put => self.put(context)?,
            Step::Remove(part) => self.take_out(part, context)?,
            Step::Done => Step::Done,
        };
        Ok(matches!(self.step, Step::Done))
    }

    fn adopt(&mut self, number: usize, context: &Context<'_>) -> Result<Step, Broken> {
        let InForce { summary, small, .. } = &self.list;
        let small = small.as_ref().ok_or(Broken::Torn)?;
        let Some((mask, section)) = small.sections(&summary.small).nth(number) else {
            return Ok(Step::Settle(self.busy_part(0)));
        };
        self.small.adopt(mask, section, context.caps.now());
        Ok(Step::Adopt(number.saturating_add(1)))
    }

    fn settle(
        &mut self,
        part: usize,
        limits: &Limits,
        context: &Context<'_>,
    ) -> Result<Step, Broken> {
        if self.moved.push_some(&mut self.taken) {
            return Ok(Step::Settle(part));
        }
        if part == PARTS {
            return self.laid_out(context);
        }
        let (added, now) = (self.added.get(part).to_vec(), context.caps.now());
        if added.len().max(self.removed.get(part).len()) > MOST_OF_A_BUCKET {
            return Err(Broken::Crowded);
        }
        let stays = set_of(added.iter().map(Record::own));
        for record in self.removed.take(part) {
            if !stays.contains(&record.own()) {
                self.small.remove(&record);
                self.removed.push(record);
            }
        }
        for record in added.iter().filter(|record| !record.is_over(now)) {
            if !self.list.summary.masks.contains(&record.mask)
                && self.small.insert(record)
                && let Some(mask) = self.small.overgrown_by(record.mask, limits)
            {
                self.list.summary.masks.push(mask);
                self.taken.push(self.small.take(mask));
            }
        }
        Ok(Step::Settle(self.busy_part(part.saturating_add(1))))
    }

    /// Gives the list a large tier if it needs its first.
    fn laid_out(&mut self, context: &Context<'_>) -> Result<Step, Broken> {
        let summary = &mut self.list.summary;
        if summary.place.bits == 0 && !summary.masks.is_empty() {
            let expected = self.moved.len().saturating_add(self.added.len()).saturating_mul(4);
            let bits = bits_for(u64::try_from(expected).unwrap_or(u64::MAX));
            let [tag @ .., _, _, _, _, _, _, _, _] = context.caps.random();
            let tag: Tag = tag;
            summary.place = Place { tag, slot: summary.place.slot, bits, room: 0 };
            summary.laid_out_for = u32::try_from(expected).unwrap_or(u32::MAX);
            self.unprepared = summary.place.buckets();
        }
        if summary.place.bits == 0 {
            return Ok(Step::Put);
        }
        context.amend(|summary| summary.unfinished = true)?;
        Ok(Step::Prepare(0))
    }

    fn prepare(&mut self, from: u32, context: &Context<'_>) -> Result<Step, Broken> {
        let until = from.saturating_add(BUCKETS).min(self.unprepared);
        for bucket in from..until {
            self.table(context).prepare(bucket, context.caps)?;
        }
        Ok(if until < self.unprepared { Step::Prepare(until) } else { Step::Insert(0) })
    }

    fn insert(&mut self, from: usize, context: &Context<'_>) -> Result<Step, Broken> {
        let part = self.added.next(from).min(self.moved.next(from));
        if part == PARTS {
            return Ok(Step::Put);
        }
        let now = context.caps.now();
        let masks: &[Mask] = &self.list.summary.masks;
        let mut records = self.added.take_piece(part);
        records.retain(|record| masks.contains(&record.mask) && !record.is_over(now));
        records.extend(self.moved.take_piece(part));
        let new = self.table(context).insert(&mut records, context.caps)?;
        self.list.summary.large = self.list.summary.large.saturating_add(new);
        Ok(Step::Insert(part))
    }

    /// The head in force knows what was added, under the version that it has.
    fn put(&mut self, context: &Context<'_>) -> Result<Step, Broken> {
        let summary = &mut self.list.summary;
        let (sections, value) = self.small.encode(&self.generation);
        summary.small_slot = 1_u8.saturating_sub(summary.small_slot);
        summary.small = sections;
        summary.changes = summary.changes.wrapping_add(1);
        summary.unfinished = summary.place.bits > 0;
        context.write_small(summary.small_slot, &value)?;
        if summary.place.bits == 0 || self.removed.len() == 0 {
            return Ok(Step::Done);
        }
        let head = Head {
            generation: self.generation,
            payload: summary.encode(),
            ..self.list.head.clone()
        };
        context.put(&head)?;
        Ok(Step::Remove(0))
    }

    fn take_out(&mut self, from: usize, context: &Context<'_>) -> Result<Step, Broken> {
        let part = self.removed.next(from);
        if part == PARTS {
            return Ok(Step::Done);
        }
        let mut records = self.removed.take_piece(part);
        records.retain(|record| self.list.summary.masks.contains(&record.mask));
        let changes = self.list.summary.changes;
        let gone = self.table(context).remove(&mut records, changes, context.caps)?;
        self.list.summary.large = self.list.summary.large.saturating_sub(gone);
        Ok(Step::Remove(part))
    }

    /// What puts all of it in force.
    pub(super) fn head(&self, receipt: &Receipt, header: &Header) -> Head {
        let generation = if self.len() == 0 { self.list.head.generation } else { self.generation };
        let version = header.version.clone().unwrap_or_default();
        let summary = Summary { version, unfinished: false, ..self.list.summary.clone() };
        receipt.head(generation, summary.encode())
    }

    /// What an operator reads of it; nothing when nothing changed.
    pub(super) fn told(&self) -> Option<String> {
        let (added, removed) = self.told;
        let InForce { summary, .. } = &self.list;
        (self.len() > 0).then(|| {
            let (before, in_force) = (&summary.version, summary.entries());
            format!(
                "{in_force} entries are in force, {added} added and {removed} removed since `{before}`"
            )
        })
    }

    fn table<'f>(&self, context: &Context<'f>) -> Table<'f> {
        Table { feed: context.feed, place: self.list.summary.place }
    }

    fn busy_part(&self, from: usize) -> usize {
        self.added.next(from).min(self.removed.next(from))
    }
}
