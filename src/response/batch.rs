//! The Bundle with the answers to a batch or transaction: each judged as if it had come alone, and
//! refused in its place.

use core::marker::PhantomData;
use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::answer::{self, UNSHOWN};
use super::bundle::Bundle;
use super::edits::Edits;
use super::entry::Entry;
use super::judge::{Judge, holds_resource, is_bare_outcome, is_outcome};
use super::reasons::{ANSWER_BATCH_ENTRIES, ANSWER_BATCH_ENTRY};
use super::resource::AsResource;
use super::status::{Outcome, error_body, outcome};
use super::strict::{Skim, Strict};
use super::walk::{Fault, Walk};
use crate::base::node::Node;
use crate::base::refusal::Refusal;
use crate::policy::{Expected, Form};

/// Judges such a Bundle.
///
/// # Errors
///
/// It can't be read, is no such Bundle, or has not one entry for each that was asked.
pub(super) fn judge(
    judge: &Judge<'_>,
    asked: &[Option<Expected>],
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(), Fault> {
    let mark = edits.mark();
    let bundle = Bundle::read(walk, edits, |walk, edits| {
        let mut count: usize = 0;
        walk.array(|walk| {
            let expected = asked.get(count).and_then(Option::as_ref);
            count = count.saturating_add(1);
            match expected {
                None => walk.value(Skim(&mut Strict::default())).map(|_| ()),
                Some(expected) => entry(&Judge { expected, ..*judge }, walk, edits),
            }
        })?;
        Ok(count)
    })?;
    bundle.kind(&["batch-response", "transaction-response"])?;
    if bundle.entries().copied().unwrap_or_default() != asked.len() {
        return Err(&ANSWER_BATCH_ENTRIES);
    }
    bundle.close(judge.expected.counted, mark, edits);
    Ok(())
}

/// Judges the next entry, and refuses it in its place.
fn entry(judge: &Judge<'_>, walk: &mut Walk<'_>, edits: &mut Edits) -> Result<(), Fault> {
    let mark = edits.mark();
    let entry = Entry::read(walk, PhantomData::<IgnoredAny>)?;
    let instead = match passes(judge, &entry, walk, edits) {
        Err(refusal) => refused(&refusal),
        // Where it is and of which version it is tells of it, too.
        Ok(()) if is_written(judge) && edits.changed_since(mark) => done(&entry.fields),
        Ok(()) => return Ok(()),
    };
    edits.back_to(mark);
    edits.count(1);
    edits.replace(entry.span, instead);
    Ok(())
}

const fn is_written(judge: &Judge<'_>) -> bool {
    matches!(judge.expected.form, Form::Written(_))
}

/// Judges an entry as the answer that it is. Its status goes first: what is missing must look like
/// what is not shown, whatever else the entry has.
fn passes(
    judge: &Judge<'_>,
    entry: &Entry<'_, IgnoredAny>,
    walk: &Walk<'_>,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let form = &judge.expected.form;
    let status = status(&entry.fields).ok_or_else(|| Refusal::new(&ANSWER_BATCH_ENTRY))?;
    let outcome = outcome(judge.expected, status)?;
    if !is_plain(judge, &entry.fields) {
        return Err(Refusal::new(&ANSWER_BATCH_ENTRY));
    }
    match (outcome, &entry.resource) {
        (Outcome::Error, None) => Ok(()),
        (Outcome::Error, Some((span, _))) => {
            let (_, resource) = walk.to(*span).value(AsResource(judge))?;
            if is_bare_outcome(&resource) { Ok(()) } else { Err(error_body(status)) }
        }
        (Outcome::Success, Some((span, _))) => {
            Ok(answer::judge(judge, &mut walk.to(*span), edits)?)
        }
        (Outcome::Success, None) if answer::may_be_empty(form) => Ok(()),
        (Outcome::Success, None) => Err(Refusal::new(&ANSWER_BATCH_ENTRY)),
    }
}

/// The number that `response.status` begins with
/// (<http://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response.status>).
fn status(fields: &Node<'_>) -> Option<u16> {
    number(fields.get("response")?)
}

fn number(response: &Node<'_>) -> Option<u16> {
    let text = response.text_of("status")?;
    let (number, _) = text.split_once(' ').unwrap_or((text, ""));
    let digits = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| digits)
}

/// Whether an entry has only members that FHIR knows, and besides its resource no other than an
/// `OperationOutcome` in `response.outcome`.
fn is_plain(judge: &Judge<'_>, fields: &Node<'_>) -> bool {
    let in_response = |(name, value): &(Cow<'_, str>, Node<'_>)| {
        if name == "outcome" { is_outcome(value) } else { !holds_resource(value) }
    };
    fields.members().iter().all(|(name, value)| match name.as_ref() {
        "response" => value.members().iter().all(in_response),
        name => judge.is_known(name, value) && !holds_resource(value),
    })
}

/// The status of each entry's answer, for the audit record: `None` where an entry has none. Empty when
/// this is no such Bundle.
pub fn statuses(body: &[u8]) -> Vec<Option<u16>> {
    #[derive(Deserialize)]
    struct Answers<'b> {
        #[serde(borrow, default)]
        entry: Vec<Answer<'b>>,
    }
    #[derive(Deserialize)]
    struct Answer<'b> {
        #[serde(borrow)]
        response: Option<Node<'b>>,
    }
    let answers = serde_json::from_slice::<Answers<'_>>(body).map(|answers| answers.entry);
    let number = |answer: Answer<'_>| number(&answer.response?);
    answers.unwrap_or_default().into_iter().map(number).collect()
}

/// An entry that says that a write was done and that its resource is not shown.
fn done(fields: &Node<'_>) -> String {
    let status = status(fields).unwrap_or(200);
    format!(r#"{{"response":{{"status":"{status}","outcome":{UNSHOWN}}}}}"#)
}

/// An entry that says what the client would read had it asked for this alone.
fn refused(refusal: &Refusal) -> String {
    let status = match refusal.reason.status {
        403 => "403 Forbidden",
        406 => "406 Not Acceptable",
        _ => "502 Bad Gateway",
    };
    json!({"response": {"status": status, "outcome": refusal.outcome(None)}}).to_string()
}
