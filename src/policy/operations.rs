//! `smart.operations`: the operations that are let through besides `$everything` and `$export`, which
//! this gateway judges by itself. FHIR defines what an operation takes, not what it reads or changes,
//! and SMART maps none to a scope: whoever lists one says which scopes are worth it.

use serde_json::{Value, json};

use super::coverage::Need;
use super::permission::Permissions;
use super::reasons::{OPERATION_LEVEL, OPERATION_NOT_LISTED};
use super::scope::{self, Context};
use crate::base::refusal::Refusal;
use crate::config::section::{Section, excerpt, nearest};
use crate::config::setting::Setting;
use crate::fhir::{Level, Operation, Release, ResourceType};

/// `Patient/$everything` and its kin, judged by this gateway.
pub(super) const EVERYTHING: &str = "$everything";
/// The kick-off of a bulk export, judged by this gateway.
pub(super) const EXPORT: &str = "$export";

/// An operation that is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    name: Name,
    level: ListedLevel,
    resource: Option<TypeName>,
    requires: Requires,
}

crate::words! {
    /// Where a listed operation may be invoked.
    pub enum ListedLevel {
        /// `$op`
        System = "system",
        /// `Type/$op`
        Type = "type",
        /// `Type/id/$op`, and on a version of it
        Instance = "instance",
    }
}

impl Listed {
    /// Reads `operations` of the section `smart`.
    pub fn read(section: &mut Section<'_>) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        section.optional_sections("operations", DOC_OPERATIONS, |section| {
            let one = read_one(section)?;
            if listed.iter().any(|known| known.is_at(&one)) {
                let problem = format!("`{}` is listed twice at this level", one.name.0);
                let hint = "name all scopes in one `requires`, separated by spaces";
                section.problem("name", problem, "each operation once a level", Some(hint));
                return None;
            }
            listed.push(one.clone());
            Some(one)
        })
    }

    /// What the scopes of `context` must cover; `None` when no scope of this context will do.
    pub(super) fn needs(&self, context: Context, release: Release) -> Option<Vec<Need>> {
        let own = self.requires.scopes.iter().filter(|scope| scope.context == context);
        let needs: Option<Vec<Need>> = own.map(|scope| scope.need(release)).collect();
        needs.filter(|needs| !needs.is_empty())
    }

    /// The scopes that would do, as they are configured.
    pub(super) fn requires(&self) -> &str {
        &self.requires.text
    }

    fn is_at(&self, other: &Listed) -> bool {
        self.name == other.name && self.level == other.level && self.resource == other.resource
    }

    /// Whether it is listed for where this operation is invoked.
    fn covers(&self, level: &Level) -> bool {
        let (at, resource) = match level {
            Level::System => (ListedLevel::System, None),
            Level::Type(resource) => (ListedLevel::Type, Some(resource)),
            Level::Instance(resource, _) | Level::Version(resource, _, _) => {
                (ListedLevel::Instance, Some(resource))
            }
        };
        let fits = |only: &TypeName| resource.is_some_and(|resource| resource.name() == only.0);
        self.level == at && self.resource.as_ref().is_none_or(fits)
    }
}

/// What is listed for an operation: the entry for its type before the one for any type.
///
/// # Errors
///
/// It is not listed, or not at this level. Names are compared by case.
pub(super) fn find<'a>(listed: &'a [Listed], operation: &Operation) -> Result<&'a Listed, Refusal> {
    let named = || listed.iter().filter(|one| one.name.0 == operation.name);
    let reason = if named().next().is_some() { &OPERATION_LEVEL } else { &OPERATION_NOT_LISTED };
    let found = named().filter(|one| one.covers(&operation.level));
    found.max_by_key(|one| one.resource.is_some()).ok_or_else(|| Refusal::new(reason))
}

fn read_one(section: &mut Section<'_>) -> Option<Listed> {
    let name = section.required("name", "name of the operation with its `$`");
    let level = section
        .required::<ListedLevel>("level", "where it may be invoked: list it once for each level");
    let resource =
        section.optional("type", "limits `type` and `instance` to resources of this type");
    let requires = section.required(
        "requires",
        "scopes that the token must have, separated by spaces: those of one context (`patient/`, \
         `user/` or `system/`) all together",
    );
    if level == Some(ListedLevel::System) && resource.is_some() {
        let hint = "leave `type` out, or write `level: type`";
        let problem = "`type` stands beside `level: system`".to_owned();
        section.problem("type", problem, "no type at the level of the system", Some(hint));
        return None;
    }
    Some(Listed { name: name?, level: level?, resource, requires: requires? })
}

/// The name of an operation that this gateway does not judge by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name(String);

impl Setting for Name {
    const EXPECTED: &'static str = "the name of an operation with its `$`, such as `$docref`";

