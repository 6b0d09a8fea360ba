//! `aud` names this API (RFC 9068 section 4); a token without `aud` is for nobody.

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::{claims, reasons};

pub(super) fn check(context: &Context<'_>) -> Result<(), Refusal> {
    let given = &context.claims.audience;
    if !context.members.contains_key("aud") {
        return Err(claims::missing("aud"));
    }
    match given.iter().any(|name| context.issuer.audiences.contains(name)) {
        true => Ok(()),
        false => Err(Refusal::new(&reasons::TOKEN_AUDIENCE)),
    }
}
