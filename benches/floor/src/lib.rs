//! What every wasm filter pays: a filter that does nothing. Configured with `parse`, it holds answers and
//! parses each once, as every filter must that judges them; with `calls` or `records`, it calls the host as phiward does and
//! makes nothing of it.

#[cfg(target_arch = "wasm32")]
mod filter;
