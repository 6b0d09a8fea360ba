//! A gateway for tests: one worker, its feeds answered by hand, requests sent and what became of
//! them read off.

use core::time::Duration;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::effect::{Effect, End, Event, Next, Reply, Step};
use super::worker::{Callout, Worker};
use super::{Exchange, PERMIT_STATE, PERMITTED};
use crate::base::capabilities::Native;
use crate::config;
use crate::forward::Edit;
use crate::request::Headers;
use crate::store::{CallFailed, HttpAnswer, HttpCall};
use crate::token::algorithm::Algorithm;
use crate::token::testing::{Signer, claims, now};

/// A worker and what surrounds it.
pub(crate) struct Gateway {
    pub(crate) worker: Worker,
    pub(crate) caps: Native,
    pub(crate) signer: Signer,
    /// What the FHIR server has, by path.
    pub(crate) stored: BTreeMap<String, Value>,
}

/// What became of an answer of the FHIR server.
#[derive(Default)]
pub(crate) struct Answered {
    /// The audit record.
    pub(crate) audit: Value,
    /// The records that are part of it.
    pub(crate) more: Vec<Value>,
    /// Status as the client sees it.
    pub(crate) status: u16,
    /// The body as the client sees it.
    pub(crate) body: Vec<u8>,
    /// Header fields that were removed from the answer.
    pub(crate) removed: Vec<&'static str>,
    /// Header fields that were set in the answer.
    pub(crate) set: Vec<(&'static str, String)>,
    /// Whether the answer was held.
    pub(crate) held: bool,
}

/// What became of a request.
pub(crate) struct Sent {
    /// The audit record.
    pub(crate) audit: Value,
    /// The records that are part of it.
    pub(crate) more: Vec<Value>,
    /// The answer of our own, if there is one.
    pub(crate) reply: Option<Reply>,
    /// Whether it went on, with the permit that the next filter requires.
    pub(crate) forwarded: bool,
    /// Header fields as they went on.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it went on.
    pub(crate) body: Vec<u8>,
}

impl Gateway {
    /// A gateway by this configuration, whose remote key sets hold the key of [`Gateway::signer`].
    pub(crate) fn new(document: &Value) -> Gateway {
        let mut gateway = Gateway::waiting(document);
        gateway.tick(|_| json!({"entries": []}));
        gateway
    }

    /// The same before anything was fetched.
    pub(crate) fn waiting(document: &Value) -> Gateway {
        let caps = Native::at(now());
        let configuration = config::from_document(document).expect("a configuration");
        let worker = Worker::new(configuration, &caps);
        let signer = Signer::new(Algorithm::Es256, "k1", 7);
        Gateway { worker, caps, signer, stored: BTreeMap::new() }
    }

    /// One tick: key sets are answered with the signer's key, the list with what `list` gives.
    pub(crate) fn tick(&mut self, list: impl Fn(&str) -> Value) {
        for (callout, call) in self.worker.tick(&self.caps) {
            let document = match callout {
                Callout::Keys(_) => json!({"keys": [self.signer.jwk()]}),
                Callout::Introspection(_) => json!({"active": false}),
                Callout::Audit(_) => json!({}),
                Callout::Revocations(_) => list(&call.path),
            };
            let headers = [(b":status".to_vec(), b"200".to_vec())];
            let answer = HttpAnswer::read(&headers, document.to_string().into_bytes());
            self.worker.answered(callout, answer, &self.caps);
        }
    }

    /// Time goes on.
    pub(crate) fn wait(&mut self, length: Duration) {
        let now = crate::base::capabilities::Capabilities::now(&self.caps);
        self.caps.set_now(now.plus(length));
    }

    /// The value of an `Authorization` header with a good token, but for these claims.
    pub(crate) fn bearer(&self, changes: Value) -> String {
        format!("Bearer {}", self.signer.token(&claims(changes)).text())
    }

