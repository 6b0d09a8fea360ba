//! A public key and the one thing it is for: verifying signatures.
//!
//! Keys are parsed once, when a key set is adopted, and are jwt-simple's own types where it has
//! them; their signatures are verified by the libraries that jwt-simple verifies with. Its
//! `verify_token` is not used: it decodes header and claims a second time by looser rules, needs
//! both to be of its own shape, and so can't verify a text and a signature on their own.

use core::fmt;

use hmac_sha256::Hash as Sha256;
use jwt_simple::algorithms::{Edwards25519PublicKey, P256PublicKey, P384PublicKey};
use p256::ecdsa::signature::Verifier as _;
use superboring::hash::MessageDigest;
use superboring::pkey::{PKey, Public};
use superboring::rsa::Padding;
use superboring::sign::{RsaPssSaltlen, Verifier};

use super::algorithm::Algorithm;
use crate::base::capabilities::{Capabilities, Hash, HostSignature, HostVerdict};

/// A key of an issuer.
#[derive(Clone)]
pub(super) struct Key {
    id: String,
    algorithm: Option<Algorithm>,
    material: Material,
    spki: Vec<u8>,
    fingerprint: Fingerprint,
}

/// Tells keys apart: SHA-256 of the key, its name and its algorithm.
pub(super) type Fingerprint = [u8; 32];

/// The key itself, checked: a point on its curve, an RSA modulus of a size that is trusted.
#[derive(Clone)]
pub(super) enum Material {
    /// RSA, for RS* and PS*.
    Rsa(PKey<Public>),
    /// P-256, for ES256.
    P256(P256PublicKey),
    /// P-384, for ES384.
    P384(P384PublicKey),
    /// P-521, for ES512.
    P521(p521::ecdsa::VerifyingKey),
    /// Ed25519, for EdDSA.
    Ed25519(Edwards25519PublicKey),
}

impl Key {
    /// A key named `id` that verifies only `algorithm`, where one is given. `spki` is its
    /// `SubjectPublicKeyInfo` in DER, made from the checked key.
    pub(super) fn new(
        id: String,
        algorithm: Option<Algorithm>,
        material: Material,
        spki: Vec<u8>,
    ) -> Key {
        let mut hash = Sha256::new();
        hash.update(algorithm.map_or("", Algorithm::name));
        hash.update([0]);
        hash.update(Sha256::hash(&spki));
        hash.update(&id);
        Key { id, algorithm, material, spki, fingerprint: hash.finalize() }
    }

    /// `kid`
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What tells it from every other key.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the key may verify this algorithm: by its type, its curve and its own `alg`.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.material.is_for(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature`, in the form of JWS, is this key's signature of `text`.
    ///
    /// The host verifies what it can, faster; where it has no such function the key does, with the
    /// same outcome. The host's "no" is final.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
        caps: &dyn Capabilities,
    ) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let verdict = match self.material.host_form(algorithm, signature) {
            HostForm::Malformed => HostVerdict::Invalid,
            HostForm::None => HostVerdict::Unavailable,
            HostForm::Signature(signature) => caps.verify_signature(&HostSignature {
                hash: algorithm.hash(),
                public_key: &self.spki,
                signature: &signature,
                text,
            }),
        };
        match verdict {
            HostVerdict::Valid => true,
            HostVerdict::Invalid => false,
            HostVerdict::Unavailable => self.material.verify(algorithm, text, signature),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({:?})", self.id)
    }
}

/// A signature in the form that the host's function takes.
enum HostForm {
    /// The host verifies no signatures of this algorithm.
    None,
    /// It can't be a signature of this key: wrong length, or a number out of range.
    Malformed,
    /// PKCS#1 v1.5 as it is, ECDSA in DER.
    Signature(Vec<u8>),
}

impl Material {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Material::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::P521(_) => algorithm == Es512,
            Material::Ed25519(_) => algorithm == EdDsa,
        }
    }

    fn host_form(&self, algorithm: Algorithm, signature: &[u8]) -> HostForm {
        let der = match self {
            Material::Rsa(_) => match is_pss(algorithm) {
                true => return HostForm::None,
                false => Some(signature.to_vec()),
            },
            Material::P256(_) => p256::ecdsa::Signature::from_slice(signature)
                .ok()
                .map(|signature| signature.to_der().as_bytes().to_vec()),
            Material::P384(_) => p384::ecdsa::Signature::from_slice(signature)
                .ok()
                .map(|signature| signature.to_der().as_bytes().to_vec()),
            Material::P521(_) => p521::ecdsa::Signature::from_slice(signature)
                .ok()
                .map(|signature| signature.to_der().as_bytes().to_vec()),
            Material::Ed25519(_) => return HostForm::None,
        };
        der.map_or(HostForm::Malformed, HostForm::Signature)
    }

    fn verify(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Material::Rsa(key) => verify_rsa(key, algorithm, text, signature).unwrap_or(false),
            Material::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
            Material::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
            Material::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            Material::Ed25519(key) => ed25519_compact::Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
        }
    }
}

/// RSA by superboring; a PSS salt is as long as the hash (RFC 7518 section 3.5).
fn verify_rsa(
    key: &PKey<Public>,
    algorithm: Algorithm,
    text: &[u8],
    signature: &[u8],
) -> Result<bool, superboring::error::ErrorStack> {
    let digest = match algorithm.hash() {
        Hash::Sha256 => MessageDigest::sha256(),
        Hash::Sha384 => MessageDigest::sha384(),
        Hash::Sha512 => MessageDigest::sha512(),
    };
    let mut verifier = Verifier::new(digest, key)?;
    if is_pss(algorithm) {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    } else {
        verifier.set_rsa_padding(Padding::PKCS1)?;
    }
    verifier.update(text)?;
    verifier.verify(signature)
}

const fn is_pss(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512)
}

#[cfg(test)]
mod tests;
