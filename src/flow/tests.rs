//! What the stages do together, events in and effects out.

use core::time::Duration;

use serde_json::{Value, json};

use super::testing::Gateway;
use super::*;
use crate::base::capabilities::Native;
use crate::request::Headers;
use crate::token::algorithm::Algorithm;
use crate::token::testing::Signer;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn document(changes: Value) -> Value {
    let issuer = json!({
        "issuer": "https://auth.clinic.example",
        "audiences": ["https://api.clinic.example/fhir"],
        "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks", "refresh": "5m"},
    });
    let fhir = json!({"base_path": "/fhir", "passthrough": ["/healthz"]});
    crate::token::testing::merge(json!({"fhir": fhir, "issuers": [issuer]}), changes)
}

fn gateway() -> Gateway {
    Gateway::new(&document(json!({})))
}

fn patient(scope: &str) -> Value {
    json!({"scope": scope, "patient": "123", "fhirUser": "Patient/123"})
}

#[test]
fn an_allowed_request_goes_on_without_its_token() {
    let sent = gateway().get("/fhir/Patient/123", patient("patient/*.rs"));
    assert!(sent.forwarded);
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(sent.header(":path"), Some("/fhir/Patient/123"));
    assert_eq!(sent.audit["decision"], "allow");
    assert_eq!(sent.audit["who"]["patient"], "123");
    assert_eq!(sent.audit["scopes"], json!(["patient/*.rs"]));
}

#[test]
fn a_worker_keeps_as_many_verified_tokens_as_configured() {
    for (configured, kept) in [(2, 2), (100, 5)] {
        let mut gateway = Gateway::new(&document(json!({"cached_tokens": configured})));
        for number in 0..5 {
            let claims = json!({"jti": format!("token-{number}")});
            gateway.get(
                "/fhir/Patient/123",
                crate::token::testing::merge(claims, patient("patient/*.rs")),
            );
        }
        assert_eq!(gateway.worker.tokens.len(), kept, "{configured}");
    }
}

#[test]
fn each_stage_refuses_with_its_own_reason_and_nothing_goes_on() {
    let good = patient("patient/*.rs");
    let cases = [
        ("GET", "/fhir//Patient/123", good.clone(), "target_empty_segment"),
        ("BREW", "/fhir/Patient/123", good.clone(), "request_method_unknown"),
        ("GET", "/fhir/Patients/123", good.clone(), "fhir_type_unknown"),
        ("GET", "/other", good.clone(), "fhir_outside_base"),
        ("GET", "/fhir/Patient/123", json!({"aud": "https://elsewhere"}), "token_audience"),
        ("GET", "/fhir/Patient/123", json!({"cnf": {"jkt": "x"}}), "token_binding_unchecked"),
        ("GET", "/fhir/Patient/456", good, "compartment_other_patient"),
    ];
    for (method, target, claims, reason) in cases {
        let mut gateway = gateway();
        let bearer = gateway.bearer(claims);
        let sent = gateway.send(method, target, &[("authorization", &bearer)], b"");
        assert_eq!(sent.reason(), reason, "{method} {target}");
        assert!(!sent.forwarded);
    }
}

#[test]
fn before_the_keys_are_there_a_token_is_refused_for_now() {
    let mut gateway = Gateway::waiting(&document(json!({})));
    let sent = gateway.get("/fhir/Patient/123", patient("patient/*.rs"));
    assert_eq!(sent.reason(), "keys_unavailable");
    let reply = sent.reply.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.headers.iter().any(|(name, _)| *name == "retry-after"), "{reply:?}");
    gateway.tick(|_| json!({}));
    assert!(gateway.get("/fhir/Patient/123", patient("patient/*.rs")).forwarded);
}

/// An exchange that waits: a read with a good token, before any key is there.
fn waiting(gateway: &mut Gateway, method: &str, end_of_stream: bool) -> Exchange {
    let bearer = gateway.bearer(patient("patient/*.rs"));
    let json = ("content-type", "application/fhir+json");
    let target = if method == "GET" { "/fhir/Patient/123" } else { "/fhir/Observation/_search" };
    let kind = if method == "GET" { json } else { FORM };
    let fields = [
        (":method", method),
        (":path", target),
        (":authority", "api.clinic.example"),
        ("authorization", &bearer),
        kind,
    ];
    let head = Event::RequestHead { headers: super::testing::fields(&fields), end_of_stream };
    let mut exchange = Exchange::default();
    let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
    assert_eq!((step.next, step.effects.len()), (Next::Pause, 0));
    exchange
}

