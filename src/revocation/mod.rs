//! Stage 5: whether the token was revoked.
//!
//! One instance pulls the list for all ([`Feed`]) and writes it to shared data; every instance looks
//! tokens up there, each token once for each list. A list that can't be read whole leaves the last
//! good one in force; one that is too old, or none at all, refuses requests or, when `when_stale` is
//! `allow`, lets them through marked as such.

mod entry;
mod events;
mod index;
mod list;
pub mod reasons;
mod settings;
mod status_list;

use core::time::Duration;

pub use settings::{Settings, WhenStale};

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::notice::Notice;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::Instant;
use crate::binding::BoundToken;
use crate::store::{
    CallFailed, Feed, Fetched, Generation, Head, HttpAnswer, HttpCall, InstanceId, Receipt,
};
use crate::token::{Claims, Issuers, Keys};
use events::Events;
use index::{Found, Index, Summary};
use status_list::StatusLists;

/// Proof that the token was not revoked, as far as a list that is fresh enough tells.
#[derive(Debug, Clone)]
pub struct LiveToken {
    token: BoundToken,
    listed_as: Freshness,
}

impl LiveToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// What that is worth: for the audit record.
    pub const fn listed_as(&self) -> Freshness {
        self.listed_as
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> LiveToken {
        LiveToken { token: BoundToken::for_tests(claims), listed_as: Freshness::NoList }
    }
}

/// By what list a token was found live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// By one no older than `max_staleness`.
    Fresh,
    /// By an older one or, before the first, by none: `when_stale` is `allow`.
    StaleAllowed,
    /// By none: none is configured that the token would be looked up in.
    NoList,
}

impl Freshness {
    /// What two sources together are worth: what the weaker one is, a source that was not asked aside.
    const fn and(self, other: Freshness) -> Freshness {
        match (self, other) {
            (Freshness::StaleAllowed, _) | (_, Freshness::StaleAllowed) => Freshness::StaleAllowed,
            (Freshness::NoList, other) => other,
            (Freshness::Fresh, _) => Freshness::Fresh,
        }
    }

    /// The word of the audit record.
    pub const fn word(self) -> &'static str {
        match self {
            Freshness::Fresh => "fresh",
            Freshness::StaleAllowed => "stale_allowed",
            Freshness::NoList => "no_list",
        }
    }
}

/// By what a token was last found live, kept beside the cached token: as long as that is in force
/// nothing is read for it. The default: it was never looked up.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The revocation list.
    list: Option<Generation>,
    /// Its status list.
    status: status_list::Checked,
    /// The events.
    events: events::Checked,
}

/// What a call was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The revocation list.
    List,
    /// The status list that has this place.
    Status(usize),
    /// The stream of events that has this place.
    Events(usize),
}

/// Lets a token pass that no source says is revoked.
///
/// # Errors
///
/// [`reasons::TOKEN_REVOKED`]; the others of [`reasons`] when that can't be told.
pub fn check(
    token: BoundToken,
    revocation: &mut Revocation,
    checked: &mut Checked,
    caps: &dyn Capabilities,
) -> Result<LiveToken, Refusal> {
    let listed_as = match &mut revocation.watch {
        Some(watch) => watch.judge(token.claims(), &mut checked.list, caps)?,
        None => Freshness::NoList,
    };
    let status = revocation.statuses.check(token.claims(), &mut checked.status, caps)?;
    let events = revocation.events.check(token.claims(), &mut checked.events, caps)?;
    Ok(LiveToken { token, listed_as: listed_as.and(status).and(events) })
}

/// One instance's view of the revocation list.
#[derive(Debug)]
pub struct Revocation {
    watch: Option<Watch>,
    statuses: StatusLists,
    events: Events,
}

