//! The records as they are, one a line.

use super::Posted;

pub(super) fn posted(lines: String) -> Posted {
    Posted { content_type: "application/x-ndjson", body: lines.into_bytes() }
}
