//! The filter.

#[path = "../../judging/parsed.rs"]
mod parsed;

use std::hint::black_box;

use parsed::Parsed;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    parses: bool,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.parses = self.get_plugin_configuration().as_deref() == Some(b"parse");
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { parses: self.parses }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    parses: bool,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        if self.parses && !end_of_stream { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_body(&mut self, held: usize, end_of_stream: bool) -> Action {
        if !self.parses {
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
}
