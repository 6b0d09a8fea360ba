//! The way back: an answer that was promised to keep to one patient is held until it is proven to.

#[cfg(test)]
mod tests;

use super::effect::{Effect, Next, Step};
use super::{Exchange, Waits, Worker, reasons};
use crate::base::refusal::Refusal;
use crate::policy::{Expected, ResponseCheck};
use crate::request::Headers;
use crate::response::{self, Course, Verdict};

impl Exchange {
    /// Judges an answer by its head.
    pub(super) fn answer_head(
        &mut self,
        expected: Expected,
        headers: &Headers,
        end_of_stream: bool,
        worker: &Worker,
    ) -> Step {
        let Some(status) = status(headers) else {
            return self.refuse_answer(&Refusal::new(&reasons::STATUS_UNREADABLE), worker);
        };
        match response::head(&expected, status, headers, end_of_stream) {
            Course::Refuse(refusal) => self.refuse_answer(&refusal, worker),
            Course::Hold if end_of_stream => {
                self.answer_body(&expected, status, Vec::new(), worker)
            }
            Course::Hold => {
                self.waits = Waits::AnswerBody(expected, status);
                Step::default()
            }
        }
    }

    /// Judges an answer by its whole body.
    pub(super) fn answer_body(
        &mut self,
        expected: &Expected,
        status: u16,
        body: Vec<u8>,
        worker: &Worker,
    ) -> Step {
        match response::body(expected, status, &body, &worker.config.fhir, &worker.config.smart) {
            // A count says how much there is even where nothing was removed.
            Verdict::Whole => {
                self.saw(&body, worker);
                if expected.counted || only_reports(worker) {
                    return pass();
                }
                Step {
                    effects: vec![Effect::RemoveAnswerHeader(response::COUNT)],
                    next: Next::Continue,
                }
            }
            Verdict::Refuse(refusal) => self.refuse_answer(&refusal, worker),
            Verdict::Replace { body: shown, removed } => {
                if removed > 0 {
                    self.record.removed(removed);
                }
                if only_reports(worker) {
                    self.record.only_observed();
                    self.saw(&body, worker);
                    return pass();
                }
                self.saw(&shown, worker);
                replace(shown)
            }
        }
    }

    pub(super) fn refuse_answer(&mut self, refusal: &Refusal, worker: &Worker) -> Step {
        if only_reports(worker) {
            self.record.refused(refusal);
            self.record.only_observed();
            return pass();
        }
        self.refuse(refusal)
    }
}

pub(super) fn only_reports(worker: &Worker) -> bool {
    worker.config.smart.response_check == ResponseCheck::Report
}

/// The answer goes on as it came.
pub(super) fn pass() -> Step {
    Step { effects: Vec::new(), next: Next::Continue }
}

/// The held answer goes on with this body.
pub(super) fn replace(body: Vec<u8>) -> Step {
    let mut effects = stale();
    effects.push(Effect::ReplaceAnswer(body));
    Step { effects, next: Next::Continue }
}

/// The header fields go that would not fit another body.
pub(super) fn stale() -> Vec<Effect> {
    response::STALE.iter().map(|name| Effect::RemoveAnswerHeader(name)).collect()
}

pub(super) fn status(headers: &Headers) -> Option<u16> {
    let status = headers.single(":status").ok()??;
    core::str::from_utf8(status).ok()?.parse().ok()
}
