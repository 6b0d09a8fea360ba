//! A batch or transaction, entry by entry (<http://hl7.org/fhir/R4/http.html#transaction>): each
//! becomes the request it would be alone, for the same judgement. Whether it may go on is not decided
//! here: an entry that is a batch itself, or an operation on a Bundle, is read like any other.
//!
//! Refused is whatever a server could read differently: entries with unknown members, URLs that don't
//! lead below the base, a `fullUrl` that names something else than the request.

mod entry;
mod full_url;
mod members;
mod rewrite;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use full_url::{Aliases, Named};
pub use rewrite::{Change, rewrite};

use super::reasons::{BODY_TYPE, BUNDLE_TYPE};
use super::{Api, Request, written};
use crate::base::refusal::Refusal;
use crate::request::Head;
use members::Members;

/// Most entries of a Bundle.
pub const MAX_ENTRIES: usize = 1_000;

/// A batch or a transaction.
#[derive(Debug, Clone)]
pub struct Batch<'b> {
    /// Whether all entries happen or none, and refer to each other by `fullUrl`.
    pub transaction: bool,
    /// The entries in the order they came.
    pub entries: Vec<Entry<'b>>,
}

/// One entry, as the request it would be alone.
#[derive(Debug, Clone)]
pub struct Entry<'b> {
    /// The entry's method, URL below the base and conditions (`ifNoneExist` as `If-None-Exist`), with
    /// the authority and scheme of the Bundle's own head and what of it holds for every entry
    /// (`Accept`, `Prefer`, `X-Cascade`, `X-Provenance`). No token.
    pub head: Head,
    /// What that head asks for.
    pub request: Request,
    /// The text of `resource` as it came, not read yet; the decoded patch of a `PATCH`, which comes as
    /// a Binary.
    pub body: Option<Cow<'b, [u8]>>,
    /// `urn:uuid:…`, `urn:oid:…`, or a URL that ends in the type and, if the request has one, the id
    /// of the request.
    pub full_url: Option<String>,
    /// Whether the URL came absolute: it must go on relative to the base ([`relative`]), so that a
    /// server which knows itself by another name does not look for it elsewhere.
    pub absolute: bool,
}

/// A target below the base, as [`Change::url`] has it: `/fhir/Patient/1` is `Patient/1`.
pub fn relative<'t>(target: &'t str, api: &Api) -> Option<&'t str> {
    target.strip_prefix(api.base_path.as_str())?.strip_prefix('/')
}

/// Reads a batch or transaction that was sent to the base with the head `around`.
///
/// # Errors
///
/// What [`written::judgeable`] refuses, a reason whose code starts with `bundle_` or `body_`, and
/// whatever an entry's request would be refused with alone. The hint names the entry.
pub fn read<'b>(body: &'b [u8], around: &Head, api: &Api) -> Result<Batch<'b>, Refusal> {
    written::judgeable(around.headers(), api.release)?;
    let bundle = Members::read(body)?;
    if bundle.text("resourceType").as_deref() != Some("Bundle") {
        return Err(Refusal::new(&BODY_TYPE));
    }
    let transaction = match bundle.text("type").as_deref() {
        Some("batch") => false,
        Some("transaction") => true,
        _ => return Err(Refusal::new(&BUNDLE_TYPE)),
    };
    bundle.are_all(&MEMBERS)?;
    bundle.are_strict_but(ENTRY)?;
    let texts = bundle.entries()?;
    let mut entries = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        entries.push(entry::read(text, around, api).map_err(|refusal| in_entry(index, refusal))?);
    }
    full_url::are_unique(&entries)?;
    Ok(Batch { transaction, entries })
}

/// The refusal of a Bundle for one of its entries, counted from 0: `entry 3`, and what the refusal
/// itself names.
pub fn in_entry(index: usize, refusal: Refusal) -> Refusal {
    let hint = match &refusal.hint {
        Some(inner) => format!("entry {index}: {inner}"),
        None => format!("entry {index}"),
    };
    refusal.hint(hint)
}

/// The members of a Bundle but for those that would change how to read it (`implicitRules`) and
/// `issues` of R5, which is another resource.
const MEMBERS: [&str; 11] = [
    "resourceType",
    "id",
    "meta",
    "language",
    "identifier",
    "type",
    "timestamp",
    "total",
    "link",
    ENTRY,
    "signature",
];
const ENTRY: &str = "entry";
