//! Compact JSON in ASCII, written member by member: a line is made for every request, and through serde
//! that takes more than twice as long.

use std::borrow::Cow;

use serde::Serialize;

use super::phiward::ascii;

/// An object that is being written. Texts from outside are cut to [`MAX_CHARS`].
#[derive(Debug)]
pub(super) struct Json {
    buffer: Vec<u8>,
}

impl Json {
    /// A whole object.
    pub(super) fn line(members: impl FnOnce(&mut Json)) -> String {
        let mut json = Json { buffer: Vec::with_capacity(TYPICAL_BYTES) };
        json.braces(members);
        String::from_utf8(json.buffer).unwrap_or_default()
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Json)) {
        self.name(name);
        self.braces(members);
    }

    /// A member that is a text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    /// A member that may be absent.
    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A member that may be absent, of bytes that should be UTF-8; what is not becomes U+FFFD.
    pub(super) fn bytes(&mut self, name: &str, bytes: Option<&[u8]>) {
        match bytes.map(core::str::from_utf8) {
            Some(Ok(text)) => self.text(name, text),
            Some(Err(_)) => {
                let bytes = bytes.unwrap_or_default();
                let enough = bytes.get(..MAX_CHARS.saturating_mul(4)).unwrap_or(bytes);
                self.text(name, &String::from_utf8_lossy(enough));
            }
            None => {}
        }
    }

    /// A member that is `true` or absent.
    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        if flag {
            self.number(name, true);
        }
    }

    /// A member that is a number.
    pub(super) fn number(&mut self, name: &str, number: impl Serialize) {
        self.name(name);
        // Neither numbers nor a vector fail.
        let _ = serde_json::to_writer(&mut self.buffer, &number);
    }

    /// A member that is a list of texts, as [`Json::list`].
    pub(super) fn texts<'a>(&mut self, name: &str, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.list(name, texts, Json::string, |json| json.string(CUT));
    }

    /// A member that is a list, absent when it is empty: the first [`MAX_ITEMS`] items, and `rest` when
    /// there are more.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl ExactSizeIterator<Item = T>,
        item: impl Fn(&mut Json, T),
        rest: impl FnOnce(&mut Json),
    ) {
        let is_cut = items.len() > MAX_ITEMS;
        let mut items = items.take(MAX_ITEMS).peekable();
        if items.peek().is_none() {
            return;
        }
        self.name(name);
        self.buffer.push(b'[');
        for one in items {
            self.separate();
            item(self, one);
        }
        if is_cut {
            self.separate();
            rest(self);
        }
        self.buffer.push(b']');
    }

    /// An object.
    pub(super) fn braces(&mut self, members: impl FnOnce(&mut Json)) {
        self.buffer.push(b'{');
        members(self);
        self.buffer.push(b'}');
    }

    /// A string, cut to [`MAX_CHARS`].
    fn string(&mut self, text: &str) {
        let text = cut(text);
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.buffer.push(b'"');
            self.buffer.extend_from_slice(text.as_bytes());
            self.buffer.push(b'"');
        } else {
            self.buffer.extend_from_slice(ascii(&text).as_bytes());
        }
    }

    /// `name` is plain.
    fn name(&mut self, name: &str) {
        self.separate();
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        if !matches!(self.buffer.last(), Some(b'{' | b'[')) {
            self.buffer.push(b',');
        }
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    let is_short = text.len() <= MAX_CHARS || text.char_indices().nth(MAX_CHARS).is_none();
    if is_short {
        return Cow::Borrowed(text);
    }
    text.chars().take(MAX_CHARS).chain(CUT.chars()).collect()
}

/// Longest text in characters; what is longer ends with [`CUT`].
const MAX_CHARS: usize = 256;

/// Most items of a list; a longer one ends with [`CUT`].
pub(crate) const MAX_ITEMS: usize = 64;

/// Stands for what was cut.
pub(super) const CUT: &str = "…";

/// Bytes set aside for a line; most are shorter.
const TYPICAL_BYTES: usize = 1024;
