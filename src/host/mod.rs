//! The only code that knows proxy-wasm. It decides nothing: events in, effects out.
//!
//! Byte getters only: the SDK's string getters trap on what is not UTF-8, and a trap fails every
//! request of this worker. `on_configure` depends on the configuration bytes alone: Envoy skips a
//! filter whose later instance refuses what the first one took, and requests pass unchecked.

mod calls;
mod capabilities;
mod ending;
mod exchange;
mod metrics;
mod root;
mod stream;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{LogLevel, MapType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}

/// Every field of a header map, as bytes. `None` when the host has no such map now.
fn fields(map: MapType) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let fields = hostcalls::get_map_bytes(map).ok()?;
    Some(fields.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect())
}
