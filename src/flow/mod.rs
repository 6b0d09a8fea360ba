//! The exchange: the stages called top to bottom. Sans-io: [`Event`]s in, [`Step`]s out; the host
//! obeys.

pub mod answer;
mod deciding;
pub mod effect;
mod export;
mod file;
mod held_answer;
mod probe;
pub mod reasons;
pub mod record;
mod room;
pub mod status;
mod watch;
pub mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use core::mem;

pub use effect::{Effect, End, Event, Next, Reply, Step};
pub use worker::{Callout, Worker};

use crate::audit::{Failure, Left};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::config::Mode;
use crate::forward::{self, Edit};
use crate::policy::{Expected, Permit};
use deciding::{Held, Passed};
use export::Linked;
use file::{File, Part};
use record::Record;
use watch::Watch;

/// Filter state that a filter behind us requires: nothing passes that we did not permit.
pub const PERMIT_STATE: &str = "phiward.permit";
/// Filter state with the reason code of the decision, for access logs.
pub const DECISION_STATE: &str = "phiward.decision";
/// Filter state with the audit records of the exchange, one a line, for access logs.
pub const AUDIT_STATE: &str = "phiward.audit";
/// The one value of [`PERMIT_STATE`].
pub const PERMITTED: &str = "permit";
/// Longest form body of a search, in bytes.
pub const MAX_FORM: usize = 64 * 1024;

/// One request and its response.
#[derive(Debug, Default)]
pub struct Exchange {
    waits: Waits,
    record: Record,
}

/// Where an exchange waits.
#[derive(Debug, Default)]
enum Waits {
    /// For the request's header fields.
    #[default]
    Head,
    /// For the body of a request by an authenticated client.
    Body(Box<Held>),
    /// For a stored resource that was asked for.
    Stored(Box<Held>),
    /// For keys or lists that are on their way.
    News(Box<Held>),
    /// For the head of an answer that must be judged.
    Answer(Expected),
    /// For the body of that answer, which has this status.
    AnswerBody(Expected, u16),
    /// For the head of an answer that may hold links of an export.
    Links(Box<Linked>),
    /// For the body of that answer, which is a manifest.
    Manifest(Box<Linked>),
    /// For the head of an export's file.
    File(Box<File>),
    /// For more of that file.
    FilePart(Box<File>),
    /// For the end of a file that was refused after it had begun to go on.
    FileCut,
    /// For the head of an answer that is read for the audit record alone.
    Watched,
    /// For more of it.
    Watching(Box<Watch>),
    /// For its end: there is nothing left to decide.
    End,
}

impl Exchange {
    /// Takes the next event of this exchange and says what to do.
    pub fn on(&mut self, event: Event, worker: &mut Worker, caps: &dyn Capabilities) -> Step {
        match (mem::replace(&mut self.waits, Waits::End), event) {
            (Waits::Head, Event::RequestHead { headers, end_of_stream }) => {
                self.record.arrived(&headers, caps.now());
                worker.wake(caps);
                let sanitized = forward::sanitize(&headers);
                let passed = self.request_head(headers, end_of_stream, worker, caps);
                self.step(passed, sanitized, worker)
            }
            (Waits::Body(held), Event::RequestBodyPart { held: bytes })
                if bytes <= held.limit() =>
            {
                self.waits = Waits::Body(held);
                Step::default()
            }
            (Waits::Body(held), Event::RequestBody { body }) if body.len() <= held.limit() => {
                let sanitized = forward::sanitize(held.head.headers());
                let passed = self.body(held, body, worker, caps);
                self.step(passed, sanitized, worker)
            }
            (Waits::Body(held), _) => {
                let sanitized = forward::sanitize(held.head.headers());
                self.step(Err(Refusal::new(&reasons::FORM_TOO_LONG)), sanitized, worker)
            }
            (Waits::News(held), event) => self.news(held, event, worker, caps),
            (Waits::Stored(held), Event::CallAnswered { answer }) => {
                let sanitized = forward::sanitize(held.head.headers());
                let passed = self.stored(held, answer, worker, caps);
                self.step(passed, sanitized, worker)
            }
            (Waits::Answer(expected), Event::ResponseHead { headers, end_of_stream }) => {
                self.answer_head(expected, &headers, end_of_stream, worker)
            }
            (Waits::AnswerBody(expected, status), Event::ResponseBody { body }) => {
                self.answer_body(&expected, status, body, worker)
            }
            (Waits::Links(linked), Event::ResponseHead { headers, end_of_stream }) => {
                self.linked_head(linked, &headers, end_of_stream, worker)
            }
            (Waits::Manifest(linked), Event::ResponseBody { body }) => {
                self.manifest(&linked, &body, worker)
            }
            (Waits::File(file), Event::ResponseHead { headers, end_of_stream }) => {
                self.file_head(file, &headers, end_of_stream, worker)
            }
            (Waits::FilePart(file), Event::ResponsePart { part, end_of_stream }) => {
                self.file_part(file, Part::of(&part, end_of_stream), worker)
            }
            (Waits::FilePart(file), Event::ResponseTrailers) => {
                self.file_part(file, Part::Trailers, worker)
            }
            (Waits::FileCut, event) => self.file_after_cut(&event),
            (Waits::Watched, Event::ResponseHead { headers, end_of_stream }) => {
                self.watched_head(&headers, end_of_stream)
            }
            (Waits::Watching(watch), Event::ResponsePart { part, end_of_stream }) => {
                self.watched_part(watch, Part::of(&part, end_of_stream), worker)
            }
            (Waits::Watching(watch), Event::ResponseTrailers) => {
                self.watched_part(watch, Part::Trailers, worker)
            }
            (waits, event) => self.out_of_order(&waits, &event, worker),
        }
    }

