mod batches;

use proptest::prelude::*;

use super::*;
use crate::config::section::read_document;
use crate::fhir::{Api, Release, Routed, route};
use crate::limits::AdmittedToken;
use crate::policy::{Decision, Evidence, Grants, Smart, Stored, decide};
use crate::request::{Headers, Query, read};

fn head_with(method: &str, path: &str, more: &[(&[u8], &[u8])]) -> Head {
    let mut fields = vec![
        (b":method".to_vec(), method.as_bytes().to_vec()),
        (b":authority".to_vec(), b"api.example".to_vec()),
        (b":path".to_vec(), path.as_bytes().to_vec()),
    ];
    fields.extend(more.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
    read(Headers::new(fields)).unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
}

fn claims() -> Claims {
    Claims {
        subject: Some("u-1".to_owned()),
        client: Some("app".to_owned()),
        patient: Some("P".to_owned()),
        scope: "openid  patient/*.rs".to_owned(),
        ..Claims::default()
    }
}

/// What is forwarded of a request that these claims permit; `form` for a `POST _search`.
fn forwarded(head: &Head, form: Option<&[u8]>, claims: &Claims, settings: &Settings) -> Forward {
    let api = Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: Vec::new(),
        cluster: None,
        public: vec!["metadata".to_owned()],
        passthrough: Vec::new(),
    };
    let Ok(Routed::Fhir(request)) = route(head, &api) else { panic!("not routed") };
    let request = request.with_form(form.unwrap_or_default()).unwrap();
    let grants = std::rc::Rc::new(Grants::of(claims, &api, &Smart::default()));
    let token = AdmittedToken::for_tests(claims.clone());
    let nothing = Stored::default();
    let evidence = Evidence::new(form, &nothing);
    let decision = decide(&token, &grants, &request, head, evidence, &api, &Smart::default())
        .unwrap_or_else(|refusal| panic!("{}: {}", head.raw_target(), refusal.reason.code));
    let Decision::Permit(permit) = decision else { panic!("{decision:?}") };
    let body = form.map(|form| (request.body, form));
    forward(&permit, head, body, Some(claims), settings).unwrap()
}

fn removed(name: &str) -> Edit {
    Edit::Remove(name.to_owned())
}

fn set(name: &str, value: &str) -> Edit {
    Edit::Set(name.to_owned(), value.to_owned())
}

fn value<'a>(edits: &'a [Edit], name: &str) -> Option<&'a str> {
    edits.iter().rev().find_map(|edit| match edit {
        Edit::Set(field, value) if field == name => Some(value.as_str()),
        _ => None,
    })
}

#[test]
fn inbound_identity_headers_and_overrides_are_removed_however_written() {
    let fields: &[(&[u8], &[u8])] = &[
        (b"x-phiward-subject", b"admin"),
        (b"x-phiward-subject", b"root"),
        (b"x-phiward-", b"x"),
        (b"x-phiward-anything-else", b"\xff"),
        (b"x_phiward_patient", b"other"),
        (b"X-Phiward-Scopes", b"system/*.cruds"),
        (b"x-http-method-override", b"DELETE"),
        (b"x-http-method", b"DELETE"),
        (b"x-method-override", b"DELETE"),
        (b"x_http_method_override", b"DELETE"),
        (b"x-original-url", b"/fhir/Patient/other"),
        (b"x-rewrite-url", b"/fhir/Patient/other"),
        // read as `if-none-exist` by some servers, and so judged by nobody
        (b"if_none_exist", b"identifier=x"),
        (b"x-phiwar", b"kept"),
        (b"x-phiward", b"kept"),
        (b"accept-encoding", b"gzip"),
        (b"authorization", b"Bearer x"),
        // the server would give out URLs of `/fhir/Observation`
        (b"x-forwarded-prefix", b"/fhir/Observation?x="),
        (b"forwarded", b"host=\"api.example/fhir/Observation?x=\""),
        (b"x-forwarded-host", b"api.example"),
        (b"x-forwarded-for", b"?"),
    ];
    let expected = [
        "x-phiward-subject",
        "x-phiward-",
        "x-phiward-anything-else",
        "x_phiward_patient",
        "X-Phiward-Scopes",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x_http_method_override",
        "x-original-url",
        "x-rewrite-url",
        "if_none_exist",
        "x-forwarded-prefix",
        "forwarded",
    ];
    let head = head_with("GET", "/healthz", fields);
    assert_eq!(sanitize(head.headers()), expected.map(removed));
    assert_eq!(sanitize(head_with("GET", "/healthz", &[]).headers()), []);
}