#[test]
fn a_request_waits_for_keys_that_are_on_their_way() {
    let mut gateway = Gateway::waiting(&document(json!({})));
    let mut exchange = waiting(&mut gateway, "GET", true);
    assert!(exchange.wants_news() && gateway.worker.hurries());
    gateway.tick(|_| json!({}));
    let step = exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
    assert_eq!(step.next, Next::Continue);
    assert!(!exchange.wants_news() && !gateway.worker.hurries());
}

#[test]
fn a_form_that_comes_while_its_request_waits_is_judged_once_the_client_is_known() {
    for (form, goes_on) in [("code=8867-4", true), ("patient=456", false)] {
        let mut gateway = Gateway::waiting(&document(json!({})));
        let mut exchange = waiting(&mut gateway, "POST", false);
        assert_eq!(exchange.wants_body(), Some(MAX_FORM));
        for event in [
            Event::RequestBodyPart { held: 3 },
            Event::RequestBody { body: form.as_bytes().to_vec() },
            Event::News,
        ] {
            let step = exchange.on(event, &mut gateway.worker, &gateway.caps);
            assert_eq!((step.next, step.effects.len()), (Next::Pause, 0));
        }
        assert_eq!(exchange.wants_body(), None, "it is there");
        gateway.tick(|_| json!({}));
        let step = exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
        assert_eq!(step.next == Next::Continue, goes_on, "{form}");
    }
}

#[test]
fn a_form_that_is_too_long_is_refused_while_its_request_waits() {
    let mut gateway = Gateway::waiting(&document(json!({})));
    let mut exchange = waiting(&mut gateway, "POST", false);
    let part = Event::RequestBodyPart { held: MAX_FORM + 1 };
    let step = exchange.on(part, &mut gateway.worker, &gateway.caps);
    assert!(matches!(step.effects.last(), Some(Effect::Reply(reply)) if reply.status == 413));
    assert!(!gateway.worker.hurries());
}

#[test]
fn only_so_many_requests_wait_and_those_that_leave_make_room() {
    let mut gateway = Gateway::waiting(&document(json!({})));
    let mut held: Vec<Exchange> = (0..256).map(|_| waiting(&mut gateway, "GET", true)).collect();
    assert!(held.iter().all(Exchange::wants_news));
    let send = |gateway: &mut Gateway| {
        let bearer = gateway.bearer(patient("patient/*.rs"));
        let fields = [
            (":method", "GET"),
            (":path", "/fhir/Patient/123"),
            (":authority", "api.clinic.example"),
            ("authorization", &bearer),
        ];
        let headers = super::testing::fields(&fields);
        let mut exchange = Exchange::default();
        let head = Event::RequestHead { headers, end_of_stream: true };
        exchange.on(head, &mut gateway.worker, &gateway.caps);
        exchange.wants_news()
    };
    assert!(!send(&mut gateway), "refused at once");
    let mut gone = held.pop().unwrap();
    let _ = gone.end(End::default(), &mut gateway.worker, &gateway.caps);
    assert!(send(&mut gateway));
}

#[test]
fn those_who_invent_keys_leave_room_for_others_to_wait() {
    let mut gateway = Gateway::new(&document(json!({})));
    gateway.wait(Duration::from_secs(6));
    let good = gateway.bearer(patient("patient/*.rs"));
    gateway.signer = Signer::new(Algorithm::Es256, "invented", 9);
    let invented = gateway.bearer(patient("patient/*.rs"));
    let send = |gateway: &mut Gateway, bearer: &str| {
        let fields = [
            (":method", "GET"),
            (":path", "/fhir/Patient/123"),
            (":authority", "api.clinic.example"),
            ("authorization", bearer),
        ];
        let headers = super::testing::fields(&fields);
        let mut exchange = Exchange::default();
        let head = Event::RequestHead { headers, end_of_stream: true };
        let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
        (exchange, step)
    };
    let held: Vec<Exchange> = (0..200).map(|_| send(&mut gateway, &invented).0).collect();
    assert_eq!(held.iter().filter(|exchange| exchange.wants_news()).count(), 128);
    assert!(gateway.worker.may_wait(false), "for what is missing of others");
    assert_eq!(send(&mut gateway, &good).1.next, Next::Continue);
}

