//! Which resources, and which entries of a Bundle, are the patient's.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::fhir::Api;
use crate::fhir::membership::{is_about, type_of};
use crate::policy::Expected;

/// Judges resources by what an answer must keep to.
pub(super) struct Judge<'a> {
    pub(super) expected: &'a Expected,
    pub(super) api: &'a Api,
}

impl Judge<'_> {
    /// Whether this is a resource of the type asked for and about the patient. What it `contains`
    /// is part of it; a resource anywhere else in it is none that FHIR knows.
    pub(super) fn is_member(&self, resource: &Value) -> bool {
        let Expected { patient, resource: asked, .. } = self.expected;
        let Api { release, base_urls, .. } = self.api;
        let Some(members) = resource.as_object() else { return false };
        let mut outer = members.iter().filter(|(name, _)| *name != "contained");
        type_of(*release, resource) == Some(*asked)
            && is_about(*release, resource, patient, base_urls)
            && !outer.any(|(_, value)| holds_resource(value))
    }

    /// Whether an entry of a searchset stays: a match that is a member, or an `OperationOutcome`.
    /// That one is what the server says of this very search (which criterion it ignored): a client
    /// that is not shown it reads the search's result wrongly.
    pub(super) fn keeps_found(&self, entry: &Value) -> bool {
        let Some(entry) = self.plain(entry) else { return false };
        let Some(resource) = entry.get("resource") else { return false };
        match mode(entry) {
            Some("match") => self.is_member(resource) || is_outcome(resource),
            Some("outcome") => is_outcome(resource),
            _ => false,
        }
    }

    /// The id of the version in an entry of a history, when that is a member.
    pub(super) fn version<'e>(&self, entry: &'e Value) -> Option<&'e str> {
        let resource = self.plain(entry)?.get("resource")?;
        let id = resource.get("id").and_then(Value::as_str);
        id.filter(|_| self.is_member(resource))
    }

    /// Whether an entry of a history stays: a version that is a member, or a deletion, which has no
    /// resource, of an id that has such a version in the same Bundle. Any other deletion would tell
    /// that somebody's resource existed.
    pub(super) fn keeps_version(&self, entry: &Value, members: &BTreeSet<String>) -> bool {
        self.version(entry).is_some()
            || self.deleted(entry).is_some_and(|deleted| members.contains(deleted))
    }

    /// The id that an entry without a resource says was deleted.
    fn deleted<'e>(&self, entry: &'e Value) -> Option<&'e str> {
        let entry = self.plain(entry).filter(|entry| !entry.contains_key("resource"))?;
        let request = entry.get("request")?;
        let url = request.get("url")?.as_str()?;
        let url = url.split_once("/_history/").map_or(url, |(url, _)| url);
        let (path, id) = url.rsplit_once('/')?;
        let resource = path.rsplit('/').next()?;
        let method = request.get("method")?.as_str()?;
        (method == "DELETE" && resource == self.expected.resource.name()).then_some(id)
    }

    /// An entry that has only members FHIR knows, none but `resource` with a resource in it
    /// (`response.outcome` could), and is of this server.
    fn plain<'e>(&self, entry: &'e Value) -> Option<&'e Map<String, Value>> {
        let entry = entry.as_object()?;
        let is_plain = |(name, value): (&String, &Value)| match name.as_str() {
            "resource" => true,
            "fullUrl" => value.as_str().is_some_and(|url| self.is_ours(url)),
            name => ENTRY.contains(&name) && !holds_resource(value),
        };
        entry.iter().all(is_plain).then_some(entry)
    }

    /// Whether a `fullUrl` can be of this API: `Patient/P` in a resource of another server is another
    /// person (<http://hl7.org/fhir/R4/bundle.html#references>). Without `fhir.base_url` in the
    /// configuration nobody can tell.
    fn is_ours(&self, url: &str) -> bool {
        let bases = &self.api.base_urls;
        let below = |base: &String| {
            url.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        !url.contains("://") || bases.is_empty() || bases.iter().any(below)
    }
}

/// Whether this is an `OperationOutcome` that carries no other resource.
pub(super) fn is_outcome(resource: &Value) -> bool {
    let Some(members) = resource.as_object() else { return false };
    members.get("resourceType").is_some_and(|name| name == "OperationOutcome")
        && !members.values().any(holds_resource)
}

/// Whether there is a resource in a value, at any depth: an object with the name of a type in
/// `resourceType` (in R5 a Consent has an element of that name too, a list of codings).
pub(super) fn holds_resource(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_resource),
        Value::Object(members) => {
            members.get("resourceType").is_some_and(Value::is_string)
                || members.values().any(holds_resource)
        }
        _ => false,
    }
}

/// How an entry says it came into a searchset; a match unless it says otherwise.
fn mode(entry: &Map<String, Value>) -> Option<&str> {
    let Some(search) = entry.get("search") else { return Some("match") };
    search.as_object()?.get("mode").map_or(Some("match"), Value::as_str)
}

/// The members of `Bundle.entry` besides `resource` and `fullUrl`. `request` and `response` do not
/// belong in a searchset, but without a resource in them they do no harm there.
const ENTRY: [&str; 7] =
    ["id", "extension", "modifierExtension", "link", "search", "request", "response"];
