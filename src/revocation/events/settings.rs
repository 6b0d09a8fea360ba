//! `revocation.events` of the configuration: whose events are taken, and how they are asked for.

use core::time::Duration;
use std::collections::HashSet;

use crate::config::section::Section;
use crate::revocation::WhenStale;
use crate::store::HttpUrl;
use crate::token::{Issuers, Transmitter};

crate::words! {
    /// Which tokens are taken after a start, when what was acknowledged before is forgotten.
    pub(super) enum AfterRestart {
        /// None that was issued before the first answer.
        RefuseOlder = "refuse_older",
        /// Every one.
        Trust = "trust",
    }
}

/// `revocation.events`: the streams in the order of the document.
#[derive(Debug, Clone, Default)]
pub(in crate::revocation) struct Settings(pub(super) Vec<StreamSettings>);

/// One stream of events.
#[derive(Debug, Clone)]
pub(super) struct StreamSettings {
    /// `iss` of the events.
    pub(super) issuer: String,
    /// Must be in `aud` of the events.
    pub(super) audience: String,
    /// Envoy cluster that reaches the transmitter.
    pub(super) cluster: String,
    /// Where it is polled.
    pub(super) url: HttpUrl,
    /// Environment variable with the bearer token for polling.
    pub(super) token: Option<String>,
    /// The transmitter's own keys.
    pub(super) transmitter: Option<Transmitter>,
    /// From one poll to the next.
    pub(super) every: Duration,
    /// Without an answer for longer than this the stream is stale.
    pub(super) max_staleness: Duration,
    /// What happens to requests then.
    pub(super) when_stale: WhenStale,
    /// How long an event is remembered; left out: as long as a token lives, at least [`KEEP`].
    pub(super) keep: Option<Duration>,
    /// What happens when nothing is remembered.
    pub(super) after_restart: AfterRestart,
}

impl Settings {
    /// Reads the key of the section `revocation`.
    pub(in crate::revocation) fn read(section: &mut Section<'_>) -> Settings {
        let mut names = HashSet::new();
        let streams = section.optional_sections("events", DOC_EVENTS, |section| {
            let stream = read_stream(section)?;
            if names.insert(stream.issuer.clone()) {
                return Some(stream);
            }
            let problem = format!("`{}` stands in `events` twice", stream.issuer);
            section.problem("issuer", problem, "each transmitter once", None);
            None
        });
        Settings(streams)
    }

    /// Checks the streams against `issuers`, which from now on know the transmitters' keys too.
    pub(in crate::revocation) fn join(&self, issuers: &mut Issuers, section: &mut Section<'_>) {
        for (place, stream) in self.0.iter().enumerate() {
            let is_issuer = issuers.names().any(|name| name == stream.issuer);
            if !is_issuer && stream.transmitter.is_none() {
                let problem = format!("`{}` is none of `issuers`", stream.issuer);
                let hint = "or give the transmitter's own keys in `jwks`";
                let pointer = format!("revocation/events/{place}/issuer");
                section.problem_below(&pointer, problem, "one of `issuers`", Some(hint));
            }
            let longest = issuers.longest_lifetime(stream.covers(issuers));
            if stream.keep.is_some_and(|keep| keep < longest) {
                let pointer = format!("revocation/events/{place}/keep");
                let problem = "tokens live longer: a revoked one would be taken again".to_owned();
                let expected = format!("at least {} seconds", longest.as_secs());
                let hint = "`max_lifetime` and `clock_skew` of the issuer, or leave it out";
                section.problem_below(&pointer, problem, &expected, Some(hint));
            }
        }
        issuers.trust(self.0.iter().filter_map(|stream| stream.transmitter.clone()));
    }

    /// Whether there is any.
    pub(in crate::revocation) fn is_used(&self) -> bool {
        !self.0.is_empty()
    }
}

impl StreamSettings {
    /// Whose tokens its events are about: its own, or, when it issues none, everybody's.
    pub(super) fn covers<'a>(&'a self, issuers: &Issuers) -> Option<&'a str> {
        let name = self.issuer.as_str();
        issuers.names().any(|other| other == name).then_some(name)
    }
}

fn read_stream(section: &mut Section<'_>) -> Option<StreamSettings> {
    let issuer = section.required::<String>("issuer", DOC_ISSUER);
    let audience = section.required::<String>("audience", DOC_AUDIENCE);
    let cluster = section.required::<String>("cluster", DOC_CLUSTER);
    let url = section.required::<HttpUrl>("url", DOC_URL);
    let token = section.optional::<String>("token", DOC_TOKEN);
    let transmitter = Transmitter::read(section, issuer.as_deref());
    let every = section.default("every", Duration::from_secs(5), DOC_EVERY);
    let max_staleness = section.default("max_staleness", Duration::from_secs(120), DOC_STALENESS);
    let when_stale = section.default("when_stale", WhenStale::Refuse, DOC_WHEN_STALE);
    let keep = section.optional("keep", DOC_KEEP);
    let after_restart = section.default("after_restart", AfterRestart::RefuseOlder, DOC_RESTART);
    if max_staleness < every {
        section.problem(
            "max_staleness",
            "it is shorter than `every`: the stream would be stale between two polls".to_owned(),
            "at least as long as `every`, better several times that",
            None,
        );
        return None;
    }
    if section.has("jwks") && transmitter.is_none() {
        return None;
    }
    Some(StreamSettings {
        issuer: issuer?,
        audience: audience?,
        cluster: cluster?,
        url: url?,
        token,
        transmitter,
        every,
        max_staleness,
        when_stale,
        keep,
        after_restart,
    })
}

/// How long an event is remembered at least.
pub(super) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

const DOC_EVENTS: &str = "Streams of security events (OpenID Shared Signals, RFC 8936) that revoke \
    tokens. Each Envoy needs a stream of its own: what one acknowledged the next never sees.";
const DOC_ISSUER: &str = "The transmitter: `iss` of its events. When it is one of `issuers`, its events \
    are about its tokens; otherwise about all tokens.";
const DOC_AUDIENCE: &str = "What must be in `aud` of the events.";
const DOC_CLUSTER: &str = "The Envoy cluster that reaches `url`.";
const DOC_URL: &str = "Where the stream is polled.";
const DOC_TOKEN: &str = "Name of the environment variable of Envoy with the bearer token for polling. \
    Left out: none is sent.";
const DOC_EVERY: &str = "From one poll to the next: how long a revoked token can still be used.";
const DOC_STALENESS: &str = "A stream that last gave a good answer longer ago than this is stale.";
const DOC_WHEN_STALE: &str = "Whether requests are refused (503) or judged by the events there are \
    while the stream is stale or gave none yet.";
const DOC_KEEP: &str = "How long an event is remembered, at least the longest life of a token it can \
    be about. Left out: that, or `24h` if it is longer.";
const DOC_RESTART: &str = "What happens to tokens issued before the first answer after a start of \
    Envoy, when earlier events are forgotten: refused (401), or taken.";
