//! A JWK Set (RFC 7517 section 5): the keys of one issuer.
//!
//! A member that serves another purpose is passed over; one that is weak, malformed or private is
//! never used and said so, and does not take the others down. A document that is not a key set, is
//! too large, or names two keys alike is refused whole: nobody could say which key was meant.

use std::collections::HashSet;

use serde_json::Value;

use super::jwk::{self, Unusable};
use super::key::{Fingerprint, Key};
use crate::base::json;

/// The usable keys of an issuer, each under its own name.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// A key set, and what was left out of it.
#[derive(Debug)]
pub(super) struct Reading {
    /// The usable keys.
    pub(super) set: KeySet,
    /// The members that are not used: place in `keys`, and why.
    pub(super) left_out: Vec<(usize, Unusable)>,
}

impl KeySet {
    /// Reads a document from outside.
    pub(super) fn parse(document: &[u8]) -> Result<Reading, String> {
        if document.len() > MAX_DOCUMENT {
            return Err(format!("it is longer than {MAX_DOCUMENT} bytes"));
        }
        let document = json::parse(document).map_err(|error| format!("it is not JSON: {error}"))?;
        KeySet::read(&document)
    }

    /// Reads a key set.
    pub(super) fn read(document: &Value) -> Result<Reading, String> {
        let members = document.get("keys").and_then(Value::as_array);
        let members = members.ok_or("it is not a JWK Set: an object with a list `keys`")?;
        if members.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        let mut reading = Reading { set: KeySet::default(), left_out: Vec::new() };
        let mut names = HashSet::new();
        for (place, member) in members.iter().enumerate() {
            let result = jwk::read(member);
            let name = member.get("kid").and_then(Value::as_str);
            let is_foreign = matches!(result, Err(Unusable::Foreign(_)));
            if !is_foreign && name.is_some_and(|name| !names.insert(name)) {
                return Err(format!("two of its keys have the `kid` of `keys/{place}`"));
            }
            match result {
                Ok(key) => reading.set.keys.push(key),
                Err(why) => reading.left_out.push((place, why)),
            }
        }
        Ok(reading)
    }

    /// The key of this name.
    pub(super) fn named(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// Whether this very key is among them.
    pub(super) fn holds(&self, key: &Fingerprint) -> bool {
        self.keys.iter().any(|known| known.fingerprint() == *key)
    }

    /// What tells each key from every other.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.keys.iter().map(Key::fingerprint)
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Unusable {
    /// Why, in words.
    pub(super) fn why(&self) -> &str {
        match self {
            Unusable::Foreign(why) | Unusable::Bad(why) => why,
        }
    }
}

/// Longest key set in bytes.
pub(super) const MAX_DOCUMENT: usize = 256 * 1024;

/// Most members of a key set.
const MAX_KEYS: usize = 100;

#[cfg(test)]
mod tests;
