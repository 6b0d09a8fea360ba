//! A private key and the one thing it is for: unwrapping the key of a token's content.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use hmac_sha256::Hash as Sha256;
use p256::elliptic_curve::sec1::FromSec1Point as _;
use p256::{PublicKey, Sec1Point, SecretKey};
use superboring::aes::{AesKey, unwrap_key};
use superboring::bn::BigNum;
use superboring::pkey::Private;
use superboring::rsa::{Padding, Rsa};

use super::CONTENT_KEY;
use super::compact::{Header, KEY_WRAPPED};
use super::format::{self, Numbers};
use super::settings::KeyManagement;
use crate::base::refusal::Refusal;
use crate::token::{jwk, reasons};

/// A private key of ours.
pub(super) enum PrivateKey {
    /// RSA of 2048 to 4096 bits, for RSA-OAEP.
    Rsa(Box<Rsa<Private>>),
    /// P-256, for ECDH-ES.
    P256(SecretKey),
}

/// What the sender of a token gave to agree on a key: checked, and public.
#[derive(Debug)]
pub(super) struct Agreement {
    /// `epk`: a point on the curve.
    ephemeral_key: PublicKey,
    /// Everything that goes into the key besides the secret (RFC 7518 section 4.6.2).
    info: Vec<u8>,
    /// The key's length in bytes.
    length: usize,
}

impl KeyManagement {
    /// What is needed of the header to agree on a key; `None` for algorithms without agreement.
    pub(super) fn agreement(self, header: &Header) -> Result<Option<Agreement>, Refusal> {
        let length = match self {
            KeyManagement::RsaOaep => return Ok(None),
            KeyManagement::EcdhEsA128Kw => 16,
            KeyManagement::EcdhEsA256Kw => 32,
        };
        let ephemeral_key = ephemeral_key(header).ok_or(&reasons::TOKEN_EPHEMERAL_KEY_INVALID)?;
        Ok(Some(Agreement { ephemeral_key, info: self.info(header, length), length }))
    }

    /// AlgorithmID, PartyUInfo and PartyVInfo, each after its length, then the key's length in bits.
    fn info(self, header: &Header, length: usize) -> Vec<u8> {
        let mut info = Vec::new();
        for part in [self.name().as_bytes(), &header.producer, &header.recipient] {
            info.extend(number(part.len()));
            info.extend(part);
        }
        info.extend(number(length.saturating_mul(8)));
        info
    }
}

impl PrivateKey {
    /// Reads a key for this algorithm.
    pub(super) fn read(written: &str, algorithm: KeyManagement) -> Option<PrivateKey> {
        match (format::read(written, algorithm.name())?, algorithm) {
            (Numbers::Rsa(numbers), KeyManagement::RsaOaep) => rsa(numbers),
            (Numbers::Rsa(_), _) | (_, KeyManagement::RsaOaep) => None,
            (Numbers::P256(secret), _) => SecretKey::from_slice(&secret).ok().map(PrivateKey::P256),
        }
    }

    /// The length of a key that was wrapped for this one, in bytes.
    pub(super) fn wrapped_length(&self) -> usize {
        match self {
            PrivateKey::Rsa(key) => usize::try_from(key.size()).unwrap_or_default(),
            PrivateKey::P256(_) => KEY_WRAPPED,
        }
    }

    /// About how long [`PrivateKey::unwrap`] takes inside Envoy: measured for P-256 and RSA of 2048
    /// bits; RSA grows with the cube of its length.
    pub(super) fn cost(&self) -> Duration {
        match self {
            PrivateKey::P256(_) => Duration::from_millis(2),
            PrivateKey::Rsa(key) => {
                let cube = u64::from(key.size()).saturating_pow(3);
                Duration::from_millis(cube.saturating_mul(10).div_ceil(256 * 256 * 256))
            }
        }
    }

    /// The key of the content.
    pub(super) fn unwrap(&self, wrapped: &[u8], agreement: Option<&Agreement>) -> Option<Vec<u8>> {
        let key = match (self, agreement) {
            (PrivateKey::Rsa(key), None) => decrypt(key, wrapped),
            (PrivateKey::P256(key), Some(agreement)) => agreement.unwrap(key, wrapped),
            _ => None,
        };
        key.filter(|key| key.len() == CONTENT_KEY)
    }
}

impl Agreement {
    /// ECDH-ES with key wrap (RFC 7518 section 4.6).
    fn unwrap(&self, secret: &SecretKey, wrapped: &[u8]) -> Option<Vec<u8>> {
        let shared =
            p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), self.ephemeral_key.as_affine());
        // Concat KDF: one round of SHA-256 is all that a key of at most 32 bytes takes.
        let mut hash = Sha256::new();
        hash.update(number(1));
        hash.update(shared.raw_secret_bytes());
        hash.update(&self.info);
        let derived = hash.finalize();
        let wrapping = AesKey::new_decrypt(derived.get(..self.length)?).ok()?;
        let mut key = vec![0; CONTENT_KEY];
        let length = unwrap_key(&wrapping, None, &mut key, wrapped).ok()?;
        key.truncate(length);
        Some(key)
    }
}

/// An RSA key of 2048 to 4096 bits with the exponent 65537, whose numbers fit together.
fn rsa(numbers: [Vec<u8>; 8]) -> Option<PrivateKey> {
    let [n, e, d, p, q, dp, dq, qi] = numbers.map(|number| BigNum::from_slice(&number).ok());
    let (n, e) = (n?, e?);
    if !RSA_BITS.contains(&n.num_bits()) || e.to_vec() != [1, 0, 1] {
        return None;
    }
    let key = Rsa::from_private_components(n, e, d?, p?, q?, dp?, dq?, qi?).ok()?;
    Some(PrivateKey::Rsa(Box::new(key)))
}

/// RSA-OAEP with SHA-1 and MGF1 with SHA-1 (RFC 7518 section 4.3), blinded.
fn decrypt(key: &Rsa<Private>, wrapped: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![0; wrapped.len()];
    let length = key.private_decrypt(wrapped, &mut plain, Padding::PKCS1_OAEP).ok()?;
    plain.truncate(length);
    Some(plain)
}

/// `epk`: a public key on P-256 and nothing else.
fn ephemeral_key(header: &Header) -> Option<PublicKey> {
    let members = header.ephemeral_key.as_ref()?;
    let is = |name: &str, value: &str| members.get(name).is_some_and(|given| given == value);
    if !is("kty", "EC") || !is("crv", "P-256") || members.contains_key("d") {
        return None;
    }
    let point = Sec1Point::from_bytes(jwk::point(members, 32).ok()?).ok()?;
    PublicKey::from_sec1_point(&point).into_option()
}

/// A number in four bytes, as the Concat KDF takes it.
fn number(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// Never shown.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(…)")
    }
}

/// Sizes of RSA keys.
const RSA_BITS: RangeInclusive<i32> = 2048..=4096;
