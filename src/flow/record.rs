//! What an exchange learns on its way, kept until its audit event is built.

mod asked;
mod entry;

use std::collections::BTreeSet;
use std::rc::Rc;

use super::effect::End;
use super::worker::Worker;
use crate::audit::{self, Decision, Left, Origin, Outcome, What, Who};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::export::Claimed;
use crate::fhir::bundle::Batch;
use crate::fhir::{Interaction, Operation, Request};
use crate::policy::Permit;
use crate::request::Headers;
use crate::revocation::Freshness;
use crate::token::Claims;
use asked::{may_write, named, narrowed, patient_of, what};
use entry::Entry;

/// Longest request id that is repeated to the client.
const MAX_REQUEST_ID: usize = 128;

/// The notes of one exchange.
#[derive(Debug)]
pub(in crate::flow) struct Record {
    time: Option<Instant>,
    request_id: Option<Vec<u8>>,
    method: Option<Vec<u8>>,
    request: Option<Rc<Request>>,
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
    /// The request was permitted, whatever became of its answer.
    permitted: bool,
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
            confined_to: None,
            seen: BTreeSet::new(),
            unread: false,
            entries: Vec::new(),
            permitted: false,
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
    pub(in crate::flow) fn request(&mut self, request: &Rc<Request>) {
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
        self.permitted = true;
        if let Some(permit) = permit {
            self.scopes = permit.allowed_by().map(str::to_owned).into_iter().collect();
            self.narrowed = narrowed(permit);
            self.confined_to = patient_of(permit);
        }
    }

    /// It is a batch of these entries, which are permitted, if they are, by this.
    pub(in crate::flow) fn entries(&mut self, batch: Batch<'_>, permit: Option<&Permit>) {
        let mut permits = permit.map(Permit::entries).unwrap_or_default().iter();
        let entries = batch.entries.into_iter();
        self.entries = entries
            .map(|entry| Entry::new(entry, permits.next().map(|entry| &entry.permit)))
            .collect();
    }

    /// Whether it is a batch whose entries are known.
    pub(in crate::flow) fn is_batch(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The entries were answered with these statuses, in their order.
    pub(in crate::flow) fn answered(&mut self, statuses: &[Option<u16>]) {
        if statuses.len() == self.entries.len() {
            for (entry, status) in self.entries.iter_mut().zip(statuses) {
                entry.status = *status;
            }
        }
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

    /// When the head came.
    pub(in crate::flow) fn time(&self) -> Option<Instant> {
        self.time
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
        let whole = audit::Event {
            outcome: Outcome {
                status: end.status,
                bytes: end.bytes.unwrap_or_default(),
                duration: end.duration.unwrap_or_default(),
                failure: end.failure,
            },
            what: self.what(),
            unread: self.unread,
            scopes: self.scopes.iter().map(String::as_str).collect(),
            narrowed: self.narrowed.iter().map(String::as_str).collect(),
            removed: self.removed,
            ..self.event(end, worker, caps)
        };
        let part_of = Some(whole.id);
        self.write_whole(whole, &self.patients(), end, worker, caps, &mut left);
        for entry in &self.entries {
            let event = entry.of(audit::Event { part_of, ..self.event(end, worker, caps) });
            let touched = self.touched(&entry.request);
            let patients = if touched { entry.patients() } else { BTreeSet::new() };
            self.write_whole(event, &patients, end, worker, caps, &mut left);
        }
        left
    }

    /// Records an event, and in further ones that are part of it the patients that it has no room for.
    fn write_whole<'a>(
        &'a self,
        event: audit::Event<'a>,
        patients: &BTreeSet<&'a str>,
        end: &'a End,
        worker: &mut Worker,
        caps: &dyn Capabilities,
        left: &mut Left,
    ) {
        let part_of = Some(event.id);
        let mut patients = patients.iter().copied();
        let first = patients.by_ref().take(audit::MAX_ITEMS).collect();
        worker.trail.record(&audit::Event { patients: first, ..event }, left, caps);
        while let Some(next) = patients.next() {
            let more = patients.by_ref().take(audit::MAX_ITEMS.saturating_sub(1));
            let patients = core::iter::once(next).chain(more).collect();
            let event = self.event(end, worker, caps);
            worker.trail.record(&audit::Event { part_of, patients, ..event }, left, caps);
        }
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
    fn patients(&self) -> BTreeSet<&str> {
        let request = self.request.as_deref();
        let mut entries = self.entries.iter();
        let touched = match request {
            Some(Request { interaction: Interaction::Batch, .. }) if self.is_batch() => {
                entries.any(|entry| self.touched(&entry.request))
            }
            Some(request) => self.touched(request),
            None => self.passed(),
        };
        if !touched {
            return BTreeSet::new();
        }
        let asked = request.map(named).unwrap_or_default();
        let known = self.confined_to.iter().chain(&self.seen).map(String::as_str);
        known.chain(asked).collect()
    }

    /// Whether such a request of this exchange touched anybody's data. One that may write did so as soon
    /// as it went on, whatever its answer was.
    fn touched(&self, request: &Request) -> bool {
        self.passed() || self.permitted && may_write(&request.interaction)
    }

    fn passed(&self) -> bool {
        self.decision == Decision::Allow || self.observe
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
