//! Encrypted tokens: a compact JWE whose plaintext is a compact JWS (RFC 7516, RFC 7519 section 5.2).
//!
//! The encryption key is public, so decryption proves nothing about who made the token: what comes out
//! goes the way of every signed token. Header, lengths and the ephemeral key are public and are
//! refused for reasons of their own, before any private key is used. From there on there is one
//! reason, and a key that can't be unwrapped is replaced by a random one and the content decrypted
//! with that, so that neither answer nor time tell how far it came (RFC 7516 section 11.5).
//!
//! jwt-simple decrypts the content. Its `decrypt_token` is not used: it wants claims and no signed token
//! as plaintext, and passes over `zip`. To unwrap a key alone is not part of its interface: that is done
//! by the libraries that it uses itself.

mod compact;
mod format;
mod keys;
mod private;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use keys::DecryptionKeys;
pub(super) use settings::Encryption;

use core::time::Duration;

use jwt_simple::algorithms::ContentEncryption;

use super::keys::Keys;
use super::reasons;
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use compact::{Jwe, Sealed};

/// What was in an encrypted token: nobody's word yet.
#[derive(Debug)]
pub(super) struct Opened {
    /// The token that was inside, to be verified like any other.
    pub(super) token: String,
    /// The place of the issuer whose key opened it: no other's token may be inside.
    pub(super) issuer: usize,
    /// About what it cost.
    cost: Duration,
}

/// Opens a token of five parts. `None`: it has another number of parts, and is not encrypted.
pub(super) fn open(
    token: &str,
    keys: &Keys,
    caps: &dyn Capabilities,
) -> Result<Option<Opened>, Refusal> {
    if token.matches('.').count() != 4 {
        return Ok(None);
    }
    let ours = &keys.decryption;
    if ours.is_empty() {
        return Err(Refusal::new(&reasons::TOKEN_ENCRYPTED));
    }
    let jwe = Jwe::parse(token)?;
    let id = jwe.header.key_id.as_deref().ok_or(&reasons::TOKEN_KEY_UNNAMED)?;
    let key = ours.named(id).ok_or(&reasons::TOKEN_DECRYPTION_KEY_UNKNOWN)?;
    if jwe.header.algorithm != key.algorithm().name() {
        return Err(Refusal::new(&reasons::TOKEN_ENCRYPTION_REFUSED));
    }
    let private = key.private(caps).ok_or(&reasons::TOKEN_DECRYPTION_KEY_MISSING)?;
    let sealed = jwe.sealed(private.wrapped_length())?;
    let agreement = key.algorithm().agreement(&jwe.header)?;
    let cost = private.cost();
    // Without the issuer's own keys nothing could come of it: no work for that.
    keys.of(key.issuer())?;
    ours.spend(cost, caps)?;
    let random = [caps.random(), caps.random()].concat();
    let unwrapped = private.unwrap(&sealed.wrapped_key, agreement.as_ref());
    let plaintext = decrypt(jwe.header_text, &sealed, &unwrapped.unwrap_or(random))?;
    let token = String::from_utf8(plaintext).map_err(|_| &reasons::TOKEN_ENCODING)?;
    Ok(Some(Opened { token, issuer: key.issuer(), cost }))
}

/// A256GCM (RFC 7518 section 5.3); the header as it was sent is authenticated too.
fn decrypt(header: &str, sealed: &Sealed, key: &[u8]) -> Result<Vec<u8>, Refusal> {
    let Sealed { iv, ciphertext, tag, .. } = sealed;
    CONTENT
        .decrypt(key, iv, header.as_bytes(), ciphertext, tag)
        .map_err(|_| Refusal::new(&reasons::TOKEN_DECRYPTION_FAILED))
}

/// The one content encryption. Others are smaller, or not authenticated by construction.
const CONTENT: ContentEncryption = ContentEncryption::A256GCM;

/// Its key in bytes.
const CONTENT_KEY: usize = 32;
