//! Values with several alternatives (<http://hl7.org/fhir/R4/search.html#escaping>).

use std::borrow::Cow;

use crate::base::refusal::Reason;
use crate::fhir::reasons::SEARCH_ESCAPE;

/// The alternatives of a value, at least one: split at every `,` without `\` before it, then with
/// `\,` `\$` `\|` `\\` as the character they stand for. What `$` and `|` separate can't be told
/// afterwards where they were escaped too.
///
/// # Errors
///
/// [`SEARCH_ESCAPE`]: a `\` before anything else. Some servers keep it, others drop it.
pub fn alternatives(value: &str) -> Result<Vec<Cow<'_, str>>, &'static Reason> {
    if !value.contains('\\') {
        return Ok(value.split(',').map(Cow::Borrowed).collect());
    }
    let mut found = Vec::new();
    let mut item = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => found.push(Cow::Owned(core::mem::take(&mut item))),
            '\\' => match characters.next() {
                Some(escaped @ (',' | '$' | '|' | '\\')) => item.push(escaped),
                _ => return Err(&SEARCH_ESCAPE),
            },
            other => item.push(other),
        }
    }
    found.push(Cow::Owned(item));
    Ok(found)
}
