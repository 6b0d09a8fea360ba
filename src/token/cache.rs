//! Verified tokens, so that a token that comes again costs one hash and no parsing or
//! cryptography. Bounded in entries and bytes; the least recently used goes first.
//!
//! A hit is the same token to the last byte, at a time at which it would be accepted, signed by a key
//! that is still trusted, or vouched for by its issuer not too long ago. Tokens are told apart by 128 bits of
//! SipHash-2-4 under a secret that each cache draws: a fifth of the time that SHA-256 takes, and who does not
//! know a token can't make another one of the same mark but by guessing it. One cache belongs to one
//! configuration and goes with it.

use core::hash::{Hash, Hasher};

use lru::LruCache;
use siphasher::sip128::{Hasher128, SipHasher24};

use super::extract::Credential;
use super::keys::Keys;
use super::{Claims, VerifiedToken};
use crate::base::time::Instant;

/// Verified tokens with what later stages computed once for each.
#[derive(Debug)]
pub struct TokenCache<T> {
    entries: LruCache<Mark, Entry<T>>,
    bytes: usize,
    limits: CacheLimits,
    secret: [u8; 16],
}

/// What a cache knows a token by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    hash: u128,
    /// Bytes of the token.
    length: usize,
}

/// Half of what is a hash already.
impl Hash for Mark {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash as u64);
    }
}

/// How much a cache may hold.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Most tokens.
    pub entries: usize,
    /// Most bytes, estimated from above: the token's text, what its issuer said of it, the items of its
    /// lists and its entry.
    pub bytes: usize,
}

impl CacheLimits {
    /// Room for so many tokens of usual length; for fewer when they are longer.
    pub fn of(tokens: u32) -> CacheLimits {
        let entries = usize::try_from(tokens).unwrap_or(usize::MAX);
        CacheLimits { entries, bytes: entries.saturating_mul(USUAL_BYTES) }
    }
}

#[derive(Debug)]
struct Entry<T> {
    token: VerifiedToken,
    extra: T,
    bytes: usize,
}

impl<T> TokenCache<T> {
    /// An empty cache. `secret` is drawn for it and known to nobody.
    pub fn new(limits: CacheLimits, secret: [u8; 16]) -> TokenCache<T> {
        TokenCache { entries: LruCache::unbounded(), bytes: 0, limits, secret }
    }

    /// What tells a token from all others.
    pub fn mark(&self, token: &Credential<'_>) -> Mark {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(token.bytes());
        Mark { hash: hasher.finish128().as_u128(), length: token.bytes().len() }
    }

    /// Whether there is a token of this mark. One whose times would not be accepted now is dropped.
    pub fn holds(&mut self, mark: &Mark, now: Instant) -> bool {
        match self.entries.peek(mark).map(|entry| entry.token.is_valid_at(now)) {
            Some(false) => {
                self.remove(mark);
                false
            }
            held => held.is_some(),
        }
    }

    /// The verified token of this mark and what was computed for it, of what is held now.
    pub fn get(&mut self, mark: &Mark) -> Option<(VerifiedToken, &mut T)> {
        let entry = self.entries.get_mut(mark)?;
        Some((entry.token.clone(), &mut entry.extra))
    }

    /// Keeps a verified token. One that is larger than the whole cache is not kept.
    pub fn insert(&mut self, mark: Mark, token: VerifiedToken, extra: T) {
        self.remove(&mark);
        let bytes = estimate::<T>(mark, &token);
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.put(mark, Entry { token, extra, bytes });
        while self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some((_, dropped)) = self.entries.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(dropped.bytes);
        }
    }

    /// Drops every token whose key is no longer its issuer's: after [`Keys::refresh`] said that a
    /// key set changed.
    pub fn retain_trusted(&mut self, keys: &Keys) {
        let distrusted: Vec<Mark> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.token.is_trusted(keys))
            .map(|(mark, _)| *mark)
            .collect();
        for mark in &distrusted {
            self.remove(mark);
        }
    }

    fn remove(&mut self, mark: &Mark) {
        if let Some(entry) = self.entries.pop(mark) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

#[cfg(test)]
impl<T> TokenCache<T> {
    /// How many tokens it holds.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// For tests.
    pub(crate) fn get_raw(
        &mut self,
        raw: &super::RawToken,
        now: Instant,
    ) -> Option<(VerifiedToken, &mut T)> {
        let mark = self.mark(&raw.credential());
        self.holds(&mark, now).then(|| self.get(&mark)).flatten()
    }

    /// For tests.
    pub(crate) fn insert_raw(&mut self, raw: &super::RawToken, token: VerifiedToken, extra: T) {
        self.insert(self.mark(&raw.credential()), token, extra);
    }
}

/// Claims are at most as long as what they were read from; each item of a list has a place of its own.
fn estimate<T>(mark: Mark, token: &VerifiedToken) -> usize {
    let Claims { audience, roles, .. } = token.claims();
    let items = audience.len().saturating_add(roles.len()).saturating_mul(ITEM_BYTES);
    let text = mark.length.saturating_add(token.vouched_bytes()).saturating_add(items);
    text.saturating_add(size_of::<Entry<T>>()).saturating_add(OTHER_BYTES)
}

/// More than the estimate for a token of usual length.
const USUAL_BYTES: usize = 1750;
/// A string's own place, and what the allocator adds.
const ITEM_BYTES: usize = 32;
/// A table's place for an entry, the claims' own, what the allocator adds to each of a dozen texts.
const OTHER_BYTES: usize = 640;

#[cfg(test)]
mod tests;
