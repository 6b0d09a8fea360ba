//! Who signs security events but no tokens: known by a name and keys of its own. What it signs is never
//! an access token.

use core::time::Duration;

use super::issuers::{DEFAULT_ALGORITHMS, DOC_ALGORITHMS, Issuer, check_not_empty, read_keys};
use crate::config::section::Section;

/// Who signs events, with the keys to verify them.
#[derive(Debug, Clone)]
pub struct Transmitter(pub(super) Issuer);

impl Transmitter {
    /// Reads `jwks` and `algorithms` of the transmitter of this name; `None` when it has no keys of its
    /// own, or they are wrong.
    pub fn read(section: &mut Section<'_>, name: Option<&str>) -> Option<Transmitter> {
        let algorithms = section.default("algorithms", DEFAULT_ALGORITHMS.to_vec(), DOC_ALGORITHMS);
        check_not_empty(section, "algorithms", Some(&algorithms), "at least one algorithm");
        let keys = section.optional_section("jwks", DOC_JWKS, |section| read_keys(section, name));
        if section.has("algorithms") && !section.has("jwks") {
            let problem = "`algorithms` stands without `jwks`".to_owned();
            let expected = "`jwks`, or the issuer's own algorithms in `issuers`";
            section.problem("algorithms", problem, expected, None);
        }
        Some(Transmitter(Issuer::signing(name?.to_owned(), algorithms, keys?)))
    }
}

/// How far a transmitter's clock may be off.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(30);

const DOC_JWKS: &str = "The transmitter's keys: `inline`, or `cluster` and `url`, or `cluster` alone. \
    Left out: the keys of the entry of `issuers` with the same name.";
