//! Why a request is refused at the limits.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    /// The session was idle for longer than its rule's `idle`. It stays ended, whatever token is used.
    SESSION_IDLE = Reason::new(401, "session_idle", "expired",
        "the session was idle for too long: sign in again").challenge(Challenge::InvalidToken);
    /// The session is older than its rule's `lifetime`. It stays ended, whatever token is used.
    SESSION_OVER = Reason::new(401, "session_over", "expired",
        "the session has lasted as long as it may: sign in again")
        .challenge(Challenge::InvalidToken);
    /// A rule of `sessions` fits the token, which has neither the session's claim (`sid`) nor `jti`.
    SESSION_UNNAMED = Reason::new(401, "session_unnamed", "login",
        "the token names no session: it needs `sid` or `jti`").challenge(Challenge::InvalidToken);
    /// Other workers wrote to the same place in shared data each time before this one could.
    SESSION_CONTENDED = Reason::new(503, "session_contended", "transient",
        "the session can't be looked up at the moment: try again");
    /// The host's shared data failed.
    SESSION_UNREADABLE = Reason::new(503, "session_unreadable", "transient",
        "the session can't be looked up at the moment: try again");
}
