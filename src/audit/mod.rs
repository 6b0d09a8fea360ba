//! Every path ends here: one `Event` per exchange, allowed, refused or failed, written as one line.
//!
//! An event carries who, from where, what and the outcome. It has no place for a token, a header's
//! value (other than the request id) or the value of a search parameter other than `_id`,
//! `patient` and `subject`, so none of them can leak into the record by mistake.

pub mod config;
mod event;
mod formats;
pub mod queue;
pub mod seal;
#[cfg(any(feature = "cli", test))]
pub(crate) mod canonical;

pub use event::{Decision, Event, EventId, Origin, Outcome, Parameter, What, Who};

/// Name and version of the record's form, its first field. The form only ever gains fields; another
/// meaning gets another version. Described by `docs/audit.schema.json`.
pub const SCHEMA: &str = "phiward.audit/1";

/// The reason code of an event that was allowed.
pub const ALLOWED: &str = "allowed";

#[cfg(test)]
mod tests;
