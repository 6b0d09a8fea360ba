//! One server that takes records: its queue, what is posted, what its answers mean.

use super::config::{Sink, Target};
use super::queue::{Batch, BatchId, Counters, Queue, QueueSettings, Stored};
use super::shapes::{self, Answered};
use crate::base::capabilities::{Capabilities, Written};
use crate::base::notice::Notice;
use crate::store::place::Place;
use crate::store::{CallFailed, HttpAnswer, HttpCall, InstanceId, prefix};

/// One instance's part in bringing records to a server.
#[derive(Debug)]
pub(in crate::audit) struct Delivery {
    pub(in crate::audit) sink: Sink,
    target: Target,
    /// The base URL of the FHIR API.
    server: Option<String>,
    queue: Queue,
    /// The value of `authorization`, once it was looked up.
    authorization: Option<String>,
    /// Where in the host's shared data stands what an operator was last told.
    told: String,
    spilled: u64,
}

/// What became of the records of one sink in this instance, and what waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The sink.
    pub sink: Sink,
    /// Records that the queue took and what it did with them.
    pub queue: Counters,
    /// Records that the queue had no room for, or gave back at the end: the host's log has them.
    pub spilled: u64,
}

impl Delivery {
    pub(in crate::audit) fn new(sink: Sink, target: &Target, server: Option<&str>) -> Delivery {
        let server = server.map(str::to_owned);
        let shape = target.shape.map_or("audit events", shapes::Shape::word);
        let digest_of = format!("{}|{}|{}|{shape}", sink.word(), target.cluster, target.url);
        let told = format!("{}told", prefix(&["audit queue", &digest_of]));
        let queue = Queue::new(QueueSettings {
            digest_of,
            bytes: target.queue_bytes,
            every: target.every,
            batch_bytes: MAX_BATCH,
            in_flight: MAX_IN_FLIGHT,
            call_timeout: target.timeout,
        });
        let target = target.clone();
        Delivery { sink, target, server, queue, authorization: None, told, spilled: 0 }
    }

    /// Looks up what proves who sends: `false` when it is not there.
    pub(in crate::audit) fn prepare(&mut self, caps: &dyn Capabilities) -> bool {
        let Some(variable) = &self.target.authorization else { return true };
        self.authorization = caps.environment(&variable.0).filter(|value| is_header(value));
        self.authorization.is_some()
    }

    pub(in crate::audit) fn push(
        &mut self,
        line: &str,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Stored {
        let stored = self.queue.push(line, instance, caps);
        self.spilled = self.spilled.saturating_add(u64::from(stored != Stored::Done));
        stored
    }

    pub(in crate::audit) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    pub(in crate::audit) fn hurries(&self) -> bool {
        self.queue.hurries()
    }

    pub(in crate::audit) fn tally(&self) -> Tally {
        Tally { sink: self.sink, queue: self.queue.counters(), spilled: self.spilled }
    }

    /// The calls to send now.
    pub(in crate::audit) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(BatchId, HttpCall)> {
        let batches = self.queue.due(instance, caps);
        batches.into_iter().map(|batch| (batch.id(), self.call(batch))).collect()
    }

    /// Takes the answer to such a call: the records that the host's log must take instead, and what an
    /// operator should read.
    pub(in crate::audit) fn answered(
        &mut self,
        batch: BatchId,
        answer: &Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> (Vec<String>, Option<Notice>) {
        let said = match answer {
            Ok(answer) => shapes::answered(self.target.shape, answer),
            Err(_) => Answered::Later,
        };
        let problem = match answer {
            // Envoy's own words for a server that it can't reach, or that does not answer in time.
            Ok(answer @ HttpAnswer { status: 503 | 504, .. }) => {
                format!("status {} of the server, or of Envoy in its place", answer.status)
            }
            Ok(answer) => format!("status {}", answer.status),
            Err(CallFailed::Undispatched) => format!("no cluster `{}`", self.target.cluster),
            Err(CallFailed::NoAnswer) => "no answer".to_owned(),
        };
        match said {
            Answered::Taken => {
                self.queue.sent(batch, caps);
                (Vec::new(), self.mended(caps))
            }
            Answered::Later => {
                self.queue.failed(batch, caps);
                (Vec::new(), self.fails(&problem, caps))
            }
            Answered::Refused => {
                let lines = self.queue.rejected(batch, caps);
                let text = format!(
                    "audit sink `{}` refuses {} records: {problem}; they are in this log instead",
                    self.sink.word(),
                    lines.len()
                );
                (lines, Some(Notice::warn(text)))
            }
        }
    }

    /// The instance ends: gives what is left to be written to the host's log.
    pub(in crate::audit) fn end(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<String> {
        let left = self.queue.end(instance, caps);
        let count = u64::try_from(left.len()).unwrap_or(u64::MAX);
        self.spilled = self.spilled.saturating_add(count);
        left
    }

    /// What an operator should read of the queue.
    pub(in crate::audit) fn notices(&mut self) -> Vec<Notice> {
        self.queue.notices()
    }

    fn call(&self, batch: Batch) -> HttpCall {
        let posted = shapes::posted(self.target.shape, batch.into_text(), self.server.as_deref());
        let url = &self.target.url;
        let mut headers = vec![
            ("content-type".to_owned(), posted.content_type.to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(
            self.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())),
        );
        HttpCall {
            cluster: self.target.cluster.clone(),
            authority: url.authority().to_owned(),
            path: url.path().to_owned(),
            headers,
            body: Some(posted.body),
            timeout: self.target.timeout,
        }
    }

    fn fails(&self, problem: &str, caps: &dyn Capabilities) -> Option<Notice> {
        let sink = self.sink.word();
        self.is_news(problem, caps).then(|| {
            Notice::warn(format!(
                "audit sink `{sink}` does not take records: {problem}; they wait, and go to this log when the \
                 queue is full"
            ))
        })
    }

    fn mended(&self, caps: &dyn Capabilities) -> Option<Notice> {
        let sink = self.sink.word();
        let text = format!("audit sink `{sink}` takes records again");
        self.is_news("", caps).then(|| Notice::info(text))
    }

    /// Whether no instance told this problem last; an empty one is none. Who can't know tells.
    fn is_news(&self, problem: &str, caps: &dyn Capabilities) -> bool {
        let mut place = Place::new(self.told.clone());
        let Ok(told) = place.read(caps) else { return !problem.is_empty() };
        let known = told.strip_prefix(TOLD).unwrap_or_default();
        // Raced: another one tells.
        known != problem.as_bytes()
            && place.write(&[TOLD, problem.as_bytes()].concat(), caps) != Ok(Written::Raced)
    }
}

/// Whether a header field may have this value.
fn is_header(value: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !value.is_empty() && value.len() <= 4096 && value.bytes().all(visible)
}

/// Most bytes of records in one call.
const MAX_BATCH: usize = 256 * 1024;
/// Most calls under way at a time.
const MAX_IN_FLIGHT: usize = 4;
/// Begins what was told: the host can't tell an empty value from none.
const TOLD: &[u8] = b":";
