//! What is written of the values of search parameters: they may be names, numbers, diagnoses.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac_sha256::HMAC;

use super::Parameter;

/// Which values are written, and how the others can be matched.
#[derive(Clone, Default)]
pub struct Discretion {
    shown: HashSet<String>,
    key: Option<[u8; 32]>,
}

/// What is written of a value.
pub(in crate::audit) enum Told {
    Value,
    Hash(String),
    Nothing,
}

impl Discretion {
    /// Values of the parameters `shown` are written, as they are named there: a modifier or a chain
    /// (`patient:identifier`, `patient.name`) makes the value something else. The others are hashed by
    /// `secret`, or left out.
    pub fn new(shown: &[String], secret: Option<&[u8]>) -> Discretion {
        let key = secret.map(|secret| HMAC::mac(b"phiward audit values", secret));
        Discretion { shown: shown.iter().cloned().collect(), key }
    }

    pub(in crate::audit) fn of(&self, parameter: &Parameter<'_>) -> Told {
        if self.shown.contains(parameter.name) {
            return Told::Value;
        }
        match &self.key {
            None => Told::Nothing,
            Some(key) => Told::Hash(hash(key, parameter.value)),
        }
    }
}

impl core::fmt::Debug for Discretion {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Discretion").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// The first 96 bits of HMAC-SHA-256, whatever the parameter's name: who looked for a number by
/// `identifier` and who by `patient.identifier` looked for the same.
fn hash(key: &[u8; 32], value: &str) -> String {
    let mac = HMAC::mac(value.as_bytes(), key);
    URL_SAFE_NO_PAD.encode(mac.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(discretion: &Discretion, name: &str, value: &str) -> String {
        match discretion.of(&Parameter { name, value }) {
            Told::Value => format!("={value}"),
            Told::Hash(hash) => hash,
            Told::Nothing => String::new(),
        }
    }

    #[test]
    fn only_what_is_named_whole_is_shown() {
        let discretion = Discretion::new(&["patient".to_owned()], None);
        assert_eq!(told(&discretion, "patient", "p"), "=p");
        for name in ["patient:identifier", "patient.name", "Patient", "name", ""] {
            assert_eq!(told(&discretion, name, "p"), "", "{name}");
        }
    }

    #[test]
    fn equal_values_have_equal_hashes_under_one_key_alone() {
        let one = Discretion::new(&[], Some(b"a key of this deployment, 32 bytes"));
        let other = Discretion::new(&[], Some(b"the key of another deployment, too"));
        let hash = told(&one, "identifier", "078-05-1120");
        assert_eq!(hash.len(), 16);
        assert_eq!(hash, told(&one, "patient.identifier", "078-05-1120"));
        assert_ne!(hash, told(&one, "identifier", "078-05-1121"));
        assert_ne!(hash, told(&other, "identifier", "078-05-1120"));
        assert!(!format!("{one:?}").contains("key"));
    }
}
