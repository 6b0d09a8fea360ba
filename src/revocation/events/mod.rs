//! Security events (OpenID Shared Signals, CAEP) that revoke tokens, asked for by poll (RFC 8936).
//!
//! One instance polls for all. An event is acknowledged only when what it revokes is in shared data and
//! every worker had time to adopt it; until then the transmitter keeps it. What was acknowledged is
//! remembered as long as a token can live. A start of Envoy forgets it: by default tokens that were
//! issued before are refused then, since nobody could tell which of them were revoked.

mod memory;
mod page;
mod poll;
mod set;
mod settings;
mod shared;
mod stream;
mod subject;

use core::time::Duration;

use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::revocation::Freshness;
use crate::store::{CallFailed, HttpAnswer, HttpCall, InstanceId, Status};
use crate::token::{Claims, Issuers, Keys};
pub(super) use settings::Settings;
use stream::{Seen, Stream};

/// For each stream by which events the token was last found live.
#[derive(Debug, Clone, Default)]
pub(super) struct Checked(Vec<Seen>);

/// One instance's view of all streams.
#[derive(Debug)]
pub(super) struct Events {
    streams: Vec<Stream>,
}

impl Events {
    /// Nothing is asked for before the first tick.
    pub(super) fn new(settings: Settings, issuers: &Issuers) -> Events {
        let streams = settings.0.into_iter().map(|stream| Stream::new(stream, issuers));
        Events { streams: streams.collect() }
    }

    /// Lets a token pass that no event revoked.
    ///
    /// # Errors
    ///
    /// One of [`super::reasons`].
    pub(super) fn check(
        &mut self,
        claims: &Claims,
        checked: &mut Checked,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        checked.0.resize(self.streams.len(), None);
        let mut freshness = Freshness::NoList;
        for (stream, seen) in self.streams.iter_mut().zip(&mut checked.0) {
            freshness = freshness.and(stream.check(claims, seen, caps)?);
        }
        Ok(freshness)
    }

    /// The polls that this instance should make now, each with the place of its stream.
    pub(super) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Vec<(usize, HttpCall)> {
        let streams = self.streams.iter_mut().enumerate();
        streams.filter_map(|(place, stream)| Some((place, stream.due(instance, caps)?))).collect()
    }

    /// Takes the answer to a poll. What it brought is put in force by [`Events::work`].
    pub(super) fn answered(
        &mut self,
        place: usize,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        self.streams.get_mut(place)?.answered(answer, caps)
    }

    /// Works on what the polls brought, for one slice of time.
    pub(super) fn work(
        &mut self,
        issuers: &Issuers,
        keys: &Keys,
        caps: &dyn Capabilities,
    ) -> Vec<Notice> {
        let until = caps.now().plus(SLICE);
        let streams = self.streams.iter_mut();
        streams.flat_map(|stream| stream.work(until, issuers, keys, caps)).collect()
    }

    /// Whether there is work left.
    pub(super) fn busy(&self) -> bool {
        self.streams.iter().any(Stream::busy)
    }

    /// What is in force of each stream.
    pub(super) fn statuses(&self, caps: &dyn Capabilities) -> impl Iterator<Item = Status> {
        let streams = self.streams.iter().enumerate();
        streams.map(|(place, stream)| stream.status(place, caps))
    }

    /// Adopts what is in force: on every tick.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) {
        for stream in &mut self.streams {
            stream.refresh(caps);
        }
    }
}

/// How long a worker is kept from its requests at a time.
const SLICE: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests;
