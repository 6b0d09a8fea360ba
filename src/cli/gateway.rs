//! The gateway without Envoy: one worker, its feeds answered from files, an exchange driven from the
//! request's head to the audit line.

use core::time::Duration;

use serde_json::{Map, Value, json};

use super::request::Request;
use super::stored::Stored;
use crate::base::capabilities::{Capabilities, Native};
use crate::base::notice::Notice;
use crate::base::time::Instant;
use crate::config::Configuration;
use crate::flow::{Callout, Effect, End, Event, Exchange, Next, Reply, Step, Worker};
use crate::forward::Edit;
use crate::request::Headers;
use crate::revocation::{self, Which};
use crate::store::{CallFailed, HttpAnswer};
use crate::token::keys::Asked;

/// A worker and what surrounds it.
pub(super) struct Gateway {
    pub(super) caps: Native,
    worker: Worker,
    /// Below which path the API is.
    base: String,
}

/// What the sources of the configuration answer with.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    /// The place of an issuer and its key set. Other issuers with remote keys have none.
    pub(super) keys: Option<(usize, Vec<u8>)>,
    /// The revocation list; without one, an empty one.
    pub(super) revocations: Option<Vec<u8>>,
}

/// What the feeds said of their answers.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Of the key set, if it was asked for.
    pub(super) keys: Option<Notice>,
    /// Of the revocation list.
    pub(super) revocations: Option<Notice>,
}

/// An answer of the FHIR server.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The audit record.
    pub(super) audit: Map<String, Value>,
    /// The answer of our own, if there is one.
    pub(super) reply: Option<Reply>,
    /// The request as it went on, if it did.
    pub(super) sent: Option<Request>,
    /// Status and body that the client sees, if there was an answer at all.
    pub(super) shown: Option<(u16, Vec<u8>)>,
}

impl Gateway {
    /// A worker at `now`, whose feeds were answered.
    pub(super) fn new(
        mut configuration: Configuration,
        now: Instant,
        feeds: &Feeds,
    ) -> (Gateway, Fed) {
        configuration.revocation = configuration.revocation.map(revocation::Settings::offline);
        configuration.audit = configuration.audit.offline();
        let caps = Native::at(now);
        let issuers: Vec<String> = configuration.issuers.names().map(str::to_owned).collect();
        let base = format!("{}/", configuration.fhir.base_path);
        let worker = Worker::new(configuration, &caps);
        let mut gateway = Gateway { caps, worker, base };
        let mut fed = Fed::default();
        // Where keys are comes first, the keys then.
        gateway.feed(feeds, &issuers, &mut fed);
        gateway.feed(feeds, &issuers, &mut fed);
        (gateway, fed)
    }

    fn feed(&mut self, feeds: &Feeds, issuers: &[String], fed: &mut Fed) {
        for (callout, call) in self.worker.tick(&self.caps) {
            match (callout, &feeds.keys) {
                (Callout::Keys(Asked::Set(place)), Some((issuer, keys))) if place == *issuer => {
                    fed.keys = self.worker.answered(callout, document(keys), &self.caps);
                }
                (Callout::Keys(Asked::Metadata(place)), Some((issuer, _))) if place == *issuer => {
                    let keys = format!("https://{}/jwks", call.authority);
                    let metadata = json!({"issuer": issuers.get(place), "jwks_uri": keys});
                    let metadata = document(metadata.to_string().as_bytes());
                    fed.keys = self.worker.answered(callout, metadata, &self.caps);
                }
                (Callout::Revocations(Which::List), _) => {
                    let list = feeds.revocations.as_deref().unwrap_or(EMPTY_LIST);
                    fed.revocations = self.worker.answered(callout, document(list), &self.caps);
                }
                (
                    Callout::Keys(_)
                    | Callout::Introspection(_)
                    | Callout::Audit(_)
                    | Callout::Revocations(Which::Status(_) | Which::Events(_)),
                    _,
                ) => {
                    let nothing = Err(CallFailed::Undispatched);
                    self.worker.answered(callout, nothing, &self.caps);
                }
            }
        }
        self.work(fed);
    }

    /// Does what is done in slices. A list is one file here: nobody has its further pages.
    fn work(&mut self, fed: &mut Fed) {
        fed.revocations = self.worker.notices().pop().or(fed.revocations.take());
        while self.worker.is_busy() {
            for (callout, _) in self.worker.tick(&self.caps) {
                let nothing = Err(CallFailed::Undispatched);
                fed.revocations = self.worker.answered(callout, nothing, &self.caps);
            }
            fed.revocations = self.worker.notices().pop().or(fed.revocations.take());
        }
    }

