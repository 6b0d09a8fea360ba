//! What is published of a document: which one is in force, since when, and what its reader needs to
//! begin with. One shared key, written last, so that nobody sees a document half written.

use crate::base::capabilities::Capabilities;
use crate::base::time::Instant;

use super::bytes::{Reader, put_text};

/// Names one loading of a document. Two loadings never have the same, so whatever was derived from
/// a document can be told to be of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation([u8; Generation::LENGTH]);

impl Generation {
    /// Length in shared values.
    pub const LENGTH: usize = 16;

    /// Draws a new one.
    pub fn draw(caps: &dyn Capabilities) -> Generation {
        Generation(caps.random())
    }

    /// The generation as it stands in shared values.
    pub const fn bytes(&self) -> &[u8; Generation::LENGTH] {
        &self.0
    }
}

/// What is published of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which loading is in force.
    pub generation: Generation,
    /// When the server was last asked and had this document.
    pub fetched_at: Instant,
    /// The document's `ETag`.
    pub etag: Option<String>,
    /// SHA-256 of the document.
    pub digest: [u8; 32],
    /// What the document's owner published: the document itself, or where its parts are.
    pub payload: Vec<u8>,
}

impl Head {
    /// How long ago the server was last asked and had this document. A clock that was set back makes
    /// that unknown; the distance then stands for it, so that it can't stay fresh for ever.
    pub fn age(&self, now: Instant) -> core::time::Duration {
        now.since(self.fetched_at).max(self.fetched_at.since(now))
    }

    /// The head as a shared value.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.payload.len().saturating_add(128));
        value.extend(self.generation.bytes());
        value.extend(self.fetched_at.nanoseconds().to_be_bytes());
        value.extend(self.digest);
        put_text(&mut value, self.etag.as_deref().unwrap_or_default());
        value.extend(&self.payload);
        value
    }

    /// Reads a shared value; `None` when it is no head.
    pub fn decode(value: &[u8]) -> Option<Head> {
        let mut reader = Reader::new(value);
        Some(Head {
            generation: Generation(reader.array()?),
            fetched_at: Instant::from_nanoseconds(reader.u64()?),
            digest: reader.array()?,
            etag: Some(reader.text()?).filter(|etag| !etag.is_empty()).map(str::to_owned),
            payload: reader.rest().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::capabilities::Native;
    use crate::base::time::UnixSeconds;
    use core::time::Duration;
    use proptest::prelude::*;

    fn head(etag: Option<String>, payload: Vec<u8>) -> Head {
        let generation = Generation::draw(&Native::default());
        let fetched_at = Instant::from_seconds(UnixSeconds(1_000));
        Head { generation, fetched_at, etag, digest: [3; 32], payload }
    }

    #[test]
    fn age_is_a_distance_so_that_a_clock_set_back_keeps_nothing_fresh_for_ever() {
        let cases = [(1_000, 0), (1_007, 7), (993, 7), (0, 1_000)];
        for (now, age) in cases {
            let now = Instant::from_seconds(UnixSeconds(now));
            assert_eq!(head(None, Vec::new()).age(now), Duration::from_secs(age), "{now:?}");
        }
    }

    proptest! {
        #[test]
        fn a_head_comes_back_as_it_was(
            etag in proptest::option::of("[!-~]{2,40}"),
            payload in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let head = head(etag, payload);
            prop_assert_eq!(Head::decode(&head.encode()), Some(head));
        }

        #[test]
        fn reading_what_others_wrote_never_panics(
            value in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            let read = Head::decode(&value);
            prop_assert!(read.is_none() || value.len() >= 58);
        }
    }
}