    /// Sends a request, its body in one piece after the head.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Sent {
        let pseudo = [(":method", method), (":path", target), (":authority", "api.clinic.example")];
        let fields: Vec<(String, String)> = pseudo
            .iter()
            .chain(headers)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut exchange = Exchange::default();
        let head = Event::RequestHead { headers: bytes(&fields), end_of_stream: body.is_empty() };
        let mut step = exchange.on(head, &mut self.worker, &self.caps);
        if exchange.wants_news() {
            step = self.out_of_patience(&mut exchange, step);
        }
        if exchange.wants_body().is_some() {
            assert_eq!((step.next, step.effects.len()), (Next::Pause, 0), "held, nothing done");
            step = exchange.on(
                Event::RequestBody { body: body.to_vec() },
                &mut self.worker,
                &self.caps,
            );
        }
        while let [Effect::Call(call)] = step.effects.as_slice() {
            assert_eq!(step.next, Next::Pause, "held until the call is answered");
            let answer = self.looked_up(call);
            step = exchange.on(Event::CallAnswered { answer }, &mut self.worker, &self.caps);
        }
        self.sent(exchange, step, fields, body)
    }

    /// There is news, but never what the exchange waits for.
    fn out_of_patience(&mut self, exchange: &mut Exchange, step: Step) -> Step {
        assert_eq!((step.next, step.effects.len()), (Next::Pause, 0), "held, nothing done");
        assert!(self.worker.hurries());
        let arrived = crate::base::capabilities::Capabilities::now(&self.caps);
        self.wait(Duration::from_millis(1_999));
        let step = exchange.on(Event::News, &mut self.worker, &self.caps);
        assert_eq!((step.next, step.effects.len()), (Next::Pause, 0), "still held");
        self.wait(Duration::from_millis(1));
        let step = exchange.on(Event::News, &mut self.worker, &self.caps);
        assert!(!exchange.wants_news() && !self.worker.hurries());
        self.caps.set_now(arrived);
        step
    }

    /// Sends a `GET` with a good token, but for these claims.
    pub(crate) fn get(&mut self, target: &str, changes: Value) -> Sent {
        let bearer = self.bearer(changes);
        self.send("GET", target, &[("authorization", &bearer)], b"")
    }

    /// Sends a `GET` that is forwarded, and answers it in JSON with this status and body.
    pub(crate) fn answer(
        &mut self,
        target: &str,
        changes: Value,
        status: u16,
        body: &[u8],
    ) -> Answered {
        let bearer = self.bearer(changes);
        let headers = [("authorization", bearer.as_str())];
        let json = [("content-type", "application/fhir+json")];
        self.exchange("GET", target, &headers, (status, &json, body))
    }

