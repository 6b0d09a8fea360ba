//! Links of exports: signed, followed by the client they were given to, and by nobody else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::capabilities::{
    Capabilities, HostFailed, HostSignature, HostVerdict, Native, Shared, Written,
};
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::fhir::{Api, Release, ResourceType};
use crate::forward::Edit;
use crate::policy::Exported;
use crate::request::{Head, Headers, MAX_TARGET, read};
use crate::token::Claims;

/// Names and values of header fields.
type Fields<'a> = &'a [(&'a str, &'a str)];

const RELEASE: Release = Release::R4;

fn api() -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release: RELEASE,
        base_urls: vec!["https://fhir.clinic.example/fhir".to_owned()],
        cluster: None,
        public: Vec::new(),
        passthrough: Vec::new(),
    }
}

fn head(method: &str, target: &str) -> Head {
    let fields = [(":method", method), (":authority", "api.example"), (":path", target)];
    let bytes = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    read(Headers::new(fields.map(bytes).to_vec())).unwrap()
}

fn key() -> Key {
    Keyring::default().key(&Native::default()).unwrap()
}

fn links_of(key: Key, issuer: &str, client: &str) -> Links {
    let claims =
        Claims { issuer: issuer.to_owned(), client: Some(client.to_owned()), ..Claims::default() };
    Links::of(key, &claims, &head("GET", "/fhir/$export"), &api()).unwrap()
}

fn links() -> Links {
    links_of(key(), "https://auth.example", "backend")
}

fn typed(name: &str) -> Exported {
    Exported::Type(ResourceType::parse(RELEASE, name).unwrap())
}

/// The target of a signed URL.
fn target(url: &str) -> &str {
    if url.starts_with('/') {
        return url;
    }
    let (_, rest) = url.split_once("://").unwrap();
    rest.split_at(rest.find('/').unwrap()).1
}

fn follow(links: &Links, method: &str, target: &str) -> Result<Bound, &'static str> {
    let code = |refusal: Refusal| refusal.reason.code;
    let claimed = claimed(&head(method, target), RELEASE).map_err(code)?;
    links.open(claimed.expect("claims to be a link")).map_err(code)
}

#[test]
fn a_signed_link_leads_its_own_client_to_what_it_was_signed_for() {
    let urls = [
        ("https://api.example/fhir/bulk-status/7", "/fhir/bulk-status/7"),
        (
            "https://API.example/fhir/$export-poll-status?_jobId=7",
            "/fhir/$export-poll-status?_jobId=7",
        ),
        ("https://api.example:443/_operations/export/7", "/_operations/export/7"),
        ("http://api.example:80/x", "/x"),
        ("https://fhir.clinic.example/bulk/7?a=b&c", "/bulk/7?a=b&c"),
        ("/fhir/status?", "/fhir/status?"),
        ("/fhir/status?of=https://elsewhere/x", "/fhir/status?of=https://elsewhere/x"),
    ];
    for of in [Exported::Status, Exported::Outcomes, Exported::AllTypes, typed("Observation")] {
        for (url, original) in urls {
            let signed = links().sign(url, of).unwrap();
            assert!(signed.starts_with(url), "{signed}");
            let bound = follow(&links(), "GET", target(&signed)).expect(url);
            assert_eq!(bound.of(), of, "{url}");
            let path = Edit::Set(":path".to_owned(), original.to_owned());
            assert_eq!(bound.edits(true)[0], path, "{url}");
        }
    }
}

#[test]
fn urls_of_other_hosts_stay_and_what_nobody_can_follow_is_refused() {
    let stay = [
        "https://store.example/bucket/a.ndjson?X-Amz-Signature=x",
        "https://api.example.evil/fhir/x",
        "https://api.example@evil/fhir/x",
        "https://api.example:8443/fhir/x",
        "http://api.example:443/fhir/x",
        "s3://bucket/a.ndjson",
        "https://",
    ];
    for url in stay {
        assert_eq!(links().sign(url, Exported::AllTypes).as_deref(), Ok(url));
    }
    let long = format!("/{}", "x".repeat(MAX_TARGET - 20));
    let refused = [
        "",
        "bulk-status/7",
        "//api.example/x",
        "https://api.example",
        "https://api.example?x",
        "https://api.example/x#y",
        "/x y",
        "/\u{e9}",
        "/x\r\nset-cookie: a",
        "https://api.example//x",
        &long,
    ];
    for url in refused {
        assert_eq!(
            links().sign(url, Exported::Status),
            Err((&reasons::EXPORT_LOCATION).into()),
            "{url}"
        );
    }
}

