//! JSON: the two strict readers agree, and with a third.

use phiward::base::json;
use phiward::base::node::{self, Node};
use serde_json::Value;

/// A text.
pub fn check(data: &[u8]) {
    let value = json::parse(data).ok();
    let tree = node::read(data).ok();
    let Some(value) = value else { return };
    same(&value, &tree.expect("what one reader takes, the other takes too"));
    json::parse(value.to_string().as_bytes()).expect("written JSON is read again");
    // serde_json's own reader takes an object with this member for something else.
    if !data.windows(SPECIAL.len()).any(|window| window == SPECIAL) {
        let lax: Value = serde_json::from_slice(data).expect("strict JSON is JSON");
        assert_eq!(value, lax);
    }
}

const SPECIAL: &[u8] = b"$serde_json::";

fn same(value: &Value, node: &Node<'_>) {
    match (value, node) {
        (Value::String(text), _) => assert_eq!(node.text(), Some(text.as_str())),
        (Value::Array(items), _) => {
            let nodes = node.array().expect("an array");
            assert_eq!(items.len(), nodes.len());
            items.iter().zip(nodes).for_each(|(item, node)| same(item, node));
        }
        (Value::Object(members), Node::Object(nodes)) => {
            assert_eq!(members.len(), nodes.len(), "no name twice");
            for (name, node) in nodes {
                same(&members[name.as_ref()], node);
            }
        }
        (Value::Object(_), _) => panic!("{value} is no object there"),
        _ => assert!(node.text().is_none() && node.array().is_none() && node.members().is_empty()),
    }
}
