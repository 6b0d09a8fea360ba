//! Stage 2: which FHIR interaction a request is. Pure and total: every method and path below the
//! base is exactly one interaction of the release, or a refusal with its own reason.
//!
//! Source: <http://hl7.org/fhir/R4/http.html>; for R5 <http://hl7.org/fhir/R5/http.html>.

/// A FHIR release this filter has tables for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// 4.0.1
    R4,
    /// 4.3.0
    R4B,
    /// 5.0.0
    R5,
}

/// A resource type that exists in the release, for example `Observation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub(in crate::fhir) &'static str);

impl ResourceType {
    /// The type's name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A logical id or version id: `[A-Za-z0-9\-\.]{1,64}` (<http://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(pub(in crate::fhir) String);

impl Id {
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
    /// `GET .well-known/smart-configuration` and other public documents, named as in `fhir.public`
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
