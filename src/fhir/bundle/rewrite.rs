//! The same Bundle with other requests in it, built from the bytes that came: what does not change is
//! copied, never written anew.

use serde_json::value::RawValue;

use super::ENTRY;
use super::members::Members;
use crate::base::refusal::Refusal;
use crate::fhir::Id;
use crate::fhir::reasons::BUNDLE_CHANGES;
use crate::fhir::written::with_id;

/// How an entry's request goes on. Nothing changes by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Another `method`.
    pub method: Option<&'static str>,
    /// Another `url`, relative to the base.
    pub url: Option<String>,
    /// Another `ifMatch`.
    pub if_match: Option<String>,
    /// Another `ifNoneMatch`.
    pub if_none_match: Option<String>,
    /// Another `ifNoneExist`.
    pub if_none_exist: Option<String>,
    /// Without the conditions that came: with them a read may be answered by a status alone, which
    /// tells something and can't be judged.
    pub unconditional: bool,
    /// The id that the resource, which has none yet, gets.
    pub id: Option<Id>,
}

/// The Bundle with these changes, one for each entry. `body` is one that [`super::read`] accepts.
///
/// # Errors
///
/// [`BUNDLE_CHANGES`] when there are not as many changes as entries; what [`super::read`] says of a
/// body that it does not accept.
pub fn rewrite(body: &[u8], changes: &[Change]) -> Result<Vec<u8>, Refusal> {
    let bundle = Members::read(body)?;
    let entries = bundle.entries()?;
    if entries.len() != changes.len() {
        return Err(Refusal::new(&BUNDLE_CHANGES));
    }
    let added = changes.iter().fold(0_usize, |sum, change| sum.saturating_add(change.length()));
    let mut text = Vec::with_capacity(body.len().saturating_add(added));
    text.push(b'{');
    for (name, value) in bundle.iter() {
        start_member(&mut text, name);
        if name == ENTRY {
            write_entries(&mut text, &entries, changes)?;
        } else {
            text.extend_from_slice(value.get().as_bytes());
        }
    }
    text.push(b'}');
    Ok(text)
}

fn write_entries(
    text: &mut Vec<u8>,
    entries: &[&RawValue],
    changes: &[Change],
) -> Result<(), Refusal> {
    text.push(b'[');
    for (entry, change) in entries.iter().zip(changes) {
        separate(text);
        if *change == Change::default() {
            text.extend_from_slice(entry.get().as_bytes());
            continue;
        }
        text.push(b'{');
        for (name, value) in Members::read(entry.get().as_bytes())?.iter() {
            start_member(text, name);
            let given = value.get().as_bytes();
            match (name, &change.id) {
                ("request", _) => write_request(text, value, change)?,
                ("resource", Some(id)) => text.extend(with_id(given, id)),
                _ => text.extend_from_slice(given),
            }
        }
        text.push(b'}');
    }
    text.push(b']');
    Ok(())
}

fn write_request(text: &mut Vec<u8>, request: &RawValue, change: &Change) -> Result<(), Refusal> {
    let given = change.given();
    text.push(b'{');
    for (name, value) in Members::read(request.get().as_bytes())?.iter() {
        let replaced = given.iter().any(|(known, _)| *known == name);
        let dropped = change.unconditional && CONDITIONS.contains(&name);
        if !replaced && !dropped {
            start_member(text, name);
            text.extend_from_slice(value.get().as_bytes());
        }
    }
    for (name, value) in given {
        start_member(text, name);
        write_text(text, value);
    }
    text.push(b'}');
    Ok(())
}

impl Change {
    /// The members that it gives.
    fn given(&self) -> Vec<(&'static str, &str)> {
        let members = [
            ("method", self.method),
            ("url", self.url.as_deref()),
            ("ifMatch", self.if_match.as_deref()),
            ("ifNoneMatch", self.if_none_match.as_deref()),
            ("ifNoneExist", self.if_none_exist.as_deref()),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// About how many bytes it adds.
    fn length(&self) -> usize {
        let given = self.given().into_iter();
        given.fold(0, |sum, (name, value)| {
            sum.saturating_add(name.len()).saturating_add(value.len()).saturating_add(8)
        })
    }
}

fn start_member(text: &mut Vec<u8>, name: &str) {
    separate(text);
    write_text(text, name);
    text.push(b':');
}

/// A JSON string.
fn write_text(text: &mut Vec<u8>, value: &str) {
    text.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
}

/// A comma, unless nothing stands before it.
fn separate(text: &mut Vec<u8>) {
    if !matches!(text.last(), Some(b'[' | b'{')) {
        text.push(b',');
    }
}

/// What a request may be made to depend on.
const CONDITIONS: [&str; 4] = ["ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist"];
