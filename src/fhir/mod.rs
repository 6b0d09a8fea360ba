//! Stage 2: which FHIR interaction a request is. Pure and total: every method and path below the
//! base is exactly one interaction of the release, or a refusal with its own reason.
//!
//! Source: <http://hl7.org/fhir/R4/http.html>; for R5 <http://hl7.org/fhir/R5/http.html>.

pub mod bundle;
pub mod compartment;
pub mod config;
mod content;
pub mod criteria;
mod element;
mod grammar;
pub mod membership;
pub mod patch;
pub mod reasons;
pub mod references;
mod route;
pub mod search;
mod tables;
pub mod written;

#[cfg(test)]
mod tests;

pub use config::Api;
pub use route::{Body, PREFLIGHT, Request, Routed, route};

crate::words! {
    /// A FHIR release this filter has tables for.
    pub enum Release {
        /// 4.0.1
        R4 = "R4",
        /// 4.3.0
        R4B = "R4B",
        /// 5.0.0
        R5 = "R5",
    }
}

impl Release {
    /// The concrete resource types of the release, sorted.
    pub fn types(self) -> &'static [&'static str] {
        tables::of(self).types
    }
}

/// A resource type that exists in the release, for example `Observation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub(in crate::fhir) &'static str);

impl ResourceType {
    /// The type of this name. Names are case-sensitive.
    pub fn parse(release: Release, name: &str) -> Option<ResourceType> {
        let types = release.types();
        let place = types.binary_search(&name).ok()?;
        types.get(place).copied().map(ResourceType)
    }

    /// The type's name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A logical id or version id: `[A-Za-z0-9\-\.]{1,64}` (<http://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(in crate::fhir) String);

impl Id {
    /// Reads an id. `.` and `..` fit the pattern, but as a path segment they mean another place.
    pub fn parse(text: &str) -> Option<Id> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(fits);
        (valid && text != "." && text != "..").then(|| Id(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request does, in FHIR's terms (<http://hl7.org/fhir/R4/http.html#summary>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`
    Capabilities,
    /// `GET .well-known/smart-configuration` and other public documents, named as in `fhir.public`;
    /// a browser's preflight, named [`PREFLIGHT`]
    Public(String),
    /// `GET Type/id` (`HEAD` too)
    Read(ResourceType, Id),
    /// `GET Type/id/_history/vid` (`HEAD` too)
    Vread(ResourceType, Id, Id),
    /// `GET Type/id/_history`
    HistoryInstance(ResourceType, Id),
    /// `GET Type/_history`
    HistoryType(ResourceType),
    /// `GET _history`
    HistorySystem,
    /// `GET Type?…`, `POST Type/_search`
    SearchType(ResourceType),
    /// `GET ?…`, `POST _search`
    SearchSystem,
    /// `GET Patient/id/Type?…`, `POST Patient/id/Type/_search`; `None` for `*` (all types)
    SearchCompartment(ResourceType, Id, Option<ResourceType>),
    /// `POST Type`
    Create(ResourceType),
    /// `POST Type` with `If-None-Exist`
    ConditionalCreate(ResourceType),
    /// `PUT Type/id`
    Update(ResourceType, Id),
    /// `PUT Type?…`
    ConditionalUpdate(ResourceType),
    /// `PATCH Type/id`
    Patch(ResourceType, Id),
    /// `PATCH Type?…`
    ConditionalPatch(ResourceType),
    /// `DELETE Type/id`
    Delete(ResourceType, Id),
    /// `DELETE Type?…`
    ConditionalDelete(ResourceType),
    /// `DELETE ?…` over all types
    ConditionalDeleteSystem,
    /// R5 `DELETE Type/id/_history`, and with a version id `DELETE Type/id/_history/vid`
    DeleteHistory(ResourceType, Id, Option<Id>),
    /// `POST` of a Bundle to the base
    Batch,
    /// `GET` or `POST` of `$name`
    Operation(Operation),
}

impl Interaction {
    /// The code of <http://hl7.org/fhir/restful-interaction>, as audit records name it. Conditional
    /// forms have the code of their plain form; a batch or transaction is `batch` until its Bundle
    /// is read; what FHIR has no code for is `public`.
    pub const fn name(&self) -> &'static str {
        match self {
            Interaction::Capabilities => "capabilities",
            Interaction::Public(_) => "public",
            Interaction::Read(..) => "read",
            Interaction::Vread(..) => "vread",
            Interaction::HistoryInstance(..) => "history-instance",
            Interaction::HistoryType(_) => "history-type",
            Interaction::HistorySystem => "history-system",
            Interaction::SearchType(_) | Interaction::SearchCompartment(_, _, Some(_)) => {
                "search-type"
            }
            Interaction::SearchSystem | Interaction::SearchCompartment(_, _, None) => {
                "search-system"
            }
            Interaction::Create(_) | Interaction::ConditionalCreate(_) => "create",
            Interaction::Update(..) | Interaction::ConditionalUpdate(_) => "update",
            Interaction::Patch(..) | Interaction::ConditionalPatch(_) => "patch",
            Interaction::Delete(..)
            | Interaction::ConditionalDelete(_)
            | Interaction::ConditionalDeleteSystem
            | Interaction::DeleteHistory(..) => "delete",
            Interaction::Batch => "batch",
            Interaction::Operation(_) => "operation",
        }
    }

    /// The type it acts on. Of a compartment search that is the type searched.
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Interaction::Capabilities
            | Interaction::Public(_)
            | Interaction::HistorySystem
            | Interaction::SearchSystem
            | Interaction::ConditionalDeleteSystem
            | Interaction::Batch => None,
            Interaction::Read(resource, _)
            | Interaction::Vread(resource, _, _)
            | Interaction::HistoryInstance(resource, _)
            | Interaction::HistoryType(resource)
            | Interaction::SearchType(resource)
            | Interaction::Create(resource)
            | Interaction::ConditionalCreate(resource)
            | Interaction::Update(resource, _)
            | Interaction::ConditionalUpdate(resource)
            | Interaction::Patch(resource, _)
            | Interaction::ConditionalPatch(resource)
            | Interaction::Delete(resource, _)
            | Interaction::ConditionalDelete(resource)
            | Interaction::DeleteHistory(resource, _, _) => Some(*resource),
            Interaction::SearchCompartment(_, _, resource) => *resource,
            Interaction::Operation(operation) => match &operation.level {
                Level::System => None,
                Level::Type(resource)
                | Level::Instance(resource, _)
                | Level::Version(resource, _, _) => Some(*resource),
            },
        }
    }

