//! Reads one page of a revocation list, some entries at a time: a JSON object with `entries`, or entries
//! one after another (NDJSON).
//!
//! All or nothing: an entry that can't be read may be the one that revokes the token at hand, so it
//! makes the whole list unusable. Errors name the entry's number and place, never its content.

use serde::Deserialize;
use serde_json::Deserializer as Json;

use super::entry::Entry;
use super::record::{Record, Secret};
use super::value::{Key, NoEntries, NoList, Top, Value};

/// A page being read.
#[derive(Debug)]
pub(super) struct Page {
    body: Vec<u8>,
    at: usize,
    state: State,
    seen: u8,
    secret: Secret,
    /// More entries than this are refused.
    most: u64,
    /// What it says of the list.
    pub(super) header: Header,
    /// Its entries.
    pub(super) entries: Vec<Record>,
    /// The entries that it says were removed.
    pub(super) removed: Vec<Record>,
}

/// What a page says of its list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Which list it is, fit for a log line.
    pub(super) version: Option<String>,
    /// Whether that is so to the letter: only then can it be asked for.
    pub(super) exact: bool,
    /// The list that this one says the changes from.
    pub(super) since: Option<String>,
    /// How many entries the whole list has, about.
    pub(super) total: Option<u64>,
    /// Names the next page.
    pub(super) next: Option<String>,
    /// Whether `since` may be asked for.
    pub(super) deltas: bool,
}

/// Where in the page the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At its beginning.
    Start,
    /// Between two entries, one after another.
    Lines,
    /// In the object, where a key is expected.
    Key,
    /// In `entries` or `removed`, before an entry or the end.
    Entries { removed: bool, first: bool },
    /// In the object, behind a value.
    Behind,
    /// Behind all.
    End,
}

impl Page {
    /// A page whose entries are hashed with this secret.
    pub(super) fn new(body: Vec<u8>, secret: Secret, most: u64) -> Page {
        let header = Header::default();
        let (entries, removed) = (Vec::new(), Vec::new());
        Page { body, at: 0, state: State::Start, seen: 0, secret, most, header, entries, removed }
    }

    /// How many entries were read.
    pub(super) fn read(&self) -> usize {
        self.entries.len().saturating_add(self.removed.len())
    }

    /// Whether it says what was removed, or since when: it is no whole list.
    pub(super) fn has(&self, key: Top) -> bool {
        self.seen & key.bit() != 0
    }

    /// Reads so many entries, fewer when they are long: whether it came to the end.
    pub(super) fn advance(&mut self, entries: usize) -> Result<bool, String> {
        let until = self.read().saturating_add(entries);
        let far = self.at.saturating_add(MOST_OF_AN_ENTRY);
        while self.read() < until && self.at < far && self.state != State::End {
            self.step()?;
        }
        Ok(self.state == State::End)
    }

    fn step(&mut self) -> Result<(), String> {
        match (self.state, self.peek()) {
            (State::Start, Some(b'{')) => self.start()?,
            (State::Start, _) => {
                let NoList = self.value()?;
                return Err(self.wrong("no list"));
            }
            (State::Lines, None) => self.state = State::End,
            (State::Lines, _) => self.entry(State::Lines)?,
            (State::Key, _) => self.member()?,
            (State::Entries { first: true, .. }, Some(b']')) => self.pass(State::Behind),
            (state @ State::Entries { first: true, .. }, _) => self.entry(state)?,
            (state @ State::Entries { .. }, _) => self.another(state)?,
            (State::Behind, Some(b',')) => self.pass(State::Key),
            (State::Behind, Some(b'}')) if !self.has(Top::Entries) => {
                return Err(self.wrong("there is no `entries`"));
            }
            (State::Behind, Some(b'}')) => {
                self.pass(State::End);
                if self.peek().is_some() {
                    return Err(self.wrong("trailing characters"));
                }
            }
            (State::Behind, found) => return Err(self.expected("`,` or `}`", found)),
            (State::End, _) => (),
        }
        Ok(())
    }

    /// Which of the two forms it has, its first key tells.
    fn start(&mut self) -> Result<(), String> {
        let start = self.at;
        self.pass(State::Key);
        if self.peek() == Some(b'}') {
            return Err(self.wrong("there is no `entries`"));
        }
        let first = parse::<Key>(&self.body, self.at);
        if !matches!(first, Ok((Key::Top(_), _))) {
            self.at = start;
            self.state = State::Lines;
        }
        Ok(())
    }

