//! The key that signs links: drawn once and shared by all workers of this Envoy, or the same for a
//! fleet, from the environment.

use core::fmt;

use hmac_sha256::{HMAC, Hash};

use super::reasons::EXPORT_KEY_MISSING;
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;

/// Environment variable with the secret of a fleet, at least 32 characters. Without it links of one
/// Envoy are refused by the next, and after a restart.
pub const KEY_VARIABLE: &str = "PHIWARD_EXPORT_KEY";

/// A secret of 32 bytes.
#[derive(Clone, Copy)]
pub struct Key([u8; 32]);

/// What one worker keeps of the key.
#[derive(Debug, Default)]
pub struct Keyring {
    key: Option<Key>,
}

impl Keyring {
    /// The key that is in force. Nobody changes it while this Envoy runs.
    ///
    /// # Errors
    ///
    /// [`EXPORT_KEY_MISSING`].
    pub fn key(&mut self, caps: &dyn Capabilities) -> Result<Key, Refusal> {
        if self.key.is_none() {
            self.key = match caps.environment(KEY_VARIABLE) {
                Some(secret) => of_fleet(&secret),
                None => shared(caps),
            };
        }
        self.key.ok_or_else(|| Refusal::new(&EXPORT_KEY_MISSING))
    }
}

impl Key {
    /// The code of these texts, of which no two lists have the same.
    pub(super) fn code(&self, texts: &[&str]) -> [u8; 32] {
        self.over(texts).finalize()
    }

    /// Whether `code` is that of these texts, in a time that does not tell how nearly.
    pub(super) fn verifies(&self, texts: &[&str], code: &[u8; 32]) -> bool {
        self.over(texts).finalize_verify(code)
    }

    fn over(&self, texts: &[&str]) -> HMAC {
        let mut hmac = HMAC::new(self.0);
        for text in texts {
            hmac.update((text.len() as u64).to_be_bytes());
            hmac.update(text);
        }
        hmac
    }
}

/// Never shown.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

fn of_fleet(secret: &str) -> Option<Key> {
    (secret.len() >= 32).then(|| Key(Hash::hash(secret.as_bytes())))
}

/// The key in shared data. The first worker that needs one puts it there: with a stamp that no value
/// has, so that a key which came in between stays.
fn shared(caps: &dyn Capabilities) -> Option<Key> {
    if let Some(key) = published(caps) {
        return Some(key);
    }
    let drawn = [caps.random(), caps.random()].concat();
    // Who was first is told by what is there now.
    let _raced = caps.set_shared(SHARED_KEY, &drawn, Some(NO_STAMP)).ok()?;
    published(caps)
}

fn published(caps: &dyn Capabilities) -> Option<Key> {
    let shared = caps.shared(SHARED_KEY).ok()??;
    <[u8; 32]>::try_from(shared.value).ok().map(Key)
}

const SHARED_KEY: &str = "phiward/export/key";

/// Stamps count up from 1, one for each write in this Envoy.
const NO_STAMP: u32 = u32::MAX;
