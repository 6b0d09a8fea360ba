//! An ID token is for the app, not for the API. Its issuer, its keys and often its `typ` are those of
//! access tokens; what tells it apart are the claims that only OpenID Connect defines (Core 1.0
//! sections 2, 3.1.3.6 and 3.3.2.11) and no access token needs (RFC 9068 section 2.2). So is a security
//! event or logout token, told by `events` (RFC 8417 section 2.2, Back-Channel Logout 1.0 section 2.4).

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::reasons;

pub(super) fn check(context: &Context<'_>) -> Result<(), Refusal> {
    match ID_TOKEN_CLAIMS.iter().find(|name| context.members.contains_key(**name)) {
        None => Ok(()),
        Some(name) => {
            Err(Refusal::new(&reasons::TOKEN_IS_ID_TOKEN).hint(format!("claim `{name}`")))
        }
    }
}

const ID_TOKEN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "events"];
