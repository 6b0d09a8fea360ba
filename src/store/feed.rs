//! A document that one instance pulls for all: a key set, a revocation list.
//!
//! Its owner asks [`Feed::due`] on every tick and hands the answer to [`Feed::answered`]. A new
//! document is parsed by its owner, who then either [`Feed::publish`]es or [`Feed::reject`]s it;
//! every instance reads what is in force with [`Feed::head`]. Whatever fails leaves the last good
//! document in force and its age growing: how old is too old is the owner's to say.

use core::cell::Cell;
use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed, Shared, Written};
use crate::base::time::Instant;

use super::head::{Generation, Head};
use super::lease::Lease;
use super::{CallFailed, HttpAnswer, HttpCall, HttpUrl, InstanceId};

mod receipt;

pub use receipt::{Receipt, Received};

/// Where a document is and how it is pulled.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is, for example `revocation`; with `cluster` and `url` it makes up its shared keys.
    pub name: String,
    /// The Envoy cluster that reaches it.
    pub cluster: String,
    /// Its URL.
    pub url: HttpUrl,
    /// From one call to the next, and the longest delay after failures.
    pub every: Duration,
    /// How long a call may take.
    pub timeout: Duration,
    /// A larger document is refused.
    pub max_bytes: usize,
    /// `Accept`.
    pub accept: &'static str,
}

/// A document that one instance pulls for all.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    every: Duration,
    prefix: String,
    lease: Lease,
    call: Option<Call>,
    broken: Option<Generation>,
    /// When somebody asked for a newer document than the one in force.
    demanded: Cell<Option<Instant>>,
}

/// What came of a call.
#[derive(Debug)]
#[must_use]
pub enum Fetched {
    /// A document that is not the one in force. Parse it, then publish or reject it.
    New {
        /// The document, not empty, within [`Source::max_bytes`].
        body: Vec<u8>,
        /// Hand it back.
        receipt: Receipt,
    },
    /// The server still has the document in force, whose age starts again.
    Unchanged,
    /// Why nothing came of it, for the log: nothing of the answer's body.
    Failed(String),
}

/// What a call asks for, beyond the source's URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Added to the URL's query, percent-encoded. A server that does not have that (404, 410) is
    /// [`Received::Gone`].
    pub query: Option<String>,
    /// Whether the document is wanted even if it is the one in force.
    pub anew: bool,
}

impl Feed {
    /// A feed of this source.
    pub fn new(source: Source) -> Feed {
        let url = source.url.to_string();
        let prefix = prefix(&[&source.name, &source.cluster, &url]);
        Feed::under(prefix, source)
    }

    /// A feed of this source whose shared keys begin with `prefix`, see [`prefix`]: for places that
    /// one source after another takes. Its owner tells their documents apart by what it published.
    pub fn under(prefix: String, source: Source) -> Feed {
        let longest = source.every.max(hold(&source)).max(LOADING);
        let lease = Lease::new(format!("{prefix}lease"), longest);
        Feed {
            every: source.every,
            source,
            prefix,
            lease,
            call: None,
            broken: None,
            demanded: Cell::new(None),
        }
    }

    /// From now on one call follows another after this long, whatever [`Source::every`] says.
    pub fn renew_every(&mut self, every: Duration) {
        self.every = every;
    }

    /// Whether the last call, of whichever instance, brought nothing that could be used.
    pub fn is_failing(&self, caps: &dyn Capabilities) -> bool {
        self.lease.is_failing(caps)
    }

    /// The call to make now: the document is due, nobody is pulling it, and no failure was just now.
    /// Asked on every tick of every instance. Whatever becomes of the call goes to
    /// [`Feed::answered`], also when the host refuses to send it.
    pub fn due(&mut self, instance: &InstanceId, caps: &dyn Capabilities) -> Option<HttpCall> {
        self.due_for(instance, |_| Ask::default(), caps)
    }

    /// As [`Feed::due`]; `ask` says what to ask for, by the document in force.
    pub fn due_for(
        &mut self,
        instance: &InstanceId,
        ask: impl FnOnce(&Head) -> Ask,
        caps: &dyn Capabilities,
    ) -> Option<HttpCall> {
        let now = caps.now();
        if self.is_calling(now) {
            return None;
        }
        // A head that can't be read is replaced by what is pulled now.
        let head = self.head(caps).unwrap_or_default();
        let held = head.filter(|head| self.can_be_renewed(head, now));
        if held.as_ref().is_some_and(|head| self.is_recent(head, now)) {
            return None;
        }
        if !self.lease.take(instance, hold(&self.source), caps).unwrap_or_default() {
            return None;
        }
        let ask = held.as_ref().map(ask).unwrap_or_default();
        let held = held.filter(|_| !ask.anew);
        let call = self.call_for(held.as_ref(), ask.query.as_deref());
        self.call = Some(Call { instance: *instance, started: now, held, query: ask.query });
        Some(call)
    }

    /// Whether the answer to a call may still come.
    pub fn is_calling(&self, now: Instant) -> bool {
        self.call.as_ref().is_some_and(|call| call.under_way(now, hold(&self.source)))
    }

