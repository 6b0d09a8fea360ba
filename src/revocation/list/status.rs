//! What operators see of the list.

use super::List;
use crate::base::capabilities::Capabilities;
use crate::store::Status;

impl List {
    /// What is in force.
    pub(in crate::revocation) fn status(&self, caps: &dyn Capabilities) -> Status {
        let in_force = self.view.as_ref().ok().and_then(Option::as_ref);
        let head = in_force.map(|list| &list.head);
        let entries = in_force.map_or(0, |list| {
            let small = list.summary.small.iter().map(|(_, count)| *count);
            small.fold(list.summary.large, u32::saturating_add)
        });
        let version = in_force.map(|list| list.summary.version.clone());
        Status {
            source: "revocation list".to_owned(),
            metric: "revocation_list".to_owned(),
            version: version.filter(|version| !version.is_empty()),
            age: head.map(|head| head.age(caps.now())),
            entries: usize::try_from(entries).unwrap_or(usize::MAX),
            fresh: self.is_fresh(caps.now()),
            problem: self.feed.noted(head, caps),
        }
    }
}
