//! A call that the filter makes by itself, and its answer.

use core::fmt;
use core::time::Duration;

/// A call over an Envoy cluster. Shown without the values of its header fields and without its body:
/// they may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// The Envoy cluster that reaches the server; its TLS settings apply.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// `:path`, with the query.
    pub path: String,
    /// Further header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What is posted; `None`: a `GET`.
    pub body: Option<Vec<u8>>,
    /// Envoy answers in the server's place (504) after this long.
    pub timeout: Duration,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("HttpCall")
            .field("cluster", &self.cluster)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .field("headers", &headers)
            .field("body", &self.body.as_ref().map(Vec::len))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status; Envoy itself answers 503 (not reached) and 504 (timed out).
    pub status: u16,
    /// `ETag` (RFC 9110 section 8.8.3), when it can be sent back as it is.
    pub etag: Option<String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFailed {
    /// The host refused to send: it knows no such cluster.
    Undispatched,
    /// The connection was reset, or the answer is larger than the host buffers.
    NoAnswer,
}

impl HttpAnswer {
    /// Reads the header fields as the host gives them, pseudo-header `:status` included.
    ///
    /// # Errors
    ///
    /// [`CallFailed::NoAnswer`] when there is no status: Envoy then gives no header at all.
    pub fn read(headers: &[(Vec<u8>, Vec<u8>)], body: Vec<u8>) -> Result<HttpAnswer, CallFailed> {
        let field = |name: &[u8]| {
            let found = headers.iter().find(|(field, _)| field.as_slice() == name);
            found.and_then(|(_, value)| core::str::from_utf8(value).ok())
        };
        let status = field(b":status").and_then(|text| text.parse().ok());
        let etag = field(b"etag").filter(|etag| can_be_sent_back(etag)).map(str::to_owned);
        Ok(HttpAnswer { status: status.ok_or(CallFailed::NoAnswer)?, etag, body })
    }
}

fn can_be_sent_back(etag: &str) -> bool {
    let length = etag.len();
    (2..=MAX_ETAG).contains(&length) && etag.bytes().all(|byte| byte.is_ascii_graphic())
}

const MAX_ETAG: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &[u8])]) -> Result<HttpAnswer, CallFailed> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect();
        HttpAnswer::read(&headers, b"body".to_vec())
    }

    #[test]
    fn status_etag_and_body_are_read() {
        let answer = read(&[(":status", b"200"), ("etag", b"W/\"7\"")]).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.etag.as_deref(), Some("W/\"7\""));
        assert_eq!(answer.body, b"body");
    }

    #[test]
    fn an_answer_without_a_status_is_none() {
        for status in [&b""[..], b"two", b"\xff", b"70000", b"-1"] {
            assert_eq!(read(&[(":status", status)]), Err(CallFailed::NoAnswer), "{status:?}");
        }
        assert_eq!(read(&[]), Err(CallFailed::NoAnswer));
    }

    #[test]
    fn an_etag_that_could_break_a_header_is_not_kept() {
        let long = vec![b'e'; 300];
        for etag in [&b"a b"[..], b"a\r\nx: y", b"\xff\xfe", b"", &long] {
            let answer = read(&[(":status", b"200"), ("etag", etag)]).unwrap();
            assert_eq!(answer.etag, None, "{etag:?}");
        }
    }
}
