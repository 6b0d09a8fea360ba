//! Encrypted tokens through `verify`: those that other implementations made are taken, every forgery
//! and every form that is not wanted is refused for its own reason.

use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_simple::prelude::{
    Claims as AnyClaims, Duration as Lifetime, EcdhEsA128KWDecryptionKey,
    EcdhEsA256KWDecryptionKey, EncryptionOptions, RsaOaepDecryptionKey,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use superboring::aes::wrap_key;

use super::format::read;
use super::keys::WORK_A_SECOND;
use super::private::PrivateKey;
use super::settings::KeyManagement;
use super::*;
use crate::base::capabilities::Native;
use crate::base::time::{Instant, UnixSeconds};
use crate::config::section::read_document;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{NOW, Signer, claims, config, encode, issuers, merge, now, verify};
use crate::token::{CacheLimits, Introspection, Issuers, Keys, RawToken, Rejected, TokenCache};

/// Keys and tokens of `testdata/encrypted.json`.
struct Vectors(Value);

/// An issuer that encrypts for three keys of ours, and another that encrypts for a fourth.
struct Clinic {
    vectors: Vectors,
    signer: Signer,
    issuers: Issuers,
    caps: Native,
}

const KEYS: [(&str, &str, &str); 3] = [
    ("rsa", "RSA-OAEP", "TOKEN_KEY_RSA"),
    ("ec-128", "ECDH-ES+A128KW", "TOKEN_KEY_EC"),
    ("ec-256", "ECDH-ES+A256KW", "TOKEN_KEY_EC"),
];

const OTHER: &str = "https://other.example";

impl Vectors {
    fn new() -> Vectors {
        Vectors(serde_json::from_str(include_str!("../testdata/encrypted.json")).unwrap())
    }

    fn text(&self, place: &str) -> &str {
        self.0.pointer(place).and_then(Value::as_str).unwrap()
    }

    /// (made by, `kid`, token)
    fn tokens(&self) -> Vec<(String, String, String)> {
        let text = |token: &Value, name: &str| token[name].as_str().unwrap().to_owned();
        let tokens = self.0["tokens"].as_array().unwrap().iter();
        tokens.map(|t| (text(t, "source"), text(t, "kid"), text(t, "token"))).collect()
    }

    fn token(&self, key: &str) -> String {
        self.tokens().into_iter().find(|(_, kid, _)| kid == key).unwrap().2
    }
}

impl Clinic {
    fn new() -> Clinic {
        Clinic::with(json!({}))
    }

    /// The clinic with these members of `encryption` changed.
    fn with(changes: Value) -> Clinic {
        let vectors = Vectors::new();
        let signer = Signer::new(Algorithm::Es256, "k1", 7);
        let other = Signer::new(Algorithm::Es256, "k2", 9);
        let keys = KEYS.map(
            |(id, algorithm, variable)| json!({"kid": id, "algorithm": algorithm, "key": variable}),
        );
        let encryption = merge(json!({ "keys": keys }), changes);
        let second = json!({"keys": [
            {"kid": "other", "algorithm": "ECDH-ES+A256KW", "key": "TOKEN_KEY_EC"},
        ]});
        let issuers = issuers(vec![
            config(vec![signer.jwk()], json!({"encryption": encryption})),
            config(vec![other.jwk()], json!({"issuer": OTHER, "encryption": second})),
        ]);
        let caps = Native::at(now());
        caps.set_environment("TOKEN_KEY_RSA", vectors.text("/keys/rsa/pkcs8"));
        caps.set_environment("TOKEN_KEY_EC", vectors.text("/keys/ec/pkcs8"));
        Clinic { vectors, signer, issuers, caps }
    }

    /// What becomes of a token on an instance that saw none before.
    fn verify(&self, token: &str) -> Result<(), Rejected> {
        let keys = Keys::new(&self.issuers);
        verify(&RawToken::for_tests(token), &self.issuers, &keys, &self.caps).map(|_| ())
    }

    fn verdict(&self, token: &str) -> &'static str {
        self.verify(token).err().map_or("accepted", |rejected| rejected.refusal.reason.code)
    }

    /// A good inner token.
    fn signed(&self) -> String {
        self.signer.token(&claims(json!({}))).text().to_owned()
    }

    /// A good token, encrypted for the key `id`, with these header members changed.
    fn sealed(&self, id: &str, header: Value) -> String {
        self.seal(id, header, self.signed().as_bytes(), &[5; 32])
    }

    /// `plaintext` encrypted under `content_key`.
    fn seal(&self, id: &str, changes: Value, plaintext: &[u8], content_key: &[u8]) -> String {
        let (_, algorithm, _) = KEYS.into_iter().find(|(known, ..)| *known == id).unwrap();
        let honest = json!({"alg": algorithm, "enc": "A256GCM", "cty": "JWT", "kid": id});
        let rsa = id == "rsa";
        let honest = if rsa { honest } else { merge(honest, json!({"epk": ephemeral()})) };
        let header = encode(merge(honest, changes.clone()).to_string());
        let wrapped = if rsa {
            let Some(PrivateKey::Rsa(key)) = self.private("rsa") else { panic!() };
            let mut wrapped = vec![0; 256];
            let public = key.public_key().unwrap();
            public
                .public_encrypt(content_key, &mut wrapped, superboring::rsa::Padding::PKCS1_OAEP)
                .unwrap();
            wrapped
        } else {
            self.agree(algorithm, &changes, content_key)
        };
        let under = <[u8; 32]>::try_from(content_key).unwrap_or([5; 32]);
        let (ciphertext, tag) =
            CONTENT.encrypt(&under, &[3; 12], header.as_bytes(), plaintext).unwrap();
        [header, encode(wrapped), encode([3; 12]), encode(ciphertext), encode(tag)].join(".")
    }

    /// The sender's half of the agreement, written down once more.
    fn agree(&self, algorithm: &str, header: &Value, content_key: &[u8]) -> Vec<u8> {
        let Some(PrivateKey::P256(key)) = self.private("ec-256") else { panic!() };
        let shared =
            p256::ecdh::diffie_hellman(secret().to_nonzero_scalar(), key.public_key().as_affine());
        let length: usize = if algorithm.ends_with("A128KW") { 16 } else { 32 };
        let mut text = vec![0, 0, 0, 1];
        text.extend(shared.raw_secret_bytes());
        let party = |name: &str| {
            URL_SAFE_NO_PAD.decode(header[name].as_str().unwrap_or_default()).unwrap_or_default()
        };
        for part in [algorithm.as_bytes(), &party("apu"), &party("apv")] {
            text.extend((part.len() as u32).to_be_bytes());
            text.extend(part);
        }
        let bits: u32 = if length == 16 { 128 } else { 256 };
        text.extend(bits.to_be_bytes());
        let derived = hmac_sha256::Hash::hash(&text);
        let key = superboring::aes::AesKey::new_encrypt(&derived[..length]).unwrap();
        let mut wrapped = vec![0; [content_key, &[0; 8]].concat().len()];
        wrap_key(&key, None, &mut wrapped, content_key).unwrap();
        wrapped
    }

    fn private(&self, id: &str) -> Option<PrivateKey> {
        let (_, algorithm, variable) = KEYS.into_iter().find(|(known, ..)| *known == id).unwrap();
        PrivateKey::read(&self.caps.environment(variable).unwrap(), managed(algorithm))
    }
}