    /// Takes the answer to the call that [`Feed::due`] asked for.
    pub fn answered(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Fetched {
        match self.received(answer, caps) {
            Received::New { body, mut receipt } => {
                receipt.set_digest(hmac_sha256::Hash::hash(&body));
                match self.renewed(&receipt, caps) {
                    None => Fetched::New { body, receipt },
                    Some(Ok(())) => {
                        self.finish(receipt, caps);
                        Fetched::Unchanged
                    }
                    Some(Err(problem)) => {
                        self.reject(receipt, caps);
                        Fetched::Failed(problem)
                    }
                }
            }
            Received::Unchanged(receipt) => {
                self.finish(receipt, caps);
                Fetched::Unchanged
            }
            Received::Gone(receipt) => {
                self.reject(receipt, caps);
                Fetched::Failed("it is not there".to_owned())
            }
            Received::Failed(problem) => Fetched::Failed(problem),
        }
    }

    /// Puts a document in force: what its readers need is `payload`, or already in shared data
    /// under this `generation`. [`Written::Raced`]: a later one was published meanwhile.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn publish(
        &mut self,
        receipt: Receipt,
        generation: Generation,
        payload: Vec<u8>,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        let written = self.put_in_force(&receipt.head(generation, payload), caps);
        match written {
            Ok(_) => self.finish(receipt, caps),
            Err(HostFailed) => self.reject(receipt, caps),
        }
        written
    }

    /// What is in force; `None` before the first document.
    ///
    /// # Errors
    ///
    /// The host failed, or the shared value is no head.
    pub fn head(&self, caps: &dyn Capabilities) -> Result<Option<Head>, HostFailed> {
        let shared = caps.shared(&self.key("head"))?;
        shared.map(|shared| Head::decode(&shared.value).ok_or(HostFailed)).transpose()
    }

    /// Says that what was published under this generation can't be read back whole: it is pulled
    /// again at once, whether or not the server's document changed.
    pub fn report_broken(&mut self, generation: Generation) {
        self.broken = Some(generation);
    }

    /// Asks for a newer document than the one in force, because something is not in it that may be by
    /// now: it is pulled before its time, at most once in [`COOLDOWN`] whoever asks and however often.
    /// Whether it comes within moments; otherwise what is in force is new enough to be believed.
    pub fn demand(&self, now: Instant, caps: &dyn Capabilities) -> bool {
        let Ok(Some(head)) = self.head(caps) else { return true };
        if head.fetched_at <= now && now.plus(SOON) < head.fetched_at.plus(COOLDOWN) {
            return false;
        }
        self.demanded.set(Some(now));
        true
    }

    /// The shared key of this source with this name.
    pub fn key(&self, name: impl core::fmt::Display) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where the document comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// A call under way.
#[derive(Debug)]
struct Call {
    instance: InstanceId,
    started: Instant,
    /// The document that was in force, if this call may renew it.
    held: Option<Head>,
    query: Option<String>,
}

impl Call {
    /// The host answers every call, if only with a timeout; should it not, the call is forgotten.
    fn under_way(&self, now: Instant, hold: Duration) -> bool {
        now >= self.started && now < self.started.plus(hold)
    }
}

impl Feed {
    /// A document from the future was read before the clock was set back, and may have been judged
    /// by the wrong time: it is read anew, like one that was found broken.
    fn can_be_renewed(&self, head: &Head, now: Instant) -> bool {
        self.broken != Some(head.generation) && head.fetched_at <= now
    }

    fn is_recent(&self, head: &Head, now: Instant) -> bool {
        let demanded = self.demanded.get().is_some_and(|demanded| head.fetched_at < demanded);
        let every = if demanded { COOLDOWN.min(self.every) } else { self.every };
        now < head.fetched_at.plus(every)
    }

    fn call_for(&self, held: Option<&Head>, query: Option<&str>) -> HttpCall {
        let mut headers = vec![("accept".to_owned(), self.source.accept.to_owned())];
        let etag = held.and_then(|head| head.etag.clone());
        headers.extend(etag.map(|etag| ("if-none-match".to_owned(), etag)));
        HttpCall {
            cluster: self.source.cluster.clone(),
            authority: self.source.url.authority().to_owned(),
            path: with_query(self.source.url.path(), query),
            headers,
            body: None,
            timeout: self.source.timeout,
        }
    }

    /// Writes the head, unless somebody published what was asked for later than this
    /// ([`Written::Raced`]). The lease stays with whoever has it.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn put_in_force(
        &self,
        head: &Head,
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        let key = self.key("head");
        let current = caps.shared(&key)?;
        let stamp = current.as_ref().map(|shared| shared.stamp);
        let later = |Shared { value, .. }: &Shared| {
            Head::decode(value).is_some_and(|other| {
                other.fetched_at > head.fetched_at && other.fetched_at <= caps.now()
            })
        };
        if current.as_ref().is_some_and(later) {
            return Ok(Written::Raced);
        }
        caps.set_shared(&key, &head.encode(), stamp)
    }
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        None => path.to_owned(),
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
    }
}

/// Long enough for the call and its timeout to come back.
fn hold(source: &Source) -> Duration {
    source.timeout.saturating_add(LOADING)
}

/// What the shared keys of something that these parts name begin with. Each part is hashed behind its
/// length, so two lists of parts never share a prefix.
pub fn prefix(parts: &[&str]) -> String {
    let mut hash = hmac_sha256::Hash::new();
    for part in [FORMAT].iter().chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let short: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("phiward/{short}/")
}

/// Changes with the form of any shared value, so that two versions of the filter in one Envoy never
/// read each other's.
const FORMAT: &str = "2";
/// From one pull of a document to the next that somebody demands.
pub const COOLDOWN: Duration = Duration::from_secs(5);
/// What comes within this is worth waiting for.
const SOON: Duration = Duration::from_millis(1500);
/// How long parsing and publishing a document may take.
const LOADING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
