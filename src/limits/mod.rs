//! Stage 6: whether the token may be used now, as far as that depends on how it was used before: the
//! sessions that end by themselves.

pub mod reasons;
mod sessions;
mod settings;

pub use sessions::Sessions;
pub use settings::{Applied, Rule, Settings};

use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::revocation::LiveToken;
use crate::token::Claims;

/// Proof that the token is within every limit.
#[derive(Debug, Clone)]
pub struct AdmittedToken {
    token: LiveToken,
}

impl AdmittedToken {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// A token for the tests of later stages.
    #[cfg(test)]
    pub(crate) fn for_tests(claims: Claims) -> AdmittedToken {
        AdmittedToken { token: LiveToken::for_tests(claims) }
    }
}

/// Admits a token that is within the limits, and counts its use.
///
/// # Errors
///
/// One of [`reasons`].
pub fn admit(
    token: LiveToken,
    limits: &Limits,
    caps: &dyn Capabilities,
) -> Result<AdmittedToken, Refusal> {
    if let Some(sessions) = &limits.sessions {
        sessions.admit(token.claims(), caps)?;
    }
    Ok(AdmittedToken { token })
}

/// One instance's view of what is limited.
#[derive(Debug)]
pub struct Limits {
    sessions: Option<Sessions>,
}

impl Limits {
    /// `None`: sessions have no limits.
    pub fn new(sessions: Option<Settings>) -> Limits {
        Limits { sessions: sessions.map(Sessions::new) }
    }

    /// Adopts what all instances share: done on every tick.
    pub fn refresh(&self, caps: &dyn Capabilities) {
        if let Some(sessions) = &self.sessions {
            sessions.refresh(caps);
        }
    }
}
