//! Audit records out of whatever they ended up in: alone on their lines, behind the prefix of Envoy's
//! log, or wrapped by a collector, as text or as an object. One line is in memory at a time.
//!
//! A line that holds no record is passed over and counted. Only the places where collectors put what
//! they carry are looked into: a `User-Agent` that looks like a record is not one.

mod line;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::record::{Checkpoint, Record};
pub(super) use line::Kind;

/// The records of some files, in their order.
pub(super) struct Reader {
    files: VecDeque<PathBuf>,
    source: Option<Source>,
    waiting: VecDeque<Found>,
    line: Vec<u8>,
    counts: Counts,
}

/// A record, or what should be one.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// The record in JSON, with the fields that others added.
    pub(super) text: String,
}

/// A line of a file, counted from 1.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    pub(super) line: u64,
}

/// What was read so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// Lines without a record.
    pub(super) others: u64,
    /// Lines longer than [`MAX_LINE`], which were not looked into.
    pub(super) long: u64,
}

/// A file that can't be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    file: String,
    problem: String,
}

struct Source {
    name: Rc<str>,
    from: Box<dyn BufRead>,
    line: u64,
}

impl Reader {
    /// Records of these files; `-` is standard input.
    pub(super) fn new(files: &[PathBuf]) -> Reader {
        Reader {
            files: files.iter().cloned().collect(),
            source: None,
            waiting: VecDeque::new(),
            line: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What was read so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads lines until one has a record. `false` at the end of the last file.
    fn advance(&mut self) -> Result<bool, Unreadable> {
        while self.waiting.is_empty() {
            let Some(source) = &mut self.source else {
                let Some(file) = self.files.pop_front() else { return Ok(false) };
                self.source = Some(Source::open(&file)?);
                continue;
            };
            match source.next(&mut self.line, &mut self.counts)? {
                Next::End => self.source = None,
                Next::Long => {}
                Next::Line => take(source, &self.line, &mut self.waiting, &mut self.counts),
            }
        }
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<Found, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(_) => self.waiting.pop_front().map(Ok),
            Err(unreadable) => {
                self.source = None;
                Some(Err(unreadable))
            }
        }
    }
}

impl Found {
    /// The record.
    ///
    /// # Errors
    ///
    /// It is none: the text was cut, or a field is missing or of another kind.
    pub(super) fn record(&self) -> Result<Record<'_>, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// The checkpoint, when it is one.
    ///
    /// # Errors
    ///
    /// As for [`Found::record`].
    pub(super) fn checkpoint(&self) -> Result<Checkpoint<'_>, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// All of it, with the fields that others added.
    ///
    /// # Errors
    ///
    /// It is not strict JSON.
    pub(super) fn value(&self) -> Result<Value, serde_json::Error> {
        crate::base::json::parse(self.text.as_bytes())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: can't be read: {}", self.file, self.problem)
    }
}

/// Bytes of all files together; `None` when one is no plain file, such as standard input.
///
/// # Errors
///
/// The first file that is not there.
pub(super) fn total(files: &[PathBuf]) -> Result<Option<u64>, Unreadable> {
    let mut total = Some(0_u64);
    for file in files.iter().filter(|file| !is_standard_input(file)) {
        let about = fs::metadata(file).map_err(|error| Unreadable::new(file, &error))?;
        if about.is_dir() {
            return Err(Unreadable::new(file, &"it is a folder"));
        }
        let length = about.is_file().then_some(about.len());
        total = total.zip(length).map(|(total, length)| total.saturating_add(length));
    }
    Ok(total.filter(|_| !files.iter().any(|file| is_standard_input(file))))
}

enum Next {
    Line,
    Long,
    End,
}

impl Source {
    fn open(file: &Path) -> Result<Source, Unreadable> {
        let from: Box<dyn Read> = if is_standard_input(file) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file).map_err(|error| Unreadable::new(file, &error))?)
        };
        let from = Box::new(BufReader::with_capacity(BUFFER, from));
        Ok(Source { name: name(file).into(), from, line: 0 })
    }

    /// Reads the next line, its end included.
    fn next(&mut self, line: &mut Vec<u8>, counts: &mut Counts) -> Result<Next, Unreadable> {
        line.clear();
        let broken = |error: io::Error| Unreadable {
            file: self.name.to_string(),
            problem: error.to_string(),
        };
        let mut bounded = (&mut self.from).take(MAX_LINE);
        let mut bytes = bounded.read_until(b'\n', line).map_err(broken)?;
        if bytes == 0 {
            return Ok(Next::End);
        }
        let long = bytes as u64 == MAX_LINE && !line.ends_with(b"\n");
        if long {
            bytes = bytes.saturating_add(self.from.skip_until(b'\n').map_err(broken)?);
            counts.long = counts.long.saturating_add(1);
        }
        self.line = self.line.saturating_add(1);
        counts.lines = counts.lines.saturating_add(1);
        counts.bytes = counts.bytes.saturating_add(bytes as u64);
        Ok(if long { Next::Long } else { Next::Line })
    }
}

/// The records of a line.
fn take(source: &Source, line: &[u8], waiting: &mut VecDeque<Found>, counts: &mut Counts) {
    let place = Place { file: Rc::clone(&source.name), line: source.line };
    // Looking for what is no text takes longer than finding that it all is.
    let text = str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
    line::records(&text, &mut |kind, text| {
        waiting.push_back(Found { place: place.clone(), kind, text: text.to_owned() });
    });
    if waiting.is_empty() {
        counts.others = counts.others.saturating_add(1);
    }
}

impl Unreadable {
    fn new(file: &Path, problem: &dyn fmt::Display) -> Unreadable {
        Unreadable { file: name(file), problem: problem.to_string() }
    }
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == OsStr::new("-")
}

fn name(file: &Path) -> String {
    if is_standard_input(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// Longest line that is looked into. Collectors write a whole batch as one line: thousands of records.
const MAX_LINE: u64 = 16 << 20;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests;