/// Begins a request with an opaque token; gives what its worker asks then.
fn opaque(
    gateway: &mut Gateway,
    method: &str,
) -> (Exchange, Step, Vec<(Callout, crate::store::HttpCall)>) {
    let target = if method == "GET" { "/fhir/Patient/123" } else { "/fhir/Observation/_search" };
    let fields = [
        (":method", method),
        (":path", target),
        (":authority", "api.clinic.example"),
        ("authorization", "Bearer 0paque-token"),
        FORM,
    ];
    let fields = &fields[..if method == "GET" { 4 } else { 5 }];
    let headers = super::testing::fields(fields);
    let mut exchange = Exchange::default();
    let head = Event::RequestHead { headers, end_of_stream: method == "GET" };
    let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
    let calls = gateway.worker.tick(&gateway.caps);
    (exchange, step, calls)
}

fn asks_about_opaque_tokens() -> Gateway {
    Gateway::waiting(&document(json!({"issuers": [{
        "issuer": "https://auth.clinic.example",
        "audiences": ["https://api.clinic.example/fhir"],
        "introspection": {
            "cluster": "auth", "url": "https://auth.clinic.example/introspect", "client_id": "gateway",
            "client_secret_inline": "s3cret",
        },
    }]})))
}

fn tell(gateway: &mut Gateway, callout: Callout, said: &Value) {
    let headers = [(b":status".to_vec(), b"200".to_vec())];
    let answer = crate::store::HttpAnswer::read(&headers, said.to_string().into_bytes());
    gateway.worker.answered(callout, answer, &gateway.caps);
}

#[test]
fn requests_with_an_opaque_token_wait_until_its_issuer_was_asked_once() {
    let mut gateway = asks_about_opaque_tokens();
    let active = crate::token::testing::merge(
        crate::token::testing::claims(patient("patient/*.rs")),
        json!({"active": true}),
    );
    let (mut first, step, calls) = opaque(&mut gateway, "GET");
    assert_eq!((step.next, step.effects.len()), (Next::Pause, 0));
    assert!(first.wants_news() && gateway.worker.hurries());
    let (mut second, _, none) = opaque(&mut gateway, "POST");
    assert_eq!((calls.len(), none.len()), (1, 0), "one call for both");
    second.on(Event::RequestBody { body: b"code=1".to_vec() }, &mut gateway.worker, &gateway.caps);
    tell(&mut gateway, calls[0].0, &active);
    for exchange in [&mut first, &mut second] {
        let step = exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
        assert_eq!(step.next, Next::Continue);
        let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
        assert!(line.contains("nurse-17") && !line.contains("0paque"), "{line}");
    }
    let (_, step, calls) = opaque(&mut gateway, "GET");
    assert_eq!((step.next, calls.len()), (Next::Continue, 0), "for a while nobody is asked");
}

#[test]
fn a_token_that_was_revoked_where_it_was_issued_is_refused_once_the_last_word_is_old() {
    let mut gateway = asks_about_opaque_tokens();
    let active = crate::token::testing::merge(
        crate::token::testing::claims(patient("patient/*.rs")),
        json!({"active": true}),
    );
    let (_, _, calls) = opaque(&mut gateway, "GET");
    tell(&mut gateway, calls[0].0, &active);
    gateway.wait(Duration::from_secs(29));
    let (_, step, calls) = opaque(&mut gateway, "GET");
    assert_eq!((step.next, calls.len()), (Next::Continue, 0));
    // A form that begins before the word is old, and ends after.
    let (mut form, _, _) = opaque(&mut gateway, "POST");
    gateway.wait(Duration::from_secs(1));
    let (mut late, _, calls) = opaque(&mut gateway, "GET");
    let body = Event::RequestBody { body: b"code=1".to_vec() };
    form.on(body, &mut gateway.worker, &gateway.caps);
    tell(&mut gateway, calls[0].0, &json!({"active": false}));
    for exchange in [&mut late, &mut form] {
        let step = exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
        let Some(Effect::Reply(reply)) = step.effects.last() else { panic!("no reply") };
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("token_invalid") && !reply.body.contains("inactive"));
        let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
        assert!(line.contains("token_inactive") && !line.contains("nurse-17"), "{line}");
    }
}

