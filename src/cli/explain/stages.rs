//! The stages in the order of the flow, each with what it has to tell.

use std::rc::Rc;

use super::facts::{self, Fact};
use super::run::Proof;
use crate::audit::ALLOWED;
use crate::base::capabilities::Native;
use crate::base::refusal::Refusal;
use crate::binding;
use crate::cli::gateway::{Answer, Outcome};
use crate::cli::request::Request;
use crate::cli::stored::{self, Stored};
use crate::config::Configuration;
use crate::fhir::{self, Routed};
use crate::flow::reasons::BODY_UNEXPECTED;
use crate::limits::{self, AdmittedToken, Limits};
use crate::policy::{self, Decision, Evidence, Grants, Lookup, Permit};
use crate::request::{self, Head};
use crate::revocation::{self, Checked, Revocation, Settings};
use crate::token::{self, Introspection, Keys, VerifiedToken};

/// A stage and its verdict.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) facts: Vec<Fact>,
}

crate::words! {
    /// What a stage says.
    pub(super) enum Verdict {
        /// The request may go to the next stage.
        Passed = "passed",
        /// It may not.
        Refused = "refused",
        /// This request has no need of it.
        NotNeeded = "not needed",
        /// A stage before refused.
        NotReached = "not reached",
    }
}

/// What the stages are called with.
pub(super) struct Walk<'a> {
    pub(super) configuration: &'a Configuration,
    /// Those of the gateway, whose feeds were answered.
    pub(super) caps: &'a Native,
    pub(super) request: &'a Request,
    pub(super) proof: &'a Proof,
    /// Whether the gateway would ask the token's issuer about it.
    pub(super) would_ask: bool,
    /// Whether a revocation list was given.
    pub(super) listed: bool,
    /// What the FHIR server has, and whether that was given.
    pub(super) stored: (&'a Stored, bool),
    /// What the gateway made of the request.
    pub(super) outcome: &'a Outcome,
}

/// Calls the stages until one refuses; gives every stage.
pub(super) fn walk(walk: &Walk<'_>) -> Vec<Stage> {
    let mut notes = Notes(Vec::new());
    let end = walk.through(&mut notes);
    // A request that is refused goes on in mode `observe`.
    if end.is_err() && walk.outcome.sent.is_some() {
        notes.pass("forward", facts::of_sent(walk.request, walk.outcome));
    }
    let rest = if end.is_ok() { Verdict::NotNeeded } else { Verdict::NotReached };
    let mut stages: Vec<Stage> = ORDER.map(|name| notes.taken(name, rest)).into();
    // The exchange has the last word: what it refuses besides is told as its own.
    let code = end.as_ref().err().map_or(ALLOWED, |refusal| refusal.reason.code);
    if code != walk.outcome.reason() {
        stages.push(refused_by("exchange", walk.outcome));
    }
    stages
}

/// How the FHIR server's answer is judged.
pub(super) fn answered(answer: &Answer, outcome: &Outcome) -> Stage {
    if outcome.reason() == ALLOWED {
        let facts = facts::of_answer(answer, outcome);
        return Stage { name: ANSWER, verdict: Verdict::Passed, facts };
    }
    refused_by(ANSWER, outcome)
}

fn refused_by(name: &'static str, outcome: &Outcome) -> Stage {
    Stage { name, verdict: Verdict::Refused, facts: facts::of_outcome(outcome) }
}