#[test]
fn the_token_is_stripped_unless_kept() {
    let head = head_with("HEAD", "/fhir/Patient/P", &[TOKEN]);
    let strip = forwarded(&head, None, &claims(), &Settings::default());
    assert_eq!(strip, Forward { edits: vec![removed("authorization")], body: None });
    let keep = Settings { token: TokenHandling::Keep, ..Settings::default() };
    let kept = forwarded(&head, None, &claims(), &keep);
    assert_eq!(kept, Forward { edits: Vec::new(), body: None });
}

#[test]
fn a_public_document_goes_on_without_identity() {
    let head = head_with("GET", "/fhir/metadata", &[TOKEN, (b"x-phiward-user", b"forged")]);
    let permit = crate::policy::public(&crate::fhir::Interaction::Capabilities).unwrap();
    let settings = Settings { headers: ALL.to_vec(), ..Settings::default() };
    let forward = forward(&permit, &head, None, None, &settings).unwrap();
    assert_eq!(forward.edits, [removed("x-phiward-user"), removed("authorization")]);
}

#[test]
fn what_is_not_there_is_not_removed_but_what_an_edit_set_is() {
    let headers = head_with("GET", "/fhir/Patient/P", &[TOKEN, (b"range", b"x")]).headers().clone();
    let rows = [
        (vec![removed("range"), removed("if-range"), set("accept", "x")], vec![0, 2]),
        (vec![set("if-range", "x"), removed("if-range")], vec![0, 1]),
        (vec![removed("if-range"), set("if-range", "x"), removed("range")], vec![1, 2]),
        (vec![removed("range"), set("range", "x")], vec![0, 1]),
    ];
    for (edits, kept) in rows {
        let expected: Vec<Edit> =
            kept.into_iter().map(|index: usize| edits[index].clone()).collect();
        assert_eq!(needed(edits.clone(), &headers), expected, "{edits:?}");
    }
}

const TOKEN: (&[u8], &[u8]) = (b"authorization", b"Bearer x");

const ALL: [IdentityHeader; 5] = [
    IdentityHeader::Subject,
    IdentityHeader::Client,
    IdentityHeader::User,
    IdentityHeader::Patient,
    IdentityHeader::Scopes,
];

#[test]
fn only_the_configured_identity_headers_are_set_and_after_the_inbound_ones_are_removed() {
    let head = head_with("HEAD", "/fhir/Patient/P", &[TOKEN, (b"x-phiward-subject", b"admin")]);
    let settings = Settings { headers: ALL.to_vec(), ..Settings::default() };
    let forward = forwarded(&head, None, &claims(), &settings);
    assert_eq!(
        forward.edits,
        [
            removed("x-phiward-subject"),
            removed("authorization"),
            set("x-phiward-subject", "u-1"),
            set("x-phiward-client", "app"),
            // no fhirUser in the token: no header
            set("x-phiward-patient", "P"),
            set("x-phiward-scopes", "openid patient/*.rs"),
        ]
    );
    let none = forwarded(&head, None, &claims(), &Settings::default());
    assert_eq!(none.edits, [removed("x-phiward-subject"), removed("authorization")]);
}

#[test]
fn the_patient_header_names_whom_the_request_is_confined_to() {
    let head = head_with("GET", "/fhir/Patient/A", &[]);
    let claims =
        Claims { user: Some("Patient/A".to_owned()), scope: "user/*.rs".to_owned(), ..claims() };
    let settings = Settings { headers: vec![IdentityHeader::Patient], ..Settings::default() };
    let forward = forwarded(&head, None, &claims, &settings);
    assert_eq!(value(&forward.edits, "x-phiward-patient"), Some("A"));
}

#[test]
fn values_from_outside_can_not_leave_their_header() {
    let rows = [
        ("plain", "plain"),
        ("a b", "a%20b"),
        ("a\r\nx-admin: 1", "a%0D%0Ax-admin:%201"),
        ("a\0b\u{7f}", "a%00b%7F"),
        ("100%", "100%25"),
        ("a%20b", "a%2520b"),
        ("é", "%C3%A9"),
        ("https://x.example/Practitioner/1", "https://x.example/Practitioner/1"),
    ];
    let head = head_with("GET", "/fhir/Patient/P", &[]);
    let settings = Settings { headers: vec![IdentityHeader::Subject], ..Settings::default() };
    for (subject, expected) in rows {
        let claims = Claims { subject: Some(subject.to_owned()), ..claims() };
        let forward = forwarded(&head, None, &claims, &settings);
        assert_eq!(value(&forward.edits, "x-phiward-subject"), Some(expected), "{subject:?}");
    }
}

