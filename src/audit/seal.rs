//! Seals: what makes a change of the trail show.
//!
//! ```text
//! tag  of record n      first 16 bytes of HMAC-SHA-256(records' key, the line without its seal)
//! head after record n   SHA-256(head after record n - 1 ‖ tag of record n), 32 zero bytes before the first
//! tag  of a checkpoint  as of a record, with the checkpoints' key; the line names stream, count and head
//! keys                  HKDF-SHA-256(salt `phiward.audit.seal/1`, the secret, `records:` or `checkpoints:` and the key's id)
//! ```
//!
//! A record's `id` is its stream (the filter instance) and its place in it, counted from 1 without
//! gaps, and stands under the tag. So each record proves by itself that it is genuine and where it
//! belongs: out of order, delivered twice, or alone in an extract. What is missing shows by its
//! count, what is missing at the end by the checkpoints. The heads chain the tags, so that a
//! checkpoint stands for the exact text of every record before it. Checkpoints are no link of the
//! chain themselves and have a key of their own: they may be kept elsewhere, or get lost, without
//! harm to the records. A key's id is part of the derivation: the same secret under another id seals
//! otherwise. One stream has one key: a new key comes with a new configuration, which starts new
//! streams.
//!
//! Who has the secret: the gateway, and whoever verifies. Who can write to the store but lacks the
//! secret can't change, move, insert or renumber a record; can remove records, which shows, and the
//! newest ones together with every later checkpoint, or whole streams with all of theirs, which shows
//! only in a copy of the checkpoints that is out of reach (Envoy's log, for example). Who has the
//! secret can seal anything, but not under a checkpoint that was already copied out of reach: its
//! head tells. Restarting a stream is no use: instances draw new ids.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac_sha256::{HKDF, Hash};
use serde::Serialize;
use serde_json::Value;

use super::formats::phiward;
use crate::base::time::Instant;

/// Name and version of a checkpoint's form, its first field.
pub const CHECKPOINT_SCHEMA: &str = "phiward.audit.checkpoint/1";

/// Shortest secret in bytes.
pub const MIN_SECRET: usize = 32;

/// Seals the records of one stream.
pub struct Sealer {
    keys: Keys,
    head: Head,
    /// From the comma before the seal to the quotation mark before the tag.
    opening: String,
}

impl Sealer {
    /// A new stream. `secret` has at least [`MIN_SECRET`] bytes, `key_id` is printable ASCII.
    pub fn new(secret: &[u8], key_id: &str) -> Sealer {
        let opening = format!(",\"seal\":{{\"key\":{},\"tag\":\"", Value::from(key_id));
        Sealer { keys: Keys::derive(secret, key_id), head: Head::START, opening }
    }

    /// The line with the seal as its last field. Called once for each record, in their order.
    pub fn seal(&mut self, line: String) -> String {
        let tag = self.keys.records.tag(line.as_bytes());
        self.head = self.head.after(tag);
        self.closed(line, tag)
    }

    /// A sealed line that says how many records `stream` has, all of them sealed here. `last`: the
    /// instance ends, there will be no more.
    pub fn checkpoint(&mut self, stream: u64, count: u64, time: Instant, last: bool) -> String {
        let line = phiward::ascii(&Checkpoint {
            schema: CHECKPOINT_SCHEMA,
            time: phiward::rfc3339(time),
            stream: format!("{stream:016x}"),
            count,
            head: self.head.text(),
            last: last.then_some(true),
        });
        let tag = self.keys.checkpoints.tag(line.as_bytes());
        self.closed(line, tag)
    }

    /// The line with its seal, the closing brace moved behind it.
    fn closed(&self, mut line: String, tag: Tag) -> String {
        line.pop();
        line.reserve(self.opening.len().saturating_add(32));
        line.push_str(&self.opening);
        URL_SAFE_NO_PAD.encode_string(tag.0, &mut line);
        line.push_str("\"}}");
        line
    }
}

/// Names no key.
impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealer").finish_non_exhaustive()
    }
}

/// The fields in the order they are written: as [`super::canonical`] has them.
#[derive(Serialize)]
struct Checkpoint {
    schema: &'static str,
    time: String,
    stream: String,
    count: u64,
    head: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<bool>,
}

/// What one secret becomes under one id.
#[derive(Clone, Copy)]
pub struct Keys {
    /// Tags records.
    pub records: Key,
    /// Tags checkpoints.
    pub checkpoints: Key,
}

impl Keys {
    /// The keys of a secret of at least [`MIN_SECRET`] bytes under this id.
    pub fn derive(secret: &[u8], key_id: &str) -> Keys {
        let root = HKDF::extract(SALT, secret);
        let key = |purpose: &str| {
            let mut key = [0; 32];
            HKDF::expand(&mut key, root, format!("{purpose}:{key_id}"));
            Key::new(key)
        };
        Keys { records: key("records"), checkpoints: key("checkpoints") }
    }
}

/// A key of HMAC-SHA-256 (RFC 2104), its two padded blocks already hashed: two blocks fewer for each
/// line.
#[derive(Clone, Copy)]
pub struct Key {
    inner: Hash,
    outer: Hash,
}

impl Key {
    fn new(key: [u8; 32]) -> Key {
        let padded = |with: u8| {
            let mut block = [with; 64];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut hash = Hash::new();
            hash.update(block);
            hash
        };
        Key { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The tag of a line without its seal.
    pub fn tag(&self, line: &[u8]) -> Tag {
        let (mut inner, mut outer) = (self.inner, self.outer);
        inner.update(line);
        outer.update(inner.finalize());
        let mac = outer.finalize();
        Tag(mac.first_chunk().copied().unwrap_or_default())
    }
}

/// 128 bits of a MAC: as many as anyone could guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub [u8; 16]);

impl Tag {
    /// Reads base64url. `None` when it is none, or of another length.
    pub fn parse(text: &str) -> Option<Tag> {
        Some(Tag(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

/// The end of the chain of a stream's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// Before the first record.
    pub const START: Head = Head([0; 32]);

    /// With one more record: one block of SHA-256.
    #[must_use]
    pub fn after(self, tag: Tag) -> Head {
        let mut hash = Hash::new();
        hash.update(self.0);
        hash.update(tag.0);
        Head(hash.finalize())
    }

    /// Reads base64url. `None` when it is none, or of another length.
    pub fn parse(text: &str) -> Option<Head> {
        Some(Head(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

const SALT: &str = "phiward.audit.seal/1";

#[cfg(test)]
mod tests;
