//! What is sent in one call.

/// Lines to send in one call. Whatever becomes of it is told to [`Queue`](super::Queue) by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub(super) id: BatchId,
    pub(super) text: String,
}

/// Tells the batches of one instance apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId(pub(super) u64);

impl Batch {
    /// Its name.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// Its lines in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Its lines, each ended by `\n`: NDJSON when the lines are JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As [`Batch::text`], without a copy.
    pub fn into_text(self) -> String {
        self.text
    }
}
