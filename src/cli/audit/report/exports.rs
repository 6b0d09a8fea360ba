//! Bulk exports: who asked for what, and what became of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::accesses::resource;
use super::words;
use crate::base::time::UnixSeconds;
use crate::cli::audit::record::{Decision, Record};

/// Requests of exports, those of one token for the same joined.
#[derive(Debug, Default)]
pub(super) struct Exports {
    rows: BTreeMap<Who, Told>,
    left_out: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    issuer: String,
    client: String,
    user: String,
    token: String,
    request: String,
}

#[derive(Debug)]
struct Told {
    requests: u64,
    refused: u64,
    statuses: BTreeMap<u16, u64>,
    bytes: u64,
    removed: u64,
    first: UnixSeconds,
    last: UnixSeconds,
}

/// Requests of one token for the same: a kick-off, its status or its files.
#[derive(Debug, Serialize)]
pub(super) struct Export {
    pub(super) issuer: String,
    pub(super) client: String,
    pub(super) user: String,
    pub(super) token: String,
    /// Method and path, for example `GET Group/7/$export`. Status and files are `$export` as well.
    pub(super) request: String,
    pub(super) requests: u64,
    pub(super) refused: u64,
    /// How often the answer had this status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Bytes of all answers.
    pub(super) bytes: u64,
    /// Lines removed from the files.
    pub(super) removed: u64,
    pub(super) first: String,
    pub(super) last: String,
}

impl Exports {
    /// Counts a record when it is of an export.
    pub(super) fn add(&mut self, record: &Record<'_>, time: UnixSeconds) {
        if record.what.operation.as_deref() != Some("$export") {
            return;
        }
        let who = Who::of(record);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&who) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.rows.entry(who).or_insert_with(|| Told::new(time)).add(record, time);
    }

    /// In the order of time, and how many requests there was no room for.
    pub(super) fn finish(self) -> (Vec<Export>, u64) {
        let mut rows: Vec<Export> = self.rows.into_iter().map(|(who, told)| told.of(who)).collect();
        rows.sort_by(|a, b| (&a.first, &a.last).cmp(&(&b.first, &b.last)));
        (rows, self.left_out)
    }
}

impl Who {
    fn of(record: &Record<'_>) -> Who {
        let who = record.who.as_ref();
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let method = record.what.method.as_deref().unwrap_or_default();
        Who {
            issuer: owned(who.map(|who| &*who.issuer)),
            client: owned(who.and_then(|who| who.client.as_deref())),
            user: owned(record.user()),
            token: owned(who.and_then(|who| who.jti.as_deref())),
            request: format!("{method} {}", resource(&record.what)),
        }
    }
}

impl Told {
    fn new(time: UnixSeconds) -> Told {
        let statuses = BTreeMap::new();
        Told { requests: 0, refused: 0, statuses, bytes: 0, removed: 0, first: time, last: time }
    }

    fn add(&mut self, record: &Record<'_>, time: UnixSeconds) {
        self.requests = self.requests.saturating_add(1);
        let refused = u64::from(record.decision != Decision::Allow);
        self.refused = self.refused.saturating_add(refused);
        if let Some(status) = record.outcome.status {
            let count = self.statuses.entry(status).or_default();
            *count = count.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(record.outcome.bytes);
        self.removed = self.removed.saturating_add(record.removed.unwrap_or_default());
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    fn of(self, who: Who) -> Export {
        Export {
            issuer: who.issuer,
            client: who.client,
            user: who.user,
            token: who.token,
            request: who.request,
            requests: self.requests,
            refused: self.refused,
            statuses: self.statuses,
            bytes: self.bytes,
            removed: self.removed,
            first: words::time(self.first),
            last: words::time(self.last),
        }
    }
}

/// Most rows that are remembered.
const MAX_ROWS: usize = 10_000;
