//! One stream: polled by one instance for all, and what every instance knows of it.

use core::time::Duration;

use super::memory::Memory;
use super::page::{AT_ONCE, Page};
use super::poll;
use super::settings::{AfterRestart, KEEP, StreamSettings};
use super::shared::{Head, Keys as SharedKeys};
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::notice::Notice;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::{Instant, UnixSeconds};
use crate::revocation::{Freshness, WhenStale, reasons};
use crate::store::lease::Lease;
use crate::store::{CallFailed, Generation, HttpAnswer, HttpCall, InstanceId, Status};
use crate::token::{Claims, Issuers, Keys};

/// By which memory a token was last found live.
pub(super) type Seen = Option<[u8; Generation::LENGTH]>;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: StreamSettings,
    /// The issuer whose tokens it is about; `None`: everybody's.
    pub(super) covers: Option<String>,
    /// How long an event is remembered.
    pub(super) keep: Duration,
    pub(super) shared: SharedKeys,
    pub(super) lease: Lease,
    call: Option<Call>,
    /// An answer that is being worked on.
    page: Option<Page>,
    head: Result<Option<Head>, HostFailed>,
    memory: Option<Memory>,
    notices: Vec<Notice>,
}

/// What events are judged by.
pub(super) struct Rules<'a> {
    pub(super) stream: &'a StreamSettings,
    pub(super) covers: Option<&'a str>,
    pub(super) keep: Duration,
    pub(super) issuers: &'a Issuers,
    pub(super) keys: &'a Keys,
}

/// A poll under way.
#[derive(Debug)]
struct Call {
    instance: InstanceId,
    started: Instant,
}

impl Stream {
    /// A stream of which nothing is known yet.
    pub(super) fn new(settings: StreamSettings, issuers: &Issuers) -> Stream {
        let covers = settings.covers(issuers).map(str::to_owned);
        let longest = issuers.longest_lifetime(covers.as_deref());
        let shared = SharedKeys::new(&settings);
        Stream {
            keep: settings.keep.unwrap_or_else(|| KEEP.max(longest)),
            lease: Lease::new(shared.lease(), HOLD.max(settings.every)),
            covers,
            shared,
            settings,
            call: None,
            page: None,
            head: Ok(None),
            memory: None,
            notices: Vec::new(),
        }
    }

    /// Lets a token pass that no event revoked, and one that no event can be about.
    pub(super) fn check(
        &mut self,
        claims: &Claims,
        seen: &mut Seen,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        if self.covers.as_ref().is_some_and(|issuer| *issuer != claims.issuer) {
            return Ok(Freshness::NoList);
        }
        let freshness = self.freshness(caps)?;
        let memory = match (&self.head, &self.memory) {
            (_, Some(memory)) => memory,
            (Ok(None), None) => return Ok(freshness),
            _ => return Err(self.unknown(&reasons::REVOCATION_EVENTS_UNREADABLE)),
        };
        if *seen == Some(memory.generation) {
            return Ok(freshness);
        }
        if memory.revokes(claims) {
            return Err(Refusal::new(&reasons::TOKEN_REVOKED));
        }
        if claims.issued_at <= memory.floor {
            return Err(Refusal::new(&reasons::TOKEN_PREDATES_EVENTS));
        }
        *seen = Some(memory.generation);
        Ok(freshness)
    }

    /// Whether what is known may be relied on. Otherwise it is looked at anew first: another instance
    /// may have read the stream since the last tick.
    fn freshness(&mut self, caps: &dyn Capabilities) -> Result<Freshness, Refusal> {
        if !self.is_fresh(caps.now()) {
            self.refresh(caps);
        }
        match &self.head {
            Ok(_) if self.is_fresh(caps.now()) => Ok(Freshness::Fresh),
            Ok(_) if self.settings.when_stale == WhenStale::Allow => Ok(Freshness::StaleAllowed),
            Ok(Some(head)) if head.complete != Instant::default() => {
                Err(self.unknown(&reasons::REVOCATION_EVENTS_STALE))
            }
            Ok(_) => Err(self.unknown(&reasons::REVOCATION_EVENTS_UNAVAILABLE).pending()),
            Err(HostFailed) => Err(self.unknown(&reasons::REVOCATION_EVENTS_UNREADABLE)),
        }
    }

    /// An answer from the future was read before the clock was set back: the distance is its age.
    fn is_fresh(&self, now: Instant) -> bool {
        let Ok(Some(Head { complete, .. })) = self.head else { return false };
        now.since(complete).max(complete.since(now)) <= self.settings.max_staleness
    }

    /// A refusal that passes with the next poll.
    fn unknown(&self, reason: &'static Reason) -> Refusal {
        Refusal::new(reason).retry_after(self.settings.every.max(Duration::from_secs(1)))
    }