#[test]
fn no_link_leads_around_the_scopes() {
    let (status, files) =
        (&[Exported::Status][..], &[Exported::AllTypes, typed("Observation")][..]);
    let both = [status, files].concat();
    let refused: &[(&str, &[Exported])] = &[
        ("/fhir/Observation", &both),
        ("/fhir/Observation?x=/fhir/bulk-status/7", &both),
        ("/fhir/Observation/1?x=/fhir/bulk-status/7", &both),
        ("/fhir/Observation/1/_history/2", &both),
        ("/fhir?x=/fhir/bulk-status/7", &both),
        ("/fhir/Binary/7", status),
        ("/fhir/Binary/7?x=/fhir/Binary/8", &both),
        ("/fhir/Binary/7/_history/1", &both),
        ("/fhir/$graphql?query=x&x=/fhir/bulk-status/7", &both),
        ("/fhir/Patient/1/$everything?x=/fhir/bulk-status/7", &both),
        ("/fhir/Patient/1/$export-poll-status", &both),
        ("/fhir/%2e%2e/x", &both),
        ("/fhir/bulk-status/7;x=y", &both),
    ];
    for (url, kinds) in refused {
        for of in *kinds {
            let signed = links().sign(url, *of);
            assert_eq!(signed, Err((&reasons::EXPORT_LOCATION).into()), "{url} {of:?}");
        }
    }
    for url in ["/fhir/Binary/7", "/fhir/$exportfilerequest?file=7", "/fhir/$bulkdata-file"] {
        assert!(links().sign(url, typed("Observation")).is_ok(), "{url}");
    }
}

#[test]
fn a_link_is_nobody_elses_and_for_nothing_else() {
    let url = "https://api.example/fhir/bulk-files/7/a.ndjson";
    let signed = links().sign(url, typed("Observation")).unwrap();
    let own = target(&signed);
    assert!(follow(&links(), "GET", own).is_ok());
    let other_key = {
        let caps = Native::default();
        caps.random();
        Keyring::default().key(&caps).unwrap()
    };
    let others = [
        links_of(key(), "https://auth.example", "backend2"),
        links_of(key(), "https://auth.example", "Backend"),
        links_of(key(), "https://auth.example", "backen"),
        links_of(key(), "https://auth2.example", "backend"),
        links_of(key(), "https://auth.exampl", "ebackend"),
        links_of(other_key, "https://auth.example", "backend"),
    ];
    for other in others {
        assert_eq!(follow(&other, "GET", own).unwrap_err(), "export_not_bound", "{other:?}");
    }
    let signature = own.split_once('?').unwrap().1;
    let code = signature.split_once('.').unwrap().1;
    let forged = [
        format!("/fhir/bulk-files/7/b.ndjson?{signature}"),
        format!("/fhir/bulk-files/7/a.ndjson/?{signature}"),
        format!("/fhir/bulk-files/7/a.ndjson?x=y&{signature}"),
        format!("/fhir/bulk-files/7/a.ndjson?&{signature}"),
        format!("{own}&x=y"),
        format!("{own}&"),
        format!("{own}&{signature}"),
        format!("{own}="),
        format!("{own}A"),
        format!("/fhir/bulk-files/7/a.ndjson?_phiward=Patient.{code}"),
        format!("/fhir/bulk-files/7/a.ndjson?_phiward=status.{code}"),
        format!("/fhir/bulk-files/7/a.ndjson?_phiward=all.{code}"),
        format!("/fhir/bulk-files/7/a.ndjson?_phiward=Nonsense.{code}"),
        format!("/fhir/bulk-files/7/a.ndjson?_phiward={code}"),
        format!("/fhir/bulk-files/7/a.ndjson?_PHIWARD=Observation.{code}"),
        format!("/fhir/bulk-files/7/a.ndjson?%5fphiward=Observation.{code}"),
        "/fhir/bulk-files/7/a.ndjson?_phiward=Observation.".to_owned(),
        "/fhir/bulk-files/7/a.ndjson?_phiward".to_owned(),
        "/fhir/Patient?_phiward=&name=x".to_owned(),
    ];
    for target in forged {
        assert_eq!(follow(&links(), "GET", &target).unwrap_err(), "export_not_bound", "{target}");
    }
}

#[test]
fn what_says_nothing_of_a_link_is_none() {
    for target in ["/fhir/Patient", "/fhir/Patient?name=_phiward", "/fhir/x&_phiward=status.a"] {
        assert!(claimed(&head("GET", target), RELEASE).unwrap().is_none(), "{target}");
    }
}

