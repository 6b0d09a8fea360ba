//! Whole tokens through `verify` with an issuer that is asked.

use core::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::Native;
use crate::base::time::UnixSeconds;
use crate::config::section::{ConfigError, describe, read_document};
use crate::token::algorithm::Algorithm;
use crate::token::testing::{NOW, Signer, claims, config, issuers, merge, now};
use crate::token::{CacheLimits, TokenCache, verify};

const SECRET: &str = "s3cret of the gateway";
const VARIABLE: &str = "PHIWARD_INTROSPECTION_SECRET";
const SECONDS: Duration = Duration::from_secs(1);

/// An issuer with one key that is asked, and the worker that asks.
struct Clinic {
    signer: Signer,
    issuers: Issuers,
    keys: Keys,
    introspection: Introspection,
    caps: Native,
}

impl Clinic {
    fn new(tokens: &str) -> Clinic {
        Clinic::with(tokens, json!({}))
    }

    /// With these settings of `introspection`.
    fn with(tokens: &str, changes: Value) -> Clinic {
        let mut changes = changes;
        changes["tokens"] = json!(tokens);
        let signer = Signer::new(Algorithm::Es256, "k1", 7);
        let changes = json!({"introspection": section(changes), "clock_skew": "1s"});
        let issuers = issuers(vec![config(vec![signer.jwk()], changes)]);
        let caps = Native::at(now());
        caps.set_environment(VARIABLE, SECRET);
        let (keys, introspection) = (Keys::new(&issuers), Introspection::new(&issuers));
        Clinic { signer, issuers, keys, introspection, caps }
    }

    fn verify(&mut self, raw: &RawToken) -> Result<VerifiedToken, Rejected> {
        verify(raw, &self.issuers, &self.keys, &mut self.introspection, &self.caps)
    }

    /// The reason code, with `…` while the request would wait.
    fn verdict(&mut self, raw: &RawToken) -> String {
        match self.verify(raw) {
            Ok(_) => "accepted".to_owned(),
            Err(Rejected { refusal, .. }) => {
                format!("{}{}", refusal.reason.code, if refusal.pending { "…" } else { "" })
            }
        }
    }

    fn due(&mut self) -> Vec<(Inquiry, HttpCall)> {
        self.introspection.due(&self.caps)
    }

    fn answer(
        &mut self,
        inquiry: Inquiry,
        answer: Result<HttpAnswer, CallFailed>,
    ) -> Option<Notice> {
        self.introspection.answered(inquiry, answer, &self.issuers, &self.caps)
    }

    /// Asks about a token and answers so; gives the verdict.
    fn asked(&mut self, raw: &RawToken, body: &Value) -> Result<VerifiedToken, Rejected> {
        assert!(self.verify(raw).unwrap_err().refusal.pending, "it is asked about");
        let (inquiry, _) = self.due().pop().expect("a call");
        self.answer(inquiry, said(body));
        self.verify(raw)
    }

    /// The reason code for a token of which the issuer says this.
    fn of(changes: Value) -> &'static str {
        code(&Clinic::new("opaque").asked(&opaque(), &active(changes)))
    }

    fn wait(&self, length: Duration) {
        self.caps.set_now(self.caps.now().plus(length));
    }
}

fn section(changes: Value) -> Value {
    let right = json!({
        "cluster": "auth", "url": "https://auth.clinic.example/token/introspection",
        "client_id": "gateway", "client_secret": VARIABLE,
    });
    merge(right, changes)
}

/// What an issuer says of an active token.
fn active(changes: Value) -> Value {
    merge(claims(json!({"active": true, "token_type": "Bearer"})), changes)
}

fn said(body: &Value) -> Result<HttpAnswer, CallFailed> {
    answered(200, &body.to_string())
}

fn answered(status: u16, body: &str) -> Result<HttpAnswer, CallFailed> {
    Ok(HttpAnswer { status, etag: None, body: body.as_bytes().to_vec() })
}

fn code(verified: &Result<VerifiedToken, Rejected>) -> &'static str {
    verified.as_ref().map_or_else(|rejected| rejected.refusal.reason.code, |_| "accepted")
}

fn opaque() -> RawToken {
    RawToken::for_tests("2YotnFZFEjr1zCsicMWpAA")
}

fn numbered(number: usize) -> RawToken {
    RawToken::for_tests(&format!("opaque-{number}"))
}

// The question.

