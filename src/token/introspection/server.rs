//! One issuer that is asked: the tokens that wait for their call, the calls under way, and the answers.

use core::ops::Range;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use lru::LruCache;

use super::answer::{self, Asked, Failure, Said};
use super::call::{self, Credentials};
use super::settings::Settings;
use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::{Instant, UnixSeconds};
use crate::store::{CallFailed, HttpAnswer, HttpCall};
use crate::token::claims::Claims;
use crate::token::extract::RawToken;
use crate::token::issuers::Issuer;
use crate::token::keys::Keys;
use crate::token::{Rejected, Signed, VerifiedToken, reasons};

/// One issuer that is asked.
#[derive(Debug)]
pub(super) struct Server {
    settings: Settings,
    credentials: Option<Credentials>,
    /// Tokens in the queue or in a call, with the claims that were proven before.
    pending: HashMap<Digest, Option<Rc<Claims>>>,
    /// Tokens of real clients: signed, or active when last asked about. They come first.
    proven: VecDeque<Question>,
    /// All others: anybody can invent one.
    unproven: VecDeque<Question>,
    /// Tokens that were active when last asked about.
    active: LruCache<Digest, ()>,
    calls: HashMap<u64, Call>,
    /// The number of the last call.
    number: u64,
    /// Calls that began in this second.
    pace: (UnixSeconds, u32),
    answers: LruCache<Digest, Kept>,
    /// While nothing is asked, and why.
    paused: Option<(Range<Instant>, &'static Reason)>,
    trouble: Trouble,
}

/// A token that waits for its call.
#[derive(Debug)]
struct Question {
    raw: RawToken,
    signed: Option<Signed>,
    since: Instant,
}

/// A call under way.
#[derive(Debug)]
struct Call {
    digest: Digest,
    signed: Option<Signed>,
    since: Instant,
}

/// An answer and when it counts.
#[derive(Debug)]
struct Kept {
    verdict: Result<VerifiedToken, Rejected>,
    during: Range<Instant>,
}

/// What the operator was told.
#[derive(Debug, Default)]
struct Trouble {
    told: Option<Instant>,
    /// Still to be told.
    untold: Option<String>,
}

type Digest = [u8; 32];

impl Server {
    /// Nothing is asked yet.
    pub(super) fn new(settings: Settings) -> Server {
        Server {
            settings,
            credentials: None,
            pending: HashMap::new(),
            proven: VecDeque::new(),
            unproven: VecDeque::new(),
            active: LruCache::unbounded(),
            calls: HashMap::new(),
            number: 0,
            pace: (UnixSeconds::default(), 0),
            answers: LruCache::unbounded(),
            paused: None,
            trouble: Trouble::default(),
        }
    }

    /// See [`super::Introspection::known`]. An active token is handed out once: whoever takes it keeps
    /// it.
    pub(super) fn known(
        &mut self,
        raw: &RawToken,
        keys: &Keys,
        now: Instant,
    ) -> Option<Result<VerifiedToken, Rejected>> {
        let digest = raw.digest();
        if let Some(holder) = self.pending.get(digest) {
            let refusal = unavailable(&reasons::INTROSPECTION_UNAVAILABLE).pending();
            return Some(Err(Rejected { refusal, holder: holder.clone() }));
        }
        let kept = self.answers.pop(digest).filter(|kept| kept.during.contains(&now))?;
        match kept.verdict {
            Ok(token) => (token.is_valid_at(now) && token.is_trusted(keys)).then_some(Ok(token)),
            Err(rejected) => {
                let verdict = Err(rejected.clone());
                self.answers.put(*digest, Kept { verdict, ..kept });
                Some(Err(rejected))
            }
        }
    }

