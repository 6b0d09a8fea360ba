//! The only code that knows proxy-wasm. It decides nothing: events in, effects out.
