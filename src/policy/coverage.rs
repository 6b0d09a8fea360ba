//! What the scopes of one context cover, by type and permission. Built once per token; asked on
//! every request without reading a scope again.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::permission::{Permission, Permissions};
use super::scope::{Context, Scope};
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
    /// What granular scopes grant.
    granular: Permissions,
}

/// How far scopes cover a need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cover {
    /// Wholly: the scopes that do, separated by spaces.
    Full(Rc<str>),
    /// Only with the help of a granular scope.
    Granular,
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
        if scope.granular {
            row.granular = row.granular.with(scope.permissions);
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

    /// Whether no scope was added.
    pub(super) fn is_empty(&self) -> bool {
        self.every_type.is_empty() && self.types.is_empty()
    }

    /// Whether a plain scope grants this on the type.
    pub(super) fn grants(&self, resource: ResourceType, permission: Permission) -> bool {
        self.plain(Some(resource), permission).is_some()
    }

    /// How far the scopes cover all of `needs`.
    pub(super) fn cover(&self, needs: &[Need]) -> Cover {
        let mut used: Vec<&Rc<str>> = Vec::new();
        let mut granular = false;
        for need in needs {
            for permission in need.permissions.iter() {
                match self.plain(need.resource, permission) {
                    Some(text) if used.contains(&text) => {}
                    Some(text) => used.push(text),
                    None if self.granular(need.resource, permission) => granular = true,
                    None => return Cover::Lacking,
                }
            }
        }
        match used.as_slice() {
            _ if granular => Cover::Granular,
            [] => Cover::Lacking,
            [one] => Cover::Full(Rc::clone(one)),
            several => {
                let texts: Vec<&str> = several.iter().map(|text| text.as_ref()).collect();
                Cover::Full(Rc::from(texts.join(" ")))
            }
        }
    }

    /// The rows that count for a type: its own and that of every type.
    fn rows(&self, resource: Option<ResourceType>) -> impl Iterator<Item = &Row> {
        let own = resource.and_then(|resource| self.types.get(&resource));
        own.into_iter().chain([&self.every_type])
    }

    pub(super) fn plain(
        &self,
        resource: Option<ResourceType>,
        permission: Permission,
    ) -> Option<&Rc<str>> {
        self.rows(resource).find_map(|row| row.plain(permission))
    }

    fn granular(&self, resource: Option<ResourceType>, permission: Permission) -> bool {
        self.rows(resource).any(|row| row.granular.contains(permission))
    }
}

impl Row {
    fn plain(&self, permission: Permission) -> Option<&Rc<str>> {
        let mut slots = self.plain.iter().zip(Permission::ALL);
        slots.find(|(_, slot)| *slot == permission).and_then(|(text, _)| text.as_ref())
    }

    fn is_empty(&self) -> bool {
        self.granular == Permissions::NONE && self.plain.iter().all(Option::is_none)
    }
}
