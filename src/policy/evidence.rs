//! What a decision may need besides the request's head: its body, and resources as they are stored.

use std::collections::BTreeMap;

use super::found::{Found, Search};
use super::reasons::{
    COMPARTMENT_NOT_MEMBER, PROBE_FAILED, PROBE_TOO_LONG, PROBE_UNREADABLE, PROBE_VERSION_MISSING,
};
use crate::base::node::{self, Node};
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::{Id, ResourceType};
use crate::store::{CallFailed, HttpAnswer};

/// What came in so far.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The request's body, whole; `None`: not read yet.
    pub body: Option<&'a [u8]>,
    /// The stored resources that were looked up.
    pub stored: &'a Stored,
    /// Inside a transaction: which `fullUrl` names which patient.
    pub(in crate::policy) aliases: &'a [(String, Id)],
}

impl<'a> Evidence<'a> {
    /// What came in so far for a request.
    pub fn new(body: Option<&'a [u8]>, stored: &'a Stored) -> Evidence<'a> {
        Evidence { body, stored, aliases: &[] }
    }
}

/// What a decision depends on: to be asked of the FHIR server before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// A stored resource.
    Read(Probe),
    /// What the criteria of a conditional write find.
    Search(Search),
}

/// A stored resource that a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// Its type.
    pub resource: ResourceType,
    /// Its id.
    pub id: Id,
}

/// Resources as the server has them, by what was asked for.
#[derive(Debug, Default)]
pub struct Stored {
    found: BTreeMap<Probe, Result<Option<Version>, &'static Reason>>,
    searched: BTreeMap<Search, Result<Found, &'static Reason>>,
    /// How long the answers were together, in bytes.
    length: usize,
}

/// A stored resource.
#[derive(Debug)]
pub(in crate::policy) struct Version {
    body: Vec<u8>,
    tag: Result<String, &'static Reason>,
}

impl Lookup {
    /// What is asked for, relative to the base.
    pub fn target(&self) -> String {
        match self {
            Lookup::Read(Probe { resource, id }) => {
                format!("{}/{}", resource.name(), id.as_str())
            }
            Lookup::Search(search) => search.target(),
        }
    }
}

impl From<Probe> for Lookup {
    fn from(probe: Probe) -> Lookup {
        Lookup::Read(probe)
    }
}

impl From<Search> for Lookup {
    fn from(search: Search) -> Lookup {
        Lookup::Search(search)
    }
}

impl Stored {
    /// Takes the answer to a lookup. What is wrong with it is told to who decides by it: another context
    /// of the token may need none.
    ///
    /// # Errors
    ///
    /// [`PROBE_TOO_LONG`]: all answers together are longer than is held.
    pub fn answered(
        &mut self,
        lookup: impl Into<Lookup>,
        answer: Result<HttpAnswer, CallFailed>,
    ) -> Result<(), Refusal> {
        let length = answer.as_ref().map_or(0, |answer| answer.body.len());
        self.length = self.length.saturating_add(length);
        if self.length > MAX_STORED {
            return Err(Refusal::new(&PROBE_TOO_LONG));
        }
        match lookup.into() {
            Lookup::Read(probe) => {
                let version = Version::answered(&probe, answer);
                self.found.insert(probe, version);
            }
            Lookup::Search(search) => {
                let found = Found::read(&search, answer);
                self.searched.insert(search, found);
            }
        }
        Ok(())
    }

    /// How long the answers are together, in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many were asked for.
    pub(in crate::policy) fn count(&self) -> usize {
        self.found.len().saturating_add(self.searched.len())
    }

    /// What is known of a resource, or why nobody knows: `None`: it was not asked for; `Some(Ok(None))`:
    /// the server has none.
    pub(in crate::policy) fn get(
        &self,
        probe: &Probe,
    ) -> Option<Result<Option<&Version>, &'static Reason>> {
        self.found
            .get(probe)
            .map(|found| found.as_ref().map(Option::as_ref).map_err(|reason| *reason))
    }

    /// What a search found, or why nobody knows; `None`: it was not asked for.
    pub(in crate::policy) fn searched(
        &self,
        search: &Search,
    ) -> Option<Result<&Found, &'static Reason>> {
        self.searched.get(search).map(|found| found.as_ref().map_err(|reason| *reason))
    }
}

impl Version {
    /// What an answer says of a resource; `None`: there is none.
    fn answered(
        probe: &Probe,
        answer: Result<HttpAnswer, CallFailed>,
    ) -> Result<Option<Version>, &'static Reason> {
        let answer = answer.map_err(|_| &PROBE_FAILED)?;
        match answer.status {
            200 => Version::read(probe, answer).map(Some),
            404 => Ok(None),
            // Deleted: nothing tells whose it was.
            410 => Err(&COMPARTMENT_NOT_MEMBER),
            _ => Err(&PROBE_FAILED),
        }
    }

    fn read(probe: &Probe, answer: HttpAnswer) -> Result<Version, &'static Reason> {
        let HttpAnswer { etag, body, .. } = answer;
        let tag = {
            let resource = node::read(&body).map_err(|_| &PROBE_UNREADABLE)?;
            let is_it = resource.text_of("resourceType") == Some(probe.resource.name())
                && resource.text_of("id") == Some(probe.id.as_str());
            if !is_it {
                return Err(&PROBE_UNREADABLE);
            }
            tag(&resource, etag.as_deref())
        };
        Ok(Version { body, tag })
    }

    /// The resource; it was readable when it came.
    pub(in crate::policy) fn resource(&self) -> Result<Node<'_>, Refusal> {
        node::read(&self.body).map_err(|_| Refusal::new(&PROBE_UNREADABLE))
    }

    /// What `If-Match` says of this version (<http://hl7.org/fhir/R4/http.html#concurrency>). To be
    /// asked once the resource was judged: whether there is a version tells that there is a resource.
    ///
    /// # Errors
    ///
    /// It tells no version: what is judged must be what is written.
    pub(in crate::policy) fn tag(&self) -> Result<String, &'static Reason> {
        self.tag.clone()
    }
}

/// What `If-Match` says of a resource's version.
pub(super) fn tag(resource: &Node<'_>, etag: Option<&str>) -> Result<String, &'static Reason> {
    let id = version_id(resource, etag).ok_or(&PROBE_VERSION_MISSING)?;
    Ok(format!("W/\"{id}\""))
}

/// `meta.versionId`, else what the `ETag` says.
fn version_id(resource: &Node<'_>, etag: Option<&str>) -> Option<String> {
    let stated = resource.get("meta").and_then(|meta| meta.text_of("versionId"));
    let tagged = || etag?.strip_prefix("W/").or(etag)?.strip_prefix('"')?.strip_suffix('"');
    let id = stated.or_else(tagged)?;
    Id::parse(id).map(|_| id.to_owned())
}

/// Longest that the answers to one request's lookups may be together, in bytes: as long as the longest
/// answer that the shipped Envoy file holds. A Bundle may ask for many, and they are held at once.
const MAX_STORED: usize = 16 * 1024 * 1024;
