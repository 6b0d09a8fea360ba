//! One shared key, read and then written only if nobody wrote meanwhile.

use crate::base::capabilities::{Capabilities, HostFailed, Shared, Written};

/// A shared key between reading and writing it.
#[derive(Debug)]
pub struct Place {
    key: String,
    stamp: Option<u32>,
    absent: bool,
}

impl Place {
    /// The place under this key, not read yet.
    pub fn new(key: String) -> Place {
        Place { key, stamp: None, absent: false }
    }

    /// What is there; nothing when it was never written.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn read(&mut self, caps: &dyn Capabilities) -> Result<Vec<u8>, HostFailed> {
        let Some(Shared { value, stamp }) = caps.shared(&self.key)? else {
            // The host compares stamps only of keys that exist. So a stamp that no value has creates
            // the key, unless somebody did meanwhile. One found absent again exists, with nothing in it.
            self.stamp = Some(NO_STAMP).filter(|_| !self.absent);
            self.absent = true;
            return Ok(Vec::new());
        };
        self.stamp = Some(stamp);
        Ok(value)
    }

    /// Writes, unless somebody wrote since it was read.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn write(&self, value: &[u8], caps: &dyn Capabilities) -> Result<Written, HostFailed> {
        caps.set_shared(&self.key, value, self.stamp)
    }

    /// The stamp of what was read, for writing later.
    pub fn stamp(&self) -> Option<u32> {
        self.stamp
    }
}

/// The host counts stamps up from one, a write each.
const NO_STAMP: u32 = u32::MAX;
