//! How large a list and its parts may be.

/// How large a list and its parts may be. Tests make them small.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Entries of a list.
    pub(super) entries: u64,
    /// Entries of the small tier with the same keys: more go to the large tier.
    pub(super) of_a_mask: usize,
    /// Entries of the small tier.
    pub(super) small: usize,
    /// Entries that the loading instance holds before it writes them to buckets.
    pub(super) batch: usize,
    /// Entries added and removed by one answer to `since`: more are asked for as a full list.
    pub(super) delta: usize,
    /// Calls for one list.
    pub(super) pages: u32,
    /// Steps of a slice, where the clock stands still.
    pub(super) steps: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 10_000_000,
            of_a_mask: 16_384,
            small: 65_536,
            batch: 1 << 18,
            delta: 1 << 18,
            pages: 65_536,
            steps: 256,
        }
    }
}
