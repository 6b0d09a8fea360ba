//! The Bundle of a search or a history: judged entry by entry, rebuilt from the bytes that came.
//!
//! Entries that stay are copied, never written anew: a decimal keeps its digits (`1.10` is another
//! measurement than `1.1`) and the order of members stays. Only one entry is held as a parsed value
//! at a time, so memory is the body, the new body and that entry.

use core::fmt;
use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Verdict;
use super::judge::{Judge, holds_resource, is_outcome};
use super::reasons::{ANSWER_NOT_BUNDLE, ANSWER_UNREADABLE};
use crate::base::node::{self, Node};
use crate::base::refusal::Reason;
use crate::policy::Form;
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;

/// Judges the body of a search's or a history's answer.
///
/// # Errors
///
/// It can't be read, is no such Bundle, or is a history without a version that is a member.
pub(super) fn judge(judge: &Judge<'_>, body: &[u8]) -> Result<Verdict, &'static Reason> {
    let mut bundle = serde_json::from_slice::<Bundle<'_>>(body).map_err(unreadable)?;
    if !bundle.says("resourceType", "Bundle") || !bundle.says("type", kind(&judge.expected.form)) {
        return Err(&ANSWER_NOT_BUNDLE);
    }
    let mut removed = bundle.unknown.saturating_add(bundle.clean()?);
    let mut text = bundle.start(body.len());
    let entries = bundle.entries();
    removed = removed.saturating_add(match judge.expected.form {
        Form::History(_) => history(judge, entries, &mut text)?,
        _ => copy(entries, &mut text, |entry| judge.keeps_found(entry))?,
    });
    if removed == 0 {
        return Ok(Verdict::Whole);
    }
    // Bundle invariants bdl-2 to bdl-4 leave no place for an outcome in a history.
    if matches!(judge.expected.form, Form::Searchset(_)) {
        separate(&mut text);
        text.extend_from_slice(SUPPRESSED.as_bytes());
    }
    text.extend_from_slice(b"]}");
    Ok(Verdict::Replace { body: text, removed })
}

/// Copies the entries of a history that stay and says how many don't.
fn history(judge: &Judge<'_>, entries: &str, text: &mut Vec<u8>) -> Result<usize, &'static Reason> {
    let mut members = BTreeSet::new();
    each(entries, |_, entry| {
        members.extend(judge.version(entry).map(str::to_owned));
    })?;
    if members.is_empty() {
        return Err(&COMPARTMENT_NOT_MEMBER);
    }
    copy(entries, text, |entry| judge.keeps_version(entry, &members))
}

/// Copies the entries that stay behind `text` and says how many don't.
fn copy(
    entries: &str,
    text: &mut Vec<u8>,
    keeps: impl Fn(&Node<'_>) -> bool,
) -> Result<usize, &'static Reason> {
    let mut removed: usize = 0;
    each(entries, |raw, entry| {
        if keeps(entry) {
            separate(text);
            text.extend_from_slice(raw.as_bytes());
        } else {
            removed = removed.saturating_add(1);
        }
    })?;
    Ok(removed)
}

/// A comma, unless nothing stands before it.
fn separate(text: &mut Vec<u8>) {
    if !matches!(text.last(), Some(b'[' | b'{')) {
        text.push(b',');
    }
}

/// The members of a Bundle, as they came.
struct Bundle<'a> {
    known: Vec<(&'static str, &'a RawValue)>,
    /// How many members have a name that a Bundle has not.
    unknown: usize,
}

impl<'a> Bundle<'a> {
    fn member(&self, name: &str) -> Option<&'a str> {
        let mut known = self.known.iter();
        known.find(|(known, _)| *known == name).map(|(_, value)| value.get())
    }

    fn says(&self, name: &str, text: &str) -> bool {
        let value = self.member(name).and_then(|value| serde_json::from_str::<String>(value).ok());
        value.as_deref() == Some(text)
    }

    fn entries(&self) -> &'a str {
        self.member(ENTRY).unwrap_or("[]")
    }

    /// Removes the members that hold resources where a Bundle has none, and says how many.
    fn clean(&mut self) -> Result<usize, &'static Reason> {
        let before = self.known.len();
        let mut clean = Vec::with_capacity(before);
        for (name, raw) in self.known.drain(..) {
            let fits = name == ENTRY || {
                let value = node::read(raw.get().as_bytes()).map_err(unreadable)?;
                if name == ISSUES { is_outcome(&value) } else { !holds_resource(&value) }
            };
            if fits {
                clean.push((name, raw));
            }
        }
        self.known = clean;
        Ok(before.saturating_sub(self.known.len()))
    }

    /// The text of the new Bundle up to its first entry. The server's `total` counted what was
    /// removed, its `signature` signed it.
    fn start(&self, length: usize) -> Vec<u8> {
        let mut text =
            Vec::with_capacity(length.saturating_add(SUPPRESSED.len()).saturating_add(16));
        text.push(b'{');
        for (name, value) in &self.known {
            if ![ENTRY, "total", "signature"].contains(name) {
                separate(&mut text);
                text.extend_from_slice(format!("\"{name}\":").as_bytes());
                text.extend_from_slice(value.get().as_bytes());
            }
        }
        separate(&mut text);
        text.extend_from_slice(b"\"entry\":[");
        text
    }
}

impl<'de> Deserialize<'de> for Bundle<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bundle<'de>, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Bundle<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Bundle")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bundle<'de>, A::Error> {
        let mut bundle = Bundle { known: Vec::new(), unknown: 0 };
        while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
            match BUNDLE.iter().find(|known| **known == name) {
                Some(known) if bundle.member(known).is_some() => {
                    return Err(A::Error::custom("duplicate member"));
                }
                Some(known) => bundle.known.push((known, value)),
                None => bundle.unknown = bundle.unknown.saturating_add(1),
            }
        }
        Ok(bundle)
    }
}

/// Calls `with` for each element of a JSON array: its text and its value, read strictly.
fn each(array: &str, with: impl FnMut(&str, &Node<'_>)) -> Result<(), &'static Reason> {
    let mut deserializer = serde_json::Deserializer::from_str(array);
    deserializer.deserialize_seq(Elements(with)).map_err(unreadable)
}

struct Elements<F>(F);

impl<'de, F: FnMut(&str, &Node<'_>)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(raw) = elements.next_element::<&'de RawValue>()? {
            let value = node::read(raw.get().as_bytes()).map_err(A::Error::custom)?;
            (self.0)(raw.get(), &value);
        }
        Ok(())
    }
}

fn unreadable(_: serde_json::Error) -> &'static Reason {
    &ANSWER_UNREADABLE
}

const fn kind(form: &Form) -> &'static str {
    match form {
        Form::History(_) => "history",
        _ => "searchset",
    }
}

/// The members of a Bundle (<http://hl7.org/fhir/R5/bundle.html>); `issues` is of R5.
const BUNDLE: [&str; 13] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "identifier",
    "type",
    "timestamp",
    "total",
    "link",
    ENTRY,
    "signature",
    ISSUES,
];
const ENTRY: &str = "entry";
const ISSUES: &str = "issues";

/// Tells the client that the search found more than it may see, and not how much.
const SUPPRESSED: &str = concat!(
    r#"{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","#,
    r#""code":"suppressed","details":{"text":"what is not in the patient's compartment was removed"}"#,
    r#"}]},"search":{"mode":"outcome"}}"#,
);