fn managed(name: &str) -> KeyManagement {
    use crate::config::setting::Setting as _;
    KeyManagement::parse(&json!(name)).unwrap()
}

fn secret() -> p256::SecretKey {
    p256::SecretKey::from_slice(&[9; 32]).unwrap()
}

fn ephemeral() -> Value {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let point = secret().public_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
}

/// The token with one of its parts replaced.
fn with_part(token: &str, place: usize, part: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[place] = part;
    parts.join(".")
}

#[test]
fn tokens_of_other_implementations_are_accepted() {
    let clinic = Clinic::with(json!({"required": true}));
    let tokens = clinic.vectors.tokens();
    assert_eq!(tokens.len(), 7);
    for (source, id, token) in tokens {
        assert_eq!(clinic.verdict(&token), "accepted", "{source} for {id}");
        let keys = Keys::new(&clinic.issuers);
        let opened = open(&token, &keys, &clinic.caps).unwrap().unwrap();
        assert_eq!(opened.token, clinic.vectors.text("/signed"), "{source} for {id}");
    }
}

#[test]
fn what_jwt_simple_encrypts_is_decrypted_to_the_letter() {
    let clinic = Clinic::new();
    let options = |id: &str| EncryptionOptions {
        content_type: Some("JWT".to_owned()),
        key_id: Some(id.to_owned()),
        ..EncryptionOptions::default()
    };
    let said = || AnyClaims::create(Lifetime::from_hours(1)).with_subject("nurse-17");
    let rsa = RsaOaepDecryptionKey::from_pem(clinic.vectors.text("/keys/rsa/pkcs8")).unwrap();
    let pem = clinic.vectors.text("/keys/ec/pkcs8");
    let (small, large) = (
        EcdhEsA128KWDecryptionKey::from_pem(pem).unwrap(),
        EcdhEsA256KWDecryptionKey::from_pem(pem).unwrap(),
    );
    let tokens = [
        rsa.encrypt_with_options(said(), &options("rsa")).unwrap(),
        small.encrypt_with_options(said(), &options("ec-128")).unwrap(),
        large.encrypt_with_options(said(), &options("ec-256")).unwrap(),
    ];
    for token in tokens {
        let keys = Keys::new(&clinic.issuers);
        let opened = open(&token, &keys, &clinic.caps).unwrap().unwrap();
        let inside: Value = serde_json::from_str(&opened.token).unwrap();
        assert_eq!(inside["sub"], "nurse-17");
        // Claims that nobody signed are no token.
        assert_eq!(clinic.verdict(&token), "token_shape");
    }
}

