#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

mod rows;
mod walks;
mod world;