impl Walk<'_> {
    fn through(&self, notes: &mut Notes) -> Result<(), Refusal> {
        let head = notes.note("request", self.head(), facts::of_head)?;
        let routed = fhir::route(&head, &self.configuration.fhir);
        let routed = notes.note("fhir", routed, |routed| {
            facts::of_interaction(routed, self.configuration.fhir.release)
        })?;
        let Routed::Fhir(request) = routed else {
            notes.pass("forward", facts::of_sent(self.request, self.outcome));
            return Ok(());
        };
        let public = policy::public(&request.interaction);
        if public.is_some() {
            notes.pass("policy", vec![facts::text("allowed_by", "public: needs no token")]);
        } else {
            let token = self.authenticate(&head, notes)?;
            let mut asked = Asked::default();
            let permit = self.decide(&head, request, &token, &mut asked);
            let permitted = |permit: &Permit| facts::of_permit(permit, &self.request.body);
            let judged = notes.note("policy", permit, permitted);
            notes.add(self.of_asked(&asked));
            judged?;
        }
        notes.pass("forward", facts::of_sent(self.request, self.outcome));
        Ok(())
    }

    fn head(&self) -> Result<Head, Refusal> {
        let head = request::read(self.request.fields())?;
        match self.request.body.is_empty() || head.method().takes_body() {
            true => Ok(head),
            false => Err(Refusal::new(&BODY_UNEXPECTED)),
        }
    }

    fn authenticate(&self, head: &Head, notes: &mut Notes) -> Result<AdmittedToken, Refusal> {
        let Configuration { issuers, revocation, sessions, .. } = self.configuration;
        let mut keys = Keys::new(issuers);
        keys.refresh(self.caps);
        let verified = token::extract(head.headers().all("authorization")).and_then(|raw| {
            let introspection = &mut Introspection::default();
            let verified = token::verify(&raw, issuers, &keys, introspection, self.caps);
            verified.map_err(|rejected| rejected.refusal)
        });
        let told =
            |token: &VerifiedToken| facts::of_claims(token.claims(), self.proof, self.would_ask);
        let verified = notes.note("token", verified, told)?;
        let bound = notes.note("binding", binding::bind(verified), |_| facts::of_binding())?;
        let settings = revocation.as_ref();
        let list = settings.filter(|settings| settings.has_list()).map(|_| self.listed);
        let has_status =
            settings.is_some_and(Settings::has_status_lists) && bound.claims().status.is_some();
        let has_events = settings.is_some_and(Settings::has_events);
        let offline = revocation.clone().map(Settings::offline);
        let mut revocation = Revocation::new(offline, issuers);
        revocation.refresh(self.caps);
        let live = revocation::check(bound, &mut revocation, &mut Checked::default(), self.caps);
        let live = notes
            .note("revocation", live, |_| facts::of_revocation(list, has_status, has_events))?;
        let limits = Limits::new(sessions.clone());
        let admitted = limits::admit(live, &limits, self.caps);
        notes.note("limits", admitted, |token| facts::of_sessions(sessions.as_ref(), token))
    }

    fn decide(
        &self,
        head: &Head,
        request: fhir::Request,
        token: &AdmittedToken,
        asked: &mut Asked,
    ) -> Result<Permit, Refusal> {
        let Configuration { fhir, smart, .. } = self.configuration;
        let request = match request.body {
            fhir::Body::Form => request.with_form(&self.request.body)?,
            _ => request,
        };
        let grants = Grants::of(token.claims(), fhir, smart);
        let grants = Rc::new(grants);
        let whole = self.request.body.is_empty() || request.body == fhir::Body::Form;
        let mut body = whole.then_some(self.request.body.as_slice());
        let mut found = policy::Stored::default();
        loop {
            let evidence = Evidence::new(body, &found);
            match policy::decide(token, &grants, &request, head, evidence, fhir, smart)? {
                Decision::Permit(permit) => return Ok(*permit),
                Decision::Body => {
                    asked.body = true;
                    body = Some(&self.request.body);
                }
                Decision::Stored(lookups) => {
                    for lookup in lookups {
                        asked.stored.push(lookup.clone());
                        let answer = self.stored.0.looked_up(&lookup);
                        found.answered(lookup, answer)?;
                    }
                }
            }
        }
    }

    fn of_asked(&self, asked: &Asked) -> Vec<Fact> {
        let (stored, given) = self.stored;
        let found = |lookup: &Lookup| match given {
            true => stored.found(lookup),
            false => {
                format!("{}: NOT GIVEN (`--stored`), so taken for missing", stored::name(lookup))
            }
        };
        facts::of_asked(asked.body, asked.stored.iter().map(found).collect())
    }
}

/// What the policy asked for before it decided.
#[derive(Default)]
struct Asked {
    body: bool,
    stored: Vec<Lookup>,
}

/// The stages so far.
struct Notes(Vec<Stage>);

impl Notes {
    /// Notes what a stage says; hands on what it proved.
    fn note<T>(
        &mut self,
        name: &'static str,
        said: Result<T, Refusal>,
        facts: impl FnOnce(&T) -> Vec<Fact>,
    ) -> Result<T, Refusal> {
        match &said {
            Ok(proof) => self.pass(name, facts(proof)),
            Err(refusal) => {
                let facts = facts::of_refusal(refusal);
                self.0.push(Stage { name, verdict: Verdict::Refused, facts });
            }
        }
        said
    }

    fn pass(&mut self, name: &'static str, facts: Vec<Fact>) {
        self.0.push(Stage { name, verdict: Verdict::Passed, facts });
    }

    /// Adds to what the last stage told.
    fn add(&mut self, facts: Vec<Fact>) {
        if let Some(last) = self.0.last_mut() {
            last.facts.splice(..0, facts);
        }
    }

    /// What was noted of a stage; `otherwise` when nothing was.
    fn taken(&mut self, name: &'static str, otherwise: Verdict) -> Stage {
        let place = self.0.iter().position(|stage| stage.name == name);
        let noted = place.map(|place| self.0.swap_remove(place));
        noted.unwrap_or(Stage { name, verdict: otherwise, facts: Vec::new() })
    }
}

const ORDER: [&str; 8] =
    ["request", "fhir", "token", "binding", "revocation", "limits", "policy", "forward"];

const ANSWER: &str = "answer";
