//! The keys of every issuer, as one instance of the filter holds them: inline sets from the start,
//! remote ones as soon as the elected instance has fetched them.
//!
//! A fetched set that can be read replaces the one before, so a key that is no longer in it is
//! distrusted at once. A fetch that fails, or brings something else than a set with a usable key, leaves
//! the last good set in force, until it is older than `max_staleness`. Before the first set every token
//! of that issuer is refused with 503.
//!
//! A token that names a key which is not in the set may be signed by a newer one: the set is fetched
//! before its time, once for all who ask, and the request waits for it.

use core::time::Duration;
use std::rc::Rc;

use super::discovery::Discovery;
use super::issuers::{Issuer, Issuers, KeySource, Place, RemoteKeys};
use super::jwe::DecryptionKeys;
use super::jwk::Unusable;
use super::jwks::{KeySet, MAX_DOCUMENT, Reading};
use super::key::Fingerprint;
use super::reasons;
use crate::base::capabilities::{Capabilities, Written};
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::store::{
    CallFailed, Feed, Fetched, Generation, Head, HttpAnswer, HttpCall, HttpUrl, InstanceId, Source,
    Status,
};

/// The key sets of one instance, one for each issuer.
#[derive(Debug)]
pub struct Keys {
    issuers: Vec<IssuerKeys>,
    /// Ours: for tokens that were encrypted for us.
    pub(super) decryption: DecryptionKeys,
}

/// What a call asks for: something of the issuer at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Its key set.
    Set(usize),
    /// Its metadata, which says where the set is.
    Metadata(usize),
}

/// The key that signed a token: the place of its issuer, and the key itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) issuer: usize,
    pub(super) key: Fingerprint,
}

#[derive(Debug)]
struct IssuerKeys {
    name: String,
    set: Option<Rc<KeySet>>,
    /// Where its metadata says the set is.
    discovery: Option<Discovery>,
    feed: Option<Feed>,
    max_staleness: Duration,
    seen: Option<Generation>,
    /// Of the fetched set in force: which it is, and when its server last had it.
    fetched: Option<(Generation, Instant)>,
    stale: bool,
}

impl Keys {
    /// Inline sets are ready at once, remote ones wait for [`Keys::refresh`].
    pub fn new(issuers: &Issuers) -> Keys {
        Keys {
            issuers: issuers.iter().map(IssuerKeys::new).collect(),
            decryption: DecryptionKeys::new(
                issuers.iter().map(|issuer| issuer.encryption.as_ref()),
            ),
        }
    }

    /// The calls that this instance should make now: asked on every tick. Each comes with what it asks
    /// for; hand both back to [`Keys::answered`], also when the call can't be sent.
    pub fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(Asked, HttpCall)> {
        let due = self.issuers.iter_mut().enumerate();
        due.flat_map(|(place, issuer)| issuer.due(place, instance, caps)).collect()
    }

    /// Takes the answer to a call, and publishes what is in it for every instance.
    pub fn answered(
        &mut self,
        asked: Asked,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let (Asked::Set(place) | Asked::Metadata(place)) = asked;
        let issuer = self.issuers.get_mut(place)?;
        match (asked, &mut issuer.discovery) {
            (Asked::Set(_), _) => issuer.answered(answer, caps),
            (Asked::Metadata(_), Some(discovery)) => {
                let problem = discovery.answered(&issuer.name, answer, caps)?;
                Some(issuer.failed(&problem, caps))
            }
            (Asked::Metadata(_), None) => None,
        }
    }

    /// Adopts what was published: at the start and on every tick. True when a set changed: then drop
    /// cached tokens with [`TokenCache::retain_trusted`].
    ///
    /// [`TokenCache::retain_trusted`]: super::TokenCache::retain_trusted
    pub fn refresh(&mut self, caps: &dyn Capabilities) -> bool {
        let mut changed = false;
        for issuer in &mut self.issuers {
            changed |= issuer.refresh(caps);
        }
        changed
    }

    /// What is in force of the keys that are fetched.
    pub fn statuses(&self, caps: &dyn Capabilities) -> Vec<Status> {
        let issuers = self.issuers.iter().enumerate();
        issuers.filter_map(|(place, issuer)| issuer.status(place, caps)).collect()
    }

