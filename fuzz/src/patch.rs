//! JSON Patch: every place that an operation leads to is known.

use phiward::base::json;
use phiward::fhir::patch;
use serde_json::Value;

use super::world::fields;

/// The patch.
pub fn check(data: &[u8]) {
    let headers = fields(&[("content-type", "application/json-patch+json")]);
    let Ok(patch) = patch::read(data, &headers) else { return };
    let Ok(Value::Array(operations)) = json::parse(data) else { panic!("no list") };
    for operation in &operations {
        for name in ["path", "from"] {
            let Some(pointer) = operation.get(name) else { continue };
            let pointer = pointer.as_str().expect("text");
            let first = pointer.split('/').nth(1).expect("a path into the resource");
            let first = first.replace("~1", "/").replace("~0", "~");
            assert!(patch.touches(first.strip_prefix('_').unwrap_or(&first)), "{pointer}");
            assert!(patch.touches(&first.to_ascii_uppercase()) || first.starts_with('_'));
        }
    }
    let brought = operations.iter().filter(|operation| operation.get("value").is_some()).count();
    assert_eq!(patch.values.len(), brought);
    assert_eq!(patch.tests, operations.iter().any(|operation| operation["op"] == "test"));
}
