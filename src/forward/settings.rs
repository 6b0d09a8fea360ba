//! The `forward` section of the configuration.

use crate::config::section::Section;

crate::words! {
    /// What happens to the `Authorization` header (`forward.token`).
    pub enum TokenHandling {
        /// It is removed.
        Strip = "strip",
        /// It is sent on.
        Keep = "keep",
    }
}

crate::words! {
    /// What an identity header tells (`forward.headers`): its name is `x-phiward-` and this word.
    pub enum IdentityHeader {
        /// `sub`
        Subject = "subject",
        /// The client's id.
        Client = "client",
        /// `fhirUser`
        User = "user",
        /// The patient whom the request is confined to, else the patient in the token's context.
        Patient = "patient",
        /// The token's scopes, separated by spaces.
        Scopes = "scopes",
    }
}

/// What the FHIR server gets to see besides the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What happens to the `Authorization` header.
    pub token: TokenHandling,
    /// The identity headers to send.
    pub headers: Vec<IdentityHeader>,
}

impl Settings {
    /// Reads the section.
    pub fn read(section: &mut Section<'_>) -> Settings {
        Settings {
            token: section.default(
                "token",
                TokenHandling::Strip,
                "whether the FHIR server gets the access token",
            ),
            headers: section.default(
                "headers",
                Vec::new(),
                "what the FHIR server is told of the caller, in headers named x-phiward-subject \
                 and so on; copies that the client sends are always removed",
            ),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { token: TokenHandling::Strip, headers: Vec::new() }
    }
}
