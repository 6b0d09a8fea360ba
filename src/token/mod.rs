//! Stage 3: the access token. Compact JWS only (RFC 7515), claims of RFC 9068.

pub mod claims;

use std::rc::Rc;

pub use claims::Claims;

/// Proof that a token's signature and claims were verified. Cheap to clone.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    claims: Rc<Claims>,
}

impl VerifiedToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> VerifiedToken {
        VerifiedToken { claims: Rc::new(claims) }
    }
}
