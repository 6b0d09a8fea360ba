//! Compact JWE (RFC 7516 section 7.1), read strictly: five parts of base64url without padding, each as
//! long as the algorithms make it, the header one JSON object in which no member stands twice.

use serde_json::{Map, Value};

use super::{CONTENT, CONTENT_KEY};
use crate::base::refusal::Refusal;
use crate::token::issuers::bare_type;
use crate::token::jws::{decode, header, text};
use crate::token::reasons;

/// A token in its parts, the header read.
#[derive(Debug)]
pub(super) struct Jwe<'a> {
    /// The header as it was sent.
    pub(super) header_text: &'a str,
    pub(super) header: Header,
    /// Wrapped key, initialization vector, ciphertext, tag, as they were sent.
    parts: [&'a str; 4],
}

/// The header members that are read. `x5t` and others that name the key once more are not.
#[derive(Debug)]
pub(super) struct Header {
    /// `alg`
    pub(super) algorithm: String,
    /// `kid`
    pub(super) key_id: Option<String>,
    /// `epk`
    pub(super) ephemeral_key: Option<Map<String, Value>>,
    /// `apu`, decoded.
    pub(super) producer: Vec<u8>,
    /// `apv`, decoded.
    pub(super) recipient: Vec<u8>,
}

/// The other parts, decoded.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) wrapped_key: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

impl<'a> Jwe<'a> {
    /// Takes a token apart and reads its header.
    pub(super) fn parse(token: &'a str) -> Result<Jwe<'a>, Refusal> {
        let mut parts = token.split('.');
        let mut next = || parts.next().ok_or(&reasons::TOKEN_SHAPE);
        let header_text = next()?;
        let parts = [next()?, next()?, next()?, next()?];
        Ok(Jwe { header_text, header: Header::read(header(header_text)?)?, parts })
    }

    /// Decodes the other parts, once their lengths are right: `wrapped` is that of the wrapped key in
    /// bytes.
    pub(super) fn sealed(&self, wrapped: usize) -> Result<Sealed, Refusal> {
        let [key, iv, ciphertext, tag] = self.parts;
        let lengths = [(key, wrapped), (iv, CONTENT.iv_size()), (tag, CONTENT.tag_size())];
        if lengths.iter().any(|(part, bytes)| part.len() != encoded_length(*bytes)) {
            return Err(Refusal::new(&reasons::TOKEN_ENCRYPTED_LENGTH));
        }
        Ok(Sealed {
            wrapped_key: decode(key)?,
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }
}

impl Header {
    fn read(mut members: Map<String, Value>) -> Result<Header, Refusal> {
        let unreadable = &reasons::TOKEN_HEADER_UNREADABLE;
        if KEYS_BROUGHT.iter().any(|name| members.contains_key(*name)) {
            return Err(Refusal::new(&reasons::TOKEN_HEADER_KEY_REFUSED));
        }
        let content_type = text(&members, "cty")?.map(|name| bare_type(&name));
        if content_type.as_deref() != Some("jwt") {
            return Err(Refusal::new(&reasons::TOKEN_CONTENT_TYPE_REFUSED));
        }
        if text(&members, "enc")?.as_deref() != Some(CONTENT.alg_name()) {
            return Err(Refusal::new(&reasons::TOKEN_ENCRYPTION_REFUSED));
        }
        let ephemeral_key = match members.remove("epk") {
            None => None,
            Some(Value::Object(key)) => Some(key),
            Some(_) => return Err(Refusal::new(unreadable)),
        };
        let [producer, recipient] = parties(&members)?;
        Ok(Header {
            algorithm: text(&members, "alg")?.ok_or(&reasons::TOKEN_ENCRYPTION_REFUSED)?,
            key_id: text(&members, "kid")?,
            ephemeral_key,
            producer,
            recipient,
        })
    }
}

/// `apu` and `apv`, which must differ when both are there (RFC 7518 section 4.6.2).
fn parties(members: &Map<String, Value>) -> Result<[Vec<u8>; 2], Refusal> {
    let [producer, recipient] = [text(members, "apu")?, text(members, "apv")?];
    if producer.is_some() && producer == recipient {
        return Err(Refusal::new(&reasons::TOKEN_HEADER_UNREADABLE));
    }
    let decode = |party: Option<String>| decode(&party.unwrap_or_default());
    Ok([decode(producer)?, decode(recipient)?])
}

/// How many characters of base64url without padding make up so many bytes.
fn encoded_length(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// Members that bring a key or say where one is: keys come from the configuration.
const KEYS_BROUGHT: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];

/// A wrapped key by AES Key Wrap in bytes (RFC 3394 section 2.2.1).
pub(super) const KEY_WRAPPED: usize = CONTENT_KEY + 8;
