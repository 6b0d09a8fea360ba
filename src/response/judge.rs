//! Which resources, and which entries of a Bundle, the client may see.

use std::borrow::Cow;

use super::entry::Entry;
use super::resource::Resource;
use crate::base::node::Node;
use crate::fhir::compartment::PATIENT;
use crate::fhir::references::local;
use crate::fhir::{Api, ResourceType};
use crate::policy::{By, Expected, Form, Smart};

/// Judges resources by what an answer must keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) expected: &'a Expected,
    pub(super) api: &'a Api,
    pub(super) smart: &'a Smart,
}

impl Judge<'_> {
    /// Whether this is a resource of the type asked for, if one was, that the client may see. What it
    /// `contains` is part of it; a resource anywhere else in it is none that FHIR knows.
    pub(super) fn sees(&self, resource: &Resource<'_>, by: By) -> bool {
        let node = &resource.node;
        let asked = self.asked();
        !resource.strays
            && asked.is_none_or(|of| node.text_of("resourceType") == Some(of.name()))
            && self.expected.sight.sees(node, by, self.api, self.smart)
    }

    /// Whether this is a Binary of which another resource would tell whose it is, with nowhere to look that
    /// up: its operator will want to know.
    pub(super) fn lacks_context(&self, resource: &Resource<'_>) -> bool {
        let Api { release, base_urls, cluster, .. } = self.api;
        let context = resource.node.get("securityContext");
        let reference = context.and_then(|context| context.text_of("reference"));
        let other = reference.and_then(|reference| local(reference, *release, base_urls));
        cluster.is_none()
            && resource.node.text_of("resourceType") == Some("Binary")
            && other.is_some_and(|(of, _)| of.name() != PATIENT)
    }

    /// Whether a resource of any type is one that the client may see.
    fn shows(&self, resource: &Resource<'_>) -> bool {
        !resource.strays && self.expected.sight.sees(&resource.node, By::Read, self.api, self.smart)
    }

    /// The elements at the top of a resource of the type with this name that must be kept for
    /// [`Judge::sees`], besides those of every type.
    pub(super) fn looked_at(&self, name: &Node<'_>) -> Vec<&'static str> {
        let of = name.text().and_then(|name| ResourceType::parse(self.api.release, name));
        of.map(|of| self.expected.sight.looks_at(of, self.api, self.smart)).unwrap_or_default()
    }

    fn asked(&self) -> Option<ResourceType> {
        match &self.expected.form {
            Form::Resource(of) | Form::History(of) | Form::Written(of) => Some(*of),
            Form::Searchset(of) => *of,
            Form::Collection | Form::Result | Form::Batch(_) => None,
        }
    }

    /// Whether an entry of a searchset or collection stays: a match, something included, or an
    /// `OperationOutcome`. That one is what the server says of this very search (which criterion it
    /// ignored): a client that is not shown it reads the search's result wrongly.
    pub(super) fn keeps_found(&self, entry: &Entry<'_, Resource<'_>>) -> bool {
        let Some((_, resource)) = &entry.resource else { return false };
        let searched = matches!(self.expected.form, Form::Searchset(_));
        let by = if searched { By::Search } else { By::Read };
        self.is_plain(&entry.fields)
            && match mode(&entry.fields) {
                Some("match") => is_bare_outcome(resource) || self.sees(resource, by),
                Some("include") => self.shows(resource),
                Some("outcome") => is_bare_outcome(resource),
                _ => false,
            }
    }

    /// The id of the version in an entry of a history, when the client may see it.
    pub(super) fn version<'e>(&self, entry: &'e Entry<'_, Resource<'_>>) -> Option<&'e str> {
        let (_, resource) = entry.resource.as_ref()?;
        let seen = self.is_plain(&entry.fields) && self.sees(resource, By::Read);
        resource.node.text_of("id").filter(|_| seen)
    }

    /// The id that an entry without a resource says was deleted.
    pub(super) fn deleted<'e>(&self, entry: &'e Entry<'_, Resource<'_>>) -> Option<&'e str> {
        if entry.resource.is_some() || !self.is_plain(&entry.fields) {
            return None;
        }
        let request = entry.fields.get("request")?;
        let url = request.text_of("url")?;
        let url = url.split_once("/_history/").map_or(url, |(url, _)| url);
        let (path, id) = url.rsplit_once('/')?;
        let resource = path.rsplit('/').next()?;
        let method = request.text_of("method")?;
        let asked = self.asked().map(ResourceType::name);
        (method == "DELETE" && asked == Some(resource)).then_some(id)
    }

    /// Whether an entry is an object that has only members FHIR knows, none of them with a resource
    /// in it (`response.outcome` could), and is of this server.
    fn is_plain(&self, fields: &Node<'_>) -> bool {
        let fits = |(name, value): &(Cow<'_, str>, Node<'_>)| {
            self.is_known(name, value) && !holds_resource(value)
        };
        matches!(fields, Node::Object(_)) && fields.members().iter().all(fits)
    }

    /// Whether an entry can have this member.
    pub(super) fn is_known(&self, name: &str, value: &Node<'_>) -> bool {
        match name {
            "fullUrl" => value.text().is_some_and(|url| self.is_ours(url)),
            name => ENTRY.contains(&name),
        }
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
pub(super) fn is_bare_outcome(resource: &Resource<'_>) -> bool {
    !resource.strays && is_outcome(&resource.node)
}

/// Whether this is an `OperationOutcome` that carries no other resource.
pub(super) fn is_outcome(value: &Node<'_>) -> bool {
    value.text_of("resourceType") == Some("OperationOutcome")
        && !value.members().iter().any(|(_, value)| holds_resource(value))
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
fn mode<'e>(fields: &'e Node<'_>) -> Option<&'e str> {
    let Some(search) = fields.get("search") else { return Some("match") };
    let Node::Object(_) = search else { return None };
    search.get("mode").map_or(Some("match"), Node::text)
}

/// The members of `Bundle.entry` besides `resource` and `fullUrl`. `request` and `response` do not
/// belong in a searchset, but without a resource in them they do no harm there.
const ENTRY: [&str; 7] =
    ["id", "extension", "modifierExtension", "link", "search", "request", "response"];
