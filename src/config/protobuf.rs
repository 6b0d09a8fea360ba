//! Reads the bytes of a `google.protobuf.Struct`, which is what Envoy hands over when the
//! configuration is written in place as YAML.
//!
//! A small, total decoder for the three messages `Struct`, `Value` and `ListValue`
//! (<https://protobuf.dev/reference/protobuf/google.protobuf/#struct>, wire format
//! <https://protobuf.dev/programming-guides/encoding/>). Unknown fields, wrong wire types, fields
//! that come twice, values of no kind, numbers that are not finite, invalid UTF-8, duplicate keys
//! and more than [`MAX_DEPTH`] levels are errors.

use core::fmt;

use serde_json::{Map, Number, Value};

/// Deepest nesting of lists and objects that is read.
pub const MAX_DEPTH: usize = 64;

/// Why the bytes are not such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructError {
    /// They end within a field, or a length is larger than what is left.
    Truncated,
    /// A field that the message does not have, or not with this wire type.
    UnknownField,
    /// A field or a key of an object comes twice.
    Repeated,
    /// A value of no kind.
    Empty,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A number that is not finite, a boolean other than 0 and 1, a null other than 0.
    NoSuchValue,
    /// More than [`MAX_DEPTH`] levels.
    TooDeep,
}

/// Decodes a `Struct`. Numbers that are whole become integers.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn decode(bytes: &[u8]) -> Result<Value, StructError> {
    object(bytes, 0)
}

/// `message Struct { map<string, Value> fields = 1; }`
fn object(bytes: &[u8], depth: usize) -> Result<Value, StructError> {
    let depth = deeper(depth)?;
    let mut reader = Reader { bytes };
    let mut object = Map::new();
    while let Some(tag) = reader.tag()? {
        if tag != (1, LENGTH) {
            return Err(StructError::UnknownField);
        }
        let (key, value) = entry(reader.field()?, depth)?;
        if object.insert(key, value).is_some() {
            return Err(StructError::Repeated);
        }
    }
    Ok(Value::Object(object))
}

/// An entry of the map: `{ string key = 1; Value value = 2; }`. An empty key may be left out.
fn entry(bytes: &[u8], depth: usize) -> Result<(String, Value), StructError> {
    let mut reader = Reader { bytes };
    let mut name = None;
    let mut content = None;
    while let Some(tag) = reader.tag()? {
        match tag {
            (1, LENGTH) => once(&mut name, text(reader.field()?)?)?,
            (2, LENGTH) => once(&mut content, value(reader.field()?, depth)?)?,
            _ => return Err(StructError::UnknownField),
        }
    }
    Ok((name.unwrap_or_default(), content.ok_or(StructError::Empty)?))
}

/// `message Value { oneof kind { null = 1, number = 2, string = 3, bool = 4, struct = 5, list = 6 } }`
fn value(bytes: &[u8], depth: usize) -> Result<Value, StructError> {
    let mut reader = Reader { bytes };
    let mut kind = None;
    while let Some(tag) = reader.tag()? {
        let found = match tag {
            (1, VARINT) => match reader.varint()? {
                0 => Value::Null,
                _ => return Err(StructError::NoSuchValue),
            },
            (2, FIXED64) => number(reader.double()?)?,
            (3, LENGTH) => Value::String(text(reader.field()?)?),
            (4, VARINT) => match reader.varint()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(StructError::NoSuchValue),
            },
            (5, LENGTH) => object(reader.field()?, depth)?,
            (6, LENGTH) => list(reader.field()?, depth)?,
            _ => return Err(StructError::UnknownField),
        };
        once(&mut kind, found)?;
    }
    kind.ok_or(StructError::Empty)
}

/// `message ListValue { repeated Value values = 1; }`
fn list(bytes: &[u8], depth: usize) -> Result<Value, StructError> {
    let depth = deeper(depth)?;
    let mut reader = Reader { bytes };
    let mut list = Vec::new();
    while let Some(tag) = reader.tag()? {
        if tag != (1, LENGTH) {
            return Err(StructError::UnknownField);
        }
        list.push(value(reader.field()?, depth)?);
    }
    Ok(Value::Array(list))
}

fn deeper(depth: usize) -> Result<usize, StructError> {
    if depth >= MAX_DEPTH { Err(StructError::TooDeep) } else { Ok(depth.saturating_add(1)) }
}

fn once<T>(place: &mut Option<T>, found: T) -> Result<(), StructError> {
    match place.replace(found) {
        None => Ok(()),
        Some(_) => Err(StructError::Repeated),
    }
}

fn text(bytes: &[u8]) -> Result<String, StructError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| StructError::NotUtf8)
}

/// A `double` holds whole numbers exactly up to 2^53; printed without a fraction they read back as
/// integers.
fn number(number: f64) -> Result<Value, StructError> {
    if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        let whole = format!("{number:.0}").parse::<i64>();
        return whole.map(Value::from).map_err(|_| StructError::NoSuchValue);
    }
    Number::from_f64(number).map(Value::Number).ok_or(StructError::NoSuchValue)
}

/// The bytes of one message that are not read yet.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next field's number and wire type; `None` at the end.
    fn tag(&mut self) -> Result<Option<(u64, u64)>, StructError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        Ok(Some((tag >> 3, tag & 7)))
    }

    /// At most 64 bits, seven a byte, the lowest first.
    fn varint(&mut self) -> Result<u64, StructError> {
        let mut number = 0;
        for shift in (0..64_u32).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(StructError::Truncated)?;
            self.bytes = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(StructError::NoSuchValue);
            }
            number |= bits.wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(StructError::NoSuchValue)
    }

    /// The bytes of a field that starts with its length.
    fn field(&mut self) -> Result<&'a [u8], StructError> {
        let length = usize::try_from(self.varint()?).map_err(|_| StructError::Truncated)?;
        let (field, rest) = self.bytes.split_at_checked(length).ok_or(StructError::Truncated)?;
        self.bytes = rest;
        Ok(field)
    }

    /// Eight bytes, little endian.
    fn double(&mut self) -> Result<f64, StructError> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or(StructError::Truncated)?;
        self.bytes = rest;
        Ok(f64::from_le_bytes(*bytes))
    }
}

impl fmt::Display for StructError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            StructError::Truncated => "the bytes end too early",
            StructError::UnknownField => "a field that the message does not have",
            StructError::Repeated => "a key or a field that comes twice",
            StructError::Empty => "a value without content",
            StructError::NotUtf8 => "text that is not UTF-8",
            StructError::NoSuchValue => "a number out of range",
            StructError::TooDeep => "more than 64 levels",
        })
    }
}

impl core::error::Error for StructError {}

/// Wire type of integers, booleans and enums.
const VARINT: u64 = 0;
/// Wire type of `double`.
const FIXED64: u64 = 1;
/// Wire type of strings and messages.
const LENGTH: u64 = 2;

/// 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
pub(super) mod tests;
