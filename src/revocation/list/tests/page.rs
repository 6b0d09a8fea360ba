//! What is a list, and what is not.

use crate::base::capabilities::Native;
use crate::revocation::list::page::Page;
use crate::revocation::list::record::Secret;
use proptest::prelude::*;
use serde_json::json;

/// Reads a page in steps of a few entries.
fn read(body: &[u8]) -> Result<Page, String> {
    let mut page = Page::new(body.to_vec(), Secret::draw(&Native::default()), 1_000);
    while !page.advance(2)? {}
    Ok(page)
}

fn text(body: &str) -> Result<Page, String> {
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
        assert_eq!(list.read(), entries, "{body}");
    }
}

#[test]
fn the_documented_list_is_read() {
    let page = include_str!("../../../../docs/revocation.md");
    let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next());
    let list = text(example.expect("an example")).unwrap();
    assert_eq!((list.read(), list.header.version.as_deref()), (4, Some("42")));
}

#[test]
fn the_documented_changes_are_read() {
    let page = include_str!("../../../../docs/revocation.md");
    let example = page.split("```json").nth(2).and_then(|rest| rest.split("```").next());
    let list = text(example.expect("an example")).unwrap();
    assert_eq!((list.entries.len(), list.removed.len()), (1, 1));
    assert_eq!(list.header.since.as_deref(), Some("41"));
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
        assert_eq!(list.header.version.as_deref(), Some(logged));
    }
    let long = format!(r#"{{"version": "{}", "entries": []}}"#, "v".repeat(1000));
    assert_eq!(text(&long).unwrap().header.version.unwrap().len(), 64);
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
        (r#"{"entries": [], "more": "s3cr3t"}"#, "`more` is none of the known keys"),
        (r#"{"entries": [], "next": ""}"#, "`next` is not text of 1 to 1024"),
        (r#"{"entries": [], "next": 7}"#, "`next` is not text of 1 to 1024"),
        (r#"{"entries": [], "total": "7"}"#, "`total` is not a whole number"),
        (r#"{"entries": [], "total": -7}"#, "`total` is not a whole number"),
        (r#"{"entries": [], "deltas": "true"}"#, "`deltas` is neither"),
        (r#"{"entries": [], "deltas": null}"#, "`deltas` is neither"),
        (r#"{"entries": [], "since": 7}"#, "`since` is not text"),
        (r#"{"entries": [], "removed": {}}"#, "invalid type: map"),
        (r#"{"entries": [], "removed": [{}]}"#, "removed entry 1: it names no tokens"),
        (r#"{"entries" []}"#, "expected `:`"),
        (r#"{"entries": [] "version": "1"}"#, "expected `,` or `}`"),
        (r#"{"entries": [{"jti": "a"} {"jti": "b"}]}"#, "entry 2: expected `,` or `]`"),
        (r#"{"entries": [],}"#, "expected value"),
        (r#"{"version""#, "EOF"),
        (r#"{"version":"#, "EOF"),
        (r#"{"removed": []}"#, "there is no `entries`"),
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
fn a_list_longer_than_allowed_is_refused() {
    assert_eq!(text(&"{\"jti\":\"a\"}".repeat(1_000)).unwrap().read(), 1_000);
    let problem = text(&"{\"jti\":\"a\"}".repeat(1_001)).map(drop).unwrap_err();
    assert!(problem.starts_with("entry 1001: the list has more entries"), "{problem}");
}

#[test]
fn an_entry_has_at_most_64_kibibytes() {
    let list = |length: usize| {
        let entries = [json!({"jti": "a".repeat(length)}), json!({"jti": "b"})];
        json!({"entries": entries}).to_string()
    };
    assert_eq!(text(&list(65_526)).unwrap().entries.len(), 2);
    for length in [65_527, 65_535, 65_536, 65_600, 1 << 20] {
        let problem = text(&list(length)).unwrap_err();
        assert!(problem.starts_with("entry 1: it is longer than 64 KiB"), "{length} {problem}");
    }
}

#[test]
fn what_a_page_says_of_its_list_is_read_in_any_order() {
    let body = r#"{"removed": [{"jti": "a"}, {"sub": "b"}], "next": "p/2 =", "total": 7,
        "deltas": true, "entries": [{"jti": "c"}], "since": "41", "version": "42"}"#;
    let page = text(body).unwrap();
    assert_eq!((page.entries.len(), page.removed.len()), (1, 2));
    let header = page.header;
    assert_eq!(header.next.as_deref(), Some("p/2 ="));
    assert_eq!((header.total, header.deltas, header.exact), (Some(7), true, true));
    assert_eq!((header.since.as_deref(), header.version.as_deref()), (Some("41"), Some("42")));
    assert_eq!(text(r#"{"entries": [], "next": null}"#).unwrap().header.next, None);
    assert!(!text(r#"{"entries": [], "version": "4 2"}"#).unwrap().header.exact);
}

#[test]
fn errors_name_the_place_in_the_page() {
    let body = "{\"entries\": [\n  {\"jti\": \"a\"},\n  {\"jti\": 7}\n]}";
    let problem = text(body).map(drop).unwrap_err();
    assert!(problem.ends_with(" at line 3 column 12"), "{problem}");
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
        if let Ok(page) = text(&body) {
            prop_assert!(page.read() <= body.len());
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