    /// The keys of the issuer at this place.
    pub(super) fn of(&self, issuer: usize) -> Result<&KeySet, Refusal> {
        let issuer = self.issuers.get(issuer);
        if let Some(set) = issuer.and_then(|issuer| issuer.set.as_deref()) {
            return Ok(set);
        }
        let stale = issuer.is_some_and(|issuer| issuer.stale);
        let reason = if stale { &reasons::KEYS_STALE } else { &reasons::KEYS_UNAVAILABLE };
        Err(Refusal::new(reason).retry_after(RETRY_AFTER).pending())
    }

    /// The refusal of a key that is not in the set of the issuer at this place. A newer set may have it.
    pub(super) fn unknown(&self, issuer: usize, caps: &dyn Capabilities) -> Refusal {
        let coming = |issuer: &IssuerKeys| issuer.is_behind(caps) || issuer.demands(caps);
        match self.issuers.get(issuer).is_some_and(coming) {
            true => Refusal::new(&reasons::KEYS_ON_THEIR_WAY).retry_after(RETRY_AFTER).pending(),
            false => Refusal::new(&reasons::TOKEN_KEY_UNKNOWN),
        }
    }

    /// Whether the key that signed a token is still the issuer's.
    pub(super) fn trusts(&self, signer: &Signer) -> bool {
        self.of(signer.issuer).is_ok_and(|set| set.holds(&signer.key))
    }
}

impl IssuerKeys {
    fn new(issuer: &Issuer) -> IssuerKeys {
        let mut keys = IssuerKeys {
            name: issuer.name.clone(),
            set: None,
            discovery: None,
            feed: None,
            max_staleness: Duration::MAX,
            seen: None,
            fetched: None,
            stale: false,
        };
        match &issuer.keys {
            KeySource::Inline(set) => keys.set = Some(Rc::clone(set)),
            KeySource::Remote(remote) => {
                keys.max_staleness = remote.max_staleness;
                match &remote.place {
                    Place::Url(url) => keys.feed = Some(Feed::new(source(issuer, remote, url))),
                    Place::Metadata(url) => {
                        keys.discovery = Some(Discovery::new(issuer, remote, url));
                    }
                }
            }
        }
        keys
    }

