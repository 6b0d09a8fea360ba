//! A resource of an answer, read strictly, of which only what is judged is kept: a searchset of
//! 7 MB, or one resource of 2 MB, needs little more memory than itself.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::judge::{Judge, holds_resource};
use super::strict::{Skim, Strict, scalars};
use crate::base::node::{Name, Node};

/// A resource, as far as it is judged.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    /// Its elements that are judged. Not an object: [`Node::Null`].
    pub(super) node: Node<'a>,
    /// Whether there is a resource in it that is not one of `contained`: none that FHIR knows.
    pub(super) strays: bool,
}

/// Reads a value as a resource.
#[derive(Clone, Copy)]
pub(super) struct AsResource<'j>(pub(super) &'j Judge<'j>);

impl<'a> DeserializeSeed<'a> for AsResource<'_> {
    type Value = Resource<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Resource<'a>, D::Error> {
        let mut strict = Strict::default();
        let outer = Part { judge: self.0, strict: &mut strict, contained: false };
        let node = outer.deserialize(deserializer)?;
        Ok(Resource { node, strays: strict.resources > 0 })
    }
}

/// Reads a resource or one that it contains.
struct Part<'j, 's, 'a> {
    judge: &'j Judge<'j>,
    strict: &'s mut Strict<'a>,
    contained: bool,
}

impl<'a> DeserializeSeed<'a> for Part<'_, '_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Part<'_, '_, 'a> {
    type Value = Node<'a>;

    scalars!(other: Node::Null, text: Node::Null);

    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<Node<'a>, A::Error> {
        Skim(self.strict).visit_seq(elements)?;
        Ok(Node::Null)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Node<'a>, A::Error> {
        let Part { judge, strict, contained } = self;
        let open = strict.open();
        let mut kept: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        // Until the type is known nothing can be left out. Servers write it first.
        let mut looked_at = None;
        while let Some(name) = members.next_key_seed(Name)? {
            if name == "contained" && !contained {
                let value = members.next_value_seed(Contained { judge, strict: &mut *strict })?;
                kept.push((name.clone(), value));
            } else if is_kept(&name, looked_at.as_deref()) {
                let value = members.next_value::<Node<'a>>()?;
                if holds_resource(&value) {
                    strict.found();
                }
                if name == "resourceType" {
                    looked_at = judge.looked_at(&value);
                }
                kept.push((name.clone(), value));
            } else {
                members.next_value_seed(Skim(&mut *strict))?;
            }
            strict.member(name);
        }
        strict.close(open)?;
        Ok(Node::Object(kept))
    }
}

fn is_kept(name: &str, looked_at: Option<&[&str]>) -> bool {
    looked_at.is_none_or(|names| names.contains(&name)) || ALWAYS.contains(&name)
}

/// Reads `contained`. Anything but an array is none.
struct Contained<'j, 's, 'a> {
    judge: &'j Judge<'j>,
    strict: &'s mut Strict<'a>,
}

impl<'a> DeserializeSeed<'a> for Contained<'_, '_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Contained<'_, '_, 'a> {
    type Value = Node<'a>;

    scalars!(other: Node::Null, text: Node::Null);

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Node<'a>, A::Error> {
        let Contained { judge, strict } = self;
        let mut array = Vec::new();
        while let Some(resource) =
            elements.next_element_seed(Part { judge, strict: &mut *strict, contained: true })?
        {
            array.push(resource);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'a>>(self, members: A) -> Result<Node<'a>, A::Error> {
        Skim(self.strict).visit_map(members)?;
        Ok(Node::Null)
    }
}

/// What is judged of every resource, whatever its type.
const ALWAYS: [&str; 4] = ["resourceType", "id", "meta", "contained"];