    /// Sends a request to a server that has this, and answers it when it went on and there is an
    /// answer.
    pub(super) fn exchange(
        &mut self,
        request: &Request,
        stored: &Stored,
        answer: Option<&Answer>,
    ) -> Outcome {
        let mut exchange = Exchange::default();
        let head = Event::RequestHead {
            headers: request.fields(),
            end_of_stream: request.body.is_empty(),
        };
        let mut step = exchange.on(head, &mut self.worker, &self.caps);
        if exchange.wants_news() {
            step = self.no_news(&mut exchange);
        }
        if exchange.wants_body().is_some() {
            let body = Event::RequestBody { body: request.body.clone() };
            step = exchange.on(body, &mut self.worker, &self.caps);
        }
        while let [Effect::Call(call)] = step.effects.as_slice() {
            let target = call.path.strip_prefix(self.base.as_str()).unwrap_or(&call.path);
            let answer = stored.answer(target);
            step = exchange.on(Event::CallAnswered { answer }, &mut self.worker, &self.caps);
        }
        let mut outcome = Outcome::of(request, step);
        if let (Some(_), Some(answer)) = (&outcome.sent, answer) {
            self.answer(&mut exchange, answer, &mut outcome);
        }
        let status = outcome.shown.as_ref().map(|(status, _)| *status);
        let end = End { status, ..End::default() };
        let records = exchange.end(end, &mut self.worker, &self.caps).log;
        let line = records.first().map(String::as_str).unwrap_or_default();
        outcome.audit = serde_json::from_str(line).unwrap_or_default();
        outcome
    }

    /// What is not there by now never comes: the request waits for nothing.
    fn no_news(&mut self, exchange: &mut Exchange) -> Step {
        let now = self.caps.now();
        self.caps.set_now(now.plus(Duration::from_secs(60)));
        let step = exchange.on(Event::News, &mut self.worker, &self.caps);
        self.caps.set_now(now);
        step
    }

    fn answer(&mut self, exchange: &mut Exchange, answer: &Answer, outcome: &mut Outcome) {
        outcome.shown = Some((answer.status, answer.body.clone()));
        if exchange.wants_answer() {
            let head = Event::ResponseHead {
                headers: answer.fields(),
                end_of_stream: answer.body.is_empty(),
            };
            outcome.judged(exchange.on(head, &mut self.worker, &self.caps));
        }
        if exchange.wants_answer_body() {
            let body = Event::ResponseBody { body: answer.body.clone() };
            outcome.judged(exchange.on(body, &mut self.worker, &self.caps));
        }
    }
}

impl Outcome {
    /// What the decision on a request does to it.
    fn of(request: &Request, step: Step) -> Outcome {
        let mut sent = request.clone();
        let mut reply = None;
        for effect in step.effects {
            match effect {
                Effect::Edit(Edit::Remove(name)) => sent.remove(&name),
                Effect::Edit(Edit::Set(name, value)) => sent.set(name, value),
                Effect::ReplaceBody(body) => sent.body = body,
                Effect::Reply(answer) => reply = Some(answer),
                Effect::FilterState(..)
                | Effect::Call(_)
                | Effect::RemoveAnswerHeader(_)
                | Effect::SetAnswerHeader(..)
                | Effect::ReplaceAnswer(_) => {}
            }
        }
        let shown =
            reply.as_ref().map(|reply: &Reply| (reply.status, reply.body.clone().into_bytes()));
        let sent = (step.next == Next::Continue).then_some(sent);
        Outcome { audit: Map::new(), reply, sent, shown }
    }

    /// What the judgement of an answer does to it.
    fn judged(&mut self, step: Step) {
        for effect in step.effects {
            match effect {
                Effect::ReplaceAnswer(body) => {
                    self.shown = self.shown.take().map(|(status, _)| (status, body));
                }
                Effect::Reply(reply) => {
                    self.shown = Some((reply.status, reply.body.clone().into_bytes()));
                    self.reply = Some(reply);
                }
                _ => {}
            }
        }
    }

    /// The reason code of the audit record.
    pub(super) fn reason(&self) -> &str {
        self.audit.get("reason").and_then(Value::as_str).unwrap_or_default()
    }

    /// What mode `observe` would have done.
    pub(super) fn would(&self) -> Option<&str> {
        self.audit.get("would").and_then(Value::as_str)
    }

    /// How many resources were removed from the answer.
    pub(super) fn removed(&self) -> u64 {
        self.audit.get("removed").and_then(Value::as_u64).unwrap_or_default()
    }
}

impl Answer {
    /// An answer in FHIR's JSON.
    pub(super) fn json(status: u16, body: Vec<u8>) -> Answer {
        let headers = vec![("content-type".to_owned(), "application/fhir+json".to_owned())];
        Answer { status, headers, body }
    }

    fn fields(&self) -> Headers {
        let status = (b":status".to_vec(), self.status.to_string().into_bytes());
        let pair = |(name, value): &(String, String)| (name.clone().into(), value.clone().into());
        Headers::new([status].into_iter().chain(self.headers.iter().map(pair)).collect())
    }
}

/// A document as its source would answer with it.
fn document(body: &[u8]) -> Result<HttpAnswer, CallFailed> {
    HttpAnswer::read(&[(b":status".to_vec(), b"200".to_vec())], body.to_vec())
}

/// The resources that a body holds, as `Type/id`: of a Bundle those of its entries. What the gateway
/// or the server says about the answer is none of them.
pub(super) fn resources(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = body.get("entry").and_then(Value::as_array);
    let found: Vec<&Value> = match entries {
        Some(entries) => entries.iter().filter_map(|entry| entry.get("resource")).collect(),
        None => vec![&body],
    };
    let text = |resource: &Value, name: &str| {
        resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let named = found.into_iter().map(|one| (text(one, "resourceType"), text(one, "id")));
    named
        .filter(|(kind, _)| !matches!(kind.as_str(), "" | "Bundle" | "OperationOutcome"))
        .map(|(kind, id)| format!("{kind}/{id}"))
        .collect()
}

const EMPTY_LIST: &[u8] = br#"{"entries":[]}"#;