#[test]
fn an_encrypted_token_is_not_decrypted_again_and_again_while_its_request_waits() {
    let vectors: Value =
        serde_json::from_str(include_str!("../token/testdata/encrypted.json")).unwrap();
    let tokens = vectors["tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["kid"] == "rsa").unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let mut document = document(json!({}));
    let key = json!({"kid": "rsa", "algorithm": "RSA-OAEP", "key": "TOKEN_KEY_RSA"});
    document["issuers"][0]["encryption"] = json!({"keys": [key]});
    let mut gateway = Gateway::waiting(&document);
    let pem = vectors.pointer("/keys/rsa/pkcs8").unwrap().as_str().unwrap();
    gateway.caps.set_environment("TOKEN_KEY_RSA", pem);
    let newer = core::mem::replace(&mut gateway.signer, Signer::new(Algorithm::Es256, "k0", 9));
    gateway.tick(|_| json!({}));
    gateway.wait(Duration::from_secs(6));
    let fields = [
        (":method", "GET"),
        (":path", "/fhir/Observation/1"),
        (":authority", "api.clinic.example"),
        ("authorization", bearer.as_str()),
    ];
    let headers = super::testing::fields(&fields);
    let mut exchange = Exchange::default();
    let head = Event::RequestHead { headers, end_of_stream: true };
    exchange.on(head, &mut gateway.worker, &gateway.caps);
    // 2 s are 200 ticks, and 200 ms of each second are for what may never be valid: 20 tokens.
    for _ in 0..150 {
        gateway.wait(Duration::from_millis(10));
        // What others wait for comes in all the time.
        let other = Callout::Revocations(crate::revocation::Which::List);
        let failed = Err(crate::store::CallFailed::NoAnswer);
        gateway.worker.answered(other, failed, &gateway.caps);
        let step = exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
        assert_eq!(step.effects.len(), 0, "{:?}", step.effects);
        assert!(exchange.wants_news());
    }
    gateway.signer = newer;
    gateway.tick(|_| json!({}));
    exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
    assert!(!exchange.wants_news(), "decided at once when keys came");
    let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
    assert!(!line.contains("token_"), "verified: {line}");
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_wait_longer() {
    let mut gateway = Gateway::waiting(&document(json!({})));
    let before = crate::base::capabilities::Capabilities::now(&gateway.caps);
    gateway.wait(Duration::from_secs(3600));
    let mut exchange = waiting(&mut gateway, "GET", true);
    gateway.caps.set_now(before);
    let mut news = |gateway: &mut Gateway| {
        exchange.on(Event::News, &mut gateway.worker, &gateway.caps);
        exchange.wants_news()
    };
    assert!(news(&mut gateway));
    gateway.wait(Duration::from_secs(2));
    assert!(!news(&mut gateway));
}

#[test]
fn a_new_configuration_starts_with_what_was_published_before() {
    let list = json!({"cluster": "revocations", "url": "http://revocations.internal/v1/list"});
    let document = document(json!({"revocation": list}));
    let mut gateway = Gateway::new(&document);
    let config = crate::config::from_document(&document).unwrap();
    gateway.worker = Worker::new(config, &gateway.caps);
    let sent = gateway.get("/fhir/Patient/123", patient("patient/*.rs"));
    assert_eq!(sent.reason(), "allowed", "before the first tick");
}

#[test]
fn a_cached_token_is_refused_once_it_has_expired() {
    let mut gateway = gateway();
    let claims = patient("patient/*.rs");
    let bearer = gateway.bearer(claims);
    for (waited, reason) in [(0, "allowed"), (60, "allowed"), (600, "token_expired")] {
        gateway.wait(Duration::from_secs(waited));
        let sent = gateway.send("GET", "/fhir/Patient/123", &[("authorization", &bearer)], b"");
        assert_eq!(sent.reason(), reason, "{waited} s later");
    }
}

#[test]
fn a_cached_token_is_refused_once_its_key_is_gone() {
    let mut gateway = gateway();
    let bearer = gateway.bearer(patient("patient/*.rs"));
    let send = |gateway: &mut Gateway| {
        let headers = [("authorization", bearer.as_str())];
        gateway.send("GET", "/fhir/Patient/123", &headers, b"").reason().to_owned()
    };
    assert_eq!(send(&mut gateway), "allowed");
    gateway.signer =
        crate::token::testing::Signer::new(crate::token::algorithm::Algorithm::Es256, "k2", 8);
    gateway.wait(Duration::from_secs(200));
    gateway.tick(|_| json!({}));
    assert_eq!(send(&mut gateway), "allowed", "not refreshed yet");
    gateway.wait(Duration::from_secs(80));
    gateway.tick(|_| json!({}));
    gateway.wait(Duration::from_secs(25));
    gateway.tick(|_| json!({}));
    assert_eq!(send(&mut gateway), "token_key_unknown");
}

#[test]
fn a_cached_token_is_refused_once_it_is_revoked() {
    let list = json!({
        "cluster": "revocations", "url": "http://revocations.internal/v1/list", "every": "5s",
    });
    let mut gateway = Gateway::waiting(&document(json!({"revocation": list})));
    let bearer = gateway.bearer(patient("patient/*.rs"));
    let send = |gateway: &mut Gateway| {
        let headers = [("authorization", bearer.as_str())];
        let sent = gateway.send("GET", "/fhir/Patient/123", &headers, b"");
        (sent.reason().to_owned(), sent.audit["revocation"].clone())
    };
    gateway.tick(|_| json!({"entries": []}));
    assert_eq!(send(&mut gateway), ("allowed".to_owned(), json!("fresh")));
    gateway.wait(Duration::from_secs(6));
    gateway.tick(|_| json!({"entries": [{"patient": "123"}]}));
    assert_eq!(send(&mut gateway).0, "token_revoked");
    gateway.wait(Duration::from_secs(6));
    gateway.tick(|_| json!({"entries": []}));
    assert_eq!(send(&mut gateway).0, "allowed");
    gateway.wait(Duration::from_secs(121));
    assert_eq!(send(&mut gateway).0, "revocation_stale");
}

#[test]
fn a_search_form_is_held_until_its_criteria_are_judged() {
    let mut gateway = gateway();
    let bearer = gateway.bearer(patient("patient/Observation.s"));
    let headers = [("authorization", bearer.as_str()), FORM];
    let target = "/fhir/Observation/_search";
    let sent = gateway.send("POST", target, &headers, b"code=8867-4");
    assert_eq!(sent.body, b"code=8867-4&patient=Patient%2F123");
    assert_eq!(sent.header("content-length"), Some("33"));
    let cases: [(&[u8], &str); 4] = [
        (b"patient=456", "search_other_patient"),
        (b"access_token=x", "token_in_form"),
        (b"code=%zz", "parameter_escape"),
        (&[b'a'; MAX_FORM + 1], "form_too_long"),
    ];
    for (form, reason) in cases {
        let sent = gateway.send("POST", target, &headers, form);
        assert_eq!((sent.reason(), sent.forwarded), (reason, false));
    }
}

#[test]
fn a_form_of_an_unknown_caller_is_not_even_held() {
    let mut gateway = gateway();
    let mut exchange = Exchange::default();
    let fields = [
        (":method", "POST"),
        (":path", "/fhir/Observation/_search"),
        (":authority", "api.clinic.example"),
        FORM,
    ];
    let fields = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
    let head = Event::RequestHead { headers: Headers::new(fields), end_of_stream: false };
    let step = exchange.on(head, &mut gateway.worker, &gateway.caps);
    assert_eq!(exchange.wants_body(), None);
    assert!(matches!(step.effects.last(), Some(Effect::Reply(reply)) if reply.status == 401));
}

#[test]
fn the_record_names_the_holder_of_a_token_once_its_signature_is_proven() {
    let mut gateway = gateway();
    let expired = json!({"iat": 1_789_990_000, "exp": 1_789_993_600});
    let sent = gateway.get("/fhir/Patient/123", expired);
    assert_eq!((sent.reason(), &sent.audit["who"]["sub"]), ("token_expired", &json!("nurse-17")));
    let bearer = gateway.bearer(patient("patient/*.rs"));
    let forged = bearer.rsplit_once('.').map(|(text, _)| format!("{text}.{}", "A".repeat(86)));
    let headers = [("authorization", forged.as_deref().unwrap())];
    let sent = gateway.send("GET", "/fhir/Patient/123", &headers, b"");
    assert_eq!((sent.reason(), &sent.audit["who"]), ("token_signature_invalid", &Value::Null));
}

/// Every event in every state: nothing but a decided request ever goes on.
#[test]
fn events_out_of_order_are_refused() {
    let body = || Event::RequestBody { body: b"patient=123".to_vec() };
    let part = || Event::RequestBodyPart { held: 1 };
    let head = || Event::RequestHead { headers: Headers::default(), end_of_stream: false };
    let scripts: [Vec<Event>; 6] = [
        vec![body()],
        vec![part()],
        vec![head(), head()],
        vec![head(), body()],
        vec![head(), part(), body()],
        vec![body(), head()],
    ];
    for script in scripts {
        let told = format!("{script:?}");
        let mut gateway = gateway();
        let mut exchange = Exchange::default();
        for event in script {
            let step = exchange.on(event, &mut gateway.worker, &gateway.caps);
            assert_eq!(step.next, Next::Pause, "{told}");
        }
        let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
        assert!(!line.contains("\"decision\":\"allow\""), "{told}: {line}");
    }
}

/// In `observe` a request goes on whatever the host tells, but not with what a client may not say.
#[test]
fn a_client_never_names_its_user_whatever_the_order_of_events() {
    let fhir = json!({"base_path": "/fhir", "cluster": "fhir"});
    let mut gateway = Gateway::new(&document(json!({"mode": "observe", "fhir": fhir})));
    let bearer = gateway.bearer(patient("patient/*.cruds"));
    let head = |method: &str| {
        let fields = [
            (":method", method),
            (":path", "/fhir/Observation/1"),
            (":authority", "api.clinic.example"),
            ("authorization", bearer.as_str()),
            ("x-phiward-user", "me"),
        ];
        Event::RequestHead { headers: super::testing::fields(&fields), end_of_stream: true }
    };
    let scripts = [vec![head("DELETE"), Event::News], vec![Event::News, head("GET")]];
    for script in scripts {
        let told = format!("{script:?}");
        let mut exchange = Exchange::default();
        let events = script.into_iter();
        let steps = events.map(|event| exchange.on(event, &mut gateway.worker, &gateway.caps));
        let step = steps.last().unwrap();
        assert_eq!(step.next, Next::Continue, "{told}");
        let removes = |effect: &Effect| {
            let name = "x-phiward-user".to_owned();
            matches!(effect, Effect::Edit(edit) if *edit == crate::forward::Edit::Remove(name))
        };
        assert!(step.effects.iter().any(removes), "{told}: {step:?}");
    }
}

#[test]
fn an_exchange_that_never_came_here_is_recorded_as_such() {
    let mut gateway = gateway();
    let mut exchange = Exchange::default();
    let line = exchange.end(End::default(), &mut gateway.worker, &Native::default()).log.concat();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["reason"], "request_never_seen");
}

#[test]
fn public_documents_and_passthrough_paths_need_no_token() {
    for target in ["/fhir/metadata", "/fhir/.well-known/smart-configuration", "/healthz"] {
        let sent = gateway().send("GET", target, &[("x-phiward-user", "me")], b"");
        assert_eq!((sent.reason(), sent.forwarded), ("allowed", true), "{target}");
        assert_eq!(sent.header("x-phiward-user"), None, "{target}");
    }
}

#[test]
fn observe_mode_writes_down_what_it_would_do_and_changes_nothing() {
    let mut gateway = Gateway::new(&document(json!({"mode": "observe"})));
    let bearer = gateway.bearer(patient("patient/Observation.s"));
    let headers = [("authorization", bearer.as_str()), ("x-phiward-user", "me")];
    let cases = [
        ("/fhir/Observation", "allowed", json!("allow")),
        ("/fhir/Patient/456", "scope_insufficient", json!("deny")),
        ("/fhir//", "target_empty_segment", json!("deny")),
    ];
    for (target, reason, would) in cases {
        let sent = gateway.send("GET", target, &headers, b"");
        assert!(sent.forwarded, "{target}");
        assert_eq!(sent.reason(), reason, "{target}");
        assert_eq!(sent.audit["would"], would, "{target}: {}", sent.audit);
        assert_eq!(sent.header(":path"), Some(target));
        assert_eq!(sent.header("authorization"), Some(bearer.as_str()));
        assert_eq!(sent.header("x-phiward-user"), None);
    }
}

#[test]
fn a_form_that_never_came_was_not_let_through_in_observe_mode_either() {
    let mut gateway = Gateway::new(&document(json!({"mode": "observe"})));
    let bearer = gateway.bearer(patient("patient/Observation.s"));
    let mut exchange = Exchange::default();
    let fields = [
        (":method", "POST"),
        (":path", "/fhir/Observation/_search"),
        (":authority", "api.clinic.example"),
        ("authorization", bearer.as_str()),
        FORM,
    ];
    let fields = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
    let head = Event::RequestHead { headers: Headers::new(fields), end_of_stream: false };
    assert_eq!(exchange.on(head, &mut gateway.worker, &gateway.caps).next, Next::Pause);
    let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["decision"], "error");
    assert_eq!(record["reason"], "request_not_decided");
    assert_eq!(record["observe"], Value::Null);
}

