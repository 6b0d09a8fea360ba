//! The line that the filter wrote, made again from what a collector made of it.
//!
//! Collectors parse a record and write it anew: in another order, with fields of their own, numbers
//! and strings in another notation. All of that is undone; nothing else is. Fields that phiward does
//! not know are left out, so a record can only be verified by a version that knows all its fields.

use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value};

use super::SCHEMA;
use super::formats::fields::{CHECKPOINT, Field, Kind, RECORD};
use super::formats::phiward;
use super::seal::CHECKPOINT_SCHEMA;

/// The line of a record or a checkpoint without its seal. `None` when it is neither, or when a field
/// holds what phiward never writes there.
pub(crate) fn canonical(record: &Value) -> Option<String> {
    let fields = match record.get("schema")?.as_str()? {
        SCHEMA => RECORD,
        CHECKPOINT_SCHEMA => CHECKPOINT,
        _ => return None,
    };
    let line = phiward::ascii(&Object(fields, record.as_object()?));
    (!line.is_empty()).then_some(line)
}

struct Object<'a>(&'static [Field], &'a Map<String, Value>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for Field { name, kind } in self.0 {
            match (self.1.get(*name), kind) {
                (None | Some(Value::Null), Kind::Always(_)) => {
                    map.serialize_entry(name, &Map::new())?;
                }
                (Some(value), kind) if is_written(value, kind) => {
                    map.serialize_entry(name, &Known(kind, value))?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

/// Whether phiward would write it: unknown values and empty lists are left out, `false` too.
fn is_written(value: &Value, kind: &Kind) -> bool {
    match (kind, value) {
        (_, Value::Null) => false,
        (Kind::Flag, Value::Bool(flag)) => *flag,
        (Kind::Texts | Kind::Objects(_), Value::Array(items)) => !items.is_empty(),
        _ => true,
    }
}

struct Known<'a>(&'static Kind, &'a Value);

impl Serialize for Known<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let strange = || S::Error::custom("not what phiward writes");
        match (self.0, self.1) {
            (Kind::Text, Value::String(text)) => serializer.serialize_str(text),
            (Kind::Flag, Value::Bool(flag)) => serializer.serialize_bool(*flag),
            (Kind::Count, value) => serializer.serialize_u64(count(value).ok_or_else(strange)?),
            (Kind::Milliseconds, value) => {
                serializer.serialize_f64(milliseconds(value).ok_or_else(strange)?)
            }
            (Kind::Object(fields) | Kind::Always(fields), Value::Object(object)) => {
                Object(fields, object).serialize(serializer)
            }
            (Kind::Texts, Value::Array(items)) => list(serializer, items, &Kind::Text),
            (Kind::Objects(fields), Value::Array(items)) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    let object = item.as_object().ok_or_else(strange)?;
                    list.serialize_element(&Object(fields, object))?;
                }
                list.end()
            }
            _ => Err(strange()),
        }
    }
}

fn list<S: Serializer>(
    serializer: S,
    items: &[Value],
    kind: &'static Kind,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(items.len()))?;
    for item in items {
        list.serialize_element(&Known(kind, item))?;
    }
    list.end()
}

/// A whole number, also from those who know floating point only.
fn count(value: &Value) -> Option<u64> {
    let whole = |number: &f64| number.fract() == 0.0 && (0.0..EXACT).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(whole).map(|number| number as u64))
}

/// Milliseconds as they are written: whole microseconds by a thousand.
fn milliseconds(value: &Value) -> Option<f64> {
    let written = value.as_f64().filter(|number| *number >= 0.0)?;
    let microseconds = (written.abs() * 1000.0).round();
    Some(if microseconds < EXACT { microseconds / 1000.0 } else { written })
}

/// Whole numbers below are exact in floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests;
