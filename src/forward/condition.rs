//! Conditions of a write: that what was judged is what is written, and that criteria find only what
//! the client may know of.

use super::{Edit, narrow};
use crate::policy::{Permit, Precondition};
use crate::request::Head;

/// The header fields that say so.
pub(super) fn edits(permit: &Permit, head: &Head) -> Vec<Edit> {
    let mut edits = Vec::new();
    match permit.precondition() {
        Some(Precondition::Unchanged(tag)) => {
            edits.push(Edit::Set("if-match".to_owned(), tag.clone()));
        }
        Some(Precondition::Absent) => {
            edits.push(Edit::Set("if-none-match".to_owned(), "*".to_owned()));
        }
        None => {}
    }
    let criteria = head.headers().all("if-none-exist").next();
    let criteria = criteria.and_then(|criteria| core::str::from_utf8(criteria).ok());
    if let Some(criteria) = criteria.filter(|_| !permit.condition().is_empty()) {
        let narrowed = narrow::condition(criteria.trim(), permit.condition());
        edits.push(Edit::Set("if-none-exist".to_owned(), narrowed));
    }
    edits
}
