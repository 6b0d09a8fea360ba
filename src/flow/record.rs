//! What an exchange learns on its way, kept until its audit event is built.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::effect::End;
use super::worker::Worker;
use crate::audit::{self, Decision, Left, Origin, Outcome, Parameter, What, Who};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::export::Claimed;
use crate::fhir::bundle::Batch;
use crate::fhir::compartment::PATIENT;
use crate::fhir::{self, Interaction, Operation, ResourceType};
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
    /// The patient to whom the request was confined.
    confined_to: Option<String>,
    /// Patients whose data an answer held.
    seen: BTreeSet<String>,
    unread: bool,
    entries: Vec<Entry>,
    decision: Decision,
    observe: bool,
}

/// An entry of a batch.
#[derive(Debug)]
struct Entry {
    method: Vec<u8>,
    request: fhir::Request,
    scopes: Vec<String>,
    narrowed: Vec<String>,
    confined_to: Option<String>,
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
            confined_to: None,
            seen: BTreeSet::new(),
            unread: false,
            entries: Vec::new(),
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
            self.confined_to = patient_of(permit);
        }
    }

    /// It is a batch of these entries, which are permitted, if they are, by this.
    pub(in crate::flow) fn entries(&mut self, batch: Batch<'_>, permit: Option<&Permit>) {
        let permits = permit.map(Permit::entries).unwrap_or_default();
        let mut permits = permits.iter().map(|entry| &entry.permit);
        let entries = batch.entries.into_iter().map(|entry| {
            let permit = permits.next();
            Entry {
                method: entry.head.headers().all(":method").next().unwrap_or_default().to_vec(),
                scopes: permit
                    .and_then(Permit::allowed_by)
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
                narrowed: permit.map(narrowed).unwrap_or_default(),
                confined_to: permit.and_then(patient_of),
                request: entry.request,
            }
        });
        self.entries = entries.collect();
    }

    /// The answer held data of these patients.
    pub(in crate::flow) fn saw(&mut self, patients: BTreeSet<String>) {
        self.seen.extend(patients);
    }

    /// The answer could not be read for the patients in it.
    pub(in crate::flow) fn unread(&mut self) {
        self.unread = true;
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

    /// Records what became of the exchange, and of each entry of its batch; gives what the host writes.
    pub(in crate::flow) fn write(
        &self,
        end: &End,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Left {
        let mut left = Left::default();
        if !worker.trail.is_on() {
            return left;
        }
        let patients = self.patients();
        let mut patients = patients.iter().map(String::as_str);
        let first = patients.by_ref().take(audit::MAX_ITEMS).collect();
        let whole = audit::Event {
            outcome: Outcome {
                status: end.status,
                bytes: end.bytes.unwrap_or_default(),
                duration: end.duration.unwrap_or_default(),
                failure: end.failure,
            },
            what: self.what(),
            patients: first,
            unread: self.unread,
            scopes: self.scopes.iter().map(String::as_str).collect(),
            narrowed: self.narrowed.iter().map(String::as_str).collect(),
            removed: self.removed,
            ..self.event(end, worker, caps)
        };
        worker.trail.record(&whole, &mut left, caps);
        let part_of = Some(whole.id);
        while let Some(next) = patients.next() {
            let more = patients.by_ref().take(audit::MAX_ITEMS.saturating_sub(1));
            let patients = core::iter::once(next).chain(more).collect();
            let event = self.event(end, worker, caps);
            worker.trail.record(&audit::Event { part_of, patients, ..event }, &mut left, caps);
        }
        for entry in &self.entries {
            let event = self.event(end, worker, caps);
            let event = entry.of(audit::Event { part_of, ..event });
            worker.trail.record(&event, &mut left, caps);
        }
        left
    }

    /// What every event of this exchange has.
    fn event<'a>(
        &'a self,
        end: &'a End,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> audit::Event<'a> {
        audit::Event {
            time: self.time.unwrap_or_else(|| caps.now()),
            id: worker.trail.next_id(),
            part_of: None,
            request_id: self.request_id.as_deref(),
            decision: self.decision,
            observe: self.observe,
            who: self.claims().map(Who::of),
            from: Origin {
                address: end.address.as_deref().map(str::as_bytes),
                tls: end.tls.as_deref().map(str::as_bytes),
            },
            what: What::default(),
            outcome: Outcome { duration: end.duration.unwrap_or_default(), ..Outcome::default() },
            patients: Vec::new(),
            unread: false,
            scopes: Vec::new(),
            narrowed: Vec::new(),
            removed: None,
            revocation: self.freshness,
        }
    }

    /// Whose data the exchange touched. What was refused touched nobody's.
    fn patients(&self) -> BTreeSet<String> {
        if self.decision != Decision::Allow && !self.observe {
            return BTreeSet::new();
        }
        let asked = self.request.as_deref().map(named).unwrap_or_default();
        self.confined_to.iter().cloned().chain(asked).chain(self.seen.iter().cloned()).collect()
    }

    fn what(&self) -> What<'_> {
        let method = self.method.as_deref();
        match (&self.export, &self.request) {
            (Some(export), _) => What { method, ..What::of(export) },
            (None, Some(request)) => what(method, request),
            (None, None) => What { method, ..What::default() },
        }
    }
}

impl Entry {
    /// The event of this entry, which otherwise is like `event`.
    fn of<'a>(&'a self, event: audit::Event<'a>) -> audit::Event<'a> {
        audit::Event {
            what: what(Some(&self.method), &self.request),
            patients: self.patients(&event),
            scopes: self.scopes.iter().map(String::as_str).collect(),
            narrowed: self.narrowed.iter().map(String::as_str).collect(),
            ..event
        }
    }

    fn patients<'a>(&'a self, event: &audit::Event<'a>) -> Vec<&'a str> {
        let Some(patient) = what(None, &self.request).patient.or(self.confined_to.as_deref())
        else {
            return Vec::new();
        };
        let touched = event.decision == Decision::Allow || event.observe;
        if touched { vec![patient] } else { Vec::new() }
    }
}

fn what<'a>(method: Option<&'a [u8]>, request: &'a fhir::Request) -> What<'a> {
    let parameters = request.query.params().iter();
    let parameters =
        parameters.map(|param| Parameter { name: &param.name, value: &param.value }).collect();
    What { method, parameters, ..What::of(&request.interaction) }
}

/// The patients that a request names: in its path, by `patient` and `subject`, by `_id` where it asks for
/// patients.
fn named(request: &fhir::Request) -> Vec<String> {
    let of_patients = request.interaction.resource_type().map(ResourceType::name) == Some(PATIENT);
    let mut all: Vec<String> =
        What::of(&request.interaction).patient.map(str::to_owned).into_iter().collect();
    for param in request.query.params() {
        let values = param.value.split(',');
        let id = |value: &str| fhir::Id::parse(value).map(|id| id.as_str().to_owned());
        let patient = |value: &str| value.strip_prefix("Patient/").and_then(id);
        match param.name.as_str() {
            "patient" => all.extend(values.filter_map(|one| patient(one).or_else(|| id(one)))),
            "subject" | "subject:Patient" | "patient:Patient" => {
                all.extend(values.filter_map(patient));
            }
            "_id" if of_patients => all.extend(values.filter_map(id)),
            _ => (),
        }
    }
    all
}

fn patient_of(permit: &Permit) -> Option<String> {
    permit.patient().map(|patient| patient.as_str().to_owned())
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
