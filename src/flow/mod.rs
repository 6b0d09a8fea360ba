//! The exchange: the stages called top to bottom. Sans-io: [`Event`]s in, [`Step`]s out; the host
//! obeys.

pub mod answer;
pub mod effect;
mod held_answer;
pub mod reasons;
pub mod record;
pub mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use core::mem;
use std::rc::Rc;

pub use effect::{Effect, End, Event, Next, Reply, Step};
pub use worker::{Callout, Worker};

use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::binding;
use crate::config::Mode;
use crate::fhir::{self, Body, Routed};
use crate::forward::{self, Edit};
use crate::policy::{self, Expected, Grants, Permit};
use crate::request::{self, Head, Headers};
use crate::revocation::{self, LiveToken};
use crate::token;
use record::Record;
use worker::Known;

/// Filter state that a filter behind us requires: nothing passes that we did not permit.
pub const PERMIT_STATE: &str = "phiward.permit";
/// Filter state with the reason code of the decision, for access logs.
pub const DECISION_STATE: &str = "phiward.decision";
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
    /// For the form body of a search by an authenticated client.
    Form(Box<Held>),
    /// For the head of an answer that must be judged.
    Answer(Expected),
    /// For the body of that answer, which has this status.
    AnswerBody(Expected, u16),
    /// For its end: there is nothing left to decide.
    End,
}

/// A request whose form body is still to come.
#[derive(Debug)]
struct Held {
    head: Head,
    request: Rc<fhir::Request>,
}

/// Who calls, and what their token grants.
#[derive(Debug)]
struct Caller {
    token: LiveToken,
    grants: Rc<Grants>,
}

/// A decision that came out well.
enum Passed {
    /// The request may go on, with this.
    Permit(Box<(Head, Permit, Option<Vec<u8>>)>),
    /// A path outside the API that the configuration lets through.
    Untouched,
    /// Not decided yet: the form body comes first.
    Hold(Box<Held>),
}