#[test]
fn neither_answer_nor_record_holds_the_token() {
    for target in ["/fhir/Patient/123", "/fhir/Patient/456", "/fhir//"] {
        let mut gateway = gateway();
        let bearer = gateway.bearer(patient("patient/*.rs"));
        let token = bearer.trim_start_matches("Bearer ").to_owned();
        let sent = gateway.send("GET", target, &[("authorization", &bearer)], b"");
        assert!(!sent.audit.to_string().contains(&token));
        assert!(!format!("{:?}", sent.reply).contains(&token));
    }
}

/// A client may take as long as it likes to send its form: what was true at the head may be over.
#[test]
fn a_token_that_expires_or_is_revoked_while_its_form_comes_in_is_refused() {
    let list = json!({
        "cluster": "revocations", "url": "http://revocations.internal/v1/list", "every": "5s",
    });
    let cases = [(600, json!([]), "token_expired"), (6, json!([{"jti": "t-1"}]), "token_revoked")];
    for (waited, entries, reason) in cases {
        let mut gateway = Gateway::new(&document(json!({"revocation": list})));
        let bearer = gateway.bearer(patient("patient/Observation.s"));
        let fields = [
            (":method", "POST"),
            (":path", "/fhir/Observation/_search"),
            (":authority", "api.clinic.example"),
            ("authorization", bearer.as_str()),
            FORM,
        ];
        let fields = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
        let head = Event::RequestHead { headers: Headers::new(fields), end_of_stream: false };
        let mut exchange = Exchange::default();
        exchange.on(head, &mut gateway.worker, &gateway.caps);
        assert!(exchange.wants_body().is_some());
        gateway.wait(Duration::from_secs(waited));
        gateway.tick(|_| json!({"entries": entries}));
        let form = Event::RequestBody { body: b"code=x".to_vec() };
        let step = exchange.on(form, &mut gateway.worker, &gateway.caps);
        assert_eq!(step.next, Next::Pause, "{reason}");
        let line = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log.concat();
        assert!(line.contains(reason), "{line}");
    }
}

