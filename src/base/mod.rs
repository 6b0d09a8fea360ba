//! What every stage uses and none owns.

pub mod capabilities;
pub mod json;
pub mod node;
pub mod notice;
pub mod refusal;
pub mod time;

#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeSet;

/// The set of these. `collect` would sort them first, which is 4 KB of code for every type.
pub(crate) fn set_of<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}
