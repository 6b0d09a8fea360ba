//! The few things that must be answered at once: time, random bytes, the host's shared data,
//! signature verification by the host. `host` implements it over proxy-wasm; [`Native`] serves
//! tests and the command line.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::time::Instant;

/// What the core may ask of the host and gets answered at once.
pub trait Capabilities {
    /// The host's clock.
    fn now(&self) -> Instant;

    /// Random bytes, unpredictable to clients.
    fn random(&self) -> [u8; 16];

    /// An environment variable. `None`: not set, not UTF-8, or there is no environment.
    fn environment(&self, _name: &str) -> Option<String> {
        None
    }

    /// Reads a shared value and its compare-and-swap stamp. `Ok(None)`: never set, or set to nothing.
    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed>;

    /// Writes a shared value; with `stamp`, only if nobody wrote since it was read.
    ///
    /// The host lets a write through whatever its stamp when the key was never written: two
    /// instances can both succeed in creating a key.
    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed>;

    /// Verifies a signature with the host's cryptography.
    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict;
}

/// A value in shared data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The value.
    pub value: Vec<u8>,
    /// Changes with each write; hand it back to [`Capabilities::set_shared`].
    pub stamp: u32,
}

/// Whether a compare-and-swap write took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// The value is in place.
    Done,
    /// Somebody else wrote first.
    Raced,
}

/// The host did not answer as its interface promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFailed;

/// Hash of a signature that the host can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A signature as the host's `verify_signature` takes it.
#[derive(Debug, Clone, Copy)]
pub struct HostSignature<'a> {
    /// Hash of the text.
    pub hash: Hash,
    /// `SubjectPublicKeyInfo` in DER, built by ourselves from a checked key.
    pub public_key: &'a [u8],
    /// RSA PKCS#1 v1.5 signature, or ECDSA signature in DER.
    pub signature: &'a [u8],
    /// The signed text.
    pub text: &'a [u8],
}

/// What the host says of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostVerdict {
    /// It verified the signature.
    Valid,
    /// It did not.
    Invalid,
    /// This host has no such function: verify in the filter instead.
    Unavailable,
}

/// Capabilities without a host: a clock set by hand, environment and shared data in maps, no host
/// cryptography.
#[derive(Debug, Default)]
pub struct Native {
    now: Cell<Instant>,
    drawn: Cell<u64>,
    environment: RefCell<HashMap<String, String>>,
    shared: RefCell<HashMap<String, Shared>>,
}

impl Native {
    /// Capabilities whose clock stands at `now`.
    pub fn at(now: Instant) -> Native {
        Native { now: Cell::new(now), ..Native::default() }
    }

    /// Sets the clock.
    pub fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// Sets an environment variable.
    pub fn set_environment(&self, name: &str, value: &str) {
        self.environment.borrow_mut().insert(name.to_owned(), value.to_owned());
    }
}

impl Capabilities for Native {
    fn now(&self) -> Instant {
        self.now.get()
    }

    /// Reproducible on purpose: golden files need the same ids in every run.
    fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.get().wrapping_add(1);
        self.drawn.set(drawn);
        u128::from(drawn).to_be_bytes()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.borrow().get(name).cloned()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        Ok(self.shared.borrow().get(key).filter(|shared| !shared.value.is_empty()).cloned())
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        let mut map = self.shared.borrow_mut();
        let current = map.get(key).map(|shared| shared.stamp);
        if let (Some(stamp), Some(current)) = (stamp, current)
            && stamp != current
        {
            return Ok(Written::Raced);
        }
        let next = current.unwrap_or(0).wrapping_add(1);
        map.insert(key.to_owned(), Shared { value: value.to_vec(), stamp: next });
        Ok(Written::Done)
    }

    fn verify_signature(&self, _signed: &HostSignature<'_>) -> HostVerdict {
        HostVerdict::Unavailable
    }
}
