#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

mod faults;
mod rows;
mod threads;
mod walks;
mod world;
