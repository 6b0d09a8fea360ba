//! The forms in which people keep a private key: PEM with PKCS#8 (RFC 5208) or PKCS#1 (RFC 8017
//! appendix A.1.2) in it, a JWK (RFC 7517), and base64 of either, for places that take no line ends.
//!
//! Read here and not by jwt-simple, whose readers of keys would be 100 KB of the filter: of all that DER can
//! say only the two kinds of keys that are used are read, letter for letter. Whether the numbers make
//! a key is judged by the libraries that use them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::base::json;
use crate::token::jwk::{octets, text};

/// The numbers of a private key, big-endian, not judged yet.
pub(super) enum Numbers {
    /// Modulus, public and private exponent, two primes, their exponents, coefficient.
    Rsa([Vec<u8>; 8]),
    /// The secret number of a key on P-256.
    P256(Vec<u8>),
}

/// Reads a private key. A JWK that names its use or algorithm must name `algorithm`.
pub(super) fn read(written: &str, algorithm: &str) -> Option<Numbers> {
    if let Some(numbers) = plain(written.trim(), algorithm) {
        return Some(numbers);
    }
    let unpacked = String::from_utf8(unpack(written)?).ok()?;
    plain(unpacked.trim(), algorithm)
}

fn plain(written: &str, algorithm: &str) -> Option<Numbers> {
    if written.starts_with('{') {
        let Ok(Value::Object(members)) = json::parse(written.as_bytes()) else { return None };
        return of_jwk(&members, algorithm);
    }
    let (label, rest) = written.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, end) = rest.split_once("-----END ")?;
    if end.strip_suffix("-----")? != label {
        return None;
    }
    let der = unpack(body)?;
    match label {
        "PRIVATE KEY" => of_pkcs8(&der),
        "RSA PRIVATE KEY" => of_pkcs1(&der),
        _ => None,
    }
}

/// base64 with line ends anywhere.
fn unpack(written: &str) -> Option<Vec<u8>> {
    STANDARD.decode(written.split_ascii_whitespace().collect::<String>()).ok()
}

fn of_jwk(members: &Map<String, Value>, algorithm: &str) -> Option<Numbers> {
    let fits = |name: &str, value: &str| members.get(name).is_none_or(|given| given == value);
    if !fits("use", "enc") || !fits("alg", algorithm) {
        return None;
    }
    let number = |name| octets(members, name).ok();
    match text(members, "kty").ok()? {
        "RSA" => Some(Numbers::Rsa([
            number("n")?,
            number("e")?,
            number("d")?,
            number("p")?,
            number("q")?,
            number("dp")?,
            number("dq")?,
            number("qi")?,
        ])),
        "EC" if text(members, "crv").ok()? == "P-256" => Some(Numbers::P256(number("d")?)),
        _ => None,
    }
}

fn of_pkcs8(der: &[u8]) -> Option<Numbers> {
    let mut info = Der(der).inner()?;
    let (_version, algorithm, key) =
        (info.take(INTEGER)?, info.take(SEQUENCE)?, info.take(OCTETS)?);
    match algorithm {
        RSA => of_pkcs1(key),
        P256 => {
            // ECPrivateKey (RFC 5915 section 3).
            let mut key = Der(key).inner()?;
            let _version = key.take(INTEGER)?;
            Some(Numbers::P256(key.take(OCTETS)?.to_vec()))
        }
        _ => None,
    }
}

fn of_pkcs1(der: &[u8]) -> Option<Numbers> {
    let mut key = Der(der).inner()?;
    // Version 0: two primes.
    if key.take(INTEGER)? != [0] {
        return None;
    }
    let mut number = || key.take(INTEGER).map(<[u8]>::to_vec);
    Some(Numbers::Rsa([
        number()?,
        number()?,
        number()?,
        number()?,
        number()?,
        number()?,
        number()?,
        number()?,
    ]))
}

/// Values in DER, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The values in a sequence.
    fn inner(mut self) -> Option<Der<'a>> {
        self.take(SEQUENCE).map(Der)
    }

    /// The next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let ([found, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0x00..=0x7f => (usize::from(*first), rest),
            0x81 => rest.split_first_chunk().map(|([one], rest)| (usize::from(*one), rest))?,
            0x82 => rest
                .split_first_chunk()
                .map(|(two, rest)| (usize::from(u16::from_be_bytes(*two)), rest))?,
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(value)
    }
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// rsaEncryption, NULL (RFC 8017 appendix A.1).
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// id-ecPublicKey, prime256v1 (RFC 5480 section 2.1.1).
const P256: &[u8] =
    &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
