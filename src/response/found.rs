//! The Bundle of a search, a history or a collection: judged entry by entry.

use std::collections::BTreeSet;

use super::bundle::Bundle;
use super::edits::{Edits, Sieve};
use super::entry::Entry;
use super::judge::Judge;
use super::resource::AsResource;
use super::walk::{Fault, Span, Walk};
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
fn entries(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(Sieve, usize), Fault> {
    match judge.expected.form {
        Form::History(_) => versions(judge, walk, edits),
        _ => sift(judge, walk, edits),
    }
}

/// What becomes of an entry of a history.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A version that the client may see.
    Stays,
    /// Neither that nor a deletion.
    Goes,
    /// The deletion of this id. It stays when the client may see a version of the same: any other
    /// deletion would tell that somebody's resource existed.
    Deleted(String),
}

/// Cuts the entries of a history that don't stay. Which deletions do is known at its end, so until
/// then neighbours of one fate are kept as one.
fn versions(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(Sieve, usize), Fault> {
    let mut seen = BTreeSet::new();
    let mut runs: Vec<(Span, Fate)> = Vec::new();
    let end = walk.array(|walk| {
        let entry = Entry::read(walk, AsResource(judge))?;
        let fate = match (judge.version(&entry), judge.deleted(&entry)) {
            (Some(id), _) => {
                seen.insert(id.to_owned());
                Fate::Stays
            }
            (None, Some(id)) => Fate::Deleted(id.to_owned()),
            (None, None) => Fate::Goes,
        };
        edits.count(usize::from(fate == Fate::Goes));
        match runs.last_mut() {
            Some((span, last)) if *last == fate && !matches!(fate, Fate::Deleted(_)) => {
                span.end = entry.span.end;
            }
            _ => runs.push((entry.span, fate)),
        }
        Ok(())
    })?;
    let mut sieve = Sieve::default();
    for (span, fate) in runs {
        let stays = match fate {
            Fate::Stays => true,
            Fate::Goes => false,
            Fate::Deleted(id) => {
                let known = seen.contains(&id);
                edits.count(usize::from(!known));
                known
            }
        };
        sieve.next(span, stays, edits);
    }
    Ok((sieve, end))
}

/// Cuts the entries of a searchset or collection that don't stay.
fn sift(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(Sieve, usize), Fault> {
    let mut sieve = Sieve::default();
    let end = walk.array(|walk| {
        let entry = Entry::read(walk, AsResource(judge))?;
        let stays = judge.keeps_found(&entry);
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
