//! What must hold for a token whose signature is proven, or for which its issuer vouches. One file a check, one list.

mod audience;
mod encryption;
mod id_token;
mod lifetime;
mod media_type;
mod required;
mod time;

use serde_json::{Map, Value};

use super::claims::Claims;
use super::issuers::Issuer;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;

/// A token, its issuer and the time.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The issuer, as configured.
    pub(super) issuer: &'a Issuer,
    /// `typ` of the header.
    pub(super) media_type: Option<&'a str>,
    /// Every claim.
    pub(super) members: &'a Map<String, Value>,
    /// The claims that phiward reads.
    pub(super) claims: &'a Claims,
    /// Whether it came encrypted.
    pub(super) encrypted: bool,
    /// The time.
    pub(super) now: Instant,
}

/// One check.
pub(super) type Check = fn(&Context<'_>) -> Result<(), Refusal>;

/// Every check, in the order of their refusals: what kind of token it is, for whom, when, with what.
pub(super) const CHECKS: &[Check] = &[
    encryption::check,
    media_type::check,
    id_token::check,
    audience::check,
    time::expired,
    time::not_yet_valid,
    time::issued_in_future,
    lifetime::check,
    required::check,
];

/// The same for what an issuer says of a token, which has no header.
pub(super) const INTROSPECTED: &[Check] = &[
    id_token::check,
    audience::check,
    time::expired,
    time::not_yet_valid,
    time::issued_in_future,
    lifetime::check,
    required::check,
];
