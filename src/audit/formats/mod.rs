//! The forms an event can be written in, one file each.

#[cfg(test)]
pub(super) mod fields;
pub(super) mod json;
