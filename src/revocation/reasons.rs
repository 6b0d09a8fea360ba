//! Why a request is refused at the revocation list.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    /// An entry of the list in force matches the token.
    TOKEN_REVOKED = Reason::new(401, "token_revoked", "login",
        "the token was revoked: get a new one").challenge(Challenge::InvalidToken);
    /// No list was ever fetched, and `when_stale` is `refuse`.
    REVOCATION_UNAVAILABLE = Reason::new(503, "revocation_unavailable", "transient",
        "revoked tokens can't be told apart yet: try again");
    /// The list in force is older than `max_staleness`, and `when_stale` is `refuse`.
    REVOCATION_STALE = Reason::new(503, "revocation_stale", "transient",
        "revoked tokens can't be told apart at the moment: try again");
    /// A part of the list in shared data belongs to another loading: it is being loaded again.
    REVOCATION_TORN = Reason::new(503, "revocation_torn", "transient",
        "revoked tokens can't be told apart at the moment: try again");
    /// The host's shared data failed, or holds something that is no list of ours.
    REVOCATION_UNREADABLE = Reason::new(503, "revocation_unreadable", "transient",
        "revoked tokens can't be told apart at the moment: try again");
}
