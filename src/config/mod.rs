//! The configuration document.
//!
//! Each folder owns its fragment: it reads its own section with a `Section`, which also describes
//! it. `load` puts the fragments together and gives a `Configuration` or every error.

pub mod error;
pub mod hint;
mod load;
pub mod protobuf;
pub mod section;
pub mod setting;

pub use error::ConfigError;
pub use load::{Configuration, Mode, from_document, keys, load, schema};

#[cfg(test)]
mod tests;
