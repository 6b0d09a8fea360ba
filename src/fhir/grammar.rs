//! The grammar of FHIR's paths: first where a path leads, then what a method does there.

use super::compartment::{has_compartment, is_member};
use super::reasons::{
    FHIR_COMPARTMENT_UNKNOWN, FHIR_CRITERIA_MISSING, FHIR_ID_INVALID, FHIR_METHOD,
    FHIR_OPERATION_NAME, FHIR_PATH_UNKNOWN, FHIR_TRAILING_SLASH, FHIR_TYPE_UNKNOWN,
};
use super::{Id, Interaction, Level, Operation, Release, ResourceType};
use crate::base::refusal::Refusal;
use crate::request::Method;

/// What besides method and path decides which interaction a request is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// The query has parameters.
    pub(super) criteria: bool,
    /// `If-None-Exist` is there.
    pub(super) if_none_exist: bool,
}

/// The interaction of a method and a path below the base.
pub(super) fn interaction(
    release: Release,
    method: Method,
    path: &str,
    conditions: Conditions,
) -> Result<Interaction, Refusal> {
    let place = place(release, path)?;
    match method {
        Method::Get | Method::Head => get(place),
        Method::Post => post(place, conditions),
        Method::Put => put(place, conditions),
        Method::Patch => patch(place, conditions),
        Method::Delete => delete(release, place, conditions),
        Method::Options => Err(not_allowed(&place)),
    }
}

/// Where a path leads.
#[derive(Debug)]
enum Place {
    Base,
    Search,
    History,
    Type(ResourceType),
    TypeSearch(ResourceType),
    TypeHistory(ResourceType),
    Instance(ResourceType, Id),
    InstanceHistory(ResourceType, Id),
    Version(ResourceType, Id, Id),
    Compartment(ResourceType, Id, Option<ResourceType>),
    CompartmentSearch(ResourceType, Id, Option<ResourceType>),
    Operation(Operation),
}

fn place(release: Release, path: &str) -> Result<Place, Refusal> {
    if path.is_empty() {
        return Ok(Place::Base);
    }
    if path.ends_with('/') {
        return Err(Refusal::new(&FHIR_TRAILING_SLASH));
    }
    let segments: Vec<&str> = path.split('/').collect();
    match *segments.as_slice() {
        ["_search"] => Ok(Place::Search),
        ["_history"] => Ok(Place::History),
        [name] if name.starts_with('$') => operation(name, Level::System),
        [name, ref rest @ ..] => {
            let resource = ResourceType::parse(release, name);
            below_type(release, resource.ok_or(&FHIR_TYPE_UNKNOWN)?, rest)
        }
        [] => Ok(Place::Base),
    }
}

fn below_type(release: Release, resource: ResourceType, rest: &[&str]) -> Result<Place, Refusal> {
    match *rest {
        [] => Ok(Place::Type(resource)),
        ["_search"] => Ok(Place::TypeSearch(resource)),
        ["_history"] => Ok(Place::TypeHistory(resource)),
        [name] if name.starts_with('$') => operation(name, Level::Type(resource)),
        [id, ref rest @ ..] => below_instance(release, resource, read_id(id)?, rest),
    }
}

fn below_instance(
    release: Release,
    resource: ResourceType,
    id: Id,
    rest: &[&str],
) -> Result<Place, Refusal> {
    match *rest {
        [] => Ok(Place::Instance(resource, id)),
        ["_history"] => Ok(Place::InstanceHistory(resource, id)),
        ["_history", version] => Ok(Place::Version(resource, id, read_id(version)?)),
        ["_history", version, name] if name.starts_with('$') => {
            operation(name, Level::Version(resource, id, read_id(version)?))
        }
        [name] if name.starts_with('$') => operation(name, Level::Instance(resource, id)),
        // R5 added searching a compartment with POST.
        ["_search"] if release == Release::R5 && has_compartment(release, resource) => {
            Ok(Place::CompartmentSearch(resource, id, None))
        }
        [name, "_search"] if release == Release::R5 => {
            let member = member(release, resource, name)?;
            Ok(Place::CompartmentSearch(resource, id, Some(member)))
        }
        ["*"] if has_compartment(release, resource) => Ok(Place::Compartment(resource, id, None)),
        [name] if !name.starts_with('_') => {
            Ok(Place::Compartment(resource, id, Some(member(release, resource, name)?)))
        }
        _ => Err(Refusal::new(&FHIR_PATH_UNKNOWN)),
    }
}

fn member(release: Release, owner: ResourceType, name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::parse(release, name)
        .filter(|resource| is_member(release, owner.name(), *resource))
        .ok_or_else(|| Refusal::new(&FHIR_COMPARTMENT_UNKNOWN))
}

