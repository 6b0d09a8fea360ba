//! The forms an event can be written in, one file each.
#![cfg_attr(not(test), expect(dead_code, reason = "what sends these forms comes next"))]

pub(crate) mod ecs;
#[cfg(any(feature = "cli", test))]
pub(super) mod fields;
pub(crate) mod fhir;
pub(super) mod json;
mod tree;
