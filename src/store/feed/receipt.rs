//! The steps of pulling a document that takes several calls, or is read in slices.

use core::time::Duration;

use super::{Call, Feed, LOADING, hold};
use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::{CallFailed, Generation, Head, HttpAnswer, HttpCall, InstanceId};

/// What came of a call.
#[derive(Debug)]
#[must_use]
pub enum Received {
    /// A document that may be the one in force: [`Feed::renewed`] tells.
    New {
        /// The document, not empty, within [`super::Source::max_bytes`].
        body: Vec<u8>,
        /// Hand it back.
        receipt: Receipt,
    },
    /// The server still has the document in force, whose age starts again.
    Unchanged(Receipt),
    /// The server has nothing under [`super::Ask::query`].
    Gone(Receipt),
    /// Why nothing came of it, for the log: nothing of the answer's body.
    Failed(String),
}

/// Stands for one fetched document, until it is published, rejected or finished: as long as the
/// instance that holds it keeps the lease.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    instance: InstanceId,
    started: Instant,
    etag: Option<String>,
    digest: [u8; 32],
    held: Option<Box<Head>>,
    query: Option<String>,
}

impl Receipt {
    /// What the call asked for.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Notes the document's SHA-256.
    pub fn set_digest(&mut self, digest: [u8; 32]) {
        self.digest = digest;
    }

    /// The same for a call that asks for this instead; what came before it counts no longer.
    pub fn asking(self, query: Option<String>) -> Receipt {
        Receipt { etag: None, digest: [0; 32], held: None, query, ..self }
    }

    /// Says what is asked for next time: the `ETag` is of this URL, and is dropped for another.
    pub fn keep_etag_for(&mut self, query: Option<&str>) {
        if self.query.as_deref() != query {
            self.etag = None;
        }
    }

    /// What is published of the document.
    pub fn head(&self, generation: Generation, payload: Vec<u8>) -> Head {
        let Receipt { started, etag, digest, .. } = self;
        Head { generation, fetched_at: *started, etag: etag.clone(), digest: *digest, payload }
    }
}

impl Feed {
    /// Takes the answer to the call that [`Feed::due`] asked for, without looking into it. The lease
    /// stays with whoever has the receipt.
    pub fn received(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Received {
        let Some(call) = self.call.take() else {
            return Received::Failed("an answer came without a call".to_owned());
        };
        if !self.lease.keep(&call.instance, LOADING, caps).unwrap_or_default() {
            return Received::Failed(
                "the answer came so late that another instance took over".into(),
            );
        }
        let instance = call.instance;
        self.judge(answer, call, caps).unwrap_or_else(|problem| {
            self.lease.pause(&instance, self.source.every, caps);
            Received::Failed(problem)
        })
    }

    /// Another call for the same document, which is put together from several.
    pub fn further(&self, query: Option<&str>) -> HttpCall {
        self.call_for(None, query)
    }

    /// The body of the answer to such a call.
    ///
    /// # Errors
    ///
    /// Why there is none, for the log.
    pub fn page(&self, answer: Result<HttpAnswer, CallFailed>) -> Result<HttpAnswer, String> {
        let answer = answer.map_err(|failed| self.describe(failed))?;
        let (length, most) = (answer.body.len(), self.source.max_bytes);
        match answer.status {
            300..=399 => Err(format!(
                "status {}: redirects are not followed, configure the final URL",
                answer.status
            )),
            200 if length == 0 => Err("an empty answer".to_owned()),
            200 if length > most => Err(format!("{length} bytes, more than the {most} allowed")),
            200 => Ok(answer),
            status => Err(format!("status {status}")),
        }
    }

    /// Whether it is the document in force, by its digest, whose age then starts again; `None`: it is
    /// another.
    pub fn renewed(
        &self,
        receipt: &Receipt,
        caps: &dyn Capabilities,
    ) -> Option<Result<(), String>> {
        let held = receipt.held.as_ref().filter(|held| held.digest == receipt.digest)?;
        let held = Head { etag: receipt.etag.clone(), ..Head::clone(held) };
        Some(self.renew(held, receipt.started, caps))
    }

    /// Keeps the lease for a while longer: whether the document is still this instance's to load.
    pub fn keep(&self, receipt: &Receipt, caps: &dyn Capabilities) -> bool {
        self.lease.keep(&receipt.instance, self.patience(), caps).unwrap_or_default()
    }

    /// How long a call may stay without an answer.
    pub fn patience(&self) -> Duration {
        hold(&self.source)
    }

    /// Gives the lease back: the document is in force.
    pub fn finish(&mut self, receipt: Receipt, caps: &dyn Capabilities) {
        self.lease.give_back(&receipt.instance, caps);
    }

    /// Drops a document that its owner can't use: counts as a failed call.
    pub fn reject(&mut self, receipt: Receipt, caps: &dyn Capabilities) {
        self.lease.pause(&receipt.instance, self.source.every, caps);
    }

    /// Whether a document is on its way, or will be asked for at the next tick: not while the last
    /// call has just failed.
    pub fn is_coming(&self, caps: &dyn Capabilities) -> bool {
        !self.lease.is_paused(caps)
    }

    fn judge(
        &self,
        answer: Result<HttpAnswer, CallFailed>,
        call: Call,
        caps: &dyn Capabilities,
    ) -> Result<Received, String> {
        let Call { instance, started, held, query } = call;
        let held = held.map(Box::new);
        let mut receipt = Receipt { instance, started, etag: None, digest: [0; 32], held, query };
        match &answer {
            Ok(HttpAnswer { status: 304, .. }) => {
                let held = receipt.held.clone().filter(|held| held.etag.is_some());
                let held = held.ok_or("status 304 although the call named no `ETag`")?;
                self.renew(*held, started, caps)?;
                return Ok(Received::Unchanged(receipt));
            }
            Ok(HttpAnswer { status: 404 | 410, .. }) if receipt.query.is_some() => {
                return Ok(Received::Gone(receipt));
            }
            _ => (),
        }
        let HttpAnswer { etag, body, .. } = self.page(answer)?;
        receipt.etag = etag;
        Ok(Received::New { body, receipt })
    }

    /// The same document at a later time, as long as it is still the one in force.
    fn renew(&self, held: Head, started: Instant, caps: &dyn Capabilities) -> Result<(), String> {
        let failed = |HostFailed| "the host's shared data failed".to_owned();
        let current = self.head(caps).map_err(failed)?;
        let same = current.filter(|current| current.generation == held.generation);
        let Some(current) = same else {
            return Err("another document was published meanwhile".to_owned());
        };
        // The payload as it stands now: its owner may have amended it.
        let renewed = Head { fetched_at: started, payload: current.payload, ..held };
        self.put_in_force(&renewed, caps).map_err(failed).map(|_: Written| ())
    }

    fn describe(&self, failed: CallFailed) -> String {
        match failed {
            CallFailed::Undispatched => {
                format!(
                    "Envoy did not send the call: does it have a cluster `{}`?",
                    self.source.cluster
                )
            }
            CallFailed::NoAnswer => {
                "no answer: the connection was reset, or the answer is larger than Envoy buffers"
                    .into()
            }
        }
    }
}
