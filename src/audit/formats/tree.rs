//! What the formats share: reading a parsed record, and building JSON without empty members.

use std::net::SocketAddr;

use serde_json::{Map, Value};

/// The text at a JSON pointer. `None` when there is none or nothing but white space.
pub(super) fn text<'a>(record: &'a Value, pointer: &str) -> Option<&'a str> {
    record.pointer(pointer)?.as_str().filter(|text| !text.trim().is_empty())
}

/// The texts of the list at a JSON pointer, without the mark that the list was cut.
pub(super) fn texts<'a>(record: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    let list = record.pointer(pointer).and_then(Value::as_array);
    let said = |text: &&str| *text != CUT && !text.trim().is_empty();
    list.into_iter().flatten().filter_map(Value::as_str).filter(said)
}

/// An object of the members that hold something: FHIR knows neither null nor empty values.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    full(Vec::from(members))
}

fn full(members: Vec<(&str, Value)>) -> Value {
    let kept = members.into_iter().filter(|(_, value)| !is_empty(value));
    Value::Object(kept.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A list of the values that hold something.
pub(super) fn list<const N: usize>(values: [Value; N]) -> Value {
    Value::Array(Vec::from(values).into_iter().filter(|value| !is_empty(value)).collect())
}

/// Null, and a text, list or object with nothing in it.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Takes the value at a path with dots out of `tree`, and the objects that it leaves empty.
pub(super) fn take(tree: &mut Map<String, Value>, path: &str) -> Option<Value> {
    let Some((first, rest)) = path.split_once('.') else { return tree.remove(path) };
    let Some(Value::Object(below)) = tree.get_mut(first) else { return None };
    let taken = take(below, rest);
    if below.is_empty() {
        tree.remove(first);
    }
    taken
}

/// Puts `value` at a path with dots; nothing when it is empty.
pub(super) fn put(tree: &mut Map<String, Value>, path: &str, value: Value) {
    if is_empty(&value) {
        return;
    }
    let Some((first, rest)) = path.split_once('.') else {
        tree.insert(path.to_owned(), value);
        return;
    };
    let below = tree.entry(first).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(below) = below {
        put(below, rest, value);
    }
}

/// The peer, when its address is an IP address with a port.
pub(super) fn peer(record: &Value) -> Option<SocketAddr> {
    text(record, "/from/address")?.parse().ok()
}

/// How the request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was answered as asked.
    Success,
    /// The caller's fault, or the caller left: refused, or an answer of 400 to 499.
    Refused,
    /// Ours or the server's fault: nothing could be decided, an answer of 500 or above, or none.
    Failed,
}

/// How the record's request ended. Mode `observe` refuses nothing: what counts is what was done.
pub(super) fn end(record: &Value) -> End {
    let status = record.pointer("/outcome/status").and_then(Value::as_u64);
    let failure = text(record, "/outcome/failure");
    match (text(record, "/decision"), status, failure) {
        (Some("error"), _, _) | (_, Some(500..), _) => End::Failed,
        (_, _, Some(failure)) if failure.starts_with("upstream") => End::Failed,
        (Some("deny"), _, _) | (_, Some(400..), _) | (_, _, Some(_)) | (_, None, _) => End::Refused,
        (_, Some(_), None) => End::Success,
    }
}

/// Stands in a list for the items that were cut.
const CUT: &str = "…";
