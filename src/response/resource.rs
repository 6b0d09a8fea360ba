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
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AsResource<'_> {
    type Value = Resource<'a>;

    scalars!(other: Resource::NONE, text: Resource::NONE);

    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<Resource<'a>, A::Error> {
        Skim(&mut Strict::default()).visit_seq(elements)?;
        Ok(Resource::NONE)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Resource<'a>, A::Error> {
        let mut strict = Strict::default();
        let mut kept: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        let mut strays = false;
        // Until the type is known nothing can be left out. Servers write it first.
        let mut looked_at = None;
        while let Some(name) = members.next_key_seed(Name)? {
            if is_kept(&name, looked_at.as_deref()) {
                let value = members.next_value::<Node<'a>>()?;
                match name.as_ref() {
                    "contained" => strays |= holds_more(&value),
                    "resourceType" => looked_at = Some(self.0.looked_at(&value)),
                    _ => strays |= holds_resource(&value),
                }
                kept.push((name.clone(), value));
            } else {
                members.next_value_seed(Skim(&mut strict))?;
            }
            strict.member(name);
        }
        strict.close(0)?;
        strays |= strict.resources > 0;
        Ok(Resource { node: Node::Object(kept), strays })
    }
}

impl Resource<'_> {
    /// What is no object.
    const NONE: Self = Resource { node: Node::Null, strays: false };
}

/// Whether a member is kept. A choice element such as `value[x]` is looked at as `value`.
fn is_kept(name: &str, looked_at: Option<&[&str]>) -> bool {
    let is = |wanted: &&str| {
        let rest = name.strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    looked_at.is_none_or(|names| names.iter().any(is)) || ALWAYS.contains(&name)
}

/// Whether there is a resource in `contained` that is not contained directly: contained resources
/// contain none (<http://hl7.org/fhir/R4/references.html#contained>).
fn holds_more(contained: &Node<'_>) -> bool {
    let members = contained.array().unwrap_or_default().iter().flat_map(Node::members);
    contained.array().is_none() || members.into_iter().any(|(_, value)| holds_resource(value))
}

/// What is judged of every resource, whatever its type. Contained resources are judged by whom they
/// refer to anywhere.
const ALWAYS: [&str; 4] = ["resourceType", "id", "meta", "contained"];
