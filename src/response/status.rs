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
pub(super) fn outcome(expected: &Expected, status: u16) -> Result<Outcome, Refusal> {
    let form = &expected.form;
    match status {
        200 => Ok(Outcome::Success),
        201 | 202 | 204 if matches!(form, Form::Written(_)) => Ok(Outcome::Success),
        204 if matches!(form, Form::Result) => Ok(Outcome::Success),
        404 | 410 if tells_what_exists(expected) => Err(Refusal::new(&ANSWER_NOT_FOUND)),
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
fn tells_what_exists(expected: &Expected) -> bool {
    match &expected.form {
        Form::Resource(_) | Form::History(_) => expected.concealed,
        Form::Batch(asked) => asked.iter().flatten().any(tells_what_exists),
        Form::Searchset(_) | Form::Collection | Form::Result | Form::Written(_) => false,
    }
}
