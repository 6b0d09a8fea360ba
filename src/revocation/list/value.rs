//! Keys and values of a list's JSON, read by visitors of our own: serde's messages quote what offends.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::{Entry, Instants, Kind};

/// A key of the list or of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// Of the list.
    Top(Top),
    /// Of an entry: what it names.
    Name(Kind),
    /// Of an entry: since or until when.
    Instant(Instants),
    /// Shortened and stripped of what could break a log line.
    Unknown(String),
}

/// A key of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// Which list it is.
    Version,
    /// The list that this one says the changes from.
    Since,
    /// The entries, or those that were added.
    Entries,
    /// The entries that were removed.
    Removed,
    /// How many entries the whole list has, about.
    Total,
    /// Names the next page.
    Next,
    /// Whether `since` may be asked for.
    Deltas,
}

impl Top {
    const ALL: [Top; 7] =
        [Top::Version, Top::Since, Top::Entries, Top::Removed, Top::Total, Top::Next, Top::Deltas];

    /// The key in a list.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Top::Version => "version",
            Top::Since => "since",
            Top::Entries => "entries",
            Top::Removed => "removed",
            Top::Total => "total",
            Top::Next => "next",
            Top::Deltas => "deltas",
        }
    }

    /// Its mark among those that a list had.
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Key {
    fn of(text: &str) -> Key {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        let top = || Top::ALL.into_iter().find(|top| top.name() == text);
        match (kind, text) {
            (Some(kind), _) => Key::Name(kind),
            (None, "issued_before") => Key::Instant(Instants::IssuedBefore),
            (None, "expires") => Key::Instant(Instants::Expires),
            (None, other) => top().map_or_else(|| Key::unknown_of(other), Key::Top),
        }
    }

    fn unknown_of(text: &str) -> Key {
        let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.:".contains(*c);
        Key::Unknown(text.chars().filter(plain).take(32).collect())
    }

    /// Puts the key's value into an entry.
    fn read<'v>(self, entry: &mut Entry<'v>, value: Value<'v>) -> Result<(), String> {
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

    /// Says that this key does not belong there.
    pub(super) fn unknown(&self, known: &str) -> String {
        let name = match self {
            Key::Top(top) => top.name(),
            Key::Name(kind) => kind.name(),
            Key::Instant(key) => key.name(),
            Key::Unknown(name) => name,
        };
        format!("`{name}` is none of the known keys ({known})")
    }
}

impl<'de> Deserialize<'de> for Key {
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

/// A value. Nothing is converted: `"1"`, `1.0` and `null` are no whole numbers.
#[derive(Debug)]
pub(super) enum Value<'v> {
    Text(Cow<'v, str>),
    Whole(u64),
    Flag(bool),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Value<'de>, D::Error> {
        json.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value<'de>, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Value<'de>, A::Error> {
        IgnoredAny.visit_map(members).map(|_| Value::Other)
    }
}

/// A type that accepts any JSON, so that its visitor says in fixed words what is wrong.
macro_rules! visit {
    ($visitor:ident -> $value:ty, $expected:literal, $($method:item)*) => {
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<$value, D::Error> {
                json.deserialize_any($visitor)
            }
        }

        struct $visitor;

        impl<'de> Visitor<'de> for $visitor {
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

visit! { EntryVisitor -> Entry<'de>, "an entry",
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entry<'de>, A::Error> {
        let mut entry = Entry::default();
        while let Some(key) = members.next_key::<Key>()? {
            key.read(&mut entry, members.next_value()?).map_err(A::Error::custom)?;
        }
        entry.check().map_err(A::Error::custom)?;
        Ok(entry)
    }
}

/// What stands where the list should be, and is none.
pub(super) struct NoList;

visit! { NoListVisitor -> NoList, "a list", }

/// What stands where entries should be, and is no array.
pub(super) struct NoEntries;

visit! { NoEntriesVisitor -> NoEntries, "a list of entries", }
