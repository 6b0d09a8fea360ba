//! The forms an event can be written in, one file each.
#![cfg_attr(not(test), expect(dead_code, reason = "what sends these forms comes next"))]

use std::borrow::Cow;

pub(crate) mod ecs;
pub(crate) mod fhir;
pub(super) mod json;
mod tree;

crate::words! {
    /// The form in which records go to a collector.
    pub(crate) enum Format {
        /// The record as it is.
        Phiward = "phiward",
        /// Documents of the Elastic Common Schema.
        Ecs = "ecs",
    }
}

impl Format {
    /// A line of the audit trail as this form's JSON, without the line's end.
    pub(crate) fn bytes(self, line: &str) -> Cow<'_, [u8]> {
        let parsed = match self {
            Format::Phiward => None,
            // A line that is no JSON can't be: it is rather sent as it is than lost.
            Format::Ecs => serde_json::from_str(line).ok(),
        };
        match parsed {
            None => Cow::Borrowed(line.as_bytes()),
            Some(record) => Cow::Owned(ecs::document(&record).to_string().into_bytes()),
        }
    }
}