    /// A key of the object, and its value up to where entries begin.
    fn member(&mut self) -> Result<(), String> {
        let key = match self.value()? {
            Key::Top(top) if !self.has(top) => top,
            Key::Top(_) => return Err(self.wrong("a key stands twice")),
            other => return Err(self.wrong(&other.unknown("a list's"))),
        };
        self.seen |= key.bit();
        match self.peek() {
            Some(b':') => self.pass(State::Behind),
            found => return Err(self.expected("`:`", found)),
        }
        if let Top::Entries | Top::Removed = key {
            if self.peek() != Some(b'[') {
                let NoEntries = self.value()?;
                return Err(self.wrong("no entries"));
            }
            self.pass(State::Entries { removed: key == Top::Removed, first: true });
            return Ok(());
        }
        let (value, end) = match parse::<Value<'_>>(&self.body, self.at) {
            Ok(parsed) => parsed,
            Err(problem) => return Err(self.placed(&problem)),
        };
        let set = self.header.set(key, value);
        set.map_err(|problem| self.wrong(problem))?;
        self.at = end;
        Ok(())
    }

    fn another(&mut self, state: State) -> Result<(), String> {
        match self.peek() {
            Some(b',') => {
                self.pass(state);
                match self.peek() {
                    Some(b']') => Err(self.wrong_entry("trailing comma")),
                    _ => self.entry(state),
                }
            }
            Some(b']') => {
                self.pass(State::Behind);
                Ok(())
            }
            found => Err(self.wrong_entry(&self.expected("`,` or `]`", found))),
        }
    }

    /// An entry, after which there may be others.
    fn entry(&mut self, state: State) -> Result<(), String> {
        if u64::try_from(self.read()).unwrap_or(u64::MAX) >= self.most {
            return Err(self.wrong_entry(&self.wrong("the list has more entries than allowed")));
        }
        let until = self.at.saturating_add(MOST_OF_AN_ENTRY).min(self.body.len());
        let body = self.body.get(..until).unwrap_or_default();
        let record = match parse::<Entry<'_>>(body, self.at) {
            Ok((entry, end)) => {
                self.at = end;
                Record::of(&entry, &self.secret)
            }
            Err(problem) if problem.is_eof() && until < self.body.len() => {
                return Err(self.wrong_entry(&self.wrong("it is longer than 64 KiB")));
            }
            Err(problem) => return Err(self.wrong_entry(&self.placed(&problem))),
        };
        match state {
            State::Entries { removed: true, .. } => self.removed.push(record),
            _ => self.entries.push(record),
        }
        if let State::Entries { removed, .. } = state {
            self.state = State::Entries { removed, first: false };
        }
        Ok(())
    }

    fn value<'s, T: Deserialize<'s> + 'static>(&'s mut self) -> Result<T, String> {
        match parse(&self.body, self.at) {
            Ok((value, end)) => {
                self.at = end;
                Ok(value)
            }
            Err(problem) => Err(self.placed(&problem)),
        }
    }

    /// The next byte that is no white space; moves there.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let length = rest.iter().take_while(|byte| space(byte)).count();
        self.at = self.at.saturating_add(length);
        rest.get(length).copied()
    }

    /// Moves behind the next byte.
    fn pass(&mut self, state: State) {
        self.at = self.at.saturating_add(1);
        self.state = state;
    }

    fn expected(&self, what: &str, found: Option<u8>) -> String {
        match found {
            None => self.wrong("EOF: it is cut short"),
            Some(_) => self.wrong(&format!("expected {what}")),
        }
    }

    /// Says where in the page something is wrong.
    fn wrong(&self, problem: &str) -> String {
        let (line, column) = self.place(1, 1);
        format!("{problem} at line {line} column {column}")
    }

    fn wrong_entry(&self, problem: &str) -> String {
        let removed = matches!(self.state, State::Entries { removed: true, .. });
        let (kind, read) =
            if removed { ("removed entry", &self.removed) } else { ("entry", &self.entries) };
        format!("{kind} {}: {problem}", read.len().saturating_add(1))
    }

    /// The parser's own words, with the place in the page instead of the one in what it was given.
    fn placed(&self, problem: &serde_json::Error) -> String {
        let text = problem.to_string();
        let words = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
        let (line, column) = self.place(problem.line(), problem.column());
        format!("{words} at line {line} column {column}")
    }

    /// Line and column in the page of those after `at`.
    fn place(&self, line: usize, column: usize) -> (usize, usize) {
        let before = self.body.get(..self.at).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let last = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        let column = if line <= 1 { column.saturating_add(last) } else { column };
        (line.saturating_add(lines), column)
    }
}

impl Header {
    fn set(&mut self, key: Top, value: Value<'_>) -> Result<(), &'static str> {
        match (key, value) {
            (Top::Version, Value::Text(text)) => {
                let version = for_log(&text);
                self.exact = !version.is_empty() && version == text;
                self.version = Some(version);
            }
            (Top::Version, _) => return Err("`version` is not text"),
            (Top::Since, Value::Text(text)) => self.since = Some(text.into_owned()),
            (Top::Since, _) => return Err("`since` is not text"),
            (Top::Total, Value::Whole(total)) => self.total = Some(total),
            (Top::Total, _) => return Err("`total` is not a whole number"),
            (Top::Next, Value::Null) => (),
            (Top::Next, Value::Text(text)) if (1..=MAX_NEXT).contains(&text.len()) => {
                self.next = Some(text.into_owned());
            }
            (Top::Next, _) => return Err("`next` is not text of 1 to 1024 characters"),
            (Top::Deltas, Value::Flag(flag)) => self.deltas = flag,
            (Top::Deltas, _) => return Err("`deltas` is neither `true` nor `false`"),
            (Top::Entries | Top::Removed, _) => (),
        }
        Ok(())
    }
}

/// Reads one value: it, and where the next begins.
fn parse<'b, T: Deserialize<'b>>(
    body: &'b [u8],
    at: usize,
) -> Result<(T, usize), serde_json::Error> {
    let mut stream = Json::from_slice(body.get(at..).unwrap_or_default()).into_iter::<T>();
    let value =
        stream.next().unwrap_or_else(|| Err(serde::de::Error::custom("EOF: it is cut short")))?;
    Ok((value, at.saturating_add(stream.byte_offset())))
}

/// Fit for a log line and a URL.
fn for_log(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:+".contains(c) { c } else { '?' };
    text.chars().take(64).map(plain).collect()
}

const MAX_NEXT: usize = 1024;
/// A longer entry would keep the worker for too long.
const MOST_OF_AN_ENTRY: usize = 64 * 1024;
