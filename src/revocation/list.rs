//! Reads a revocation list: one JSON object with `entries`, or entries one after another (NDJSON).
//!
//! All or nothing: an entry that can't be read may be the one that revokes the token at hand, so it
//! makes the whole list unusable. Errors name the entry's number and place, never its content.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::{Deserializer as Json, SliceRead};

use super::entry::{Entry, Instants, Kind};
use super::index::Index;
use crate::base::time::Instant;

/// A list read whole.
#[derive(Debug)]
pub(super) struct List {
    /// Its entries, without those that are over.
    pub(super) index: Index,
    /// How many entries it had.
    pub(super) read: usize,
    /// Its `version`, fit for a log line.
    pub(super) version: Option<String>,
}

/// Reads a list into `index`.
pub(super) fn read(body: &[u8], index: Index, now: Instant) -> Result<List, String> {
    let mut loading = Loading { list: List { index, read: 0, version: None }, now, within: false };
    match loading.read(&mut Json::from_slice(body)) {
        Ok(()) => Ok(loading.list),
        Err(problem) if loading.within => {
            Err(format!("entry {}: {problem}", loading.list.read.saturating_add(1)))
        }
        Err(problem) => Err(problem.to_string()),
    }
}

/// A list being read.
struct Loading {
    list: List,
    now: Instant,
    /// Whether an entry is being read.
    within: bool,
}

impl Loading {
    fn read(&mut self, json: &mut Json<SliceRead<'_>>) -> Result<(), serde_json::Error> {
        if let Form::Object = (ListOrEntry { loading: self }).deserialize(&mut *json)? {
            return json.end();
        }
        while json.end().is_err() {
            self.within = true;
            OneEntry { loading: self }.deserialize(&mut *json)?;
        }
        Ok(())
    }

    /// Reads the rest of an entry, whose first key was read already.
    fn entry<'de, A: MapAccess<'de>>(
        &mut self,
        first: Option<Key>,
        mut members: A,
    ) -> Result<(), A::Error> {
        self.within = true;
        if self.list.read >= MAX_ENTRIES {
            return Err(A::Error::custom(format!("a list has at most {MAX_ENTRIES} entries")));
        }
        let mut entry = Entry::default();
        let mut next = first;
        while let Some(key) = next {
            key.read(&mut entry, members.next_value()?).map_err(A::Error::custom)?;
            next = members.next_key()?;
        }
        entry.check().map_err(A::Error::custom)?;
        if !entry.is_over(self.now) {
            self.list.index.insert(&entry);
        }
        self.list.read = self.list.read.saturating_add(1);
        self.within = false;
        Ok(())
    }

    /// Reads the rest of the object form, whose first key was read already.
    fn object<'de, A: MapAccess<'de>>(
        &mut self,
        first: Key,
        mut members: A,
    ) -> Result<(), A::Error> {
        let mut entries = false;
        let mut next = Some(first);
        while let Some(key) = next {
            match key {
                Key::Entries if !entries => members.next_value_seed(Entries { loading: self })?,
                Key::Version if self.list.version.is_none() => {
                    self.list.version =
                        Some(version(members.next_value()?).map_err(A::Error::custom)?);
                }
                Key::Entries | Key::Version => return Err(A::Error::custom("a key stands twice")),
                other => return Err(A::Error::custom(other.unknown("`version` and `entries`"))),
            }
            entries |= matches!(key, Key::Entries);
            next = members.next_key()?;
        }
        if entries { Ok(()) } else { Err(A::Error::custom("there is no `entries`")) }
    }
}

fn version(value: Value) -> Result<String, &'static str> {
    let Value::Text(text) = value else { return Err("`version` is not text") };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:+".contains(c) { c } else { '?' };
    Ok(text.chars().take(64).map(plain).collect())
}

/// Which of the two forms a body has.
enum Form {
    Object,
    Entries,
}

/// The first object of a body: the list, or the first entry.
struct ListOrEntry<'l> {
    loading: &'l mut Loading,
}

