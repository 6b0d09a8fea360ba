//! Where an issuer's key set is, by the issuer's own metadata (OpenID Connect Discovery 1.0 section 4,
//! RFC 8414): pulled by one instance for all like the set itself, and checked, since whoever names the
//! set names the keys.

use core::time::Duration;

use super::issuers::{Issuer, RemoteKeys};
use super::keys;
use crate::base::capabilities::{Capabilities, Written};
use crate::base::json;
use crate::store::{
    CallFailed, Feed, Fetched, Generation, HttpAnswer, HttpCall, HttpUrl, InstanceId, Source,
};

/// The metadata of one issuer.
#[derive(Debug)]
pub(super) struct Discovery {
    feed: Feed,
    /// The key set's source but for its URL.
    keys: Source,
    /// The issuer's host, reached by the cluster.
    authority: String,
    seen: Option<Generation>,
}

impl Discovery {
    /// The metadata at this URL.
    pub(super) fn new(issuer: &Issuer, remote: &RemoteKeys, url: &HttpUrl) -> Discovery {
        let source = Source {
            name: format!("metadata of {}", issuer.name),
            cluster: remote.cluster.clone(),
            url: url.clone(),
            every: remote.refresh,
            timeout: TIMEOUT,
            max_bytes: MAX_DOCUMENT,
            accept: "application/json",
        };
        let keys = keys::source(issuer, remote, url);
        let authority = url.authority().to_owned();
        Discovery { feed: Feed::new(source), keys, authority, seen: None }
    }

    /// The call to make now, see [`Feed::due`].
    pub(super) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Option<HttpCall> {
        self.feed.due(instance, caps)
    }

    /// Takes the answer; gives what is wrong with it.
    pub(super) fn answered(
        &mut self,
        issuer: &str,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<String> {
        let (body, receipt) = match self.feed.answered(answer, caps) {
            Fetched::Unchanged => return None,
            Fetched::Failed(why) => return Some(format!("its metadata: {why}")),
            Fetched::New { body, receipt } => (body, receipt),
        };
        match self.read(issuer, &body) {
            Ok(url) => {
                let payload = url.to_string().into_bytes();
                match self.feed.publish(receipt, Generation::draw(caps), payload, caps) {
                    Ok(Written::Done | Written::Raced) => None,
                    Err(_) => Some("its metadata: the host's shared data failed".to_owned()),
                }
            }
            Err(why) => {
                self.feed.reject(receipt, caps);
                Some(format!("its metadata: {why}"))
            }
        }
    }

    /// The metadata's source.
    pub(super) const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The key set's source, when it is another one than before.
    pub(super) fn found(&mut self, caps: &dyn Capabilities) -> Option<Source> {
        let head = self.feed.head(caps).ok()??;
        if self.seen == Some(head.generation) {
            return None;
        }
        self.seen = Some(head.generation);
        let url = core::str::from_utf8(&head.payload).ok().map(HttpUrl::read);
        let Some(Ok(url)) = url.filter(|url| url.as_ref().is_ok_and(|url| self.is_ours(url)))
        else {
            self.feed.report_broken(head.generation);
            return None;
        };
        Some(Source { url, ..self.keys.clone() })
    }

    /// The URL of the key set, if the metadata is the issuer's and the set is where the cluster leads.
    fn read(&self, issuer: &str, body: &[u8]) -> Result<HttpUrl, &'static str> {
        let metadata = json::parse(body).map_err(|_| "it is not JSON")?;
        let text = |name: &str| metadata.get(name).and_then(|value| value.as_str());
        // Section 4.3: it must be identical.
        if text("issuer") != Some(issuer) {
            return Err("its `issuer` is another one");
        }
        let url = HttpUrl::read(text("jwks_uri").ok_or("it has no `jwks_uri`")?)?;
        match self.is_ours(&url) {
            true => Ok(url),
            false => Err("its `jwks_uri` is on another host than the issuer: configure `jwks.url`"),
        }
    }

    fn is_ours(&self, url: &HttpUrl) -> bool {
        url.authority().eq_ignore_ascii_case(&self.authority)
    }
}

/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_DOCUMENT: usize = 256 * 1024;

#[cfg(test)]
mod tests;
