//! Stage 4: who may hold the token. A bearer token may be held by anyone; a token bound to a key or
//! certificate (`cnf`, RFC 7800) is refused until its binding can be checked.

use crate::base::refusal::{Challenge, Reason, Refusal};
use crate::token::{Claims, VerifiedToken};

/// Why a holder is refused.
pub mod reasons {
    use super::{Challenge, Reason};

    crate::reasons! {
        /// `cnf` names a key or certificate and this version cannot check who holds it (RFC 9449,
        /// RFC 8705).
        BINDING_UNCHECKED = Reason::new(401, "token_binding_unchecked", "login",
            "the token is bound to a key or certificate, which this gateway can't check: \
             use a bearer token").challenge(Challenge::InvalidToken);
    }
}

/// Proof that whoever sent the token may hold it.
#[derive(Debug, Clone)]
pub struct BoundToken {
    token: VerifiedToken,
}

impl BoundToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> BoundToken {
        BoundToken { token: VerifiedToken::for_tests(claims) }
    }
}

/// Binds a verified token to its holder.
///
/// # Errors
///
/// [`reasons::BINDING_UNCHECKED`] for a token with `cnf`.
pub fn bind(token: VerifiedToken) -> Result<BoundToken, Refusal> {
    if token.claims().bound {
        return Err(Refusal::new(&reasons::BINDING_UNCHECKED));
    }
    Ok(BoundToken { token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_may_be_held_by_anyone() {
        assert!(bind(VerifiedToken::for_tests(Claims::default())).is_ok());
    }

    #[test]
    fn a_token_bound_to_a_key_is_refused_as_bearer() {
        let claims = Claims { bound: true, ..Claims::default() };
        let refusal = bind(VerifiedToken::for_tests(claims)).unwrap_err();
        assert_eq!(refusal.reason.code, "token_binding_unchecked");
    }
}
