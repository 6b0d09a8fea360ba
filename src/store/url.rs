//! URLs of documents that the filter pulls over an Envoy cluster.

use core::fmt;

use serde_json::{Value, json};

use crate::config::section::excerpt;
use crate::config::setting::Setting;

/// An `http` or `https` URL (RFC 3986), taken apart for a call over a cluster. Whether the call is
/// encrypted is the cluster's to say, not the scheme's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: String,
    authority: String,
    path: String,
}

impl HttpUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the URL itself.
    pub fn read(text: &str) -> Result<HttpUrl, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("there is no `http://` or `https://`")?;
        if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
            return Err("the scheme is neither `http` nor `https`");
        }
        if text.len() > MAX_LENGTH {
            return Err("it is longer than 2048 characters");
        }
        if !rest.bytes().all(may_stand_in_url) {
            return Err("it has a character that must be percent-encoded");
        }
        if rest.contains('#') {
            return Err("a fragment is never sent");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        check_authority(authority)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        Ok(HttpUrl { text: text.to_owned(), authority: authority.to_owned(), path })
    }

    /// Host and port, as in `:authority`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query, as in `:path`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Setting for HttpUrl {
    const EXPECTED: &'static str = "a URL such as `https://auth.clinic.example/jwks`";

    fn parse(value: &Value) -> Result<HttpUrl, String> {
        let url = value.as_str().ok_or("it is not text").and_then(HttpUrl::read);
        url.map_err(|problem| format!("`{}` is not such a URL: {problem}", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "string", "format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+[^#]*$"})
    }

    fn json(&self) -> Value {
        Value::from(self.text.as_str())
    }
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    if authority.contains('@') {
        return Err("a user or password has no place in it");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("the address has no closing `]`")?,
        None => authority
            .split_at_checked(authority.find(':').unwrap_or(authority.len()))
            .unwrap_or((authority, "")),
    };
    if host.is_empty() {
        return Err("there is no host");
    }
    if host.contains(['[', ']', '%']) {
        return Err("the host is not a name or address");
    }
    match port.strip_prefix(':').map(str::parse::<u16>) {
        None if port.is_empty() => Ok(()),
        Some(Ok(1..)) => Ok(()),
        _ => Err("the port is not a number from 1 to 65535"),
    }
}

/// Characters of RFC 3986 section 2.
fn may_stand_in_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

const MAX_LENGTH: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authority_and_path_are_told_apart() {
        let cases = [
            ("https://auth.example/jwks", "auth.example", "/jwks"),
            ("http://revocations.internal/v1/list?x=1", "revocations.internal", "/v1/list?x=1"),
            ("HTTPS://auth.example", "auth.example", "/"),
            ("http://auth.example:8443?a=b", "auth.example:8443", "/?a=b"),
            ("http://127.0.0.1:9000/a/", "127.0.0.1:9000", "/a/"),
            ("http://[::1]:9000/a@b", "[::1]:9000", "/a@b"),
        ];
        for (text, authority, path) in cases {
            let url = HttpUrl::read(text).unwrap();
            assert_eq!((url.authority(), url.path()), (authority, path), "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        let long = format!("http://a/{}", "x".repeat(2048));
        let cases = [
            "",
            "auth.example/jwks",
            "//auth.example",
            "ftp://auth.example",
            "file:///etc/passwd",
            "http://",
            "http:///path",
            "http://:80/",
            "http://user@auth.example/",
            "http://user:pass@auth.example/",
            "http://auth.example/#part",
            "http://auth.example/a b",
            "http://auth.example:/",
            "http://auth.example:0/",
            "http://auth.example:65536/",
            "http://auth.example:8x/",
            "http://[::1/",
            "http://[::1]x/",
            "http://a]b/",
            "http://auth.example/\r\nx: y",
            "http://auth.example/\u{e9}",
            "http://a%2fb/",
            &long,
        ];
        for text in cases {
            assert!(HttpUrl::read(text).is_err(), "accepted: {text}");
        }
    }

    #[test]
    fn a_setting_says_what_is_wrong() {
        let problem = HttpUrl::parse(&Value::from("ftp://x")).unwrap_err();
        assert_eq!(
            problem,
            "`ftp://x` is not such a URL: the scheme is neither `http` nor `https`"
        );
        assert!(HttpUrl::parse(&Value::from(7)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_gives_what_a_header_can_carry(text in "(https?://)?\\PC{0,40}") {
            if let Ok(url) = HttpUrl::read(&text) {
                prop_assert!(url.path().starts_with('/'));
                prop_assert!(url.authority().bytes().chain(url.path().bytes())
                    .all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