#[test]
fn a_status_is_read_and_cancelled_and_a_file_is_read() {
    let url = "https://api.example/x";
    let status = links().sign(url, Exported::Status).unwrap();
    let file = links().sign(url, typed("Patient")).unwrap();
    let outcome = |method, url| match follow(&links(), method, target(url)) {
        Ok(bound) => format!("{:?}", bound.answering()),
        Err(code) => code.to_owned(),
    };
    let rows = [
        ("GET", "Some(Status)", "None"),
        ("DELETE", "None", "export_method"),
        ("HEAD", "export_method", "None"),
        ("POST", "export_method", "export_method"),
        ("PUT", "export_method", "export_method"),
        ("PATCH", "export_method", "export_method"),
        ("OPTIONS", "export_method", "export_method"),
    ];
    for (method, of_status, of_file) in rows {
        assert_eq!(outcome(method, &status), of_status, "{method}");
        assert_eq!(outcome(method, &file), of_file, "{method}");
    }
    let edits = follow(&links(), "GET", target(&status)).unwrap().edits(false);
    assert!(edits.contains(&Edit::Remove("range".to_owned())), "{edits:?}");
    assert!(edits.contains(&Edit::Remove("accept-encoding".to_owned())), "{edits:?}");
    assert_eq!(follow(&links(), "GET", target(&file)).unwrap().edits(false).len(), 1);
}

#[test]
fn a_token_without_a_client_starts_no_export() {
    for client in [None, Some(String::new())] {
        let claims = Claims { client, ..Claims::default() };
        let links = Links::of(key(), &claims, &head("GET", "/fhir/$export"), &api());
        assert_eq!(links.unwrap_err(), Refusal::new(&reasons::EXPORT_CLIENT_MISSING));
    }
}

#[test]
fn answers_are_judged_by_what_they_answer() {
    let located = [("content-location", "https://api.example/fhir/bulk-status/7")];
    let foreign = [("content-location", "https://store.example/x")];
    let twice = [located[0], located[0]];
    let relative = [("content-location", "bulk-status/7")];
    let signed = links().sign(located[0].1, Exported::Status).unwrap();
    let shown = |answering, status, fields: Fields<'_>| {
        let bytes =
            |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let headers = Headers::new(fields.iter().map(bytes).collect());
        match links().head(answering, status, &headers) {
            Course::Pass => "pass".to_owned(),
            Course::Hold => "hold".to_owned(),
            Course::Locate(url) => url,
            Course::Refuse(refusal) => refusal.reason.code.to_owned(),
        }
    };
    let rows: &[(Answering, u16, Fields<'_>, &str)] = &[
        (Answering::Kickoff, 202, &located, &signed),
        (Answering::Kickoff, 202, &foreign, foreign[0].1),
        (Answering::Kickoff, 202, &[], "export_kickoff"),
        (Answering::Kickoff, 202, &twice, "export_location"),
        (Answering::Kickoff, 202, &relative, "export_location"),
        (Answering::Kickoff, 200, &located, "export_kickoff"),
        (Answering::Kickoff, 303, &located, "export_kickoff"),
        (Answering::Kickoff, 400, &[], "pass"),
        (Answering::Kickoff, 500, &[], "pass"),
        (Answering::Status, 202, &[], "pass"),
        (Answering::Status, 202, &located, &signed),
        (Answering::Status, 200, &[], "hold"),
        (Answering::Status, 404, &[], "pass"),
        (Answering::Status, 429, &[], "pass"),
        (Answering::Status, 303, &located, "export_status"),
        (Answering::Status, 204, &[], "export_status"),
        (Answering::Status, 206, &[], "export_status"),
    ];
    for (answering, status, fields, expected) in rows {
        assert_eq!(
            shown(*answering, *status, fields),
            *expected,
            "{answering:?} {status} {fields:?}"
        );
    }
}

fn manifest(document: &Value) -> Result<Value, &'static str> {
    let covered = [typed("Patient"), typed("Observation"), Exported::Outcomes, Exported::Status];
    let judged = links().manifest(document.to_string().as_bytes(), &|of| covered.contains(&of));
    judged.map(|body| serde_json::from_slice(&body).unwrap()).map_err(|refusal| refusal.reason.code)
}

