//! The configuration document.

pub mod section;
pub mod setting;