    /// The host told of something that this exchange does not wait for.
    fn out_of_order(&mut self, waits: &Waits, event: &Event, worker: &mut Worker) -> Step {
        // In `observe` it goes on even so, and not with what a client may not say.
        let sanitized = match (waits, event) {
            (Waits::Stored(held), _) => forward::sanitize(held.head.headers()),
            (_, Event::RequestHead { headers, .. }) => forward::sanitize(headers),
            _ => Vec::new(),
        };
        self.step(Err(Refusal::new(&reasons::OUT_OF_ORDER)), sanitized, worker)
    }

    /// Whether a request body must be held and handed over; of it at most so many bytes.
    pub fn wants_body(&self) -> Option<usize> {
        match &self.waits {
            Waits::Body(held) => Some(held.limit()),
            Waits::News(held) if held.body.is_none() => Some(held.limit()),
            _ => None,
        }
    }

    /// Whether it waits for [`Event::News`].
    pub fn wants_news(&self) -> bool {
        matches!(self.waits, Waits::News(_))
    }

    /// Whether the answer's head must be handed over.
    pub fn wants_answer(&self) -> bool {
        matches!(self.waits, Waits::Answer(_) | Waits::Links(_) | Waits::File(_) | Waits::Watched)
    }

    /// Whether the answer must be held and its body handed over.
    pub fn wants_answer_body(&self) -> bool {
        matches!(self.waits, Waits::AnswerBody(..) | Waits::Manifest(_))
    }

    /// Whether what comes of the answer's body must be handed over, part by part and as it comes, and
    /// its end by trailers.
    pub fn wants_answer_parts(&self) -> bool {
        matches!(self.waits, Waits::FilePart(_) | Waits::FileCut | Waits::Watching(_))
    }

