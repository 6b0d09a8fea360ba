//! What is left to do when a list is in force: the buckets of the one before give their memory back, and
//! a share of those in force is rid of entries that are over.

use core::time::Duration;

use super::InForce;
use super::context::Context;
use super::summary::Place;
use super::table::{BUCKETS, Broken, PARTS, Table};
use crate::store::Receipt;

/// What is left to do.
#[derive(Debug)]
pub(super) struct Chores {
    /// The lease is kept until all is done.
    pub(super) receipt: Receipt,
    empty: Option<(Place, u32)>,
    sweep: Vec<(Place, usize)>,
    purged: u32,
}

impl Chores {
    /// What there is to do for this list.
    pub(super) fn of(
        list: Option<&InForce>,
        receipt: Receipt,
        every: Duration,
        context: &Context<'_>,
    ) -> Chores {
        let mut chores = Chores { receipt, empty: None, sweep: Vec::new(), purged: 0 };
        let Some(InForce { summary, .. }) = list else { return chores };
        let place = summary.place;
        if summary.left_over > 0 {
            let other = 1_u8.saturating_sub(place.slot);
            chores.empty = Some((Place { slot: other, bits: summary.left_over, ..place }, 0));
        }
        if place.bits > 0 {
            // By the clock, so that whoever has the lease goes on where the last one stopped.
            let round = context.caps.now().seconds().0.checked_div(every.as_secs()).unwrap_or(0);
            let round = usize::try_from(round % (1 << 16)).unwrap_or_default();
            let first = round.saturating_mul(SHARE);
            chores.sweep =
                (first..first.saturating_add(SHARE)).map(|part| (place, part % PARTS)).collect();
        }
        chores
    }

    /// Does one step: whether all is done.
    pub(super) fn step(&mut self, context: &Context<'_>) -> Result<bool, Broken> {
        if let Some((place, from)) = self.empty {
            self.empty = empty(place, from, context)?;
        } else if let Some((place, part)) = self.sweep.pop() {
            let table = Table { feed: context.feed, place };
            for bucket in place.of_part(part) {
                let gone = table.purge(bucket, context.caps)?;
                self.purged = self.purged.saturating_add(gone);
            }
        } else if self.purged > 0 {
            let purged = core::mem::take(&mut self.purged);
            context.amend(|summary| summary.large = summary.large.saturating_sub(purged))?;
        }
        Ok(self.are_done())
    }

    /// Whether there is nothing left to do.
    pub(super) fn are_done(&self) -> bool {
        self.empty.is_none() && self.sweep.is_empty() && self.purged == 0
    }
}

/// Empties some buckets: where to go on.
fn empty(place: Place, from: u32, context: &Context<'_>) -> Result<Option<(Place, u32)>, Broken> {
    let table = Table { feed: context.feed, place };
    let until = from.saturating_add(BUCKETS).min(place.buckets());
    for bucket in from..until {
        table.empty(bucket, context.caps)?;
    }
    if until < place.buckets() {
        return Ok(Some((place, until)));
    }
    context.amend(|summary| summary.left_over = 0)?;
    Ok(None)
}

/// Parts of the table that are swept after one fetch: all of it in 256 fetches.
const SHARE: usize = 4;
