//! The forms an event can be written in, one file each.
#![cfg_attr(not(test), expect(dead_code, reason = "what sends these forms comes next"))]

use core::fmt::Write as _;
use std::borrow::Cow;

pub(crate) mod ecs;
pub(crate) mod fhir;
pub(super) mod json;
#[cfg(test)]
mod testing;
mod tree;

crate::words! {
    /// The form in which records go to a collector.
    pub enum Format {
        /// The record as it is.
        Phiward = "phiward",
        /// Documents of the Elastic Common Schema.
        Ecs = "ecs",
    }
}

impl Format {
    /// A line of the audit trail in this form, as JSON in ASCII without the line's end.
    pub(crate) fn bytes(self, line: &str) -> Cow<'_, [u8]> {
        let parsed = match self {
            Format::Phiward => None,
            // A line that is no JSON can't be: it is rather sent as it is than lost.
            Format::Ecs => serde_json::from_str(line).ok(),
        };
        match parsed {
            None => Cow::Borrowed(line.as_bytes()),
            Some(record) => Cow::Owned(ascii(&ecs::document(&record).to_string()).into_bytes()),
        }
    }
}

/// JSON in which nothing but printable ASCII stands: some readers take other characters for the end
/// of a line, and those occur in strings alone.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => escaped.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(escaped, "\\u{unit:04x}");
            }),
        }
    }
    escaped
}
