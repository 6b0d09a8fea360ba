//! `phiward audit`: what can be done with audit records after they were written.

mod arguments;
mod read;
mod record;
mod report;
mod verify;

use std::io::{self, Write};

use super::{Exit, Stderr};
use crate::base::time::Instant;
pub(super) use arguments::arguments;

/// What is asked of audit records.
#[derive(Debug)]
pub(super) enum Command {
    /// `audit report`
    Report(Box<report::Options>),
    /// `audit verify`
    Verify(Box<verify::Options>),
}

/// Does it.
pub(super) fn execute(
    command: &Command,
    now: Instant,
    out: &mut dyn Write,
    err: &mut dyn Write,
    stderr: Stderr,
) -> io::Result<Exit> {
    match command {
        Command::Report(options) => report::report(options, now, out, err, stderr),
        Command::Verify(options) => verify::verify(options, out, err, stderr),
    }
}
