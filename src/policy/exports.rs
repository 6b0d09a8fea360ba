//! What a bulk export left behind, its status and its files: who may have which. That they are the
//! caller's own export is proven elsewhere, by the link.

use std::rc::Rc;

use super::grants::{Grant, Grants, Standing};
use super::permission::Permission::{Read, Search};
use super::permit::Permit;
use super::reasons::{EXPORT_SYSTEM_ONLY, EXPORT_TYPE_UNCOVERED};
use super::scope::Context;
use crate::base::refusal::Refusal;
use crate::fhir::ResourceType;
use crate::revocation::LiveToken;

/// What a link of a bulk export leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// How far the export is, and when it is done the manifest.
    Status,
    /// A file of what the server says about the export.
    Outcomes,
    /// A file of resources of this type.
    Type(ResourceType),
    /// A file of resources of any type.
    AllTypes,
}

/// Decides a request for what an export left: of a file, the token must cover `rs` on its type now,
/// whatever it covered when the export began.
///
/// # Errors
///
/// [`EXPORT_SYSTEM_ONLY`], [`EXPORT_TYPE_UNCOVERED`], or why the token's `system/` scopes grant
/// nothing.
pub fn exported(_proof: &LiveToken, grants: &Grants, of: Exported) -> Result<Permit, Refusal> {
    let grant = backend(grants)?;
    match scopes(grant, of) {
        Some(scopes) if scopes.is_empty() => Ok(Permit::open()),
        Some(scopes) => Ok(Permit::unconfined(Rc::from(scopes))),
        None => Err(Refusal::new(&EXPORT_TYPE_UNCOVERED).scope(would_do(of))),
    }
}

/// Whether the token may have this file.
pub fn may_export(grants: &Grants, of: Exported) -> bool {
    backend(grants).is_ok_and(|grant| scopes(grant, of).is_some())
}

/// The `system/` scopes, if they are worth something.
fn backend(grants: &Grants) -> Result<&Grant, Refusal> {
    let grant = grants.contexts().find(|grant| grant.context == Context::System);
    let grant = grant.ok_or_else(|| Refusal::new(&EXPORT_SYSTEM_ONLY).scope("system/*.rs"))?;
    match &grant.standing {
        Standing::Unconfined => Ok(grant),
        Standing::Void(void) => Err(void.refusal()),
        Standing::Confined(_) => Err(Refusal::new(&EXPORT_SYSTEM_ONLY)),
    }
}

/// The scopes that cover it: none are needed for what holds no resources. `None`: not covered.
fn scopes(grant: &Grant, of: Exported) -> Option<String> {
    let resource = match of {
        Exported::Status | Exported::Outcomes => return Some(String::new()),
        Exported::Type(resource) => Some(resource),
        Exported::AllTypes => None,
    };
    let read = grant.coverage.plain(resource, Read)?;
    let search = grant.coverage.plain(resource, Search)?;
    Some(if read == search { read.to_string() } else { format!("{read} {search}") })
}

fn would_do(of: Exported) -> String {
    match of {
        Exported::Type(resource) => format!("system/{}.rs", resource.name()),
        _ => "system/*.rs".to_owned(),
    }
}
