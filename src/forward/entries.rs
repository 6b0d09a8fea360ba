//! A batch or transaction whose entries go on as their permits say.

use super::{narrow, provable};
use crate::base::refusal::Refusal;
use crate::fhir::bundle::{self, Change};
use crate::policy::{EntryPermit, Form, Permit, Precondition};

/// The Bundle with its entries' requests changed; `None` when nothing changes.
pub(super) fn rewritten(permit: &Permit, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    if permit.entries().iter().all(|entry| !changes(&entry.permit)) {
        return Ok(None);
    }
    let changed: Vec<Change> = permit.entries().iter().map(change).collect();
    bundle::rewrite(body, &changed).map(Some)
}

fn changes(permit: &Permit) -> bool {
    permit.expected().is_some()
        || permit.precondition().is_some()
        || permit.compartment().is_some()
        || !permit.narrowing().is_empty()
        || !permit.condition().is_empty()
}

fn change(entry: &EntryPermit) -> Change {
    let EntryPermit { url: asked, if_none_exist, permit } = entry;
    let mut url = asked.clone();
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
    let condition = if_none_exist.as_deref().filter(|_| !permit.condition().is_empty());
    let writes = |form: &Form| matches!(form, Form::Written(_));
    Change {
        url: (url != *asked).then_some(url),
        if_match,
        if_none_match,
        if_none_exist: condition.map(|asked| narrow::condition(asked, permit.condition())),
        unconditional: permit.expected().is_some_and(|expected| !writes(&expected.form)),
    }
}