#[test]
fn a_manifest_goes_on_with_its_links_signed() {
    let ours = "https://api.example/fhir/bulk-files/7/a.ndjson";
    let stored = "https://store.example/b.ndjson?X-Amz-Signature=x";
    let document = json!({
        "transactionTime": "2026-11-22T02:59:24.929Z",
        "request": "http://internal:8080/fhir/$export",
        "requiresAccessToken": false,
        "output": [{"type": "Observation", "url": ours, "count": 9}, {"type": "Patient", "url": stored}],
        "error": [{"type": "OperationOutcome", "url": ours}],
        "link": [{"relation": "next", "url": ours}],
        "extension": {"a": [1.5, null]},
    });
    let judged = manifest(&document).unwrap();
    let signed = |of| Value::from(links().sign(ours, of).unwrap());
    assert_eq!(
        judged["output"][0],
        json!({"type": "Observation", "url": signed(typed("Observation")), "count": 9})
    );
    assert_eq!(judged["output"][1]["url"], stored);
    assert_eq!(judged["error"][0]["url"], signed(Exported::Outcomes));
    assert_eq!(judged["link"][0]["url"], signed(Exported::Status));
    assert_eq!(judged["requiresAccessToken"], true, "the files stand behind this gateway");
    for same in ["transactionTime", "request", "extension"] {
        assert_eq!(judged[same], document[same]);
    }
    let elsewhere = json!({"transactionTime": "", "requiresAccessToken": false, "output": [{"type": "Patient", "url": stored}]});
    assert_eq!(manifest(&elsewhere), Ok(elsewhere.clone()), "nothing of ours: nothing to change");
    let empty = json!({"transactionTime": "2026-11-22T02:59:24.929Z"});
    assert_eq!(manifest(&empty), Ok(empty.clone()));
}

#[test]
fn a_manifest_with_more_than_the_token_covers_is_refused() {
    let file = |kind: Value| json!({"type": kind, "url": "https://api.example/a"});
    let uncovered = "export_output_uncovered";
    let unreadable = "export_manifest";
    let rows = [
        (json!({"output": [file("Condition".into())]}), uncovered),
        (json!({"output": [file("Patient".into()), file("Condition".into())]}), uncovered),
        (json!({"error": [file("Condition".into())]}), uncovered),
        (json!({"deleted": [file("Bundle".into())]}), uncovered),
        (json!({"output": [{"url": "https://api.example/a"}]}), uncovered),
        (json!({"output": [{"type": "Condition", "url": "https://store.example/a"}]}), uncovered),
        (json!({"output": [file("Nonsense".into())]}), unreadable),
        (json!({"output": [file(Value::Null)]}), unreadable),
        (json!({"output": [file(json!(["Patient"]))]}), unreadable),
        (json!({"output": [{"type": "Patient"}]}), unreadable),
        (json!({"output": [{"type": "Patient", "url": 7}]}), unreadable),
        (json!({"output": ["https://api.example/a"]}), unreadable),
        (json!({"output": {}}), unreadable),
        (json!({"output": null}), unreadable),
        (json!([]), unreadable),
        (json!({"output": [{"type": "Patient", "url": "a.ndjson"}]}), "export_location"),
    ];
    for (mut document, expected) in rows {
        if let Some(members) = document.as_object_mut() {
            members.insert("transactionTime".to_owned(), "2026-11-22T02:59:24.929Z".into());
        }
        assert_eq!(manifest(&document).unwrap_err(), expected, "{document}");
    }
    let resource =
        json!({"resourceType": "Patient", "transactionTime": "", "output": []}).to_string();
    for body in
        ["", "{", "{}", "{\"data\":{}}", &resource, "{\"output\":[],\"output\":[]}", "\u{feff}{}"]
    {
        let judged = links().manifest(body.as_bytes(), &|_| true);
        assert_eq!(judged, Err((&reasons::EXPORT_MANIFEST).into()), "{body}");
    }
}

#[test]
fn all_workers_of_one_envoy_sign_alike_and_another_envoy_does_not() {
    let caps = Native::default();
    let (mut one, mut other) = (Keyring::default(), Keyring::default());
    let code = |ring: &mut Keyring, caps| ring.key(caps).unwrap().code(&["x"]);
    assert_eq!(code(&mut one, &caps), code(&mut other, &caps));
    let restarted = Native::default();
    restarted.random();
    assert_ne!(code(&mut Keyring::default(), &restarted), code(&mut one, &caps));
    assert_eq!(code(&mut one, &restarted), code(&mut other, &caps), "a worker keeps its key");
    assert_eq!(format!("{:?}", one.key(&caps).unwrap()), "Key(…)");
}

/// A host with an environment, or one that fails.
struct Odd {
    native: Native,
    secret: Option<&'static str>,
    fails: bool,
}

