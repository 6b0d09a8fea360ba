//! A resource of an answer, read strictly, of which only what is judged is kept: a searchset of
//! 7 MB, or one resource of 2 MB, needs little more memory than itself.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::contained::{Contained, References};
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
        let part = Part { judge: self.0, strict: &mut strict, contained: false };
        let node = part.deserialize(deserializer)?;
        Ok(Resource { node, strays: strict.resources > 0 })
    }
}

/// Reads a resource, or one that it contains.
pub(super) struct Part<'j, 's, 'a> {
    pub(super) judge: &'j Judge<'j>,
    pub(super) strict: &'s mut Strict<'a>,
    pub(super) contained: bool,
}

impl<'a> DeserializeSeed<'a> for Part<'_, '_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Part<'_, '_, 'a> {
    type Value = Node<'a>;

    scalars!(Node::Null);

    fn visit_str<E>(self, _: &str) -> Result<Node<'a>, E> {
        Ok(Node::Null)
    }

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
            let value = if name == "contained" && !contained {
                let contained = Contained { judge, strict: &mut *strict };
                Some(members.next_value_seed(contained)?)
            } else if is_kept(&name, looked_at.as_deref()) {
                Some(members.next_value::<Node<'a>>()?)
            } else if contained {
                let named = name == "reference";
                members.next_value_seed(References { strict: &mut *strict, named })?
            } else {
                members.next_value_seed(Skim(&mut *strict))?;
                None
            };
            if let Some(value) = value {
                match name.as_ref() {
                    "resourceType" => looked_at = Some(judge.looked_at(&value)),
                    "contained" if !contained => {}
                    _ if holds_resource(&value) => strict.found(),
                    _ => {}
                }
                kept.push((name.clone(), value));
            }
            strict.member(name);
        }
        strict.close(open)?;
        Ok(Node::Object(kept))
    }
}

/// Whether a member is kept. A choice element such as `value[x]` is looked at as `value`.
fn is_kept(name: &str, looked_at: Option<&[&str]>) -> bool {
    let is = |wanted: &&str| {
        let rest = name.strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    looked_at.is_none_or(|names| names.iter().any(is)) || ALWAYS.contains(&name)
}

/// What is judged of every resource, whatever its type, besides what it contains.
const ALWAYS: [&str; 3] = ["resourceType", "id", "meta"];
