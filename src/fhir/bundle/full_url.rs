//! `Bundle.entry.fullUrl`: what references inside the Bundle call an entry
//! (<http://hl7.org/fhir/R4/bundle.html#references>).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::members::text;
use super::{Batch, Entry, in_entry};
use crate::base::refusal::Refusal;
use crate::fhir::reasons::{BUNDLE_FULL_URL, BUNDLE_FULL_URL_TWICE};
use crate::fhir::{Api, Id, Interaction, ResourceType};

/// What the entries of a transaction are called and what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    named: BTreeMap<String, Named>,
    base_urls: Vec<String>,
}

/// What an entry writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its type.
    pub resource: ResourceType,
    /// Its id. `None` for a new resource and for one that the server finds by criteria: nobody knows
    /// which it will be.
    pub id: Option<Id>,
}

impl Batch<'_> {
    /// The names of the entries that write a resource. None in a batch: there the entries don't know
    /// each other.
    pub fn aliases(&self, api: &Api) -> Aliases {
        let mut aliases = Aliases { base_urls: api.base_urls.clone(), ..Aliases::default() };
        for entry in self.entries.iter().filter(|_| self.transaction) {
            if let (Some(url), Some(named)) = (&entry.full_url, named(&entry.request.interaction)) {
                aliases.named.insert(key(url, &api.base_urls), named.clone());
                aliases.named.insert(name_of(url), named);
            }
        }
        aliases
    }
}

impl Aliases {
    /// What names a patient whose id is known, with that id.
    pub fn patients(&self) -> Vec<(String, Id)> {
        let patients = self.named.iter().filter(|(_, named)| named.resource.name() == "Patient");
        patients.filter_map(|(name, named)| Some((name.clone(), named.id.clone()?))).collect()
    }

    /// What a reference names in the transaction, if that is one of its entries. Servers replace such
    /// a reference, `urn:uuid:…` or not, by one to what the entry wrote: `Patient/1` too when a `POST`
    /// has a `fullUrl` that ends so.
    pub fn find(&self, reference: &str) -> Option<&Named> {
        self.named.get(&key(reference, &self.base_urls))
    }
}

/// Reads the `fullUrl` of an entry that asks for this.
pub(super) fn read(value: &RawValue, interaction: &Interaction) -> Result<String, Refusal> {
    let wrong = || Refusal::new(&BUNDLE_FULL_URL);
    let url = text(value).ok_or_else(wrong)?;
    let urn = URNS.iter().find_map(|urn| url.strip_prefix(urn));
    let fits = match urn {
        Some(name) => !name.is_empty() && name.bytes().all(is_urn_byte),
        None => names(&url, interaction),
    };
    if fits { Ok(url.into_owned()) } else { Err(wrong()) }
}

/// That no two entries have one name.
pub(super) fn are_unique(entries: &[Entry<'_>]) -> Result<(), Refusal> {
    let mut known = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let url = entry.full_url.as_ref();
        if url.is_some_and(|url| !known.insert(name_of(url))) {
            return Err(in_entry(index, Refusal::new(&BUNDLE_FULL_URL_TWICE)));
        }
    }
    Ok(())
}

/// What follows the longest base URL that this URL is below: nothing, or what starts with `/` or `?`.
pub(super) fn below_base<'u>(url: &'u str, base_urls: &[String]) -> Option<&'u str> {
    let below = base_urls.iter().filter_map(|base| url.strip_prefix(base.as_str()));
    below
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        .min_by_key(|rest| rest.len())
}

/// One spelling of a reference: UUIDs are compared without regard to case (RFC 9562 section 4), URLs of
/// this API are what they are below the base.
fn key(url: &str, base_urls: &[String]) -> String {
    if is_urn(url) {
        return url.to_ascii_lowercase();
    }
    let below = below_base(url, base_urls).and_then(|rest| rest.strip_prefix('/'));
    below.unwrap_or(url).to_owned()
}

/// A `fullUrl` as relative references name it: `Patient/1`, whatever its base.
fn name_of(full_url: &str) -> String {
    if is_urn(full_url) {
        return full_url.to_ascii_lowercase();
    }
    let mut slashes = full_url.rmatch_indices('/').map(|(place, _)| place);
    let start = slashes.nth(1).map_or(0, |place| place.saturating_add(1));
    full_url.get(start..).unwrap_or(full_url).to_owned()
}

fn is_urn(url: &str) -> bool {
    url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
}

/// Whether a relative or http(s) URL ends in the type and the id of what is asked for; where a server
/// chooses the resource, in its type and any id.
fn names(url: &str, interaction: &Interaction) -> bool {
    let absolute = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let mut segments = absolute.unwrap_or(url).split('/');
    let (id, resource) = (segments.next_back(), segments.next_back());
    let (first, mut between) = (segments.next(), segments);
    let root = match absolute {
        Some(_) => first.is_some_and(|host| !host.is_empty()) && between.all(|s| !s.is_empty()),
        None => first.is_none(),
    };
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte));
    let own = interaction.resource_type().is_some_and(|own| resource == Some(own.name()));
    let id = id.and_then(Id::parse);
    let same = match interaction.id() {
        Some(own) => id.as_ref() == Some(own),
        None => id.is_some() && named(interaction).is_some(),
    };
    root && plain && own && same
}

/// What the request of an entry writes.
fn named(interaction: &Interaction) -> Option<Named> {
    let (resource, id) = match interaction {
        Interaction::Create(resource)
        | Interaction::ConditionalCreate(resource)
        | Interaction::ConditionalUpdate(resource)
        | Interaction::ConditionalPatch(resource)
        | Interaction::ConditionalDelete(resource) => (resource, None),
        Interaction::Update(resource, id)
        | Interaction::Patch(resource, id)
        | Interaction::Delete(resource, id) => (resource, Some(id)),
        _ => return None,
    };
    Some(Named { resource: *resource, id: id.cloned() })
}

/// What UUIDs and OIDs are made of, and what else stands there in practice.
fn is_urn_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

const URNS: [&str; 2] = ["urn:uuid:", "urn:oid:"];
