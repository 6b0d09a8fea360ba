//! An entry of a batch, as its audit event tells it.

use std::collections::BTreeSet;

use super::asked::{named, narrowed, patient_of, what};
use crate::audit::{self, Outcome};
use crate::fhir::{Request, bundle};
use crate::policy::Permit;

/// An entry of a batch.
#[derive(Debug)]
pub(super) struct Entry {
    method: Vec<u8>,
    pub(super) request: Request,
    scopes: Vec<String>,
    narrowed: Vec<String>,
    confined_to: Option<String>,
    /// Of its own answer.
    pub(super) status: Option<u16>,
}

impl Entry {
    /// This entry, which is permitted, if it is, by this.
    pub(super) fn new(entry: bundle::Entry<'_>, permit: Option<&Permit>) -> Entry {
        let scope = permit.and_then(Permit::allowed_by);
        Entry {
            method: entry.head.headers().all(":method").next().unwrap_or_default().to_vec(),
            scopes: scope.map(str::to_owned).into_iter().collect(),
            narrowed: permit.map(narrowed).unwrap_or_default(),
            confined_to: permit.and_then(patient_of),
            request: entry.request,
            status: None,
        }
    }

    /// The event of this entry, which otherwise is like `event`.
    pub(super) fn of<'a>(&'a self, event: audit::Event<'a>) -> audit::Event<'a> {
        audit::Event {
            what: what(Some(&self.method), &self.request),
            outcome: Outcome { status: self.status, ..event.outcome },
            scopes: self.scopes.iter().map(String::as_str).collect(),
            narrowed: self.narrowed.iter().map(String::as_str).collect(),
            ..event
        }
    }

    /// Whose data it asks for.
    pub(super) fn patients(&self) -> BTreeSet<&str> {
        named(&self.request).into_iter().chain(self.confined_to.as_deref()).collect()
    }
}
