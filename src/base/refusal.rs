//! Why a request is refused, in two voices: what the client reads and what the audit record says.
//!
//! Every reason is a constant in the folder that refuses (`token::reasons`, `policy::reasons`, …),
//! so status, challenge, client text and audit code stand together. A refusal points at its reason.
//!
//! Until a signature is proven the client learns one public code (`token_invalid`): which check
//! failed is written to the audit record only. After it, the precise code helps an app's developer
//! and tells an attacker nothing.

use core::time::Duration;

use serde_json::{Value, json};

/// `issue.details.coding.system` of every reason code.
pub const REASON_SYSTEM: &str = "urn:phiward:reason";

/// A stable reason for a refusal. Compared by [`Reason::code`].
#[derive(Debug)]
pub struct Reason {
    /// Stable code in audit records and metrics, for example `token_signature_invalid`.
    pub code: &'static str,
    /// Stable code in the answer's `OperationOutcome`; equals `code` unless that would guide an attack.
    pub public: &'static str,
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// `OperationOutcome.issue.code`, of <http://hl7.org/fhir/issue-type>.
    pub issue: &'static str,
    /// What the `WWW-Authenticate` header says (RFC 6750 section 3).
    pub challenge: Challenge,
    /// One sentence for the client: lower case, no full stop, what to do where that is known.
    pub text: &'static str,
}

/// The form of the `WWW-Authenticate` header (RFC 6750 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// No such header.
    None,
    /// No credentials were sent: realm only, no error code.
    Missing,
    /// `error="invalid_request"`.
    InvalidRequest,
    /// `error="invalid_token"`.
    InvalidToken,
    /// `error="insufficient_scope"`, with the scope that would do where it is known.
    InsufficientScope,
}

/// A refused request: the reason, and what is particular to this request.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub reason: &'static Reason,
    /// Names the part of the request at fault for the client (`parameter `_has``, `scope …`).
    /// Never a token, a secret, a parameter's value or an id.
    pub hint: Option<String>,
    /// The SMART scope that would have allowed it, for `insufficient_scope`.
    pub scope: Option<String>,
    /// `Retry-After`, for refusals that pass.
    pub retry_after: Option<Duration>,
    /// `Allow`, for 405 (RFC 9110 section 15.5.6).
    pub allow: Option<&'static str>,
    /// Whether what is missing is on its way: the request may wait for it instead, for moments.
    pub pending: bool,
}

impl Refusal {
    /// A refusal with nothing particular to say.
    pub const fn new(reason: &'static Reason) -> Refusal {
        Refusal { reason, hint: None, scope: None, retry_after: None, allow: None, pending: false }
    }

    /// What the client reads of it: an `OperationOutcome`
    /// (<http://hl7.org/fhir/R4/operationoutcome.html>).
    pub fn outcome(&self, request_id: Option<&str>) -> Value {
        let reason = self.reason;
        let text = match &self.hint {
            Some(hint) => format!("{}: {hint}", reason.text),
            None => reason.text.to_owned(),
        };
        let mut issue = json!({
            "severity": "error",
            "code": reason.issue,
            "details": {
                "coding": [{"system": REASON_SYSTEM, "code": reason.public}],
                "text": text,
            },
        });
        if let (Some(id), Some(issue)) = (request_id, issue.as_object_mut()) {
            issue.insert("diagnostics".to_owned(), json!(format!("request id: {id}")));
        }
        json!({"resourceType": "OperationOutcome", "issue": [issue]})
    }

    /// Adds the part of the request at fault.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the scope that would have allowed the request.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Refusal {
        self.scope = Some(scope.into());
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, length: Duration) -> Refusal {
        self.retry_after = Some(length);
        self
    }

    /// Says that what is missing is on its way: the request is asked again when there is news.
    #[must_use]
    pub fn pending(mut self) -> Refusal {
        self.pending = true;
        self
    }

    /// Adds the methods that would do.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Refusal {
        self.allow = Some(methods);
        self
    }
}

impl From<&'static Reason> for Refusal {
    fn from(reason: &'static Reason) -> Refusal {
        Refusal::new(reason)
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Reason) -> bool {
        self.code == other.code
    }
}
impl Eq for Reason {}

impl PartialEq for Refusal {
    fn eq(&self, other: &Refusal) -> bool {
        self.reason == other.reason
    }
}
impl Eq for Refusal {}

impl Reason {
    /// A reason whose public code is its own.
    pub const fn new(
        status: u16,
        code: &'static str,
        issue: &'static str,
        text: &'static str,
    ) -> Reason {
        Reason { code, public: code, status, issue, challenge: Challenge::None, text }
    }

    /// The same reason under another public code.
    #[must_use]
    pub const fn shown_as(mut self, public: &'static str) -> Reason {
        self.public = public;
        self
    }

    /// The same reason with a `WWW-Authenticate` header.
    #[must_use]
    pub const fn challenge(mut self, challenge: Challenge) -> Reason {
        self.challenge = challenge;
        self
    }
}

/// Declares a folder's reasons as constants and lists them with their meaning, for docs and tests.
#[macro_export]
macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $reason:expr;)*) => {
        $($(#[doc = $doc])* pub static $name: $crate::base::refusal::Reason = $reason;)*
        /// Every reason of this folder, in the order of the file.
        pub static ALL: &[&$crate::base::refusal::Reason] = &[$(&$name),*];
        /// What each of them means to the operator: the comment above it.
        pub static MEANINGS: &[&str] = &[$(concat!($($doc),*)),*];
    };
}
