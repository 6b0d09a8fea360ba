//! Stage 3: the access token. Compact JWS (RFC 7515), alone or in a compact JWE (RFC 7516), claims of
//! RFC 9068; or an opaque one, whose issuer is asked (RFC 7662).
//!
//! Refused: everything that is not a signed token of a configured issuer, meant for this API, now, and
//! what its issuer does not vouch for where it is asked.
//! The order is fixed: decryption, shape, issuer, algorithm and key, signature, everything else. Until the
//! signature is proven the client is not told what failed.

pub mod algorithm;
pub mod cache;
mod checks;
pub mod claims;
mod discovery;
pub mod extract;
pub mod introspection;
pub mod issuers;
mod jwe;
mod jwk;
mod jwks;
mod jws;
mod key;
pub mod keys;
pub mod reasons;
pub mod signed;
mod transmitters;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use core::ops::Range;
use core::time::Duration;
use std::rc::Rc;

use serde_json::{Map, Value};

pub use cache::{CacheLimits, Mark, TokenCache};
pub use claims::{Claims, StatusReference};
pub use extract::{Credential, RawToken, credential, extract};
pub use introspection::Introspection;
pub use issuers::Issuers;
pub use keys::Keys;
pub use transmitters::Transmitter;

use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use algorithm::Algorithm;
use checks::{CHECKS, Context};
use introspection::Vouched;
use issuers::Issuer;
use jws::Jws;
use key::Key;
use keys::Signer;

/// Proof that a token's signature and claims were verified, or that its issuer vouched for it. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    claims: Rc<Claims>,
    /// `None`: nobody signed it, its issuer was asked.
    signer: Option<Signer>,
    /// From the later of `iat` and `nbf` to `exp`.
    valid: Range<Instant>,
    /// How far its issuer's clock may be off.
    clock_skew: Duration,
    /// The word of its issuer, where it was asked.
    vouched: Option<Vouched>,
}

/// A token whose signature and claims were verified, and all that it says. No proof: its issuer may have
/// to be asked.
#[derive(Debug)]
struct Signed {
    token: VerifiedToken,
    members: Map<String, Value>,
}

/// A token that does not verify.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// What the token says, once it is proven: for the audit record and nothing else.
    pub holder: Option<Rc<Claims>>,
}

impl<T: Into<Refusal>> From<T> for Rejected {
    fn from(refusal: T) -> Rejected {
        Rejected { refusal: refusal.into(), holder: None }
    }
}

/// Verifies a token; asks its issuer where that is configured. While the answer is on its way the
/// refusal says so.
///
/// # Errors
///
/// One of [`reasons`].
pub fn verify(
    raw: &RawToken,
    issuers: &Issuers,
    keys: &Keys,
    introspection: &mut Introspection,
    caps: &dyn Capabilities,
) -> Result<VerifiedToken, Rejected> {
    if let Some(known) = introspection.known(raw, keys, caps.now()) {
        return known;
    }
    if let Some(place) = issuers.opaque().filter(|_| raw.is_opaque()) {
        return Err(introspection.ask(place, raw, None, caps.now()));
    }
    let (place, signed) = verify_signed(raw, issuers, keys, caps)?;
    match issuers.asks_about_signed(place) {
        true => Err(introspection.ask(place, raw, Some(signed), caps.now())),
        false => Ok(signed.token),
    }
}

