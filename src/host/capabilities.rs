//! [`Capabilities`] over proxy-wasm.

use std::cell::Cell;
use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;

use crate::base::capabilities::{
    Capabilities, Hash, HostFailed, HostSignature, HostVerdict, Shared, Written,
};
use crate::base::time::Instant;

/// The host that runs this instance.
#[derive(Debug)]
pub(super) struct Host(Clock);

#[derive(Debug)]
enum Clock {
    /// Asked each time: for work that lasts until a time.
    Running,
    /// Asked once.
    Once(Cell<Option<Instant>>),
}

impl Host {
    /// As root contexts see it.
    pub(super) const fn running() -> Host {
        Host(Clock::Running)
    }

    /// As one event of an exchange sees it: it happens at one moment, and asking costs.
    pub(super) const fn at_one_moment() -> Host {
        Host(Clock::Once(Cell::new(None)))
    }
}

impl Capabilities for Host {
    /// 1970 when the host has no clock: no token is valid then.
    fn now(&self) -> Instant {
        let Clock::Once(known) = &self.0 else { return clock() };
        let now = known.get().unwrap_or_else(clock);
        known.set(Some(now));
        now
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // A trap here would be an outage. Time at least tells one list from the next.
            log::warn!("the host gave no random bytes: ids can be guessed and may repeat");
            bytes = u128::from(self.now().nanoseconds()).to_be_bytes();
        }
        bytes
    }

    /// Of the VM: what `vm_config.environment_variables` gives it.
    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        match hostcalls::get_shared_data(key) {
            Ok((Some(value), Some(stamp))) if !value.is_empty() => {
                Ok(Some(Shared { value, stamp }))
            }
            Ok(_) => Ok(None),
            Err(_) => Err(HostFailed),
        }
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        match hostcalls::set_shared_data(key, Some(value), stamp) {
            Ok(()) => Ok(Written::Done),
            Err(Status::CasMismatch) => Ok(Written::Raced),
            Err(_) => Err(HostFailed),
        }
    }

    /// Envoy's foreign function `verify_signature`.
    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        let arguments = verify_signature_arguments(signed);
        match hostcalls::call_foreign_function("verify_signature", Some(&arguments)) {
            Ok(Some(result)) if result == VERIFIED => HostVerdict::Valid,
            Ok(_) => HostVerdict::Invalid,
            Err(Status::NotFound) => HostVerdict::Unavailable,
            Err(_) => HostVerdict::Invalid,
        }
    }
}

fn clock() -> Instant {
    let since = hostcalls::get_current_time().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let nanoseconds = since.and_then(|since| {
        since.as_secs().checked_mul(1_000_000_000)?.checked_add(since.subsec_nanos().into())
    });
    Instant::from_nanoseconds(nanoseconds.unwrap_or_default())
}

/// `VerifySignatureResult { result: true }` on the wire; a failure has only the field `error`.
const VERIFIED: &[u8] = &[0x08, 0x01];

/// `VerifySignatureArguments` of package `envoy.source.extensions.common.wasm`: hash_function = 1,
/// public_key (DER) = 2, signature = 3, text = 4; all length-delimited.
fn verify_signature_arguments(signed: &HostSignature<'_>) -> Vec<u8> {
    let hash: &[u8] = match signed.hash {
        Hash::Sha256 => b"sha256",
        Hash::Sha384 => b"sha384",
        Hash::Sha512 => b"sha512",
    };
    let fields = [hash, signed.public_key, signed.signature, signed.text];
    let length: usize = fields.iter().map(|field| field.len().saturating_add(8)).sum();
    let mut message = Vec::with_capacity(length);
    for (number, field) in (1u8..).zip(fields) {
        message.push(number << 3 | 2);
        push_varint(&mut message, field.len());
        message.extend_from_slice(field);
    }
    message
}

/// A protobuf varint: seven bits a byte, least significant first.
fn push_varint(message: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