impl Passed {
    fn permit(head: Head, permit: Permit, form: Option<Vec<u8>>) -> Passed {
        Passed::Permit(Box::new((head, permit, form)))
    }
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
            (Waits::Form(held), Event::RequestBodyPart { held: bytes }) if bytes <= MAX_FORM => {
                self.waits = Waits::Form(held);
                Step::default()
            }
            (Waits::Form(held), Event::RequestBody { body }) if body.len() <= MAX_FORM => {
                let sanitized = forward::sanitize(held.head.headers());
                let passed = self.form(*held, body, worker, caps);
                self.step(passed, sanitized, worker)
            }
            (Waits::Form(held), _) => {
                let sanitized = forward::sanitize(held.head.headers());
                self.step(Err(Refusal::new(&reasons::FORM_TOO_LONG)), sanitized, worker)
            }
            (Waits::Answer(expected), Event::ResponseHead { headers, end_of_stream }) => {
                self.answer_head(expected, &headers, end_of_stream, worker)
            }
            (Waits::AnswerBody(expected, status), Event::ResponseBody { body }) => {
                self.answer_body(&expected, status, body, worker)
            }
            _ => self.step(Err(Refusal::new(&reasons::OUT_OF_ORDER)), Vec::new(), worker),
        }
    }

    /// Whether a request body must be held and handed over.
    pub fn wants_body(&self) -> bool {
        matches!(self.waits, Waits::Form(_))
    }

    /// Whether the answer's head must be handed over.
    pub fn wants_answer(&self) -> bool {
        matches!(self.waits, Waits::Answer(_))
    }

    /// Whether the answer must be held and its body handed over.
    pub fn wants_answer_body(&self) -> bool {
        matches!(self.waits, Waits::AnswerBody(..))
    }

    /// The audit line of this exchange, which is over.
    pub fn end(&mut self, end: &End, worker: &mut Worker, caps: &dyn Capabilities) -> String {
        if matches!(self.waits, Waits::AnswerBody(..)) {
            self.record.refused(&Refusal::new(&reasons::ANSWER_UNFINISHED));
        }
        self.record.line(end, worker, caps.now())
    }

    // The way of one request.
    fn request_head(
        &mut self,
        headers: Headers,
        end_of_stream: bool,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let head = request::read(headers)?;
        if !end_of_stream && !head.method().takes_body() {
            return Err(Refusal::new(&reasons::BODY_UNEXPECTED));
        }
        let request = match fhir::route(&head, &worker.config.fhir)? {
            Routed::Passthrough => {
                self.record.permitted(None);
                return Ok(Passed::Untouched);
            }
            Routed::Fhir(request) => Rc::new(request),
        };
        self.record.request(&request);
        if let Some(permit) = policy::public(&request.interaction) {
            self.record.permitted(Some(&permit));
            return Ok(Passed::permit(head, permit, None));
        }
        let caller = self.authenticate(&head, worker, caps)?;
        if matches!(request.body, Body::Form) && !end_of_stream {
            return Ok(Passed::Hold(Box::new(Held { head, request })));
        }
        let permit = self.authorize(&head, &request, &caller, worker)?;
        Ok(Passed::permit(head, permit, None))
    }

    fn authenticate(
        &mut self,
        head: &Head,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Caller, Refusal> {
        let raw = token::extract(head.headers().all("authorization"))?;
        let Worker { config, keys, revocation, tokens, .. } = worker;
        let now = caps.now();
        if tokens.get(&raw, now).is_none() {
            let verified =
                token::verify(&raw, &config.issuers, keys, caps).map_err(|rejected| {
                    self.record.holder(rejected.holder);
                    rejected.refusal
                })?;
            let known = Known::of(&verified, config);
            tokens.insert(&raw, verified, known);
        }
        let (verified, known) =
            tokens.get(&raw, now).ok_or(Refusal::new(&reasons::TOKEN_NOT_HELD))?;
        self.record.holder(Some(verified.shared_claims()));
        let bound = binding::bind(verified)?;
        let token = revocation::check(bound, revocation, &mut known.checked, caps)?;
        self.record.freshness(token.listed_as());
        Ok(Caller { token, grants: Rc::clone(&known.grants) })
    }

    /// Authenticates once more: while the form came in, the token may have expired or been revoked.
    fn form(
        &mut self,
        held: Held,
        body: Vec<u8>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let Held { head, request } = held;
        let caller = self.authenticate(&head, worker, caps)?;
        let request = Rc::new(Rc::unwrap_or_clone(request).with_form(&body)?);
        self.record.request(&request);
        let permit = self.authorize(&head, &request, &caller, worker)?;
        Ok(Passed::permit(head, permit, Some(body)))
    }

    fn authorize(
        &mut self,
        head: &Head,
        request: &fhir::Request,
        caller: &Caller,
        worker: &Worker,
    ) -> Result<Permit, Refusal> {
        let Caller { token, grants } = caller;
        let config = &worker.config;
        let permit = policy::decide(token, grants, request, head, &config.fhir, &config.smart)?;
        self.record.permitted(Some(&permit));
        Ok(permit)
    }

    /// What to do now that the request is decided.
    fn step(
        &mut self,
        passed: Result<Passed, Refusal>,
        sanitized: Vec<Edit>,
        worker: &Worker,
    ) -> Step {
        // Nothing is decided, and nothing goes on, while a form is held: not in `observe` either.
        let passed = match passed {
            Ok(Passed::Hold(held)) => {
                self.waits = Waits::Form(held);
                return Step::default();
            }
            decided => decided,
        };
        let observe = worker.config.mode == Mode::Observe;
        if observe {
            self.record.only_observed();
        }
        match passed {
            Ok(Passed::Permit(passed)) if !observe => {
                let (head, permit, form) = *passed;
                if let Some(expected) = permit.expected() {
                    self.waits = Waits::Answer(expected.clone());
                }
                let claims = self.record.claims();
                let settings = &worker.config.forward;
                let forward = forward::forward(&permit, &head, form.as_deref(), claims, settings);
                go_on(self.record.code(), forward.edits, forward.body)
            }
            Ok(_) => go_on(self.record.code(), sanitized, None),
            Err(refusal) => {
                self.record.refused(&refusal);
                if observe {
                    return go_on(self.record.code(), sanitized, None);
                }
                let reply = answer::refused(&refusal, self.record.request_id());
                let decision = Effect::FilterState(DECISION_STATE, refusal.reason.code);
                Step { effects: vec![decision, Effect::Reply(reply)], next: Next::Pause }
            }
        }
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
