//! One exchange: Envoy's callbacks to events, effects to host calls.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};

use super::capabilities::Host;
use super::ending::Seen;
use super::{calls, fields};
use crate::base::refusal::Refusal;
use crate::flow::{
    AUDIT_STATE, Effect, End, Event, Exchange, Next, Reply, Step, Worker, answer, reasons,
};
use crate::forward::Edit;
use crate::request::Headers;
use crate::store::CallFailed;

/// The exchange of an HTTP stream.
#[derive(Debug)]
pub(super) struct HostExchange {
    worker: Option<Rc<RefCell<Worker>>>,
    exchange: Exchange,
    /// The request was told to go on: so may the rest of it.
    goes_on: bool,
    /// Bytes of the request body that the host holds for us.
    held: usize,
    /// Bytes of the answer's body that the host holds for us.
    answer_held: usize,
    /// Bytes that were written in their place.
    replaced: Option<usize>,
    seen: Seen,
    /// The call under way, by the host's number.
    call: Option<u32>,
}

impl HostExchange {
    pub(super) fn new(worker: Option<Rc<RefCell<Worker>>>) -> HostExchange {
        HostExchange {
            worker,
            exchange: Exchange::default(),
            goes_on: false,
            held: 0,
            answer_held: 0,
            replaced: None,
            seen: Seen::default(),
            call: None,
        }
    }

    fn on(&mut self, event: Event) -> Action {
        let Some(Ok(mut worker)) = self.worker.as_ref().map(|worker| worker.try_borrow_mut())
        else {
            return reply(&answer::refused(&Refusal::new(&reasons::NOT_CONFIGURED), None));
        };
        let step = self.exchange.on(event, &mut worker, &Host::at_one_moment());
        drop(worker);
        let action = self.carry_out(step);
        self.goes_on = action == Action::Continue;
        action
    }

    /// Whether what becomes of it is recorded.
    fn records(&self) -> bool {
        let worker = self.worker.as_ref().and_then(|worker| worker.try_borrow().ok());
        worker.is_some_and(|worker| worker.records_exchanges())
    }

    /// Whether it waits until its worker has news.
    pub(super) fn wants_news(&self) -> bool {
        self.exchange.wants_news()
    }

    /// Whether a call of it is under way.
    pub(super) fn waits_for_call(&self) -> bool {
        self.call.is_some()
    }

    /// Whether this call of it is under way.
    pub(super) fn waits_for(&self, number: u32) -> bool {
        self.call == Some(number)
    }

    /// The worker has news.
    pub(super) fn news(&mut self) {
        self.go_on(Event::News);
    }

    /// Something came that a paused request waited for: it goes on when it is told to.
    fn go_on(&mut self, event: Event) {
        let action = self.on(event);
        if action == Action::Continue && hostcalls::resume_http_request().is_err() {
            log::error!("the host did not resume a request: it stays held");
        }
    }

    /// Obeys. An effect that the host refuses ends in an answer of our own: nothing goes on unchanged.
    fn carry_out(&mut self, step: Step) -> Action {
        for effect in step.effects {
            let done = match effect {
                Effect::Call(call) => {
                    self.call = calls::dispatch(&call);
                    if self.call.is_none() {
                        return self
                            .on(Event::CallAnswered { answer: Err(CallFailed::Undispatched) });
                    }
                    true
                }
                Effect::Reply(answer) => {
                    self.seen.answered(answer.status);
                    return reply(&answer);
                }
                Effect::ReplaceAnswer(body) => {
                    self.replaced = Some(body.len());
                    hostcalls::set_buffer(BufferType::HttpResponseBody, 0, usize::MAX, &body)
                        .is_ok()
                }
                effect => change(effect),
            };
            if !done {
                return reply(&answer::refused(&Refusal::new(&reasons::HOST_FAILED), None));
            }
        }
        match step.next {
            Next::Continue => Action::Continue,
            Next::Pause => Action::Pause,
        }
    }

    /// The rest of a request that is not ours to judge goes the way of its head.
    fn follow(&self) -> Action {
        if self.goes_on { Action::Continue } else { Action::Pause }
    }

    /// A held request body is complete. What the host holds and does not show is not forwarded.
    fn body(&mut self, limit: usize) -> Action {
        let most = limit.saturating_add(1);
        let body = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, most);
        let body = body.ok().flatten().unwrap_or_default();
        if body.len() < self.held.min(limit) {
            return reply(&answer::refused(&Refusal::new(&reasons::HOST_FAILED), None));
        }
        self.on(Event::RequestBody { body })
    }

    /// A held answer is complete. Envoy bounds its size (`per_connection_buffer_limit_bytes`). What
    /// the host holds and does not show does not pass: an error may have an empty body.
    fn answer_body(&mut self) -> Action {
        let body = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, usize::MAX);
        let body = body.ok().flatten().unwrap_or_default();
        if body.len() != self.answer_held {
            return reply(&answer::refused(&Refusal::new(&reasons::HOST_FAILED), None));
        }
        self.on(Event::ResponseBody { body })
    }

    /// The body of an answer came whose head was never handed over: out of order, and refused as such.
    fn headless_answer(&mut self) -> Action {
        self.on(Event::ResponseBody { body: Vec::new() })
    }

    /// Notes what of the answer's body goes on by this action.
    fn went_on(&mut self, action: Action) -> Action {
        let bytes = self.replaced.take().unwrap_or(self.answer_held);
        if action == Action::Continue {
            self.seen.went_on(bytes);
        }
        action
    }

    /// A part of an answer that is judged while it streams. Once its head has gone on, an answer of
    /// our own resets the stream: the client sees that it did not come whole.
    fn answer_part(&mut self, size: usize, end_of_stream: bool) -> Action {
        let part = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, usize::MAX);
        let part = part.ok().flatten().unwrap_or_default();
        if part.len() != size {
            return reply(&answer::refused(&Refusal::new(&reasons::HOST_FAILED), None));
        }
        self.on(Event::ResponsePart { part, end_of_stream })
    }
}

