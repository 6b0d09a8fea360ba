//! The exchange: the stages called top to bottom. Sans-io: [`Event`]s in, [`Step`]s out; the host
//! obeys.

pub mod answer;
pub mod effect;
mod held_answer;
mod probe;
pub mod reasons;
pub mod record;
pub mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use core::mem;
use std::collections::VecDeque;
use std::rc::Rc;

pub use effect::{Effect, End, Event, Next, Reply, Step};
pub use worker::{Callout, Worker};

use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::binding;
use crate::config::{Configuration, Mode};
use crate::fhir::{self, Body, Routed};
use crate::forward::{self, Edit};
use crate::policy::{self, Decision, Evidence, Expected, Grants, Permit, Probe, Stored};
use crate::request::{self, Head, Headers};
use crate::revocation::{self, LiveToken};
use crate::store::{CallFailed, HttpAnswer, HttpCall};
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
    /// For the body of a request by an authenticated client.
    Body(Box<Held>),
    /// For a stored resource that was asked for.
    Stored(Box<Held>),
    /// For the head of an answer that must be judged.
    Answer(Expected),
    /// For the body of that answer, which has this status.
    AnswerBody(Expected, u16),
    /// For its end: there is nothing left to decide.
    End,
}

/// A request that is not decided yet, and what came in for it so far.
#[derive(Debug)]
struct Held {
    head: Head,
    request: Rc<fhir::Request>,
    body: Option<Vec<u8>>,
    stored: Stored,
    /// Stored resources still to be asked for; the call for the first is on its way.
    probes: VecDeque<Probe>,
}

/// Who calls, and what their token grants.
#[derive(Debug)]
struct Caller {
    token: LiveToken,
    grants: Rc<Grants>,
}

/// A decision that came out well.
enum Passed {
    /// The request may go on, by this.
    Permit(Box<Held>, Box<Permit>),
    /// A path outside the API that the configuration lets through.
    Untouched,
    /// Not decided yet: the body comes first.
    Body(Box<Held>),
    /// Not decided yet: a stored resource comes first, asked for by this call.
    Stored(Box<Held>, HttpCall),
}

impl Held {
    fn new(head: Head, request: Rc<fhir::Request>) -> Held {
        let (body, stored, probes) = (None, Stored::default(), VecDeque::new());
        Held { head, request, body, stored, probes }
    }

    /// Longest body that is held, in bytes: Envoy's own buffer bounds the others.
    fn limit(&self) -> usize {
        if self.request.body == Body::Form { MAX_FORM } else { usize::MAX }
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
            _ => self.step(Err(Refusal::new(&reasons::OUT_OF_ORDER)), Vec::new(), worker),
        }
    }

    /// Whether a request body must be held and handed over; of it at most so many bytes.
    pub fn wants_body(&self) -> Option<usize> {
        match &self.waits {
            Waits::Body(held) => Some(held.limit()),
            _ => None,
        }
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
            let held = Held::new(head, request);
            return Ok(Passed::Permit(Box::new(held), Box::new(permit)));
        }
        let mut held = Box::new(Held::new(head, request));
        if end_of_stream {
            held.body = Some(Vec::new());
        } else if held.request.body == Body::Form {
            self.authenticate(&held.head, worker, caps)?;
            return Ok(Passed::Body(held));
        }
        self.decide(held, worker, caps)
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

    /// The body is whole. The parameters of a form count together with those of the query.
    fn body(
        &mut self,
        mut held: Box<Held>,
        body: Vec<u8>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        if held.request.body == Body::Form {
            // Before anything else is read of it, as before the head.
            self.authenticate(&held.head, worker, caps)?;
            let request = Rc::unwrap_or_clone(held.request).with_form(&body)?;
            held.request = Rc::new(request);
            self.record.request(&held.request);
        }
        held.body = Some(body);
        self.decide(held, worker, caps)
    }

    /// A stored resource came, or why it didn't.
    fn stored(
        &mut self,
        mut held: Box<Held>,
        answer: Result<HttpAnswer, CallFailed>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let probe = held.probes.pop_front().ok_or(Refusal::new(&reasons::OUT_OF_ORDER))?;
        held.stored.answered(probe, answer)?;
        if let Some(next) = held.probes.front() {
            let call = probe::call(next, &held.head, worker)?;
            return Ok(Passed::Stored(held, call));
        }
        self.decide(held, worker, caps)
    }

    /// Decides by what came in so far. Authenticates each time: while it came in, the token may have
    /// expired or been revoked.
    fn decide(
        &mut self,
        mut held: Box<Held>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let Caller { token, grants } = self.authenticate(&held.head, worker, caps)?;
        let evidence = Evidence::new(held.body.as_deref(), &held.stored);
        let Configuration { fhir, smart, .. } = &worker.config;
        let decision =
            policy::decide(&token, &grants, &held.request, &held.head, evidence, fhir, smart)?;
        match decision {
            Decision::Permit(permit) => {
                self.record.permitted(Some(&permit));
                Ok(Passed::Permit(held, permit))
            }
            Decision::Body => Ok(Passed::Body(held)),
            Decision::Stored(probes) => {
                held.probes = probes.into();
                let first = held.probes.front().ok_or(Refusal::new(&reasons::OUT_OF_ORDER))?;
                let call = probe::call(first, &held.head, worker)?;
                Ok(Passed::Stored(held, call))
            }
        }
    }

    /// What to do now that the request is decided, or not yet.
    fn step(
        &mut self,
        passed: Result<Passed, Refusal>,
        sanitized: Vec<Edit>,
        worker: &Worker,
    ) -> Step {
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
            _ if worker.config.mode == Mode::Observe => {
                self.record.only_observed();
                if let Err(refusal) = passed {
                    self.record.refused(&refusal);
                }
                go_on(self.record.code(), sanitized, None)
            }
            Ok(Passed::Permit(held, permit)) => match self.carry_out(&held, &permit, worker) {
                Ok(step) => step,
                Err(refusal) => self.refuse(&refusal),
            },
            Ok(Passed::Untouched) => go_on(self.record.code(), sanitized, None),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn carry_out(
        &mut self,
        held: &Held,
        permit: &Permit,
        worker: &Worker,
    ) -> Result<Step, Refusal> {
        let body = held.body.as_deref().filter(|body| !body.is_empty());
        let body = body.map(|body| (held.request.body, body));
        let (claims, settings) = (self.record.claims(), &worker.config.forward);
        let forward = forward::forward(permit, &held.head, body, claims, settings)?;
        if let Some(expected) = permit.expected() {
            self.waits = Waits::Answer(expected.clone());
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
