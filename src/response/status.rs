//! What a status says of an answer.

use super::reasons::{ANSWER_ERROR_BODY, ANSWER_NOT_FOUND, ANSWER_STATUS};
use crate::base::refusal::Refusal;
use crate::policy::{Expected, Form};

/// What a status says that this request can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Error,
}

/// What a status says.
///
/// # Errors
///
/// [`ANSWER_STATUS`]: a status that such a request does not have. [`ANSWER_NOT_FOUND`]: one that must
/// look like somebody else's resource.
pub(super) fn outcome(form: &Form, status: u16) -> Result<Outcome, Refusal> {
    match status {
        200 => Ok(Outcome::Success),
        201 | 202 | 204 if matches!(form, Form::Written(_)) => Ok(Outcome::Success),
        204 if matches!(form, Form::Result) => Ok(Outcome::Success),
        404 | 410 if tells_what_exists(form) => Err(Refusal::new(&ANSWER_NOT_FOUND)),
        400..=599 => Ok(Outcome::Error),
        _ => Err(Refusal::new(&ANSWER_STATUS).hint(format!("status {status}"))),
    }
}

/// The refusal of an error's body.
pub(super) fn error_body(status: u16) -> Refusal {
    Refusal::new(&ANSWER_ERROR_BODY).hint(format!("status {status}"))
}

/// Whether it was the answer that had to tell whose a resource is, so that none must look the same. A
/// transaction fails as a whole.
fn tells_what_exists(form: &Form) -> bool {
    match form {
        Form::Resource(_) | Form::History(_) => true,
        Form::Batch(asked) => {
            let by_id = |expected: &Expected| tells_what_exists(&expected.form);
            asked.iter().flatten().any(by_id)
        }
        Form::Searchset(_) | Form::Collection | Form::Result | Form::Written(_) => false,
    }
}
