//! Other documents that an issuer of tokens signs: status lists, security events. Their signature is
//! verified as a token's is: by the issuer's own keys and algorithms, with the one key that the
//! document names.

use core::time::Duration;

use hmac_sha256::Hash as Sha256;
use serde_json::{Map, Value};

use super::issuers::{Issuer, Issuers, KeySource, Place, bare_type};
use super::jws::Jws;
use super::keys::Keys;
use super::{claims, reasons, verify_signature};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::{Instant, UnixSeconds};

/// A document whose signature and times were verified.
#[derive(Debug)]
pub struct Signed {
    /// Every claim.
    pub claims: Map<String, Value>,
    /// `iat`
    pub issued_at: UnixSeconds,
    /// `exp`
    pub expires: Option<UnixSeconds>,
    /// How far its issuer's clock may be off: the document may be used until `exp` and this.
    pub clock_skew: Duration,
}

/// Verifies a compact JWS of this `typ` (without `application/`) by the issuer of this name: its
/// signature, `iss` where it is there, `iat`, `nbf` and `exp`. `aud` and whatever else the document
/// must say is the caller's to check.
///
/// # Errors
///
/// One of [`reasons`]; its code is what an operator should read. A pending one may pass by itself, when
/// the issuer's keys have come.
pub fn verify(
    text: &str,
    media_type: &str,
    issuer: &str,
    issuers: &Issuers,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<Signed, Refusal> {
    verify_by(issuers.named(issuer), text, media_type, keys, caps)
}

/// Verifies a security event of the transmitter of this name, as [`verify`] does: by the transmitter's
/// own keys, or by those of the issuer of the same name.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_event(
    text: &str,
    transmitter: &str,
    issuers: &Issuers,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<Signed, Refusal> {
    verify_by(issuers.transmitter(transmitter), text, "secevent+jwt", keys, caps)
}

// Two callers: the code would stand twice in the filter.
#[inline(never)]
fn verify_by(
    signer: Option<(usize, &Issuer)>,
    text: &str,
    media_type: &str,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<Signed, Refusal> {
    let jws = Jws::parse(text)?;
    if jws.header.media_type.as_deref().map(bare_type).as_deref() != Some(media_type) {
        return Err(Refusal::new(&reasons::TOKEN_TYPE_REFUSED));
    }
    let (place, known) = signer.ok_or(&reasons::TOKEN_ISSUER_UNKNOWN)?;
    if jws.claims.get("iss").is_some_and(|name| name.as_str() != Some(&known.name)) {
        return Err(Refusal::new(&reasons::TOKEN_ISSUER_UNKNOWN));
    }
    verify_signature(&jws, place, known, keys, caps)?;
    let clock_skew = known.clock_skew;
    let (issued_at, expires) = times(&jws.claims, clock_skew, caps.now())?;
    Ok(Signed { claims: jws.claims, issued_at, expires, clock_skew })
}

/// Stands for whom the issuer of this name is trusted to be: it changes with the issuer's algorithms
/// and with where its keys come from. What was verified under another one proves nothing here.
pub fn trust(issuer: &str, issuers: &Issuers) -> Option<[u8; 32]> {
    let (_, issuer) = issuers.named(issuer)?;
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    };
    add(issuer.name.as_bytes());
    for algorithm in &issuer.algorithms {
        add(algorithm.name().as_bytes());
    }
    match &issuer.keys {
        KeySource::Inline(set) => set.fingerprints().for_each(|key| add(&key)),
        KeySource::Remote(remote) => {
            add(remote.cluster.as_bytes());
            let (kind, url) = match &remote.place {
                Place::Url(url) => ("url", url),
                Place::Metadata(url) => ("metadata", url),
            };
            add(kind.as_bytes());
            add(url.to_string().as_bytes());
        }
    }
    Some(hash.finalize())
}

/// `iat`, which must be there and not lie ahead, and `exp`, which must not have passed; nor may `nbf`
/// lie ahead.
fn times(
    members: &Map<String, Value>,
    clock_skew: Duration,
    now: Instant,
) -> Result<(UnixSeconds, Option<UnixSeconds>), Refusal> {
    let issued_at = claims::seconds(members, "iat")?.ok_or_else(|| claims::missing("iat"))?;
    let begins = claims::seconds(members, "nbf")?.unwrap_or_default();
    let expires = claims::seconds(members, "exp")?;
    let latest = now.plus(clock_skew);
    if Instant::from_seconds(issued_at) > latest {
        return Err(Refusal::new(&reasons::TOKEN_ISSUED_IN_FUTURE));
    }
    if Instant::from_seconds(begins) > latest {
        return Err(Refusal::new(&reasons::TOKEN_NOT_YET_VALID));
    }
    let has_ended = |end: UnixSeconds| now >= Instant::from_seconds(end).plus(clock_skew);
    match expires.is_some_and(has_ended) {
        true => Err(Refusal::new(&reasons::TOKEN_EXPIRED)),
        false => Ok((issued_at, expires)),
    }
}

#[cfg(test)]
mod tests;
