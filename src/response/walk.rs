//! A way through a JSON text that knows where each value stands, so that what stays of an answer
//! stays byte for byte. It reads brackets, colons and commas; values are read by serde_json.

use core::marker::PhantomData;
use std::borrow::Cow;

use serde::de::{DeserializeSeed, IgnoredAny};

use super::reasons::ANSWER_UNREADABLE;
use super::strict::has_repeats;
use crate::base::node::Name;
use crate::base::refusal::Reason;

/// Why an answer, or an entry of it, must not pass.
pub(super) type Fault = &'static Reason;

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    /// Behind the last byte.
    pub(super) end: usize,
}

/// A place in a JSON text, between two values.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Before the first value of a text.
    pub(super) fn new(body: &'a [u8]) -> Result<Walk<'a>, Fault> {
        let text = core::str::from_utf8(body).map_err(|_| &ANSWER_UNREADABLE)?;
        Ok(Walk { text, at: 0 })
    }

    /// Before a value of the same text.
    pub(super) fn to(&self, span: Span) -> Walk<'a> {
        Walk { text: self.text, at: span.start }
    }

    /// Reads one value and says where it stood.
    pub(super) fn value<S: DeserializeSeed<'a>>(
        &mut self,
        seed: S,
    ) -> Result<(Span, S::Value), Fault> {
        let start = self.next()?.0;
        let rest = self.text.get(start..).unwrap_or_default();
        let mut json = serde_json::Deserializer::from_str(rest);
        let value = seed.deserialize(&mut json).map_err(|_| &ANSWER_UNREADABLE)?;
        let length = json.into_iter::<IgnoredAny>().byte_offset();
        self.at = start.saturating_add(length);
        Ok((self.since(start), value))
    }

    /// Reads an object: `with` reads each member's value. Gives what it gave, and where each member
    /// stood, its name included. A member that comes twice is an error.
    pub(super) fn object<T>(
        &mut self,
        mut with: impl FnMut(&mut Walk<'a>, &Cow<'a, str>) -> Result<T, Fault>,
    ) -> Result<Vec<(Span, T)>, Fault> {
        let (mut names, mut members) = (Vec::new(), Vec::new());
        self.expect(b'{')?;
        if self.next()?.1 != b'}' {
            loop {
                let (Span { start, .. }, name) = self.value(Name)?;
                self.expect(b':')?;
                let value = with(self, &name)?;
                names.push(name);
                members.push((self.since(start), value));
                if self.next()?.1 != b',' {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.expect(b'}')?;
        if has_repeats(&names) { Err(&ANSWER_UNREADABLE) } else { Ok(members) }
    }

    /// Reads an array: `with` reads each element. Gives where the array ends, before its bracket.
    pub(super) fn array(
        &mut self,
        mut with: impl FnMut(&mut Walk<'a>) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        self.expect(b'[')?;
        if self.next()?.1 != b']' {
            loop {
                with(self)?;
                if self.next()?.1 != b',' {
                    break;
                }
                self.expect(b',')?;
            }
        }
        let end = self.next()?.0;
        self.expect(b']')?;
        Ok(end)
    }

    /// The `resourceType` of the object that comes, as far as it is a text.
    pub(super) fn resource_type(mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        self.expect(b'{')?;
        while self.next()?.1 == b'"' {
            let (_, name) = self.value(Name)?;
            self.expect(b':')?;
            if name == "resourceType" {
                return Ok(self.value(Name).ok().map(|(_, text)| text));
            }
            self.value(PhantomData::<IgnoredAny>)?;
            if self.next()?.1 == b',' {
                self.expect(b',')?;
            }
        }
        Ok(None)
    }

    /// Where the next value or sign stands, and its first byte.
    pub(super) fn next(&mut self) -> Result<(usize, u8), Fault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| BLANK.contains(byte)).count();
        self.at = self.at.saturating_add(blanks);
        let byte = rest.get(blanks).ok_or(&ANSWER_UNREADABLE)?;
        Ok((self.at, *byte))
    }

    /// The part from `start` to here.
    pub(super) fn since(&self, start: usize) -> Span {
        Span { start, end: self.at }
    }

    /// Whether nothing more comes.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.next().is_err()
    }

    fn expect(&mut self, sign: u8) -> Result<(), Fault> {
        let (at, found) = self.next()?;
        self.at = at.saturating_add(1);
        if found == sign { Ok(()) } else { Err(&ANSWER_UNREADABLE) }
    }
}

/// What may stand between values (RFC 8259 section 2).
const BLANK: [u8; 4] = *b" \t\n\r";
