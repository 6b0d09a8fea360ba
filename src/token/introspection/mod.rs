//! Asks issuers about tokens (RFC 7662): opaque ones, which say nothing themselves, and by choice signed
//! ones after they were verified.
//!
//! Each worker asks for itself, once for a token however many requests bring it; they wait for the
//! answer. Only an answer that can be read decides anything: while there is none, nobody is let in and
//! no token is called inactive. Bounded in calls under way, calls a second, tokens that wait for their
//! call and answers kept: whoever invents tokens costs the issuer no more than that.

mod answer;
mod call;
mod server;
mod settings;
#[cfg(test)]
mod tests;

use core::ops::Range;

pub(super) use settings::{Settings, Tokens};

use super::extract::RawToken;
use super::issuers::Issuers;
use super::keys::Keys;
use super::{Rejected, Signed, VerifiedToken, reasons};
use crate::base::capabilities::Capabilities;
use crate::base::notice::Notice;
use crate::base::refusal::Refusal;
use crate::base::time::Instant;
use crate::store::{CallFailed, HttpAnswer, HttpCall};
use server::Server;

/// What one worker asks, and what it was answered.
#[derive(Debug, Default)]
pub struct Introspection {
    /// One for each issuer that is asked, at the issuer's place.
    servers: Vec<Option<Server>>,
}

/// What a call asks: the issuer at this place, the question with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inquiry {
    issuer: usize,
    number: u64,
}

/// An issuer's word that a token is active.
#[derive(Debug, Clone)]
pub(super) struct Vouched {
    /// When it counts.
    pub(super) during: Range<Instant>,
    /// Its length: that of the claims which are kept.
    pub(super) bytes: usize,
}

impl Introspection {
    /// Nothing is asked yet.
    pub fn new(issuers: &Issuers) -> Introspection {
        let server = |settings: &Settings| Server::new(settings.clone());
        let servers = issuers.iter().map(|issuer| issuer.introspection.as_ref().map(server));
        Introspection { servers: servers.collect() }
    }

    /// The calls to send now: asked on every tick. Each comes with what it asks; hand both back to
    /// [`Introspection::answered`], also when the call can't be sent.
    pub fn due(&mut self, caps: &dyn Capabilities) -> Vec<(Inquiry, HttpCall)> {
        let servers = self.servers.iter_mut().enumerate();
        let servers = servers.filter_map(|(issuer, server)| Some((issuer, server.as_mut()?)));
        servers
            .flat_map(|(issuer, server)| {
                let calls = server.due(caps).into_iter();
                calls.map(move |(number, call)| (Inquiry { issuer, number }, call))
            })
            .collect()
    }

    /// Takes the answer to a call.
    pub fn answered(
        &mut self,
        inquiry: Inquiry,
        answer: Result<HttpAnswer, CallFailed>,
        issuers: &Issuers,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        let issuer = issuers.iter().nth(inquiry.issuer)?;
        let server = self.servers.get_mut(inquiry.issuer)?.as_mut()?;
        server.answered(inquiry.number, answer, issuer, caps)
    }

    /// What an operator should read and no answer said.
    pub fn notice(&mut self, issuers: &Issuers) -> Option<Notice> {
        let mut servers = self.servers.iter_mut().zip(issuers.names());
        servers.find_map(|(server, issuer)| server.as_mut()?.notice(issuer))
    }

    /// What is known of a token: it is active, or was refused, or an answer is on its way.
    pub(super) fn known(
        &mut self,
        raw: &RawToken,
        keys: &Keys,
        now: Instant,
    ) -> Option<Result<VerifiedToken, Rejected>> {
        self.servers.iter_mut().flatten().find_map(|server| server.known(raw, keys, now))
    }

    /// Asks the issuer at this place about a token; tells those who brought it to wait.
    pub(super) fn ask(
        &mut self,
        issuer: usize,
        raw: &RawToken,
        signed: Option<Signed>,
        now: Instant,
    ) -> Rejected {
        match self.servers.get_mut(issuer) {
            Some(Some(server)) => server.ask(raw, signed, now),
            _ => Refusal::new(&reasons::INTROSPECTION_UNAVAILABLE).into(),
        }
    }
}
