//! What the scopes of one context cover, by type and permission. Built once per token; asked on
//! every request without reading a scope again.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::granular::{Criterion, Granular};
use super::permission::{Permission, Permissions};
use super::scope::{Context, Scope};
use crate::base::node::Node;
use crate::base::set_of;
use crate::fhir::config::Api;
use crate::fhir::{Release, ResourceType};

/// What an interaction needs of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// The type; `None` for every type, which only a scope on `*` covers.
    pub(super) resource: Option<ResourceType>,
    /// All of these.
    pub(super) permissions: Permissions,
}

/// The union of one context's scopes. Its size is bounded by the release's types, not by the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    every_type: Row,
    types: BTreeMap<ResourceType, Row>,
}

/// What is covered on one type.
#[derive(Debug, Clone, Default)]
struct Row {
    /// For each permission, in the order of `cruds`, the first plain scope that grants it.
    plain: [Option<Rc<str>>; 5],
    /// Granular scopes, at most [`MAX_GRANULAR`].
    granular: Vec<Granular>,
}

/// Most granular scopes that are kept on one type: each is evaluated on every resource of an answer.
/// More of them grant nothing.
const MAX_GRANULAR: usize = 50;

/// How far scopes cover a need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cover {
    /// Wholly: the scopes that do, separated by spaces.
    Full(Rc<str>),
    /// Only with the help of granular scopes: so far as a resource matches them.
    Granular(Rc<str>),
    /// Not.
    Lacking,
}

impl Need {
    /// `permissions` on `resource`.
    pub(super) const fn on(resource: ResourceType, permissions: &[Permission]) -> Need {
        Need { resource: Some(resource), permissions: Permissions::of(permissions) }
    }

    /// `permissions` on every type.
    pub(super) const fn on_all(permissions: &[Permission]) -> Need {
        Need { resource: None, permissions: Permissions::of(permissions) }
    }

    /// The smallest scope that covers it, in the grammar of SMART v2.
    pub(super) fn scope(self, context: Context) -> String {
        let resource = self.resource.map_or("*", ResourceType::name);
        format!("{}/{resource}.{}", context.word(), self.permissions)
    }
}

impl Coverage {
    /// Adds a scope. One on a type that the release doesn't have adds nothing.
    pub(super) fn add(&mut self, scope: Scope<'_>, release: Release) {
        let row = if scope.resource == "*" {
            &mut self.every_type
        } else {
            let Some(resource) = ResourceType::parse(release, scope.resource) else { return };
            self.types.entry(resource).or_default()
        };
        if let Some(params) = scope.granular {
            if row.granular.len() < MAX_GRANULAR {
                row.granular.extend(Granular::read(scope.text, scope.permissions, params));
            }
            return;
        }
        let granted = row.plain.iter_mut().zip(Permission::ALL);
        let mut missing = granted
            .filter(|(slot, permission)| slot.is_none() && scope.permissions.contains(*permission))
            .map(|(slot, _)| slot)
            .peekable();
        if missing.peek().is_some() {
            let text: Rc<str> = Rc::from(scope.text);
            missing.for_each(|slot| *slot = Some(Rc::clone(&text)));
        }
    }

    /// A scope that grants this on any type.
    pub(super) fn any(&self, permission: Permission) -> Option<Rc<str>> {
        let mut rows = self.types.values().chain([&self.every_type]);
        rows.find_map(|row| {
            let mut granular = row.granular.iter();
            let granular = granular.find(|scope| scope.permissions.contains(permission));
            row.plain(permission).or(granular.map(|scope| &scope.text)).cloned()
        })
    }

    /// Whether no scope was added.
    pub(super) fn is_empty(&self) -> bool {
        self.every_type.is_empty() && self.types.is_empty()
    }

