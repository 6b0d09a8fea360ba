//! Stage 5: whether the token was revoked.
//!
//! Each source is a folder of its own. A list that can't be read whole leaves the last good one in force; one
//! that is too old, or none at all, refuses requests or, when `when_stale` is `allow`, lets them through
//! marked as such.

mod events;
mod list;
pub mod reasons;
mod settings;
mod status_list;

pub use settings::{Settings, WhenStale};

use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::binding::BoundToken;
use crate::store::{CallFailed, Generation, HttpAnswer, HttpCall, InstanceId, Status};
use crate::token::{Claims, Issuers, Keys};
use events::Events;
use list::List;
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
    let listed_as = match &mut revocation.list {
        Some(list) => list.judge(token.claims(), &mut checked.list, caps)?,
        None => Freshness::NoList,
    };
    let status = revocation.statuses.check(token.claims(), &mut checked.status, caps)?;
    let events = revocation.events.check(token.claims(), &mut checked.events, caps)?;
    Ok(LiveToken { token, listed_as: listed_as.and(status).and(events) })
}

/// One instance's view of what tells revoked tokens.
#[derive(Debug)]
pub struct Revocation {
    list: Option<List>,
    statuses: StatusLists,
    events: Events,
    /// Whose turn it is when both have work: the status lists'.
    turn: bool,
}

impl Revocation {
    /// `None`: revocation is not configured.
    pub fn new(settings: Option<Settings>, issuers: &Issuers) -> Revocation {
        let Settings { list, statuses, events } = settings.unwrap_or_default();
        Revocation {
            list: list.map(List::new),
            statuses: StatusLists::new(statuses, issuers),
            events: Events::new(events, issuers),
            turn: false,
        }
    }

    /// The calls to make now, if it is this instance's turn: asked on every tick.
    pub fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(Which, HttpCall)> {
        let list = self.list.as_mut().and_then(|list| list.due(instance, caps));
        let mut calls: Vec<_> = list.map(|call| (Which::List, call)).into_iter().collect();
        let statuses = self.statuses.due(instance, caps);
        calls.extend(statuses.into_iter().map(|(place, call)| (Which::Status(place), call)));
        let events = self.events.due(instance, caps);
        calls.extend(events.into_iter().map(|(place, call)| (Which::Events(place), call)));
        calls
    }

    /// Takes the answer to a call; gives what an operator should read of it. What is long is done in
    /// slices, by [`Revocation::work`].
    pub fn answered(
        &mut self,
        which: Which,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        match which {
            Which::List => self.list.as_mut()?.answered(answer, caps),
            Which::Status(place) => self.statuses.answered(place, answer, caps),
            Which::Events(place) => self.events.answered(place, answer, caps),
        }
    }

    /// Whether there is work to do in slices: [`Revocation::work`] should be called again in a few
    /// milliseconds.
    pub fn busy(&self) -> bool {
        self.list.as_ref().is_some_and(List::busy) || self.statuses.busy() || self.events.busy()
    }

    /// Does a slice of work, at most five milliseconds of it, for each source in turn; gives what an
    /// operator should read of it. Called on every tick, busy or not.
    pub fn work(&mut self, issuers: &Issuers, keys: &Keys, caps: &dyn Capabilities) -> Vec<Notice> {
        // Few, and what they revoke should not wait.
        if self.events.busy() {
            return self.events.work(issuers, keys, caps);
        }
        self.turn = !self.turn;
        let list_is_busy = self.list.as_ref().is_some_and(List::busy);
        if list_is_busy && self.turn && self.statuses.busy() {
            return self.statuses.work(issuers, keys, caps);
        }
        let listed = self.list.as_mut().and_then(|list| list.work(caps));
        let mut notices: Vec<Notice> = listed.into_iter().collect();
        if !list_is_busy {
            notices.extend(self.statuses.work(issuers, keys, caps));
        }
        notices.extend(self.events.work(issuers, keys, caps));
        notices
    }

    /// What is in force of the sources.
    pub fn statuses(&self, caps: &dyn Capabilities) -> Vec<Status> {
        let list = self.list.as_ref().map(|list| list.status(caps));
        let sources = list.into_iter().chain(self.statuses.status(caps));
        sources.chain(self.events.statuses(caps)).collect()
    }

    /// Adopts what is in force: done on every tick.
    pub fn refresh(&mut self, caps: &dyn Capabilities) {
        if let Some(list) = &mut self.list {
            list.refresh(caps);
        }
        self.statuses.refresh(caps);
        self.events.refresh(caps);
    }
}
