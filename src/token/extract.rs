//! The token in the `Authorization` header (RFC 6750 section 2.1), read as bytes.

use core::cell::OnceCell;
use core::fmt;

use hmac_sha256::Hash as Sha256;

use super::reasons;
use crate::base::refusal::{Reason, Refusal};

/// What stands behind `Bearer`, whatever its form: it may be a token that is known already.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    value: &'a [u8],
    bytes: &'a [u8],
}

/// A token in the form that RFC 6750 gives it, proven by nothing. Its text never leaves this folder.
#[derive(Clone)]
pub struct RawToken {
    text: String,
    digest: OnceCell<[u8; 32]>,
}

/// Takes the one bearer token from every value of the `Authorization` header.
///
/// # Errors
///
/// Those of [`credential`] and [`Credential::read`].
pub fn extract<'a>(authorization: impl Iterator<Item = &'a [u8]>) -> Result<RawToken, Refusal> {
    credential(authorization)?.read()
}

/// Takes what stands behind `Bearer` from every value of the `Authorization` header.
///
/// # Errors
///
/// [`reasons::TOKEN_MISSING`], [`reasons::TOKEN_DUPLICATE`], [`reasons::TOKEN_SCHEME_UNSUPPORTED`] or
/// [`reasons::TOKEN_TOO_LARGE`].
pub fn credential<'a>(
    mut authorization: impl Iterator<Item = &'a [u8]>,
) -> Result<Credential<'a>, Refusal> {
    let value = authorization.next().ok_or(&reasons::TOKEN_MISSING)?;
    if authorization.next().is_some() {
        return Err(Refusal::new(&reasons::TOKEN_DUPLICATE));
    }
    let space = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(space).unwrap_or((value, &[]));
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(unless_several(value, &reasons::TOKEN_SCHEME_UNSUPPORTED));
    }
    let bytes = rest.strip_prefix(b" ").unwrap_or_default();
    if bytes.len() > MAX_TOKEN {
        return Err(unless_several(value, &reasons::TOKEN_TOO_LARGE));
    }
    Ok(Credential { value, bytes })
}

/// Envoy joins several fields by commas.
fn unless_several(value: &[u8], reason: &'static Reason) -> Refusal {
    Refusal::new(if value.contains(&b',') { &reasons::TOKEN_DUPLICATE } else { reason })
}

impl Credential<'_> {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The token.
    ///
    /// # Errors
    ///
    /// [`reasons::TOKEN_DUPLICATE`] or [`reasons::TOKEN_UNREADABLE`].
    pub fn read(&self) -> Result<RawToken, Refusal> {
        match core::str::from_utf8(self.bytes) {
            Ok(text) if is_b68token(text) => Ok(RawToken::new(text)),
            _ => Err(unless_several(self.value, &reasons::TOKEN_UNREADABLE)),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credential({} bytes)", self.bytes.len())
    }
}

impl RawToken {
    fn new(text: &str) -> RawToken {
        RawToken { text: text.to_owned(), digest: OnceCell::new() }
    }

    /// SHA-256 of the token's text.
    pub(super) fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| Sha256::hash(self.text.as_bytes()))
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

    /// How it was sent.
    #[cfg(test)]
    pub(crate) fn credential(&self) -> Credential<'_> {
        Credential { value: self.text.as_bytes(), bytes: self.text.as_bytes() }
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
    !body.is_empty() && body.bytes().all(is_b68)
}

/// By ranges: a search for punctuation in a list takes twice as long, and this is done for each byte.
const fn is_b68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
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
        let longest_and_more = [longest.clone(), b",b".to_vec()].concat();
        let cases: [(&[&[u8]], &str); 29] = [
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
            (&[b"Basic a, Bearer b"], "token_duplicate"),
            (&[&longest_and_more], "token_duplicate"),
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
