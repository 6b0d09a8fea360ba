//! Stage 9: what of the FHIR server's answer reaches a client that is confined to a patient. The
//! answer is held until it is judged, so a server that ignores a narrowed search, or that is asked
//! for a resource by its id, still shows nothing foreign.
//!
//! JSON only, read strictly. What can't be read, or is not what was asked for, is refused. The
//! request must not ask for what is refused here: its conditional fields, `Range` and
//! `Accept-Encoding` are dropped and its formats judged before it goes on.

mod bundle;
mod content;
mod judge;
pub mod reasons;

#[cfg(test)]
mod tests;

use crate::base::node;
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::Api;
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;
use crate::policy::{Expected, Form, Smart};
use crate::request::Headers;
use judge::Judge;
use reasons::{ANSWER_ERROR_BODY, ANSWER_NOT_FOUND, ANSWER_STATUS, ANSWER_UNREADABLE};

/// What an answer's head says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Course {
    /// The body decides: hold the answer until it is whole.
    Hold,
    /// The answer must not pass, whatever its body.
    Refuse(Refusal),
}

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It passes as it is.
    Whole,
    /// It passes with this body, without the fields named in [`STALE`].
    Replace {
        /// The body to send instead: JSON in UTF-8.
        body: Vec<u8>,
        /// How many entries of the Bundle, and members of the Bundle that FHIR does not have, were
        /// removed. Never 0.
        removed: usize,
    },
    /// It must not pass.
    Refuse(Refusal),
}

/// Header fields, lower case, that describe the body that came and no longer fit a replaced one.
pub const STALE: &[&str] = &[
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "last-modified",
    "link",
    "repr-digest",
    "signature",
    "signature-input",
    "x-total-count",
];

/// Judges an answer by its status and header fields, before its body came. `end_of_stream`: there
/// is no body. Of a held answer without one, [`body`] judges the empty body.
pub fn head(expected: &Expected, status: u16, headers: &Headers, end_of_stream: bool) -> Course {
    let refusal = match outcome(expected, status) {
        Err(refusal) => refusal,
        Ok(Outcome::Success) if end_of_stream => Refusal::new(&ANSWER_UNREADABLE),
        Ok(Outcome::Success) => match content::is_json(headers) {
            Ok(()) => return Course::Hold,
            Err(reason) => Refusal::new(reason),
        },
        Ok(Outcome::Error) if end_of_stream || content::is_json(headers).is_ok() => {
            return Course::Hold;
        }
        Ok(Outcome::Error) => error_body(status),
    };
    Course::Refuse(refusal)
}

/// Judges an answer that [`head`] held, by its whole body.
pub fn body(expected: &Expected, status: u16, body: &[u8], api: &Api, smart: &Smart) -> Verdict {
    let judge = Judge { expected, api, smart };
    let verdict = match (outcome(expected, status), &expected.form) {
        (Err(refusal), _) => Err(refusal),
        (Ok(Outcome::Error), _) => error(status, body),
        (Ok(Outcome::Success), Form::Resource(_)) => resource(&judge, body).map_err(Refusal::new),
        (Ok(Outcome::Success), _) => bundle::judge(&judge, body).map_err(Refusal::new),
    };
    verdict.unwrap_or_else(Verdict::Refuse)
}

/// What a status says that this request can have.
enum Outcome {
    Success,
    Error,
}

fn outcome(expected: &Expected, status: u16) -> Result<Outcome, Refusal> {
    match status {
        200 => Ok(Outcome::Success),
        404 | 410 if !matches!(expected.form, Form::Searchset(_)) => {
            Err(Refusal::new(&ANSWER_NOT_FOUND))
        }
        400..=599 => Ok(Outcome::Error),
        _ => Err(Refusal::new(&ANSWER_STATUS).hint(format!("status {status}"))),
    }
}

fn resource(judge: &Judge<'_>, body: &[u8]) -> Result<Verdict, &'static Reason> {
    let resource = node::read(body).map_err(|_| &ANSWER_UNREADABLE)?;
    if judge.is_member(&resource) { Ok(Verdict::Whole) } else { Err(&COMPARTMENT_NOT_MEMBER) }
}

/// The body of an error can hold a resource as well as any other: only an `OperationOutcome` passes.
fn error(status: u16, body: &[u8]) -> Result<Verdict, Refusal> {
    let passes = body.is_empty() || node::read(body).is_ok_and(|value| judge::is_outcome(&value));
    if passes { Ok(Verdict::Whole) } else { Err(error_body(status)) }
}

fn error_body(status: u16) -> Refusal {
    Refusal::new(&ANSWER_ERROR_BODY).hint(format!("status {status}"))
}
