//! The way of one request, the stages called top to bottom: decided by its head, or held until what
//! the decision needs has come in.

use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use super::export::{Followed, Linked};
use super::room::{MAX_HELD, MAX_HELD_UNPROVEN, Place, Room};
use super::worker::Known;
use super::{Exchange, MAX_FORM, Worker, probe, reasons};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::binding;
use crate::config::Configuration;
use crate::export;
use crate::fhir::bundle;
use crate::fhir::{self, Body, Interaction, Routed};
use crate::limits::{self, AdmittedToken};
use crate::policy::{self, Decision, Evidence, Grants, Lookup, Permit, Stored};
use crate::request::{self, Head, Headers};
use crate::revocation;
use crate::store::{CallFailed, HttpAnswer, HttpCall};
use crate::token;

/// How long a request waits for keys or lists that are on their way.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long before a request that waits is decided again although this instance heard of nothing: another
/// may have, and what a refusal rests on may have changed by itself.
const AGAIN: Duration = Duration::from_millis(250);

/// A request that is not decided yet, and what came in for it so far.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) head: Head,
    pub(super) request: Rc<fhir::Request>,
    pub(super) body: Option<Vec<u8>>,
    /// Whether the body was read as a form.
    form_read: bool,
    /// Until when it may wait for what is on its way; `None`: it never had to.
    patience: Option<Instant>,
    /// When it was last decided to wait, and what the worker had heard of by then.
    tried: Option<(Instant, u64)>,
    /// Whether it waits for the key that its token names, and for nothing else.
    for_a_key: bool,
    pub(super) stored: Stored,
    /// What is still to be looked up; the call for the first is on its way.
    pub(super) lookups: VecDeque<Lookup>,
    /// Of a permitted kick-off: who gets the links of its answer.
    pub(super) linked: Option<Box<Linked>>,
    /// What its body and what was looked up for it take while it waits.
    place: Option<Place>,
}

/// Who calls, and what their token grants.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) token: AdmittedToken,
    pub(super) grants: Rc<Grants>,
}

/// A decision that came out well.
pub(super) enum Passed {
    /// The request may go on, by this.
    Permit(Box<Held>, Box<Permit>),
    /// The request follows a link of an export and may go on.
    Link(Box<Followed>),
    /// A path outside the API that the configuration lets through.
    Untouched,
    /// Not decided yet: the body comes first.
    Body(Box<Held>),
    /// Not decided yet: what is stored comes first, asked for by this call.
    Stored(Box<Held>, HttpCall),
    /// Not decided yet: keys or lists that are on their way come first.
    Later(Box<Held>),
}

impl Held {
    fn new(head: Head, request: Rc<fhir::Request>) -> Held {
        let (stored, lookups) = (Stored::default(), VecDeque::new());
        let (body, patience, tried, linked) = (None, None, None, None);
        let (form_read, for_a_key, place) = (false, false, None);
        Held {
            head,
            request,
            body,
            form_read,
            patience,
            tried,
            for_a_key,
            stored,
            lookups,
            linked,
            place,
        }
    }

    /// Waits, where what is missing is on its way, the client's patience allows it and few enough wait;
    /// otherwise it is refused.
    fn or_later(
        mut self: Box<Self>,
        refusal: Refusal,
        worker: &Worker,
        now: Instant,
    ) -> Result<Passed, Refusal> {
        // Should the clock be set back, it does not wait for the time until then as well.
        let longest = now.plus(PATIENCE);
        let until = self.patience.map_or(longest, |until| until.min(longest));
        self.patience = Some(until);
        self.for_a_key = *refusal.reason == token::reasons::KEYS_ON_THEIR_WAY;
        let waits = refusal.pending && now < until && worker.may_wait(self.for_a_key);
        self.tried = Some((now, worker.news(self.for_a_key)));
        if waits { Ok(Passed::Later(self)) } else { Err(refusal) }
    }

    /// Whether deciding it anew would come to the same: the worker is asked often, and to verify a token,
    /// above all to decrypt one, takes its time.
    pub(super) fn waits_on(&self, worker: &Worker, now: Instant) -> bool {
        let patient = self.patience.is_some_and(|until| now < until);
        let just_tried = self.tried.is_some_and(|(tried, news)| {
            tried <= now && now < tried.plus(AGAIN) && news == worker.news(self.for_a_key)
        });
        patient && just_tried
    }

    /// Takes room for what it holds, where all that is held is at most `most` then.
    fn takes(&mut self, room: &Room, most: usize) -> Result<(), Refusal> {
        let body = self.body.as_ref().map_or(0, Vec::len);
        room.take(&mut self.place, body.saturating_add(self.stored.length()), most)
    }

    /// Longest body that is held, in bytes: Envoy's own buffer bounds the others.
    pub(super) fn limit(&self) -> usize {
        if self.request.body == Body::Form { MAX_FORM } else { usize::MAX }
    }
}

impl Passed {
    /// The same, where the worker has room for a request that waits.
    pub(super) fn within(mut self, room: &Room) -> Result<Passed, Refusal> {
        match &mut self {
            Passed::Stored(held, _) => held.takes(room, MAX_HELD)?,
            Passed::Later(held) => held.takes(room, MAX_HELD_UNPROVEN)?,
            Passed::Permit(..) | Passed::Link(_) | Passed::Untouched | Passed::Body(_) => {}
        }
        Ok(self)
    }
}

