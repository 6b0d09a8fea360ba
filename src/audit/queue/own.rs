//! The slot that this instance adds lines to.

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::InstanceId;

use super::ring::{Header, NotPlaced};
use super::slot::Open;
use super::{Queue, Stored};

impl Queue {
    /// Adds a line to the open slot; `None` when it needs another one.
    pub(super) fn add(
        &mut self,
        line: &str,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Option<Stored> {
        let open = self.open.as_mut().filter(|open| open.is_placed() && open.fits(line))?;
        match open.append(line, now, caps) {
            Ok(Written::Done) => Some(Stored::Done),
            Ok(Written::Raced) => {
                self.let_go();
                None
            }
            Err(HostFailed) => Some(Stored::Unavailable),
        }
    }

    /// Closes the open slot and begins another with this line.
    pub(super) fn start(
        &mut self,
        line: &str,
        instance: &InstanceId,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Stored {
        let mut begin = || {
            self.close(now, caps)?;
            let buffer = core::mem::take(&mut self.spare);
            let mut open = Open::with(line, instance, now, buffer);
            let placed = self.place(&mut open, caps);
            self.open = Some(open);
            placed.inspect_err(|_| self.let_go())
        };
        match begin() {
            Ok(()) => Stored::Done,
            Err(NotPlaced::Full(_)) => Stored::Full,
            Err(NotPlaced::Unavailable) => Stored::Unavailable,
        }
    }

    fn place(&mut self, open: &mut Open, caps: &dyn Capabilities) -> Result<(), NotPlaced> {
        let placed = self.ring.put(open, caps);
        self.seen = match placed {
            Ok(header) | Err(NotPlaced::Full(header)) => Some(header),
            Err(NotPlaced::Unavailable) => None,
        };
        placed.map(drop)
    }

    /// Looks at the header. An open slot that is not in the ring was sent while this instance looked dead;
    /// if it was not, the header was lost and made anew: it gets another number then.
    fn stay_in_ring(&mut self, caps: &dyn Capabilities) -> Result<(), NotPlaced> {
        self.seen = self.ring.header(caps);
        let header = self.seen.ok_or(NotPlaced::Unavailable)?;
        let Some(open) = self.open.as_ref().filter(|open| !open.is_within(header)) else {
            return Ok(());
        };
        if open.was_taken(caps)? {
            self.let_go();
        }
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let placed = self.place(&mut open, caps);
        self.open = Some(open);
        placed
    }

    /// Closes the open slot, if there is one.
    fn close(&mut self, now: Instant, caps: &dyn Capabilities) -> Result<(), NotPlaced> {
        if self.open.is_some() {
            self.stay_in_ring(caps)?;
        }
        if let Some(open) = &mut self.open {
            // Raced: the sender did so before.
            let _ = open.close(now, caps)?;
            self.let_go();
        }
        Ok(())
    }

    fn let_go(&mut self) {
        if let Some(open) = self.open.take() {
            self.spare = open.into_buffer();
        }
    }

    /// Closes the open slot when it is time, else shows that its owner lives. What fails is tried again
    /// on the next tick.
    pub(super) fn keep_slot(&mut self, now: Instant, caps: &dyn Capabilities) {
        let in_ring = self.stay_in_ring(caps).is_ok();
        let due = self.open.as_ref().is_some_and(|open| in_ring && self.is_due(open, now));
        let Some(open) = &mut self.open else { return };
        let gone = if due {
            open.close(now, caps).is_ok()
        } else {
            open.touch(now, caps) == Ok(Written::Raced)
        };
        if gone {
            self.let_go();
        }
    }

    /// When a quarter of the slots waits because the collector is away, slots are filled before they are
    /// closed, however slowly; but nobody waits for one that keeps the head.
    fn is_due(&self, open: &Open, now: Instant) -> bool {
        let old = now < open.opened() || now.since(open.opened()) >= self.every;
        let quarter = self.ring.slots().div_ceil(4);
        let behind =
            |header: Header| header.away && header.in_use() > quarter && header.head != open.seq();
        old && !self.seen.is_some_and(behind)
    }

    /// Gives lines of this instance back whose slot found no place in the ring, or can't be closed now.
    pub(super) fn close_or_give_back(
        &mut self,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Vec<String> {
        let closed = self.close(now, caps);
        let lost = self.open.take().filter(|_| closed.is_err());
        lost.iter().flat_map(|open| open.text().lines()).map(str::to_owned).collect()
    }
}
