//! A host without Envoy.

use core::time::Duration;
use std::cell::Cell;

use phiward::base::capabilities::{
    Capabilities, HostFailed, HostSignature, HostVerdict, Native, Shared, Written,
};
use phiward::base::time::{Instant, UnixSeconds};

/// When everything takes place.
pub(super) const NOW: u64 = 1_790_000_000;

/// A host whose clock goes on with each look at it, as far as it is told to, and to which one signature is
/// genuine, whatever was signed: so the fuzzer can write any token, and forged ones too.
#[derive(Debug)]
pub(super) struct Host {
    native: Native,
    step: Cell<Duration>,
    broken: Cell<bool>,
}

impl Host {
    /// One whose clock stands.
    pub(super) fn new() -> Host {
        let native = Native::at(Instant::from_seconds(UnixSeconds(NOW)));
        Host { native, step: Cell::default(), broken: Cell::default() }
    }

    /// One whose clock goes on by this much with each look at it.
    pub(super) fn stepping(step: Duration) -> Host {
        let host = Host::new();
        host.step.set(step);
        host
    }

    /// Time goes on.
    pub(super) fn pass(&self, length: Duration) {
        self.native.set_now(self.native.now().plus(length));
    }

    /// The clock is set back.
    pub(super) fn set_back(&self, seconds: u64) {
        let UnixSeconds(now) = self.native.now().seconds();
        self.native.set_now(Instant::from_seconds(UnixSeconds(now.saturating_sub(seconds))));
    }

    /// Shared data fails from now on, or no longer.
    pub(super) fn breaks(&self, broken: bool) {
        self.broken.set(broken);
    }

    /// Sets an environment variable.
    pub(super) fn set_environment(&self, name: &str, value: &str) {
        self.native.set_environment(name, value);
    }
}

impl Capabilities for Host {
    fn now(&self) -> Instant {
        let now = self.native.now();
        self.native.set_now(now.plus(self.step.get()));
        now
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.native.environment(name)
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        if self.broken.get() { Err(HostFailed) } else { self.native.shared(key) }
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        if self.broken.get() { Err(HostFailed) } else { self.native.set_shared(key, value, stamp) }
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        if signed.signature == GENUINE_DER { HostVerdict::Valid } else { HostVerdict::Invalid }
    }
}

/// The genuine signature, as a token has it.
pub(super) const GENUINE: [u8; 64] = [1; 64];

/// The same as the host gets it: two numbers in DER.
const GENUINE_DER: [u8; 70] = {
    let mut der = [1; 70];
    der[0] = 0x30;
    der[1] = 68;
    der[2] = 2;
    der[3] = 32;
    der[36] = 2;
    der[37] = 32;
    der
};
