//! Which resources, and which entries of a Bundle, are the patient's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::base::node::Node;
use crate::fhir::membership::type_of;
use crate::fhir::{Api, ResourceType};
use crate::policy::{By, Expected, Form, Smart};

/// Judges resources by what an answer must keep to.
pub(super) struct Judge<'a> {
    pub(super) expected: &'a Expected,
    pub(super) api: &'a Api,
    pub(super) smart: &'a Smart,
}

impl Judge<'_> {
    /// Whether this is a resource of the type asked for and about the patient. What it `contains`
    /// is part of it; a resource anywhere else in it is none that FHIR knows.
    pub(super) fn is_member(&self, resource: &Node<'_>) -> bool {
        let (asked, by) = self.asked();
        let mut outer = resource.members().iter().filter(|(name, _)| name != "contained");
        type_of(self.api.release, resource) == asked
            && self.expected.sight.sees(resource, by, self.api, self.smart)
            && !outer.any(|(_, value)| holds_resource(value))
    }

    /// The type asked for and by which permission.
    fn asked(&self) -> (Option<ResourceType>, By) {
        match &self.expected.form {
            Form::Resource(of) | Form::History(of) | Form::Written(of) => (Some(*of), By::Read),
            Form::Searchset(of) => (*of, By::Search),
            Form::Collection | Form::Result | Form::Batch(_) => (None, By::Read),
        }
    }

    /// Whether an entry of a searchset stays: a match that is a member, or an `OperationOutcome`.
    /// That one is what the server says of this very search (which criterion it ignored): a client
    /// that is not shown it reads the search's result wrongly.
    pub(super) fn keeps_found(&self, entry: &Node<'_>) -> bool {
        let Some(entry) = self.plain(entry) else { return false };
        let Some(resource) = entry.get("resource") else { return false };
        match mode(entry) {
            Some("match") => self.is_member(resource) || is_outcome(resource),
            Some("outcome") => is_outcome(resource),
            _ => false,
        }
    }

    /// The id of the version in an entry of a history, when that is a member.
    pub(super) fn version<'e>(&self, entry: &'e Node<'_>) -> Option<&'e str> {
        let resource = self.plain(entry)?.get("resource")?;
        resource.text_of("id").filter(|_| self.is_member(resource))
    }

    /// Whether an entry of a history stays: a version that is a member, or a deletion, which has no
    /// resource, of an id that has such a version in the same Bundle. Any other deletion would tell
    /// that somebody's resource existed.
    pub(super) fn keeps_version(&self, entry: &Node<'_>, members: &BTreeSet<String>) -> bool {
        self.version(entry).is_some()
            || self.deleted(entry).is_some_and(|deleted| members.contains(deleted))
    }

    /// The id that an entry without a resource says was deleted.
    fn deleted<'e>(&self, entry: &'e Node<'_>) -> Option<&'e str> {
        let entry = self.plain(entry).filter(|entry| entry.get("resource").is_none())?;
        let request = entry.get("request")?;
        let url = request.text_of("url")?;
        let url = url.split_once("/_history/").map_or(url, |(url, _)| url);
        let (path, id) = url.rsplit_once('/')?;
        let resource = path.rsplit('/').next()?;
        let method = request.text_of("method")?;
        let asked = self.asked().0.map(ResourceType::name);
        (method == "DELETE" && asked == Some(resource)).then_some(id)
    }

    /// An entry that has only members FHIR knows, none but `resource` with a resource in it
    /// (`response.outcome` could), and is of this server.
    fn plain<'e, 'n>(&self, entry: &'e Node<'n>) -> Option<&'e Node<'n>> {
        let is_plain = |(name, value): &(Cow<'_, str>, Node<'_>)| match name.as_ref() {
            "resource" => true,
            "fullUrl" => value.text().is_some_and(|url| self.is_ours(url)),
            name => ENTRY.contains(&name) && !holds_resource(value),
        };
        let object = matches!(entry, Node::Object(_));
        (object && entry.members().iter().all(is_plain)).then_some(entry)
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
pub(super) fn is_outcome(resource: &Node<'_>) -> bool {
    let members = resource.members();
    resource.text_of("resourceType") == Some("OperationOutcome")
        && !members.iter().any(|(_, value)| holds_resource(value))
}

/// Whether there is a resource in a value, at any depth: an object with the name of a type in
/// `resourceType` (in R5 a Consent has an element of that name too, a list of codings).
pub(super) fn holds_resource(value: &Node<'_>) -> bool {
    match value {
        Node::Array(items) => items.iter().any(holds_resource),
        Node::Object(members) => {
            value.text_of("resourceType").is_some()
                || members.iter().any(|(_, value)| holds_resource(value))
        }
        _ => false,
    }
}

/// How an entry says it came into a searchset; a match unless it says otherwise.
fn mode<'e>(entry: &'e Node<'_>) -> Option<&'e str> {
    let Some(search) = entry.get("search") else { return Some("match") };
    let Node::Object(_) = search else { return None };
    search.get("mode").map_or(Some("match"), Node::text)
}

/// The members of `Bundle.entry` besides `resource` and `fullUrl`. `request` and `response` do not
/// belong in a searchset, but without a resource in them they do no harm there.
const ENTRY: [&str; 7] =
    ["id", "extension", "modifierExtension", "link", "search", "request", "response"];