fn read_id(text: &str) -> Result<Id, Refusal> {
    Id::parse(text).ok_or_else(|| Refusal::new(&FHIR_ID_INVALID))
}

/// Names are FHIR codes; servers add `.` and `_` (`$hapi.fhir.…`).
fn operation(name: &str, level: Level) -> Result<Place, Refusal> {
    let after = name.strip_prefix('$').unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let valid = (1..=64).contains(&after.len())
        && after.starts_with(|first: char| first.is_ascii_alphanumeric())
        && after.bytes().all(fits);
    if !valid {
        return Err(Refusal::new(&FHIR_OPERATION_NAME));
    }
    Ok(Place::Operation(Operation { name: name.to_owned(), level }))
}

fn get(place: Place) -> Result<Interaction, Refusal> {
    match place {
        Place::Base => Ok(Interaction::SearchSystem),
        Place::History => Ok(Interaction::HistorySystem),
        Place::Type(resource) => Ok(Interaction::SearchType(resource)),
        Place::TypeHistory(resource) => Ok(Interaction::HistoryType(resource)),
        Place::Instance(resource, id) => Ok(Interaction::Read(resource, id)),
        Place::InstanceHistory(resource, id) => Ok(Interaction::HistoryInstance(resource, id)),
        Place::Version(resource, id, version) => Ok(Interaction::Vread(resource, id, version)),
        Place::Compartment(owner, id, member) => {
            Ok(Interaction::SearchCompartment(owner, id, member))
        }
        Place::Operation(operation) => Ok(Interaction::Operation(operation)),
        Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..) => {
            Err(not_allowed(&place))
        }
    }
}

fn post(place: Place, conditions: Conditions) -> Result<Interaction, Refusal> {
    match place {
        Place::Base => Ok(Interaction::Batch),
        Place::Search => Ok(Interaction::SearchSystem),
        Place::Type(resource) if conditions.if_none_exist => {
            Ok(Interaction::ConditionalCreate(resource))
        }
        Place::Type(resource) => Ok(Interaction::Create(resource)),
        Place::TypeSearch(resource) => Ok(Interaction::SearchType(resource)),
        Place::CompartmentSearch(owner, id, member) => {
            Ok(Interaction::SearchCompartment(owner, id, member))
        }
        Place::Operation(operation) => Ok(Interaction::Operation(operation)),
        _ => Err(not_allowed(&place)),
    }
}

fn put(place: Place, conditions: Conditions) -> Result<Interaction, Refusal> {
    match place {
        Place::Instance(resource, id) => Ok(Interaction::Update(resource, id)),
        Place::Type(resource) => conditional(conditions, Interaction::ConditionalUpdate(resource)),
        _ => Err(not_allowed(&place)),
    }
}

fn patch(place: Place, conditions: Conditions) -> Result<Interaction, Refusal> {
    match place {
        Place::Instance(resource, id) => Ok(Interaction::Patch(resource, id)),
        Place::Type(resource) => conditional(conditions, Interaction::ConditionalPatch(resource)),
        _ => Err(not_allowed(&place)),
    }
}

fn delete(release: Release, place: Place, conditions: Conditions) -> Result<Interaction, Refusal> {
    match place {
        Place::Instance(resource, id) => Ok(Interaction::Delete(resource, id)),
        Place::Type(resource) => conditional(conditions, Interaction::ConditionalDelete(resource)),
        Place::Base => conditional(conditions, Interaction::ConditionalDeleteSystem),
        Place::InstanceHistory(resource, id) if release == Release::R5 => {
            Ok(Interaction::DeleteHistory(resource, id, None))
        }
        Place::Version(resource, id, version) if release == Release::R5 => {
            Ok(Interaction::DeleteHistory(resource, id, Some(version)))
        }
        _ => Err(not_allowed(&place)),
    }
}

fn conditional(conditions: Conditions, interaction: Interaction) -> Result<Interaction, Refusal> {
    if conditions.criteria { Ok(interaction) } else { Err(Refusal::new(&FHIR_CRITERIA_MISSING)) }
}

fn not_allowed(place: &Place) -> Refusal {
    let allow = match place {
        Place::Base => "GET, HEAD, POST, DELETE",
        Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..) => "POST",
        Place::Type(_) => "GET, HEAD, POST, PUT, PATCH, DELETE",
        Place::Instance(..) => "GET, HEAD, PUT, PATCH, DELETE",
        Place::Operation(_) => "GET, HEAD, POST",
        Place::History
        | Place::TypeHistory(_)
        | Place::InstanceHistory(..)
        | Place::Version(..)
        | Place::Compartment(..) => "GET, HEAD",
    };
    Refusal::new(&FHIR_METHOD).allow(allow)
}