    /// See [`super::Introspection::ask`].
    pub(super) fn ask(&mut self, raw: &RawToken, signed: Option<Signed>, now: Instant) -> Rejected {
        let holder = signed.as_ref().map(|signed| signed.token.shared_claims());
        self.drop_impatient(now);
        let paused = self.paused.as_ref().filter(|(during, _)| during.contains(&now));
        let is_proven = signed.is_some() || self.active.get(raw.digest()).is_some();
        let queue = if is_proven { &mut self.proven } else { &mut self.unproven };
        let refusal = match paused {
            Some((_, reason)) => unavailable(reason),
            None if queue.len() >= MAX_QUEUE => unavailable(&reasons::INTROSPECTION_OVERLOADED),
            None => {
                self.pending.insert(*raw.digest(), holder.clone());
                queue.push_back(Question { raw: raw.clone(), signed, since: now });
                unavailable(&reasons::INTROSPECTION_UNAVAILABLE).pending()
            }
        };
        Rejected { refusal, holder }
    }

    /// The calls to send now, by their numbers.
    pub(super) fn due(&mut self, caps: &dyn Capabilities) -> Vec<(u64, HttpCall)> {
        let now = caps.now();
        self.drop_impatient(now);
        self.drop_lost(now);
        if self.proven.is_empty() && self.unproven.is_empty() {
            return Vec::new();
        }
        if self.credentials.is_none() {
            self.credentials = Credentials::of(&self.settings, caps);
        }
        let Some(credentials) = self.credentials.clone() else {
            let why = "the environment variable that `client_secret` names is not set in the VM";
            self.trouble.is(why.to_owned(), now);
            self.pause(&reasons::INTROSPECTION_SECRET_MISSING, now);
            return Vec::new();
        };
        let mut calls = Vec::new();
        while self.calls.len() < MAX_CALLS
            && self.keeps_pace(now)
            && let Some(Question { raw, signed, .. }) = self.next()
        {
            self.number = self.number.wrapping_add(1);
            calls.push((self.number, call::call(&self.settings, &credentials, raw.text())));
            self.calls.insert(self.number, Call { digest: *raw.digest(), signed, since: now });
        }
        calls
    }

    /// Takes the answer to the call of this number.
    pub(super) fn answered(
        &mut self,
        number: u64,
        answer: Result<HttpAnswer, CallFailed>,
        issuer: &Issuer,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let Call { digest, signed, .. } = self.calls.remove(&number)?;
        self.pending.remove(&digest);
        let (now, cache) = (caps.now(), self.settings.cache);
        let holder = signed.as_ref().map(|signed| signed.token.shared_claims());
        let rejected = |refusal| Err(Rejected { refusal, holder });
        let said = answer::read(answer, &self.settings.cluster);
        let (verdict, counts) = match said {
            Ok(Said::Inactive) => {
                let refusal = Refusal::new(&reasons::TOKEN_INACTIVE);
                (rejected(refusal), self.settings.cache_inactive)
            }
            Ok(Said::Active(members)) => {
                let signed = signed.as_ref();
                let asked = Asked { issuer, signed, digest: &digest, now, cache };
                let verdict = answer::verified(members, &asked);
                let counts = if verdict.is_ok() { cache } else { self.settings.cache_inactive };
                (verdict, counts)
            }
            Err(failure) => {
                let refusal = self.failed(failure, now);
                self.keep(digest, rejected(refusal), now..now.plus(AFTER_FAILURE));
                return self.notice(&issuer.name);
            }
        };
        self.keep(digest, verdict, now..now.plus(counts));
        self.trouble.is_over(&issuer.name)
    }

    /// What an operator should read.
    pub(super) fn notice(&mut self, issuer: &str) -> Option<Notice> {
        let why = self.trouble.untold.take()?;
        Some(Notice::warn(format!(
            "issuer `{issuer}` can't be asked about tokens: {why}; those tokens are refused"
        )))
    }
}

impl Server {
    /// The refusal that a failure is.
    fn failed(&mut self, failure: Failure, now: Instant) -> Refusal {
        match failure {
            Failure::Unavailable(why) => {
                self.trouble.is(why, now);
                unavailable(&reasons::INTROSPECTION_UNAVAILABLE)
            }
            Failure::Unauthorized(why) => {
                self.trouble.is(why, now);
                self.pause(&reasons::INTROSPECTION_UNAUTHORIZED, now)
            }
        }
    }

