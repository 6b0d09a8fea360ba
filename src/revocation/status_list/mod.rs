//! Token Status Lists (draft-ietf-oauth-status-list): the issuer publishes a list of a few bits for
//! each token, and a token says at which place of which list its status stands.
//!
//! Lists are fetched only from where the configuration says, once a verified token names them, by one
//! instance for all ([`crate::store::Feed`]), and must be signed by the token's own issuer. A list is
//! judged when it is fetched: a key that leaves the issuer's set afterwards does not take it along.

mod directory;
mod document;
mod list;
mod loading;
mod settings;
mod statuses;
mod unpacking;

use core::time::Duration;
use std::collections::VecDeque;

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::revocation::{Freshness, reasons};
use crate::store::{
    self, CallFailed, Generation, HttpAnswer, HttpCall, InstanceId, Received, Status,
};
use crate::token::{Claims, Issuers, Keys, signed};
use directory::{Directory, Name, PLACES};
use list::{List, unknown};
use loading::{Loading, SLICE, Slice};
pub(super) use settings::Settings;

/// The list in which a token was last found valid, kept beside the cached token. As long as it is in
/// force nothing is read.
pub(super) type Checked = Option<Generation>;

/// One instance's view of the status lists.
#[derive(Debug)]
pub(super) struct StatusLists {
    settings: Settings,
    /// What each issuer is trusted to be.
    trust: Vec<(String, [u8; 32])>,
    /// What all its shared keys begin with.
    prefix: String,
    directory: Directory,
    /// The list at each place of the directory.
    lists: Vec<Option<List>>,
    /// Lists that tokens named and that have no place yet.
    wanted: Vec<Name>,
    /// Documents that were fetched and are not in force yet.
    loading: VecDeque<Loading>,
}

impl StatusLists {
    /// Nothing is read or fetched before a token names a list.
    pub(super) fn new(settings: Settings, issuers: &Issuers) -> StatusLists {
        let trusted = |name: &str| Some((name.to_owned(), signed::trust(name, issuers)?));
        let trust: Vec<_> = issuers.names().filter_map(trusted).collect();
        let prefix = prefix(&settings, &trust);
        StatusLists {
            settings,
            trust,
            directory: Directory::new(format!("{prefix}places")),
            prefix,
            lists: core::iter::repeat_with(|| None).take(PLACES).collect(),
            wanted: Vec::new(),
            loading: VecDeque::new(),
        }
    }

    /// Lets a token pass whose status is valid, and one that names no list where none is required.
    ///
    /// # Errors
    ///
    /// One of [`reasons`]. Those of a list that is on its way are pending.
    pub(super) fn check(
        &mut self,
        claims: &Claims,
        checked: &mut Checked,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        if !self.settings.is_used() {
            return Ok(Freshness::NoList);
        }
        let Some(status) = &claims.status else {
            return match self.settings.required {
                true => Err(Refusal::new(&reasons::TOKEN_STATUS_MISSING)),
                false => Ok(Freshness::NoList),
            };
        };
        if self.settings.covering(&status.uri).is_none() {
            return Err(Refusal::new(&reasons::TOKEN_STATUS_FOREIGN));
        }
        if self.settings.offline {
            return Ok(Freshness::Fresh);
        }
        let list = self.list_named(&claims.issuer, &status.uri, caps)?;
        list.named = true;
        list.judge(status.index, checked, caps)
    }

    /// The calls that this instance should make now: asked on every tick. Each comes with the place
    /// of its list; hand both back to [`StatusLists::answered`].
    pub(super) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(usize, HttpCall)> {
        self.tell_the_others(caps);
        let lists = self.lists.iter_mut().enumerate();
        let due = lists
            .filter_map(|(place, list)| Some((place, list.as_mut()?.feed.due(instance, caps)?)));
        due.collect()
    }

    /// Takes the answer to a call. What it brought is put in force by [`StatusLists::work`].
    pub(super) fn answered(
        &mut self,
        place: usize,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let list = self.lists.get_mut(place)?.as_mut()?;
        match list.feed.received(answer, caps) {
            Received::Unchanged(receipt) => {
                list.feed.finish(receipt, caps);
                None
            }
            Received::Gone(receipt) => {
                list.feed.reject(receipt, caps);
                Some(list.not_renewed("it is not there", caps))
            }
            Received::Failed(problem) => Some(list.not_renewed(&problem, caps)),
            Received::New { body, receipt } => {
                self.loading.push_back(Loading::new(place, list, body, receipt, caps.now()));
                None
            }
        }
    }

    /// Works on what was fetched, for one slice of time: on every tick.
    pub(super) fn work(
        &mut self,
        issuers: &Issuers,
        keys: &Keys,
        caps: &dyn Capabilities,
    ) -> Vec<Notice> {
        let until = caps.now().plus(SLICE);
        let (mut notices, mut is_first) = (Vec::new(), true);
        while let Some(loading) = self.loading.pop_front() {
            if loading.is_heavy() && !is_first {
                self.loading.push_front(loading);
                break;
            }
            let list = self.lists.get_mut(loading.place).and_then(Option::as_mut);
            let Some(list) = list else { continue };
            match loading.work(list, until, (issuers, keys), caps) {
                Slice::Partly(loading) => self.loading.push_front(loading),
                Slice::Waits(loading) => {
                    self.loading.push_back(loading);
                    break;
                }
                Slice::Done(notice) => notices.extend(notice),
            }
            if caps.now() >= until {
                break;
            }
            is_first = false;
        }
        notices
    }

