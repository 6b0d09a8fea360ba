//! `typ` says what kind of JWT this is (RFC 8725 section 3.11, RFC 9068 section 4). A token without
//! it is refused: it could be any JWT of the issuer.

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::issuers::bare_type;
use crate::token::reasons;

pub(super) fn check(context: &Context<'_>) -> Result<(), Refusal> {
    let given = context.media_type.map(bare_type);
    match given.is_some_and(|given| context.issuer.types.contains(&given)) {
        true => Ok(()),
        false => Err(Refusal::new(&reasons::TOKEN_TYPE_REFUSED)),
    }
}