    /// Nothing is asked for a while, and what waits for its call gets none: asking again and again with a
    /// wrong secret may lock the client out.
    fn pause(&mut self, reason: &'static Reason, now: Instant) -> Refusal {
        self.paused = Some((now..now.plus(PAUSE), reason));
        let refusal = unavailable(reason);
        while let Some(Question { raw, .. }) = self.next() {
            let holder = self.pending.remove(raw.digest()).flatten();
            let rejected = Rejected { refusal: refusal.clone(), holder };
            self.keep(*raw.digest(), Err(rejected), now..now.plus(AFTER_FAILURE));
        }
        refusal
    }

    /// The token whose call is next.
    fn next(&mut self) -> Option<Question> {
        self.proven.pop_front().or_else(|| self.unproven.pop_front())
    }

    fn keep(
        &mut self,
        digest: Digest,
        verdict: Result<VerifiedToken, Rejected>,
        during: Range<Instant>,
    ) {
        match &verdict {
            Ok(_) => self.active.put(digest, ()),
            Err(rejected) if rejected.refusal.reason.status < 500 => self.active.pop(&digest),
            Err(_) => None, // no word on the token
        };
        self.answers.put(digest, Kept { verdict, during });
        if self.answers.len() > MAX_ANSWERS {
            self.answers.pop_lru();
        }
        if self.active.len() > MAX_ACTIVE {
            self.active.pop_lru();
        }
    }

    /// Whether one more call may begin in this second; counts it.
    fn keeps_pace(&mut self, now: Instant) -> bool {
        let (second, begun) = match self.pace {
            (second, begun) if second == now.seconds() => (second, begun),
            _ => (now.seconds(), 0),
        };
        let waits = !(self.proven.is_empty() && self.unproven.is_empty());
        let may = waits && begun < self.settings.calls_per_second;
        self.pace = (second, begun.saturating_add(u32::from(may)));
        may
    }

    /// Nobody waits any more for what has waited so long.
    fn drop_impatient(&mut self, now: Instant) {
        for queue in [&mut self.proven, &mut self.unproven] {
            while let Some(question) = queue.front()
                && now.since(question.since) > PATIENCE
                && let Some(question) = queue.pop_front()
            {
                self.pending.remove(question.raw.digest());
            }
        }
    }

    /// The host answers every call, if only with a timeout; should it not, the call is forgotten.
    fn drop_lost(&mut self, now: Instant) {
        let longest = self.settings.timeout.saturating_add(LOST);
        let pending = &mut self.pending;
        self.calls.retain(|_, call| {
            let lost = now.since(call.since) > longest;
            if lost {
                pending.remove(&call.digest);
            }
            !lost
        });
    }
}

impl Trouble {
    /// There is trouble: told again only after a while.
    fn is(&mut self, why: String, now: Instant) {
        let recently = |told: Instant| told <= now && now < told.plus(TELL_AGAIN);
        if !self.told.is_some_and(recently) {
            (self.told, self.untold) = (Some(now), Some(why));
        }
    }

    /// There is none.
    fn is_over(&mut self, issuer: &str) -> Option<Notice> {
        self.told.take()?;
        Some(Notice::info(format!("issuer `{issuer}` answers questions about tokens again")))
    }
}

fn unavailable(reason: &'static Reason) -> Refusal {
    Refusal::new(reason).retry_after(RETRY_AFTER)
}

/// Calls under way.
const MAX_CALLS: usize = 64;
/// Tokens that wait for their call, of either kind: fewer than requests may wait, so that invented
/// tokens never take all places.
const MAX_QUEUE: usize = 128;
/// Answers kept.
const MAX_ANSWERS: usize = 4096;
/// Active tokens that are remembered: as many as verified tokens are kept.
const MAX_ACTIVE: usize = 10_000;
/// How long a token waits for its call: as long as a request waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a failure counts for a token.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long nothing is asked after the server refused this client, or while there is no secret.
const PAUSE: Duration = Duration::from_secs(5);
/// How much longer than its timeout a call may take.
const LOST: Duration = Duration::from_secs(10);
/// From one line about trouble to the next.
const TELL_AGAIN: Duration = Duration::from_secs(30);
/// When a client should try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