    /// Sends a request without a body that is forwarded, and answers it with this status, header
    /// fields and body.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        (status, answered_with, body): (u16, &[(&str, &str)], &[u8]),
    ) -> Answered {
        let pseudo = [(":method", method), (":path", target), (":authority", "api.clinic.example")];
        let head = [&pseudo, headers].concat();
        let mut exchange = Exchange::default();
        let request = Event::RequestHead { headers: fields(&head), end_of_stream: true };
        let step = exchange.on(request, &mut self.worker, &self.caps);
        assert_eq!(step.next, Next::Continue, "{target} is forwarded");
        let mut answered = Answered { status, body: body.to_vec(), ..Answered::default() };
        if exchange.wants_answer() {
            let text = status.to_string();
            let head = [&[(":status", text.as_str())], answered_with].concat();
            let head =
                Event::ResponseHead { headers: fields(&head), end_of_stream: body.is_empty() };
            answered.take(exchange.on(head, &mut self.worker, &self.caps));
        }
        if exchange.wants_answer_parts() {
            answered.body.clear();
            for part in body.chunks(7) {
                if !exchange.wants_answer_parts() {
                    answered.body.extend(part);
                    continue;
                }
                let event = Event::ResponsePart { part: part.to_vec(), end_of_stream: false };
                let step = exchange.on(event, &mut self.worker, &self.caps);
                assert_eq!(step.next, Next::Continue, "it streams");
                answered.take_part(step, part);
            }
            if exchange.wants_answer_parts() {
                let event = Event::ResponsePart { part: Vec::new(), end_of_stream: true };
                answered.take_part(exchange.on(event, &mut self.worker, &self.caps), b"");
            }
        }
        if exchange.wants_answer_body() {
            answered.held = true;
            let whole = Event::ResponseBody { body: body.to_vec() };
            answered.take(exchange.on(whole, &mut self.worker, &self.caps));
        }
        let end = End { status: Some(answered.status), ..End::default() };
        let lines = exchange.end(end, &mut self.worker, &self.caps).log;
        (answered.audit, answered.more) = records(&lines);
        answered
    }

    /// What the FHIR server has at the path of a call.
    fn looked_up(&self, call: &HttpCall) -> Result<HttpAnswer, CallFailed> {
        let status = if self.stored.contains_key(&call.path) { "200" } else { "404" };
        let body = self.stored.get(&call.path).map(ToString::to_string).unwrap_or_default();
        HttpAnswer::read(&[(b":status".to_vec(), status.into())], body.into_bytes())
    }

    fn sent(
        &mut self,
        mut exchange: Exchange,
        step: Step,
        mut headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Sent {
        let mut body = body.to_vec();
        let mut reply = None;
        let mut permitted = false;
        for effect in step.effects {
            match effect {
                Effect::Edit(Edit::Remove(name)) => headers.retain(|(known, _)| *known != name),
                Effect::Edit(Edit::Set(name, value)) => {
                    headers.retain(|(known, _)| *known != name);
                    headers.push((name, value));
                }
                Effect::ReplaceBody(new) => body = new,
                Effect::FilterState(key, value) => {
                    permitted |= (key, value) == (PERMIT_STATE, PERMITTED);
                }
                Effect::Reply(answer) => reply = Some(answer),
                Effect::Call(_) => panic!("a call among other effects"),
                Effect::RemoveAnswerHeader(_)
                | Effect::SetAnswerHeader(..)
                | Effect::ReplaceAnswer(_) => panic!("there is no answer yet"),
            }
        }
        let forwarded = step.next == Next::Continue;
        assert_eq!(permitted, forwarded, "what goes on has the permit, and nothing else");
        assert_eq!(reply.is_some(), !forwarded, "what does not go on is answered");
        let status = reply.as_ref().map_or(200, |reply| reply.status);
        let end = End { status: Some(status), ..End::default() };
        let lines = exchange.end(end, &mut self.worker, &self.caps).log;
        let (audit, more) = records(&lines);
        Sent { audit, more, reply, forwarded, headers, body }
    }
}

impl Sent {
    /// The reason code of the audit record.
    pub(crate) fn reason(&self) -> &str {
        self.audit["reason"].as_str().expect("a reason")
    }

    /// A header field as it went on.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answered {
    fn take_part(&mut self, step: Step, part: &[u8]) {
        let mut new = step.effects.into_iter().map(|effect| match effect {
            Effect::ReplaceAnswer(new) => new,
            other => panic!("{other:?} has no place in a part"),
        });
        self.body.extend(new.next_back().unwrap_or_else(|| part.to_vec()));
    }

    fn take(&mut self, step: Step) {
        for effect in step.effects {
            match effect {
                Effect::RemoveAnswerHeader(name) => self.removed.push(name),
                Effect::SetAnswerHeader(name, value) => self.set.push((name, value)),
                Effect::ReplaceAnswer(body) => self.body = body,
                Effect::Reply(reply) => {
                    self.status = reply.status;
                    self.body = reply.body.into_bytes();
                }
                Effect::FilterState(..) => {}
                other => panic!("{other:?} has no place in an answer"),
            }
        }
    }
}

/// The record of an exchange, and those that are part of it.
fn records(lines: &[String]) -> (Value, Vec<Value>) {
    let mut records = lines.iter().map(|line| serde_json::from_str(line).expect("a JSON object"));
    (records.next().expect("a record"), records.collect())
}

/// Header fields of these pairs.
pub(crate) fn fields(pairs: &[(&str, &str)]) -> Headers {
    Headers::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

fn bytes(fields: &[(String, String)]) -> Headers {
    let pair = |(name, value): &(String, String)| (name.clone().into(), value.clone().into());
    Headers::new(fields.iter().map(pair).collect())
}