impl Exchange {
    /// The head came.
    pub(super) fn request_head(
        &mut self,
        headers: Headers,
        end_of_stream: bool,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        worker.trail.admit(caps)?;
        let head = request::read(headers)?;
        if !end_of_stream && !head.method().takes_body() {
            return Err(Refusal::new(&reasons::BODY_UNEXPECTED));
        }
        if let Some(claimed) = export::claimed(&head, worker.config.fhir.release)? {
            return self.follow(head, claimed, worker, caps);
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
        }
        self.decide(held, worker, caps)
    }

    pub(super) fn authenticate(
        &mut self,
        head: &Head,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Caller, Refusal> {
        let credential = token::credential(head.headers().all("authorization"))?;
        let Worker { config, keys, introspection, revocation, limits, tokens, coverages, .. } =
            worker;
        let now = caps.now();
        let mark = tokens.mark(&credential);
        if !tokens.holds(&mark, now) {
            let raw = credential.read()?;
            let verified = token::verify(&raw, &config.issuers, keys, introspection, caps);
            let verified = verified.map_err(|rejected| {
                self.record.holder(rejected.holder);
                rejected.refusal
            })?;
            let known = Known::of(&verified, coverages, config);
            tokens.insert(mark, verified, known);
        }
        let (verified, known) = tokens.get(&mark).ok_or(Refusal::new(&reasons::TOKEN_NOT_HELD))?;
        self.record.holder(Some(verified.shared_claims()));
        let bound = binding::bind(verified)?;
        let token = revocation::check(bound, revocation, &mut known.checked, caps)?;
        self.record.freshness(token.listed_as());
        let token = limits::admit(token, limits, caps)?;
        Ok(Caller { token, grants: Rc::clone(&known.grants) })
    }

    /// The body is whole.
    pub(super) fn body(
        &mut self,
        mut held: Box<Held>,
        body: Vec<u8>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        held.body = Some(body);
        self.decide(held, worker, caps)
    }

    /// The answer to a lookup came, or why it didn't.
    pub(super) fn stored(
        &mut self,
        mut held: Box<Held>,
        answer: Result<HttpAnswer, CallFailed>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let lookup = held.lookups.pop_front().ok_or(Refusal::new(&reasons::OUT_OF_ORDER))?;
        held.stored.answered(lookup, answer)?;
        if let Some(next) = held.lookups.front() {
            let call = probe::call(next, &held.head, worker)?;
            return Ok(Passed::Stored(held, call));
        }
        self.decide(held, worker, caps)
    }

    /// Decides by what came in so far. Authenticates each time, before anything of the body is read:
    /// while it came in, the token may have expired or been revoked.
    pub(super) fn decide(
        &mut self,
        mut held: Box<Held>,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        let caller = match self.authenticate(&held.head, worker, caps) {
            Ok(caller) => caller,
            Err(refusal) => return held.or_later(refusal, worker, caps.now()),
        };
        if held.request.body == Body::Form && !held.form_read {
            let Some(body) = &held.body else { return Ok(Passed::Body(held)) };
            self.form(&mut held.request, body)?;
            held.form_read = true;
        }
        let Caller { token, grants } = &caller;
        let evidence = Evidence::new(held.body.as_deref(), &held.stored);
        let Configuration { fhir, smart, .. } = &worker.config;
        let decision =
            policy::decide(token, grants, &held.request, &held.head, evidence, fhir, smart);
        self.note_entries(&held, decision.as_ref(), &worker.config);
        match decision? {
            Decision::Permit(permit) => {
                if export::is_kickoff(&held.request.interaction) {
                    held.linked = Some(Linked::kickoff(&caller, &held.head, worker, caps)?);
                }
                self.record.permitted(Some(&permit));
                Ok(Passed::Permit(held, permit))
            }
            Decision::Body => Ok(Passed::Body(held)),
            Decision::Stored(lookups) => {
                held.lookups = lookups.into();
                let first = held.lookups.front().ok_or(Refusal::new(&reasons::OUT_OF_ORDER))?;
                let call = probe::call(first, &held.head, worker)?;
                Ok(Passed::Stored(held, call))
            }
        }
    }

    /// A batch that is decided is recorded entry by entry, as far as it can be read.
    fn note_entries(
        &mut self,
        held: &Held,
        decision: Result<&Decision, &Refusal>,
        config: &Configuration,
    ) {
        let permit = match decision {
            Ok(Decision::Permit(permit)) => Some(&**permit),
            Ok(Decision::Body | Decision::Stored(_)) => return,
            Err(_) => None,
        };
        let body = held.body.as_deref().filter(|_| held.request.interaction == Interaction::Batch);
        let batch = body.and_then(|body| bundle::read(body, &held.head, &config.fhir).ok());
        if let Some(batch) = batch {
            self.record.entries(batch, permit);
        }
    }

    /// The parameters of a form count together with those of the query.
    fn form(&mut self, request: &mut Rc<fhir::Request>, body: &[u8]) -> Result<(), Refusal> {
        let with_form = fhir::Request::clone(request).with_form(body)?;
        *request = Rc::new(with_form);
        self.record.request(request);
        Ok(())
    }
}