    /// The id of the resource it acts on. A compartment search acts on none: see
    /// [`Interaction::compartment`].
    pub fn id(&self) -> Option<&Id> {
        match self {
            Interaction::Read(_, id)
            | Interaction::Vread(_, id, _)
            | Interaction::HistoryInstance(_, id)
            | Interaction::Update(_, id)
            | Interaction::Patch(_, id)
            | Interaction::Delete(_, id)
            | Interaction::DeleteHistory(_, id, _) => Some(id),
            Interaction::Operation(operation) => match &operation.level {
                Level::Instance(_, id) | Level::Version(_, id, _) => Some(id),
                Level::System | Level::Type(_) => None,
            },
            _ => None,
        }
    }

    /// The version it acts on.
    pub fn version(&self) -> Option<&Id> {
        match self {
            Interaction::Vread(_, _, version) => Some(version),
            Interaction::DeleteHistory(_, _, version) => version.as_ref(),
            Interaction::Operation(Operation { level: Level::Version(_, _, version), .. }) => {
                Some(version)
            }
            _ => None,
        }
    }

    /// The operation's name with its dollar sign.
    pub fn operation(&self) -> Option<&str> {
        match self {
            Interaction::Operation(operation) => Some(&operation.name),
            _ => None,
        }
    }

    /// Whose compartment it searches.
    pub fn compartment(&self) -> Option<(ResourceType, &Id)> {
        match self {
            Interaction::SearchCompartment(owner, id, _) => Some((*owner, id)),
            _ => None,
        }
    }
}

/// An operation and where it is invoked (<http://hl7.org/fhir/R4/operations.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The name with its dollar sign, for example `$everything`.
    pub name: String,
    /// On the system, a type, an instance or a version of it.
    pub level: Level,
}

/// Where an operation is invoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// `$op`
    System,
    /// `Type/$op`
    Type(ResourceType),
    /// `Type/id/$op`
    Instance(ResourceType, Id),
    /// `Type/id/_history/vid/$op`
    Version(ResourceType, Id, Id),
}
