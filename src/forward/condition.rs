//! Conditions of a write: that what was judged is what is written.

use super::Edit;
use crate::policy::{Permit, Precondition};

/// The header fields that say so.
pub(super) fn edits(permit: &Permit) -> Option<Edit> {
    Some(match permit.precondition()? {
        Precondition::Unchanged(tag) => Edit::Set("if-match".to_owned(), tag.clone()),
        Precondition::Absent => Edit::Set("if-none-match".to_owned(), "*".to_owned()),
    })
}