#[test]
fn the_example_of_rfc_7520_section_5_2_is_decrypted() {
    let vectors = Vectors::new();
    let key = vectors.0["rfc7520"]["key"].to_string();
    let key = PrivateKey::read(&key, KeyManagement::RsaOaep).unwrap();
    let compact = vectors.text("/rfc7520/compact");
    let [header, wrapped, iv, ciphertext, tag] =
        <[&str; 5]>::try_from(compact.split('.').collect::<Vec<_>>()).unwrap();
    let [wrapped_key, iv, ciphertext, tag] =
        [wrapped, iv, ciphertext, tag].map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    assert_eq!(wrapped_key.len(), key.wrapped_length());
    let content_key = key.unwrap(&wrapped_key, None).unwrap();
    assert_eq!(encode(&content_key), vectors.text("/rfc7520/content_key"));
    let sealed = Sealed { wrapped_key, iv, ciphertext, tag };
    let plaintext = decrypt(header, &sealed, &content_key).unwrap();
    assert_eq!(String::from_utf8(plaintext).unwrap(), vectors.text("/rfc7520/plaintext"));
}

#[test]
fn our_own_sealing_makes_good_tokens() {
    let clinic = Clinic::new();
    for (id, ..) in KEYS {
        assert_eq!(clinic.verdict(&clinic.sealed(id, json!({}))), "accepted", "{id}");
    }
}

#[test]
fn headers_of_encrypted_tokens_have_their_own_refusals() {
    let clinic = Clinic::new();
    let cases = [
        (json!({"kid": null}), "token_key_unnamed"),
        (json!({"kid": ""}), "token_decryption_key_unknown"),
        (json!({"kid": "RSA"}), "token_decryption_key_unknown"),
        (json!({"kid": "k1"}), "token_decryption_key_unknown"),
        (json!({"kid": 1}), "token_header_unreadable"),
        (json!({"alg": null}), "token_encryption_refused"),
        (json!({"alg": "RSA1_5"}), "token_encryption_refused"),
        (json!({"alg": "RSA-OAEP-256"}), "token_encryption_refused"),
        (json!({"alg": "rsa-oaep"}), "token_encryption_refused"),
        (json!({"alg": "dir"}), "token_encryption_refused"),
        (json!({"alg": "none"}), "token_encryption_refused"),
        (json!({"alg": "A256KW"}), "token_encryption_refused"),
        (json!({"alg": "PBES2-HS256+A128KW", "p2c": 2, "p2s": "AA"}), "token_encryption_refused"),
        (json!({"alg": "ECDH-ES+A256KW"}), "token_encryption_refused"),
        (json!({"alg": ["RSA-OAEP"]}), "token_header_unreadable"),
        (json!({"enc": null}), "token_encryption_refused"),
        (json!({"enc": "A128GCM"}), "token_encryption_refused"),
        (json!({"enc": "A256CBC-HS512"}), "token_encryption_refused"),
        (json!({"enc": "a256gcm"}), "token_encryption_refused"),
        (json!({"enc": 256}), "token_header_unreadable"),
        (json!({"zip": "DEF"}), "token_payload_compressed"),
        (json!({"crit": []}), "token_header_critical"),
        (json!({"crit": ["exp"], "exp": 1}), "token_header_critical"),
        (json!({"b64": true}), "token_payload_unencoded"),
        (json!({"jwk": {"kty": "RSA"}}), "token_header_key_refused"),
        (json!({"jku": "http://127.0.0.1/"}), "token_header_key_refused"),
        (json!({"x5u": "http://127.0.0.1/"}), "token_header_key_refused"),
        (json!({"x5c": ["MIIB"]}), "token_header_key_refused"),
        (json!({"cty": null}), "token_content_type_refused"),
        (json!({"cty": "JWE"}), "token_content_type_refused"),
        (json!({"cty": "at+jwt"}), "token_content_type_refused"),
        (json!({"cty": true}), "token_header_unreadable"),
        (json!({"epk": "x"}), "token_header_unreadable"),
        (json!({"apu": "="}), "token_encoding"),
        (json!({"apu": "QQ", "apv": "QQ"}), "token_header_unreadable"),
        (json!({"cty": "jwt", "typ": "JWT"}), "accepted"),
        (json!({"cty": "application/JWT", "x5t": "AA", "iss": "x"}), "accepted"),
    ];
    for (header, expected) in cases {
        let token = clinic.sealed("rsa", header.clone());
        assert_eq!(clinic.verdict(&token), expected, "{header}");
    }
    let twice = r#"{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT","kid":"rsa","kid":"rsa"}"#;
    let long = json!({"alg": "RSA-OAEP", "kid": "rsa", "more": "x".repeat(4096)}).to_string();
    let token = clinic.vectors.token("rsa");
    for (header, expected) in [
        (encode(twice), "token_header_unreadable"),
        (encode("[]"), "token_header_unreadable"),
        (encode(long), "token_header_too_large"),
        (String::new(), "token_header_unreadable"),
        ("e30=".to_owned(), "token_encoding"),
    ] {
        assert_eq!(clinic.verdict(&with_part(&token, 0, &header)), expected, "{header:.40}");
    }
}

