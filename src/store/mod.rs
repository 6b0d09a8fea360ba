//! What all instances of the filter in one Envoy share: tables with a fixed set of keys in the host's
//! shared data, the lease that elects one instance, and documents that this one pulls for all.
//!
//! Shared data can neither delete nor list keys, so no key may depend on data: every key here is
//! `phiward/<digest of the source>/<fixed name>`.

pub mod bytes;
pub mod feed;
pub mod head;
pub mod http;
pub mod lease;
pub mod place;
pub mod status;
pub mod table;
pub mod url;

pub use feed::{Ask, Feed, Fetched, Receipt, Received, Source, prefix};
pub use head::{Generation, Head};
pub use http::{CallFailed, HttpAnswer, HttpCall};
pub use status::Status;
pub use url::HttpUrl;

use crate::base::capabilities::Capabilities;

/// Names one root context instance: drawn when it is configured, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceId([u8; 16]);

impl InstanceId {
    /// Draws a new one.
    pub fn draw(caps: &dyn Capabilities) -> InstanceId {
        InstanceId(caps.random())
    }

    /// The name as it stands in shared values.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Half of it, which is plenty to tell instances apart.
    pub fn short(&self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}
