//! Why a request is refused at the revocation list.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    /// An entry of the list in force matches the token.
    TOKEN_REVOKED = Reason::new(401, "token_revoked", "login",
        "the token was revoked: get a new one").challenge(Challenge::InvalidToken);
    /// The token's status is 2, `SUSPENDED` (draft-ietf-oauth-status-list section 7.1).
    TOKEN_SUSPENDED = refused("token_suspended",
        "the token is suspended for now: sign in again or ask the issuer");
    /// The token has no `status.status_list`, and `status_required` is set.
    TOKEN_STATUS_MISSING = refused("token_status_missing",
        "the token does not say where its status is kept, as this API requires");
    /// The token's status list is in no entry of `status_lists`: it is never fetched.
    TOKEN_STATUS_FOREIGN = refused("token_status_foreign",
        "the token's status is kept where this API does not look");
    /// The token's status list ends before its `idx`.
    TOKEN_STATUS_UNLISTED = refused("token_status_unlisted",
        "the token's status list has no status for it");
    /// The token was issued before the first answer of the transmitter after a start of Envoy, or before
    /// there were more events than can be remembered: earlier ones may be forgotten.
    TOKEN_PREDATES_EVENTS = refused("token_predates_events",
        "the token was issued too long ago: get a new one");
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
    /// The token's status list was not fetched yet, and is on its way or can't be fetched.
    STATUS_LIST_UNAVAILABLE = Reason::new(503, "status_list_unavailable", "transient",
        "the token's status can't be told yet: try again");
    /// The `exp` of the token's status list has passed, or it was confirmed longer than
    /// `max_staleness` ago, and `when_stale` is `refuse`.
    STATUS_LIST_STALE = Reason::new(503, "status_list_stale", "transient",
        "the token's status can't be told at the moment: try again");
    /// The transmitter of events was not asked yet, or not read to its end since Envoy started.
    REVOCATION_EVENTS_UNAVAILABLE = Reason::new(503, "revocation_events_unavailable", "transient",
        "revoked tokens can't be told apart yet: try again");
    /// The transmitter of events was last read to its end longer than `max_staleness` ago, and
    /// `when_stale` is `refuse`.
    REVOCATION_EVENTS_STALE = Reason::new(503, "revocation_events_stale", "transient",
        "revoked tokens can't be told apart at the moment: try again");
    /// The host's shared data failed, or what events revoked is overwritten there.
    REVOCATION_EVENTS_UNREADABLE = Reason::new(503, "revocation_events_unreadable", "transient",
        "revoked tokens can't be told apart at the moment: try again");
    /// Tokens of 64 other status lists were used in the last ten minutes.
    STATUS_LISTS_FULL = Reason::new(503, "status_lists_full", "transient",
        "the token's status can't be told at the moment: try again later");
}

const fn refused(code: &'static str, text: &'static str) -> Reason {
    Reason::new(401, code, "login", text).challenge(Challenge::InvalidToken)
}