#[test]
fn the_ephemeral_key_must_be_a_public_key_on_the_curve() {
    let clinic = Clinic::new();
    let with = |changes: Value| merge(ephemeral(), changes);
    let twist = encode([2; 32]);
    let cases = [
        Value::Null,
        json!({}),
        with(json!({"y": null})),
        with(json!({"y": encode([0; 32])})),
        with(json!({"x": twist, "y": twist})),
        with(json!({"x": encode([0; 32]), "y": encode([0; 32])})),
        with(json!({"x": encode([0xff; 32])})),
        with(json!({"x": encode([9; 31])})),
        with(json!({"x": 1})),
        with(json!({"crv": "P-384"})),
        with(json!({"crv": null})),
        with(json!({"kty": "OKP"})),
        with(json!({"d": encode([9; 32])})),
    ];
    for key in cases {
        for id in ["ec-128", "ec-256"] {
            let token = clinic.sealed(id, json!({"epk": key}));
            assert_eq!(clinic.verdict(&token), "token_ephemeral_key_invalid", "{id} {key}");
        }
    }
    // Another point on the curve is another secret.
    let generator = json!({
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    });
    let token = clinic.sealed("ec-256", json!({"epk": with(generator)}));
    assert_eq!(clinic.verdict(&token), "token_decryption_failed");
    let parties = json!({"apu": "QWxpY2U", "apv": "Qm9i"});
    assert_eq!(clinic.verdict(&clinic.sealed("ec-128", parties)), "accepted");
}

#[test]
fn whatever_fails_from_the_private_key_on_has_one_reason() {
    let clinic = Clinic::new();
    for (id, ..) in KEYS {
        let token = clinic.sealed(id, json!({}));
        let parts: Vec<&str> = token.split('.').collect();
        for (place, part) in parts.iter().enumerate().skip(1) {
            let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                bytes[at] ^= 1;
                let changed = with_part(&token, place, &encode(&bytes));
                assert_eq!(clinic.verdict(&changed), "token_decryption_failed", "{id} {place}");
                bytes[at] ^= 1;
            }
            let zeros = with_part(&token, place, &encode(vec![0; bytes.len()]));
            assert_eq!(clinic.verdict(&zeros), "token_decryption_failed", "{id} {place} zero");
            let ones = with_part(&token, place, &encode(vec![0xff; bytes.len()]));
            assert_eq!(clinic.verdict(&ones), "token_decryption_failed", "{id} {place} ones");
        }
        let empty = with_part(&token, 3, "");
        assert_eq!(clinic.verdict(&empty), "token_decryption_failed", "{id} empty");
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
        let spaced = with_part(&token, 0, &encode(header.replace(',', ", ")));
        assert_eq!(clinic.verdict(&spaced), "token_decryption_failed", "{id} header");
    }
    // A key of the content that is too short, well wrapped.
    for length in [0, 16, 31, 33] {
        let short = clinic.seal("rsa", json!({}), clinic.signed().as_bytes(), &vec![5; length]);
        assert_eq!(clinic.verdict(&short), "token_decryption_failed", "{length}");
    }
    // A key of the content that is wrapped for somebody else.
    let stranger = superboring::rsa::Rsa::generate(2048).unwrap().public_key().unwrap();
    let mut wrapped = vec![0; 256];
    stranger.public_encrypt(&[5; 32], &mut wrapped, superboring::rsa::Padding::PKCS1_OAEP).unwrap();
    let foreign = with_part(&clinic.sealed("rsa", json!({})), 1, &encode(wrapped));
    assert_eq!(clinic.verdict(&foreign), "token_decryption_failed");
}

#[test]
fn lengths_and_encoding_are_checked_before_the_private_key_is_used() {
    let clinic = Clinic::new();
    for (id, ..) in KEYS {
        let token = clinic.sealed(id, json!({}));
        let parts: Vec<&str> = token.split('.').collect();
        for place in [1, 2, 4] {
            let bytes = URL_SAFE_NO_PAD.decode(parts[place]).unwrap();
            let longer = [bytes.as_slice(), &[0]].concat();
            for wrong in [&bytes[1..], &longer, &[], &bytes[..8]] {
                let changed = with_part(&token, place, &encode(wrong));
                let length = wrong.len();
                assert_eq!(
                    clinic.verdict(&changed),
                    "token_encrypted_length",
                    "{id} {place} {length}"
                );
            }
        }
        for (place, part) in parts.iter().enumerate().skip(1) {
            let strange = format!("+{}", part.chars().skip(1).collect::<String>());
            let changed = with_part(&token, place, &strange);
            assert_eq!(clinic.verdict(&changed), "token_encoding", "{id} {place}");
        }
        for (shape, text) in [
            ("six parts", format!("{token}.")),
            ("four parts", parts[..4].join(".")),
            ("no dots", "x".to_owned()),
        ] {
            assert_eq!(clinic.verdict(&text), "token_shape", "{id} {shape}");
        }
    }
}