impl Revocation {
    /// `None`: revocation is not configured.
    pub fn new(settings: Option<Settings>, issuers: &Issuers) -> Revocation {
        let Settings { list, statuses, events } = settings.unwrap_or_default();
        let watch = list.map(|settings| Watch {
            feed: Feed::new(settings.source),
            max_staleness: settings.max_staleness,
            when_stale: settings.when_stale,
            view: Ok(None),
        });
        let statuses = StatusLists::new(statuses, issuers);
        Revocation { watch, statuses, events: Events::new(events, issuers) }
    }

    /// The calls to make now, if it is this instance's turn: asked on every tick, see [`Feed::due`].
    pub fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(Which, HttpCall)> {
        let list = self.watch.as_mut().and_then(|watch| watch.feed.due(instance, caps));
        let mut calls: Vec<_> = list.map(|call| (Which::List, call)).into_iter().collect();
        let statuses = self.statuses.due(instance, caps);
        calls.extend(statuses.into_iter().map(|(place, call)| (Which::Status(place), call)));
        let events = self.events.due(instance, caps);
        calls.extend(events.into_iter().map(|(place, call)| (Which::Events(place), call)));
        calls
    }

    /// Whether there is work to do in slices: [`Revocation::work`] should be called again soon.
    pub fn busy(&self) -> bool {
        self.statuses.busy() || self.events.busy()
    }

    /// Does a slice of work, a few milliseconds at most; gives what an operator should read of it.
    pub fn work(&mut self, issuers: &Issuers, keys: &Keys, caps: &dyn Capabilities) -> Vec<Notice> {
        let mut notices = self.statuses.work(issuers, keys, caps);
        notices.extend(self.events.work(issuers, keys, caps));
        notices
    }

    /// Takes the answer to a call: reads the list and puts it in force for all instances.
    pub fn answered(
        &mut self,
        which: Which,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        match which {
            Which::Status(place) => return self.statuses.answered(place, answer, caps),
            Which::Events(place) => return self.events.answered(place, answer, caps),
            Which::List => (),
        }
        let watch = self.watch.as_mut()?;
        let notice = match watch.feed.answered(answer, caps) {
            Fetched::Unchanged => None,
            Fetched::Failed(problem) => Some(watch.not_renewed(&problem)),
            Fetched::New { body, receipt } => watch.load(&body, receipt, caps),
        };
        watch.refresh(caps);
        notice
    }

    /// Adopts what is in force: done on every tick.
    pub fn refresh(&mut self, caps: &dyn Capabilities) {
        if let Some(watch) = &mut self.watch {
            watch.refresh(caps);
        }
        self.statuses.refresh(caps);
        self.events.refresh(caps);
    }
}

/// The list, as it is configured and as it was last seen.
#[derive(Debug)]
struct Watch {
    feed: Feed,
    max_staleness: Duration,
    when_stale: WhenStale,
    view: Result<Option<InForce>, HostFailed>,
}

/// The list in force.
#[derive(Debug, Clone)]
struct InForce {
    head: Head,
    summary: Summary,
}

impl Watch {
    /// By what list the token is live.
    fn judge(
        &mut self,
        claims: &Claims,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        for _ in 0..2 {
            let freshness = self.freshness(caps)?;
            match self.look_up(claims, checked, caps)? {
                Found::Nothing => return Ok(freshness),
                Found::Revoked => return Err(Refusal::new(&reasons::TOKEN_REVOKED)),
                // Either the list was replaced since the last tick, or it is torn indeed.
                Found::Torn => self.refresh(caps),
            }
        }
        if let Ok(Some(list)) = &self.view {
            self.feed.report_broken(list.head.generation);
        }
        Err(self.unknown(&reasons::REVOCATION_TORN))
    }

