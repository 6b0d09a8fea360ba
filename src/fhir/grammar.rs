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
    let allow = allow(release, &place);
    let found = match method {
        Method::Get | Method::Head => get(place),
        Method::Post => post(place, conditions),
        Method::Put => put(place),
        Method::Patch => patch(place),
        Method::Delete => delete(release, place),
        Method::Options => None,
    };
    let found = found.ok_or_else(|| Refusal::new(&FHIR_METHOD).allow(allow))?;
    if needs_criteria(&found) && !conditions.criteria {
        return Err(Refusal::new(&FHIR_CRITERIA_MISSING));
    }
    Ok(found)
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

fn get(place: Place) -> Option<Interaction> {
    match place {
        Place::Base => Some(Interaction::SearchSystem),
        Place::History => Some(Interaction::HistorySystem),
        Place::Type(resource) => Some(Interaction::SearchType(resource)),
        Place::TypeHistory(resource) => Some(Interaction::HistoryType(resource)),
        Place::Instance(resource, id) => Some(Interaction::Read(resource, id)),
        Place::InstanceHistory(resource, id) => Some(Interaction::HistoryInstance(resource, id)),
        Place::Version(resource, id, version) => Some(Interaction::Vread(resource, id, version)),
        Place::Compartment(owner, id, member) => {
            Some(Interaction::SearchCompartment(owner, id, member))
        }
        Place::Operation(operation) => Some(Interaction::Operation(operation)),
        Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..) => None,
    }
}

fn post(place: Place, conditions: Conditions) -> Option<Interaction> {
    match place {
        Place::Base => Some(Interaction::Batch),
        Place::Search => Some(Interaction::SearchSystem),
        Place::Type(resource) if conditions.if_none_exist => {
            Some(Interaction::ConditionalCreate(resource))
        }
        Place::Type(resource) => Some(Interaction::Create(resource)),
        Place::TypeSearch(resource) => Some(Interaction::SearchType(resource)),
        Place::CompartmentSearch(owner, id, member) => {
            Some(Interaction::SearchCompartment(owner, id, member))
        }
        Place::Operation(operation) => Some(Interaction::Operation(operation)),
        _ => None,
    }
}

fn put(place: Place) -> Option<Interaction> {
    match place {
        Place::Instance(resource, id) => Some(Interaction::Update(resource, id)),
        Place::Type(resource) => Some(Interaction::ConditionalUpdate(resource)),
        _ => None,
    }
}

fn patch(place: Place) -> Option<Interaction> {
    match place {
        Place::Instance(resource, id) => Some(Interaction::Patch(resource, id)),
        Place::Type(resource) => Some(Interaction::ConditionalPatch(resource)),
        _ => None,
    }
}

fn delete(release: Release, place: Place) -> Option<Interaction> {
    match place {
        Place::Instance(resource, id) => Some(Interaction::Delete(resource, id)),
        Place::Type(resource) => Some(Interaction::ConditionalDelete(resource)),
        Place::Base => Some(Interaction::ConditionalDeleteSystem),
        Place::InstanceHistory(resource, id) if release == Release::R5 => {
            Some(Interaction::DeleteHistory(resource, id, None))
        }
        Place::Version(resource, id, version) if release == Release::R5 => {
            Some(Interaction::DeleteHistory(resource, id, Some(version)))
        }
        _ => None,
    }
}

/// Which interactions would act on everything if nothing narrowed them.
fn needs_criteria(interaction: &Interaction) -> bool {
    matches!(
        interaction,
        Interaction::ConditionalUpdate(_)
            | Interaction::ConditionalPatch(_)
            | Interaction::ConditionalDelete(_)
            | Interaction::ConditionalDeleteSystem
    )
}

/// The methods that a place takes.
fn allow(release: Release, place: &Place) -> &'static str {
    match place {
        Place::Base => "GET, HEAD, POST, DELETE",
        Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..) => "POST",
        Place::Type(_) => "GET, HEAD, POST, PUT, PATCH, DELETE",
        Place::Instance(..) => "GET, HEAD, PUT, PATCH, DELETE",
        Place::Operation(_) => "GET, HEAD, POST",
        Place::InstanceHistory(..) | Place::Version(..) if release == Release::R5 => {
            "GET, HEAD, DELETE"
        }
        Place::History
        | Place::TypeHistory(_)
        | Place::InstanceHistory(..)
        | Place::Version(..)
        | Place::Compartment(..) => "GET, HEAD",
    }
}
