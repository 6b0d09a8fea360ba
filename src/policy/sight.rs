//! What of the server's resources a client may see and change: each context of its token judged on
//! its own, and what they open added up.

use std::rc::Rc;

use super::coverage::{Cover, Need};
use super::grants::{Confined, Grant, Grants, Standing};
use super::permission::Permission;
use super::scope::Context;
use super::smart::Smart;
use crate::base::node::Node;
use crate::fhir::compartment::{
    ENCOUNTER, PATIENT, is_in_encounter_compartment, is_in_patient_compartment,
};
use crate::fhir::config::Api;
use crate::fhir::criteria::elements;
use crate::fhir::membership::{Membership, Naming, is_member, proving_elements, type_of};
use crate::fhir::references::names_another;
use crate::fhir::{Id, ResourceType};

/// What of the server's resources a client may see.
#[derive(Debug, Clone)]
pub struct Sight {
    grants: Rc<Grants>,
    vouched: Vec<Vouched>,
}

/// A Binary of which another resource says whose it is: its `securityContext`, looked up and found to be
/// the patient's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The context that may read the other resource.
    pub(super) context: Context,
    /// The Binary.
    pub(super) id: Id,
    /// Its `securityContext`, letter for letter: with another one it is as any other Binary.
    pub(super) reference: String,
}

/// By which permission a resource is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `r`: it was read, or is included or contained.
    Read,
    /// `s`: a search found it.
    Search,
}

impl Sight {
    /// What a token with these grants may see.
    pub fn new(grants: Rc<Grants>) -> Sight {
        Sight { grants, vouched: Vec::new() }
    }

    /// The same, and this Binary.
    pub(super) fn vouching(mut self, vouched: Option<Vouched>) -> Sight {
        self.vouched.extend(vouched);
        self
    }

    /// What either shows, of the same token.
    pub(super) fn and(self, other: Sight) -> Sight {
        other.vouched.into_iter().fold(self, |sight, vouched| sight.vouching(Some(vouched)))
    }

    /// Whether the token shows this resource, and every resource that it contains: those are judged
    /// each by its own type, and one that says whom it is about must say the same patient. To those who
    /// may have all of a type, what is contained is part of it: their answers are mostly not judged.
    pub fn sees(&self, resource: &Node<'_>, by: By, api: &Api, smart: &Smart) -> bool {
        let permission = match by {
            By::Read => Permission::Read,
            By::Search => Permission::Search,
        };
        let world = World { api, smart, aliases: &[], vouched: &self.vouched };
        let shown = self.grants.contexts().any(|grant| world.reaches(grant, permission, resource));
        let whole = || self.grants.contexts().any(|grant| world.opens(grant, permission, resource));
        let shows = |inner: &Node<'_>| {
            self.grants.contexts().any(|grant| world.reaches_contained(grant, inner))
        };
        shown
            && match resource.get("contained") {
                None => true,
                Some(contained) => {
                    contained.array().is_some_and(|all| all.iter().all(shows)) || whole()
                }
            }
    }

    /// The elements at the top of a resource of this type that [`Sight::sees`] looks at, besides
    /// `resourceType`, `id`, `meta` and `contained`: the rest of an answer need not be kept to be
    /// judged. A choice element (`value[x]`) by its name without the type.
    pub fn looks_at(&self, of: ResourceType, api: &Api, smart: &Smart) -> Vec<&'static str> {
        let mut names = match of.name() {
            BINARY => vec!["securityContext"],
            _ => proving_elements(api.release, PATIENT, smart.membership, of),
        };
        for grant in self.grants.contexts() {
            names.extend(grant.encounter_elements(of, api.release));
            for parameter in grant.coverage.parameters(of) {
                names.extend(elements(api.release, of, parameter).unwrap_or_default());
            }
        }
        names
    }
}

/// What resources are judged by besides the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) api: &'a Api,
    pub(super) smart: &'a Smart,
    /// Inside a transaction: which `fullUrl` names which patient.
    pub(super) aliases: &'a [(String, Id)],
    /// What was looked up of whose Binaries are.
    pub(super) vouched: &'a [Vouched],
}

