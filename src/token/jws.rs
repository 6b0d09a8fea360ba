//! Compact JWS (RFC 7515 section 7.1), read strictly: three parts of base64url without padding,
//! header and claims each one JSON object in which no member stands twice. Proves nothing yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::reasons;
use crate::base::json;
use crate::base::refusal::{Reason, Refusal};

/// The parts of a token, decoded.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    /// What the signature covers.
    pub(super) signed: &'a str,
    /// The header members that are read; `jku`, `jwk`, `x5u`, `x5c` and `x5t` are not.
    pub(super) header: Header,
    /// The claims.
    pub(super) claims: Map<String, Value>,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// The header members that are read.
#[derive(Debug)]
pub(super) struct Header {
    /// `alg`
    pub(super) algorithm: String,
    /// `kid`
    pub(super) key_id: Option<String>,
    /// `typ`
    pub(super) media_type: Option<String>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Result<Jws<'a>, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(&reasons::TOKEN_SHAPE)?;
        let (header, claims) = signed.split_once('.').ok_or(&reasons::TOKEN_SHAPE)?;
        match claims.matches('.').count() {
            0 => {}
            2 => return Err(Refusal::new(&reasons::TOKEN_ENCRYPTED)),
            _ => return Err(Refusal::new(&reasons::TOKEN_SHAPE)),
        }
        let members = self::header(header)?;
        let (claims, signature) = (decode(claims)?, decode(signature)?);
        Ok(Jws {
            signed,
            header: Header::read(&members)?,
            claims: object(&claims, &reasons::TOKEN_CLAIMS_UNREADABLE)?,
            signature,
        })
    }
}

impl Header {
    fn read(members: &Map<String, Value>) -> Result<Header, Refusal> {
        Ok(Header {
            algorithm: text(members, "alg")?.ok_or(&reasons::TOKEN_ALGORITHM_REFUSED)?,
            key_id: text(members, "kid")?,
            media_type: text(members, "typ")?,
        })
    }
}

/// The members of a header, which asks for nothing that is not done here.
pub(super) fn header(part: &str) -> Result<Map<String, Value>, Refusal> {
    let header = decode(part)?;
    if header.len() > MAX_HEADER {
        return Err(Refusal::new(&reasons::TOKEN_HEADER_TOO_LARGE));
    }
    let members = object(&header, &reasons::TOKEN_HEADER_UNREADABLE)?;
    let refused = [
        ("crit", &reasons::TOKEN_HEADER_CRITICAL),
        ("b64", &reasons::TOKEN_PAYLOAD_UNENCODED),
        ("zip", &reasons::TOKEN_PAYLOAD_COMPRESSED),
    ];
    match refused.iter().find(|(name, _)| members.contains_key(*name)) {
        Some((_, reason)) => Err(Refusal::new(reason)),
        None => Ok(members),
    }
}

/// A header member that must be text when it is there.
pub(super) fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::new(&reasons::TOKEN_HEADER_UNREADABLE)),
    }
}

/// base64url without padding, white space or spare bits.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::new(&reasons::TOKEN_ENCODING))
}

fn object(text: &[u8], otherwise: &'static Reason) -> Result<Map<String, Value>, Refusal> {
    match json::parse(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Refusal::new(otherwise)),
    }
}

/// Longest header in bytes, decoded.
const MAX_HEADER: usize = 4 * 1024;