    /// What is in force of all of them together: the oldest one's age, whether every one is fresh.
    /// `None`: no list may be asked.
    pub(super) fn status(&self, caps: &dyn Capabilities) -> Option<Status> {
        let now = caps.now();
        let lists = || self.lists.iter().flatten();
        let in_force = |list: &List| list.view.as_ref().ok().cloned().flatten();
        let problem = lists().find_map(|list| {
            let head = in_force(list).map(|list| list.head);
            list.feed.noted(head.as_ref(), caps)
        });
        self.settings.is_used().then(|| Status {
            source: "status lists".to_owned(),
            metric: "status_lists".to_owned(),
            version: None,
            age: lists().filter_map(in_force).map(|list| list.head.age(now)).max().or_else(|| {
                // Nothing is missing as long as no token named a list.
                lists().next().is_none().then_some(Duration::ZERO)
            }),
            entries: lists().count(),
            fresh: lists().all(|list| list.is_fresh(now)),
            problem,
        })
    }

    /// Whether the next tick should come soon: there is work left, or a list to be asked for.
    pub(super) fn busy(&self) -> bool {
        !self.loading.is_empty() || !self.wanted.is_empty()
    }

    /// Adopts what is in force: done on every tick.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) {
        if !self.settings.is_used() {
            return;
        }
        // While the directory can't be read, the lists that are known are looked after.
        if self.directory.refresh(caps).is_ok() {
            self.seat(caps.now());
        }
        for list in self.lists.iter_mut().flatten() {
            list.refresh(caps);
        }
    }

    /// The list that has this name. One that has no place is wanted from now on.
    fn list_named(
        &mut self,
        issuer: &str,
        uri: &str,
        caps: &dyn Capabilities,
    ) -> Result<&mut List, Refusal> {
        let mut place = self.place_of(issuer, uri);
        if place.is_none() {
            // Another instance may have given it one since the last tick.
            let read = self.directory.refresh(caps);
            read.map_err(|HostFailed| unknown(&reasons::REVOCATION_UNREADABLE))?;
            self.seat(caps.now());
            place = self.place_of(issuer, uri);
        }
        match place.and_then(|place| self.lists.get_mut(place)).and_then(Option::as_mut) {
            Some(list) => Ok(list),
            None if self.directory.is_full(caps.now()) => Err(unknown(&reasons::STATUS_LISTS_FULL)),
            None => {
                let name = Name { issuer: issuer.to_owned(), uri: uri.to_owned() };
                if self.wanted.len() < PLACES && !self.wanted.contains(&name) {
                    self.wanted.push(name);
                }
                Err(unknown(&reasons::STATUS_LIST_UNAVAILABLE).pending())
            }
        }
    }

    fn place_of(&self, issuer: &str, uri: &str) -> Option<usize> {
        self.lists.iter().position(|list| {
            list.as_ref().is_some_and(|list| list.name.uri == uri && list.name.issuer == issuer)
        })
    }

    /// Makes the lists of those who have a place now. What the directory says is checked like what a
    /// token says: nothing is fetched that the configuration does not name.
    fn seat(&mut self, now: Instant) {
        let places = self.directory.tenants(now).zip(&mut self.lists).enumerate();
        for (place, (tenant, list)) in places {
            let Some(tenant) = tenant else {
                *list = None;
                continue;
            };
            if list.as_ref().is_some_and(|list| list.is_of(tenant)) {
                continue;
            }
            let trust = self.trust.iter().find(|(name, _)| *name == tenant.name.issuer);
            let entry = self.settings.covering(&tenant.name.uri);
            *list = trust.zip(entry).and_then(|((_, trust), entry)| {
                List::new(tenant, entry, trust, format!("{}{place}/", self.prefix))
            });
        }
    }

    /// Writes into the directory which lists are wanted, and which are still named by tokens.
    fn tell_the_others(&mut self, caps: &dyn Capabilities) {
        let now = caps.now();
        let should_touch = |place: usize, list: &Option<List>| {
            list.as_ref().is_some_and(|list| list.named) && self.directory.should_touch(place, now)
        };
        let lists = self.lists.iter().enumerate();
        let named: Vec<usize> = lists
            .filter(|(place, list)| should_touch(*place, list))
            .map(|(place, _)| place)
            .collect();
        if self.wanted.is_empty() && named.is_empty() {
            return;
        }
        if self.directory.update(&self.wanted, &named, caps) != Ok(Written::Done) {
            return;
        }
        self.wanted.clear();
        for place in named {
            if let Some(Some(list)) = self.lists.get_mut(place) {
                list.named = false;
            }
        }
        self.seat(now);
        for list in self.lists.iter_mut().flatten() {
            list.refresh(caps);
        }
    }
}

/// Two configurations share places only when both would fetch the same lists in the same way and trust
/// the same issuers.
fn prefix(settings: &Settings, trust: &[(String, [u8; 32])]) -> String {
    let mut parts = vec!["status lists".to_owned()];
    for entry in &settings.entries {
        let most = entry.max_bytes.to_string();
        parts.extend([entry.cluster.clone(), entry.uri.clone(), most]);
    }
    parts.extend(trust.iter().map(|(_, trust)| format!("{trust:?}")));
    store::prefix(&parts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
