//! Lines, however they are cut.

use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::*;
use crate::fhir::{Api, Release, ResourceType};
use crate::policy::{ExpectedFile, Exported, Grants, Smart, expected_file};
use crate::response;
use crate::token::Claims;

/// What goes on of a file that comes in these parts, and how many lines don't.
fn sifted(parts: &[&[u8]], limit: usize, shows: Shows<'_>) -> (Vec<u8>, usize) {
    let mut lines = Lines::new(limit);
    let mut passed = Vec::new();
    for part in parts {
        passed.extend(lines.push(part, shows).unwrap());
        assert!(lines.begun.len() <= limit, "held: {}", lines.begun.len());
    }
    passed.extend(lines.finish(shows));
    (passed, lines.removed())
}

fn has_no_x(line: &[u8]) -> bool {
    !line.contains(&b'x')
}

#[test]
fn whole_lines_go_on_at_once_and_stay_byte_for_byte() {
    let mut lines = Lines::new(100);
    let cases: [(&[u8], &[u8]); 8] = [
        (b"a", b""),
        (b"b\r\nc\n", b"ab\r\nc\n"),
        (b"", b""),
        (b"\n \r\n\t\n", b"\n \r\n\t\n"),
        (b"d\nx\ne\nf", b"d\ne\n"),
        (b"x", b""),
        (b"\n", b""),
        (b"g", b""),
    ];
    for (part, passed) in cases {
        assert_eq!(lines.push(part, &has_no_x).unwrap(), passed, "{part:?}");
    }
    assert_eq!(lines.finish(&has_no_x), b"g");
    assert_eq!(lines.removed(), 2);
}

#[test]
fn a_last_line_without_a_line_feed_is_judged_and_left_out_where_nothing_can_be_added() {
    for (rest, passed, removed) in [("a", "a", 0), ("x", "", 1), ("", "", 0), (" \r", " \r", 0)] {
        let mut lines = Lines::new(100);
        lines.push(format!("a\n{rest}").as_bytes(), &has_no_x).unwrap();
        assert_eq!(lines.finish(&has_no_x), passed.as_bytes(), "{rest}");
        assert_eq!(lines.removed(), removed, "{rest}");
    }
    for (rest, removed) in [("a", 1), ("", 0), (" \r", 0)] {
        let mut lines = Lines::new(100);
        lines.push(format!("a\n{rest}").as_bytes(), &has_no_x).unwrap();
        lines.cut();
        assert_eq!(lines.removed(), removed, "{rest}");
    }
}

#[test]
fn a_line_that_is_too_long_ends_the_file_however_it_is_cut() {
    let longest = [&[b'a'; 7][..], b"\n"].concat();
    let too_long = [&[b'a'; 8][..], b"\n"].concat();
    for size in 1..=9 {
        let mut lines = Lines::new(8);
        let parts = longest.chunks(size);
        let passed: Vec<u8> = parts.flat_map(|part| lines.push(part, &has_no_x).unwrap()).collect();
        assert_eq!(passed, longest, "{size}");
        let mut parts = too_long.chunks(size);
        let refused = parts.find_map(|part| lines.push(part, &has_no_x).err());
        assert_eq!(refused.map(|refusal| refusal.reason), Some(&EXPORT_LINE_TOO_LONG), "{size}");
        assert!(lines.begun.len() <= 8, "{size}");
    }
}

// With the judge of a real file.

fn api() -> Api {
    Api {
        base_path: "/fhir".to_owned(),
        release: Release::R4,
        base_urls: Vec::new(),
        cluster: None,
        public: Vec::new(),
        passthrough: Vec::new(),
    }
}

fn file(of: &str, scope: &str) -> ExpectedFile {
    let claims = Claims { scope: scope.to_owned(), ..Claims::default() };
    let grants = Rc::new(Grants::of(&claims, &api(), &Smart::default()));
    let of = ResourceType::parse(Release::R4, of).unwrap();
    expected_file(&grants, Exported::Type(of), Release::R4).unwrap()
}

/// Pieces of files, of lines and of signs.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"{\"resourceType\":\"Observation\",\"id\":\"1\"}",
        b"{\"resourceType\":\"Patient\",\"id\":\"SECRET\"}",
        b"{\"id\":\"1\",\"resourceType\":\"Observation\"}\n",
        b"{\"resourceType\":\"Observation\",\"resourceType\":\"Patient\"}\n",
        b"{\"resourceType\":\"Observation\",\"x\":{\"resourceType\":\"Patient\"}}\n",
        b"{\"resourceType\":\"Observation\",\"contained\":[{\"resourceType\":\"Patient\"}]}\n",
        b"{\"resourceType\":\"Observation\",\"text\":\"a\\nb\"}\n",
        b"{\"resourceType\":\"Patient\",\"text\":\"",
        b"\"}",
        b"{\"resourceType\":",
        b"\"Observation\"",
        b"\"Patient\"",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\"",
        b"\\",
        b"null",
        b"1",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        b"\xe2\x80\xa8",
    ];
    let piece =
        prop_oneof![4 => select(known).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_a_file_is_cut_the_same_goes_on_and_nothing_of_another_type(
        text in pieces(),
        cuts in vec(0usize..600, 0..12),
    ) {
        let (api, smart, file) = (api(), Smart::default(), file("Observation", "system/Observation.rs"));
        let shows = |line: &[u8]| response::line(&file, line, &api, &smart);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        let (passed, removed) = sifted(&[&text], usize::MAX, &shows);
        prop_assert_eq!(&sifted(&parts, usize::MAX, &shows), &(passed.clone(), removed));
        prop_assert_eq!(&sifted(&bytes, usize::MAX, &shows), &(passed.clone(), removed));
        // What went on is made of lines of the file, in their order, and each is what it must be.
        let is_blank = |line: &[u8]| line.trim_ascii().is_empty();
        let lines = |text| <[u8]>::split_inclusive(text, |byte| *byte == b'\n');
        let mut came = lines(&text);
        for line in lines(&passed) {
            prop_assert!(came.any(|one| one == line));
            let resource = serde_json::from_slice(line).unwrap_or(Value::Null);
            prop_assert!(is_blank(line) || resource["resourceType"] == "Observation");
        }
        prop_assert_eq!(lines(&text).count(), lines(&passed).count().saturating_add(removed));
        // And again nothing is taken out of it.
        prop_assert_eq!(sifted(&[&passed], usize::MAX, &shows), (passed.clone(), 0));
    }

    #[test]
    fn what_is_held_never_exceeds_the_limit(text in pieces(), size in 1usize..50, limit in 1usize..80) {
        let mut lines = Lines::new(limit);
        let result: Result<Vec<Vec<u8>>, Refusal> = text.chunks(size).map(|part| {
            let passed = lines.push(part, &|_| true);
            assert!(lines.begun.len() <= limit);
            passed
        }).collect();
        let longest = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).max();
        prop_assert_eq!(result.is_ok(), longest.unwrap_or(0) <= limit);
    }
}
