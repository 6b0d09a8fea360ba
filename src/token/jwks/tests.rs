use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{Signer, encode, merge};

fn good(algorithm: Algorithm) -> Value {
    merge(Signer::new(algorithm, "k1", 7).jwk(), json!({"alg": null, "use": null}))
}

/// What becomes of a key: used, passed over, or why it is bad.
fn fate(jwk: &Value) -> String {
    match jwk::read(jwk) {
        Ok(_) => "used".to_owned(),
        Err(Unusable::Foreign(_)) => "foreign".to_owned(),
        Err(Unusable::Bad(why)) => why,
    }
}

#[test]
fn keys_for_signatures_are_used_and_keys_for_other_purposes_passed_over() {
    let rsa = good(Algorithm::Rs256);
    let cases = [
        (json!({}), "used"),
        (json!({"use": "sig"}), "used"),
        (json!({"use": "enc"}), "foreign"),
        (json!({"key_ops": ["verify"]}), "used"),
        (json!({"key_ops": ["sign", "verify"]}), "used"),
        (json!({"key_ops": ["wrapKey"]}), "foreign"),
        (json!({"key_ops": []}), "foreign"),
        (json!({"key_ops": "verify"}), "`key_ops` is not a list"),
        (json!({"alg": "PS512"}), "used"),
        (json!({"alg": "RSA-OAEP"}), "foreign"),
        (json!({"alg": "HS256"}), "foreign"),
        (json!({"alg": "ES256"}), "its `alg` does not go with its type and curve"),
        (json!({"kty": "AKP"}), "foreign"),
        (json!({"kty": "rsa"}), "foreign"),
        (json!({"kty": null}), "`kty` is missing or not text"),
        (json!({"kid": null}), "it has no `kid`"),
        (json!({"kid": ""}), "it has no `kid`"),
        (json!({"kid": 7}), "it has no `kid`"),
        (json!({"x5u": "https://evil.example", "x5c": ["MIIB"], "ext": true}), "used"),
    ];
    for (changes, expected) in cases {
        assert_eq!(fate(&merge(rsa.clone(), changes.clone())), expected, "{changes}");
    }
    assert_eq!(fate(&json!("key")), "it is not an object");
}

#[test]
fn secrets_are_never_used() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let why = fate(&merge(good(Algorithm::Rs256), json!({ name: "AA" })));
        assert!(why.contains(&format!("private member `{name}`")), "{name}: {why}");
    }
    assert_eq!(fate(&json!({"kty": "oct", "kid": "k"})), "it is a shared secret");
    let secret = json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"});
    assert!(fate(&secret).contains("private member `k`"));
}

#[test]
fn weak_and_malformed_rsa_keys_are_never_used() {
    let number = |bytes: usize, first: u8, last: u8| {
        let mut n = vec![0xa5; bytes];
        n[0] = first;
        n[bytes - 1] = last;
        encode(n)
    };
    let bits = |bits: usize| format!("its modulus has {bits} bits, not 2048 to 4096");
    let cases = [
        (json!({"n": number(256, 0x80, 1)}), "used".to_owned()),
        (json!({"n": number(512, 0xff, 1)}), "used".to_owned()),
        (json!({"n": number(256, 0x7f, 1)}), bits(2047)),
        (json!({"n": number(128, 0x80, 1)}), bits(1024)),
        (json!({"n": number(513, 1, 1)}), bits(4097)),
        (json!({"n": number(20_000, 1, 1)}), bits(159_993)),
        (json!({"n": number(256, 0x80, 2)}), "`n` is not an RSA modulus".to_owned()),
        (json!({"n": number(257, 0, 1)}), "`n` is empty or begins with a zero octet".to_owned()),
        (json!({"n": null}), "`n` is missing or not text".to_owned()),
        (json!({"n": 7}), "`n` is missing or not text".to_owned()),
        (json!({"n": "AQ=="}), "`n` is not base64url without padding".to_owned()),
        (json!({"e": "AQ"}), "`e` is not 65537 (`AQAB`)".to_owned()),
        (json!({"e": "Aw"}), "`e` is not 65537 (`AQAB`)".to_owned()),
        (json!({"e": "AQAA"}), "`e` is not 65537 (`AQAB`)".to_owned()),
        (json!({"e": "AAEAAQ"}), "`e` is not 65537 (`AQAB`)".to_owned()),
        (json!({"e": null}), "`e` is missing or not text".to_owned()),
    ];
    for (changes, expected) in cases {
        let shown = changes.to_string();
        assert_eq!(fate(&merge(good(Algorithm::Rs256), changes)), expected, "{shown:.60}");
    }
}

#[test]
fn points_off_the_curve_and_of_the_wrong_length_are_never_used() {
    for (algorithm, length) in
        [(Algorithm::Es256, 32), (Algorithm::Es384, 48), (Algorithm::Es512, 66)]
    {
        let jwk = good(algorithm);
        assert_eq!(fate(&jwk), "used", "{algorithm:?}");
        let (x, y) = (jwk["x"].clone(), jwk["y"].clone());
        let zero = encode(vec![0; length]);
        let ones = encode(vec![0xff; length]);
        let off = "its point is not on the curve";
        let wrong = "a coordinate has the wrong length";
        let cases = [
            (json!({"x": y, "y": x}), off),
            (json!({"y": x}), off),
            (json!({"x": zero, "y": zero}), off),
            (json!({"x": ones}), off),
            (json!({"x": encode(vec![1; length - 1])}), wrong),
            (json!({"y": encode(vec![1; length + 1])}), wrong),
            (json!({"y": null}), "`y` is missing or not text"),
            (json!({"crv": "secp256k1"}), "foreign"),
            (json!({"crv": null}), "`crv` is missing or not text"),
        ];
        for (changes, expected) in cases {
            let shown = changes.to_string();
            assert_eq!(fate(&merge(jwk.clone(), changes)), expected, "{algorithm:?} {shown}");
        }
        let others = ["P-256", "P-384", "P-521"];
        for curve in others.into_iter().filter(|curve| jwk["crv"] != *curve) {
            assert_eq!(fate(&merge(jwk.clone(), json!({"crv": curve}))), wrong, "{curve}");
        }
    }
}

