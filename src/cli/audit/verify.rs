//! `phiward audit verify`: whether the trail is as the gateway wrote it, and what is not.
//!
//! Files are read twice: for their checkpoints, then for their records. Each record proves by its
//! seal that it is genuine and where it belongs, so the order of files and lines means nothing and a
//! second copy does no harm. What counts as missing follows from the counts; the checkpoints tell
//! how many there must be. Four bytes are kept for each record, and one tag for each that came before
//! its predecessor did. No key is ever printed.

mod findings;
mod keys;
mod report;
mod seen;
mod stream;
mod trail;

use std::io::{self, Write};
use std::path::PathBuf;

use super::read::{Kind, Reader, total};
use super::report::progress::Progress;
use crate::base::time::Instant;
use crate::cli::{Exit, Stderr};
pub(super) use keys::KeyFrom;
use keys::Ring;
use trail::Trail;

/// What is to be verified.
#[derive(Debug, Default)]
pub(in crate::cli) struct Options {
    /// The files with records and checkpoints.
    pub(super) files: Vec<PathBuf>,
    /// The keys that were in use.
    pub(super) keys: Vec<KeyFrom>,
    /// Streams that have neither ended nor said anything from this time on are findings.
    pub(super) until: Option<Instant>,
    /// The files are a part of the trail: what comes before the first record of a stream is not
    /// expected.
    pub(super) part: bool,
    /// Whether to write JSON.
    pub(super) json: bool,
}

/// Verifies. Exit: whole, findings, or unusable.
pub(super) fn verify(
    options: &Options,
    out: &mut dyn Write,
    err: &mut dyn Write,
    stderr: Stderr,
) -> io::Result<Exit> {
    let trail = match read(options, err, stderr)? {
        Ok(trail) => trail,
        Err(problem) => {
            writeln!(err, "phiward: {problem}")?;
            return Ok(Exit::Unusable);
        }
    };
    let verdict = trail.verdict(options);
    if options.json {
        writeln!(out, "{:#}", report::json(&verdict))?;
    } else {
        report::text(&verdict, out)?;
    }
    Ok(if verdict.findings.none() { Exit::Ok } else { Exit::Differs })
}

/// Reads everything: the checkpoints of all files, then their records.
fn read(
    options: &Options,
    err: &mut dyn Write,
    stderr: Stderr,
) -> io::Result<Result<Trail, String>> {
    let mut trail = match Ring::read(&options.keys) {
        Ok(ring) => Trail::new(ring),
        Err(problem) => return Ok(Err(problem)),
    };
    let total = total(&options.files).ok().flatten();
    for kind in [Kind::Checkpoint, Kind::Record] {
        let mut progress = Progress::new(stderr, total);
        let mut reader = Reader::new(&options.files);
        while let Some(found) = reader.next() {
            match found {
                Err(unreadable) => return Ok(Err(unreadable.to_string())),
                Ok(found) if found.kind == kind => trail.take(&found),
                Ok(_) => {}
            }
            progress.at(reader.counts().bytes, err)?;
        }
        progress.end(err)?;
        trail.passed_over = reader.counts();
    }
    Ok(match trail.is_empty() {
        true => Err("there is no audit record in these files".to_owned()),
        false => Ok(trail),
    })
}

#[cfg(test)]
mod tests;