    /// Adopts what is in force. The memory is read only when it is another one than before.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) {
        self.head = self.shared.head(caps);
        let Ok(Some(head)) = &self.head else { return };
        let known = self.memory.as_ref().map(|memory| memory.generation);
        if known != Some(head.generation) {
            self.memory = self.shared.memory(caps).ok().flatten();
        }
    }

    /// The poll to make now: it is due, nobody polls, and no failure was just now.
    pub(super) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Option<HttpCall> {
        let now = caps.now();
        let under_way = |call: &Call| now >= call.started && now < call.started.plus(HOLD);
        if self.page.is_some() || self.call.as_ref().is_some_and(under_way) {
            return None;
        }
        let next = self.shared.head(caps).unwrap_or_default().map(|head| head.next);
        // One that lies too far ahead is from before the clock was set back.
        let latest = now.plus(self.settings.every.max(AT_ONCE));
        if next.is_some_and(|next| now < next && next <= latest) {
            return None;
        }
        if !self.lease.take(instance, HOLD, caps).unwrap_or_default() {
            return None;
        }
        let call = self.call(caps);
        if call.is_none() {
            self.lease.pause(instance, self.settings.every, caps);
            return None;
        }
        self.call = Some(Call { instance: *instance, started: now });
        call
    }

    fn call(&mut self, caps: &dyn Capabilities) -> Option<HttpCall> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("content-language".to_owned(), "en".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        if let Some(variable) = &self.settings.token {
            let token = caps.environment(variable).filter(|token| is_bearer_token(token));
            let Some(token) = token else {
                let why = format!("environment variable `{variable}` of Envoy holds no token");
                self.notices.push(self.failed(&why, caps));
                return None;
            };
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let receipts = self.shared.receipts(caps).unwrap_or_default();
        Some(HttpCall {
            cluster: self.settings.cluster.clone(),
            authority: self.settings.url.authority().to_owned(),
            path: self.settings.url.path().to_owned(),
            headers,
            body: Some(poll::request(receipts.as_deref())),
            timeout: TIMEOUT,
        })
    }

    /// Takes the answer to a poll. What it brought is worked on by [`Stream::work`].
    pub(super) fn answered(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let Call { instance, started } = self.call.take()?;
        if !self.lease.keep(&instance, WORKING, caps).unwrap_or_default() {
            return Some(
                self.failed("the answer came so late that another instance took over", caps),
            );
        }
        match self.read(answer) {
            Ok(answer) => {
                self.page = Some(Page::new(answer, instance, started));
                None
            }
            Err(why) => {
                self.lease.pause(&instance, self.settings.every, caps);
                Some(self.failed(&why, caps))
            }
        }
    }

    fn read(&self, answer: Result<HttpAnswer, CallFailed>) -> Result<poll::Answer, String> {
        match answer {
            Ok(HttpAnswer { status: 200, body, .. }) => poll::answer(&body),
            Ok(HttpAnswer { status: status @ (401 | 403), .. }) => {
                let variable = self.settings.token.as_deref().unwrap_or("none");
                Err(format!("status {status}: check its token (environment variable: {variable})"))
            }
            Ok(HttpAnswer { status, .. }) => Err(format!("status {status}")),
            Err(CallFailed::Undispatched) => Err(format!(
                "Envoy did not send the call: does it have a cluster `{}`?",
                self.settings.cluster
            )),
            Err(CallFailed::NoAnswer) => Err("no answer, or one that is too large".to_owned()),
        }
    }

    /// Works on the last answer until `until`, at least on one event.
    pub(super) fn work(
        &mut self,
        until: Instant,
        issuers: &Issuers,
        keys: &Keys,
        caps: &dyn Capabilities,
    ) -> Vec<Notice> {
        if let Some(mut page) = self.page.take() {
            let covers = self.covers.as_deref();
            let (stream, keep) = (&self.settings, self.keep);
            if page.judge(&Rules { stream, covers, keep, issuers, keys }, until, caps) {
                self.notices.extend(page.finish(self, caps));
                self.refresh(caps);
            } else {
                self.page = Some(page);
            }
        }
        core::mem::take(&mut self.notices)
    }

    /// Whether there is work left.
    pub(super) fn busy(&self) -> bool {
        self.page.is_some()
    }

    /// Until when tokens must be issued to be refused after a start whose first poll is at `started`.
    pub(super) fn floor(&self, started: Instant) -> UnixSeconds {
        match self.settings.after_restart {
            AfterRestart::RefuseOlder => started.seconds(),
            AfterRestart::Trust => UnixSeconds::default(),
        }
    }

    /// What is in force, for operators; `place` is the stream's.
    pub(super) fn status(&self, place: usize, caps: &dyn Capabilities) -> Status {
        let head = self.head.ok().flatten();
        let complete = head.map_or(Instant::default(), |head| head.complete);
        let known = complete != Instant::default();
        let now = caps.now();
        Status {
            source: format!("events of {}", self.name()),
            metric: format!("events.{place}"),
            version: None,
            age: known.then(|| now.since(complete).max(complete.since(now))),
            entries: self.memory.as_ref().map_or(0, Memory::len),
            fresh: self.is_fresh(now),
            problem: self.shared.noted(complete, caps),
        }
    }

    /// For the log: a poll that did not help.
    pub(super) fn failed(&self, why: &str, caps: &dyn Capabilities) -> Notice {
        self.shared.note(why, caps);
        Notice::warn(format!("events of `{}`: {why}; what they revoked stays", self.name()))
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// As if it had never been read, or otherwise.
    #[cfg(test)]
    pub(super) fn memory_for_tests(&mut self, memory: Option<Memory>) {
        self.memory = memory;
    }
}

/// `b64token` of RFC 6750 section 2.1, which also keeps line breaks out of a header.
fn is_bearer_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// How long a poll may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the events of one answer may be worked on.
const WORKING: Duration = Duration::from_secs(20);

/// Long enough for the poll, its timeout and the work.
const HOLD: Duration = Duration::from_secs(30);
