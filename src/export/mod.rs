//! Bulk exports (<https://hl7.org/fhir/uv/bulkdata/export.html>) after their kick-off. Status and
//! files stand under URLs that the server makes up, which say nothing about whose they are or what is
//! in them. So every such URL of this host goes to the client with a signature:
//!
//! ```text
//! …/bulk-status/7?_phiward=status.<HMAC of `status`, issuer, client, target>
//! …/bulk-files/7/a.ndjson?_phiward=Observation.<HMAC of `Observation`, issuer, client, target>
//! ```
//!
//! A request with one is judged by it alone, whatever its path, and goes on without it: it is for the
//! client that started the export, and for a file its token must cover the type. Then each line of the
//! file is judged while it streams. Without a signature, such a URL is no FHIR and is refused as before.
//! URLs of other hosts, such as signed ones of a file store, stay as they are.

mod answer;
mod key;
mod lines;
mod link;
mod place;
pub mod reasons;

#[cfg(test)]
mod tests;

pub use answer::{Answering, Course};
pub use key::{KEY_VARIABLE, Key, Keyring};
pub use lines::{Lines, MAX_LINE, Shows};
pub use link::{Bound, Claimed, Links, claimed};

use crate::fhir::{Interaction, Operation};

/// Whether a permitted request starts an export: its answer has a URL to sign.
pub fn is_kickoff(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Operation(Operation { name, .. }) if name == "$export")
}
