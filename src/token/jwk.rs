//! A JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) becomes a checked key, or says
//! why it can't be used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{Edwards25519PublicKey, P256PublicKey, P384PublicKey, RSAPublicKey};
use p521::pkcs8::EncodePublicKey as _;
use serde_json::{Map, Value};
use superboring::pkey::PKey;

use super::algorithm::Algorithm;
use super::key::{Key, Material};

/// Why a member of a key set is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It serves another purpose or a newer algorithm: key sets may hold such keys.
    Foreign(String),
    /// It is meant for signatures and must not be trusted: weak, malformed, or not only public.
    Bad(String),
}

/// Reads one member of a key set.
pub(super) fn read(jwk: &Value) -> Result<Key, Unusable> {
    let jwk = jwk.as_object().ok_or_else(|| bad("it is not an object"))?;
    let algorithm = purpose(jwk)?;
    if let Some(name) = PRIVATE.iter().find(|name| jwk.contains_key(**name)) {
        return Err(bad(&format!(
            "it has the private member `{name}`: publish the public key only"
        )));
    }
    let (material, spki) = match text(jwk, "kty")? {
        "RSA" => rsa(jwk)?,
        "EC" => ec(jwk)?,
        "OKP" => okp(jwk)?,
        "oct" => return Err(bad("it is a shared secret")),
        _ => return Err(foreign("its `kty` is not RSA, EC or OKP")),
    };
    let id = text(jwk, "kid").map_err(|_| bad("it has no `kid`"))?;
    let key = Key::new(id.to_owned(), algorithm, material, spki);
    match algorithm {
        Some(algorithm) if !key.is_for(algorithm) => {
            Err(bad("its `alg` does not go with its type and curve"))
        }
        _ => Ok(key),
    }
}

/// Checks that the key is for verifying signatures; gives the one algorithm it is for, if it says.
fn purpose(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, Unusable> {
    if jwk.contains_key("use") && text(jwk, "use")? != "sig" {
        return Err(foreign("its `use` is not `sig`"));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array().ok_or_else(|| bad("`key_ops` is not a list"))?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err(foreign("its `key_ops` do not hold `verify`"));
        }
    }
    if !jwk.contains_key("alg") {
        return Ok(None);
    }
    let name = text(jwk, "alg")?;
    Algorithm::named(name).map(Some).ok_or_else(|| foreign("its `alg` is none of ours"))
}

/// RSA of 2048 to 4096 bits with the exponent 65537: what every verifier takes (FIPS 186-5 section
/// 5.1 and appendix A.1.1 forbid less).
fn rsa(jwk: &Map<String, Value>) -> Result<(Material, Vec<u8>), Unusable> {
    let (n, e) = (octets(jwk, "n")?, octets(jwk, "e")?);
    if n.first().is_none_or(|first| *first == 0) {
        return Err(bad("`n` is empty or begins with a zero octet"));
    }
    if e != [1, 0, 1] {
        return Err(bad("`e` is not 65537 (`AQAB`)"));
    }
    let bits = n.len().saturating_mul(8).saturating_sub(leading_zeros(&n));
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(bad(&format!(
            "its modulus has {bits} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS}"
        )));
    }
    let unusable = |_| bad("`n` is not an RSA modulus");
    let key = RSAPublicKey::from_components(&n, &e).map_err(unusable)?;
    let spki = key.to_der().map_err(unusable)?;
    let key = PKey::from_rsa(key.as_ref().clone()).map_err(|_| bad("`n` is not an RSA modulus"))?;
    Ok((Material::Rsa(key), spki))
}

/// A point on P-256, P-384 or P-521; each coordinate as long as the field (RFC 7518 section 6.2.1).
fn ec(jwk: &Map<String, Value>) -> Result<(Material, Vec<u8>), Unusable> {
    let off = || bad("its point is not on the curve");
    let off_curve = |_| off();
    match text(jwk, "crv")? {
        "P-256" => {
            let key = P256PublicKey::from_bytes(&point(jwk, 32)?).map_err(off_curve)?;
            let spki = key.to_der().map_err(off_curve)?;
            Ok((Material::P256(key), spki))
        }
        "P-384" => {
            let key = P384PublicKey::from_bytes(&point(jwk, 48)?).map_err(off_curve)?;
            let spki = key.to_der().map_err(off_curve)?;
            Ok((Material::P384(key), spki))
        }
        "P-521" => {
            let key = p521::PublicKey::from_sec1_bytes(&point(jwk, 66)?).map_err(|_| off())?;
            let spki = key.to_public_key_der().map_err(|_| off())?.as_bytes().to_vec();
            Ok((Material::P521(key.into()), spki))
        }
        _ => Err(foreign("its `crv` is not P-256, P-384 or P-521")),
    }
}

fn okp(jwk: &Map<String, Value>) -> Result<(Material, Vec<u8>), Unusable> {
    if text(jwk, "crv")? != "Ed25519" {
        return Err(foreign("its `crv` is not Ed25519"));
    }
    let key = Edwards25519PublicKey::from_bytes(&octets(jwk, "x")?)
        .map_err(|_| bad("`x` is not a point of Ed25519 or a weak one"))?;
    let spki = key.to_der();
    Ok((Material::Ed25519(key), spki))
}

/// The point in SEC 1's uncompressed form.
pub(super) fn point(jwk: &Map<String, Value>, length: usize) -> Result<Vec<u8>, Unusable> {
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(bad("a coordinate has the wrong length"));
    }
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}

pub(super) fn octets(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD
        .decode(text(jwk, name)?)
        .map_err(|_| bad(&format!("`{name}` is not base64url without padding")))
}

pub(super) fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, Unusable> {
    let text = jwk.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| bad(&format!("`{name}` is missing or not text")))
}

fn leading_zeros(octets: &[u8]) -> usize {
    octets.first().map_or(0, |first| usize::try_from(first.leading_zeros()).unwrap_or_default())
}

fn bad(why: &str) -> Unusable {
    Unusable::Bad(why.to_owned())
}

fn foreign(why: &str) -> Unusable {
    Unusable::Foreign(why.to_owned())
}

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 4096;

/// Members of private and symmetric keys (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
