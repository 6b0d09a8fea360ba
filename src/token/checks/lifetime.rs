//! How long the token lives: a stolen one is worth as much as the time it has left. Only an answer of its
//! issuer may leave out when it was issued.

use core::time::Duration;

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::reasons;

pub(super) fn check(context: &Context<'_>) -> Result<(), Refusal> {
    if !context.members.contains_key("iat") {
        return Ok(());
    }
    let (issued_at, expires) = (context.claims.issued_at.0, context.claims.expires.0);
    match expires.checked_sub(issued_at).map(Duration::from_secs) {
        None | Some(Duration::ZERO) => Err(Refusal::new(&reasons::TOKEN_LIFETIME_INVALID)),
        Some(lifetime) if lifetime > context.issuer.max_lifetime => {
            Err(Refusal::new(&reasons::TOKEN_LIFETIME_TOO_LONG))
        }
        Some(_) => Ok(()),
    }
}