#[test]
fn a_search_gets_its_criterion_behind_what_the_client_sent() {
    let rows = [
        ("/fhir/Observation", "/fhir/Observation?patient=Patient%2FP"),
        ("/fhir/Observation?", "/fhir/Observation?patient=Patient%2FP"),
        ("/fhir/Observation?code=x", "/fhir/Observation?code=x&patient=Patient%2FP"),
        ("/fhir/Observation?code=x&", "/fhir/Observation?code=x&patient=Patient%2FP"),
        ("/fhir/Observation?&&", "/fhir/Observation?&&patient=Patient%2FP"),
        ("/fhir/Observation?patient=P", "/fhir/Observation?patient=P&patient=Patient%2FP"),
        // what the client sent is not encoded anew
        (
            "/fhir/Observation?code=a%7cb+c%2F?|'",
            "/fhir/Observation?code=a%7cb+c%2F?|'&patient=Patient%2FP",
        ),
        ("/fhir/Patient?name=x", "/fhir/Patient?name=x&_id=P"),
        ("/fhir/Patient/P/Observation", "/fhir/Patient/P/Observation?patient=Patient%2FP"),
        ("/fhir/QuestionnaireResponse", "/fhir/QuestionnaireResponse?patient=Patient%2FP"),
    ];
    for (target, expected) in rows {
        let forward =
            forwarded(&head_with("GET", target, &[]), None, &claims(), &Settings::default());
        assert_eq!(value(&forward.edits, ":path"), Some(expected), "{target}");
        assert_eq!(value(&forward.edits, "prefer"), Some("handling=strict"), "{target}");
        assert_eq!(forward.body, None, "{target}");
    }
}

#[test]
fn a_search_that_is_not_narrowed_keeps_its_target_and_preferences() {
    let claims = Claims {
        user: Some("Practitioner/7".to_owned()),
        scope: "user/*.rs".to_owned(),
        ..claims()
    };
    let head =
        head_with("GET", "/fhir/Observation?code=x", &[TOKEN, (b"prefer", b"handling=lenient")]);
    let forward = forwarded(&head, None, &claims, &Settings::default());
    assert_eq!(forward.edits, [removed("authorization")]);
}

#[test]
fn inbound_preferences_give_way_to_strict_handling() {
    let prefer: &[(&[u8], &[u8])] =
        &[(b"prefer", b"respond-async, handling=lenient"), (b"prefer", b"return=minimal")];
    let head = head_with("GET", "/fhir/Observation", prefer);
    let forward = forwarded(&head, None, &claims(), &Settings::default());
    assert_eq!(
        forward
            .edits
            .iter()
            .filter(|edit| **edit == set("prefer", "handling=strict, return=minimal"))
            .count(),
        1
    );
}