#[test]
fn the_question_is_a_form_and_the_client_proves_itself() {
    let mut clinic = Clinic::with("opaque", json!({"client_id": "gate:way é", "timeout": "7s"}));
    let raw = RawToken::for_tests("a+b/c~d.e-f_g==");
    assert_eq!(clinic.verdict(&raw), "introspection_unavailable…");
    let (_, call) = clinic.due().pop().unwrap();
    assert_eq!(call.cluster, "auth");
    assert_eq!(call.authority, "auth.clinic.example");
    assert_eq!(call.path, "/token/introspection");
    assert_eq!(call.timeout, Duration::from_secs(7));
    let body = String::from_utf8(call.body.unwrap()).unwrap();
    assert_eq!(body, "token=a%2Bb%2Fc~d.e-f_g%3D%3D&token_type_hint=access_token");
    // base64 of `gate%3Away%20%C3%A9:s3cret%20of%20the%20gateway`
    let basic = "Basic Z2F0ZSUzQXdheSUyMCVDMyVBOTpzM2NyZXQlMjBvZiUyMHRoZSUyMGdhdGV3YXk=";
    let headers: Vec<_> =
        call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("accept", "application/json"),
        ("authorization", basic),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn neither_secret_nor_token_is_ever_shown() {
    for secret in [json!({}), json!({"client_secret": null, "client_secret_inline": SECRET})] {
        let mut clinic = Clinic::with("all", secret);
        clinic.verify(&opaque()).unwrap_err();
        let calls = clinic.due();
        let shown = format!("{:?} {:?} {calls:?}", clinic.introspection, clinic.issuers);
        let basic = &calls[0].1.headers[1].1;
        for hidden in [SECRET, VARIABLE, opaque().text(), basic.trim_start_matches("Basic ")] {
            assert!(!shown.contains(hidden), "{hidden}");
        }
    }
}

// Which tokens.

#[test]
fn an_issuer_is_asked_about_the_tokens_it_is_configured_for() {
    let jwt = Signer::new(Algorithm::Es256, "k1", 7).token(&claims(json!({})));
    let rows = [
        ("opaque", "introspection_unavailable…", "accepted"),
        ("jwt", "token_shape", "introspection_unavailable…"),
        ("all", "introspection_unavailable…", "introspection_unavailable…"),
    ];
    for (tokens, of_opaque, of_jwt) in rows {
        let mut clinic = Clinic::new(tokens);
        assert_eq!(clinic.verdict(&opaque()), of_opaque, "{tokens}");
        assert_eq!(clinic.verdict(&jwt), of_jwt, "{tokens}");
        let asked = [of_opaque, of_jwt].iter().filter(|verdict| verdict.ends_with('…')).count();
        assert_eq!(clinic.due().len(), asked, "{tokens}");
    }
}

#[test]
fn what_has_the_form_of_a_jwt_or_jwe_is_not_opaque() {
    let rows = [
        ("a", true),
        ("a.b", true),
        ("a.b.c", false),
        ("a.b.c.d", true),
        ("a.b.c.d.e", false),
        ("a.b.c.d.e.f", true),
        ("..", false),
    ];
    for (text, is_asked) in rows {
        let mut clinic = Clinic::new("opaque");
        let verdict = clinic.verdict(&RawToken::for_tests(text));
        assert_eq!(verdict.ends_with('…'), is_asked, "{text}: {verdict}");
        assert_eq!(clinic.due().len(), usize::from(is_asked), "{text}");
    }
}

#[test]
fn a_signed_token_that_does_not_verify_is_never_asked_about() {
    let mut clinic = Clinic::new("all");
    let forger = Signer::new(Algorithm::Es256, "k1", 8);
    let rows = [
        (forger.token(&claims(json!({}))), "token_signature_invalid"),
        (clinic.signer.token(&claims(json!({"exp": NOW - 5}))), "token_expired"),
        (clinic.signer.token(&claims(json!({"aud": "x"}))), "token_audience"),
        (clinic.signer.token_with(json!({"kid": "k2"}), &claims(json!({}))), "token_key_unknown"),
    ];
    for (raw, expected) in rows {
        assert_eq!(clinic.verdict(&raw), expected);
        assert_eq!(clinic.due().len(), 0, "{expected}");
    }
}

#[test]
fn an_issuer_of_opaque_tokens_alone_needs_no_keys_and_trusts_none() {
    let without =
        merge(config(vec![], json!({"introspection": section(json!({}))})), json!({"jwks": null}));
    let issuers = issuers(vec![without]);
    let mut introspection = Introspection::new(&issuers);
    let jwt = Signer::new(Algorithm::Es256, "k1", 7).token(&claims(json!({})));
    let caps = Native::at(now());
    let verified = verify(&jwt, &issuers, &Keys::new(&issuers), &mut introspection, &caps);
    assert_eq!(code(&verified), "token_key_unknown");
    assert!(!verified.unwrap_err().refusal.pending);
}

// The answer.

#[test]
fn an_active_token_has_the_claims_that_its_issuer_says() {
    let mut clinic = Clinic::new("opaque");
    let said = active(json!({
        "scope": "patient/*.rs", "patient": "Patient/123", "fhirUser": "Patient/123", "sid": "s-1",
        "roles": ["nurse"], "username": "ann",
    }));
    let token = clinic.asked(&opaque(), &said).unwrap();
    let claims = token.claims();
    assert_eq!(claims.issuer, "https://auth.clinic.example");
    assert_eq!(claims.subject.as_deref(), Some("nurse-17"));
    assert_eq!(claims.token_id.as_deref(), Some("t-1"));
    assert_eq!(claims.scope, "patient/*.rs");
    assert_eq!(claims.patient.as_deref(), Some("123"));
    assert_eq!(claims.session.as_deref(), Some("s-1"));
    assert_eq!(claims.expires, UnixSeconds(NOW + 300));
    assert_eq!((claims.key_id.as_deref(), claims.bound), (None, false));
}

#[test]
fn what_an_issuer_says_is_judged_as_what_it_signs() {
    let rows = [
        (json!({}), "accepted"),
        (json!({"iss": null}), "accepted"),
        (json!({"iss": "https://auth.clinic.example/"}), "token_issuer_unknown"),
        (json!({"iss": 7}), "token_issuer_unknown"),
        (json!({"aud": ["x", "https://api.clinic.example/fhir"]}), "accepted"),
        (json!({"aud": "https://other.example"}), "token_audience"),
        (json!({"aud": null}), "token_claim_missing"),
        (json!({"aud": 7}), "token_claim_invalid"),
        (json!({"sub": null}), "token_claim_missing"),
        (json!({"jti": null}), "token_claim_missing"),
        (json!({"sub": ["x"]}), "token_claim_invalid"),
        (json!({"exp": NOW - 2}), "token_expired"),
        (json!({"exp": NOW}), "accepted"),
        (json!({"exp": "tomorrow"}), "token_claim_invalid"),
        (json!({"exp": null}), "accepted"),
        (json!({"exp": null, "iat": NOW - 3600 + 31}), "accepted"),
        (json!({"exp": null, "iat": NOW - 3600}), "token_lifetime_too_long"),
        (json!({"iat": null, "exp": NOW + 100_000}), "accepted"),
        (json!({"iat": NOW - 3600}), "token_lifetime_too_long"),
        (json!({"iat": NOW + 2}), "token_issued_in_future"),
        (json!({"iat": 1.5}), "token_claim_invalid"),
        (json!({"nbf": NOW + 2}), "token_not_yet_valid"),
        (json!({"patient": "a/b"}), "token_patient_invalid"),
        (json!({"nonce": "n"}), "token_is_id_token"),
        (json!({"token_type": "bearer"}), "accepted"),
        (json!({"token_type": null}), "accepted"),
        (json!({"token_type": "refresh_token"}), "token_type_refused"),
        (json!({"token_type": 7}), "token_type_refused"),
        (json!({"token_use": "access_token"}), "accepted"),
        (json!({"token_use": "refresh_token"}), "token_type_refused"),
    ];
    for (changes, expected) in rows {
        assert_eq!(Clinic::of(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn a_token_that_is_bound_says_so() {
    for (changes, bound) in [
        (json!({}), false),
        (json!({"token_type": "DPoP"}), true),
        (json!({"cnf": {"jkt": "x"}}), true),
    ] {
        let token = Clinic::new("opaque").asked(&opaque(), &active(changes.clone())).unwrap();
        assert_eq!(token.claims().bound, bound, "{changes}");
    }
}

#[test]
fn the_token_itself_never_becomes_a_claim() {
    let said = active(json!({"jti": opaque().text(), "sid": opaque().text()}));
    assert_eq!(code(&Clinic::new("opaque").asked(&opaque(), &said)), "token_claim_missing");
    let mut lenient = Clinic::new("opaque");
    lenient.issuers = issuers(vec![config(
        vec![],
        json!({"jwks": null, "require": ["sub"], "introspection": section(json!({}))}),
    )]);
    let token = lenient.asked(&opaque(), &said).unwrap();
    assert_eq!((&token.claims().token_id, &token.claims().session), (&None, &None));
}

#[test]
fn only_true_lets_in_and_only_false_is_inactive() {
    let rows = [
        (json!({"active": false}).to_string(), "token_inactive"),
        (active(json!({"active": false})).to_string(), "token_inactive"),
        (active(json!({"active": "true"})).to_string(), "introspection_unavailable"),
        (active(json!({"active": 1})).to_string(), "introspection_unavailable"),
        (active(json!({"active": null})).to_string(), "introspection_unavailable"),
        ("{}".to_owned(), "introspection_unavailable"),
        ("[true]".to_owned(), "introspection_unavailable"),
        ("true".to_owned(), "introspection_unavailable"),
        (String::new(), "introspection_unavailable"),
        ("<html>Log in</html>".to_owned(), "introspection_unavailable"),
        ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln".to_owned(), "introspection_unavailable"),
        (r#"{"active":false,"active":true}"#.to_owned(), "introspection_unavailable"),
        (r#"{"active":true} {}"#.to_owned(), "introspection_unavailable"),
        (active(json!({"x": "y".repeat(16 * 1024)})).to_string(), "introspection_unavailable"),
    ];
    for (body, expected) in rows {
        let mut clinic = Clinic::new("opaque");
        clinic.verify(&opaque()).unwrap_err();
        let (inquiry, _) = clinic.due().pop().unwrap();
        clinic.answer(inquiry, answered(200, &body));
        assert_eq!(clinic.verdict(&opaque()), expected, "{body:.60}");
    }
}

#[test]
fn an_error_is_no_word_on_the_token() {
    let good = active(json!({})).to_string();
    let mut answers: Vec<_> = [201, 204, 301, 302, 304, 400, 404, 429, 500, 502, 503, 504]
        .map(|status| (answered(status, &good), "introspection_unavailable"))
        .into();
    answers.push((answered(401, &good), "introspection_unauthorized"));
    answers.push((answered(403, &good), "introspection_unauthorized"));
    answers.push((Err(CallFailed::NoAnswer), "introspection_unavailable"));
    answers.push((Err(CallFailed::Undispatched), "introspection_unavailable"));
    for (answer, expected) in answers {
        let mut clinic = Clinic::new("opaque");
        clinic.verify(&opaque()).unwrap_err();
        let (inquiry, _) = clinic.due().pop().unwrap();
        let notice = clinic.answer(inquiry, answer.clone()).expect("the operator is told");
        assert_eq!(notice.level, log::Level::Warn);
        assert!(notice.text.contains("issuer `https://auth.clinic.example`"), "{}", notice.text);
        let rejected = clinic.verify(&opaque()).unwrap_err();
        assert_eq!(rejected.refusal.reason.code, expected, "{answer:?}");
        assert_eq!(rejected.refusal.reason.status, 503);
        assert!(rejected.refusal.retry_after.is_some() && !rejected.refusal.pending);
        // A moment later it is asked about again.
        clinic.wait(6 * SECONDS);
        assert_eq!(code(&clinic.asked(&opaque(), &active(json!({})))), "accepted", "{answer:?}");
    }
}

// Signed tokens.

#[test]
fn of_a_signed_token_the_issuer_s_word_counts_before_what_it_signed() {
    let mut clinic = Clinic::new("all");
    let raw = clinic.signer.token(&claims(json!({"scope": "user/*.cruds", "patient": "1"})));
    let said = json!({"active": true, "scope": "user/*.rs", "exp": NOW + 200});
    let token = clinic.asked(&raw, &said).unwrap();
    let claims = token.claims();
    assert_eq!(claims.scope, "user/*.rs");
    assert_eq!(claims.expires, UnixSeconds(NOW + 200));
    assert_eq!((claims.patient.as_deref(), claims.key_id.as_deref()), (Some("1"), Some("k1")));
}

#[test]
fn no_word_of_its_issuer_keeps_a_signed_token_beyond_what_it_signed() {
    let mut clinic = Clinic::with("jwt", json!({"cache": "60s"}));
    let raw = clinic.signer.token(&claims(json!({"exp": NOW + 10})));
    let token = clinic.asked(&raw, &active(json!({"exp": NOW + 3000}))).unwrap();
    let mut cache = TokenCache::new(CacheLimits { entries: 10, bytes: 1 << 20 }, [7; 16]);
    cache.insert_raw(&raw, token, ());
    clinic.wait(10 * SECONDS);
    assert!(cache.get_raw(&raw, clinic.caps.now()).is_some(), "within the skew of a second");
    clinic.wait(SECONDS);
    assert!(cache.get_raw(&raw, clinic.caps.now()).is_none());
    assert_eq!(clinic.verdict(&raw), "token_expired");
}

#[test]
fn a_signed_token_is_refused_with_its_holder_named() {
    let rows = [
        (json!({"active": false}), "token_inactive"),
        (json!({"active": true, "iss": "https://x"}), "token_issuer_unknown"),
        (json!({"active": true, "aud": "x"}), "token_audience"),
        (json!({"active": true, "exp": NOW - 9}), "token_expired"),
    ];
    for (said, expected) in rows {
        let mut clinic = Clinic::new("jwt");
        let raw = clinic.signer.token(&claims(json!({})));
        let pending = clinic.verify(&raw).unwrap_err();
        assert!(pending.holder.is_some(), "while it waits");
        assert!(clinic.verify(&raw).unwrap_err().holder.is_some(), "while it waits");
        let (inquiry, _) = clinic.due().pop().unwrap();
        clinic.answer(inquiry, super::tests::said(&said));
        let rejected = clinic.verify(&raw).unwrap_err();
        assert_eq!(rejected.refusal.reason.code, expected);
        let known = expected != "token_issuer_unknown";
        assert_eq!(rejected.holder.is_some(), known, "{expected}");
    }
}

#[test]
fn a_key_that_went_while_the_issuer_was_asked_takes_its_token_with_it() {
    let mut clinic = Clinic::new("jwt");
    let raw = clinic.signer.token(&claims(json!({})));
    clinic.verify(&raw).unwrap_err();
    let (inquiry, _) = clinic.due().pop().unwrap();
    clinic.answer(inquiry, said(&json!({"active": true})));
    let other = Signer::new(Algorithm::Es256, "k2", 9).jwk();
    clinic.keys = Keys::new(&issuers(vec![config(vec![other], json!({}))]));
    assert_eq!(clinic.verdict(&raw), "token_key_unknown");
}

// How long an answer counts.

#[test]
fn the_word_that_a_token_is_active_counts_no_longer_than_configured_nor_beyond_exp() {
    let skew = 1;
    let rows = [
        (json!({}), json!({}), 30),
        (json!({"cache": "5s"}), json!({}), 5),
        (json!({}), json!({"exp": NOW + 10}), 10 + skew),
        (json!({}), json!({"exp": null, "iat": null}), 30),
        (json!({"cache": "1h"}), json!({}), 300 + skew),
    ];
    for (settings, said, seconds) in rows {
        let mut clinic = Clinic::with("opaque", settings.clone());
        let token = clinic.asked(&opaque(), &active(said.clone())).unwrap();
        let mut tokens = TokenCache::new(CacheLimits { entries: 9, bytes: 1 << 20 }, [7; 16]);
        let end = now().plus(Duration::from_secs(seconds));
        let before = Instant::from_nanoseconds(end.nanoseconds() - 1);
        for (at, held) in [(now(), true), (before, true), (end, false)] {
            tokens.insert_raw(&opaque(), token.clone(), ());
            assert_eq!(tokens.get_raw(&opaque(), at).is_some(), held, "{settings} {said} {at:?}");
        }
        // The clock was set back: nobody said anything about the token then.
        tokens.insert_raw(&opaque(), token, ());
        let earlier = Instant::from_nanoseconds(now().nanoseconds() - 1);
        assert!(tokens.get_raw(&opaque(), earlier).is_none());
    }
}

#[test]
fn tokens_that_nobody_signed_stay_when_keys_change_and_signed_ones_go() {
    for (tokens, kept) in [("opaque", true), ("jwt", false)] {
        let mut clinic = Clinic::new(tokens);
        let raw = match tokens {
            "opaque" => opaque(),
            _ => clinic.signer.token(&claims(json!({}))),
        };
        let token = clinic.asked(&raw, &active(json!({}))).unwrap();
        let mut cache = TokenCache::new(CacheLimits { entries: 9, bytes: 1 << 20 }, [7; 16]);
        cache.insert_raw(&raw, token, ());
        let other = Signer::new(Algorithm::Es256, "k2", 9).jwk();
        cache.retain_trusted(&Keys::new(&issuers(vec![config(vec![other], json!({}))])));
        assert_eq!(cache.get_raw(&raw, now()).is_some(), kept, "{tokens}");
    }
}

#[test]
fn a_refused_token_is_refused_without_asking_for_a_while() {
    for said in [json!({"active": false}), active(json!({"aud": "x"}))] {
        let mut clinic = Clinic::with("opaque", json!({"cache_inactive": "7s"}));
        let first = code(&clinic.asked(&opaque(), &said));
        clinic.wait(Duration::from_millis(6_999));
        assert_eq!(clinic.verdict(&opaque()), first);
        assert_eq!(clinic.due().len(), 0);
        clinic.wait(Duration::from_millis(1));
        assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…");
        assert_eq!(clinic.due().len(), 1);
    }
}

#[test]
fn after_a_failure_the_same_token_is_asked_about_again_after_a_second() {
    let mut clinic = Clinic::new("opaque");
    clinic.verify(&opaque()).unwrap_err();
    let (inquiry, _) = clinic.due().pop().unwrap();
    clinic.answer(inquiry, answered(500, ""));
    clinic.wait(Duration::from_millis(999));
    assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable");
    assert_eq!(
        clinic.verdict(&numbered(1)),
        "introspection_unavailable…",
        "others are asked about"
    );
    clinic.wait(Duration::from_millis(1));
    assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…");
    assert_eq!(clinic.due().len(), 2);
}

// How much is asked.

#[test]
fn a_token_is_asked_about_once_however_many_bring_it() {
    let mut clinic = Clinic::new("opaque");
    for _ in 0..100 {
        assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…");
    }
    let calls = clinic.due();
    assert_eq!(calls.len(), 1);
    for _ in 0..100 {
        assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…");
    }
    assert_eq!(clinic.due().len(), 0);
    clinic.answer(calls[0].0, said(&json!({"active": false})));
    for _ in 0..100 {
        assert_eq!(clinic.verdict(&opaque()), "token_inactive");
    }
    assert!(clinic.answer(calls[0].0, said(&active(json!({})))).is_none(), "one answer a call");
    assert_eq!(clinic.verdict(&opaque()), "token_inactive");
}

#[test]
fn answers_go_to_the_tokens_that_were_asked_about() {
    let mut clinic = Clinic::new("opaque");
    for number in 0..10 {
        clinic.verify(&numbered(number)).unwrap_err();
    }
    let mut calls = clinic.due();
    calls.reverse();
    for (inquiry, call) in calls {
        let body = String::from_utf8(call.body.unwrap()).unwrap();
        clinic.answer(inquiry, said(&json!({"active": false})));
        let number = body.trim_start_matches("token=opaque-").split('&').next().unwrap();
        assert_eq!(clinic.verdict(&numbered(number.parse().unwrap())), "token_inactive");
    }
}

#[test]
fn calls_under_way_and_tokens_that_wait_are_bounded() {
    let mut clinic = Clinic::with("opaque", json!({"calls_per_second": 10_000}));
    for number in 0..128 {
        assert_eq!(clinic.verdict(&numbered(number)), "introspection_unavailable…");
    }
    assert_eq!(clinic.verdict(&numbered(128)), "introspection_overloaded");
    assert_eq!(clinic.verdict(&numbered(0)), "introspection_unavailable…", "it waits already");
    let calls = clinic.due();
    assert_eq!((calls.len(), clinic.due().len()), (64, 0));
    for number in 128..192 {
        assert_eq!(clinic.verdict(&numbered(number)), "introspection_unavailable…");
    }
    assert_eq!(clinic.verdict(&numbered(192)), "introspection_overloaded");
    clinic.answer(calls[0].0, answered(200, "{\"active\":false}"));
    assert_eq!(clinic.due().len(), 1, "an answer makes room for one call");
    // Whoever waited so long has left.
    clinic.wait(Duration::from_millis(2_001));
    assert_eq!(clinic.due().len(), 0);
    assert_eq!(clinic.verdict(&numbered(400)), "introspection_unavailable…");
    // The host forgot all calls.
    clinic.wait(Duration::from_secs(60));
    assert_eq!(clinic.verdict(&numbered(401)), "introspection_unavailable…");
    assert_eq!(clinic.due().len(), 1);
}

#[test]
fn invented_tokens_wait_behind_those_of_real_clients() {
    let mut clinic = Clinic::with("all", json!({"calls_per_second": 2, "cache": "1s"}));
    clinic.asked(&opaque(), &active(json!({}))).unwrap();
    clinic.wait(SECONDS);
    for number in 0..200 {
        clinic.verify(&numbered(number)).unwrap_err();
    }
    let signed = clinic.signer.token(&claims(json!({})));
    assert_eq!(clinic.verdict(&numbered(200)), "introspection_overloaded");
    assert_eq!(clinic.verdict(&signed), "introspection_unavailable…");
    assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…", "it was active before");
    let calls = clinic.due();
    let asked = |text: &str| {
        let body = format!("token={text}&token_type_hint=access_token").into_bytes();
        calls.iter().position(|(_, call)| call.body.as_ref() == Some(&body))
    };
    assert_eq!((asked(signed.text()), asked(opaque().text())), (Some(0), Some(1)));
    // Once it is not active any more it is like any other.
    clinic.answer(calls[1].0, said(&json!({"active": false})));
    clinic.wait(5 * SECONDS);
    for number in 300..428 {
        clinic.verify(&numbered(number)).unwrap_err();
    }
    assert_eq!(clinic.verdict(&opaque()), "introspection_overloaded");
}

#[test]
fn calls_of_a_second_are_bounded() {
    let mut clinic = Clinic::with("opaque", json!({"calls_per_second": 3}));
    for number in 0..10 {
        clinic.verify(&numbered(number)).unwrap_err();
    }
    assert_eq!(clinic.due().len(), 3);
    assert_eq!(clinic.due().len(), 0);
    clinic.wait(SECONDS);
    assert_eq!(clinic.due().len(), 3);
    clinic.wait(SECONDS);
    assert_eq!(clinic.due().len(), 3);
    clinic.wait(SECONDS);
    assert_eq!(clinic.due().len(), 0, "nobody waits any more");
}

#[test]
fn answers_that_are_kept_are_bounded() {
    let mut clinic =
        Clinic::with("opaque", json!({"calls_per_second": 10_000, "cache_inactive": "5m"}));
    for number in 0..4_200 {
        clinic.verify(&numbered(number)).unwrap_err();
        let (inquiry, _) = clinic.due().pop().unwrap();
        clinic.answer(inquiry, said(&json!({"active": false})));
    }
    assert_eq!(clinic.verdict(&numbered(0)), "introspection_unavailable…", "forgotten");
    assert_eq!(clinic.verdict(&numbered(4_199)), "token_inactive");
}

// The secret.

#[test]
fn without_its_secret_nothing_is_asked_and_the_operator_is_told_why() {
    for missing in ["", "unset"] {
        let mut clinic = Clinic::new("opaque");
        clinic.caps = Native::at(now());
        if missing.is_empty() {
            clinic.caps.set_environment(VARIABLE, missing);
        }
        assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable…");
        assert_eq!(clinic.due().len(), 0);
        assert_eq!(clinic.verdict(&opaque()), "introspection_secret_missing");
        let notice = clinic.introspection.notice(&clinic.issuers).unwrap();
        assert!(notice.text.contains("`client_secret`"), "{}", notice.text);
        assert!(!notice.text.contains(VARIABLE), "it may be the secret itself");
        assert!(clinic.introspection.notice(&clinic.issuers).is_none(), "told once");
        clinic.wait(4 * SECONDS);
        assert_eq!(clinic.verdict(&numbered(1)), "introspection_secret_missing");
        clinic.wait(SECONDS);
        clinic.caps.set_environment(VARIABLE, SECRET);
        assert_eq!(code(&clinic.asked(&opaque(), &active(json!({})))), "accepted");
    }
}

#[test]
fn an_issuer_that_refuses_this_client_is_left_alone_for_a_while() {
    let mut clinic = Clinic::with("opaque", json!({"calls_per_second": 1}));
    clinic.verify(&opaque()).unwrap_err();
    clinic.verify(&numbered(0)).unwrap_err();
    let (inquiry, _) = clinic.due().pop().unwrap();
    clinic.answer(inquiry, answered(401, ""));
    clinic.wait(SECONDS);
    assert_eq!(clinic.due().len(), 0, "not even about those that waited");
    for number in [0, 1] {
        assert_eq!(clinic.verdict(&numbered(number)), "introspection_unauthorized");
    }
    assert_eq!(clinic.due().len(), 0);
    clinic.wait(4 * SECONDS);
    assert_eq!(clinic.verdict(&numbered(1)), "introspection_unavailable…");
}

#[test]
fn trouble_is_told_from_time_to_time_and_its_end_once() {
    let mut clinic = Clinic::new("opaque");
    let mut told = Vec::new();
    for second in 0..62_u64 {
        clinic.verify(&numbered(0)).unwrap_err();
        if let Some((inquiry, _)) = clinic.due().pop()
            && clinic.answer(inquiry, answered(500, "")).is_some()
        {
            told.push(second);
        }
        clinic.wait(SECONDS);
    }
    assert_eq!(told, [0, 30, 60]);
    for (number, info) in [(1, true), (2, false)] {
        clinic.verify(&numbered(number)).unwrap_err();
        let (inquiry, _) = clinic.due().pop().unwrap();
        let notice = clinic.answer(inquiry, said(&active(json!({}))));
        assert_eq!(notice.is_some_and(|notice| notice.level == log::Level::Info), info);
    }
}

// Settings.

fn errors(changes: Value) -> Vec<(String, String)> {
    let key = Signer::new(Algorithm::Es256, "k1", 7).jwk();
    let document = json!({"issuers": [config(vec![key], changes)]});
    shown(read_document(&document, Issuers::read).1)
}

fn shown(errors: Vec<ConfigError>) -> Vec<(String, String)> {
    errors.into_iter().map(|error| (error.pointer, error.problem)).collect()
}

#[test]
fn settings_that_are_left_out_have_the_documented_default() {
    let issuers =
        issuers(vec![config(vec![], json!({"jwks": null, "introspection": section(json!({}))}))]);
    let settings = issuers.iter().next().unwrap().introspection.clone().unwrap();
    assert_eq!(settings.tokens, Tokens::Opaque);
    assert_eq!((settings.cache, settings.cache_inactive), (30 * SECONDS, 5 * SECONDS));
    assert_eq!((settings.timeout, settings.calls_per_second), (3 * SECONDS, 100));
}

#[test]
fn every_wrong_setting_is_told_and_no_secret_repeated() {
    let at = |name: &str| format!("/issuers/0/introspection/{name}");
    let hidden = "Not.A.Name";
    let rows = [
        (json!({}), vec![]),
        (json!({"tokens": "jwt"}), vec![]),
        (json!({"cluster": null}), vec![at("cluster")]),
        (json!({"url": "auth/introspect"}), vec![at("url")]),
        (json!({"client_id": ""}), vec![at("client_id")]),
        (json!({"client_secret": hidden}), vec![at("client_secret")]),
        (json!({"client_secret": "1A"}), vec![at("client_secret")]),
        (json!({"client_secret": ""}), vec![at("client_secret")]),
        (json!({"client_secret": null}), vec![at("client_secret")]),
        (json!({"client_secret_inline": hidden}), vec![at("client_secret")]),
        (json!({"client_secret": null, "client_secret_inline": hidden}), vec![]),
        (
            json!({"client_secret": null, "client_secret_inline": [hidden]}),
            vec![at("client_secret_inline")],
        ),
        (json!({"tokens": "some"}), vec![at("tokens")]),
        (json!({"cache": "500ms"}), vec![at("cache")]),
        (json!({"cache": "61m"}), vec![at("cache")]),
        (json!({"cache_inactive": "6m"}), vec![at("cache_inactive")]),
        (json!({"timeout": "31s"}), vec![at("timeout")]),
        (json!({"calls_per_second": 0}), vec![at("calls_per_second")]),
        (json!({"calls_per_second": 10_001}), vec![at("calls_per_second")]),
        (json!({"calls_per_second": "5"}), vec![at("calls_per_second")]),
        (json!({"secret": hidden}), vec![at("secret")]),
    ];
    for (changes, expected) in rows {
        let found = errors(json!({"introspection": section(changes.clone())}));
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.clone()).collect();
        assert_eq!(pointers, expected, "{changes}: {found:?}");
        assert!(!format!("{found:?}").contains(hidden), "{found:?}");
    }
}

#[test]
fn keys_may_be_left_out_only_where_nothing_signed_is_taken() {
    let jwks = "/issuers/0/jwks".to_owned();
    for (tokens, expected) in [("opaque", None), ("jwt", Some(&jwks)), ("all", Some(&jwks))] {
        let introspection = section(json!({"tokens": tokens}));
        let found = errors(json!({"jwks": null, "introspection": introspection}));
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, expected.into_iter().collect::<Vec<_>>(), "{tokens}");
    }
}

#[test]
fn opaque_tokens_are_one_issuer_s() {
    let other = |tokens: &str| {
        let introspection = section(json!({"tokens": tokens}));
        let key = Signer::new(Algorithm::Es256, "k1", 7).jwk();
        let name = format!("https://{tokens}.example");
        config(vec![key], json!({"issuer": name, "introspection": introspection}))
    };
    for (first, second, good) in
        [("opaque", "all", false), ("opaque", "jwt", true), ("jwt", "all", true)]
    {
        let document = json!({"issuers": [other(first), other(second)]});
        let found = shown(read_document(&document, Issuers::read).1);
        let expected = format!(
            "`https://{first}.example` and `https://{second}.example` both take opaque tokens, which \
             don't say whose they are"
        );
        let expected = [("/issuers".to_owned(), expected)];
        assert_eq!(found, if good { &[][..] } else { &expected[..] }, "{first} {second}");
    }
}

#[test]
fn the_schema_names_what_is_required() {
    let schema = describe(Settings::read);
    assert_eq!(schema["required"], json!(["cluster", "url", "client_id"]));
    assert_eq!(schema["properties"]["tokens"]["default"], "opaque");
}

proptest! {
    /// An accepted token has `active: true`, our audience, our issuer and has not expired.
    #[test]
    fn whatever_is_answered_never_panics_nor_lets_in_without_active(
        body in prop::collection::vec(any::<u8>(), 0..60),
        flag in prop::sample::select(vec![json!(true), json!(false), json!(null), json!("true"), json!(1)]),
        name in prop::sample::select(vec!["aud", "iss", "exp", "iat", "nbf", "sub", "token_type", "cnf"]),
        value in prop::sample::select(vec![json!(null), json!("x"), json!(NOW), json!(0), json!([]), json!({})]),
    ) {
        let mut clinic = Clinic::new("opaque");
        clinic.verify(&opaque()).unwrap_err();
        let (inquiry, _) = clinic.due().pop().unwrap();
        let answer = HttpAnswer { status: 200, etag: None, body };
        clinic.answer(inquiry, Ok(answer));
        prop_assert_eq!(clinic.verdict(&opaque()), "introspection_unavailable");

        let mut said = active(json!({"active": flag.clone()}));
        said[name] = value;
        let verified = Clinic::new("opaque").asked(&opaque(), &said);
        if let Ok(token) = verified {
            prop_assert_eq!(flag, json!(true));
            prop_assert_eq!(token.claims().issuer.as_str(), "https://auth.clinic.example");
            prop_assert!(token.claims().expires.0 >= NOW);
        }
    }
}