impl Context for HostExchange {
    fn on_http_call_response(
        &mut self,
        number: u32,
        header_count: usize,
        body_size: usize,
        _trailer_count: usize,
    ) {
        if self.call == Some(number) {
            self.call = None;
            let answer = calls::answer(header_count, body_size);
            self.go_on(Event::CallAnswered { answer });
        }
    }
}

impl HttpContext for HostExchange {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let headers = Headers::new(fields(MapType::HttpRequestHeaders).unwrap_or_default());
        self.on(Event::RequestHead { headers, end_of_stream })
    }

    fn on_http_request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.held = held;
        match self.exchange.wants_body() {
            None => self.follow(),
            Some(limit) if end_of_stream => self.body(limit),
            Some(_) => self.on(Event::RequestBodyPart { held }),
        }
    }

    /// Trailers end a body without `end_of_stream`.
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.exchange.wants_body() {
            Some(limit) => self.body(limit),
            None => self.follow(),
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.seen.begun(end_of_stream);
        if !self.exchange.wants_answer() {
            if self.records() {
                self.seen.head_unread();
            }
            return Action::Continue;
        }
        let headers = Headers::new(fields(MapType::HttpResponseHeaders).unwrap_or_default());
        self.seen.head(&headers);
        self.on(Event::ResponseHead { headers, end_of_stream })
    }

    fn on_http_response_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.seen.ended(end_of_stream);
        self.answer_held = held;
        let action = if self.exchange.wants_answer() {
            self.headless_answer()
        } else if self.exchange.wants_answer_parts() {
            self.answer_part(held, end_of_stream)
        } else if !self.exchange.wants_answer_body() {
            Action::Continue
        } else if end_of_stream {
            self.answer_body()
        } else {
            Action::Pause
        };
        self.went_on(action)
    }

    /// Trailers end a body without `end_of_stream`.
    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.seen.ended(true);
        if self.exchange.wants_answer() {
            self.headless_answer()
        } else if self.exchange.wants_answer_parts() {
            self.on(Event::ResponseTrailers)
        } else if self.exchange.wants_answer_body() {
            let action = self.answer_body();
            self.went_on(action)
        } else {
            Action::Continue
        }
    }

    fn on_log(&mut self) {
        let Some(Ok(mut worker)) = self.worker.as_ref().map(|worker| worker.try_borrow_mut())
        else {
            log::error!("an audit record is missing: the instance is busy or has no configuration");
            return;
        };
        let records = worker.records_exchanges();
        let end = if records { self.seen.end(self.exchange.began()) } else { End::default() };
        let left = self.exchange.end(end, &mut worker, &Host::at_one_moment());
        drop(worker);
        for line in &left.log {
            log::info!("{line}");
        }
        if !left.access_log.is_empty() {
            let lines = left.access_log.join("\n");
            if hostcalls::set_property(vec![AUDIT_STATE], Some(lines.as_bytes())).is_err() {
                log::error!(
                    "the host took no filter state: an audit record is missing in its access logs"
                );
            }
        }
    }
}

/// Changes the request, the held answer or the filter state: whether the host did.
fn change(effect: Effect) -> bool {
    let done = match effect {
        Effect::Edit(Edit::Remove(name)) => {
            hostcalls::remove_map_value(MapType::HttpRequestHeaders, &name)
        }
        Effect::Edit(Edit::Set(name, value)) => {
            hostcalls::set_map_value(MapType::HttpRequestHeaders, &name, Some(&value))
        }
        Effect::ReplaceBody(body) => {
            hostcalls::set_buffer(BufferType::HttpRequestBody, 0, usize::MAX, &body)
        }
        Effect::RemoveAnswerHeader(name) => {
            hostcalls::remove_map_value(MapType::HttpResponseHeaders, name)
        }
        Effect::SetAnswerHeader(name, value) => {
            hostcalls::set_map_value(MapType::HttpResponseHeaders, name, Some(&value))
        }
        Effect::FilterState(key, value) => {
            hostcalls::set_property(vec![key], Some(value.as_bytes()))
        }
        Effect::Call(_) | Effect::Reply(_) | Effect::ReplaceAnswer(_) => return false,
    };
    done.is_ok()
}

fn reply(reply: &Reply) -> Action {
    let headers = reply.headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let status = u32::from(reply.status);
    if hostcalls::send_http_response(status, headers, Some(reply.body.as_bytes())).is_err() {
        log::error!("the host sent no answer: the request stays held");
    }
    Action::Pause
}
