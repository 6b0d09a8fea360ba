//! An answer that nobody confines, read as it passes: whose data it holds goes into the audit record
//! (`audit.patients: answers`). It is not held and not changed, whatever it turns out to be.

#[cfg(test)]
mod tests;

use super::effect::Step;
use super::file::Part;
use super::held_answer::{pass, status};
use super::room::{MAX_HELD, Place};
use super::{Exchange, Waits, Worker};
use crate::audit::config::Patients;
use crate::request::Headers;
use crate::response;

/// Longest answer that is read, in bytes: as much as Envoy holds of one by default.
const MAX_BYTES: usize = 1024 * 1024;

/// An answer that passes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    body: Vec<u8>,
    place: Option<Place>,
}

impl Exchange {
    /// Whether the answers of this worker are read for the patients in them.
    pub(super) fn watches(worker: &Worker) -> bool {
        worker.config.audit.patients == Patients::Answers && worker.trail.is_on()
    }

    /// The head of such an answer came. Errors hold nobody's data.
    pub(super) fn watched_head(&mut self, headers: &Headers, end_of_stream: bool) -> Step {
        let is_success = status(headers).is_some_and(|status| (200..300).contains(&status));
        if is_success && !end_of_stream {
            match response::is_readable(headers) {
                true => self.waits = Waits::Watching(Box::default()),
                false => self.record.unread(),
            }
        }
        pass()
    }

    /// More of it came, or its end.
    pub(super) fn watched_part(
        &mut self,
        mut watch: Box<Watch>,
        part: Part<'_>,
        worker: &Worker,
    ) -> Step {
        let (bytes, ends) = match part {
            Part::More(bytes) => (bytes, false),
            Part::Last(bytes) => (bytes, true),
            Part::Trailers => (&[][..], true),
        };
        let length = watch.body.len().saturating_add(bytes.len());
        if length > MAX_BYTES || worker.room.take(&mut watch.place, length, MAX_HELD).is_err() {
            self.record.unread();
            return pass();
        }
        watch.body.extend_from_slice(bytes);
        if ends {
            self.saw(&watch.body, worker);
        } else {
            self.waits = Waits::Watching(watch);
        }
        pass()
    }

    /// An answer passed whole: whose it was is written down, and what became of each entry of a batch.
    pub(super) fn saw(&mut self, body: &[u8], worker: &Worker) {
        if self.record.is_batch() {
            self.record.answered(&response::statuses(body));
        }
        if body.is_empty() || !Self::watches(worker) {
            return;
        }
        let (fhir, smart) = (&worker.config.fhir, &worker.config.smart);
        match response::patients(body, fhir, smart) {
            Some(patients) => self.record.saw(patients),
            None => self.record.unread(),
        }
    }
}
