//! What BALP asks for each interaction.

use serde_json::Value;

use super::types::{Code, DCM};
use crate::audit::formats::tree::text;

/// The shape of an interaction's event.
#[derive(Debug)]
pub(super) struct Kind {
    /// The profile's name without its patient variant. `None`: BALP has no profile for it.
    pub(super) profile: Option<&'static str>,
    /// `AuditEvent.action`
    pub(super) action: &'static str,
    /// The part that the client plays.
    pub(super) client: Code,
    /// The part that the FHIR server plays.
    pub(super) server: Code,
    /// Whether the user is an author (of what is written) and not only a recipient.
    pub(super) writes: bool,
    /// Whether the event names a resource; otherwise it tells the request.
    pub(super) has_data: bool,
}

impl Kind {
    /// The kind of the record's interaction.
    pub(super) fn of(record: &Value) -> &'static Kind {
        match text(record, "/what/interaction") {
            Some("read" | "vread") => &READ,
            Some("search-type" | "search-system") => &QUERY,
            Some("create") => &CREATE,
            Some("update" | "patch") => &UPDATE,
            Some("delete") => &DELETE,
            _ => &OTHER,
        }
    }
}

/// Whether the R4 code system restful-interaction has this code.
pub(super) fn is_code(code: &str) -> bool {
    CODES.contains(&code)
}

const READ: Kind = Kind {
    profile: Some("Read"),
    action: "R",
    client: DESTINATION,
    server: ORIGIN,
    writes: false,
    has_data: true,
};

/// The client is the source: the query goes from it to the server.
const QUERY: Kind = Kind {
    profile: Some("Query"),
    action: "E",
    client: ORIGIN,
    server: DESTINATION,
    writes: false,
    has_data: false,
};

const CREATE: Kind = Kind {
    profile: Some("Create"),
    action: "C",
    client: ORIGIN,
    server: DESTINATION,
    writes: true,
    has_data: true,
};

const UPDATE: Kind = Kind {
    profile: Some("Update"),
    action: "U",
    client: ORIGIN,
    server: DESTINATION,
    writes: true,
    has_data: true,
};

const DELETE: Kind = Kind {
    profile: Some("Delete"),
    action: "D",
    client: APPLICATION,
    server: Code {
        system: "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        code: "custodian",
        display: "Custodian",
    },
    writes: true,
    has_data: true,
};

/// Operations, histories, batches, the capability statement and what was not understood.
const OTHER: Kind = Kind {
    profile: None,
    action: "E",
    client: ORIGIN,
    server: DESTINATION,
    writes: false,
    has_data: false,
};

const ORIGIN: Code = Code { system: DCM, code: "110153", display: "Source Role ID" };
const DESTINATION: Code = Code { system: DCM, code: "110152", display: "Destination Role ID" };

/// A client application, as its token names it.
pub(super) const APPLICATION: Code = Code { system: DCM, code: "110150", display: "Application" };

/// <http://hl7.org/fhir/R4/codesystem-restful-interaction.html>
const CODES: [&str; 17] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history",
    "history-instance",
    "history-type",
    "history-system",
    "create",
    "search",
    "search-type",
    "search-system",
    "capabilities",
    "transaction",
    "batch",
    "operation",
];
