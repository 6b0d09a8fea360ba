//! Stage 9: what of the FHIR server's answer reaches a client that is confined to a patient. The
//! answer is held until it is judged, so a server that ignores a narrowed search, or that is asked
//! for a resource by its id, still shows nothing foreign.
//!
//! JSON only, read strictly. What can't be read, or is not what was asked for, is refused.

pub mod reasons;

use crate::base::refusal::Refusal;
use crate::fhir::Api;
use crate::policy::Expected;
use crate::request::Headers;

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
    "repr-digest",
    "signature",
    "signature-input",
];

/// Judges an answer by its status and header fields, before its body came. `end_of_stream`: there
/// is no body. Of a held answer without one, [`body`] judges the empty body.
pub fn head(
    _expected: &Expected,
    _status: u16,
    _headers: &Headers,
    _end_of_stream: bool,
) -> Course {
    Course::Refuse(Refusal::new(&reasons::ANSWER_UNREADABLE))
}

/// Judges an answer that [`head`] held, by its whole body.
pub fn body(_expected: &Expected, _status: u16, _body: &[u8], _api: &Api) -> Verdict {
    Verdict::Refuse(Refusal::new(&reasons::ANSWER_UNREADABLE))
}
