//! Where the parts of a document stand in its file.

use std::collections::HashMap;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

impl Place {
    /// The start of the file.
    pub(super) const START: Place = Place { line: 1, column: 1 };
}

/// The place of every key and list item, by JSON pointer.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: HashMap<String, Place>,
}

impl Places {
    /// Notes where `pointer` stands.
    pub(super) fn insert(&mut self, pointer: String, place: Place) {
        self.known.insert(pointer, place);
    }

    /// Where `pointer` stands, or else the nearest object around it: what is missing stands nowhere.
    pub(super) fn of(&self, mut pointer: &str) -> Place {
        loop {
            match (self.known.get(pointer), pointer.rsplit_once('/')) {
                (Some(place), _) => return *place,
                (None, Some((parent, _))) => pointer = parent,
                (None, None) => return Place::START,
            }
        }
    }
}

/// The pointer of `name` below `pointer` (RFC 6901 section 3).
pub(super) fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
