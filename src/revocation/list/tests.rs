use super::*;
use crate::base::capabilities::Native;
use crate::base::time::UnixSeconds;
use crate::store::Generation;
use proptest::prelude::*;

const NOW: u64 = 1_790_000_000;

fn read(body: &[u8]) -> Result<List, String> {
    let index = Index::new(Generation::draw(&Native::default()));
    super::read(body, index, Instant::from_seconds(UnixSeconds(NOW)))
}

fn text(body: &str) -> Result<List, String> {
    read(body.as_bytes())
}

#[test]
fn both_forms_are_read() {
    let cases = [
        (r#"{"version": "42", "entries": [{"jti": "a"}, {"sub": "b", "issued_before": 7}]}"#, 2),
        (r#"{"entries": [{"jti": "a"}], "version": "42"}"#, 1),
        (r#"{"entries": []}"#, 0),
        ("\n {\"version\":\"1\",\n\"entries\":[\n{\"iss\":\"a\"}\n]}\r\n", 1),
        (r#"{"jti": "a"}"#, 1),
        (
            "{\"jti\": \"a\"}\n{\"issued_before\": 7}\r\n\n{\"sid\": \"c\", \"expires\": 1790000000}\n",
            3,
        ),
    ];
    for (body, entries) in cases {
        let list = text(body).unwrap_or_else(|problem| panic!("{body}: {problem}"));
        assert_eq!(list.read, entries, "{body}");
        assert_eq!(list.index.len(), entries, "{body}");
    }
}

#[test]
fn the_documented_list_is_read() {
    let page = include_str!("../../../docs/revocation.md");
    let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next());
    let list = text(example.expect("an example")).unwrap();
    assert_eq!((list.read, list.version.as_deref()), (4, Some("42")));
}

#[test]
fn the_version_is_made_fit_for_a_log_line() {
    let cases = [
        (r#""42""#, "42"),
        (r#""2026-11-21T10:00:00+01:00""#, "2026-11-21T10:00:00+01:00"),
        (r#""a b\n\"c\u001b[31m""#, "a?b??c??31m"),
    ];
    for (version, logged) in cases {
        let list = text(&format!(r#"{{"version": {version}, "entries": []}}"#)).unwrap();
        assert_eq!(list.version.as_deref(), Some(logged));
    }
    let long = format!(r#"{{"version": "{}", "entries": []}}"#, "v".repeat(1000));
    assert_eq!(text(&long).unwrap().version.unwrap().len(), 64);
}

#[test]
fn one_bad_entry_makes_the_list_unusable_and_is_named() {
    let cases = [
        (r#"{"jti": 7}"#, "entry 2: `jti` is not text"),
        (r#"{"jti": null, "sub": "s3cr3t"}"#, "entry 2: `jti` is not text"),
        (r#"{"sub": ["s3cr3t"]}"#, "entry 2: `sub` is not text"),
        (r#"{"sub": {"is": "s3cr3t"}}"#, "entry 2: `sub` is not text"),
        (r#"{"sid": ""}"#, "entry 2: `sid` is empty"),
        (r#"{"patient": "Patient/s3cr3t"}"#, "entry 2: `patient` is not a bare id"),
        (r#"{"sub": "s3cr3t", "issued_before": "7"}"#, "entry 2: `issued_before` is not a whole"),
        (r#"{"issued_before": -7}"#, "entry 2: `issued_before` is not a whole number"),
        (r#"{"issued_before": 7.0}"#, "entry 2: `issued_before` is not a whole number"),
        (r#"{"issued_before": 1e9}"#, "entry 2: `issued_before` is not a whole number"),
        (r#"{"issued_before": 99999999999999999999}"#, "entry 2: `issued_before` is not a whole"),
        (r#"{"issued_before": true}"#, "entry 2: `issued_before` is not a whole number"),
        (r#"{"jti": "s3cr3t", "expires": null}"#, "entry 2: `expires` is not a whole number"),
        (r#"{"jti": "s3cr3t", "reason": "x"}"#, "entry 2: `reason` is none of the known keys"),
        (r#"{"jti": "s3cr3t", "Sub": "x"}"#, "entry 2: `Sub` is none of the known keys"),
        (r#"{"jti": "s3cr3t", "entries": []}"#, "entry 2: `entries` is none of the known keys"),
        (r#"{"jti": "s3cr3t", "jti": "x"}"#, "entry 2: `jti` stands twice"),
        (r#"{"expires": 7, "sub": "x", "expires": 7}"#, "entry 2: `expires` stands twice"),
        ("{}", "entry 2: it names no tokens"),
        (r#"{"expires": 1790000000}"#, "entry 2: it names no tokens"),
        (r#""s3cr3t""#, "entry 2: text instead of an entry"),
        ("7", "entry 2: a number instead of an entry"),
        ("-7", "entry 2: a number instead of an entry"),
        ("7.5", "entry 2: a number instead of an entry"),
        ("null", "entry 2: invalid type: null"),
        ("[]", "entry 2: invalid type: sequence"),
        (r#"{"jti": "\ud800"}"#, "entry 2: "),
    ];
    for (entry, expected) in cases {
        let object = format!(r#"{{"entries": [{{"sub": "ok"}}, {entry}, {{"sub": "ok"}}]}}"#);
        let lines = format!("{{\"sub\": \"ok\"}}\n{entry}\n{{\"sub\": \"ok\"}}\n");
        for body in [object, lines] {
            let problem = text(&body).map(drop).unwrap_err();
            assert!(problem.starts_with(expected), "{body}\n{problem}");
            assert!(problem.contains(" at line "), "{problem}");
            assert!(!problem.contains("s3cr3t"), "{problem}");
        }
    }
}

#[test]
fn what_is_no_list_is_refused() {
    let cases = [
        ("", "EOF"),
        ("  \n", "EOF"),
        ("<html><body>s3cr3t</body></html>", "expected value"),
        ("s3cr3t", "expected value"),
        ("\"s3cr3t\"", "text instead of a list"),
        ("42", "a number instead of a list"),
        ("null", "invalid type: null"),
        (r#"[{"jti": "s3cr3t"}]"#, "invalid type: sequence"),
        ("{}", "there is no `entries`"),
        (r#"{"version": "42"}"#, "there is no `entries`"),
        (r#"{"version": 42, "entries": []}"#, "`version` is not text"),
        (r#"{"version": "1", "version": "1", "entries": []}"#, "a key stands twice"),
        (r#"{"entries": [], "entries": []}"#, "a key stands twice"),
        (r#"{"entries": {}}"#, "invalid type: map"),
        (r#"{"entries": "s3cr3t"}"#, "text instead of a list of entries"),
        (r#"{"entries": null}"#, "invalid type: null"),
        (r#"{"entries": [], "next": "s3cr3t"}"#, "`next` is none of the known keys"),
        (r#"{"version": "1", "jti": "s3cr3t"}"#, "`jti` is none of the known keys"),
        (r#"{"entries": []} {"jti": "s3cr3t"}"#, "trailing characters"),
        (r#"{"entries": []}]"#, "trailing characters"),
        (r#"{"entries": [{"jti": "s3cr3t"}]"#, "EOF"),
        (r#"{"entries": [{"jti": "s3cr3t"},]}"#, "entry 2: trailing comma"),
        (r#"{"entries": [{"jti": "s3cr3t"}"#, "entry 2: EOF"),
        (r#"{"entries": [{"jti": "s3cr"#, "entry 1: EOF"),
        ("{\"jti\": \"s3cr3t\"}\n{\"jti\": \"s3", "entry 2: EOF"),
        ("{\"jti\": \"s3cr3t\"}\nwhat?", "entry 2: expected value"),
        ("\u{feff}{\"entries\": []}", "expected value"),
    ];
    for (body, expected) in cases {
        let problem = text(body).map(drop).unwrap_err();
        assert!(problem.starts_with(expected), "{body}\n{problem}");
        assert!(!problem.contains("s3cr3t"), "{problem}");
    }
    assert!(read(b"{\"jti\": \"\xff\"}").is_err(), "not UTF-8");
}

#[test]
fn unknown_keys_cannot_break_a_log_line() {
    let body = format!(r#"{{"a\n\"b\u001b{}": 1}}"#, "c".repeat(100));
    let problem = text(&body).map(drop).unwrap_err();
    assert!(problem.starts_with(&format!("entry 1: `ab{}` is none", "c".repeat(30))), "{problem}");
}

#[test]
fn entries_are_left_out_a_day_after_they_expire() {
    for (expires, kept) in [(NOW + 1, 1), (NOW, 1), (NOW - 86_399, 1), (NOW - 86_400, 0), (0, 0)] {
        let list = text(&format!(r#"{{"jti": "a", "expires": {expires}}}"#)).unwrap();
        assert_eq!((list.read, list.index.len()), (1, kept), "{expires}");
    }
    assert!(text(r#"{"jti": 7, "expires": 0}"#).is_err(), "read all the same");
}

#[test]
fn a_list_longer_than_can_be_loaded_is_refused() {
    let body = "{\"jti\":\"a\"}".repeat(MAX_ENTRIES + 1);
    let problem = text(&body).map(drop).unwrap_err();
    assert!(problem.starts_with("entry 200001: a list has at most 200000 entries"), "{problem}");
}

#[test]
fn deep_nesting_is_refused_without_using_up_the_stack() {
    let deep = "[".repeat(1_000_000);
    let objects = "{\"a\":".repeat(1_000_000);
    for body in [format!(r#"{{"jti": {deep}"#), format!(r#"{{"entries": {deep}"#), deep, objects] {
        assert!(text(&body).is_err());
    }
}

proptest! {
    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        // An empty body, or one that is all white space, is no list.
        prop_assert!(!body.iter().all(u8::is_ascii_whitespace) || read(&body).is_err());
    }

    #[test]
    fn never_panics_on_what_is_nearly_a_list(body in r#"[{}\[\]":,jti0-9 \nexpirsd_bo]{0,80}"#) {
        if let Ok(list) = text(&body) {
            prop_assert!(list.index.len() <= list.read);
        }
    }

    #[test]
    fn a_list_cut_short_is_refused(cut in 0_usize..96) {
        let body = r#"{"version": "42", "entries": [{"jti": "a", "iss": "b"}, {"sub": "c", "issued_before": 70}]}"#;
        let whole = text(body).is_ok();
        let part = body.get(..cut).unwrap_or(body);
        prop_assert_eq!(text(part).is_ok(), whole && part.len() == body.len());
    }
}
