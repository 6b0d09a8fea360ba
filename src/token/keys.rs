//! The keys of every issuer, as one instance of the filter holds them: inline sets from the start,
//! remote ones as soon as the elected instance has fetched them.
//!
//! A fetched set that can be read replaces the one before, so a key that is no longer in it is
//! distrusted at once. A fetch that fails, or brings something else than a key set, leaves the last
//! good set in force. Before the first set every token of that issuer is refused with 503.

use core::time::Duration;
use std::rc::Rc;

use super::issuers::{Issuer, Issuers, KeySource, RemoteKeys};
use super::jwe::DecryptionKeys;
use super::jwk::Unusable;
use super::jwks::{KeySet, MAX_DOCUMENT, Reading};
use super::key::Fingerprint;
use super::reasons;
use crate::base::capabilities::{Capabilities, Written};
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::store::{
    CallFailed, Feed, Fetched, Generation, HttpAnswer, HttpCall, InstanceId, Source,
};

/// The key sets of one instance, one for each issuer.
#[derive(Debug)]
pub struct Keys {
    issuers: Vec<IssuerKeys>,
    /// Ours: for tokens that were encrypted for us.
    pub(super) decryption: DecryptionKeys,
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
    feed: Option<Feed>,
    seen: Option<Generation>,
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

    /// The calls that this instance should make now: asked on every tick. Each comes with the place
    /// of its issuer; hand both back to [`Keys::answered`], also when the call can't be sent.
    pub fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(usize, HttpCall)> {
        let due = self.issuers.iter_mut().enumerate().filter_map(|(place, issuer)| {
            Some((place, issuer.feed.as_mut()?.due(instance, caps)?))
        });
        due.collect()
    }

    /// Takes the answer to a call, and publishes the key set in it for every instance.
    pub fn answered(
        &mut self,
        issuer: usize,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        self.issuers.get_mut(issuer)?.answered(answer, caps)
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

    /// The keys of the issuer at this place.
    pub(super) fn of(&self, issuer: usize) -> Result<&KeySet, Refusal> {
        let set = self.issuers.get(issuer).and_then(|issuer| issuer.set.as_deref());
        set.ok_or_else(|| Refusal::new(&reasons::KEYS_UNAVAILABLE).retry_after(RETRY_AFTER))
    }

    /// Whether the key that signed a token is still the issuer's.
    pub(super) fn trusts(&self, signer: &Signer) -> bool {
        self.of(signer.issuer).is_ok_and(|set| set.holds(&signer.key))
    }
}

impl IssuerKeys {
    fn new(issuer: &Issuer) -> IssuerKeys {
        let (set, feed) = match &issuer.keys {
            KeySource::Inline(set) => (Some(Rc::clone(set)), None),
            KeySource::Remote(remote) => (None, Some(Feed::new(source(&issuer.name, remote)))),
        };
        IssuerKeys { name: issuer.name.clone(), set, feed, seen: None }
    }

    fn answered(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let feed = self.feed.as_mut()?;
        let (body, receipt) = match feed.answered(answer, caps) {
            Fetched::Unchanged => return None,
            Fetched::Failed(why) => return Some(self.failed(&why)),
            Fetched::New { body, receipt } => (body, receipt),
        };
        let reading = match KeySet::parse(&body) {
            Ok(reading) => reading,
            Err(why) => {
                feed.reject(receipt, caps);
                return Some(self.failed(&why));
            }
        };
        match feed.publish(receipt, Generation::draw(caps), body, caps) {
            Ok(Written::Done) => Some(self.published(&reading)),
            Ok(Written::Raced) => None,
            Err(_) => Some(self.failed("the host's shared data failed")),
        }
    }

    fn refresh(&mut self, caps: &dyn Capabilities) -> bool {
        let Some(feed) = self.feed.as_mut() else { return false };
        let Ok(Some(head)) = feed.head(caps) else { return false };
        if self.seen == Some(head.generation) {
            return false;
        }
        self.seen = Some(head.generation);
        match KeySet::parse(&head.payload) {
            Ok(reading) => {
                self.set = Some(Rc::new(reading.set));
                true
            }
            Err(_) => {
                feed.report_broken(head.generation);
                false
            }
        }
    }

    fn failed(&self, why: &str) -> Notice {
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

fn source(issuer: &str, remote: &RemoteKeys) -> Source {
    Source {
        name: format!("keys of {issuer}"),
        cluster: remote.cluster.clone(),
        url: remote.url.clone(),
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
