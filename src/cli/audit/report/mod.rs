//! `phiward audit report`: who touched which patient and when, what was refused, what is missing.
//!
//! Records are delivered at least once and in any order: each is counted once. Memory does not grow with
//! their number.

mod accesses;
mod distinct;
mod exports;
mod filter;
mod histogram;
mod html;
pub(super) mod progress;
mod refusals;
mod streams;
mod table;
mod tally;
mod top;
mod view;
mod words;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::read::{self, Reader, Unreadable};
use crate::base::time::Instant;
use crate::cli::{Exit, Stderr};
pub(super) use filter::Filter;
use progress::Progress;
use tally::Tally;
use view::Report;

/// What is to be reported, and how.
#[derive(Debug)]
pub(in crate::cli) struct Options {
    /// At least one; `-` is standard input.
    pub(super) files: Vec<PathBuf>,
    pub(super) filter: Filter,
    /// Most accesses that are listed.
    pub(super) limit: usize,
    pub(super) form: Form,
    /// Instead of standard output.
    pub(super) output: Option<PathBuf>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
    Html,
}

impl Default for Options {
    fn default() -> Options {
        let (files, filter) = (Vec::new(), Filter::default());
        Options { files, filter, limit: 1000, form: Form::Table, output: None }
    }
}

/// Reads the records and writes the report.
pub(super) fn report(
    options: &Options,
    now: Instant,
    out: &mut dyn Write,
    err: &mut dyn Write,
    stderr: Stderr,
) -> io::Result<Exit> {
    let report = match read(options, now, err, stderr) {
        Ok(report) => report,
        Err(Wrong::Unreadable(file)) => {
            writeln!(err, "{file}")?;
            return Ok(Exit::Unusable);
        }
        Err(Wrong::Unwritable(error)) => return Err(error),
    };
    for broken in &report.input.broken_first {
        let (place, problem) = (words::visible(&broken.place), words::visible(&broken.problem));
        writeln!(err, "{place}: this record can't be read: {problem}")?;
    }
    if report.input.records == 0 {
        writeln!(err, "phiward: there is no audit record in what was read")?;
        return Ok(Exit::Unusable);
    }
    let Some(path) = &options.output else {
        write(&report, options.form, &mut BufWriter::new(out))?;
        return Ok(Exit::Ok);
    };
    if let Err(error) =
        create(path).and_then(|file| write(&report, options.form, &mut BufWriter::new(file)))
    {
        writeln!(err, "{}: can't be written: {error}", path.display())?;
        return Ok(Exit::Unusable);
    }
    Ok(Exit::Ok)
}

enum Wrong {
    Unreadable(Unreadable),
    Unwritable(io::Error),
}

fn read(
    options: &Options,
    now: Instant,
    err: &mut dyn Write,
    stderr: Stderr,
) -> Result<Report, Wrong> {
    let total = read::total(&options.files).map_err(Wrong::Unreadable)?;
    let mut reader = Reader::new(&options.files);
    let mut tally = Tally::new(&options.filter, options.limit);
    let mut progress = Progress::new(stderr, total);
    while let Some(found) = reader.next() {
        tally.add(&found.map_err(Wrong::Unreadable)?);
        progress.at(reader.counts().bytes, err).map_err(Wrong::Unwritable)?;
    }
    progress.end(err).map_err(Wrong::Unwritable)?;
    Ok(Report::of(tally, reader.counts(), options, now))
}

fn write(report: &Report, form: Form, out: &mut dyn Write) -> io::Result<()> {
    match form {
        Form::Table => table::write(report, out)?,
        Form::Json => writeln!(out, "{}", json(report)?)?,
        Form::Html => html::write(report, out)?,
    }
    out.flush()
}

/// The report as JSON in ASCII: what a terminal would obey is escaped too.
fn json(report: &Report) -> io::Result<String> {
    let text = serde_json::to_string_pretty(report)?;
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | ' '..='~' => ascii.push(c),
            _ => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units);
                ascii.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    Ok(ascii)
}

/// A new file that only its owner can read: a report is as confidential as the records.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;