    fn parse(value: &Value) -> Result<Name, String> {
        let name = value.as_str().unwrap_or_default();
        if is_own(name) {
            return Err(format!("`{name}` is judged by the gateway itself"));
        }
        let code = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let named = name.strip_prefix('$').is_some_and(|rest| {
            rest.len() <= 64
                && rest.starts_with(|first: char| first.is_ascii_alphanumeric())
                && rest.bytes().all(code)
        });
        if named {
            Ok(Name(name.to_owned()))
        } else {
            Err(format!("`{}` is no such name", excerpt(value)))
        }
    }

    fn hint(value: &Value) -> Option<String> {
        let name = value.as_str()?;
        if is_own(name) {
            return Some("leave it out: it needs no listing".to_owned());
        }
        let with_dollar = Value::from(format!("${name}"));
        Name::parse(&with_dollar).ok().map(|named| format!("write `{}`", named.0))
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\$[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"})
    }

    fn json(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

/// Whether this gateway judges it by itself. A server might take `$Everything` for `$everything`.
fn is_own(name: &str) -> bool {
    [EVERYTHING, EXPORT].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The name of a resource type of some release.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TypeName(String);

impl Setting for TypeName {
    const EXPECTED: &'static str = "a resource type such as `DocumentReference`";

    fn parse(value: &Value) -> Result<TypeName, String> {
        let name = value.as_str().unwrap_or_default();
        if is_type(name) {
            Ok(TypeName(name.to_owned()))
        } else {
            Err(format!("`{}` is not a resource type", excerpt(value)))
        }
    }

    fn hint(value: &Value) -> Option<String> {
        nearest_type(value.as_str()?)
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Z][A-Za-z]*$"})
    }

    fn json(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

/// Clinical scopes without search parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requires {
    text: String,
    scopes: Vec<Required>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Required {
    context: Context,
    /// `*` for every type.
    resource: String,
    permissions: Permissions,
}

impl Required {
    /// What it needs; `None` for a type that the release doesn't have.
    fn need(&self, release: Release) -> Option<Need> {
        let permissions = self.permissions;
        let resource = match self.resource.as_str() {
            "*" => None,
            name => Some(ResourceType::parse(release, name)?),
        };
        Some(Need { resource, permissions })
    }
}

impl Setting for Requires {
    const EXPECTED: &'static str =
        "scopes such as `patient/DocumentReference.rs`, separated by spaces";

    fn parse(value: &Value) -> Result<Requires, String> {
        let text = value.as_str().unwrap_or_default();
        let pieces = text.split(' ').filter(|piece| !piece.is_empty());
        let scopes = pieces.map(required).collect::<Result<Vec<_>, _>>()?;
        if scopes.is_empty() {
            return Err(format!("`{}` names no scope", excerpt(value)));
        }
        Ok(Requires { text: text.to_owned(), scopes })
    }

    fn hint(value: &Value) -> Option<String> {
        let mut pieces = value.as_str()?.split(' ');
        pieces.find_map(|piece| {
            let resource = piece.split_once('/')?.1.split_once('.')?.0;
            if resource == "*" || is_type(resource) { None } else { nearest_type(resource) }
        })
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^ *(patient|user|system)/([A-Z][A-Za-z]*|\\*)\\.[a-z*]+( +(patient|user|system)/([A-Z][A-Za-z]*|\\*)\\.[a-z*]+)* *$"})
    }

    fn json(&self) -> Value {
        Value::from(self.text.as_str())
    }
}

fn required(piece: &str) -> Result<Required, String> {
    let shown = excerpt(&Value::from(piece));
    if piece.contains('?') {
        return Err(format!("`{shown}` has search parameters: an operation can't be held to them"));
    }
    let scope = scope::clinical(piece).next();
    let scope = scope.ok_or_else(|| format!("`{shown}` is not a clinical scope"))?;
    if scope.resource != "*" && !is_type(scope.resource) {
        return Err(format!("`{shown}` names no resource type"));
    }
    let resource = scope.resource.to_owned();
    Ok(Required { context: scope.context, resource, permissions: scope.permissions })
}

fn is_type(name: &str) -> bool {
    RELEASES.iter().any(|release| ResourceType::parse(*release, name).is_some())
}

fn nearest_type(name: &str) -> Option<String> {
    let types = RELEASES.iter().flat_map(|release| release.types().iter().copied());
    nearest(name, types).map(|near| format!("did you mean `{near}`?"))
}

const RELEASES: [Release; 3] = [Release::R4, Release::R4B, Release::R5];

const DOC_OPERATIONS: &str = "operations that are let through besides `$everything` and `$export`, \
    which are judged without being listed";

#[cfg(test)]
mod tests;
