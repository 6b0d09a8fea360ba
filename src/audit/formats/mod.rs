//! The forms an event can be written in, one file each.

pub(super) mod ecs;
#[cfg(any(feature = "cli", test))]
pub(super) mod fields;
pub(super) mod fhir;
pub(super) mod json;
pub(super) mod phiward;
#[cfg(test)]
mod testing;
mod tree;
