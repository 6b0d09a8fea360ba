//! The private keys of one instance, read from the environment when a token first asks for one, and
//! how often a token may ask.

use core::cell::{Cell, OnceCell};
use core::time::Duration;

use super::Opened;
use super::private::PrivateKey;
use super::settings::{Encryption, KeyManagement, KeySetting};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::UnixSeconds;
use crate::token::reasons;

/// Every issuer's private keys. No two have the same name.
#[derive(Debug, Default)]
pub(in crate::token) struct DecryptionKeys {
    keys: Vec<DecryptionKey>,
    /// A second, and the work done in it so far of which no valid token came.
    spent: Cell<(UnixSeconds, Duration)>,
}

/// A private key, read or not yet.
#[derive(Debug)]
pub(super) struct DecryptionKey {
    issuer: usize,
    setting: KeySetting,
    /// The environment does not change: what was missing or unusable once stays so.
    private: OnceCell<Option<PrivateKey>>,
}

impl DecryptionKeys {
    /// The keys of these issuers, in the order of the configuration. Reads none yet.
    pub(in crate::token) fn new<'a>(
        issuers: impl Iterator<Item = Option<&'a Encryption>>,
    ) -> DecryptionKeys {
        let keys =
            issuers.enumerate().flat_map(|(issuer, encryption)| {
                encryption.into_iter().flat_map(Encryption::keys).map(move |setting| {
                    DecryptionKey { issuer, setting: setting.clone(), private: OnceCell::new() }
                })
            });
        DecryptionKeys { keys: keys.collect(), spent: Cell::default() }
    }

    /// Whether no issuer has a key.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that `kid` names.
    pub(super) fn named(&self, id: &str) -> Option<&DecryptionKey> {
        self.keys.iter().find(|key| key.setting.id == id)
    }

    /// Counts a decryption by what it costs, or refuses it: anybody can encrypt something.
    pub(super) fn spend(&self, cost: Duration, caps: &dyn Capabilities) -> Result<(), Refusal> {
        let now = caps.now().seconds();
        let (second, spent) = self.spent.get();
        let spent = if second == now { spent } else { Duration::ZERO };
        if spent >= WORK_A_SECOND {
            let refusal = Refusal::new(&reasons::TOKEN_DECRYPTION_BUSY);
            return Err(refusal.retry_after(Duration::from_secs(1)));
        }
        self.spent.set((now, spent.saturating_add(cost)));
        Ok(())
    }

    /// Takes the last decryption off the count: a valid token came of it, which is cached now.
    pub(in crate::token) fn earn(&self, opened: &Opened) {
        let (second, spent) = self.spent.get();
        self.spent.set((second, spent.saturating_sub(opened.cost)));
    }
}

impl DecryptionKey {
    /// What it unwraps keys by.
    pub(super) fn algorithm(&self) -> KeyManagement {
        self.setting.algorithm
    }

    /// The place of the issuer that encrypts for it.
    pub(super) fn issuer(&self) -> usize {
        self.issuer
    }

    /// The key itself; `None` when the environment has none that can be used.
    pub(super) fn private(&self, caps: &dyn Capabilities) -> Option<&PrivateKey> {
        let KeySetting { variable, algorithm, .. } = &self.setting;
        let read = || PrivateKey::read(&caps.environment(&variable.0)?, *algorithm);
        self.private.get_or_init(read).as_ref()
    }
}

/// How much of a second one instance may work on encrypted tokens that turn out not to be valid.
pub(super) const WORK_A_SECOND: Duration = Duration::from_millis(200);
