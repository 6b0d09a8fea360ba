//! A conditional write whose criteria were looked up: a write by id, or a create.

use super::Edit;
use crate::fhir::written;
use crate::policy::{Becomes, Resolved};
use crate::request::{Head, Method};

/// The target without the criteria. `target` is that of the type.
pub(super) fn target(target: &str, resolved: &Resolved) -> String {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let id = match &resolved.becomes {
        Becomes::Known { id, .. } => format!("/{}", id.as_str()),
        Becomes::New(_) => String::new(),
    };
    let joint = if resolved.query.is_empty() { "" } else { "?" };
    format!("{path}{id}{joint}{}", resolved.query)
}

/// The method and the conditions. A create has none but `If-None-Exist`; a write by id is not made to
/// depend on what else there is.
pub(super) fn edits(resolved: &Resolved, head: &Head) -> Vec<Edit> {
    let has = |name: &&&str| head.headers().all(name).next().is_some();
    let removed = |names: &[&str]| {
        let present: Vec<&str> = names.iter().filter(has).copied().collect();
        present.into_iter().map(|name| Edit::Remove(name.to_owned())).collect::<Vec<_>>()
    };
    let Becomes::New(condition) = &resolved.becomes else { return removed(&["if-none-exist"]) };
    let mut edits = removed(&CONDITIONS);
    if head.method() != Method::Post {
        edits.push(Edit::Set(":method".to_owned(), Method::Post.name().to_owned()));
    }
    let condition = condition.as_ref().map(|text| ("if-none-exist".to_owned(), text.clone()));
    edits.extend(condition.map(|(name, text)| Edit::Set(name, text)));
    edits
}

/// The resource with its id, which it does not say yet: what came is copied.
pub(super) fn with_id(body: &[u8], resolved: &Resolved) -> Option<Vec<u8>> {
    let Becomes::Known { id, unnamed: true } = &resolved.becomes else { return None };
    Some(written::with_id(body, id))
}

/// What a client may have made the write depend on.
const CONDITIONS: [&str; 5] =
    ["if-match", "if-modified-since", "if-none-exist", "if-none-match", "if-unmodified-since"];
