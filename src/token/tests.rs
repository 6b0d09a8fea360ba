//! Whole tokens through `verify`: what is accepted, and every attack refused for its own reason.

use core::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{NOW, Signer, claims, config, encode, issuers, now, verify};
use super::*;
use crate::base::capabilities::{HostFailed, HostSignature, HostVerdict, Native, Shared, Written};
use crate::base::time::UnixSeconds;

/// One issuer, one key.
struct Clinic {
    signer: Signer,
    issuers: Issuers,
    keys: Keys,
    caps: Native,
}

impl Clinic {
    fn new(algorithm: Algorithm) -> Clinic {
        Clinic::with(algorithm, json!({}))
    }

    fn with(algorithm: Algorithm, changes: Value) -> Clinic {
        let signer = Signer::new(algorithm, "k1", 7);
        let issuers = issuers(vec![config(vec![signer.jwk()], changes)]);
        let keys = Keys::new(&issuers);
        Clinic { signer, issuers, keys, caps: Native::at(now()) }
    }

    fn verify(&self, raw: &RawToken) -> Result<VerifiedToken, &'static str> {
        verify(raw, &self.issuers, &self.keys, &self.caps)
            .map_err(|rejected| rejected.refusal.reason.code)
    }

    fn verdict(&self, raw: &RawToken) -> &'static str {
        self.verify(raw).err().unwrap_or("accepted")
    }

    fn of_claims(&self, changes: Value) -> &'static str {
        self.verdict(&self.signer.token(&claims(changes)))
    }

    fn of_header(&self, changes: Value) -> &'static str {
        self.verdict(&self.signer.token_with(changes, &claims(json!({}))))
    }
}

#[test]
fn a_token_is_accepted_under_every_algorithm_that_the_issuer_uses_and_no_other() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        assert_eq!(Clinic::new(algorithm).of_claims(json!({})), "accepted", "{name}");
        let others: Vec<_> =
            Algorithm::ALL.iter().filter(|other| **other != algorithm).map(|a| a.name()).collect();
        let clinic = Clinic::with(algorithm, json!({"algorithms": others}));
        assert_eq!(clinic.of_claims(json!({})), "token_algorithm_refused", "{name}");
    }
}

#[test]
fn an_accepted_token_gives_its_claims_and_the_key_that_signed_it() {
    let clinic = Clinic::new(Algorithm::Es256);
    let all = json!({
        "aud": ["https://other.example", "https://api.clinic.example/fhir"], "nbf": NOW - 60,
        "auth_time": NOW - 600,
        "scope": "patient/*.rs", "patient": "Patient/123", "fhirUser": "Practitioner/1",
        "roles": ["nurse"], "organization": "o-1", "sid": "s-1",
    });
    let token = clinic.verify(&clinic.signer.token(&claims(all))).unwrap();
    let expected = Claims {
        issuer: "https://auth.clinic.example".into(),
        subject: Some("nurse-17".into()),
        token_id: Some("t-1".into()),
        audience: vec!["https://other.example".into(), "https://api.clinic.example/fhir".into()],
        expires: UnixSeconds(NOW + 300),
        issued_at: UnixSeconds(NOW - 60),
        not_before: Some(UnixSeconds(NOW - 60)),
        authenticated: Some(UnixSeconds(NOW - 600)),
        scope: "patient/*.rs".into(),
        patient: Some("123".into()),
        encounter: None,
        user: Some("Practitioner/1".into()),
        client: Some("app".into()),
        roles: vec!["nurse".into()],
        organization: Some("o-1".into()),
        session: Some("s-1".into()),
        key_id: Some("k1".into()),
        bound: false,
        status: None,
    };
    assert_eq!(token.claims(), &expected);
    assert!(clinic.keys.trusts(&token.signer.unwrap()));
}

#[test]
fn unsigned_and_symmetric_tokens_are_refused() {
    let clinic = Clinic::new(Algorithm::Rs256);
    let honest = claims(json!({}));
    for name in ["none", "None", "NONE", "noNE", "HS256", "HS384", "HS512", "rs256", "RS1", ""] {
        let header = json!({"alg": name, "typ": "at+jwt", "kid": "k1"}).to_string();
        let unsigned = format!("{}.{}.", encode(&header), encode(honest.to_string()));
        assert_eq!(
            clinic.verdict(&RawToken::for_tests(&unsigned)),
            "token_algorithm_refused",
            "{name}"
        );
        let signed = clinic.signer.sign(&header, honest.to_string());
        assert_eq!(clinic.verdict(&signed), "token_algorithm_refused", "{name}");
    }
    assert_eq!(clinic.of_header(json!({"alg": null})), "token_algorithm_refused");
    assert_eq!(clinic.of_header(json!({"alg": ["RS256"]})), "token_header_unreadable");
}

