//! Looking up what the criteria of a conditional write find.

use std::borrow::Cow;

use super::evidence::tag;
use super::permit::Narrowing;
use super::reasons::{CONDITIONAL_CRITERIA, PROBE_FAILED, PROBE_TOO_LONG, PROBE_UNREADABLE};
use crate::base::node::{self, Node};
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::{Id, ResourceType};
use crate::store::{CallFailed, HttpAnswer};

/// A search by the criteria of a conditional write: to be made before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Search {
    /// The type that is searched.
    pub resource: ResourceType,
    /// In the compartment of this patient.
    pub compartment: Option<Id>,
    /// The client's criteria, encoded as they came, joined by `&`.
    pub criteria: String,
    /// What is added to them.
    pub narrowing: Vec<Narrowing>,
}

/// What was answered to a [`Search`]: a searchset.
#[derive(Debug)]
pub(in crate::policy) struct Found {
    body: Vec<u8>,
    of: ResourceType,
}

/// What of it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) enum Matched {
    None,
    /// This one: its id, and what `If-Match` says of its version.
    One(Id, Result<String, &'static Reason>),
    /// More than one, or perhaps more than one.
    Many,
}

impl Search {
    /// What is asked for, relative to the base, with the query.
    pub fn target(&self) -> String {
        format!("{}?{}&_count={COUNT}", self.path(), self.condition())
    }

    /// The type, or its place in the compartment.
    pub fn path(&self) -> String {
        let of = self.resource.name();
        match &self.compartment {
            Some(patient) => format!("Patient/{}/{of}", patient.as_str()),
            None => of.to_owned(),
        }
    }

    /// All criteria, as in a query.
    pub fn condition(&self) -> String {
        let added = self.narrowing.iter().map(Narrowing::written).map(Cow::Owned);
        let given = Some(Cow::Borrowed(self.criteria.as_str())).filter(|given| !given.is_empty());
        given.into_iter().chain(added).collect::<Vec<_>>().join("&")
    }
}

impl Found {
    /// Takes the answer. What is wrong with it is wrong for who would decide by it: another context of
    /// the token may need none.
    pub(in crate::policy) fn read(
        search: &Search,
        answer: Result<HttpAnswer, CallFailed>,
    ) -> Result<Found, &'static Reason> {
        let HttpAnswer { status, body, .. } = answer.map_err(|_| &PROBE_FAILED)?;
        match status {
            200 if body.len() > MAX_ANSWER => Err(&PROBE_TOO_LONG),
            200 => {
                let bundle = node::read(&body).map_err(|_| &PROBE_UNREADABLE)?;
                entries(&bundle).ok_or(&PROBE_UNREADABLE)?;
                Ok(Found { body, of: search.resource })
            }
            400 | 422 => Err(&CONDITIONAL_CRITERIA),
            _ => Err(&PROBE_FAILED),
        }
    }

    /// What counts of it. `counts` says so of a resource; what does not is as if it were not there.
    pub(in crate::policy) fn matched(
        &self,
        counts: impl Fn(&Node<'_>) -> bool,
    ) -> Result<Matched, Refusal> {
        let unreadable = || Refusal::new(&PROBE_UNREADABLE);
        let bundle = node::read(&self.body).map_err(|_| unreadable())?;
        let entries = entries(&bundle).ok_or_else(unreadable)?;
        let of_type = |resource: &&Resource<'_, '_>| {
            resource.node.text_of("resourceType") == Some(self.of.name()) && counts(resource.node)
        };
        let mut own = entries.matches.iter().filter(of_type);
        let Some(first) = own.next() else { return Ok(Matched::None) };
        if own.next().is_some() || entries.more {
            return Ok(Matched::Many);
        }
        let id = first.node.text_of("id").and_then(Id::parse).ok_or_else(unreadable)?;
        if !first.is_at(self.of, &id) {
            return Err(unreadable());
        }
        Ok(Matched::One(id, tag(first.node, None)))
    }
}

/// What a searchset holds.
struct Entries<'n, 'b> {
    matches: Vec<Resource<'n, 'b>>,
    /// Whether there is another page.
    more: bool,
}

/// A resource and where the server says that it is.
struct Resource<'n, 'b> {
    node: &'n Node<'b>,
    url: Option<&'n str>,
}

impl Resource<'_, '_> {
    /// Whether it stands where a write by this id would find it: not on another server, and no version
    /// of it that is past.
    fn is_at(&self, of: ResourceType, id: &Id) -> bool {
        let Some(url) = self.url else { return true };
        let path = format!("{}/{}", of.name(), id.as_str());
        let before = url.strip_suffix(path.as_str());
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }
}

/// Reads a searchset (<http://hl7.org/fhir/R4/bundle.html#searchset>); `None` when it is none.
fn entries<'n, 'b>(bundle: &'n Node<'b>) -> Option<Entries<'n, 'b>> {
    let is = |name, value| bundle.text_of(name) == Some(value);
    if !is("resourceType", "Bundle") || !is("type", "searchset") {
        return None;
    }
    let list = |name| bundle.get(name).map_or(Some([].as_slice()), Node::array);
    let mut matches = Vec::new();
    for entry in list("entry")? {
        let mode = match entry.get("search") {
            None => None,
            Some(search @ Node::Object(_)) => search.get("mode").map(|mode| mode.text()),
            Some(_) => return None,
        };
        match mode {
            None | Some(Some("match")) => {
                let node = entry.get("resource").filter(|node| matches!(node, Node::Object(_)))?;
                let url = match entry.get("fullUrl") {
                    None => None,
                    Some(url) => Some(url.text()?),
                };
                matches.push(Resource { node, url });
            }
            Some(Some("include" | "outcome")) => {}
            Some(_) => return None,
        }
    }
    let relations = list("link")?.iter().map(|link| link.text_of("relation"));
    let relations = relations.collect::<Option<Vec<&str>>>()?;
    let more = relations.iter().any(|relation| relation.eq_ignore_ascii_case("next"));
    Some(Entries { matches, more })
}

/// How many resources are asked for: two would tell whether there is one, were it not for servers that
/// ignore what narrows the search and show the client's own among others.
const COUNT: u8 = 10;

/// Longest answer that is judged, in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
