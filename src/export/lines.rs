//! The lines of a file, as they stream past: whole lines are judged and go on, what has not ended
//! yet waits for its end.

#[cfg(test)]
mod tests;

use core::mem;

use super::reasons::EXPORT_LINE_TOO_LONG;
use crate::base::refusal::Refusal;

/// Longest line, in bytes: as long as the longest answer that the shipped Envoy file holds
/// (`per_connection_buffer_limit_bytes`), so that what can be read alone can be exported. It stands in
/// the filter's memory until it has ended, which the limit bounds.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// Whether the client may see what is in a line, which is not blank.
pub type Shows<'a> = &'a dyn Fn(&[u8]) -> bool;

/// A file on its way (<https://github.com/ndjson/ndjson-spec>). However it is cut into parts, what goes
/// on is the same.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// The begin of a line that has not ended yet.
    begun: Vec<u8>,
    removed: usize,
}

impl Lines {
    /// Before the first line; none may have more than `limit` bytes, the line feed among them.
    pub fn new(limit: usize) -> Lines {
        Lines { limit, begun: Vec::new(), removed: 0 }
    }

    /// Takes the next part of the file. Gives what may go on: the lines that ended and are blank or
    /// shown, byte for byte.
    ///
    /// # Errors
    ///
    /// [`EXPORT_LINE_TOO_LONG`]: the file must not go on.
    pub fn push(&mut self, part: &[u8], shows: Shows<'_>) -> Result<Vec<u8>, Refusal> {
        let mut passed = Vec::with_capacity(part.len());
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.begun.len().saturating_add(piece.len()) > self.limit {
                return Err(Refusal::new(&EXPORT_LINE_TOO_LONG));
            }
            if !piece.ends_with(b"\n") {
                self.begun.extend_from_slice(piece);
            } else if self.begun.is_empty() {
                self.sift(piece, shows, &mut passed);
            } else {
                let mut line = mem::take(&mut self.begun);
                line.extend_from_slice(piece);
                self.sift(&line, shows, &mut passed);
            }
        }
        Ok(passed)
    }

    /// The file has ended. Gives its last line, when that has no line feed and may go on.
    pub fn finish(&mut self, shows: Shows<'_>) -> Vec<u8> {
        let line = mem::take(&mut self.begun);
        let mut passed = Vec::new();
        self.sift(&line, shows, &mut passed);
        passed
    }

    /// The file has ended where nothing more can go on: a last line without a line feed is left out.
    pub fn cut(&mut self) {
        self.finish(&|_| false);
    }

    /// How long the line is that has not ended yet, in bytes.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// How many lines were left out so far.
    pub fn removed(&self) -> usize {
        self.removed
    }

    fn sift(&mut self, line: &[u8], shows: Shows<'_>, passed: &mut Vec<u8>) {
        if line.trim_ascii().is_empty() || shows(line) {
            passed.extend_from_slice(line);
        } else {
            self.removed = self.removed.saturating_add(1);
        }
    }
}