#[test]
fn what_is_inside_goes_the_way_of_every_token() {
    let clinic = Clinic::new();
    let inside = |text: &[u8]| clinic.verdict(&clinic.seal("ec-256", json!({}), text, &[5; 32]));
    let of_claims =
        |changes: Value| inside(clinic.signer.token(&claims(changes)).text().as_bytes());
    let signed = clinic.signed();
    let forged = Signer::new(Algorithm::Es256, "k1", 8).token(&claims(json!({})));
    assert_eq!(inside(signed.as_bytes()), "accepted");
    assert_eq!(inside(forged.text().as_bytes()), "token_signature_invalid");
    assert_eq!(inside(clinic.sealed("ec-256", json!({})).as_bytes()), "token_encrypted");
    assert_eq!(inside(claims(json!({})).to_string().as_bytes()), "token_shape");
    assert_eq!(inside(b""), "token_shape");
    assert_eq!(inside(b"\xff\xfe.a.b"), "token_encoding");
    assert_eq!(inside(format!("{signed}\n").as_bytes()), "token_encoding");
    assert_eq!(inside(format!("Bearer {signed}").as_bytes()), "token_encoding");
    assert_eq!(of_claims(json!({"exp": NOW - 100})), "token_expired");
    assert_eq!(of_claims(json!({"aud": "x"})), "token_audience");
    assert_eq!(of_claims(json!({"iss": "https://nobody.example"})), "token_issuer_unknown");
    let unsigned = format!(
        "{}.{}.",
        encode(r#"{"alg":"none","kid":"k1"}"#),
        encode(claims(json!({})).to_string())
    );
    assert_eq!(inside(unsigned.as_bytes()), "token_algorithm_refused");
    // Who it is is told once the signature is proven, as ever.
    let expired = clinic.signer.token(&claims(json!({"exp": NOW - 100})));
    let sealed = clinic.seal("ec-256", json!({}), expired.text().as_bytes(), &[5; 32]);
    let holder = clinic.verify(&sealed).unwrap_err().holder.unwrap();
    assert_eq!(holder.subject.as_deref(), Some("nurse-17"));
}

#[test]
fn a_token_is_taken_only_from_the_issuer_whose_key_it_was_encrypted_for() {
    let clinic = Clinic::new();
    let other = Signer::new(Algorithm::Es256, "k2", 9);
    let theirs = other.token(&claims(json!({"iss": OTHER})));
    let seal = |text: &str, kid: &str| {
        clinic.verdict(&clinic.seal("ec-256", json!({ "kid": kid }), text.as_bytes(), &[5; 32]))
    };
    assert_eq!(clinic.verdict(theirs.text()), "accepted");
    assert_eq!(seal(theirs.text(), "other"), "accepted");
    assert_eq!(seal(theirs.text(), "ec-256"), "token_decryption_issuer");
    assert_eq!(seal(&clinic.signed(), "other"), "token_decryption_issuer");
}

#[test]
fn tokens_that_are_signed_only_are_taken_unless_encryption_is_required() {
    let (open, strict) = (Clinic::new(), Clinic::with(json!({"required": true})));
    let signed = open.signed();
    assert_eq!(open.verdict(&signed), "accepted");
    let refused = strict.verify(&signed).unwrap_err();
    assert_eq!(refused.refusal.reason.code, "token_encryption_required");
    assert!(refused.holder.is_some(), "the signature is proven");
    assert_eq!(strict.verdict(&strict.sealed("rsa", json!({}))), "accepted");
    let forged = Signer::new(Algorithm::Es256, "k1", 8).token(&claims(json!({})));
    assert_eq!(strict.verdict(forged.text()), "token_signature_invalid");
}

#[test]
fn a_key_is_read_in_every_form_that_people_keep_it_in() {
    let clinic = Clinic::new();
    let rsa = ["/keys/rsa/pkcs8", "/keys/rsa/pkcs1", "/keys/rsa/jwk"];
    let ec = ["/keys/ec/pkcs8", "/keys/ec/jwk"];
    let forms = rsa.iter().map(|form| ("rsa", form)).chain(ec.iter().map(|form| ("ec-256", form)));
    for (id, form) in forms {
        let key = clinic.vectors.0.pointer(form).unwrap();
        let plain = key.as_str().map_or(key.to_string(), str::to_owned);
        let packed = STANDARD.encode(&plain);
        let lines = packed.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\n");
        let lines: String = lines.collect();
        let spaced = format!("\n  {plain}\n");
        for written in [&plain, &packed, &lines, &spaced, &plain.replace('\n', "\r\n")] {
            let variable = if id == "rsa" { "TOKEN_KEY_RSA" } else { "TOKEN_KEY_EC" };
            clinic.caps.set_environment(variable, written);
            let token = clinic.vectors.token(id);
            assert_eq!(clinic.verdict(&token), "accepted", "{form} {written:.30}");
        }
    }
}

#[test]
fn a_key_that_is_missing_or_unusable_is_a_503_of_its_own() {
    let clinic = Clinic::new();
    let text = |place: &str| clinic.vectors.text(place).to_owned();
    let jwk = |place: &str, changes: Value| {
        merge(clinic.vectors.0.pointer(place).unwrap().clone(), changes).to_string()
    };
    let pem = text("/keys/rsa/pkcs8");
    let cases = [
        ("rsa", String::new()),
        ("rsa", "x".to_owned()),
        ("rsa", "{}".to_owned()),
        ("rsa", text("/keys/ec/pkcs8")),
        ("ec-256", pem.clone()),
        ("rsa", pem.replace("PRIVATE", "PUBLIC")),
        ("rsa", pem.replace("BEGIN PRIVATE", "BEGIN RSA PRIVATE")),
        ("rsa", pem.chars().take(pem.len() / 2).collect()),
        ("rsa", SMALL_RSA.to_owned()),
        ("rsa", jwk("/keys/rsa/jwk", json!({"alg": "RSA-OAEP-256"}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"use": "sig"}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"e": "Aw"}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"d": null}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"d": "AQAB"}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"dp": "AQAB"}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"p": "", "q": ""}))),
        ("rsa", jwk("/keys/rsa/jwk", json!({"n": ""}))),
        ("ec-256", jwk("/keys/ec/jwk", json!({"crv": "P-384"}))),
        ("ec-256", jwk("/keys/ec/jwk", json!({"d": encode([0; 32])}))),
        ("ec-256", jwk("/keys/ec/jwk", json!({"d": encode([0xff; 32])}))),
        ("ec-256", jwk("/keys/ec/jwk", json!({"d": "AA"}))),
    ];
    for (id, written) in cases {
        let variable = if id == "rsa" { "TOKEN_KEY_RSA" } else { "TOKEN_KEY_EC" };
        clinic.caps.set_environment(variable, &written);
        let refusal = clinic.verify(&clinic.vectors.token(id)).unwrap_err().refusal;
        assert_eq!(refusal.reason.code, "token_decryption_key_missing", "{id} {written:.60}");
        assert_eq!(refusal.reason.status, 503);
        assert_eq!(clinic.verdict(&clinic.signed()), "accepted", "other tokens go on");
    }
    assert!(read(SMALL_RSA, "RSA-OAEP").is_some(), "refused for its size alone");
    // Nothing set: the same.
    let bare = Clinic { caps: Native::at(now()), ..Clinic::new() };
    assert_eq!(bare.verdict(&bare.vectors.token("rsa")), "token_decryption_key_missing");
}

