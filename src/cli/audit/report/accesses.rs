//! The accesses themselves, one by one.

use serde::Serialize;

use crate::base::time::UnixSeconds;
use crate::cli::audit::record::{Decision, Record, What};

/// Up to so many accesses.
#[derive(Debug)]
pub(super) struct Accesses {
    rows: Vec<(UnixSeconds, Access)>,
    limit: usize,
    left_out: u64,
}

/// One access.
#[derive(Debug, Serialize)]
pub(super) struct Access {
    pub(super) time: String,
    /// The record's id.
    pub(super) id: String,
    pub(super) decision: Decision,
    pub(super) reason: String,
    pub(super) issuer: Option<String>,
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) token: Option<String>,
    pub(super) method: Option<String>,
    pub(super) interaction: Option<String>,
    /// For example `Observation/1`, `Patient/123/$everything`.
    pub(super) resource: String,
    pub(super) patients: Vec<String>,
    pub(super) status: Option<u16>,
}

impl Accesses {
    pub(super) fn new(limit: usize) -> Accesses {
        Accesses { rows: Vec::new(), limit, left_out: 0 }
    }

    /// Keeps an access, as long as there is room.
    pub(super) fn add(&mut self, record: &Record<'_>, patients: &[&str], time: UnixSeconds) {
        if self.rows.len() < self.limit {
            self.rows.push((time, Access::of(record, patients)));
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// In the order of time, and how many there was no room for.
    pub(super) fn finish(mut self) -> (Vec<Access>, u64) {
        self.rows.sort_by(|(a, left), (b, right)| (a, &left.time).cmp(&(b, &right.time)));
        (self.rows.into_iter().map(|(_, access)| access).collect(), self.left_out)
    }
}

impl Access {
    fn of(record: &Record<'_>, patients: &[&str]) -> Access {
        let who = record.who.as_ref();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Access {
            time: record.time.to_string(),
            id: record.id.to_string(),
            decision: record.decision,
            reason: record.reason.to_string(),
            issuer: who.map(|who| who.issuer.to_string()),
            user: owned(record.user()),
            client: owned(who.and_then(|who| who.client.as_deref())),
            token: owned(who.and_then(|who| who.jti.as_deref())),
            method: owned(record.what.method.as_deref()),
            interaction: owned(record.what.interaction.as_deref()),
            resource: resource(&record.what),
            patients: patients.iter().map(|&id| id.to_owned()).collect(),
            status: record.outcome.status,
        }
    }
}

/// What was asked for, as a path.
pub(super) fn resource(what: &What<'_>) -> String {
    let parts = [&what.compartment, &what.resource_type, &what.id, &what.operation];
    let parts: Vec<&str> = parts.into_iter().filter_map(|part| part.as_deref()).collect();
    parts.join("/")
}

/// What was done, in a few words.
pub(super) fn done(access: &Access) -> String {
    let interaction =
        access.interaction.as_deref().or(access.method.as_deref()).unwrap_or_default();
    format!("{interaction} {}", access.resource).trim_end().to_owned()
}
