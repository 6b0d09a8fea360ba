//! What scopes cover in each context, worked out once for each text of scopes: tokens are many, the texts
//! that an issuer gives them few. Saves time for each new token, and memory for each that is kept.

use core::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use super::coverage::Coverage;
use super::scope::{self, Context};
use crate::fhir::Release;

/// What the scopes of one token cover.
#[derive(Debug, Clone, Default)]
pub(super) struct Covered {
    pub(super) system: Rc<Coverage>,
    pub(super) user: Rc<Coverage>,
    pub(super) patient: Rc<Coverage>,
}

/// The texts of scopes that were seen last, and what they cover in one release.
#[derive(Debug)]
pub struct Coverages {
    known: LruCache<Box<str>, Covered>,
}

impl Covered {
    /// Reads scopes, separated by spaces.
    pub(super) fn of(scopes: &str, release: Release) -> Covered {
        let (mut system, mut user, mut patient) = <(Coverage, Coverage, Coverage)>::default();
        for scope in scope::clinical(scopes) {
            let coverage = match scope.context {
                Context::System => &mut system,
                Context::User => &mut user,
                Context::Patient => &mut patient,
            };
            coverage.add(scope, release);
        }
        Covered { system: Rc::new(system), user: Rc::new(user), patient: Rc::new(patient) }
    }
}

impl Default for Coverages {
    /// None is known.
    fn default() -> Coverages {
        Coverages { known: LruCache::new(MAX_TEXTS) }
    }
}

impl Coverages {
    /// What these scopes cover.
    pub(super) fn of(&mut self, scopes: &str, release: Release) -> Covered {
        if let Some(known) = self.known.get(scopes) {
            return known.clone();
        }
        let covered = Covered::of(scopes, release);
        if scopes.len() <= MAX_TEXT {
            self.known.put(scopes.into(), covered.clone());
        }
        covered
    }
}

/// More than the kinds of client that one issuer has.
const MAX_TEXTS: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");

/// Bytes; what a longer one covers is worked out for each token.
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_scopes_is_read_once_and_never_taken_for_another() {
        let mut coverages = Coverages::default();
        let first = coverages.of("patient/Observation.rs", Release::R4);
        let again = coverages.of("patient/Observation.rs", Release::R4);
        assert!(Rc::ptr_eq(&first.patient, &again.patient));
        let other = coverages.of("user/Observation.rs", Release::R4);
        assert!(other.patient.is_empty() && !other.user.is_empty());
        assert!(!first.patient.is_empty() && first.user.is_empty());
    }

    #[test]
    fn as_many_texts_are_kept_as_there_is_room_for() {
        let mut coverages = Coverages::default();
        for number in 0..1_000 {
            let _ = coverages.of(&format!("patient/Observation.rs x{number}"), Release::R4);
        }
        assert_eq!(coverages.known.len(), MAX_TEXTS.get());
        let long = format!("patient/Observation.rs {}", "x".repeat(MAX_TEXT));
        assert!(!coverages.of(&long, Release::R4).patient.is_empty());
        assert!(coverages.known.get(long.as_str()).is_none());
    }
}
