//! ECS documents, one a line, in ASCII: some readers take other characters for a line's end.

use super::Posted;
use crate::audit::formats::{ecs, phiward};
use crate::base::json;

pub(super) fn posted(lines: &str) -> Posted {
    let mut body = String::with_capacity(lines.len().saturating_mul(2));
    // Every line was written as a record: it can be read.
    for record in lines.lines().filter_map(|line| json::parse(line.as_bytes()).ok()) {
        body.push_str(&phiward::ascii(&ecs::document(&record)));
        body.push('\n');
    }
    Posted { content_type: "application/x-ndjson", body: body.into_bytes() }
}
