//! A Security Event Token (RFC 8417) as OpenID Shared Signals profiles it, and what it revokes.

use serde_json::{Map, Value};

use super::memory::Revoked;
use super::stream::Rules;
use super::subject::{self, Problem};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::{Instant, UnixSeconds};
use crate::token::signed::{self, Signed};

/// What an event comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It revokes all this, which may be nothing; and what an operator should know of it.
    Taken(Vec<Revoked>, Option<&'static str>),
    /// It can't be taken.
    Refused(Fault),
    /// The transmitter's keys are on their way: it can be judged then.
    Later,
}

/// Why an event can't be taken: what it is for the transmitter (RFC 8935 section 2.4), and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `invalid_request`
    Request(&'static str),
    /// `invalid_key`
    Key(&'static str),
    /// `invalid_issuer`
    Issuer(&'static str),
    /// `invalid_audience`
    Audience(&'static str),
    /// `authentication_failed`
    Authentication(&'static str),
}

/// Judges the event that an answer names `jti`.
pub(super) fn judge(jti: &str, set: &str, rules: &Rules<'_>, caps: &dyn Capabilities) -> Verdict {
    if set.len() > MAX_LENGTH {
        return Verdict::Refused(Fault::Request("it is longer than 16 KiB"));
    }
    let Rules { stream, issuers, keys, .. } = rules;
    let signed = match signed::verify_event(set, &stream.issuer, issuers, keys, caps) {
        Ok(signed) => signed,
        Err(refusal) if refusal.pending => return Verdict::Later,
        Err(refusal) => return Verdict::Refused(fault_of(&refusal)),
    };
    match check(jti, &signed, rules).and_then(|events| effect(events, &signed, rules, caps)) {
        Ok((revoked, note)) => Verdict::Taken(revoked, note),
        Err(fault) => Verdict::Refused(fault),
    }
}

/// The rules of RFC 8417 section 2.2 and OpenID Shared Signals section 4: gives its events.
fn check<'a>(
    jti: &str,
    signed: &'a Signed,
    rules: &Rules<'_>,
) -> Result<&'a Map<String, Value>, Fault> {
    let claims = &signed.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&rules.stream.issuer) {
        return Err(Fault::Issuer("it has no `iss`"));
    }
    let ours = |audience: &Value| audience.as_str() == Some(&rules.stream.audience);
    let for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if !for_us {
        return Err(Fault::Audience("its `aud` is another one"));
    }
    if claims.contains_key("sub") || claims.contains_key("exp") {
        return Err(Fault::Request("it has `sub` or `exp`"));
    }
    if text("jti") != Some(jti) {
        return Err(Fault::Request("its `jti` is another one"));
    }
    let events = claims.get("events").and_then(Value::as_object);
    let events = events.filter(|events| !events.is_empty());
    events.ok_or(Fault::Request("it has no object `events` with an event"))
}

/// What all events together revoke.
fn effect(
    events: &Map<String, Value>,
    signed: &Signed,
    rules: &Rules<'_>,
    caps: &dyn Capabilities,
) -> Result<(Vec<Revoked>, Option<&'static str>), Fault> {
    let (mut revoked, mut note) = (Vec::new(), None);
    for (kind, event) in events {
        let event = event.as_object().ok_or(Fault::Request("an event is not an object"))?;
        match kind.as_str() {
            SESSION_REVOKED => revoked.extend(revocation(event, true, signed, rules, caps)?),
            CREDENTIAL_CHANGE | TOKEN_CLAIMS_CHANGE => {
                revoked.extend(revocation(event, false, signed, rules, caps)?);
            }
            VERIFICATION => (),
            STREAM_UPDATED => note = Some("the transmitter changed the stream's status"),
            _ => note = Some("an event of a type that revokes nothing here was acknowledged"),
        }
    }
    Ok((revoked, note))
}

/// A session or token that is `over` stays so whenever a token of it was issued; otherwise tokens that
/// were issued later have heard of it.
fn revocation(
    event: &Map<String, Value>,
    over: bool,
    signed: &Signed,
    rules: &Rules<'_>,
    caps: &dyn Capabilities,
) -> Result<Vec<Revoked>, Fault> {
    let latest = caps.now().plus(signed.clock_skew);
    let happened = happened(event)?.unwrap_or(signed.issued_at);
    if Instant::from_seconds(happened) > latest {
        return Err(Fault::Request("its `event_timestamp` lies ahead"));
    }
    let subject = signed.claims.get("sub_id").ok_or(Fault::Request("it has no `sub_id`"))?;
    let names = subject::read(subject).map_err(|problem| match problem {
        Problem::Malformed => Fault::Request("its `sub_id` does not have the form of its format"),
        Problem::Unmatchable => Fault::Request("its `sub_id` names nothing that tokens carry"),
    })?;
    let forget = happened.max(signed.issued_at).plus(rules.keep);
    let mut revoked = Vec::new();
    for mut names in names {
        match (&names.issuer, rules.covers) {
            (Some(named), Some(own)) if named != own => {
                return Err(Fault::Request("its `sub_id` is about another issuer's tokens"));
            }
            (None, Some(own)) => names.issuer = Some(own.to_owned()),
            _ => (),
        }
        let always = over && names.is_narrow();
        let issued_until = if always { UnixSeconds(u64::MAX) } else { happened };
        revoked.push(Revoked { names, issued_until, forget });
    }
    Ok(revoked)
}

/// `event_timestamp` (CAEP section 2): seconds since 1970, whose fraction counts as a whole one.
fn happened(event: &Map<String, Value>) -> Result<Option<UnixSeconds>, Fault> {
    let Some(value) = event.get("event_timestamp") else { return Ok(None) };
    let fraction = || value.as_f64().filter(|seconds| *seconds >= 0.0);
    let seconds = value.as_u64().or_else(|| fraction().map(|seconds| seconds.ceil() as u64));
    let seconds = seconds.ok_or(Fault::Request("its `event_timestamp` is not a number of seconds"));
    seconds.map(|seconds| Some(UnixSeconds(seconds)))
}

/// What a refusal of the signature or the times is for the transmitter.
fn fault_of(refusal: &Refusal) -> Fault {
    let code = refusal.reason.code;
    match code {
        "token_issuer_unknown" => Fault::Issuer(code),
        "token_signature_invalid" => Fault::Authentication(code),
        "token_algorithm_refused"
        | "token_key_unnamed"
        | "token_key_unknown"
        | "token_key_mismatch" => Fault::Key(code),
        _ => Fault::Request(code),
    }
}

impl Fault {
    /// The code of RFC 8935 section 2.4.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Fault::Request(_) => "invalid_request",
            Fault::Key(_) => "invalid_key",
            Fault::Issuer(_) => "invalid_issuer",
            Fault::Audience(_) => "invalid_audience",
            Fault::Authentication(_) => "authentication_failed",
        }
    }

    /// Why, in words or by the code of a reason.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Fault::Request(why)
            | Fault::Key(why)
            | Fault::Issuer(why)
            | Fault::Audience(why)
            | Fault::Authentication(why) => why,
        }
    }
}

/// Longest event in bytes.
const MAX_LENGTH: usize = 16 << 10;

const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const TOKEN_CLAIMS_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
