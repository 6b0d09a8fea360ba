//! Whose data an answer holds, for the audit record.

use std::collections::BTreeSet;

use super::headers;
use crate::base::node::{self, Node};
use crate::fhir::{Api, membership};
use crate::policy::Smart;
use crate::request::Headers;

/// Whether the head of an answer says that its body can be read: JSON that is not compressed.
pub fn is_readable(headers: &Headers) -> bool {
    headers::is_json(headers).is_ok()
}

/// The patients whose data this answer holds: those that its resource, the entries of its Bundle, or the
/// resources in its Parameters say they are about, by `smart.membership`. `None`: it can't be read.
pub fn patients(body: &[u8], api: &Api, smart: &Smart) -> Option<BTreeSet<String>> {
    let answer = node::read(body).ok()?;
    let mut found = BTreeSet::new();
    collect(&answer, api, smart, &mut found);
    Some(found)
}

fn collect(resource: &Node<'_>, api: &Api, smart: &Smart, found: &mut BTreeSet<String>) {
    let inner = match resource.text_of("resourceType") {
        Some("Bundle") => "entry",
        Some("Parameters") => "parameter",
        _ => {
            found.extend(membership::patients(
                api.release,
                smart.membership,
                resource,
                &api.base_urls,
            ));
            return;
        }
    };
    below(resource.get(inner), api, smart, found);
}

/// Of a list of entries or parameters: what each has as `resource`, and the parts of parameters.
fn below(list: Option<&Node<'_>>, api: &Api, smart: &Smart, found: &mut BTreeSet<String>) {
    for item in list.and_then(Node::array).unwrap_or_default() {
        if let Some(resource) = item.get("resource") {
            collect(resource, api, smart, found);
        }
        below(item.get("part"), api, smart, found);
    }
}
