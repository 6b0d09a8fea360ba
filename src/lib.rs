//! phiward guards a FHIR API from inside Envoy.
//!
//! ```text
//! Envoy headers ─► request ─► fhir ─► token ─► binding ─► revocation ─► limits ─► policy ─► forward ─► FHIR server
//!                  Head     Interaction Verified  Bound      Live      Admitted   Permit
//!                                       Token     Token      Token      Token
//!       client ◄──────────────────────────────────────────────────────────── response ◄── FHIR server
//!                  every path, allowed, refused or failed, ends in one AuditEvent ─► audit
//! ```
//!
//! Each stage takes the proof made by the stage before and gives back its own proof or a
//! [`Refusal`](base::refusal::Refusal). A proof has private fields and one constructor in its own
//! folder: code that does not hold an `AdmittedToken` cannot ask for a `Permit`, and code without a
//! `Permit` cannot forward.
//!
//! The core is sans-io: it compiles and is tested natively. [`flow`] takes events and returns
//! effects; only `host` knows proxy-wasm. The modules below stand in the order of the flow.

// What every stage uses: refusals, time, strict JSON, the host's capabilities. Decides nothing.
pub mod base;
// Tables with a fixed set of keys in the host's shared data, and the lease that elects one leader.
pub mod store;
// The configuration document: read with every error at once, described as JSON Schema.
pub mod config;

// 1 The request head as bytes, its target refused when two parsers could read it differently.
pub mod request;
// 2 Which FHIR interaction a request is. Pure and total.
pub mod fhir;
// 3 The access token, from the header to verified claims.
pub mod token;
// 4 Who may hold the token.
pub mod binding;
// 5 Whether the token was revoked.
pub mod revocation;
// 6 Whether how the token was used before lets it be used now.
pub mod limits;
// 7 What the token's scopes and patient context allow.
pub mod policy;
// 8 What the FHIR server gets to see.
pub mod forward;
// 9 What of the server's answer a client confined to a patient gets to see.
pub mod response;
// After a bulk export has begun: its status and files, bound to the client that started it.
pub mod export;
// Every path ends here: one audit event per exchange.
pub mod audit;

// The exchange: the stages called top to bottom.
pub mod flow;

// The two shells around the core: Envoy, and the command line.
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(target_arch = "wasm32")]
mod host;
