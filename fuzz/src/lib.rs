//! What must hold for any bytes from outside, one function for each target: it takes the bytes and panics
//! when a law is broken. libFuzzer calls them (`fuzz_targets/`), and so does `cargo test`, with the seeds
//! and with random bytes (`tests/laws.rs` of phiward).
//!
//! Each target is reached as Envoy reaches it, through what phiward makes public: with a host that takes
//! one signature for genuine, so that what stands behind the signature is reached too.

mod host;
mod world;

pub mod answer;
pub mod audit;
pub mod batch;
pub mod claims;
pub mod config;
pub mod decision;
pub mod events;
pub mod file;
pub mod flow;
pub mod http;
pub mod introspection;
pub mod json;
pub mod jwe;
pub mod jwks;
pub mod list;
pub mod patch;
pub mod query;
pub mod scopes;
pub mod status_list;
pub mod target;
pub mod token;
pub mod written;

/// A target: takes any bytes and panics when a law is broken.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its file in `fuzz_targets/` and of its folder in `seeds/`.
pub const TARGETS: [(&str, Target); 22] = [
    ("answer", answer::check),
    ("audit", audit::check),
    ("batch", batch::check),
    ("claims", claims::check),
    ("config", config::check),
    ("decision", decision::check),
    ("events", events::check),
    ("file", file::check),
    ("flow", flow::check),
    ("http", http::check),
    ("introspection", introspection::check),
    ("json", json::check),
    ("jwe", jwe::check),
    ("jwks", jwks::check),
    ("list", list::check),
    ("patch", patch::check),
    ("query", query::check),
    ("scopes", scopes::check),
    ("status_list", status_list::check),
    ("target", target::check),
    ("token", token::check),
    ("written", written::check),
];