#[test]
fn a_form_gets_its_criterion_behind_what_the_client_sent() {
    let rows: [(&[u8], &[u8]); 4] = [
        (b"code=x", b"code=x&patient=Patient%2FP"),
        (b"code=x&", b"code=x&patient=Patient%2FP"),
        (b"&", b"&patient=Patient%2FP"),
        (b"code=a%7cb+c", b"code=a%7cb+c&patient=Patient%2FP"),
    ];
    for (form, expected) in rows {
        let typed: &[(&[u8], &[u8])] = &[
            (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
            (b"transfer-encoding", b"chunked"),
        ];
        let head = head_with("POST", "/fhir/Observation/_search?date=2026", typed);
        let forward = forwarded(&head, Some(form), &claims(), &Settings::default());
        assert_eq!(forward.body.as_deref(), Some(expected));
        let length = expected.len().to_string();
        assert_eq!(value(&forward.edits, "content-length"), Some(length.as_str()));
        // a server that does not take the body for a form finds the criterion in the query
        let target = "/fhir/Observation/_search?date=2026&patient=Patient%2FP";
        assert_eq!(value(&forward.edits, ":path"), Some(target));
        assert!(forward.edits.contains(&removed("transfer-encoding")));
    }
}

#[test]
fn a_post_search_without_a_form_is_narrowed_in_its_query() {
    let head = head_with("POST", "/fhir/Observation/_search?code=x", &[]);
    for form in [None, Some(b"".as_slice())] {
        let forward = forwarded(&head, form, &claims(), &Settings::default());
        let target = "/fhir/Observation/_search?code=x&patient=Patient%2FP";
        assert_eq!(value(&forward.edits, ":path"), Some(target));
        assert_eq!(value(&forward.edits, "content-length"), None);
        assert_eq!(forward.body, None);
    }
}

#[test]
fn settings_have_the_documented_defaults_and_name_what_is_wrong() {
    let (settings, errors) = read_document(&serde_json::json!({}), Settings::read);
    assert_eq!((settings, errors), (Settings::default(), Vec::new()));
    let document = serde_json::json!({
        "token": "keep",
        "headers": ["subject", "client", "user", "patient", "scopes"],
    });
    let (settings, errors) = read_document(&document, Settings::read);
    assert_eq!(errors, Vec::new());
    assert_eq!(settings, Settings { token: TokenHandling::Keep, headers: ALL.to_vec() });
    for wrong in [
        serde_json::json!({"token": "hide"}),
        serde_json::json!({"headers": ["sub"]}),
        serde_json::json!({"headers": "subject"}),
        serde_json::json!({"header": []}),
    ] {
        let (_, errors) = read_document(&wrong, Settings::read);
        assert_eq!(errors.len(), 1, "{wrong}: {errors:?}");
    }
}

/// A piece of a query as a client may write it, with nothing that names a patient.
fn piece() -> impl Strategy<Value = String> {
    "(|code|date|x-y|_count|value-quantity:missing)(=([a-zA-Z0-9+.,|/?'*-]|%20|%26|%3D|%3d|%25){0,6})?"
}

proptest! {
    #[test]
    fn narrowing_never_widens(pieces in proptest::collection::vec(piece(), 0..6)) {
        let raw = pieces.iter().filter(|p| !p.starts_with('=')).cloned().collect::<Vec<_>>().join("&");
        let before = Query::parse(&raw).unwrap();

        let head = head_with("GET", &format!("/fhir/Observation?{raw}"), &[]);
        let forward = forwarded(&head, None, &claims(), &Settings::default());
        let target = value(&forward.edits, ":path").unwrap().to_owned();
        prop_assert!(target.starts_with(head.raw_target()), "{target}");
        let after = read(Headers::new(vec![
            (b":method".to_vec(), b"GET".to_vec()),
            (b":authority".to_vec(), b"api.example".to_vec()),
            (b":path".to_vec(), target.into_bytes()),
        ])).unwrap();
        let (added, kept) = after.query().params().split_last().unwrap();
        prop_assert_eq!((added.name.as_str(), added.value.as_str()), ("patient", "Patient/P"));
        prop_assert_eq!(kept, before.params());

        let typed: &[(&[u8], &[u8])] = &[(b"content-type", b"application/x-www-form-urlencoded")];
        let head = head_with("POST", "/fhir/Observation/_search", typed);
        prop_assume!(!raw.is_empty());
        let forward = forwarded(&head, Some(raw.as_bytes()), &claims(), &Settings::default());
        let body = String::from_utf8(forward.body.unwrap()).unwrap();
        prop_assert!(body.starts_with(&raw));
        let after = Query::parse(&body).unwrap();
        let (added, kept) = after.params().split_last().unwrap();
        prop_assert_eq!((added.name.as_str(), added.value.as_str()), ("patient", "Patient/P"));
        prop_assert_eq!(kept, before.params());
    }

    #[test]
    fn identity_headers_are_visible_ascii_whatever_the_token_says(
        subject in any::<String>(),
        scope in any::<String>(),
    ) {
        let settings = Settings { headers: ALL.to_vec(), ..Settings::default() };
        let scope = format!("patient/Patient.r {scope}");
        let claims = Claims { subject: Some(subject), scope, ..claims() };
        let forward = forwarded(&head_with("GET", "/fhir/Patient/P", &[]), None, &claims, &settings);
        for edit in &forward.edits {
            if let Edit::Set(name, value) = edit {
                let space = name == "x-phiward-scopes";
                let visible = |b: u8| b.is_ascii_graphic() || (space && b == b' ');
                prop_assert!(value.bytes().all(visible), "{name}: {value:?}");
            }
        }
    }
}
