//! What a resource contains. Contained resources are judged by whom they refer to, wherever in them,
//! so of what is not judged otherwise the references are kept.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::judge::Judge;
use super::resource::Part;
use super::strict::{Skim, Strict, scalars};
use crate::base::node::{Name, Node};

/// Reads `contained`: an array of resources that contain none
/// (<http://hl7.org/fhir/R4/references.html#contained>). Anything else: [`Node::Null`].
pub(super) struct Contained<'j, 's, 'a> {
    pub(super) judge: &'j Judge<'j>,
    pub(super) strict: &'s mut Strict<'a>,
}

impl<'a> DeserializeSeed<'a> for Contained<'_, '_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Contained<'_, '_, 'a> {
    type Value = Node<'a>;

    scalars!(Node::Null);

    fn visit_str<E>(self, _: &str) -> Result<Node<'a>, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Node<'a>, A::Error> {
        let Contained { judge, strict } = self;
        let mut array = Vec::new();
        loop {
            let next = Part { judge, strict: &mut *strict, contained: true };
            match elements.next_element_seed(next)? {
                Some(resource) => array.push(resource),
                None => return Ok(Node::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, members: A) -> Result<Node<'a>, A::Error> {
        Skim(self.strict).visit_map(members)?;
        Ok(Node::Null)
    }
}

/// Reads a value and keeps the texts of members called `reference`, where they stand. `None`: it has
/// none.
pub(super) struct References<'s, 'a> {
    pub(super) strict: &'s mut Strict<'a>,
    /// Whether the value is that of such a member.
    pub(super) named: bool,
}

impl<'a> DeserializeSeed<'a> for References<'_, 'a> {
    type Value = Option<Node<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for References<'_, 'a> {
    type Value = Option<Node<'a>>;

    scalars!(None);

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(self.named.then_some(Node::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.named.then(|| Node::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        loop {
            let next = References { strict: &mut *self.strict, named: false };
            match elements.next_element_seed(next)? {
                Some(value) => kept.extend(value),
                None => return Ok((!kept.is_empty()).then_some(Node::Array(kept))),
            }
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let strict = self.strict;
        let open = strict.open();
        let mut kept = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if name == "resourceType" {
                if members.next_value_seed(Skim(&mut *strict))? {
                    strict.found();
                }
            } else {
                let named = name == "reference";
                let value = References { strict: &mut *strict, named };
                let value = members.next_value_seed(value)?;
                kept.extend(value.map(|value| (name.clone(), value)));
            }
            strict.member(name);
        }
        strict.close(open)?;
        Ok((!kept.is_empty()).then_some(Node::Object(kept)))
    }
}
