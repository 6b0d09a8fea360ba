//! ECS documents, one a line.

use super::Posted;
use crate::audit::formats::ecs;
use crate::base::json;

pub(super) fn posted(lines: &str) -> Posted {
    let mut body = String::with_capacity(lines.len().saturating_mul(2));
    // Every line was written as a record: it can be read.
    for record in lines.lines().filter_map(|line| json::parse(line.as_bytes()).ok()) {
        body.push_str(&ecs::document(&record).to_string());
        body.push('\n');
    }
    Posted { content_type: "application/x-ndjson", body: body.into_bytes() }
}
