//! The claims that later stages read.

use crate::base::time::UnixSeconds;

/// Claims of an access token, under the names that the configuration gives them (`issuers[].claims`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: Option<String>,
    /// `jti`
    pub token_id: Option<String>,
    /// `aud`, always as a list
    pub audience: Vec<String>,
    /// `exp`
    pub expires: UnixSeconds,
    /// `iat`
    pub issued_at: UnixSeconds,
    /// `nbf`
    pub not_before: Option<UnixSeconds>,
    /// The SMART scopes: one string separated by spaces, or a list joined with spaces
    pub scope: String,
    /// The patient in context: a bare id
    pub patient: Option<String>,
    /// `fhirUser`: a reference, relative or absolute
    pub user: Option<String>,
    /// `client_id`
    pub client: Option<String>,
    /// `roles`
    pub roles: Vec<String>,
    /// `organization`
    pub organization: Option<String>,
    /// `sid`
    pub session: Option<String>,
    /// `kid` of the key that signed it
    pub key_id: Option<String>,
    /// Whether the token is bound to its holder (`cnf`, RFC 7800)
    pub bound: bool,
}
