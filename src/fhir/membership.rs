//! Whose a resource is, proven on the resource itself, by the elements that search parameters look at:
//! those by which searches are narrowed, so that what is read and what is found is the same.
//!
//! Where a resource refers to several patients (`Appointment.participant.actor`,
//! `Provenance.target`, `Person.link.target`) one of them is enough, as it is in a search: the
//! resource is each of theirs, and whoever may see it sees the others named. Types without a subject
//! parameter (Group, Schedule) are nobody's as [`Membership::Subject`] has it, just as their searches
//! are refused then.
//!
//! What can't be told counts as not the patient's: a reference by identifier only, to a contained
//! resource, by a `urn:` that is no alias, or of a shape that the release does not allow.

use std::cell::RefCell;

use super::compartment;
use super::element::{self, Element, Kind};
use super::references::local;
use super::{Id, Release, ResourceType};
use crate::base::node::Node;

#[cfg(test)]
mod tests;

crate::words! {
    /// What makes a resource a patient's (`smart.membership`).
    pub enum Membership {
        /// It is about the patient.
        Subject = "subject",
        /// The official CompartmentDefinition has it in the patient's compartment: performers,
        /// authors and recipients count too.
        Definition = "definition",
    }
}

/// Whether a resource is the patient's, or of the encounter that `naming` is for: whether an element by
/// which resources of its type say so refers to it. Total; `false` when it can't be told. A Patient is
/// its own alone, whatever it links to, and so is an Encounter. What is `contained` is not looked at: it has no identity of its own, and is where the
/// resource around it is.
///
/// Left to the caller: that a Bundle entry's `fullUrl`, against which relative references are
/// resolved, is no other server's.
pub fn is_member(
    release: Release,
    membership: Membership,
    resource: &Node<'_>,
    naming: &Naming<'_>,
) -> bool {
    let Some(found) = type_of(release, resource) else { return false };
    if found.name() == naming.owner {
        return resource.text_of("id") == Some(naming.id.as_str());
    }
    let named = |end: &Node<'_>| end.text_of("reference").is_some_and(|text| naming.names(text));
    let mut elements = references(release, naming.owner, membership, found);
    elements.any(|element| element.any(resource, &named))
}

/// The patients whose this resource is, as [`is_member`] has it, for whoever may see it all.
pub fn patients(
    release: Release,
    membership: Membership,
    resource: &Node<'_>,
    base_urls: &[String],
) -> Vec<String> {
    let Some(found) = type_of(release, resource) else { return Vec::new() };
    if found.name() == compartment::PATIENT {
        return resource.text_of("id").map(str::to_owned).into_iter().collect();
    }
    let all = RefCell::new(Vec::new());
    let collect = |end: &Node<'_>| {
        let named = end.text_of("reference").map(without_version);
        let local = named.and_then(|text| local(text, release, base_urls));
        if let Some((_, id)) = local.filter(|(of, _)| of.name() == compartment::PATIENT) {
            all.borrow_mut().push(id.as_str().to_owned());
        }
        false
    };
    for element in references(release, compartment::PATIENT, membership, found) {
        element.any(resource, &collect);
    }
    all.into_inner()
}

/// A literal reference without the version that it may name, as [`Naming::names`] reads it.
fn without_version(reference: &str) -> &str {
    match reference.split_once("/_history/") {
        Some((whole, version)) if Id::parse(version).is_some() => whole,
        _ => reference,
    }
}

/// How a patient, or an encounter, is named in references.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The type: [`PATIENT`](compartment::PATIENT) or [`ENCOUNTER`](compartment::ENCOUNTER).
    pub owner: &'static str,
    /// The id.
    pub id: &'a Id,
    /// Absolute URLs of this API, without a slash at the end.
    pub base_urls: &'a [String],
    /// What else names it here: inside a transaction the `fullUrl` of its own entry, such as
    /// `urn:uuid:…` (<http://hl7.org/fhir/R4/bundle.html#references>).
    pub aliases: &'a [String],
}

impl Naming<'_> {
    /// Whether a literal reference names it: `Patient/P` or `Patient/P/_history/v`, relative
    /// or below one of the base URLs (absolute, without a slash at the end), or an alias. Ids are
    /// compared whole and nothing is decoded; another `urn:`, `#contained`, a fragment, a query, any
    /// other spelling: no. See <http://hl7.org/fhir/R4/references.html#literal>.
    pub fn names(&self, reference: &str) -> bool {
        let below = |base: &String| {
            let rest = reference.strip_prefix(base.as_str());
            rest.and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| self.is_relative(rest))
        };
        self.is_relative(reference)
            || self.base_urls.iter().any(below)
            || self.aliases.iter().any(|alias| alias == reference)
    }

    /// Whether a relative reference is `Patient/P` or `Patient/P/_history/v`.
    fn is_relative(&self, reference: &str) -> bool {
        let mut segments = reference.split('/');
        if segments.next() != Some(self.owner) || segments.next() != Some(self.id.as_str()) {
            return false;
        }
        match (segments.next(), segments.next(), segments.next()) {
            (None, ..) => true,
            (Some("_history"), Some(version), None) => Id::parse(version).is_some(),
            _ => false,
        }
    }
}

/// The elements of the type, by their names at its top, without which [`is_member`] can't tell: a
/// client that selects elements (`_elements`) must get these as well.
pub fn proving_elements(
    release: Release,
    owner: &'static str,
    membership: Membership,
    resource: ResourceType,
) -> Vec<&'static str> {
    let mut names: Vec<&'static str> =
        references(release, owner, membership, resource).map(Element::top).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The resource's type, when it is one of the release.
pub fn type_of(release: Release, resource: &Node<'_>) -> Option<ResourceType> {
    ResourceType::parse(release, resource.text_of("resourceType")?)
}

/// The references by which a resource of the type says whose it is.
fn references(
    release: Release,
    owner: &'static str,
    membership: Membership,
    resource: ResourceType,
) -> impl Iterator<Item = Element> {
    let parameters = compartment::membership_parameters(release, owner, membership, resource);
    let elements =
        parameters.filter_map(move |parameter| element::of(release, resource, parameter));
    elements.flatten().filter(move |element| {
        element.kind == Kind::Reference && element.target.is_none_or(|target| target == owner)
    })
}
