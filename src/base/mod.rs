//! What every stage uses and none owns.

pub mod capabilities;
pub mod json;
pub mod node;
pub mod notice;
pub mod refusal;
pub mod time;

#[cfg(test)]
pub(crate) mod testing;
