//! Every path ends here: an [`Event`] for each exchange, allowed, refused or failed, and for each entry of
//! a batch. It becomes a record, one line of JSON, which is sealed and goes to every sink.
//!
//! An event carries who, from where, what and the outcome. It has no place for a token or a header's
//! value (other than the request id), so none of them can leak into the record by mistake; of the
//! values of search parameters [`Discretion`] decides.

#[cfg(any(feature = "cli", test))]
pub(crate) mod canonical;
pub mod config;
mod delivery;
mod discretion;
mod event;
mod failure;
mod formats;
pub mod queue;
pub mod reasons;
pub mod seal;
mod shapes;
mod trail;

pub use delivery::Tally;
pub use discretion::Discretion;
pub use event::{Decision, Event, EventId, Origin, Outcome, Parameter, What, Who};
pub use failure::Failure;
pub(crate) use formats::json::MAX_ITEMS;
pub use trail::{Left, Sent, Trail};

/// Name and version of the record's form, its first field. The form only ever gains fields; another
/// meaning gets another version. Described by `docs/audit.schema.json`.
pub const SCHEMA: &str = "phiward.audit/1";

/// The reason code of an event that was allowed.
pub const ALLOWED: &str = "allowed";

#[cfg(test)]
mod tests;
