//! Which patient a resource is about, proven on the resource itself, in exact agreement with
//! searches: a resource is about a patient when [`compartment::subject_parameter`], by which
//! searches are narrowed, finds it for that patient. Both come from the parameter's definition.
//!
//! Where a resource refers to several patients (`Appointment.participant.actor`,
//! `Provenance.target`, `Person.link.target`) one of them is enough, as it is in a search: the
//! resource is about each of them, and whoever may see it sees the others named. Types without a
//! subject parameter (Group, Schedule) are about nobody here, just as their searches are refused.
//!
//! What can't be told counts as not about the patient: a reference by identifier only, to a
//! contained resource, by `urn:`, or of a shape that the release does not allow.

use crate::base::node::Node;

use super::compartment::{self, PATIENT};
use super::tables::Step;
use super::{Id, Release, ResourceType};

#[cfg(test)]
mod tests;

/// Whether a resource, a parsed JSON object, is about the patient. Total; `false` when it can't be
/// told. A Patient is about itself alone, whatever it links to. What is `contained` is not looked
/// at: it has no identity of its own, and is where the resource around it is.
///
/// Left to the caller: that the parser refused repeated member names, which two readers could take
/// differently, and that a Bundle entry's `fullUrl`, against which relative references are resolved,
/// is no other server's.
pub fn is_about(release: Release, resource: &Node<'_>, naming: &Naming<'_>) -> bool {
    let Some(found) = type_of(release, resource) else { return false };
    if found.name() == PATIENT {
        return resource.text_of("id") == Some(naming.patient.as_str());
    }
    let names = |reference: &str| naming.names(reference);
    let mut paths = compartment::subject_paths(release, found).iter();
    paths.any(|path| reaches(resource, path, &names))
}

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

/// Whether a resource is the patient's. Total; `false` when it can't be told.
pub fn is_member(
    release: Release,
    membership: Membership,
    resource: &Node<'_>,
    naming: &Naming<'_>,
) -> bool {
    match membership {
        Membership::Subject => is_about(release, resource, naming),
        Membership::Definition => is_about(release, resource, naming),
    }
}

/// How a patient is named in references.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The patient.
    pub patient: &'a Id,
    /// Absolute URLs of this API, without a slash at the end.
    pub base_urls: &'a [String],
    /// What else names the patient here: inside a transaction the `fullUrl` of its own entry, such as
    /// `urn:uuid:…` (<http://hl7.org/fhir/R4/bundle.html#references>).
    pub aliases: &'a [String],
}

impl Naming<'_> {
    /// Whether a literal reference names the patient: `Patient/P` or `Patient/P/_history/v`, relative
    /// or below one of the base URLs (absolute, without a slash at the end), or an alias. Ids are
    /// compared whole and nothing is decoded; another `urn:`, `#contained`, a fragment, a query, any
    /// other spelling: no. See <http://hl7.org/fhir/R4/references.html#literal>.
    pub fn names(&self, reference: &str) -> bool {
        let below = |base: &String| {
            let rest = reference.strip_prefix(base.as_str());
            rest.and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| is_patient(rest, self.patient))
        };
        is_patient(reference, self.patient)
            || self.base_urls.iter().any(below)
            || self.aliases.iter().any(|alias| alias == reference)
    }
}

/// The elements of the type, by their names at its top, without which [`is_about`] can't tell: a
/// client that selects elements (`_elements`) must get these as well.
pub fn proving_elements(
    release: Release,
    _membership: Membership,
    resource: ResourceType,
) -> Vec<&'static str> {
    let tops = compartment::subject_paths(release, resource).iter().filter_map(|path| path.first());
    let mut names: Vec<&'static str> = tops
        .map(|step| match step {
            Step::One(name) | Step::Many(name) => *name,
        })
        .collect();
    names.dedup();
    names
}

/// The resource's type, when it is one of the release.
pub fn type_of(release: Release, resource: &Node<'_>) -> Option<ResourceType> {
    ResourceType::parse(release, resource.text_of("resourceType")?)
}

/// Whether a relative reference is `Patient/P` or `Patient/P/_history/v`.
fn is_patient(relative: &str, patient: &Id) -> bool {
    let mut segments = relative.split('/');
    if segments.next() != Some(PATIENT) || segments.next() != Some(patient.as_str()) {
        return false;
    }
    match (segments.next(), segments.next(), segments.next()) {
        (None, ..) => true,
        (Some("_history"), Some(version), None) => Id::parse(version).is_some(),
        _ => false,
    }
}

/// Whether a Reference at the end of the path names the patient. An array where the release allows
/// one value, or one value where it has an array, leads nowhere: a server may read it as another.
fn reaches(value: &Node<'_>, path: &[Step], names: &impl Fn(&str) -> bool) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return value.text_of("reference").is_some_and(names);
    };
    match step {
        Step::One(name) => value.get(name).is_some_and(|next| reaches(next, rest, names)),
        Step::Many(name) => {
            let items = value.get(name).and_then(Node::array);
            items.is_some_and(|items| items.iter().any(|next| reaches(next, rest, names)))
        }
    }
}
