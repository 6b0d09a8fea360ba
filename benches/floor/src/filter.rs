//! The filter.

#[path = "../../judging/parsed.rs"]
mod parsed;

use std::hint::black_box;

use parsed::Parsed;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// What is written to the host's shared data for a record: a slot of phiward's queue, half full.
const SLOT: [u8; 8 * 1024] = [b'.'; 8 * 1024];

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    does: Does,
}

/// What the filter does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Does {
    #[default]
    Nothing,
    /// Holds the answer and parses it.
    Parse,
    /// Calls the host as phiward does for a search that it lets through, and does nothing with what comes.
    Calls,
    /// The same, and as for its audit record until that is stored.
    Records,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.does = match self.get_plugin_configuration().as_deref() {
            Some(b"parse") => Does::Parse,
            Some(b"calls") => Does::Calls,
            Some(b"records") => Does::Records,
            _ => Does::Nothing,
        };
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream(self.does)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream(Does);

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if matches!(self.0, Does::Calls | Does::Records) {
            black_box((self.get_http_request_headers_bytes(), self.get_current_time()));
            self.set_http_request_header("authorization", None);
            self.set_property(vec!["floor.decision"], Some(b"allowed"));
            self.set_property(vec!["floor.permit"], Some(b"permit"));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        if self.0 == Does::Records {
            black_box(self.get_http_response_header_bytes(":status"));
        }
        if self.0 == Does::Parse && !end_of_stream { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        if self.0 != Does::Parse {
            return Action::Continue;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, held).unwrap_or_default();
        let parsed = black_box(serde_json::from_slice::<Parsed<'_>>(&body));
        if parsed.is_err() {
            self.send_http_response(500, Vec::new(), None);
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.0 == Does::Records {
            black_box(self.get_property(vec!["source", "address"]));
            black_box(self.get_property(vec!["connection", "tls_version"]));
            black_box(self.get_current_time());
            // A full store of the host is none of a benchmark's.
            let _ = self.set_shared_data("floor", Some(&SLOT), None);
        }
    }
}
