//! The forms an event can be written in, one file each.

pub(super) mod json;
