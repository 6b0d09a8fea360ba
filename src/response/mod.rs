//! Stage 9: what of the FHIR server's answer reaches a client whose scopes or patient confine what it
//! may see. The answer is held until it is judged, so a server that ignores a narrowed search, or
//! that is asked for a resource by its id, still shows nothing foreign.
//!
//! JSON only, read strictly and in one pass: what is judged of each resource is kept for as long as
//! that resource is judged, the rest is only checked. What can't be read, or is not what was asked
//! for, is refused. The request must not ask for what is refused here: its conditional fields,
//! `Range` and `Accept-Encoding` are dropped and its formats judged before it goes on.

mod answer;
mod batch;
mod bundle;
mod contained;
mod edits;
mod entry;
mod found;
mod headers;
mod judge;
mod line;
mod patients;
pub mod reasons;
mod resource;
mod result;
mod status;
mod strict;
mod walk;

#[cfg(test)]
mod tests;

pub use batch::statuses;
pub use headers::is_ndjson;
pub use line::line;
pub use patients::{is_readable, patients};

use crate::base::refusal::Refusal;
use crate::fhir::Api;
use crate::policy::{Expected, Smart};
use crate::request::Headers;
use edits::Edits;
use judge::Judge;
use reasons::ANSWER_UNREADABLE;
use resource::AsResource;
use status::{Outcome, error_body, outcome};
use walk::{Fault, Walk};

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
        /// How many resources, entries of a Bundle, and members of a Bundle that FHIR does not have,
        /// were removed. 0: only what counts more than the client may see.
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
    "content-location",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "last-modified",
    "link",
    "location",
    "repr-digest",
    "signature",
    "signature-input",
    COUNT,
];

/// The header field, lower case, in which servers say how much a search found.
pub const COUNT: &str = "x-total-count";

/// Judges an answer by its status and header fields, before its body came. `end_of_stream`: there
/// is no body. Of a held answer without one, [`body`] judges the empty body.
pub fn head(expected: &Expected, status: u16, headers: &Headers, end_of_stream: bool) -> Course {
    let may_be_empty = answer::may_be_empty(&expected.form);
    let refusal = match outcome(expected, status) {
        Err(refusal) => refusal,
        Ok(Outcome::Error) if end_of_stream => return Course::Hold,
        Ok(Outcome::Success) if end_of_stream && may_be_empty => return Course::Hold,
        // In chunks even nothing comes later. If something does, it must be JSON.
        Ok(Outcome::Success) if may_be_empty && headers::are_silent(headers) => {
            return Course::Hold;
        }
        Ok(Outcome::Success) if end_of_stream => Refusal::new(&ANSWER_UNREADABLE),
        Ok(outcome) => match (headers::is_json(headers), outcome) {
            (Ok(()), _) => return Course::Hold,
            (Err(_), Outcome::Error) => error_body(status),
            (Err(reason), Outcome::Success) => Refusal::new(reason),
        },
    };
    Course::Refuse(refusal)
}

/// Judges an answer that [`head`] held, by its whole body.
pub fn body(expected: &Expected, status: u16, body: &[u8], api: &Api, smart: &Smart) -> Verdict {
    let judge = Judge { expected, api, smart };
    let edits = outcome(expected, status).and_then(|outcome| match outcome {
        Outcome::Error if is_error(&judge, body) => Ok(Edits::default()),
        Outcome::Error => Err(error_body(status)),
        Outcome::Success => success(&judge, body).map_err(Refusal::new),
    });
    match edits {
        Ok(edits) => edits.verdict(body),
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

fn success(judge: &Judge<'_>, body: &[u8]) -> Result<Edits, Fault> {
    let mut edits = Edits::default();
    if body.is_empty() && answer::may_be_empty(&judge.expected.form) {
        return Ok(edits);
    }
    let mut walk = Walk::new(body)?;
    // What could be read is read to its end, whatever it turns out to be.
    let judged = answer::judge(judge, &mut walk, &mut edits);
    if walk.is_at_end() { judged.map(|()| edits) } else { Err(&ANSWER_UNREADABLE) }
}

/// The body of an error can hold a resource as well as any other: only an `OperationOutcome` passes.
fn is_error(judge: &Judge<'_>, body: &[u8]) -> bool {
    let outcome = |mut walk: Walk<'_>| {
        let read = walk.value(AsResource(judge));
        read.is_ok_and(|(_, resource)| judge::is_bare_outcome(&resource)) && walk.is_at_end()
    };
    body.is_empty() || Walk::new(body).is_ok_and(outcome)
}
