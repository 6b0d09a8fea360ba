//! What an answer holds, or an entry of a batch's answer: judged by the form it must have.

use super::edits::Edits;
use super::judge::{Judge, is_bare_outcome};
use super::reasons::ANSWER_CONTEXT_UNKNOWN;
use super::resource::AsResource;
use super::walk::{Fault, Walk};
use super::{batch, found, result};
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;
use crate::policy::{By, Form};

/// Judges the value that comes next.
pub(super) fn judge(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(), Fault> {
    match &judge.expected.form {
        Form::Resource(_) => resource(judge, walk),
        Form::Written(_) => written(judge, walk, edits),
        Form::Searchset(_) | Form::History(_) | Form::Collection => {
            found::judge(judge, walk, edits)
        }
        Form::Result => result::judge(judge, walk, edits),
        Form::Batch(asked) => batch::judge(judge, asked, walk, edits),
    }
}

/// Whether such an answer may have no body: what was asked for was to be done, not to be shown.
pub(super) const fn may_be_empty(form: &Form) -> bool {
    matches!(form, Form::Written(_) | Form::Result)
}

fn resource(judge: &Judge<'_>, walk: &mut Walk<'_>) -> Result<(), Fault> {
    let (_, resource) = walk.value(AsResource(judge))?;
    match judge.sees(&resource, By::Read) {
        true => Ok(()),
        false if judge.lacks_context(&resource) => Err(&ANSWER_CONTEXT_UNKNOWN),
        false => Err(&COMPARTMENT_NOT_MEMBER),
    }
}

/// The write is done, so a refusal would mislead: a resource that the client may not see, such as one
/// of a type that it may create and not read, gives way to an `OperationOutcome` that says so.
fn written(judge: &Judge<'_>, walk: &mut Walk<'_>, edits: &mut Edits) -> Result<(), Fault> {
    let (span, resource) = walk.value(AsResource(judge))?;
    if !is_bare_outcome(&resource) && !judge.sees(&resource, By::Read) {
        edits.count(1);
        edits.replace(span, UNSHOWN);
    }
    Ok(())
}

/// What stands in place of a resource that was written and is not shown.
pub(super) const UNSHOWN: &str = concat!(
    r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"suppressed","#,
    r#""details":{"text":"done; this token does not show the resource"}}]}"#,
);