/// What looks like a body to Envoy may be the next request to a server that expects none.
#[test]
fn a_body_where_none_belongs_is_refused_with_and_without_a_token() {
    let smuggled = b"GET /fhir/Patient/456 HTTP/1.1\r\nhost: a\r\n\r\n";
    let cases = [
        ("GET", "/fhir/Patient/123"),
        ("HEAD", "/fhir/Patient/123"),
        ("DELETE", "/fhir/Observation/1"),
        ("GET", "/fhir/Observation"),
        ("GET", "/fhir/metadata"),
        ("GET", "/healthz"),
    ];
    let mut gateway = gateway();
    let bearer = gateway.bearer(json!({"scope": "user/*.cruds", "fhirUser": "Practitioner/7"}));
    for (method, target) in cases {
        let headers = [("authorization", bearer.as_str())];
        assert!(gateway.send(method, target, &headers, b"").forwarded, "{method} {target}");
        let sent = gateway.send(method, target, &headers, smuggled);
        assert_eq!(sent.reason(), "body_unexpected", "{method} {target}");
    }
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    assert!(gateway.send("OPTIONS", "/fhir/Patient/123", &preflight, b"").forwarded);
    let sent = gateway.send("OPTIONS", "/fhir/Patient/123", &preflight, smuggled);
    assert_eq!(sent.reason(), "body_unexpected");
}
