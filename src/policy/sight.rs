//! What of the server's resources a client may see: each context of its token judged on its own, and
//! what they show added up.

use std::rc::Rc;

use super::coverage::Coverage;
use super::grants::{Grant, Grants, Standing};
use super::permission::Permission;
use super::smart::Smart;
use crate::base::node::Node;
use crate::fhir::compartment::is_in_patient_compartment;
use crate::fhir::config::Api;
use crate::fhir::membership::{Naming, is_about, proving_elements, type_of};
use crate::fhir::{Id, ResourceType};

/// What of the server's resources a client may see.
#[derive(Debug, Clone)]
pub struct Sight {
    grants: Rc<Grants>,
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
        Sight { grants }
    }

    /// Whether one context of the token shows this resource, what it contains included.
    pub fn sees(&self, resource: &Node<'_>, by: By, api: &Api, smart: &Smart) -> bool {
        let Some(of) = type_of(api.release, resource) else { return false };
        let permission = match by {
            By::Read => Permission::Read,
            By::Search => Permission::Search,
        };
        self.grants.contexts().any(|grant| reaches(grant, resource, of, permission, api, smart))
    }

    /// The elements at the top of a resource of this type that [`Sight::sees`] looks at, besides
    /// `resourceType`, `id`, `meta` and `contained`; the rest of an answer need not be kept to be
    /// judged. `None`: any element may count.
    pub fn looks_at(&self, of: ResourceType, api: &Api) -> Option<Vec<&'static str>> {
        let granular = self.grants.contexts().any(|grant| grant.coverage.is_granular(of));
        (!granular).then(|| proving_elements(api.release, of))
    }
}

/// Whether a context lets its client do this with a resource.
fn reaches(
    grant: &Grant,
    resource: &Node<'_>,
    of: ResourceType,
    permission: Permission,
    api: &Api,
    smart: &Smart,
) -> bool {
    let within = match &grant.standing {
        Standing::Void(_) => false,
        Standing::Unconfined => true,
        Standing::Confined(patient) => is_within(resource, of, patient, api, smart),
    };
    within && covers(&grant.coverage, of, permission)
}

fn covers(coverage: &Coverage, of: ResourceType, permission: Permission) -> bool {
    coverage.grants(of, permission)
}

/// Whether a resource is of this patient, or of a type that is shared.
fn is_within(
    resource: &Node<'_>,
    of: ResourceType,
    patient: &Id,
    api: &Api,
    smart: &Smart,
) -> bool {
    let naming = Naming { patient, base_urls: &api.base_urls, aliases: &[] };
    if is_in_patient_compartment(api.release, of) {
        is_about(api.release, resource, &naming)
    } else {
        smart.shares(of.name())
    }
}
