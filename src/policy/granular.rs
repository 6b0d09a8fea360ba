//! Scopes with search parameters (`patient/Observation.rs?category=…|laboratory`): they grant what
//! matches all their parameters
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters>).

use std::rc::Rc;

use percent_encoding::percent_decode_str;

use super::permission::Permissions;
use crate::base::node::Node;
use crate::fhir::config::Api;
use crate::fhir::{Release, ResourceType, criteria};

/// A granular scope.
#[derive(Debug, Clone)]
pub(super) struct Granular {
    /// The whole scope.
    pub(super) text: Rc<str>,
    /// What it grants.
    pub(super) permissions: Permissions,
    /// What a resource must match, all of it.
    pub(super) criteria: Rc<[Criterion]>,
}

/// `name=value`, the value decoded once; a comma in it joins alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) name: String,
    pub(super) value: String,
}

impl Granular {
    /// Reads what stands behind `?`. `None`, and so nothing granted, when a value is no text.
    pub(super) fn read(text: &str, permissions: Permissions, params: &str) -> Option<Granular> {
        let criterion = |param: &str| {
            let (name, value) = param.split_once('=')?;
            let value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
            Some(Criterion { name: name.to_owned(), value })
        };
        let criteria = params.split('&').map(criterion).collect::<Option<Vec<_>>>()?;
        Some(Granular { text: Rc::from(text), permissions, criteria: Rc::from(criteria) })
    }

    /// Whether all its parameters can be evaluated on resources of this type. What can't be
    /// evaluated grants nothing.
    pub(super) fn is_evaluable(&self, of: ResourceType, release: Release) -> bool {
        let known = |one: &Criterion| criteria::elements(release, of, &one.name).is_some();
        self.criteria.iter().all(known)
    }

    /// Whether a resource matches all its parameters.
    pub(super) fn matches(&self, resource: &Node<'_>, api: &Api) -> bool {
        let matches = |one: &Criterion| {
            criteria::matches(api.release, resource, &one.name, &one.value, &api.base_urls)
        };
        self.criteria.iter().all(matches)
    }
}