#[test]
fn a_key_is_read_once_and_never_shown() {
    let clinic = Clinic::new();
    let keys = Keys::new(&clinic.issuers);
    let raw = RawToken::for_tests(&clinic.vectors.token("ec-256"));
    assert!(verify(&raw, &clinic.issuers, &keys, &clinic.caps).is_ok());
    clinic.caps.set_environment("TOKEN_KEY_EC", "gone");
    assert!(verify(&raw, &clinic.issuers, &keys, &clinic.caps).is_ok());
    assert!(format!("{:?}", keys.decryption).contains("PrivateKey(…)"));
}

#[test]
fn what_comes_of_no_valid_token_is_bounded_in_each_second() {
    for (id, failures) in [("rsa", 20), ("ec-128", 100), ("ec-256", 100)] {
        let clinic = Clinic::new();
        let keys = Keys::new(&clinic.issuers);
        let refusal = |token: &str| {
            verify(&RawToken::for_tests(token), &clinic.issuers, &keys, &clinic.caps)
                .err()
                .map(|rejected| rejected.refusal)
        };
        let code = |token: &str| refusal(token).map_or("accepted", |refusal| refusal.reason.code);
        let good = clinic.vectors.token(id);
        let bad = with_part(&good, 3, "");
        let unknown = clinic.sealed(id, json!({"kid": "x"}));
        let longer = with_part(&good, 2, "AAAA");
        for _ in 0..failures.max(40) {
            assert_eq!(code(&good), "accepted", "{id}");
            assert_eq!(code(&unknown), "token_decryption_key_unknown", "{id}");
            assert_eq!(code(&longer), "token_encrypted_length", "{id}");
        }
        for _ in 0..failures {
            assert_eq!(code(&bad), "token_decryption_failed", "{id}");
        }
        for token in [&bad, &good] {
            let refused = refusal(token).unwrap();
            assert_eq!(
                (refused.reason.code, refused.reason.status),
                ("token_decryption_busy", 503)
            );
            assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
        }
        assert_eq!(code(&unknown), "token_decryption_key_unknown", "{id}");
        assert_eq!(code(&clinic.signed()), "accepted", "{id}");
        clinic.caps.set_now(Instant::from_seconds(UnixSeconds(NOW + 1)));
        assert_eq!(code(&good), "accepted", "{id}");
    }
}

