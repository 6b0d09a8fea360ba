//! What a bulk export left behind, its status and its files: who may have which. That they are the
//! caller's own export is proven elsewhere, by the link.

use std::rc::Rc;

use super::coverage::{Cover, Need};
use super::grants::{Grant, Grants, Standing};
use super::permission::Permission::{Read, Search};
use super::permit::{Expected, Form, Permit};
use super::reasons::{EXPORT_SYSTEM_ONLY, EXPORT_TYPE_UNCOVERED};
use super::scope::Context;
use super::sight::Sight;
use crate::base::refusal::Refusal;
use crate::fhir::{Release, ResourceType};
use crate::limits::AdmittedToken;

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

/// What the lines of a file must keep to, judged by `response` while the file streams.
#[derive(Debug, Clone)]
pub struct ExpectedFile {
    /// What the file was given out as.
    pub of: Exported,
    /// What each line may be, and the answer when it is an error.
    pub expected: Expected,
    /// Whether the token covers every type: what stands inside of a resource, as in a Bundle, is then
    /// the client's as well.
    pub all: bool,
}

/// What the lines of a file must keep to; `None`: it is no file. Asked of what [`exported`] permits.
pub fn expected_file(grants: &Rc<Grants>, of: Exported, release: Release) -> Option<ExpectedFile> {
    let form = match of {
        Exported::Status => return None,
        Exported::Type(resource) => Form::Resource(resource),
        Exported::Outcomes | Exported::AllTypes => Form::Result,
    };
    let sight = Sight::new(Rc::clone(grants));
    let (proving, counted, concealed) = (Vec::new(), true, false);
    let expected = Expected { form, sight, proving, counted, concealed };
    Some(ExpectedFile { of, expected, all: may_export(grants, Exported::AllTypes, release) })
}

/// Decides a request for what an export left: of a file, the token must cover `rs` on its type now,
/// whatever it covered when the export began.
///
/// # Errors
///
/// [`EXPORT_SYSTEM_ONLY`], [`EXPORT_TYPE_UNCOVERED`], or why the token's `system/` scopes grant
/// nothing.
pub fn exported(
    _proof: &AdmittedToken,
    grants: &Grants,
    of: Exported,
    release: Release,
) -> Result<Permit, Refusal> {
    let grant = backend(grants)?;
    let Some(need) = need(of) else { return Ok(Permit::open()) };
    match grant.coverage.cover(&[need], release) {
        Cover::Full(scopes) => Ok(Permit::by(scopes, None)),
        Cover::Granular(_) | Cover::Lacking => {
            Err(Refusal::new(&EXPORT_TYPE_UNCOVERED).scope(need.scope(Context::System)))
        }
    }
}

/// Whether the token may have this file.
pub fn may_export(grants: &Grants, of: Exported, release: Release) -> bool {
    let covers = |need: Need| {
        let grant = backend(grants).ok();
        let cover = grant.map(|grant| grant.coverage.cover(&[need], release));
        matches!(cover, Some(Cover::Full(_)))
    };
    need(of).is_none_or(covers)
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

/// What a file needs; what holds no resources needs nothing.
fn need(of: Exported) -> Option<Need> {
    match of {
        Exported::Status | Exported::Outcomes => None,
        Exported::Type(resource) => Some(Need::on(resource, &[Read, Search])),
        Exported::AllTypes => Some(Need::on_all(&[Read, Search])),
    }
}
