//! One status list as this instance sees it: what is in force of it, how fresh that is, and what it
//! says of a token.

use core::time::Duration;

use super::directory::{Name, Tenant};
use super::settings::Entry;
use super::statuses::{self, Found, Identity, Summary};
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::notice::Notice;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::Instant;
use crate::revocation::{Freshness, WhenStale, reasons};
use crate::store::{Feed, Generation, Head, HttpUrl, Source};

/// One list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) name: Name,
    pub(super) feed: Feed,
    pub(super) max_bytes: usize,
    /// Whether a token named it since that was last told to the others.
    pub(super) named: bool,
    /// A generation that could not be read back.
    pub(super) torn: Option<Generation>,
    pub(super) view: Result<Option<InForce>, HostFailed>,
    pub(super) identity: Identity,
    since: Instant,
    every: Duration,
    max_staleness: Duration,
    when_stale: WhenStale,
}

/// What is in force of it.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) head: Head,
    pub(super) summary: Summary,
}

impl List {
    /// The list of this tenant, whose shared keys begin with `prefix`. `trust` stands for its issuer,
    /// see [`crate::token::signed::trust`].
    pub(super) fn new(
        tenant: &Tenant,
        entry: &Entry,
        trust: &[u8; 32],
        prefix: String,
    ) -> Option<List> {
        let source = Source {
            name: "status list".to_owned(),
            cluster: entry.cluster.clone(),
            url: HttpUrl::read(&tenant.name.uri).ok()?,
            every: entry.every.min(LONGEST_DELAY),
            timeout: TIMEOUT,
            max_bytes: MAX_DOCUMENT,
            accept: "application/statuslist+jwt",
        };
        let mut feed = Feed::under(prefix, source);
        feed.renew_every(entry.every);
        Some(List {
            name: tenant.name.clone(),
            feed,
            max_bytes: entry.max_bytes,
            named: false,
            torn: None,
            view: Ok(None),
            identity: identity(tenant, entry, trust),
            since: tenant.since,
            every: entry.every,
            max_staleness: entry.max_staleness,
            when_stale: entry.when_stale,
        })
    }

    /// Whether this is still the tenant's.
    pub(super) fn is_of(&self, tenant: &Tenant) -> bool {
        self.name == tenant.name && self.since == tenant.since
    }

