//! When the token may be used (RFC 7519 sections 4.1.4 to 4.1.6). Instants are whole numbers; the
//! issuer's clock may be off by the configured skew.

use super::Context;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::token::reasons;

/// `exp`: from that instant on the token must not be accepted.
pub(super) fn expired(context: &Context<'_>) -> Result<(), Refusal> {
    let end = Instant::from_seconds(context.claims.expires).plus(context.issuer.clock_skew);
    match context.now < end {
        true => Ok(()),
        false => Err(Refusal::new(&reasons::TOKEN_EXPIRED)),
    }
}

/// `nbf`: before that instant the token must not be accepted.
pub(super) fn not_yet_valid(context: &Context<'_>) -> Result<(), Refusal> {
    let begin = context.claims.not_before.map(Instant::from_seconds).unwrap_or_default();
    match begin <= latest_now(context) {
        true => Ok(()),
        false => Err(Refusal::new(&reasons::TOKEN_NOT_YET_VALID)),
    }
}

/// `iat`: a token of the future was signed by a wrong clock, or to outlive the lifetime cap.
pub(super) fn issued_in_future(context: &Context<'_>) -> Result<(), Refusal> {
    match Instant::from_seconds(context.claims.issued_at) <= latest_now(context) {
        true => Ok(()),
        false => Err(Refusal::new(&reasons::TOKEN_ISSUED_IN_FUTURE)),
    }
}

fn latest_now(context: &Context<'_>) -> Instant {
    context.now.plus(context.issuer.clock_skew)
}
