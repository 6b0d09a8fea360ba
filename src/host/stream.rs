//! One HTTP stream as Envoy calls it, and those that wait until their worker has news.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::exchange::HostExchange;
use super::root::{HURRY, TICK};

/// An HTTP stream: hands every callback to its exchange, which others may have to wake.
#[derive(Debug)]
pub(super) struct Stream {
    context: u32,
    exchange: Rc<RefCell<HostExchange>>,
    waiting: Rc<Waiting>,
}

/// The exchanges of one instance that wait for news, or for the answer to a call that they sent when
/// they were woken.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    exchanges: RefCell<Vec<(u32, Weak<RefCell<HostExchange>>)>>,
    hurried: Cell<bool>,
}

impl Stream {
    pub(super) fn new(context: u32, exchange: HostExchange, waiting: Rc<Waiting>) -> Stream {
        Stream { context, exchange: Rc::new(RefCell::new(exchange)), waiting }
    }

    /// Nothing goes on while the exchange can't be asked.
    fn tell(&self, callback: impl FnOnce(&mut HostExchange) -> Action) -> Action {
        let Ok(mut exchange) = self.exchange.try_borrow_mut() else { return Action::Pause };
        let waited = exchange.wants_news();
        let action = callback(&mut exchange);
        if exchange.wants_news() && !waited {
            self.waiting.add(self.context, &self.exchange);
        }
        action
    }
}

impl Waiting {
    fn add(&self, context: u32, exchange: &Rc<RefCell<HostExchange>>) {
        if let Ok(mut exchanges) = self.exchanges.try_borrow_mut() {
            exchanges.push((context, Rc::downgrade(exchange)));
        }
        self.hurry(true);
    }

    /// Tells all of them that there is news. Called by the root context, whose own calls come after.
    pub(super) fn wake(&self) {
        let all = self.exchanges.take();
        for (context, exchange) in all {
            let Some(strong) = exchange.upgrade() else { continue };
            let Ok(mut awake) = strong.try_borrow_mut() else { continue };
            if awake.wants_news() && hostcalls::set_effective_context(context).is_ok() {
                awake.news();
            }
            if awake.wants_news() || awake.waits_for_call() {
                self.exchanges.borrow_mut().push((context, exchange));
            }
        }
    }

    /// Hands the answer of a call to the exchange that sent it when it was woken: the SDK takes it for
    /// one of the root context's.
    pub(super) fn answered(&self, number: u32, header_count: usize, body_size: usize) {
        let sender = self.exchanges.borrow().iter().find_map(|(context, exchange)| {
            let exchange = exchange.upgrade()?;
            let is_it = exchange.try_borrow().is_ok_and(|one| one.waits_for(number));
            is_it.then_some((*context, exchange))
        });
        let Some((context, exchange)) = sender else { return };
        if let Ok(mut exchange) = exchange.try_borrow_mut()
            && hostcalls::set_effective_context(context).is_ok()
        {
            exchange.on_http_call_response(number, header_count, body_size, 0);
        }
    }

    /// Sets how soon the next tick comes.
    pub(super) fn hurry(&self, hurry: bool) {
        if self.hurried.get() == hurry {
            return;
        }
        let period = if hurry { HURRY } else { TICK };
        if hostcalls::set_tick_period(period).is_ok() {
            self.hurried.set(hurry);
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(
        &mut self,
        number: u32,
        header_count: usize,
        body_size: usize,
        trailer_count: usize,
    ) {
        self.tell(|exchange| {
            exchange.on_http_call_response(number, header_count, body_size, trailer_count);
            Action::Pause
        });
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, count: usize, end_of_stream: bool) -> Action {
        self.tell(|exchange| exchange.on_http_request_headers(count, end_of_stream))
    }

    fn on_http_request_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.tell(|exchange| exchange.on_http_request_body(held, end_of_stream))
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        self.tell(|exchange| exchange.on_http_request_trailers(count))
    }

    fn on_http_response_headers(&mut self, count: usize, end_of_stream: bool) -> Action {
        self.tell(|exchange| exchange.on_http_response_headers(count, end_of_stream))
    }

    fn on_http_response_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        self.tell(|exchange| exchange.on_http_response_body(held, end_of_stream))
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.tell(|exchange| exchange.on_http_response_trailers(count))
    }

    fn on_log(&mut self) {
        self.tell(|exchange| {
            exchange.on_log();
            Action::Pause
        });
    }
}