    /// Adopts what is in force. What an earlier tenant of the place left is nothing of this list, and
    /// is fetched over.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) {
        self.view = match self.feed.head(caps) {
            Ok(Some(head)) => {
                let generation = head.generation;
                let in_force = Summary::decode(&head.payload)
                    .filter(|summary| {
                        summary.identity == self.identity && head.fetched_at >= self.since
                    })
                    .map(|summary| InForce { head, summary });
                if in_force.is_none() {
                    self.feed.report_broken(generation);
                }
                Ok(in_force)
            }
            Ok(None) => Ok(None),
            Err(failed) => Err(failed),
        };
        if let Ok(Some(list)) = &self.view {
            self.feed.renew_every(period(list, self.every));
        }
    }

    /// By what list the token at `index` is live.
    ///
    /// # Errors
    ///
    /// One of [`reasons`].
    pub(super) fn judge(
        &mut self,
        index: u64,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        for _ in 0..2 {
            let freshness = self.freshness(caps)?;
            match self.look_up(index, checked, caps)? {
                Found::Valid => return Ok(freshness),
                Found::Suspended => return Err(Refusal::new(&reasons::TOKEN_SUSPENDED)),
                Found::Revoked => return Err(Refusal::new(&reasons::TOKEN_REVOKED)),
                Found::Unlisted => return Err(Refusal::new(&reasons::TOKEN_STATUS_UNLISTED)),
                // Either the list was replaced since the last tick, or it is torn indeed.
                Found::Torn => self.refresh(caps),
            }
        }
        if let Ok(Some(list)) = &self.view {
            self.torn = Some(list.head.generation);
            self.feed.report_broken(list.head.generation);
        }
        Err(unknown(&reasons::REVOCATION_TORN).pending())
    }

    /// Whether the list may be relied on. A view that may not is looked at anew first: another
    /// instance may have published since the last tick.
    ///
    /// A list that was never fetched is on its way, unless the last call for it failed; only then
    /// `when_stale: allow` lets a token pass without one.
    fn freshness(&mut self, caps: &dyn Capabilities) -> Result<Freshness, Refusal> {
        if !self.is_fresh(caps.now()) {
            self.refresh(caps);
        }
        let allow = self.when_stale == WhenStale::Allow;
        let reason = match &self.view {
            Ok(Some(_)) if self.is_fresh(caps.now()) => return Ok(Freshness::Fresh),
            Ok(Some(_)) if allow => return Ok(Freshness::StaleAllowed),
            Ok(Some(_)) => &reasons::STATUS_LIST_STALE,
            Ok(None) => &reasons::STATUS_LIST_UNAVAILABLE,
            Err(HostFailed) => return Err(unknown(&reasons::REVOCATION_UNREADABLE)),
        };
        // What failed before was for an earlier list at this place.
        let fails = self.feed.is_failing(caps) && self.feed.noted_since(self.since, caps);
        if fails && allow {
            return Ok(Freshness::StaleAllowed);
        }
        // One that was fetched a moment ago and is over already would be no better when fetched again.
        let comes = !fails && (matches!(self.view, Ok(None)) || self.feed.demand(caps.now(), caps));
        Err(if comes { unknown(reason).pending() } else { unknown(reason) })
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let fresh = |list: &InForce| {
            list.head.age(now) <= self.max_staleness && now < list.summary.good_until
        };
        matches!(&self.view, Ok(Some(list)) if fresh(list))
    }

    /// Looks the status up, unless it was found valid in this very list.
    fn look_up(
        &self,
        index: u64,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Found, Refusal> {
        // `freshness` lets nobody come here without a list unless `when_stale` is `allow`.
        let Ok(Some(InForce { head, summary })) = &self.view else { return Ok(Found::Valid) };
        if *checked == Some(head.generation) {
            return Ok(Found::Valid);
        }
        let found = statuses::look_up(index, &head.generation, summary, &self.feed, caps)
            .map_err(|HostFailed| unknown(&reasons::REVOCATION_UNREADABLE))?;
        *checked = Some(head.generation).filter(|_| found == Found::Valid);
        Ok(found)
    }

    /// That a call brought nothing: for the log, and for whoever asks what is wrong.
    pub(super) fn not_renewed(&self, problem: &str, caps: &dyn Capabilities) -> Notice {
        self.feed.note(&format!("`{}`: {problem}", self.name.uri), caps);
        let left = match &self.view {
            Ok(Some(_)) => "the last good one stays in force until it is stale",
            _ => "there is none in force",
        };
        Notice::warn(format!("status list `{}`: {problem}; {left}", self.name.uri))
    }
}

/// A refusal that passes with the next list.
pub(super) fn unknown(reason: &'static Reason) -> Refusal {
    Refusal::new(reason).retry_after(RETRY_AFTER)
}

/// From one fetch to the next: its `ttl` within bounds, and sooner when it ends before that.
fn period(list: &InForce, every: Duration) -> Duration {
    let left = list.summary.good_until.since(list.head.fetched_at).mul_f32(0.75);
    list.summary.ttl.unwrap_or(every).min(left).max(SHORTEST).min(every)
}

fn identity(tenant: &Tenant, entry: &Entry, trust: &[u8; 32]) -> Identity {
    let mut hash = hmac_sha256::Hash::new();
    hash.update(trust);
    for part in [&entry.cluster, &tenant.name.uri] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.update(u64::try_from(entry.max_bytes).unwrap_or(u64::MAX).to_be_bytes());
    hash.finalize()
}

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest list as it is fetched. Packed twice over, by zlib and by base64, a million statuses of one
/// bit take at most 240 KB.
const MAX_DOCUMENT: usize = 1024 * 1024;
/// Longest delay after failures.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// No `ttl` and no `exp` makes the filter ask more often, unless `every` does.
const SHORTEST: Duration = Duration::from_secs(10);
/// When a client should try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