impl Capabilities for Odd {
    fn now(&self) -> Instant {
        self.native.now()
    }
    fn random(&self) -> [u8; 16] {
        self.native.random()
    }
    fn environment(&self, name: &str) -> Option<String> {
        assert_eq!(name, KEY_VARIABLE);
        self.secret.map(str::to_owned)
    }
    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        if self.fails { Err(HostFailed) } else { self.native.shared(key) }
    }
    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.native.set_shared(key, value, stamp)
    }
    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

#[test]
fn a_fleet_shares_its_secret_and_a_weak_one_signs_nothing() {
    let odd = |secret, fails| Odd { native: Native::default(), secret, fails };
    let code = |host: &Odd| Keyring::default().key(host).map(|key| key.code(&["x"]));
    let secret = "0123456789abcdef0123456789abcdef";
    assert_eq!(code(&odd(Some(secret), true)), code(&odd(Some(secret), false)));
    assert_ne!(code(&odd(Some(secret), false)), code(&odd(None, false)));
    let missing = Err(Refusal::new(&reasons::EXPORT_KEY_MISSING));
    for (secret, fails) in [(secret.get(1..), false), (Some(""), false), (None, true)] {
        assert_eq!(code(&odd(secret, fails)), missing, "{secret:?}");
    }
    let taken = Native::default();
    assert_eq!(taken.set_shared("phiward/export/key", b"short", None), Ok(Written::Done));
    assert_eq!(Keyring::default().key(&taken).err(), missing.err(), "what is no key stays unused");
}

#[test]
fn the_key_that_came_first_stays() {
    // What another worker put there after this one looked.
    let caps = Native::default();
    let mut first = Keyring::default();
    let code = first.key(&caps).unwrap().code(&["x"]);
    assert_eq!(caps.set_shared("phiward/export/key", &[7; 32], Some(u32::MAX)), Ok(Written::Raced));
    assert_eq!(Keyring::default().key(&caps).unwrap().code(&["x"]), code);
}

#[test]
fn only_an_export_is_kicked_off() {
    use crate::fhir::Level;
    for (name, expected) in [("$export", true), ("$Export", false), ("$everything", false)] {
        let operation = Operation { name: name.to_owned(), level: Level::System };
        assert_eq!(is_kickoff(&Interaction::Operation(operation)), expected, "{name}");
    }
    assert!(!is_kickoff(&Interaction::Batch));
}

proptest! {
    #[test]
    fn no_two_lists_of_texts_have_the_same_code(
        one in proptest::collection::vec("[ab]{0,2}", 0..4),
        other in proptest::collection::vec("[ab]{0,2}", 0..4),
    ) {
        let code = |texts: &[String]| key().code(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(code(&one) == code(&other), one == other);
    }

    #[test]
    fn one_character_changed_anywhere_leads_nowhere(at in any::<prop::sample::Index>(), to in proptest::char::range('!', '~')) {
        let signed = links().sign("https://api.example/fhir/bulk-files/7/a.ndjson", typed("Patient")).unwrap();
        let own = target(&signed);
        let at = at.index(own.len());
        let character = |(place, known)| if place == at { to } else { known };
        let changed: String = own.chars().enumerate().map(character).collect();
        prop_assume!(changed != own);
        let fields = [(":method", "GET"), (":authority", "api.example"), (":path", &changed)];
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        // What can't be read, or is no link any more, is judged as any other request.
        let Ok(head) = read(Headers::new(fields.to_vec())) else { return Ok(()) };
        if let Ok(Some(claimed)) = claimed(&head, RELEASE) {
            prop_assert!(links().open(claimed).is_err(), "{}", changed);
        }
    }

    #[test]
    fn reading_never_panics(target in "/[!-~]{0,40}", body in "\\PC{0,60}", url in "\\PC{0,40}") {
        let fields = [(":method", "GET"), (":authority", "api.example"), (":path", &target)];
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        if let Ok(head) = read(Headers::new(fields.to_vec())) {
            let opened = claimed(&head, RELEASE).ok().flatten().map(|claimed| links().open(claimed));
            prop_assert!(opened.is_none_or(|opened| opened.is_err()));
        }
        if let Ok(signed) = links().sign(&url, Exported::Status) {
            prop_assert!(signed.starts_with(&url));
        }
        if let Ok(judged) = links().manifest(body.as_bytes(), &|_| true) {
            prop_assert!(serde_json::from_slice::<Value>(&judged).unwrap().is_object());
        }
    }
}
