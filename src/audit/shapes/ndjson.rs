//! The records as they are, one a line.

use super::Posted;

pub(super) fn posted(lines: String, content_type: &'static str) -> Posted {
    Posted { content_type, body: lines.into_bytes() }
}