/// One entry.
struct OneEntry<'l> {
    loading: &'l mut Loading,
}

/// The value of `entries`.
struct Entries<'l> {
    loading: &'l mut Loading,
}

/// A seed that accepts any JSON, so that its visitor says in fixed words what is wrong: serde's own
/// messages quote the offending text.
macro_rules! visit {
    ($seed:ident -> $value:ty, $expected:literal, $($method:item)*) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<$value, D::Error> {
                json.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed<'_> {
            type Value = $value;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str($expected)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<$value, E> {
                Err(E::custom(concat!("text instead of ", $expected)))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<$value, E> {
                Err(E::custom(concat!("a number instead of ", $expected)))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<$value, E> {
                self.visit_u64(0)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<$value, E> {
                self.visit_u64(0)
            }

            $($method)*
        }
    };
}

visit! { ListOrEntry -> Form, "a list",
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Form, A::Error> {
        match members.next_key()? {
            None => Err(A::Error::custom("there is no `entries`")),
            Some(key @ (Key::Version | Key::Entries)) => {
                self.loading.object(key, members).map(|()| Form::Object)
            }
            key => self.loading.entry(key, members).map(|()| Form::Entries),
        }
    }
}

visit! { OneEntry -> (), "an entry",
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let first = members.next_key()?;
        self.loading.entry(first, members)
    }
}

visit! { Entries -> (), "a list of entries",
    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Entries { loading } = self;
        loop {
            // Until it turns out to be the end of the list.
            loading.within = true;
            if entries.next_element_seed(OneEntry { loading })?.is_none() {
                loading.within = false;
                return Ok(());
            }
        }
    }
}

/// A key of the list or of an entry.
#[derive(Debug, Clone)]
enum Key {
    Version,
    Entries,
    Name(Kind),
    Instant(Instants),
    /// Shortened and stripped of what could break a log line.
    Unknown(String),
}

impl Key {
    fn of(text: &str) -> Key {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        match (kind, text) {
            (Some(kind), _) => Key::Name(kind),
            (None, "issued_before") => Key::Instant(Instants::IssuedBefore),
            (None, "expires") => Key::Instant(Instants::Expires),
            (None, "version") => Key::Version,
            (None, "entries") => Key::Entries,
            (None, other) => {
                let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.:".contains(*c);
                Key::Unknown(other.chars().filter(plain).take(32).collect())
            }
        }
    }

    /// Puts the key's value into an entry.
    fn read(self, entry: &mut Entry, value: Value) -> Result<(), String> {
        match (self, value) {
            (Key::Name(kind), Value::Text(text)) => entry.name(kind, text),
            (Key::Name(kind), _) => Err(format!("`{}` is not text", kind.name())),
            (Key::Instant(key), Value::Whole(second)) => entry.instant(key, second),
            (Key::Instant(key), _) => {
                Err(format!("`{}` is not a whole number of seconds since 1970", key.name()))
            }
            (other, _) => Err(other.unknown("an entry's")),
        }
    }

    fn unknown(&self, known: &str) -> String {
        let name = match self {
            Key::Version => "version",
            Key::Entries => "entries",
            Key::Name(kind) => kind.name(),
            Key::Instant(key) => key.name(),
            Key::Unknown(name) => name,
        };
        format!("`{name}` is none of the known keys ({known})")
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Key, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key::of(text))
            }
        }
        json.deserialize_str(KeyVisitor)
    }
}

/// A value of an entry. Nothing is converted: `"1"`, `1.0` and `null` are no whole numbers.
enum Value {
    Text(String),
    Whole(u64),
    Other,
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Value, D::Error> {
        json.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Value, A::Error> {
        IgnoredAny.visit_map(members).map(|_| Value::Other)
    }
}

/// So that loading stays within what an instance can do between two requests.
const MAX_ENTRIES: usize = 200_000;

#[cfg(test)]
mod tests;