    /// Whether a scope grants this on a resource of this type: a plain one, or a granular one that
    /// the resource matches.
    pub(super) fn grants(
        &self,
        of: ResourceType,
        permission: Permission,
        resource: &Node<'_>,
        api: &Api,
    ) -> bool {
        // What can't be evaluated matches nothing.
        let granular = || self.rows(Some(of)).flat_map(|row| &row.granular);
        let granted = |scope: &&Granular| scope.permissions.contains(permission);
        self.plain(Some(of), permission).is_some()
            || granular().filter(granted).any(|scope| scope.matches(resource, api))
    }

    /// How far the scopes cover all of `needs`.
    pub(super) fn cover(&self, needs: &[Need], release: Release) -> Cover {
        let mut used: Vec<&Rc<str>> = Vec::new();
        let mut whole = true;
        for need in needs {
            for permission in need.permissions.iter() {
                let plain = self.plain(need.resource, permission);
                whole &= plain.is_some();
                let found: Vec<&Rc<str>> = match (plain, need.resource) {
                    (Some(text), _) => vec![text],
                    (None, Some(of)) => {
                        self.granular(of, permission, release).map(|scope| &scope.text).collect()
                    }
                    (None, None) => Vec::new(),
                };
                if found.is_empty() {
                    return Cover::Lacking;
                }
                used.extend(found);
            }
        }
        let texts = joined(&used);
        if used.is_empty() {
            Cover::Lacking
        } else if whole {
            Cover::Full(texts)
        } else {
            Cover::Granular(texts)
        }
    }

    /// The criteria, to be joined by AND, that say in a search what the granular scopes say: `None`
    /// where a search can't say it, several scopes with different parameters.
    pub(super) fn criteria(&self, of: ResourceType, release: Release) -> Option<Vec<Criterion>> {
        let mut scopes = self.granular(of, Permission::Search, release);
        let first = scopes.next()?;
        let mut joined = first.criteria.to_vec();
        for scope in scopes {
            match (joined.as_mut_slice(), &*scope.criteria) {
                ([one], [other]) if one.name == other.name => {
                    one.value = format!("{},{}", one.value, other.value);
                }
                _ => return None,
            }
        }
        Some(joined)
    }

    /// The parameters that granular scopes have for a type, for any permission, each once.
    pub(super) fn parameters(&self, of: ResourceType) -> BTreeSet<&str> {
        let scopes = self.rows(Some(of)).flat_map(|row| &row.granular);
        let criteria = scopes.flat_map(|scope| scope.criteria.iter());
        set_of(criteria.map(|criterion| criterion.name.as_str()))
    }

    /// The rows that count for a type: its own and that of every type.
    fn rows(&self, resource: Option<ResourceType>) -> impl Iterator<Item = &Row> {
        let own = resource.and_then(|resource| self.types.get(&resource));
        own.into_iter().chain([&self.every_type])
    }

    fn plain(&self, resource: Option<ResourceType>, permission: Permission) -> Option<&Rc<str>> {
        self.rows(resource).find_map(|row| row.plain(permission))
    }

    /// The granular scopes that grant this on a type and can be evaluated on it.
    fn granular(
        &self,
        of: ResourceType,
        permission: Permission,
        release: Release,
    ) -> impl Iterator<Item = &Granular> {
        let rows = self.rows(Some(of)).flat_map(|row| &row.granular);
        rows.filter(move |scope| {
            scope.permissions.contains(permission) && scope.is_evaluable(of, release)
        })
    }
}

impl Row {
    fn plain(&self, permission: Permission) -> Option<&Rc<str>> {
        let mut slots = self.plain.iter().zip(Permission::ALL);
        slots.find(|(_, slot)| *slot == permission).and_then(|(text, _)| text.as_ref())
    }

    fn is_empty(&self) -> bool {
        self.granular.is_empty() && self.plain.iter().all(Option::is_none)
    }
}

/// Each text once, in order, separated by spaces.
fn joined(used: &[&Rc<str>]) -> Rc<str> {
    let mut texts: Vec<&str> = Vec::new();
    for text in used {
        if !texts.contains(&text.as_ref()) {
            texts.push(text);
        }
    }
    match used {
        [one] => Rc::clone(one),
        _ => Rc::from(texts.join(" ")),
    }
}
