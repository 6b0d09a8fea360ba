#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

mod rows;
mod threads;
mod walks;
mod world;
