//! Signatures below the claims: vectors of the RFCs and of OpenSSL.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::Native;
use crate::token::jwk;
use crate::token::testing::{merge, vectors};

struct Vector {
    source: String,
    algorithm: Algorithm,
    key: Key,
    text: String,
    signature: Vec<u8>,
    spki: Option<String>,
}

fn read(vector: &Value) -> Vector {
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let token = text("jws");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().0).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let mut key = vector["key"].clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        key = merge(key, json!({ private: null }));
    }
    Vector {
        source: text("source"),
        algorithm: Algorithm::named(header["alg"].as_str().unwrap()).unwrap(),
        key: jwk::read(&merge(key, json!({"kid": "k"}))).unwrap(),
        text: signed.to_owned(),
        signature: URL_SAFE_NO_PAD.decode(signature).unwrap(),
        spki: vector["spki"].as_str().map(str::to_owned),
    }
}

fn is_signed(vector: &Vector, text: &str, signature: &[u8]) -> bool {
    vector.key.verify(vector.algorithm, text.as_bytes(), signature, &Native::default())
}

#[test]
fn vectors_of_every_algorithm_verify_and_one_changed_bit_does_not() {
    let vectors: Vec<Vector> = vectors().iter().map(read).collect();
    for algorithm in Algorithm::ALL {
        assert!(vectors.iter().any(|vector| vector.algorithm == algorithm), "{algorithm:?}");
    }
    for vector in &vectors {
        let shown = format!("{} {:?}", vector.source, vector.algorithm);
        assert!(is_signed(vector, &vector.text, &vector.signature), "{shown}");
        assert!(!is_signed(vector, &format!("{} ", vector.text), &vector.signature), "{shown}");
        for place in 0..vector.signature.len() {
            let mut changed = vector.signature.clone();
            changed[place] ^= 1;
            if place % 16 == 0 || place + 1 == changed.len() {
                assert!(!is_signed(vector, &vector.text, &changed), "{shown} bit {place}");
            }
        }
    }
}

#[test]
fn a_signature_of_another_length_is_none() {
    for vector in vectors().iter().map(read) {
        let longer = [vector.signature.as_slice(), &[0]].concat();
        let padded = [&[0], vector.signature.as_slice()].concat();
        let shorter = &vector.signature[..vector.signature.len() - 1];
        for signature in [longer.as_slice(), &padded, shorter, &[]] {
            assert!(!is_signed(&vector, &vector.text, signature), "{:?}", vector.algorithm);
        }
        for byte in [0, 1, 0xff] {
            let signature = vec![byte; vector.signature.len()];
            assert!(!is_signed(&vector, &vector.text, &signature), "{:?}", vector.algorithm);
        }
    }
}

#[test]
fn the_public_key_is_written_as_openssl_writes_it() {
    let mut compared = 0;
    for vector in vectors().iter().map(read) {
        if let Some(expected) = &vector.spki {
            let written = URL_SAFE_NO_PAD.encode(&vector.key.spki);
            assert_eq!(&written, expected, "{:?}", vector.algorithm);
            compared += 1;
        }
    }
    assert_eq!(compared, 5);
}

#[test]
fn the_fingerprint_tells_keys_names_and_algorithms_apart() {
    let jwk = merge(vectors()[3]["key"].clone(), json!({"kid": "a"}));
    let fingerprint =
        |changes: Value| jwk::read(&merge(jwk.clone(), changes)).unwrap().fingerprint();
    let plain = fingerprint(json!({}));
    assert_eq!(plain, fingerprint(json!({"use": "sig", "x5t": "ignored"})));
    for changes in [json!({"kid": "b"}), json!({"alg": "RS256"}), json!({"alg": "PS256"})] {
        assert_ne!(plain, fingerprint(changes.clone()), "{changes}");
    }
}

#[test]
fn the_host_gets_rsa_signatures_as_they_are_and_ecdsa_ones_in_der() {
    for vector in vectors().iter().map(read) {
        let form = vector.key.material.host_form(vector.algorithm, &vector.signature);
        let given = match form {
            HostForm::Signature(given) => given,
            HostForm::None => {
                let name = vector.algorithm.name();
                assert!(name.starts_with("PS") || name == "EdDSA", "{name}");
                continue;
            }
            HostForm::Malformed => panic!("{:?}", vector.algorithm),
        };
        let raw = match vector.key.material {
            Material::P256(_) => p256::ecdsa::Signature::from_der(&given).unwrap().to_vec(),
            Material::P384(_) => p384::ecdsa::Signature::from_der(&given).unwrap().to_vec(),
            Material::P521(_) => p521::ecdsa::Signature::from_der(&given).unwrap().to_vec(),
            _ => given,
        };
        assert_eq!(raw, vector.signature, "{:?}", vector.algorithm);
    }
}
