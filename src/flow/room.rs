//! What one worker holds of exchanges that are not over: bodies of requests that are not decided yet,
//! what was looked up for them, parts of answers. Anybody can have it hold more; the VM's memory has an
//! end (1 GiB in Envoy), and who runs into it takes every request of the worker along.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;

use super::reasons::HELD_ENOUGH;
use crate::base::refusal::Refusal;

/// Most bytes that one worker holds.
pub(super) const MAX_HELD: usize = 128 * 1024 * 1024;
/// How much of them may be taken when a request comes that waits before its client is known: nobody who
/// has no token takes the room of those who have.
pub(super) const MAX_HELD_UNPROVEN: usize = MAX_HELD / 2;

/// How many bytes a worker holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Rc<Cell<usize>>);

/// Bytes of it that one exchange has; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    bytes: usize,
}

impl Room {
    /// Takes `bytes` in place of what `place` had, where all that is held is at most `most` then.
    ///
    /// # Errors
    ///
    /// [`HELD_ENOUGH`]; `place` is given back.
    pub(super) fn take(
        &self,
        place: &mut Option<Place>,
        bytes: usize,
        most: usize,
    ) -> Result<(), Refusal> {
        *place = None;
        if bytes == 0 {
            return Ok(());
        }
        let held = self.0.get().saturating_add(bytes);
        if held > most {
            return Err(Refusal::new(&HELD_ENOUGH));
        }
        self.0.set(held);
        *place = Some(Place { room: self.clone(), bytes });
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Room(held) = &self.room;
        held.set(held.get().saturating_sub(self.bytes));
    }
}
