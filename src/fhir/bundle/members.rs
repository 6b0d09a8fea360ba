//! A JSON object split into its members, whose values stay the text that came.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ENTRY, MAX_ENTRIES};
use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::fhir::reasons::{BODY_MISSING, BUNDLE_ENTRY, BUNDLE_MEMBER, BUNDLE_TOO_MANY};
use crate::fhir::written::unreadable;

/// The members of an object in the order they came, none twice.
pub(super) struct Members<'b>(Vec<(String, &'b RawValue)>);

impl<'b> Members<'b> {
    /// Reads an object.
    pub(super) fn read(text: &'b [u8]) -> Result<Members<'b>, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new(&BODY_MISSING));
        }
        serde_json::from_slice(text).map_err(|error| unreadable(&error))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'b RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'b RawValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The text of a member that is one.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'b, str>> {
        text(self.get(name)?)
    }

    /// The entries of a Bundle; none when there is no such member.
    pub(super) fn entries(&self) -> Result<Vec<&'b RawValue>, Refusal> {
        let Some(value) = self.get(ENTRY) else { return Ok(Vec::new()) };
        let items = serde_json::from_str::<Entries<'b>>(value.get()).ok();
        let items = items.filter(|Entries(items)| items.iter().all(|item| is_object(item)));
        match items {
            Some(Entries(items)) if items.len() <= MAX_ENTRIES => Ok(items),
            Some(_) => Err(Refusal::new(&BUNDLE_TOO_MANY)),
            None => Err(Refusal::new(&BUNDLE_ENTRY)),
        }
    }

    /// That every member has one of these names.
    pub(super) fn are_all(&self, known: &[&str]) -> Result<(), Refusal> {
        let unknown = self.iter().any(|(name, _)| !known.contains(&name));
        if unknown { Err(Refusal::new(&BUNDLE_MEMBER)) } else { Ok(()) }
    }

    /// That every member but this one is strict JSON all the way down.
    pub(super) fn are_strict_but(&self, name: &str) -> Result<(), Refusal> {
        for (_, value) in self.iter().filter(|(known, _)| *known != name) {
            node::read(value.get().as_bytes()).map_err(|error| unreadable(&error))?;
        }
        Ok(())
    }
}

/// The text that a value is.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    match node::read(value.get().as_bytes()) {
        Ok(Node::Text(text)) => Some(text),
        _ => None,
    }
}

/// Whether a value, valid JSON without space around it, is an object.
pub(super) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

impl<'de: 'b, 'b> Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'b>, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
        let mut found = Members(Vec::new());
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            // No object that is read this way has more members; many would make the next line slow.
            if found.0.len() >= MAX_MEMBERS || found.get(&name).is_some() {
                return Err(A::Error::custom("duplicate member or too many"));
            }
            found.0.push((name, value));
        }
        Ok(found)
    }
}

/// The elements of an array, up to one more than a Bundle may have.
struct Entries<'b>(Vec<&'b RawValue>);

impl<'de: 'b, 'b> Deserialize<'de> for Entries<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries<'b>, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Entries<'de>, A::Error> {
        let mut found = Vec::new();
        while found.len() <= MAX_ENTRIES {
            let Some(element) = elements.next_element::<&'de RawValue>()? else {
                return Ok(Entries(found));
            };
            found.push(element);
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entries(found))
    }
}

/// More than a Bundle, an entry or a request has.
const MAX_MEMBERS: usize = 32;
