//! Answers to calls of our own, and the URLs that they are sent to.

use phiward::request::Headers;
use phiward::response;
use phiward::store::{Head, HttpAnswer, HttpUrl};

use super::world::split;

/// A line for each header field of an answer.
pub fn check(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let pairs: Vec<_> = lines
        .filter_map(|line| split(line, b": "))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    if let Ok(answer) = HttpAnswer::read(&pairs, Vec::new()) {
        let is = |name: &[u8], value: &str| {
            pairs.iter().any(|(known, text)| known == name && text.as_slice() == value.as_bytes())
        };
        assert!(pairs.iter().any(|(name, _)| name == b":status"));
        if let Some(etag) = &answer.etag {
            assert!(is(b"etag", etag) && etag.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
    let headers = Headers::new(pairs);
    let _ = (response::is_readable(&headers), response::is_ndjson(&headers));
    if let Some(head) = Head::decode(data) {
        assert_eq!(Head::decode(&head.encode()), Some(head));
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(url) = HttpUrl::read(text) else { return };
    assert_eq!(HttpUrl::read(&url.to_string()), Ok(url.clone()));
    assert!(url.path().starts_with('/') && !url.authority().is_empty());
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(visible(url.path()) && visible(url.authority()));
}
