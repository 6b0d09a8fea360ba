//! One instance of the filter in one worker: configuration, ticks, callouts.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};

use super::calls;
use super::capabilities::Host;
use super::exchange::HostExchange;
use super::metrics::Metrics;
use super::stream::{Stream, Waiting};
use crate::base::notice::Notice;
use crate::config;
use crate::flow::{Callout, Worker};
use crate::store::{CallFailed, HttpAnswer};

/// How often every instance looks for news and the elected one for work.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// How often while somebody waits for that.
pub(super) const HURRY: Duration = Duration::from_millis(10);

/// The root context.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// Shared with the exchanges of this instance; `None` before a configuration was taken.
    worker: Option<Rc<RefCell<Worker>>>,
    /// Callouts under way, by the host's number.
    callouts: HashMap<u32, Callout>,
    /// Exchanges that wait for news.
    waiting: Rc<Waiting>,
    metrics: Metrics,
}

impl RootContext for Root {
    /// Depends on the configuration bytes alone, see the module `host`.
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        let bytes = bytes.ok().flatten().unwrap_or_default();
        match config::load(&bytes) {
            Ok(configuration) => {
                let worker = Worker::new(configuration, &Host::running());
                self.worker = Some(Rc::new(RefCell::new(worker)));
                // What another worker asked for says nothing to this one, which counts its calls anew.
                self.callouts.clear();
                self.metrics = Metrics::default();
                warn_of_lost_records();
                if hostcalls::set_tick_period(TICK).is_err() {
                    log::error!(
                        "the host gives no ticks: keys and lists that are fetched stay missing"
                    );
                }
                true
            }
            Err(errors) => {
                for error in &errors {
                    log::error!("configuration refused: {error}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(worker) = self.worker.clone() else { return };
        let Ok(mut awake) = worker.try_borrow_mut() else { return };
        let (calls, told) = (awake.tick(&Host::running()), awake.tell(&Host::running()));
        let (notices, records, hurries) = (awake.notices(), awake.records(), awake.hurries());
        drop(awake);
        write(&records);
        if let Some(line) = &told.line {
            log::info!("{line}");
        }
        self.metrics.tell(told);
        notices.iter().for_each(tell);
        self.waiting.hurry(hurries);
        for (callout, call) in calls {
            match calls::dispatch(&call) {
                Some(number) => {
                    self.callouts.insert(number, callout);
                }
                None => self.answered(callout, Err(CallFailed::Undispatched)),
            }
        }
        self.waiting.wake();
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let exchange = HostExchange::new(self.worker.clone());
        Some(Box::new(Stream::new(context_id, exchange, Rc::clone(&self.waiting))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {
    /// The configuration was replaced, or Envoy ends: nobody asks this instance again.
    fn on_done(&mut self) -> bool {
        if let Some(Ok(mut worker)) = self.worker.as_ref().map(|worker| worker.try_borrow_mut()) {
            let (left, told) = worker.end(&Host::running());
            write(&left.log);
            self.metrics.tell(told);
        }
        true
    }

    fn on_http_call_response(
        &mut self,
        number: u32,
        header_count: usize,
        body_size: usize,
        _trailer_count: usize,
    ) {
        match self.callouts.remove(&number) {
            Some(callout) => {
                self.answered(callout, calls::answer(header_count, body_size));
                self.waiting.wake();
            }
            None => self.waiting.answered(number, header_count, body_size),
        }
    }
}

impl Root {
    fn answered(&self, callout: Callout, answer: Result<HttpAnswer, CallFailed>) {
        let Some(Ok(mut worker)) = self.worker.as_ref().map(|worker| worker.try_borrow_mut())
        else {
            return;
        };
        worker.answered(callout, answer, &Host::running()).iter().for_each(tell);
        write(&worker.records());
        self.waiting.hurry(worker.hurries());
    }
}

/// Writes audit records.
fn write(records: &[String]) {
    for record in records {
        log::info!("{record}");
    }
}

fn tell(Notice { level, text }: &Notice) {
    log::log!(*level, "{text}");
}

/// Audit records go to the host's log at level `info`; the host drops what is below its own level.
fn warn_of_lost_records() {
    if hostcalls::get_log_level().is_ok_and(|level| level as u32 > LogLevel::Info as u32) {
        log::error!(
            "audit records are lost: Envoy's log level for component `wasm` is above `info`: start \
             it with `--component-log-level wasm:info`"
        );
    }
}
