//! Where a link may lead. A server makes its URLs up, often with help from headers of the request. One
//! that leads to what scopes are judged for would be a way around them, so only what stands outside
//! FHIR, or is known to serve exports, is signed.

use crate::fhir::{Api, Interaction, Level, Operation, Routed, route};
use crate::policy::Exported;
use crate::request::{Headers, read};

/// Whether a target of this host can be followed, and is nothing but what it is given out as.
pub(super) fn serves(target: &str, of: Exported, api: &Api) -> bool {
    let fields = [(":method", "GET"), (":authority", "export"), (":path", target)];
    let bytes = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let Ok(head) = read(Headers::new(fields.map(bytes).to_vec())) else { return false };
    match route(&head, api) {
        Ok(Routed::Fhir(request)) => match &request.interaction {
            Interaction::Operation(Operation { name, level: Level::System }) => {
                OPERATIONS.iter().any(|start| name.starts_with(start))
            }
            Interaction::Read(resource, _) => {
                resource.name() == "Binary" && of != Exported::Status && head.raw_query().is_none()
            }
            _ => false,
        },
        Ok(Routed::Passthrough) | Err(_) => true,
    }
}

/// How the names of operations start that tell of exports: `$export-poll-status`, `$bulkdata-status`.
const OPERATIONS: [&str; 2] = ["$export", "$bulk"];
