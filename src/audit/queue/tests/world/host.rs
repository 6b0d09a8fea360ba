//! The host of a world: its shared data, its clock, its failures.

use super::World;
use crate::audit::queue::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Shared, Written};

impl World {
    /// Lets happen what happens before this call of the host.
    fn call(&self) {
        let next = {
            let mut between = self.between.borrow_mut();
            match between.front_mut() {
                Some((0, _)) => between.pop_front().map(|(_, op)| op),
                Some((calls, _)) => {
                    *calls -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some(op) = next {
            self.run(&op);
        }
    }

    fn fails(&self) -> Option<bool> {
        let (calls, after) = self.failing.get();
        self.failing.set((calls.saturating_sub(1), after));
        (calls > 0).then_some(after)
    }
}

impl Capabilities for World {
    fn now(&self) -> Instant {
        self.now.get()
    }

    fn random(&self) -> [u8; 16] {
        self.drawn.set(self.drawn.get() + 1);
        u128::from(self.drawn.get()).to_be_bytes()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.call();
        self.reads.set(self.reads.get() + 1);
        if self.fails().is_some() {
            return Err(HostFailed);
        }
        Ok(self.shared.borrow().get(key).filter(|shared| !shared.value.is_empty()).cloned())
    }

    /// As Envoy's: one count of stamps for all keys.
    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.call();
        self.writes.set(self.writes.get() + 1);
        let fails = self.fails();
        if fails == Some(false) {
            return Err(HostFailed);
        }
        let mut shared = self.shared.borrow_mut();
        if let (Some(stamp), Some(known)) = (stamp, shared.get(key)) {
            let racing = self.racing.get();
            self.racing.set(racing.saturating_sub(1));
            if racing > 0 || known.stamp != stamp {
                return Ok(Written::Raced);
            }
        }
        let stamp = self.stamps.get();
        self.stamps.set(stamp + 1);
        shared.insert(key.to_owned(), Shared { value: value.to_vec(), stamp });
        if fails == Some(true) { Err(HostFailed) } else { Ok(Written::Done) }
    }

    fn verify_signature(&self, _: &HostSignature<'_>) -> HostVerdict {
        HostVerdict::Unavailable
    }
}