    /// While it waits for news its body may come in; it is not read before the client is known.
    fn news(
        &mut self,
        mut held: Box<Held>,
        event: Event,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Step {
        let sanitized = forward::sanitize(held.head.headers());
        let most = held.limit();
        worker.waits_no_more();
        let passed = match event {
            Event::News if held.waits_on(worker, caps.now()) => Ok(Passed::Later(held)),
            Event::News => self.decide(held, worker, caps),
            Event::RequestBodyPart { held: bytes } if bytes <= most => Ok(Passed::Later(held)),
            Event::RequestBody { body } if body.len() <= most => {
                held.body = Some(body);
                Ok(Passed::Later(held))
            }
            Event::RequestBodyPart { .. } | Event::RequestBody { .. } => {
                Err(Refusal::new(&reasons::FORM_TOO_LONG))
            }
            _ => Err(Refusal::new(&reasons::OUT_OF_ORDER)),
        };
        self.step(passed, sanitized, worker)
    }

    /// Whether the head of the request was seen.
    pub fn began(&self) -> bool {
        self.record.time().is_some()
    }

    /// Records this exchange, which is over; gives what the host writes.
    pub fn end(&mut self, mut end: End, worker: &mut Worker, caps: &dyn Capabilities) -> Left {
        if self.wants_news() {
            self.waits = Waits::End;
            worker.waits_no_more();
        }
        if worker.records_exchanges() {
            let age = |began| caps.now().since(began);
            end.duration = end.duration.or_else(|| self.record.time().map(age));
        }
        if self.wants_answer_body() {
            self.record.refused(&Refusal::new(&reasons::ANSWER_UNFINISHED));
            // The host says the status of the answer that was held, of which the client saw nothing.
            end.status = end.status.filter(|_| end.failure != Some(Failure::ClientGone));
        }
        if matches!(self.waits, Waits::Watching(_)) {
            self.record.unread();
        }
        self.record.write(&end, worker, caps)
    }

    /// What to do now that the request is decided, or not yet.
    fn step(
        &mut self,
        passed: Result<Passed, Refusal>,
        sanitized: Vec<Edit>,
        worker: &mut Worker,
    ) -> Step {
        let passed = passed.and_then(|passed| passed.within(&worker.room));
        // Nothing is decided, and nothing goes on, while a request is held: not in `observe` either.
        match passed {
            Ok(Passed::Body(held)) => {
                self.waits = Waits::Body(held);
                Step::default()
            }
            Ok(Passed::Stored(held, call)) => {
                self.waits = Waits::Stored(held);
                Step { effects: vec![Effect::Call(call)], next: Next::Pause }
            }
            Ok(Passed::Later(held)) => {
                self.waits = Waits::News(held);
                worker.waits_for_news();
                Step::default()
            }
            _ if worker.config.mode == Mode::Observe => {
                self.record.only_observed();
                if let Err(refusal) = passed {
                    self.record.refused(&refusal);
                }
                go_on(self.record.code(), sanitized, None)
            }
            Ok(Passed::Permit(held, permit)) => {
                let step = self.carry_out(*held, &permit, worker);
                step.unwrap_or_else(|refusal| self.refuse(&refusal))
            }
            Ok(Passed::Link(followed)) => {
                let step = self.carry_out_link(*followed, worker);
                step.unwrap_or_else(|refusal| self.refuse(&refusal))
            }
            Ok(Passed::Untouched) => go_on(self.record.code(), sanitized, None),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn carry_out(&mut self, held: Held, permit: &Permit, worker: &Worker) -> Result<Step, Refusal> {
        let body = held.body.as_deref().filter(|body| !body.is_empty());
        let body = body.map(|body| (held.request.body, body));
        let (claims, settings) = (self.record.claims(), &worker.config.forward);
        let forward = forward::forward(permit, &held.head, body, claims, settings)?;
        if let Some(expected) = permit.expected() {
            self.waits = Waits::Answer(expected.clone());
        } else if let Some(linked) = held.linked {
            self.waits = Waits::Links(linked);
        } else if Exchange::watches(worker) {
            self.waits = Waits::Watched;
        }
        Ok(go_on(self.record.code(), forward.edits, forward.body))
    }

    fn refuse(&mut self, refusal: &Refusal) -> Step {
        self.record.refused(refusal);
        let reply = answer::refused(refusal, self.record.request_id());
        let decision = Effect::FilterState(DECISION_STATE, refusal.reason.code);
        Step { effects: vec![decision, Effect::Reply(reply)], next: Next::Pause }
    }
}

/// Lets the request go on, changed by `edits`, and tells the filters behind us that it may.
fn go_on(decision: &'static str, edits: Vec<Edit>, body: Option<Vec<u8>>) -> Step {
    let mut effects: Vec<Effect> = edits.into_iter().map(Effect::Edit).collect();
    effects.extend(body.map(Effect::ReplaceBody));
    effects.push(Effect::FilterState(DECISION_STATE, decision));
    effects.push(Effect::FilterState(PERMIT_STATE, PERMITTED));
    Step { effects, next: Next::Continue }
}