    fn due(
        &mut self,
        place: usize,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(Asked, HttpCall)> {
        let set = self.feed.as_mut().and_then(|feed| feed.due(instance, caps));
        let metadata = self.discovery.as_mut().and_then(|metadata| metadata.due(instance, caps));
        let set = set.map(|call| (Asked::Set(place), call));
        set.into_iter().chain(metadata.map(|call| (Asked::Metadata(place), call))).collect()
    }

    fn answered(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let feed = self.feed.as_mut()?;
        let (body, receipt) = match feed.answered(answer, caps) {
            Fetched::Unchanged => return None,
            Fetched::Failed(why) => return Some(self.failed(&why, caps)),
            Fetched::New { body, receipt } => (body, receipt),
        };
        let reading = match KeySet::parse(&body) {
            Ok(reading) if reading.set.len() > 0 => reading,
            unusable => {
                feed.reject(receipt, caps);
                let why = unusable.err().unwrap_or_else(|| "no key in it can be used".to_owned());
                return Some(self.failed(&why, caps));
            }
        };
        match feed.publish(receipt, Generation::draw(caps), body, caps) {
            Ok(Written::Done) => Some(self.published(&reading)),
            Ok(Written::Raced) => None,
            Err(_) => Some(self.failed("the host's shared data failed", caps)),
        }
    }

    /// Adopts the set in force: whether it is another one than before.
    fn refresh(&mut self, caps: &dyn Capabilities) -> bool {
        self.discover(caps);
        let head = self.feed.as_ref().and_then(|feed| feed.head(caps).ok()?);
        let adopted = head.is_some_and(|head| self.adopt(&head, caps.now()));
        let dropped = self.drop_outlived(caps.now());
        adopted || dropped
    }

    /// Follows the metadata; but the answer to a call under way is that of the place it was sent to.
    fn discover(&mut self, caps: &dyn Capabilities) {
        let is_calling = self.feed.as_ref().is_some_and(|feed| feed.is_calling(caps.now()));
        if let Some(discovery) = self.discovery.as_mut().filter(|_| !is_calling)
            && let Some(source) = discovery.found(caps)
        {
            self.feed = Some(Feed::new(source));
        }
    }

    fn adopt(&mut self, head: &Head, now: Instant) -> bool {
        let fetched = Some((head.generation, head.fetched_at));
        if self.fetched.is_some_and(|(generation, _)| generation == head.generation) {
            self.fetched = fetched;
        }
        let stale = head.age(now) > self.max_staleness;
        if self.seen == Some(head.generation) && self.stale == stale {
            return false;
        }
        (self.seen, self.stale) = (Some(head.generation), stale);
        if stale {
            return self.set.take().is_some();
        }
        match KeySet::parse(&head.payload) {
            Ok(reading) => {
                (self.set, self.fetched) = (Some(Rc::new(reading.set)), fetched);
                true
            }
            Err(_) => {
                self.feed.iter_mut().for_each(|feed| feed.report_broken(head.generation));
                false
            }
        }
    }

    /// A set gets stale too when nothing is published that tells its age: shared data was lost, or the
    /// metadata names another place where no set is.
    fn drop_outlived(&mut self, now: Instant) -> bool {
        let age = |fetched: Instant| now.since(fetched).max(fetched.since(now));
        if self.fetched.is_none_or(|(_, fetched)| age(fetched) <= self.max_staleness) {
            return false;
        }
        (self.fetched, self.stale) = (None, true);
        self.set.take().is_some()
    }

    /// The set's source or, as long as that is not known, where it would be found.
    fn source(&self) -> Option<&Feed> {
        self.feed.as_ref().or(self.discovery.as_ref().map(Discovery::feed))
    }

    /// What is in force of an issuer's fetched keys.
    fn status(&self, place: usize, caps: &dyn Capabilities) -> Option<Status> {
        let head = self.feed.as_ref().and_then(|feed| feed.head(caps).ok()?);
        Some(Status {
            source: format!("keys of {}", self.name),
            metric: format!("keys.{place}"),
            version: None,
            age: head.as_ref().map(|head| head.age(caps.now())),
            entries: self.set.as_ref().map_or(0, |set| set.len()),
            fresh: self.set.is_some(),
            problem: self.source()?.noted(head.as_ref(), caps),
        })
    }

    /// Whether another instance published a set that this one has not adopted yet.
    fn is_behind(&self, caps: &dyn Capabilities) -> bool {
        let head = self.feed.as_ref().and_then(|feed| feed.head(caps).ok()?);
        head.is_some_and(|head| Some(head.generation) != self.seen)
    }

    fn demands(&self, caps: &dyn Capabilities) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.demand(caps.now(), caps))
    }

    fn failed(&self, why: &str, caps: &dyn Capabilities) -> Notice {
        if let Some(feed) = self.source() {
            feed.note(why, caps);
        }
        let now = match self.set {
            Some(_) => "the last good keys stay in force",
            None => "its tokens are refused",
        };
        Notice::warn(format!("no new keys of issuer `{}`: {why}; {now}", self.name))
    }

    fn published(&self, reading: &Reading) -> Notice {
        let usable = reading.set.len();
        let mut text = format!("new keys of issuer `{}`: {usable} in force", self.name);
        for (place, why) in &reading.left_out {
            text.push_str(&format!("; keys/{place} is not used: {}", why.why()));
        }
        let is_bad = |(_, why): &(usize, Unusable)| matches!(why, Unusable::Bad(_));
        match usable == 0 || reading.left_out.iter().any(is_bad) {
            true => Notice::warn(text),
            false => Notice::info(text),
        }
    }
}

/// Where the set of an issuer is pulled from.
pub(super) fn source(issuer: &Issuer, remote: &RemoteKeys, url: &HttpUrl) -> Source {
    Source {
        name: format!("keys of {}", issuer.name),
        cluster: remote.cluster.clone(),
        url: url.clone(),
        every: remote.refresh,
        timeout: TIMEOUT,
        max_bytes: MAX_DOCUMENT,
        accept: "application/jwk-set+json, application/json",
    }
}

/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When a client whose issuer's keys are not there yet should try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
