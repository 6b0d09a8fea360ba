//! The token in the `Authorization` header (RFC 6750 section 2.1), read as bytes.

use core::fmt;

use super::reasons;
use crate::base::refusal::Refusal;

/// A credential as it was sent, proven by nothing. Its text never leaves this folder.
#[derive(Clone)]
pub struct RawToken {
    text: String,
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
        Ok(text) if is_b68token(text) => Ok(RawToken { text: text.to_owned() }),
        _ => Err(Refusal::new(&reasons::TOKEN_UNREADABLE)),
    }
}

impl RawToken {
    /// The token's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A token for tests.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> RawToken {
        RawToken { text: text.to_owned() }
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
