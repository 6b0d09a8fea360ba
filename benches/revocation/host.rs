//! A host that counts what it holds, and whose clock goes.
#![expect(clippy::disallowed_methods, reason = "the clock is what it measures by")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use phiward::base::capabilities::{
    Capabilities, HostFailed, HostSignature, HostVerdict, Native, Shared, Written,
};
use phiward::base::time::{Instant, UnixSeconds};

/// Where time begins.
pub(crate) const START: u64 = 1_790_000_000;

/// Shared data in a map.
#[derive(Debug)]
pub(crate) struct Counting {
    native: Native,
    pub(crate) clock: Clock,
    sizes: RefCell<HashMap<String, usize>>,
}

/// A clock that goes, and can be set forward.
#[derive(Debug)]
pub(crate) struct Clock {
    started: std::time::Instant,
    ahead: Cell<u64>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { started: std::time::Instant::now(), ahead: Cell::new(0) }
    }

    pub(crate) fn milliseconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1e3
    }

    /// Time passes at once.
    pub(crate) fn pass(&self, seconds: u64) {
        self.ahead.set(self.ahead.get() + seconds);
    }
}

impl Default for Counting {
    fn default() -> Counting {
        Counting { native: Native::default(), clock: Clock::start(), sizes: RefCell::default() }
    }
}

impl Counting {
    /// Bytes of all keys and values, and how many have a value.
    pub(crate) fn held(&self) -> (usize, usize) {
        let sizes = self.sizes.borrow();
        let bytes = sizes.iter().map(|(key, value)| key.len() + value).sum();
        (bytes, sizes.values().filter(|value| **value > 0).count())
    }
}

impl Capabilities for Counting {
    fn now(&self) -> Instant {
        let start = Instant::from_seconds(UnixSeconds(START + self.clock.ahead.get()));
        start.plus(self.clock.started.elapsed())
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.native.shared(key)
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        let mut sizes = self.sizes.borrow_mut();
        match sizes.get_mut(key) {
            Some(size) => *size = value.len(),
            None => drop(sizes.insert(key.to_owned(), value.len())),
        }
        self.native.set_shared(key, value, stamp)
    }

    fn verify_signature(&self, _signed: &HostSignature<'_>) -> HostVerdict {
        HostVerdict::Valid
    }
}