#[test]
fn a_key_never_verifies_another_algorithm_than_its_own() {
    let all = Algorithm::ALL;
    for (owner, used) in all.iter().flat_map(|owner| all.map(|used| (*owner, used))) {
        if owner == used {
            continue;
        }
        let clinic = Clinic::new(owner);
        let header = json!({"alg": used.name(), "typ": "at+jwt", "kid": "k1"}).to_string();
        let token = Signer::new(used, "k1", 7).sign(&header, claims(json!({})).to_string());
        assert_eq!(clinic.verdict(&token), "token_key_mismatch", "{owner:?} for {used:?}");
    }
}

#[test]
fn an_rsa_key_without_alg_verifies_what_its_type_and_the_issuer_allow_and_no_curve() {
    let mut jwk = Signer::new(Algorithm::Rs256, "k1", 0).jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let clinic = |allowed: &str| {
        let issuers = issuers(vec![config(vec![jwk.clone()], json!({"algorithms": [allowed]}))]);
        let (signer, keys) = (Signer::new(Algorithm::Ps256, "k1", 0), Keys::new(&issuers));
        Clinic { signer, issuers, keys, caps: Native::at(now()) }
    };
    assert_eq!(clinic("PS256").of_claims(json!({})), "accepted");
    assert_eq!(clinic("RS256").of_claims(json!({})), "token_algorithm_refused");
    assert_eq!(clinic("RS256").of_header(json!({"alg": "RS256"})), "token_signature_invalid");
    assert_eq!(clinic("ES256").of_header(json!({"alg": "ES256"})), "token_key_mismatch");
}

