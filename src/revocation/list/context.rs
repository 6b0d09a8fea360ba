//! What loading a list works with: the feed whose keys it writes, and the host.

use super::summary::Summary;
use super::table::Broken;
use crate::base::capabilities::{Capabilities, Written};
use crate::store::{Feed, Head};

/// What loading a list works with.
#[derive(Clone, Copy)]
pub(super) struct Context<'f> {
    pub(super) feed: &'f Feed,
    pub(super) caps: &'f dyn Capabilities,
}

impl Context<'_> {
    /// Writes a value of the small tier.
    pub(super) fn write_small(&self, slot: u8, value: &[u8]) -> Result<(), Broken> {
        match self.caps.set_shared(&small_key(self.feed, slot), value, None)? {
            Written::Done => Ok(()),
            Written::Raced => Err(Broken::Torn),
        }
    }

    /// Puts a head in force: that of the list that this instance holds the lease for.
    pub(super) fn put(&self, head: &Head) -> Result<(), Broken> {
        match self.feed.put_in_force(head, self.caps)? {
            Written::Done => Ok(()),
            Written::Raced => Err(Broken::Torn),
        }
    }

    /// Changes what the head in force says of the list, if there is one.
    pub(super) fn amend(&self, change: impl FnOnce(&mut Summary)) -> Result<(), Broken> {
        let Some(mut head) = self.feed.head(self.caps).unwrap_or_default() else { return Ok(()) };
        let Some(mut summary) = Summary::decode(&head.payload) else { return Ok(()) };
        change(&mut summary);
        head.payload = summary.encode();
        self.put(&head)
    }
}

/// Where a value of the small tier is.
pub(super) fn small_key(feed: &Feed, slot: u8) -> String {
    feed.key(format_args!("small/{slot}"))
}