#[test]
fn weak_ed25519_keys_are_never_used() {
    let jwk = good(Algorithm::EdDsa);
    assert_eq!(fate(&jwk), "used");
    let weak = "`x` is not a point of Ed25519 or a weak one";
    for x in [[0; 32].to_vec(), [&[1][..], &[0; 31]].concat(), vec![1; 31], vec![1; 33]] {
        assert_eq!(fate(&merge(jwk.clone(), json!({"x": encode(&x)}))), weak, "{x:?}");
    }
    for curve in ["X25519", "Ed448"] {
        assert_eq!(fate(&merge(jwk.clone(), json!({"crv": curve}))), "foreign", "{curve}");
    }
}

#[test]
fn one_odd_key_does_not_take_the_others_down() {
    let weak = merge(good(Algorithm::Rs256), json!({"kid": "weak", "e": "AQ"}));
    let encryption = merge(good(Algorithm::Rs256), json!({"kid": "k1", "use": "enc"}));
    let set = json!({"keys": [weak, good(Algorithm::Es256), encryption, 7]});
    let reading = KeySet::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(reading.set.len(), 1);
    assert!(reading.set.named("k1").is_some());
    assert!(reading.set.named("weak").is_none());
    let places: Vec<usize> = reading.left_out.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [0, 2, 3]);
}

#[test]
fn a_document_that_is_no_clear_key_set_is_refused_whole() {
    let key = good(Algorithm::Es256);
    let weak_twin = merge(good(Algorithm::Rs256), json!({"e": "AQ"}));
    let many = vec![json!({}); MAX_KEYS + 1];
    let long = format!("{}{{\"keys\":[]}}", " ".repeat(MAX_DOCUMENT));
    let cases = [
        (json!({"keys": [key, key]}).to_string(), "two of its keys have the `kid` of `keys/1`"),
        (json!({"keys": [weak_twin, key]}).to_string(), "two of its keys"),
        (json!({"keys": many}).to_string(), "it has more than 100 keys"),
        (json!([key]).to_string(), "it is not a JWK Set"),
        (json!({"keys": {"k1": key}}).to_string(), "it is not a JWK Set"),
        (json!({}).to_string(), "it is not a JWK Set"),
        (key.to_string(), "it is not a JWK Set"),
        ("<html>".to_owned(), "it is not JSON"),
        (String::new(), "it is not JSON"),
        ("{\"keys\":[],\"keys\":[]}".to_owned(), "it is not JSON"),
        (long, "it is longer than 262144 bytes"),
    ];
    for (document, expected) in cases {
        let problem = KeySet::parse(document.as_bytes()).unwrap_err();
        assert!(problem.starts_with(expected), "{document:.60}: {problem}");
    }
    assert_eq!(KeySet::parse(b"{\"keys\":[]}").unwrap().set.len(), 0);
}

proptest! {
    #[test]
    fn any_document_is_read_without_a_panic(document in "\\PC{0,60}") {
        let text = format!("{{\"keys\":[{document}]}}");
        let used = KeySet::parse(text.as_bytes()).map_or(0, |reading| reading.set.len());
        prop_assert_eq!(used, 0);
    }

    #[test]
    fn any_numbers_in_a_key_are_read_without_a_panic(
        a in prop::collection::vec(any::<u8>(), 0..70),
        b in prop::collection::vec(any::<u8>(), 0..70),
        curve in prop::sample::select(vec!["P-256", "P-384", "P-521", "Ed25519"]),
        kind in prop::sample::select(vec!["RSA", "EC", "OKP"]),
    ) {
        let (a, b) = (encode(a), encode(b));
        let jwk = json!({"kty": kind, "crv": curve, "n": a, "e": b, "x": a, "y": b, "kid": "k"});
        // A random 32-byte string is an Ed25519 point half of the time; nothing else can be a key.
        prop_assert!(jwk::read(&jwk).is_err() || kind == "OKP");
    }
}

/// Key sets are also read while Envoy configures the filter, when a trap opens what it guards.
#[test]
fn no_modulus_of_an_allowed_length_makes_reading_or_verifying_panic() {
    use crate::base::capabilities::Native;

    for bytes in [256, 257, 384, 512] {
        for (first, middle, last) in [
            (0x80, 0, 0),
            (0x80, 0, 1),
            (0xff, 0xff, 0xff),
            (0xff, 0xff, 0xfe),
            (1, 0, 0),
            (1, 0, 3),
        ] {
            let mut modulus = vec![middle; bytes];
            modulus[0] = first;
            modulus[bytes - 1] = last;
            let jwk = json!({"kty": "RSA", "kid": "k", "n": encode(&modulus), "e": "AQAB"});
            let Ok(reading) = KeySet::read(&json!({"keys": [jwk]})) else { continue };
            let Some(key) = reading.set.named("k") else { continue };
            for signature in [vec![], vec![0; bytes], vec![1; bytes], vec![0xff; bytes], vec![1; 9]]
            {
                for algorithm in [Algorithm::Rs256, Algorithm::Ps384] {
                    assert!(!key.verify(algorithm, b"text", &signature, &Native::default()));
                }
            }
        }
    }
}