#[test]
fn kid_selects_the_key_and_nothing_replaces_it() {
    let clinic = Clinic::new(Algorithm::Es256);
    for id in ["k2", "", "K1", "k1 ", "../k1", "k1\0", "' OR 1=1 --", "http://127.0.0.1/k1"] {
        assert_eq!(clinic.of_header(json!({"kid": id})), "token_key_unknown", "{id}");
    }
    assert_eq!(clinic.of_header(json!({"kid": null})), "token_key_unnamed");
    for id in [json!(1), json!(["k1"]), json!({"kid": "k1"})] {
        assert_eq!(clinic.of_header(json!({"kid": id})), "token_header_unreadable");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_ignored() {
    let clinic = Clinic::new(Algorithm::Es256);
    let attacker = Signer::new(Algorithm::Es256, "k1", 9);
    let brought = json!({
        "jwk": attacker.jwk(), "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert", "x5c": ["MIIB"], "x5t": "AA", "x5t#S256": "AA",
    });
    let forged = attacker.token_with(brought.clone(), &claims(json!({})));
    assert_eq!(clinic.verdict(&forged), "token_signature_invalid");
    assert_eq!(clinic.of_header(brought), "accepted");
}

#[test]
fn one_issuer_never_signs_for_another() {
    let (first, second) =
        (Signer::new(Algorithm::Es256, "k1", 7), Signer::new(Algorithm::Es256, "k2", 9));
    let other = json!({"issuer": "https://other.example"});
    let issuers =
        issuers(vec![config(vec![first.jwk()], json!({})), config(vec![second.jwk()], other)]);
    let (keys, caps) = (Keys::new(&issuers), Native::at(now()));
    let verdict = |signer: &Signer, issuer: &str, id: &str| {
        let claims = claims(json!({"iss": issuer}));
        let token = signer.token_with(json!({"kid": id}), &claims);
        verify(&token, &issuers, &keys, &caps)
            .err()
            .map_or("accepted", |why| why.refusal.reason.code)
    };
    let (clinic, other) = ("https://auth.clinic.example", "https://other.example");
    assert_eq!(verdict(&first, clinic, "k1"), "accepted");
    assert_eq!(verdict(&second, other, "k2"), "accepted");
    assert_eq!(verdict(&second, clinic, "k2"), "token_key_unknown");
    assert_eq!(verdict(&second, clinic, "k1"), "token_signature_invalid");
    for name in ["", "https://auth.clinic.example/", "https://AUTH.clinic.example", "https://x"] {
        assert_eq!(verdict(&first, name, "k1"), "token_issuer_unknown", "{name}");
    }
}

#[test]
fn headers_that_ask_for_more_than_a_jws_are_refused() {
    let clinic = Clinic::new(Algorithm::Es256);
    let cases = [
        (json!({"crit": ["b64"], "b64": false}), "token_header_critical"),
        (json!({"crit": []}), "token_header_critical"),
        (json!({"b64": true}), "token_payload_unencoded"),
        (json!({"zip": "DEF"}), "token_payload_compressed"),
        (json!({"typ": ["at+jwt"]}), "token_header_unreadable"),
        (json!({"x": "y".repeat(4096)}), "token_header_too_large"),
        (json!({"x": "y"}), "accepted"),
    ];
    for (header, expected) in cases {
        let shown = header.to_string();
        assert_eq!(clinic.of_header(header), expected, "{shown:.80}");
    }
}

#[test]
fn only_strict_compact_jws_is_read() {
    let clinic = Clinic::new(Algorithm::Es256);
    let token = clinic.signer.token(&claims(json!({})));
    let good = token.text();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let last = signature.as_bytes()[85];
    // A P-256 signature leaves four spare bits in its last character.
    assert!(b"AQgw".contains(&last), "the last character has spare bits: {}", char::from(last));
    let spare = format!("{}{}", good.split_at(good.len() - 1).0, char::from(last + 1));
    let cases = [
        (String::new(), "token_shape"),
        ("abc".to_owned(), "token_shape"),
        (signed.to_owned(), "token_shape"),
        (format!("{good}."), "token_shape"),
        (format!("{good}.{signature}"), "token_shape"),
        (format!(".{good}"), "token_shape"),
        (format!("{good}.{signature}.{signature}"), "token_encrypted"),
        (format!("{good}="), "token_encoding"),
        (format!("{good}A"), "token_signature_invalid"),
        (spare, "token_encoding"),
        (format!("{header}=.{payload}.{signature}"), "token_encoding"),
        (format!("{header}.{payload}.+{}", signature.split_at(1).1), "token_encoding"),
        (format!("{header}.{payload}./{}", signature.split_at(1).1), "token_encoding"),
        (format!("{header}.{payload}.~{}", signature.split_at(1).1), "token_encoding"),
        (format!("..{signature}"), "token_header_unreadable"),
        (format!("{header}..{signature}"), "token_claims_unreadable"),
        (format!("{header}.{payload}."), "token_signature_invalid"),
        (format!("{header}.{payload}.{}", signature.split_at(40).0), "token_signature_invalid"),
    ];
    for (text, expected) in cases {
        assert_eq!(clinic.verdict(&RawToken::for_tests(&text)), expected, "{text}");
    }
    assert_eq!(clinic.verdict(&token), "accepted");
}

#[test]
fn json_that_two_parsers_could_read_differently_is_refused() {
    let clinic = Clinic::new(Algorithm::Es256);
    let honest = claims(json!({})).to_string();
    let good = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;
    for header in [
        r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"} {}"#,
        r#"["alg"]"#,
        r#""ES256""#,
        "",
        "\u{feff}{}",
    ] {
        let token = clinic.signer.sign(header, &honest);
        assert_eq!(clinic.verdict(&token), "token_header_unreadable", "{header}");
    }
    let double = honest.replace("\"sub\"", "\"aud\":\"https://evil.example\",\"sub\"");
    let bad: [&[u8]; 6] = [double.as_bytes(), b"null", b"[]", b"\xff", b"{", b""];
    for payload in bad {
        let token = clinic.signer.sign(good, payload);
        assert_eq!(clinic.verdict(&token), "token_claims_unreadable");
    }
    assert_eq!(clinic.verdict(&clinic.signer.sign(good, honest)), "accepted");
}

#[test]
fn typ_must_be_one_that_is_configured() {
    let clinic = Clinic::new(Algorithm::Es256);
    for accepted in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT", "JWT", "jwt"] {
        assert_eq!(clinic.of_header(json!({"typ": accepted})), "accepted", "{accepted}");
    }
    for refused in ["", "dpop+jwt", "id_token", "JOSE", "secevent+jwt", "at+jwt ", "text/at+jwt"] {
        assert_eq!(clinic.of_header(json!({"typ": refused})), "token_type_refused", "{refused}");
    }
    assert_eq!(clinic.of_header(json!({"typ": null})), "token_type_refused");
    let strict = Clinic::with(Algorithm::Es256, json!({"types": ["application/AT+jwt"]}));
    assert_eq!(strict.of_header(json!({"typ": "at+jwt"})), "accepted");
    assert_eq!(strict.of_header(json!({"typ": "JWT"})), "token_type_refused");
}

#[test]
fn claims_that_do_not_hold_refuse_the_token() {
    let clinic = Clinic::new(Algorithm::Es256);
    let cases = [
        (json!({"iss": null}), "token_issuer_missing"),
        (json!({"iss": ["https://auth.clinic.example"]}), "token_issuer_missing"),
        (json!({"nonce": "n"}), "token_is_id_token"),
        (json!({"at_hash": "h"}), "token_is_id_token"),
        (json!({"c_hash": ""}), "token_is_id_token"),
        (json!({"aud": null}), "token_claim_missing"),
        (json!({"aud": "https://api.clinic.example/fhir/"}), "token_audience"),
        (json!({"aud": "https://api.clinic.example"}), "token_audience"),
        (json!({"aud": []}), "token_audience"),
        (json!({"aud": ["https://a.example", "https://b.example"]}), "token_audience"),
        (json!({"aud": [7]}), "token_claim_invalid"),
        (json!({"aud": {"0": "https://api.clinic.example/fhir"}}), "token_claim_invalid"),
        (json!({"exp": null}), "token_claim_missing"),
        (json!({"iat": null}), "token_claim_missing"),
        (json!({"sub": null}), "token_claim_missing"),
        (json!({"jti": null}), "token_claim_missing"),
        (json!({"sub": ""}), "token_claim_invalid"),
        (json!({"sub": 17}), "token_claim_invalid"),
        (json!({"exp": NOW - 30, "iat": NOW - 90}), "token_expired"),
        (json!({"exp": NOW - 29, "iat": NOW - 90}), "accepted"),
        (json!({"nbf": NOW + 31}), "token_not_yet_valid"),
        (json!({"nbf": NOW + 30}), "accepted"),
        (json!({"iat": NOW + 31}), "token_issued_in_future"),
        (json!({"iat": NOW + 30}), "accepted"),
        (json!({"iat": NOW, "exp": NOW}), "token_lifetime_invalid"),
        (json!({"iat": NOW + 20, "exp": NOW - 20}), "token_lifetime_invalid"),
        (json!({"iat": NOW, "exp": NOW + 3600}), "accepted"),
        (json!({"iat": NOW, "exp": NOW + 3601}), "token_lifetime_too_long"),
        (json!({"iat": 0}), "token_lifetime_too_long"),
        (json!({"exp": (1_u64 << 53) - 1}), "token_lifetime_too_long"),
        (json!({"scope": null}), "accepted"),
        (json!({"cnf": {"jkt": "x"}}), "accepted"),
    ];
    for (changes, expected) in cases {
        let shown = changes.to_string();
        assert_eq!(clinic.of_claims(changes), expected, "{shown}");
    }
}

#[test]
fn times_are_whole_numbers_or_refused() {
    let clinic = Clinic::new(Algorithm::Es256);
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;
    for name in ["exp", "iat", "nbf"] {
        for number in [
            "1790000300.0",
            "1790000300.5",
            "1.79e9",
            "\"1790000300\"",
            "-1",
            "9007199254740992",
            "18446744073709551616",
            "1e400",
            "true",
            "null",
            "[1790000300]",
            "{}",
        ] {
            let mut honest = claims(json!({}));
            honest.as_object_mut().unwrap().remove(name);
            let text = honest.to_string().replacen('{', &format!("{{\"{name}\":{number},"), 1);
            let verdict = clinic.verdict(&clinic.signer.sign(header, text));
            let expected =
                if number == "1e400" { "token_claims_unreadable" } else { "token_claim_invalid" };
            assert_eq!(verdict, expected, "{name} {number}");
        }
    }
}

#[test]
fn require_names_further_claims() {
    let clinic = Clinic::with(Algorithm::Es256, json!({"require": ["client_id", "acr"]}));
    for absent in [json!(null), json!(""), json!([])] {
        assert_eq!(clinic.of_claims(json!({"acr": absent})), "token_claim_missing", "{absent}");
    }
    assert_eq!(clinic.of_claims(json!({"acr": "high", "sub": null, "jti": null})), "accepted");
    assert_eq!(clinic.of_claims(json!({"acr": "high", "client_id": null})), "token_claim_missing");
    let refusal = verify(
        &clinic.signer.token(&claims(json!({}))),
        &clinic.issuers,
        &clinic.keys,
        &clinic.caps,
    );
    assert_eq!(refusal.unwrap_err().refusal.hint.as_deref(), Some("claim `acr`"));
}

#[test]
fn an_unsigned_lie_is_never_told_apart_from_another() {
    let clinic = Clinic::new(Algorithm::Es256);
    let attacker = Signer::new(Algorithm::Es256, "k1", 9);
    for changes in [
        json!({}),
        json!({"exp": 1}),
        json!({"exp": "never"}),
        json!({"aud": "x"}),
        json!({"nonce": "n"}),
        json!({"patient": "../1"}),
        json!({"sub": null}),
    ] {
        let token = attacker.token_with(json!({"typ": "JOSE"}), &claims(changes));
        assert_eq!(clinic.verdict(&token), "token_signature_invalid");
    }
}

/// A host that says what it is told to, and remembers what it was asked.
struct Host {
    verdict: HostVerdict,
    asked: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Capabilities for Host {
    fn now(&self) -> Instant {
        now()
    }
    fn random(&self) -> [u8; 16] {
        [0; 16]
    }
    fn shared(&self, _: &str) -> Result<Option<Shared>, HostFailed> {
        Err(HostFailed)
    }
    fn set_shared(&self, _: &str, _: &[u8], _: Option<u32>) -> Result<Written, HostFailed> {
        Err(HostFailed)
    }
    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.asked.borrow_mut().push((signed.public_key.to_vec(), signed.signature.to_vec()));
        self.verdict
    }
}

#[test]
fn the_host_is_asked_first_where_it_can_verify_and_its_no_is_final() {
    for algorithm in Algorithm::ALL {
        let clinic = Clinic::new(algorithm);
        let honest = clinic.signer.token(&claims(json!({})));
        let host_can = !["PS256", "PS384", "PS512", "EdDSA"].contains(&algorithm.name());
        for verdict in [HostVerdict::Valid, HostVerdict::Invalid, HostVerdict::Unavailable] {
            let host = Host { verdict, asked: RefCell::default() };
            let accepted = verify(&honest, &clinic.issuers, &clinic.keys, &host).is_ok();
            let expected = !host_can || verdict != HostVerdict::Invalid;
            assert_eq!(accepted, expected, "{algorithm:?} {verdict:?}");
            assert_eq!(host.asked.borrow().len(), usize::from(host_can), "{algorithm:?}");
        }
    }
}

#[test]
fn the_host_gets_no_ecdsa_signature_that_can_not_be_one() {
    let clinic = Clinic::new(Algorithm::Es256);
    let token = clinic.signer.token(&claims(json!({})));
    let signed = token.text().rsplit_once('.').unwrap().0;
    let host = Host { verdict: HostVerdict::Valid, asked: RefCell::default() };
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let one = [&[0; 31][..], &[1]].concat();
    for (r, s) in [
        (&[0; 32][..], &one[..]),
        (&one, &[0; 32]),
        (&order, &one),
        (&one, &order),
        (&one, &one[1..]),
    ] {
        let forged = format!("{signed}.{}", encode([r, s].concat()));
        let refusal = verify(&RawToken::for_tests(&forged), &clinic.issuers, &clinic.keys, &host);
        assert_eq!(refusal.unwrap_err().refusal.reason, &reasons::TOKEN_SIGNATURE_INVALID);
    }
    assert_eq!(host.asked.borrow().len(), 0);
}

proptest! {
    #[test]
    fn any_text_is_refused_without_a_panic(text in "[A-Za-z0-9_.=~+/-]{0,200}|\\PC{0,80}") {
        let clinic = Clinic::new(Algorithm::EdDsa);
        prop_assert_ne!(clinic.verdict(&RawToken::for_tests(&text)), "accepted");
    }

    #[test]
    fn any_header_and_claims_are_read_without_a_panic(
        header in "\\{(\"(alg|kid|typ|crit|iss|exp)\":(\"[a-zA-Z0-9]{0,6}\"|[0-9.e-]{1,4}|\\[\\]|null),?){0,4}\\}",
        claims in "\\{(\"(iss|exp|aud|sub)\":(\"[a-z]{0,6}\"|[0-9.e-]{1,4}|\\[\\]|null),?){0,4}\\}",
    ) {
        let clinic = Clinic::new(Algorithm::EdDsa);
        prop_assert_ne!(clinic.verdict(&clinic.signer.sign(&header, &claims)), "accepted");
    }

    #[test]
    fn no_change_of_one_character_leaves_a_token_valid(place in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let clinic = Clinic::new(Algorithm::EdDsa);
        let mut text = clinic.signer.token(&claims(json!({}))).text().to_owned();
        let place = place.index(text.len());
        prop_assume!(!text.get(place..).unwrap().starts_with(&to));
        text.replace_range(place..=place, &to);
        prop_assert_ne!(clinic.verdict(&RawToken::for_tests(&text)), "accepted");
    }
}
