//! SECURITY.md names a test for each threat: that it does, and that the tests exist.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

/// The sections whose tables name tests.
const SECTIONS: [&str; 2] = ["## Threat model", "## How Envoy lets things through unchecked"];

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).unwrap()
}

/// The rows of the tables in [`SECTIONS`] but for their heads, as cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let mut within = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.starts_with("## ") {
            within = SECTIONS.contains(&line);
        }
        let row = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        found.extend(row.filter(|_| within).map(|row| row.split(" | ").collect::<Vec<_>>()));
    }
    found.retain(|row| row.last() != Some(&"tried by"));
    found
}

/// Every `file::test` in the text.
fn named(text: &str) -> Vec<(&str, &str)> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter_map(|span| span.split_once(".py::").or_else(|| span.split_once(".rs::"))).collect()
}

/// Whether a file, given without its ending, has this test.
fn exists(file: &str, test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |ending| fs::read_to_string(root.join(format!("{file}.{ending}")));
    if file.starts_with("tests/envoy/") {
        let head = format!("\ndef {test}(");
        return test.starts_with("test_") && read("py").is_ok_and(|text| text.contains(&head));
    }
    let head = format!("fn {test}(");
    read("rs").is_ok_and(|text| {
        let before = text.split_once(&head).map(|(before, _)| before.to_owned());
        before.is_some_and(|before| is_marked(&before))
    })
}

/// Whether what stands before a function marks it as a test.
fn is_marked(before: &str) -> bool {
    let mark = before.rfind("#[test]");
    mark.is_some_and(|mark| !before.get(mark..).unwrap_or_default().contains("fn "))
}

#[test]
fn every_threat_names_a_test() {
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() > 80, "found only {} rows", rows.len());
    for row in rows {
        assert_eq!(row.len(), 3, "a row of other than three cells: {row:?}");
        let tests = row.last().unwrap();
        assert!(!named(tests).is_empty(), "no test tries {row:?}");
        let rest = tests.split_whitespace().filter(|word| !word.contains("::")).count();
        assert_eq!(rest, 0, "something else than tests in {row:?}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page();
    let missing: Vec<_> =
        named(&page).into_iter().filter(|(file, test)| !exists(file, test)).collect();
    assert_eq!(missing, Vec::new());
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let this = "tests/security";
    assert!(exists(this, "every_threat_names_a_test"), "a test");
    assert!(!exists(this, "rows"), "a function that is no test");
    assert!(!exists(this, "every_threat"), "the beginning of a name");
    assert!(!exists("tests/nowhere", "every_threat_names_a_test"), "a file that is not there");
}

#[test]
fn every_kind_of_threat_is_there() {
    let page = page();
    let rows = rows(&page);
    for kind in ["**S** ", "**T** ", "**R** ", "**I** ", "**D** ", "**E** "] {
        let count =
            rows.iter().filter(|row| row.first().is_some_and(|cell| cell.starts_with(kind)));
        assert!(count.count() > 1, "hardly a threat of the kind {kind}");
    }
}