impl World<'_> {
    /// Whether a context lets its client do this with a resource.
    pub(super) fn reaches(
        self,
        grant: &Grant,
        permission: Permission,
        resource: &Node<'_>,
    ) -> bool {
        let Some(of) = type_of(self.api.release, resource) else { return false };
        let within = match &grant.standing {
            Standing::Void(_) => false,
            Standing::Unconfined => true,
            Standing::Confined(Confined { patient, encounter }) => {
                let of_encounter = |encounter| self.is_of_encounter(resource, of, encounter);
                let is_of = self.is_of(resource, of, patient) || self.vouches(grant, resource, of);
                let is_own = is_of && encounter.as_ref().is_none_or(of_encounter);
                is_own || self.is_shared(of, permission)
            }
        };
        within && grant.coverage.grants(of, permission, resource, self.api)
    }

    /// Whether a context opens every resource of this one's type, whosever it is.
    fn opens(self, grant: &Grant, permission: Permission, resource: &Node<'_>) -> bool {
        matches!(grant.standing, Standing::Unconfined)
            && type_of(self.api.release, resource).is_some_and(|of| {
                let needs = [Need::on(of, &[permission])];
                matches!(grant.coverage.cover(&needs, self.api.release), Cover::Full(_))
            })
    }

    /// Whether a resource is proven to be of this patient. Of a type outside the compartment (in R4 a
    /// Task) none is: what is included, or given by an operation, is judged as when it is read.
    pub(super) fn is_of(self, resource: &Node<'_>, of: ResourceType, patient: &Id) -> bool {
        let aliases = self.aliases_of(patient);
        let naming = self.naming(PATIENT, patient, &aliases);
        if of.name() == BINARY {
            return security_context(resource).is_some_and(|named| naming.names(named));
        }
        is_in_patient_compartment(self.api.release, of)
            && is_member(self.api.release, self.smart.membership, resource, &naming)
    }

    /// Whether this is a Binary that was found to be the patient's of this context.
    fn vouches(self, grant: &Grant, resource: &Node<'_>, of: ResourceType) -> bool {
        let (id, reference) = (resource.text_of("id"), security_context(resource));
        of.name() == BINARY
            && self.vouched.iter().any(|vouched| {
                vouched.context == grant.context
                    && id == Some(vouched.id.as_str())
                    && reference == Some(vouched.reference.as_str())
            })
    }

    /// Whether a resource is proven to be of this encounter, or is of a type that belongs to none.
    pub(super) fn is_of_encounter(
        self,
        resource: &Node<'_>,
        of: ResourceType,
        encounter: &Id,
    ) -> bool {
        let release = self.api.release;
        let naming = self.naming(ENCOUNTER, encounter, &[]);
        !is_in_encounter_compartment(release, of)
            || is_member(release, Membership::Definition, resource, &naming)
    }

    /// Whether a value refers to a patient other than this one.
    pub(super) fn names_another(self, value: &Node<'_>, patient: &Id) -> bool {
        let aliases = self.aliases_of(patient);
        names_another(value, &self.naming(PATIENT, patient, &aliases))
    }

    fn naming<'n>(&'n self, owner: &'static str, id: &'n Id, aliases: &'n [String]) -> Naming<'n> {
        Naming { owner, id, base_urls: &self.api.base_urls, aliases }
    }

    fn aliases_of(self, patient: &Id) -> Vec<String> {
        let of_patient = self.aliases.iter().filter(|(_, id)| id == patient);
        of_patient.map(|(url, _)| url.clone()).collect()
    }

    /// Whether a type outside the compartment may be read by everyone who has a scope.
    fn is_shared(self, of: ResourceType, permission: Permission) -> bool {
        matches!(permission, Permission::Read | Permission::Search)
            && !is_in_patient_compartment(self.api.release, of)
            && self.smart.shares(of.name())
    }

    /// Whether a context shows a contained resource, which has no identity of its own
    /// (<http://hl7.org/fhir/R4/references.html#contained>): one that names nobody is part of what
    /// contains it. A contained Patient can't be told from another person, nor a contained Encounter.
    fn reaches_contained(self, grant: &Grant, inner: &Node<'_>) -> bool {
        let Some(of) = type_of(self.api.release, inner) else { return false };
        let within = match &grant.standing {
            Standing::Void(_) => false,
            Standing::Unconfined => true,
            Standing::Confined(_) if of.name() == PATIENT => false,
            Standing::Confined(Confined { patient, encounter }) => {
                let in_encounter = |encounter| self.may_be_of_encounter(inner, of, encounter);
                self.is_shared(of, Permission::Read)
                    || (is_in_patient_compartment(self.api.release, of)
                        && !self.names_another(inner, patient)
                        && encounter.as_ref().is_none_or(in_encounter))
            }
        };
        within && grant.coverage.grants(of, Permission::Read, inner, self.api)
    }

    fn may_be_of_encounter(self, inner: &Node<'_>, of: ResourceType, encounter: &Id) -> bool {
        let naming = self.naming(ENCOUNTER, encounter, &[]);
        !is_in_encounter_compartment(self.api.release, of)
            || (of.name() != ENCOUNTER && !names_another(inner, &naming))
    }
}

/// What a Binary says of whose it is (<http://hl7.org/fhir/R4/binary.html#security>).
pub(super) fn security_context<'n>(binary: &'n Node<'_>) -> Option<&'n str> {
    binary.get("securityContext")?.text_of("reference")
}

/// The type whose resources say by their `securityContext` whose they are.
pub(super) const BINARY: &str = "Binary";
