//! Reads JSON strictly without keeping it. What nobody judges still has to be what it seems: a
//! member that comes twice, or a resource where FHIR has none, could be read by a client.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::base::node::Name;

/// What is known of a text that is read.
#[derive(Debug, Default)]
pub(super) struct Strict<'a> {
    /// Names of the members of the objects around the place that is read.
    names: Vec<Cow<'a, str>>,
    /// Resources found so far: objects with the name of a type in `resourceType` (in R5 a Consent has
    /// an element of that name too, a list of codings).
    pub(super) resources: usize,
}

impl<'a> Strict<'a> {
    /// Begins an object.
    pub(super) fn open(&self) -> usize {
        self.names.len()
    }

    /// Notes a member of the object.
    pub(super) fn member(&mut self, name: Cow<'a, str>) {
        self.names.push(name);
    }

    /// Notes a resource.
    pub(super) fn found(&mut self) {
        self.resources = self.resources.saturating_add(1);
    }

    /// Ends the object.
    pub(super) fn close<E: Error>(&mut self, open: usize) -> Result<(), E> {
        let repeats = self.names.get(open..).is_some_and(has_repeats);
        self.names.truncate(open);
        if repeats { Err(E::custom("duplicate member")) } else { Ok(()) }
    }
}

/// Whether a name comes twice. Most objects have few members: comparing each with each is quicker
/// than sorting, until it isn't.
pub(super) fn has_repeats(names: &[Cow<'_, str>]) -> bool {
    if names.len() <= 16 {
        let mut rest = names;
        while let [name, tail @ ..] = rest {
            if tail.contains(name) {
                return true;
            }
            rest = tail;
        }
        return false;
    }
    let mut names: Vec<&str> = names.iter().map(Cow::as_ref).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

/// Reads one value; gives whether it is a text.
pub(super) struct Skim<'s, 'a>(pub(super) &'s mut Strict<'a>);

impl<'a> DeserializeSeed<'a> for Skim<'_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Skim<'_, 'a> {
    type Value = bool;

    self::scalars!(false);

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<bool, A::Error> {
        while elements.next_element_seed(Skim(self.0))?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<bool, A::Error> {
        let open = self.0.open();
        while let Some(name) = members.next_key_seed(Name)? {
            let is_type = name == "resourceType";
            self.0.member(name);
            if members.next_value_seed(Skim(self.0))? && is_type {
                self.0.found();
            }
        }
        self.0.close(open)?;
        Ok(false)
    }
}

/// What a [`Visitor`] makes of `null`, booleans and numbers.
macro_rules! scalars {
    ($value:expr) => {
        fn expecting(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            formatter.write_str("a JSON value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

pub(super) use scalars;