/// Verifies what a token says itself. Comes with the place of its issuer.
fn verify_signed(
    raw: &RawToken,
    issuers: &Issuers,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<(usize, Signed), Rejected> {
    let opened = jwe::open(raw.text(), keys, caps)?;
    let jws = Jws::parse(opened.as_ref().map_or(raw.text(), |opened| &opened.token))?;
    let (place, issuer) = issuer_of(&jws, issuers)?;
    if opened.as_ref().is_some_and(|opened| opened.issuer != place) {
        return Err(Refusal::new(&reasons::TOKEN_DECRYPTION_ISSUER).into());
    }
    let key = verify_signature(&jws, place, issuer, keys, caps)?;
    let claims = Claims::read(&jws.claims, &issuer.claims, Some(key.id()))?;
    let context = Context {
        issuer,
        media_type: jws.header.media_type.as_deref(),
        members: &jws.claims,
        claims: &claims,
        encrypted: opened.is_some(),
        now: caps.now(),
    };
    let checked = CHECKS.iter().try_for_each(|check| check(&context));
    let claims = Rc::new(claims);
    if let Err(refusal) = checked {
        return Err(Rejected { refusal, holder: Some(claims) });
    }
    if let Some(opened) = &opened {
        keys.decryption.earn(opened);
    }
    let signer = Signer { issuer: place, key: key.fingerprint() };
    let token = VerifiedToken::new(claims, Some(signer), issuer.clock_skew);
    Ok((place, Signed { token, members: jws.claims }))
}

fn issuer_of<'a>(jws: &Jws<'_>, issuers: &'a Issuers) -> Result<(usize, &'a Issuer), Refusal> {
    let name = jws.claims.get("iss").and_then(|name| name.as_str());
    let name = name.ok_or(&reasons::TOKEN_ISSUER_MISSING)?;
    Ok(issuers.named(name).ok_or(&reasons::TOKEN_ISSUER_UNKNOWN)?)
}

/// Verifies the signature with the one key that the token names, by an algorithm that its issuer
/// uses and the key is for. No other key is ever tried.
fn verify_signature<'a>(
    jws: &Jws<'_>,
    place: usize,
    issuer: &Issuer,
    keys: &'a Keys,
    caps: &dyn Capabilities,
) -> Result<&'a Key, Refusal> {
    let algorithm = Algorithm::named(&jws.header.algorithm)
        .filter(|algorithm| issuer.algorithms.contains(algorithm))
        .ok_or(&reasons::TOKEN_ALGORITHM_REFUSED)?;
    let set = keys.of(place)?;
    let id = jws.header.key_id.as_deref().ok_or(&reasons::TOKEN_KEY_UNNAMED)?;
    let key = set.named(id).ok_or_else(|| keys.unknown(place, caps))?;
    if !key.is_for(algorithm) {
        return Err(Refusal::new(&reasons::TOKEN_KEY_MISMATCH));
    }
    match key.verify(algorithm, jws.signed.as_bytes(), &jws.signature, caps) {
        true => Ok(key),
        false => Err(Refusal::new(&reasons::TOKEN_SIGNATURE_INVALID)),
    }
}

impl VerifiedToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The verified claims, to be kept.
    pub fn shared_claims(&self) -> Rc<Claims> {
        Rc::clone(&self.claims)
    }

    fn new(claims: Rc<Claims>, signer: Option<Signer>, clock_skew: Duration) -> VerifiedToken {
        let begins = claims.not_before.unwrap_or_default().max(claims.issued_at);
        let valid = Instant::from_seconds(begins)..Instant::from_seconds(claims.expires);
        VerifiedToken { claims, signer, valid, clock_skew, vouched: None }
    }

    /// A token for which its issuer vouches.
    fn vouched(
        claims: Rc<Claims>,
        signer: Option<Signer>,
        clock_skew: Duration,
        vouched: Vouched,
    ) -> VerifiedToken {
        VerifiedToken { vouched: Some(vouched), ..VerifiedToken::new(claims, signer, clock_skew) }
    }

    /// The same token, valid in no more than this time.
    fn within(mut self, valid: &Range<Instant>) -> VerifiedToken {
        self.valid = self.valid.start.max(valid.start)..self.valid.end.min(valid.end);
        self
    }

    /// Whether the key that signed it is still its issuer's. What nobody signed has none.
    fn is_trusted(&self, keys: &Keys) -> bool {
        self.signer.as_ref().is_none_or(|signer| keys.trusts(signer))
    }

    /// Bytes that its claims come to besides what its own text says.
    fn vouched_bytes(&self) -> usize {
        self.vouched.as_ref().map_or(0, |vouched| vouched.bytes)
    }

    /// Whether the token's times would be accepted now as they were when it was verified: time may
    /// have passed `exp` or what its issuer's word is good for, or the clock may have been set back.
    fn is_valid_at(&self, now: Instant) -> bool {
        self.valid.start <= now.plus(self.clock_skew)
            && now < self.valid.end.plus(self.clock_skew)
            && self.vouched.as_ref().is_none_or(|vouched| vouched.during.contains(&now))
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> VerifiedToken {
        VerifiedToken::new(Rc::new(claims), Some(Signer::default()), Duration::ZERO)
    }
}