#[test]
fn nothing_is_decrypted_while_its_issuer_has_no_keys() {
    let clinic = Clinic::new();
    let remote = json!({"cluster": "auth", "url": "https://auth.clinic.example/jwks"});
    let encryption = json!({"keys": [
        {"kid": "rsa", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_RSA"},
    ]});
    let changes = json!({"jwks": remote, "encryption": encryption});
    let issuers = issuers(vec![config(vec![], changes)]);
    let keys = Keys::new(&issuers);
    let raw = RawToken::for_tests(&clinic.vectors.token("rsa"));
    for _ in 0..100 {
        let refusal = verify(&raw, &issuers, &keys, &clinic.caps).unwrap_err().refusal;
        assert_eq!(refusal.reason.code, "keys_unavailable");
        assert!(refusal.pending);
    }
}

#[test]
fn large_rsa_keys_count_for_what_they_cost() {
    let vectors = Vectors::new();
    let key = vectors.0["rfc7520"]["key"].to_string();
    let large = PrivateKey::read(&key, KeyManagement::RsaOaep).unwrap();
    assert_eq!(large.cost(), Duration::from_millis(80));
    assert!(large.cost() < WORK_A_SECOND);
}

#[test]
fn a_token_that_comes_again_is_not_decrypted_again() {
    let clinic = Clinic::new();
    let mut keys = Keys::new(&clinic.issuers);
    let raw = RawToken::for_tests(&clinic.vectors.token("rsa"));
    let token = verify(&raw, &clinic.issuers, &keys, &clinic.caps).unwrap();
    let mut cache = TokenCache::new(CacheLimits { entries: 10, bytes: 1 << 20 }, [7; 16]);
    cache.insert_raw(&raw, token, ());
    assert!(!keys.refresh(&clinic.caps));
    cache.retain_trusted(&keys);
    // The cache has neither keys nor capabilities to decrypt with.
    let (again, ()) = cache.get_raw(&raw, now()).unwrap();
    assert_eq!(again.claims().subject.as_deref(), Some("nurse-17"));
    let signed = RawToken::for_tests(clinic.vectors.text("/signed"));
    assert!(cache.get_raw(&signed, now()).is_none(), "what is inside is another token");
}

/// An issuer is asked about the token that it issued, and that is the outer one.
#[test]
fn an_issuer_is_asked_about_the_outer_token_once_it_was_verified() {
    let clinic = Clinic::new();
    let introspection = json!({
        "cluster": "auth", "url": "https://auth.clinic.example/introspect", "client_id": "gateway",
        "client_secret_inline": "s3cret", "tokens": "jwt",
    });
    let encryption = json!({"required": true, "keys": [
        {"kid": "rsa", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_RSA"},
    ]});
    let changes = json!({"introspection": introspection, "encryption": encryption});
    let issuers = issuers(vec![config(vec![clinic.signer.jwk()], changes)]);
    let (keys, mut introspection) = (Keys::new(&issuers), Introspection::new(&issuers));
    let raw = RawToken::for_tests(&clinic.vectors.token("rsa"));
    let ask = |introspection: &mut Introspection| {
        crate::token::verify(&raw, &issuers, &keys, introspection, &clinic.caps)
    };
    assert!(ask(&mut introspection).unwrap_err().refusal.pending);
    clinic.caps.set_environment("TOKEN_KEY_RSA", "gone");
    assert!(ask(&mut introspection).unwrap_err().refusal.pending);
    let (inquiry, call) = introspection.due(&clinic.caps).pop().unwrap();
    let body = String::from_utf8(call.body.unwrap()).unwrap();
    assert_eq!(body, format!("token={}&token_type_hint=access_token", raw.text()));
    let body = br#"{"active":true}"#.to_vec();
    let answer = crate::store::HttpAnswer { status: 200, etag: None, body };
    introspection.answered(inquiry, Ok(answer), &issuers, &clinic.caps);
    let token = ask(&mut introspection).unwrap();
    assert_eq!(token.claims().subject.as_deref(), Some("nurse-17"));
}

#[test]
fn every_mistake_in_the_configuration_is_reported_at_its_place() {
    let key = json!({"kid": "e1", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_1"});
    let keys = |changes: Value| json!({"keys": [merge(key.clone(), changes)]});
    let at = |place: &str, problem: &str| {
        vec![(format!("/issuers/0/encryption{place}"), problem.to_owned())]
    };
    let nine: Vec<Value> =
        (0..9).map(|n| merge(key.clone(), json!({"kid": format!("e{n}")}))).collect();
    let cases = [
        (keys(json!({})), vec![]),
        (json!({}), at("/keys", "`keys` is missing")),
        (json!({"required": true, "keys": []}), at("/keys", "`a list` is not such a list")),
        (json!({"keys": nine}), at("/keys", "there are 9 keys")),
        (json!({"keys": [key, key]}), at("/keys/1/kid", "another key is named `e1`")),
        (keys(json!({"kid": null})), at("/keys/0/kid", "`kid` is missing")),
        (
            keys(json!({"algorithm": "RSA-OAEP-256"})),
            at("/keys/0/algorithm", "unknown algorithm `RSA-OAEP-256`"),
        ),
        (
            keys(json!({"algorithm": "RSA1_5"})),
            at("/keys/0/algorithm", "`RSA1_5` can be decrypted by whoever may try often"),
        ),
        (keys(json!({"algorithm": "dir"})), at("/keys/0/algorithm", "unknown algorithm `dir`")),
        (
            keys(json!({"key": "-----BEGIN PRIVATE KEY-----"})),
            at("/keys/0/key", "the value is no such name"),
        ),
        (keys(json!({"key": "1KEY"})), at("/keys/0/key", "the value is no such name")),
        (keys(json!({"key": ""})), at("/keys/0/key", "the value is no such name")),
        (keys(json!({"key": {"kty": "RSA"}})), at("/keys/0/key", "the value is no such name")),
    ];
    for (encryption, expected) in cases {
        let issuer = config(
            vec![Signer::new(Algorithm::Es256, "k1", 7).jwk()],
            json!({"encryption": encryption}),
        );
        let (_, errors) = read_document(&json!({"issuers": [issuer]}), Issuers::read);
        let found: Vec<_> =
            errors.into_iter().map(|error| (error.pointer, error.problem)).collect();
        assert_eq!(found, expected, "{encryption}");
    }
}

#[test]
fn two_issuers_have_no_key_of_one_name() {
    let encryption =
        json!({"keys": [{"kid": "e1", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_1"}]});
    let jwk = Signer::new(Algorithm::Es256, "k1", 7).jwk();
    let document = json!({"issuers": [
        config(vec![jwk.clone()], json!({"encryption": encryption})),
        config(vec![jwk], json!({"issuer": OTHER, "encryption": encryption})),
    ]});
    let (_, errors) = read_document(&document, Issuers::read);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].pointer, "/issuers/1/encryption/keys/0/kid");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 5)) {
        let clinic = Clinic::new();
        prop_assert_ne!(clinic.verdict(&parts.join(".")), "accepted");
    }

    #[test]
    fn no_change_of_a_good_token_is_accepted(
        id in prop::sample::select(vec!["rsa", "ec-128", "ec-256"]),
        at in any::<prop::sample::Index>(),
        to in "[A-Za-z0-9_.-]",
    ) {
        let clinic = Clinic::new();
        let token = clinic.vectors.token(id);
        let mut letters: Vec<String> = token.chars().map(String::from).collect();
        *at.get_mut(&mut letters) = to;
        let changed = letters.concat();
        prop_assert_eq!(clinic.verdict(&changed) == "accepted", changed == token);
    }

    #[test]
    fn no_header_makes_it_panic(name in "kid|alg|enc|cty|epk|apu|apv|x", value in "[ -~]{0,20}") {
        let clinic = Clinic::new();
        let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
        clinic.verdict(&clinic.sealed("ec-128", json!({ name: value })));
    }

    #[test]
    fn no_bytes_make_the_reading_of_keys_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let packed = STANDARD.encode(&bytes);
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{packed}\n-----END {label}-----");
            prop_assert!(PrivateKey::read(&pem, KeyManagement::RsaOaep).is_none());
        }
        // A key of which one octet is another.
        let pem = Vectors::new().text("/keys/rsa/pkcs8").to_owned();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let mut der = STANDARD.decode(body).unwrap();
        *at.get_mut(&mut der) ^= bytes.first().copied().unwrap_or(1);
        let body = STANDARD.encode(&der);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
        let _read = PrivateKey::read(&pem, KeyManagement::RsaOaep);
    }
}

/// 1024 bits.
const SMALL_RSA: &str = "\
-----BEGIN RSA PRIVATE KEY-----\n\
MIICXQIBAAKBgQDUuYQF4cIO/PhaW79SVSUT1Ql3VKlrtfIXvgv00S9hT9eANpqO\n\
ro1HUjYyQOZvQ9ScYDf/ACWfNwDEWyr62ehHMa+mTTzMkyaoRaWg1+YsJM6nFbuE\n\
XY48+FMloB3VWh6ejLdB1nnIjwPDBCIFU7fxy28NjbGN5JfzmLdPmFsgRwIDAQAB\n\
AoGATgzbYgUZXMJ4pT6wjhbricFKvdv0Za7WatuyK1ttVPkkish+IQfuklKZzAqA\n\
AicTJWUwZoG5TBe0UldZB71YOcu3BLsL86JHIiwKFnRZ0TMeHarcFQnX7sJvE5rr\n\
bHiiXzOcNleGVQpMzD+eHUjjE4DufInevONwayj7XGh6GaECQQDvIV17whn6QJag\n\
OeCIxs98TpDkUzkPEp42lIdAUUmH08jfjnApsbK6JM/hZBxA/YVtmDy7Ndm5NLT7\n\
r3ROQFGvAkEA47tFU1s9yLaqv4tHuY+ZgJWKi9bjfCqTCsInHWXhT3DX9HP7bq93\n\
EVfoH4BjATjPwo2IUT7MkZ7WAnZ02lW46QJBAJG7f8FgdXxxyFo1a4VvxBs5tkuv\n\
/GIXMpyIwDSOVYWVqCG2KN0AErAmpxnxbNaeqqYz1S8yjlG0sWeBchwOTrkCQHgu\n\
amWVL0PvcqjnPhDlgaLkSFuIKkFqznLNB4tyKreb27v8QWKmYvXaKHwHazhH3QzV\n\
WG1X8Omgo1xlW0GmH5ECQQC7kZF5Zn9i8foIkj/6EjJwb+mM1LFa0CdaSTA87LaX\n\
8q7GdVtVrzFX32czvpI53JOTGpENS44uSx6FEIDUXHjk\n\
-----END RSA PRIVATE KEY-----";
