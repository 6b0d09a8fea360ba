//! HTTP calls that the filter makes by itself.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};

use super::fields;
use crate::store::{CallFailed, HttpAnswer, HttpCall};

/// Sends a call; `None` when the host refuses it, for example because it has no such cluster.
pub(super) fn dispatch(call: &HttpCall) -> Option<u32> {
    let method = if call.body.is_some() { "POST" } else { "GET" };
    let mut headers =
        vec![(":method", method), (":path", &*call.path), (":authority", &*call.authority)];
    headers.extend(call.headers.iter().map(|(name, value)| (&**name, &**value)));
    let body = call.body.as_deref();
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), call.timeout).ok()
}

/// The answer of a call. Without headers there was none: reset, or too large for the host; its
/// status can't be asked for then.
pub(super) fn answer(header_count: usize, body_size: usize) -> Result<HttpAnswer, CallFailed> {
    if header_count == 0 {
        return Err(CallFailed::NoAnswer);
    }
    let headers = fields(MapType::HttpCallResponseHeaders).ok_or(CallFailed::NoAnswer)?;
    let body = if body_size == 0 {
        Vec::new()
    } else {
        hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size)
            .map_err(|_| CallFailed::NoAnswer)?
            .unwrap_or_default()
    };
    HttpAnswer::read(&headers, body)
}