    /// Whether the list may be relied on. A view that may not is looked at anew first: another
    /// instance may have published since the last tick.
    fn freshness(&mut self, caps: &dyn Capabilities) -> Result<Freshness, Refusal> {
        if !self.is_fresh(caps.now()) {
            self.refresh(caps);
        }
        let reason = match &self.view {
            Ok(_) if self.is_fresh(caps.now()) => return Ok(Freshness::Fresh),
            Ok(_) if self.when_stale == WhenStale::Allow => return Ok(Freshness::StaleAllowed),
            Ok(Some(_)) => &reasons::REVOCATION_STALE,
            Ok(None) => &reasons::REVOCATION_UNAVAILABLE,
            Err(HostFailed) => &reasons::REVOCATION_UNREADABLE,
        };
        Err(self.unknown(reason))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        matches!(&self.view, Ok(Some(list)) if list.head.age(now) <= self.max_staleness)
    }

    /// Looks the token up, unless it was found live by this very list.
    fn look_up(
        &self,
        claims: &Claims,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Found, Refusal> {
        let unreadable = |HostFailed| self.unknown(&reasons::REVOCATION_UNREADABLE);
        let view = self.view.as_ref().map_err(|failed| unreadable(*failed))?;
        // `freshness` lets nobody come here without a list unless `when_stale` is `allow`.
        let Some(InForce { head, summary }) = view else { return Ok(Found::Nothing) };
        if *checked == Some(head.generation) {
            return Ok(Found::Nothing);
        }
        let found = index::look_up(claims, &head.generation, summary, &self.feed, caps);
        let found = found.map_err(unreadable)?;
        *checked = Some(head.generation).filter(|_| found == Found::Nothing);
        Ok(found)
    }

    /// A refusal that passes with the next list.
    fn unknown(&self, reason: &'static Reason) -> Refusal {
        Refusal::new(reason).retry_after(self.feed.source().every.max(Duration::from_secs(1)))
    }

    fn refresh(&mut self, caps: &dyn Capabilities) {
        self.view = match self.feed.head(caps) {
            Ok(Some(head)) => {
                let generation = head.generation;
                let list = InForce::read(head);
                if list.is_none() {
                    self.feed.report_broken(generation);
                }
                list.map(Some).ok_or(HostFailed)
            }
            Ok(None) => Ok(None),
            Err(failed) => Err(failed),
        };
    }

    /// Reads a new list and puts it in force.
    fn load(&mut self, body: &[u8], receipt: Receipt, caps: &dyn Capabilities) -> Option<Notice> {
        let generation = Generation::draw(caps);
        let list = match list::read(body, Index::new(generation), caps.now()) {
            Ok(list) => list,
            Err(problem) => {
                self.feed.reject(receipt, caps);
                return Some(self.not_renewed(&format!("it can't be used: {problem}")));
            }
        };
        self.refresh(caps);
        let in_force = self.view.as_ref().ok().and_then(Option::as_ref);
        let version = list.version.unwrap_or_default();
        let summary =
            list.index.write(in_force.map(|list| &list.summary), version, &self.feed, caps);
        let Ok(summary) = summary else {
            self.feed.reject(receipt, caps);
            return Some(self.not_renewed("the host's shared data failed"));
        };
        match self.feed.publish(receipt, generation, summary.encode(), caps) {
            Ok(Written::Done) => Some(Notice::info(format!(
                "revocation list, version `{}`: {} entries are in force, {} are over",
                summary.version,
                list.index.len(),
                list.read.saturating_sub(list.index.len())
            ))),
            Ok(Written::Raced) => None,
            Err(HostFailed) => Some(self.not_renewed("the host's shared data failed")),
        }
    }

    fn not_renewed(&self, problem: &str) -> Notice {
        let source = self.feed.source();
        let left = match &self.view {
            Ok(Some(_)) => "the last good one stays in force",
            _ => "there is none in force",
        };
        Notice::warn(format!("revocation list from `{}`: {problem}; {left}", source.url))
    }
}

impl InForce {
    fn read(head: Head) -> Option<InForce> {
        let summary = Summary::decode(&head.payload)?;
        Some(InForce { head, summary })
    }
}

#[cfg(test)]
mod tests;
