//! The token in the `Authorization` header (RFC 6750 section 2.1), read as bytes.

use core::fmt;

use hmac_sha256::Hash as Sha256;

use super::reasons;
use crate::base::refusal::Refusal;

/// A credential as it was sent, proven by nothing. Its text never leaves this folder.
#[derive(Clone)]
pub struct RawToken {
    text: String,
    digest: [u8; 32],
}

/// Takes the one bearer token from every value of the `Authorization` header.
///
/// # Errors
///
/// [`reasons::TOKEN_MISSING`], [`reasons::TOKEN_DUPLICATE`], [`reasons::TOKEN_SCHEME_UNSUPPORTED`],
/// [`reasons::TOKEN_TOO_LARGE`] or [`reasons::TOKEN_UNREADABLE`].
pub fn extract<'a>(mut authorization: impl Iterator<Item = &'a [u8]>) -> Result<RawToken, Refusal> {
    let value = authorization.next().ok_or(&reasons::TOKEN_MISSING)?;
    if authorization.next().is_some() || value.contains(&b',') {
        return Err(Refusal::new(&reasons::TOKEN_DUPLICATE));
    }
    let space = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(space).unwrap_or((value, &[]));
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Refusal::new(&reasons::TOKEN_SCHEME_UNSUPPORTED));
    }
    let credential = rest.strip_prefix(b" ").unwrap_or_default();
    if credential.len() > MAX_TOKEN {
        return Err(Refusal::new(&reasons::TOKEN_TOO_LARGE));
    }
    match core::str::from_utf8(credential) {
        Ok(text) if is_b68token(text) => Ok(RawToken::new(text)),
        _ => Err(Refusal::new(&reasons::TOKEN_UNREADABLE)),
    }
}

impl RawToken {
    fn new(text: &str) -> RawToken {
        RawToken { text: text.to_owned(), digest: Sha256::hash(text.as_bytes()) }
    }

    /// SHA-256 of the token's text.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether it has the form of neither JWS nor JWE: three or five parts (RFC 7515 and RFC 7516
    /// sections 7.1).
    pub(super) fn is_opaque(&self) -> bool {
        !matches!(self.text.matches('.').count(), 2 | 4)
    }

    /// The token's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A token for tests.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> RawToken {
        RawToken::new(text)
    }
}

impl fmt::Debug for RawToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RawToken({} bytes)", self.text.len())
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b68token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// Longest token in bytes.
const MAX_TOKEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(values: &[&[u8]]) -> &'static str {
        extract(values.iter().copied()).err().map_or("taken", |refusal| refusal.reason.code)
    }

    #[test]
    fn one_bearer_token_is_taken_and_everything_else_has_its_own_refusal() {
        let longest = [b"Bearer ".to_vec(), vec![b'a'; MAX_TOKEN]].concat();
        let longer = [longest.clone(), vec![b'a']].concat();
        let cases: [(&[&[u8]], &str); 27] = [
            (&[b"Bearer a.b.c"], "taken"),
            (&[b"bearer a.b.c"], "taken"),
            (&[b"BEARER aZ09-._~+/=="], "taken"),
            (&[&longest], "taken"),
            (&[], "token_missing"),
            (&[b"Bearer a", b"Bearer a"], "token_duplicate"),
            (&[b"Bearer a", b""], "token_duplicate"),
            (&[b"Basic a", b"Bearer a"], "token_duplicate"),
            (&[b"Bearer a,Bearer b"], "token_duplicate"),
            (&[b"Bearer a, b"], "token_duplicate"),
            (&[b"Bearer a,"], "token_duplicate"),
            (&[b""], "token_scheme_unsupported"),
            (&[b" Bearer a"], "token_scheme_unsupported"),
            (&[b"Basic YTpi"], "token_scheme_unsupported"),
            (&[b"DPoP a.b.c"], "token_scheme_unsupported"),
            (&[b"Bearer\ta"], "token_scheme_unsupported"),
            (&[b"Bearera"], "token_scheme_unsupported"),
            (&[b"a.b.c"], "token_scheme_unsupported"),
            (&[b"Bearer"], "token_unreadable"),
            (&[b"Bearer "], "token_unreadable"),
            (&[b"Bearer  a"], "token_unreadable"),
            (&[b"Bearer a "], "token_unreadable"),
            (&[b"Bearer a b"], "token_unreadable"),
            (&[b"Bearer a=b"], "token_unreadable"),
            (&[b"Bearer \"a\""], "token_unreadable"),
            (&[b"Bearer \xff\xfe"], "token_unreadable"),
            (&[&longer], "token_too_large"),
        ];
        for (values, expected) in cases {
            let shown: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v)).collect();
            assert_eq!(verdict(values), expected, "{shown:.60?}");
        }
    }

    #[test]
    fn a_token_never_shows_its_text() {
        let token = extract([&b"Bearer secret"[..]].into_iter()).unwrap();
        assert_eq!(format!("{token:?}"), "RawToken(6 bytes)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_whole_or_refused(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let value = [b"Bearer ".to_vec(), value].concat();
            if let Ok(token) = extract([value.as_slice()].into_iter()) {
                let taken = format!("Bearer {}", token.text()).into_bytes();
                prop_assert_eq!(taken, value);
            }
        }
    }
}
