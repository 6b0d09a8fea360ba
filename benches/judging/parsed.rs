//! What judging is compared with: a plain parse into values that borrow their texts. Repeated members
//! are not looked for.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Debug)]
#[expect(dead_code, reason = "it is built to be measured")]
pub(crate) enum Parsed<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Parsed<'a>>),
    /// An object.
    Object(Vec<(Parsed<'a>, Parsed<'a>)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Parsed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed<'a>, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Parsed<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "measured, not used")]
    fn visit_u64<E>(self, value: u64) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "measured, not used")]
    fn visit_i64<E>(self, value: i64) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Parsed<'de>, E> {
        Ok(Parsed::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Parsed<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Parsed::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Parsed<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Parsed::Object(object))
    }
}
