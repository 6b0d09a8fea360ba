//! A batch or transaction whose entries go on as their permits say.

use super::{narrow, provable, resolved};
use crate::base::refusal::Refusal;
use crate::fhir::bundle::{self, Change};
use crate::policy::{Becomes, EntryPermit, Form, Permit, Precondition, Resolved};
use crate::request::Method;

/// The Bundle with its entries' requests changed; `None` when nothing changes.
pub(super) fn rewritten(permit: &Permit, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let changed: Vec<Change> = permit.entries().iter().map(change).collect();
    if changed.iter().all(|change| *change == Change::default()) {
        return Ok(None);
    }
    bundle::rewrite(body, &changed).map(Some)
}

fn change(entry: &EntryPermit) -> Change {
    let EntryPermit { url: asked, absolute, permit } = entry;
    let mut url = match permit.resolved() {
        Some(resolved) => resolved::target(asked, resolved),
        None => asked.clone(),
    };
    if let (Some(expected), Some((path, query))) = (permit.expected(), url.split_once('?')) {
        url = format!("{path}?{}", provable::selected(query, expected));
    }
    if let Some((of, patient)) = permit.compartment().zip(permit.patient()) {
        url = narrow::in_compartment(&url, of, patient);
    }
    url = narrow::target(&url, permit.narrowing());
    let (if_match, if_none_match) = match permit.precondition() {
        Some(Precondition::Unchanged(tag)) => (Some(tag.clone()), None),
        Some(Precondition::Absent) => (None, Some("*".to_owned())),
        None => (None, None),
    };
    let becomes = permit.resolved().map(|Resolved { becomes, .. }| becomes);
    let (id, new) = match becomes {
        Some(Becomes::Known { id, unnamed: true }) => (Some(id.clone()), None),
        Some(Becomes::New(condition)) => (None, Some(condition)),
        Some(Becomes::Known { .. }) | None => (None, None),
    };
    let writes = |form: &Form| matches!(form, Form::Written(_));
    Change {
        url: (*absolute || url != *asked).then_some(url).filter(|url| !url.is_empty()),
        if_match,
        if_none_match,
        if_none_exist: new.cloned().flatten(),
        method: new.map(|_| Method::Post.name()),
        id,
        unconditional: new.is_some()
            || permit.expected().is_some_and(|expected| !writes(&expected.form)),
    }
}
