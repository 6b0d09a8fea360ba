//! What the issuer says of a token (RFC 7662 section 2.2): read strictly, and judged as what a token
//! says itself.

use core::time::Duration;
use std::rc::Rc;

use hmac_sha256::Hash as Sha256;
use serde_json::{Map, Value, json};

use super::Vouched;
use crate::base::json;
use crate::base::refusal::Refusal;
use crate::base::time::{Instant, UnixSeconds};
use crate::store::{CallFailed, HttpAnswer};
use crate::token::checks::{Context, INTROSPECTED};
use crate::token::claims::Claims;
use crate::token::issuers::Issuer;
use crate::token::{Rejected, Signed, VerifiedToken, reasons};

/// What the issuer said.
#[derive(Debug)]
pub(super) enum Said {
    /// The token is active, and this is known of it.
    Active(Map<String, Value>),
    /// It is not.
    Inactive,
}

/// Why it said nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It does not answer this client.
    Unauthorized(String),
    /// It does not answer anybody, or not with what RFC 7662 asks for.
    Unavailable(String),
}

/// Reads an answer. Only 200 with `active` says anything: an error is no word on the token.
pub(super) fn read(answer: Result<HttpAnswer, CallFailed>, cluster: &str) -> Result<Said, Failure> {
    let unavailable = |why: String| Err(Failure::Unavailable(why));
    let HttpAnswer { status, body, .. } = match answer {
        Ok(answer) => answer,
        Err(CallFailed::NoAnswer) => return unavailable("no answer".to_owned()),
        Err(CallFailed::Undispatched) => {
            return unavailable(format!(
                "Envoy did not send the call: does it have a cluster `{cluster}`?"
            ));
        }
    };
    match status {
        200 => {}
        401 | 403 => {
            return Err(Failure::Unauthorized(format!(
                "status {status}: it does not know this client, or not its secret, or does not let it ask"
            )));
        }
        _ => return unavailable(format!("status {status}")),
    }
    if body.len() > MAX_ANSWER {
        return unavailable(format!("{} bytes, more than the {MAX_ANSWER} allowed", body.len()));
    }
    let Ok(Value::Object(mut members)) = json::parse(&body) else {
        return unavailable("it is not one JSON object".to_owned());
    };
    match members.remove("active") {
        Some(Value::Bool(true)) => Ok(Said::Active(members)),
        Some(Value::Bool(false)) => Ok(Said::Inactive),
        _ => unavailable("its `active` is neither true nor false".to_owned()),
    }
}

/// Whom the answer is about and when it came.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The issuer that was asked.
    pub(super) issuer: &'a Issuer,
    /// The token, where it was verified before.
    pub(super) signed: Option<&'a Signed>,
    /// SHA-256 of its text.
    pub(super) digest: &'a [u8; 32],
    /// When the answer came.
    pub(super) now: Instant,
    /// How long it counts.
    pub(super) cache: Duration,
}

/// Judges what is known of an active token. What the issuer says now counts before what it signed then.
pub(super) fn verified(
    mut answer: Map<String, Value>,
    asked: &Asked<'_>,
) -> Result<VerifiedToken, Rejected> {
    // Some servers take the token for its own `jti`: it must not come into claims.
    answer.retain(|_, value| {
        value.as_str().is_none_or(|text| Sha256::hash(text.as_bytes()) != *asked.digest)
    });
    let bytes = answer.iter().map(|(name, value)| name.len().saturating_add(size(value))).sum();
    let bound = kind(&answer)?;
    let mut members = asked.signed.map(|signed| signed.members.clone()).unwrap_or_default();
    members.extend(answer);
    let until = asked.now.plus(asked.cache);
    let mut claims = claims(&members, asked, until)?;
    claims.bound |= bound;
    let context = Context {
        // The token itself was judged by that before its issuer was asked.
        encrypted: true,
        issuer: asked.issuer,
        media_type: None,
        members: &members,
        claims: &claims,
        now: asked.now,
    };
    let checked = INTROSPECTED.iter().try_for_each(|check| check(&context));
    let claims = Rc::new(claims);
    if let Err(refusal) = checked {
        return Err(Rejected { refusal, holder: Some(claims) });
    }
    let signer = asked.signed.and_then(|signed| signed.token.signer);
    let vouched = Vouched { during: asked.now..until, bytes };
    let token = VerifiedToken::vouched(claims, signer, asked.issuer.clock_skew, vouched);
    // Its issuer's word may end a signed token sooner, never keep it longer.
    Ok(match asked.signed {
        Some(signed) => token.within(&signed.token.valid),
        None => token,
    })
}

/// Whether it is bound to a key. What is no access token is refused: a server may call a refresh token
/// active too.
fn kind(answer: &Map<String, Value>) -> Result<bool, Refusal> {
    let refused = |name: &str| {
        Err(Refusal::new(&reasons::TOKEN_TYPE_REFUSED).hint(format!("member `{name}`")))
    };
    let is = |value: &Value, word: &str| {
        value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if answer.get("token_use").is_some_and(|used| !is(used, "access_token")) {
        return refused("token_use");
    }
    match answer.get("token_type") {
        None => Ok(false),
        Some(kind) if is(kind, "Bearer") => Ok(false),
        Some(kind) if is(kind, "DPoP") => Ok(true),
        Some(_) => refused("token_type"),
    }
}

/// The claims. What RFC 7662 lets an answer leave out: `iss` is whom we asked; without `exp` the token
/// counts as long as the answer; without `iat` it is as old as can be.
fn claims(
    members: &Map<String, Value>,
    asked: &Asked<'_>,
    until: Instant,
) -> Result<Claims, Refusal> {
    let name = &asked.issuer.name;
    if members.get("iss").is_some_and(|given| given != name) {
        return Err(Refusal::new(&reasons::TOKEN_ISSUER_UNKNOWN));
    }
    let UnixSeconds(until) = until.seconds();
    let issued_at = members.get("iat").and_then(Value::as_u64).unwrap_or_default();
    let mut members = members.clone();
    members.entry("iss").or_insert_with(|| json!(name));
    members.entry("exp").or_insert_with(|| json!(until.max(issued_at).saturating_add(1)));
    members.entry("iat").or_insert_with(|| json!(0));
    let key_id = asked.signed.and_then(|signed| signed.token.claims.key_id.as_deref());
    Claims::read(&members, &asked.issuer.claims, key_id)
}

/// Bytes of a value's texts.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).fold(0, usize::saturating_add),
        _ => size_of::<Value>(),
    }
}

/// Longest answer in bytes.
const MAX_ANSWER: usize = 16 * 1024;
