//! What one worker keeps between requests: the configuration, the keys, its view of the revocation
//! list, the tokens it has verified, the key that signs links of exports. Ticks and answers of callouts come here.

use std::rc::Rc;

use super::room::Room;
use super::status::{Telling, Told};
use crate::audit::{self, Left, Trail};
use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::config::Configuration;
use crate::export::Keyring;
use crate::limits::Limits;
use crate::policy::{Coverages, Grants};
use crate::revocation::{Checked, Revocation, Which};
use crate::store::{CallFailed, HttpAnswer, HttpCall, InstanceId};
use crate::token::introspection::Inquiry;
use crate::token::keys::Asked;
use crate::token::{CacheLimits, Introspection, Keys, TokenCache, VerifiedToken};

/// Exchanges of one worker that may wait for news at a time.
const MAX_WAITING: usize = 256;

/// Those among which one may wait whose token names a key that nobody may have: anybody can invent one.
const MAX_WAITING_UNPROVEN: usize = 128;

/// One worker's state.
#[derive(Debug)]
pub struct Worker {
    pub(in crate::flow) config: Configuration,
    pub(in crate::flow) keys: Keys,
    pub(in crate::flow) introspection: Introspection,
    pub(in crate::flow) revocation: Revocation,
    pub(in crate::flow) limits: Limits,
    pub(in crate::flow) tokens: TokenCache<Known>,
    pub(in crate::flow) coverages: Coverages,
    pub(in crate::flow) keyring: Keyring,
    pub(in crate::flow) trail: Trail,
    instance: InstanceId,
    notices: Vec<Notice>,
    /// Audit records for the host's log.
    left: Vec<String>,
    awake: bool,
    /// Exchanges that wait for news.
    waiting: usize,
    /// What is held of exchanges.
    pub(in crate::flow) room: Room,
    /// Grows with every answer to a call, and with every set of keys that is adopted.
    news: u64,
    /// Grows with those of them that may bring a key.
    news_of_keys: u64,
    telling: Telling,
}

/// What is worked out once for a token and kept beside it.
#[derive(Debug)]
pub(in crate::flow) struct Known {
    /// What its scopes and contexts grant.
    pub(in crate::flow) grants: Rc<Grants>,
    /// By what it was last found live.
    pub(in crate::flow) checked: Checked,
}

/// What a callout was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callout {
    /// Keys of an issuer, or where they are.
    Keys(Asked),
    /// What an issuer says of a token.
    Introspection(Inquiry),
    /// What tells revoked tokens.
    Revocations(Which),
    /// A batch of audit records.
    Audit(audit::Sent),
}

impl Known {
    pub(in crate::flow) fn of(
        token: &VerifiedToken,
        coverages: &mut Coverages,
        config: &Configuration,
    ) -> Known {
        let grants = Grants::known(token.claims(), coverages, &config.fhir, &config.smart);
        Known { grants: Rc::new(grants), checked: Checked::default() }
    }
}

impl Worker {
    /// A worker that decides by `config`. Nothing else counts here, see the module `host`: what is
    /// published is adopted by the first request or tick, and nothing is fetched before that.
    pub fn new(config: Configuration, caps: &dyn Capabilities) -> Worker {
        let instance = InstanceId::draw(caps);
        Worker {
            keys: Keys::new(&config.issuers),
            introspection: Introspection::new(&config.issuers),
            revocation: Revocation::new(config.revocation.clone(), &config.issuers),
            limits: Limits::new(config.sessions.clone()),
            tokens: TokenCache::new(CacheLimits::of(config.cached_tokens), caps.random()),
            coverages: Coverages::default(),
            keyring: Keyring::default(),
            trail: Trail::new(
                config.audit.clone(),
                instance,
                config.fhir.base_urls.first().map(String::as_str),
            ),
            instance,
            notices: Vec::new(),
            left: Vec::new(),
            awake: false,
            waiting: 0,
            room: Room::default(),
            news: 0,
            news_of_keys: 0,
            telling: Telling::new(),
            config,
        }
    }

    /// Adopts what is published before the first request, so that a new configuration with the same
    /// sources starts without a gap.
    pub(in crate::flow) fn wake(&mut self, caps: &dyn Capabilities) {
        if !self.awake {
            self.adopt(caps);
        }
    }

