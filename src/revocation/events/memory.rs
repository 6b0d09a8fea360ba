//! What a stream's events revoked, as it lies in shared data: one value that is replaced as a whole,
//! by compare-and-swap, and under a new generation whenever more is revoked.
//!
//! Names are kept as one 64-bit SipHash-2-4 of all that an entry names, under a key that is random and
//! known to nobody outside. Two that have one hash refuse a good token, never let a revoked one
//! through.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::subject::{Names, Session};
use crate::base::capabilities::Capabilities;
use crate::base::time::UnixSeconds;
use crate::store::Generation;
use crate::store::bytes::Reader;
use crate::token::Claims;

/// What a stream's events revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Memory {
    /// Changes whenever more is revoked.
    pub(super) generation: [u8; Generation::LENGTH],
    key: [u8; 16],
    /// Tokens issued at this second or before are refused: events about them may be forgotten.
    pub(super) floor: UnixSeconds,
    /// In the order of `what`.
    entries: Vec<Entry>,
}

/// One thing that is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    what: What,
    /// Tokens issued at this second or before; the end of time: all.
    issued_until: UnixSeconds,
    /// When no token that it is about can be valid any more.
    forget: UnixSeconds,
}

/// Which kinds of names an entry has, and the hash of these names.
type What = (u8, u64);

/// What an event revokes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revoked {
    pub(super) names: Names,
    /// Tokens issued at this second or before; the end of time: all.
    pub(super) issued_until: UnixSeconds,
    /// When it may be forgotten.
    pub(super) forget: UnixSeconds,
}

/// What became of what was to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    /// All of it was known.
    Known,
    /// There is more than before.
    More,
    /// There was no room: every token issued until now is refused instead.
    Full,
}

impl Memory {
    /// Remembers nothing but that tokens issued until `floor` are refused.
    pub(super) fn new(floor: UnixSeconds, caps: &dyn Capabilities) -> Memory {
        let generation = *Generation::draw(caps).bytes();
        Memory { generation, key: caps.random(), floor, entries: Vec::new() }
    }

    /// How much is revoked.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Remembers all this, and forgets what is over.
    pub(super) fn add(&mut self, all: &[Revoked], caps: &dyn Capabilities) -> Remembered {
        let now = caps.now().seconds();
        let mut more = false;
        for revoked in all.iter().filter(|revoked| now < revoked.forget) {
            more |= self.insert(revoked);
        }
        if !more {
            return Remembered::Known;
        }
        self.entries.retain(|entry| now < entry.forget);
        self.generation = *Generation::draw(caps).bytes();
        if self.entries.len() <= MAX_ENTRIES {
            return Remembered::More;
        }
        self.entries.clear();
        self.floor = self.floor.max(now);
        Remembered::Full
    }

    /// Whether that is more than was revoked before.
    fn insert(&mut self, revoked: &Revoked) -> bool {
        if revoked.issued_until <= self.floor {
            return false;
        }
        let what = self.what(&revoked.names);
        let Revoked { issued_until, forget, .. } = *revoked;
        match self.entries.binary_search_by_key(&what, |entry| entry.what) {
            Err(place) => {
                self.entries.insert(place, Entry { what, issued_until, forget });
                true
            }
            Ok(place) => self.entries.get_mut(place).is_some_and(|entry| {
                let before = *entry;
                entry.issued_until = issued_until.max(before.issued_until);
                entry.forget = forget.max(before.forget);
                *entry != before
            }),
        }
    }

    /// Whether one of the entries is about the token.
    pub(super) fn revokes(&self, claims: &Claims) -> bool {
        let mut next = 0;
        while let Some(entry) = self.entries.get(next) {
            // Entries of one kind stand together: each kind is looked up once.
            let kinds = entry.what.0;
            if self.names_of(claims, kinds).is_some_and(|what| self.holds(what, claims.issued_at)) {
                return true;
            }
            next = self.entries.partition_point(|entry| entry.what.0 <= kinds);
        }
        false
    }

    fn holds(&self, what: What, issued_at: UnixSeconds) -> bool {
        let place = self.entries.binary_search_by_key(&what, |entry| entry.what);
        let entry = place.ok().and_then(|place| self.entries.get(place));
        entry.is_some_and(|entry| issued_at <= entry.issued_until)
    }

    /// What an entry of these names is found by.
    fn what(&self, names: &Names) -> What {
        let session = match &names.session {
            Session::Named(session) => Some(session.as_str()),
            Session::Any | Session::Unsaid => None,
        };
        let unsaid = (names.session == Session::Unsaid).then_some("");
        let issuer = names.issuer.as_deref();
        self.hash([issuer, names.subject.as_deref(), session, unsaid, names.token.as_deref()])
    }

    /// What an entry of these kinds of names would be found by, if it were about the token; `None` when
    /// the token lacks one.
    fn names_of(&self, claims: &Claims, kinds: u8) -> Option<What> {
        let unsaid = claims.session.is_none().then_some("");
        let issuer = Some(claims.issuer.as_str());
        let (subject, token) = (claims.subject.as_deref(), claims.token_id.as_deref());
        let mut names = [issuer, subject, claims.session.as_deref(), unsaid, token];
        for (place, name) in names.iter_mut().enumerate() {
            if kinds & (1 << place) == 0 {
                *name = None;
            } else if name.is_none() {
                return None;
            }
        }
        Some(self.hash(names))
    }

    fn hash(&self, names: [Option<&str>; KINDS]) -> What {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        let mut kinds = 0;
        for (place, name) in names.into_iter().enumerate() {
            let Some(name) = name else { continue };
            kinds |= 1 << place;
            hasher.write(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.write(name.as_bytes());
        }
        (kinds, hasher.finish())
    }

    /// The memory as a shared value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.entries.len().saturating_add(2).saturating_mul(25));
        value.extend(self.generation);
        value.extend(self.key);
        value.extend(self.floor.0.to_be_bytes());
        value.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for Entry { what: (kinds, hash), issued_until, forget } in &self.entries {
            value.push(*kinds);
            value.extend(hash.to_be_bytes());
            value.extend(issued_until.0.to_be_bytes());
            value.extend(forget.0.to_be_bytes());
        }
        value
    }

    /// Reads a shared value; `None` when it is none of ours.
    pub(super) fn decode(value: &[u8]) -> Option<Memory> {
        let mut reader = Reader::new(value);
        let (generation, key) = (reader.array()?, reader.array()?);
        let floor = UnixSeconds(reader.u64()?);
        let count = usize::try_from(reader.u32()?).ok().filter(|count| *count <= MAX_ENTRIES)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        while entries.len() < count {
            let what = (reader.u8().filter(|kinds| *kinds != 0)?, reader.u64()?);
            let (issued_until, forget) = (UnixSeconds(reader.u64()?), UnixSeconds(reader.u64()?));
            if entries.last().is_some_and(|last| last.what >= what) {
                return None;
            }
            entries.push(Entry { what, issued_until, forget });
        }
        reader.is_empty().then_some(Memory { generation, key, floor, entries })
    }
}

/// Kinds of names: `iss`, `sub`, `sid`, no `sid`, `jti`.
const KINDS: usize = 5;

/// Most that is remembered of a stream.
pub(super) const MAX_ENTRIES: usize = 10_000;

#[cfg(test)]
mod tests;
