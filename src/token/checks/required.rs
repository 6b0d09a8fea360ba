//! The claims of `require` are there: `sub` and `jti` by default, without which a token can't be
//! audited or revoked by name. A claim that is null or empty is not there.

use serde_json::Value;

use super::Context;
use crate::base::refusal::Refusal;
use crate::token::claims;

pub(super) fn check(context: &Context<'_>) -> Result<(), Refusal> {
    let is_missing = |name: &&String| match context.members.get(*name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    match context.issuer.require.iter().find(is_missing) {
        None => Ok(()),
        Some(name) => Err(claims::missing(name)),
    }
}
