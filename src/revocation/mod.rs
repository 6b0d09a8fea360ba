//! Stage 5: whether the token was revoked.

use crate::binding::BoundToken;
use crate::token::Claims;

/// Proof that the token was not revoked, as far as a list that is fresh enough tells.
#[derive(Debug, Clone)]
pub struct LiveToken {
    token: BoundToken,
}

impl LiveToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> LiveToken {
        LiveToken { token: BoundToken::for_tests(claims) }
    }
}
