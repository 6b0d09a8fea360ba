//! What an exchange learns on its way, kept until its audit event is built.

use std::rc::Rc;

use super::effect::End;
use super::worker::Worker;
use crate::audit::{self, Decision, Origin, Outcome, Parameter, What, Who};
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::export::Claimed;
use crate::fhir::{self, Interaction, Operation};
use crate::policy::{Permit, Search};
use crate::request::Headers;
use crate::revocation::Freshness;
use crate::token::Claims;

/// Longest request id that is repeated to the client.
const MAX_REQUEST_ID: usize = 128;

/// The notes of one exchange.
#[derive(Debug)]
pub(in crate::flow) struct Record {
    time: Option<Instant>,
    request_id: Option<Vec<u8>>,
    method: Option<Vec<u8>>,
    request: Option<Rc<fhir::Request>>,
    /// What stands in place of the request that is no interaction: it follows a link of an export.
    export: Option<Interaction>,
    holder: Option<Rc<Claims>>,
    freshness: Option<Freshness>,
    scopes: Vec<String>,
    narrowed: Vec<String>,
    removed: Option<usize>,
    decision: Decision,
    observe: bool,
}

impl Default for Record {
    /// An exchange that Envoy ended before this filter saw its head.
    fn default() -> Record {
        Record {
            time: None,
            request_id: None,
            method: None,
            request: None,
            export: None,
            holder: None,
            freshness: None,
            scopes: Vec::new(),
            narrowed: Vec::new(),
            removed: None,
            decision: Decision::Error(&super::reasons::NEVER_SEEN),
            observe: false,
        }
    }
}

impl Record {
    /// The head came. Until something is permitted, nothing is: the decision stays a refusal.
    pub(in crate::flow) fn arrived(&mut self, headers: &Headers, now: Instant) {
        self.time = Some(now);
        self.request_id = headers.all("x-request-id").next().map(<[u8]>::to_vec);
        self.method = headers.all(":method").next().map(<[u8]>::to_vec);
        self.decision = Decision::Error(&super::reasons::NOT_DECIDED);
    }

    /// The request was classified.
    pub(in crate::flow) fn request(&mut self, request: &Rc<fhir::Request>) {
        self.request = Some(Rc::clone(request));
    }

    /// The request follows a link of an export: what it leads to is part of that operation.
    pub(in crate::flow) fn follows(&mut self, claimed: &Claimed) {
        let operation = Operation { name: "$export".to_owned(), level: claimed.level() };
        self.export = Some(Interaction::Operation(operation));
    }

    /// The token's signature was proven, whatever became of it then.
    pub(in crate::flow) fn holder(&mut self, claims: Option<Rc<Claims>>) {
        self.holder = claims;
    }

    /// The revocation list was asked.
    pub(in crate::flow) fn freshness(&mut self, freshness: Freshness) {
        self.freshness = Some(freshness);
    }

    /// The request may go on.
    pub(in crate::flow) fn permitted(&mut self, permit: Option<&Permit>) {
        self.decision = Decision::Allow;
        if let Some(permit) = permit {
            self.scopes = permit.allowed_by().map(str::to_owned).into_iter().collect();
            self.narrowed = narrowed(permit);
        }
    }

    /// So many resources were removed from the answer.
    pub(in crate::flow) fn removed(&mut self, resources: usize) {
        self.removed = Some(resources);
    }

    /// The request is refused, or would be in mode `observe`.
    pub(in crate::flow) fn refused(&mut self, refusal: &Refusal) {
        self.decision = Decision::refused(refusal.reason);
    }

    /// Whatever is decided is written down and not carried out.
    pub(in crate::flow) fn only_observed(&mut self) {
        self.observe = true;
    }

    /// The reason code of the decision so far.
    pub(in crate::flow) fn code(&self) -> &'static str {
        self.decision.code()
    }

    /// The claims of the token, once its signature was proven.
    pub(in crate::flow) fn claims(&self) -> Option<&Claims> {
        self.holder.as_deref()
    }

    /// The request id, when it is short and visible ASCII.
    pub(in crate::flow) fn request_id(&self) -> Option<&str> {
        let id = core::str::from_utf8(self.request_id.as_deref()?).ok()?;
        let plain = !id.is_empty() && id.len() <= MAX_REQUEST_ID;
        (plain && id.bytes().all(|byte| byte.is_ascii_graphic())).then_some(id)
    }

    /// The audit line.
    pub(in crate::flow) fn line(&self, end: &End, worker: &mut Worker, now: Instant) -> String {
        let event = audit::Event {
            time: self.time.unwrap_or(now),
            id: worker.event_id(),
            request_id: self.request_id.as_deref(),
            decision: self.decision,
            observe: self.observe,
            who: self.claims().map(Who::of),
            from: Origin {
                address: end.address.as_deref().map(str::as_bytes),
                tls: end.tls.as_deref().map(str::as_bytes),
            },
            what: self.what(),
            outcome: Outcome {
                status: end.status,
                bytes: end.bytes.unwrap_or_default(),
                duration: end.duration.unwrap_or_default(),
            },
            scopes: self.scopes.iter().map(String::as_str).collect(),
            narrowed: self.narrowed.iter().map(String::as_str).collect(),
            removed: self.removed,
            revocation: self.freshness,
        };
        event.line()
    }

    fn what(&self) -> What<'_> {
        let method = self.method.as_deref();
        if let Some(export) = &self.export {
            return What { method, ..What::of(export) };
        }
        let Some(request) = &self.request else {
            return What { method, ..What::default() };
        };
        let parameters = request.query.params().iter();
        let parameters =
            parameters.map(|param| Parameter { name: &param.name, value: &param.value }).collect();
        What { method, parameters, ..What::of(&request.interaction) }
    }
}

/// What a permit narrows: the criteria added, those of a condition that was looked up among them; the
/// compartment that is searched instead.
fn narrowed(permit: &Permit) -> Vec<String> {
    let lookup = permit.resolved().map(|resolved| &resolved.by);
    let within = lookup.filter(|by| by.compartment.is_some()).map(Search::path);
    let added = lookup.map_or([].as_slice(), |by| &by.narrowing);
    let criteria = permit.narrowing().iter().chain(added);
    let criteria = criteria.map(|one| format!("{}={}", one.name, one.value));
    let compartment = permit.compartment().zip(permit.patient());
    let compartment =
        compartment.map(|(of, patient)| format!("Patient/{}/{}", patient.as_str(), of.name()));
    let entries = permit.entries().iter().flat_map(|entry| narrowed(&entry.permit));
    criteria.chain(compartment).chain(within).chain(entries).collect()
}
