//! A batch or transaction whose entries go on as their permits say.

use super::{narrow, provable};
use crate::base::refusal::Refusal;
use crate::fhir::bundle::{self, Change};
use crate::policy::{EntryPermit, Form, Permit, Precondition};

/// The Bundle with its entries' requests changed; `None` when nothing changes.
pub(super) fn rewritten(permit: &Permit, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let changed: Vec<Change> = permit.entries().iter().map(change).collect();
    if changed.iter().all(|change| *change == Change::default()) {
        return Ok(None);
    }
    bundle::rewrite(body, &changed).map(Some)
}

fn change(entry: &EntryPermit) -> Change {
    let EntryPermit { url: asked, absolute, if_none_exist, permit } = entry;
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
        url: (*absolute || url != *asked).then_some(url).filter(|url| !url.is_empty()),
        if_match,
        if_none_match,
        if_none_exist: condition.map(|asked| narrow::condition(asked, permit.condition())),
        unconditional: permit.expected().is_some_and(|expected| !writes(&expected.form)),
    }
}