    /// Adopts what the elected instance published; gives the calls that this instance should send.
    pub fn tick(&mut self, caps: &dyn Capabilities) -> Vec<(Callout, HttpCall)> {
        self.adopt(caps);
        let worked = self.revocation.work(&self.config.issuers, &self.keys, caps);
        self.notices.extend(worked);
        self.notices.extend(self.introspection.notice(&self.config.issuers));
        let keys = self.keys.due(&self.instance, caps);
        let mut calls: Vec<_> =
            keys.into_iter().map(|(asked, call)| (Callout::Keys(asked), call)).collect();
        let inquiries = self.introspection.due(caps);
        calls.extend(
            inquiries.into_iter().map(|(inquiry, call)| (Callout::Introspection(inquiry), call)),
        );
        let revocations = self.revocation.due(&self.instance, caps);
        calls.extend(
            revocations.into_iter().map(|(which, call)| (Callout::Revocations(which), call)),
        );
        let (batches, left, notices) = self.trail.due(caps);
        self.notices.extend(notices);
        calls.extend(batches.into_iter().map(|(sent, call)| (Callout::Audit(sent), call)));
        self.left.extend(left.log);
        calls
    }

    /// What an operator should read of the ticks since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    /// Audit records of the time since the last call that the host's log must take.
    pub fn records(&mut self) -> Vec<String> {
        core::mem::take(&mut self.left)
    }

    /// Takes the answer of a call; gives what an operator should read of it.
    pub fn answered(
        &mut self,
        callout: Callout,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        if let Callout::Audit(sent) = callout {
            let (left, notice) = self.trail.answered(sent, &answer, caps);
            self.left.extend(left.log);
            return notice;
        }
        self.hears_of(matches!(callout, Callout::Keys(_)));
        let notice = match callout {
            Callout::Keys(asked) => self.keys.answered(asked, answer, caps),
            Callout::Introspection(inquiry) => {
                self.introspection.answered(inquiry, answer, &self.config.issuers, caps)
            }
            Callout::Revocations(which) => self.revocation.answered(which, answer, caps),
            Callout::Audit(_) => None,
        };
        // What the answer brought is worked on at once, as far as one slice goes.
        let worked = self.revocation.work(&self.config.issuers, &self.keys, caps);
        self.notices.extend(worked);
        self.adopt(caps);
        notice
    }

    /// What operators should see: asked on every tick.
    pub fn tell(&mut self, caps: &dyn Capabilities) -> Told {
        if !self.telling.is_due(caps.now()) {
            return Told::default();
        }
        let statuses = [self.keys.statuses(caps), self.revocation.statuses(caps)].concat();
        let mut told = self.telling.tell(&self.instance, &statuses, caps);
        self.trail.tallies().for_each(|tally| told.add(&tally));
        told
    }

    /// Whether the next tick should come soon: somebody waits for what it may bring, or there is work
    /// that is done in slices.
    pub fn hurries(&self) -> bool {
        self.waiting > 0 || self.is_busy() || self.trail.hurries()
    }

    /// Whether there is work that is done in slices.
    pub fn is_busy(&self) -> bool {
        self.revocation.busy()
    }

    /// Whether one more exchange may wait: what is held costs memory, and whoever sends nonsense must
    /// not make others' requests queue behind it.
    pub(in crate::flow) fn may_wait(&self, for_a_key: bool) -> bool {
        self.waiting < if for_a_key { MAX_WAITING_UNPROVEN } else { MAX_WAITING }
    }

    /// What it has heard of: another number than before when something came in that exchanges wait for,
    /// or that those wait for that need a key.
    pub(in crate::flow) fn news(&self, of_keys: bool) -> u64 {
        if of_keys { self.news_of_keys } else { self.news }
    }

    fn hears_of(&mut self, keys: bool) {
        self.news = self.news.wrapping_add(1);
        self.news_of_keys = self.news_of_keys.wrapping_add(keys.into());
    }

    pub(in crate::flow) fn waits_for_news(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    pub(in crate::flow) fn waits_no_more(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Whether what becomes of an exchange is recorded: what only records need is not worth asking for
    /// otherwise.
    pub fn records_exchanges(&self) -> bool {
        self.trail.is_on()
    }

    /// The instance ends: gives the audit records that the host must still write, and the last counts.
    pub fn end(&mut self, caps: &dyn Capabilities) -> (Left, Told) {
        let left = self.trail.end(caps);
        let mut told = Told::default();
        self.trail.tallies().for_each(|tally| told.add(&tally));
        told.gauges.clear();
        (left, told)
    }

    fn adopt(&mut self, caps: &dyn Capabilities) {
        self.awake = true;
        if self.keys.refresh(caps) {
            self.hears_of(true);
            self.tokens.retain_trusted(&self.keys);
        }
        self.revocation.refresh(caps);
        self.limits.refresh(caps);
    }
}
