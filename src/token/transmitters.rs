//! Who signs security events but no tokens: known by a name and keys of its own. What it signs is never
//! an access token.

use core::time::Duration;

use super::algorithm::Algorithm;
use super::claims::ClaimNames;
use super::issuers::{
    DEFAULT_ALGORITHMS, DOC_ALGORITHMS, Issuer, Issuers, KeySource, check_not_empty, read_keys,
};
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

impl Issuers {
    /// Trusts these to sign events, never tokens.
    pub fn trust(&mut self, transmitters: impl IntoIterator<Item = Transmitter>) {
        self.transmitters.extend(transmitters.into_iter().map(|Transmitter(issuer)| issuer));
    }

    /// The longest that a token of this issuer, or of any, may live, clocks that are off included.
    pub fn longest_lifetime(&self, name: Option<&str>) -> Duration {
        let issuers = self.issuers.iter().filter(|one| name.is_none_or(|name| name == one.name));
        let lifetimes = issuers.map(|one| one.max_lifetime.saturating_add(one.clock_skew));
        lifetimes.max().unwrap_or_default()
    }

    /// Whose keys verify the events of this transmitter, and its place: its own, else those of the
    /// issuer of the same name.
    pub(super) fn transmitter(&self, name: &str) -> Option<(usize, &Issuer)> {
        let places = self.issuers.len()..;
        let mut own = places.zip(&self.transmitters);
        own.find(|(_, one)| one.name == name).or_else(|| self.named(name))
    }
}

impl Issuer {
    /// Who signs documents but no tokens.
    fn signing(name: String, algorithms: Vec<Algorithm>, keys: KeySource) -> Issuer {
        Issuer {
            name,
            audiences: Vec::new(),
            algorithms,
            keys,
            max_lifetime: Duration::ZERO,
            clock_skew: CLOCK_SKEW,
            require: Vec::new(),
            types: Vec::new(),
            claims: ClaimNames::default(),
            encryption: None,
            introspection: None,
        }
    }
}

/// How far a transmitter's clock may be off.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

const DOC_JWKS: &str = "The transmitter's keys: `inline`, or `cluster` and `url`, or `cluster` alone. \
    Left out: the keys of the entry of `issuers` with the same name.";
