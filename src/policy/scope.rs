//! The grammar of SMART's clinical scopes, v1 and v2, to the letter
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>):
//!
//! ```text
//! v2 = context "/" type "." permissions [ "?" param *( "&" param ) ]
//! v1 = context "/" type "." ( "read" | "write" | "*" )       read = rs, write = cud, * = cruds
//! context = "patient" | "user" | "system"    type = resource type | "*"    permissions = c? r? u? d? s?
//! ```
//!
//! A scope that differs in one character is no clinical scope and grants nothing: letters are never
//! picked out of it (`.read-only` is not `.r`). So do `openid`, `fhirUser`, `launch/patient` and
//! every other scope that is not clinical.

use super::permission::{Permission, Permissions};

/// On whose behalf a scope grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Context {
    /// `patient/`: the patient in context.
    Patient,
    /// `user/`: what the signed-in user may see.
    User,
    /// `system/`: a backend service without a user.
    System,
}

impl Context {
    /// The word before the slash.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Context::Patient => "patient",
            Context::User => "user",
            Context::System => "system",
        }
    }
}

/// A clinical scope, borrowed from the token's scope claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// The whole scope.
    pub(super) text: &'a str,
    /// On whose behalf.
    pub(super) context: Context,
    /// The type's name, not yet looked up in a release; `*` for every type.
    pub(super) resource: &'a str,
    /// What it grants.
    pub(super) permissions: Permissions,
    /// The search parameters that what it grants must match, as they stand behind `?`.
    pub(super) granular: Option<&'a str>,
}

/// The clinical scopes of a scope claim (RFC 6749 section 3.3: separated by spaces), in order.
/// Time and memory are linear in the claim's length; nothing is copied.
pub(super) fn clinical(claim: &str) -> impl Iterator<Item = Scope<'_>> {
    claim.split(' ').filter_map(parse)
}

/// Reads one scope; `None` for anything that is not a clinical scope.
fn parse(text: &str) -> Option<Scope<'_>> {
    let (context, rest) = text.split_once('/')?;
    let context = match context {
        "patient" => Context::Patient,
        "user" => Context::User,
        "system" => Context::System,
        _ => return None,
    };
    let (resource, rest) = rest.split_once('.')?;
    if resource != "*" && !is_type_name(resource) {
        return None;
    }
    let (permissions, granular) = match rest {
        "read" => (Permissions::of(&[Permission::Read, Permission::Search]), None),
        "write" => (Permissions::of(WRITE), None),
        "*" => (Permissions::of(&Permission::ALL), None),
        _ => match rest.split_once('?') {
            None => (Permissions::parse(rest)?, None),
            Some((letters, params)) => {
                let granular = params.split('&').all(is_param).then_some(params)?;
                (Permissions::parse(letters)?, Some(granular))
            }
        },
    };
    Some(Scope { text, context, resource, permissions, granular })
}

/// `[A-Z][A-Za-z]*`. Whether the release has such a type is asked later.
fn is_type_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// `name=value`. Modifiers and chains in a scope are experimental in SMART: not read, so the scope
/// grants nothing. Values keep to the characters of a scope (RFC 6749 section 3.3).
fn is_param(text: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let value = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    text.split_once('=').is_some_and(|(left, right)| {
        !left.is_empty() && left.bytes().all(name) && !right.is_empty() && right.bytes().all(value)
    })
}

const WRITE: &[Permission] = &[Permission::Create, Permission::Update, Permission::Delete];

#[cfg(test)]
mod tests;
