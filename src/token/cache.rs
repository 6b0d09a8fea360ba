//! Verified tokens, so that a token that comes again costs one digest and no parsing or
//! cryptography. Bounded in entries and bytes; the least recently used goes first.
//!
//! A hit is the same token to the last byte (SHA-256), at a time at which it would be accepted,
//! signed by a key that is still trusted, or vouched for by its issuer not too long ago. One cache belongs to one configuration and goes with it.

use lru::LruCache;

use super::VerifiedToken;
use super::extract::RawToken;
use super::keys::Keys;
use crate::base::time::Instant;

/// Verified tokens with what later stages computed once for each.
#[derive(Debug)]
pub struct TokenCache<T> {
    entries: LruCache<Digest, Entry<T>>,
    bytes: usize,
    limits: CacheLimits,
}

/// How much a cache may hold.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Most tokens.
    pub entries: usize,
    /// Most bytes, estimated: three times the token's text and what its issuer said of it, its entry and
    /// one kilobyte.
    pub bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    token: VerifiedToken,
    extra: T,
    bytes: usize,
}

type Digest = [u8; 32];

impl<T> TokenCache<T> {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> TokenCache<T> {
        TokenCache { entries: LruCache::unbounded(), bytes: 0, limits }
    }

    /// The verified token of this text and what was computed for it. A token whose times would not be
    /// accepted now is dropped.
    pub fn get(&mut self, raw: &RawToken, now: Instant) -> Option<(VerifiedToken, &mut T)> {
        let digest = raw.digest();
        if self.entries.peek(digest).is_some_and(|entry| !entry.token.is_valid_at(now)) {
            self.remove(digest);
        }
        let entry = self.entries.get_mut(digest)?;
        Some((entry.token.clone(), &mut entry.extra))
    }

    /// Keeps a verified token. One that is larger than the whole cache is not kept.
    pub fn insert(&mut self, raw: &RawToken, token: VerifiedToken, extra: T) {
        let digest = raw.digest();
        self.remove(digest);
        let bytes = estimate::<T>(raw, &token);
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.put(*digest, Entry { token, extra, bytes });
        while self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some((_, dropped)) = self.entries.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(dropped.bytes);
        }
    }

    /// Drops every token whose key is no longer its issuer's: after [`Keys::refresh`] said that a
    /// key set changed.
    pub fn retain_trusted(&mut self, keys: &Keys) {
        let distrusted: Vec<Digest> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.token.is_trusted(keys))
            .map(|(digest, _)| *digest)
            .collect();
        for digest in &distrusted {
            self.remove(digest);
        }
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.pop(digest) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

/// Claims are at most as long as what they were read from, and so is what is computed from them.
fn estimate<T>(raw: &RawToken, token: &VerifiedToken) -> usize {
    let text = raw.text().len().saturating_add(token.vouched_bytes()).saturating_mul(3);
    text.saturating_add(size_of::<Entry<T>>()).saturating_add(1024)
}

#[cfg(test)]
mod tests;
