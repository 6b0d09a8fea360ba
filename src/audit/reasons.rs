//! Why a request is refused that could not be recorded.

use crate::base::refusal::Reason;

crate::reasons! {
    /// An environment variable that `audit` names is missing, or its secret is shorter than 32 bytes.
    AUDIT_SECRET_MISSING = Reason::new(503, "audit_secret_missing", "transient",
        "the gateway is not ready to record this request");
    /// A queue of audit records is full, and `audit.when_full` is `refuse`.
    AUDIT_FULL = Reason::new(503, "audit_full", "transient",
        "the gateway can't record this request now");
}
