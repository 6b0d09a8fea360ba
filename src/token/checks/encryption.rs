//! An issuer whose tokens must be encrypted.

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::reasons;

/// Refuses a token that is signed only where the issuer's `encryption.required` says so.
pub(super) fn check(token: &Context<'_>) -> Result<(), Refusal> {
    let required = token.issuer.encryption.as_ref().is_some_and(|encryption| encryption.required);
    match required && !token.encrypted {
        true => Err(Refusal::new(&reasons::TOKEN_ENCRYPTION_REQUIRED)),
        false => Ok(()),
    }
}
