//! The Bundle of a search, a history or a collection: judged entry by entry.

use std::collections::BTreeSet;

use super::bundle::Bundle;
use super::edits::{Edits, Sieve};
use super::entry::Entry;
use super::judge::Judge;
use super::resource::{AsResource, Resource};
use super::walk::{Fault, Walk};
use crate::policy::Form;
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;

/// Judges such a Bundle and takes out what the client may not see.
///
/// # Errors
///
/// It can't be read, is no such Bundle, is a history without a version that the client may see, or a
/// document of which it may not see all.
pub(super) fn judge(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(), Fault> {
    let mark = edits.mark();
    let bundle = Bundle::read(walk, edits, |walk, edits| entries(judge, walk, edits))?;
    let kind = bundle.kind(kinds(&judge.expected.form))?;
    let removed = edits.removed_since(mark) > 0;
    match (kind, bundle.entries()) {
        // Of a history only versions stay that the client may see, and what was done to them.
        ("history", entries) if entries.is_none_or(|(sieve, _)| sieve.is_empty()) => {
            return Err(&COMPARTMENT_NOT_MEMBER);
        }
        (DOCUMENT, _) if removed => return Err(&COMPARTMENT_NOT_MEMBER),
        ("searchset", Some((sieve, end))) if removed => sieve.add(*end, SUPPRESSED_MATCH, edits),
        ("collection", Some((sieve, end))) if removed => sieve.add(*end, SUPPRESSED, edits),
        // Bundle invariants bdl-2 to bdl-4 leave no place for an outcome in a history.
        _ => {}
    }
    bundle.close(judge.expected.counted, mark, edits);
    Ok(())
}

/// The kinds of Bundle that such an answer can be.
const fn kinds(form: &Form) -> &'static [&'static str] {
    match form {
        Form::History(_) => &["history"],
        Form::Collection | Form::Result => &["searchset", "collection", DOCUMENT],
        _ => &["searchset"],
    }
}

/// Judges the entries; gives what stays of them and where they end.
fn entries<'a>(
    judge: &Judge<'_>,
    walk: &mut Walk<'a>,
    edits: &mut Edits,
) -> Result<(Sieve, usize), Fault> {
    let Form::History(_) = judge.expected.form else {
        return sift(judge, walk, edits, |entry| judge.keeps_found(entry));
    };
    let mut seen = BTreeSet::new();
    walk.clone().array(|walk| {
        let entry = Entry::read(walk, AsResource(judge))?;
        seen.extend(judge.version(&entry).map(str::to_owned));
        Ok(())
    })?;
    sift(judge, walk, edits, |entry| judge.keeps_version(entry, &seen))
}

/// Cuts the entries that don't stay.
fn sift<'a>(
    judge: &Judge<'_>,
    walk: &mut Walk<'a>,
    edits: &mut Edits,
    keeps: impl Fn(&Entry<'a, Resource<'a>>) -> bool,
) -> Result<(Sieve, usize), Fault> {
    let mut sieve = Sieve::default();
    let end = walk.array(|walk| {
        let entry = Entry::read(walk, AsResource(judge))?;
        let stays = keeps(&entry);
        edits.count(usize::from(!stays));
        sieve.next(entry.span, stays, edits);
        Ok(())
    })?;
    Ok((sieve, end))
}

/// A Bundle that means something only whole (<http://hl7.org/fhir/R4/documents.html>).
const DOCUMENT: &str = "document";

/// The text of an entry that tells the client that there is more than it may see, and not how much.
macro_rules! suppressed {
    ($end:literal) => {
        concat!(
            r#"{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","#,
            r#""code":"suppressed","details":{"text":"what this token does not show was removed"}}]}"#,
            $end,
        )
    };
}
const SUPPRESSED: &str = suppressed!("}");
const SUPPRESSED_MATCH: &str = suppressed!(r#","search":{"mode":"outcome"}}"#);
