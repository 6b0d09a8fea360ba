//! Sessions that end by themselves: automatic logoff (45 CFR 164.312(a)(2)(iii)) by idle time and by
//! age.
//!
//! A session is what the issuer says it is (`sid`, OpenID Connect Front-Channel Logout section 3), else
//! the single token (`jti`). It begins when it is first seen, or at `auth_time` (OpenID Connect Core
//! section 2) when that is earlier. One that ended stays so for every token and every client, as long
//! as it is remembered. What is remembered of it is written at most once a second.

use core::time::Duration;

use super::reasons;
use super::settings::{Rule, Settings};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::UnixSeconds;
use crate::store::bytes::Reader;
use crate::store::table::{Slot, Table, TableFailed};
use crate::token::Claims;

/// The sessions, as one instance knows them.
#[derive(Debug)]
pub struct Sessions {
    settings: Settings,
    table: Table<Session>,
}

impl Sessions {
    /// Sessions by these rules.
    pub fn new(settings: Settings) -> Sessions {
        let table = Table::new("sessions", settings.capacity);
        Sessions { settings, table }
    }

    /// Lets a token pass whose session goes on, and notes that it was used.
    pub(super) fn admit(&self, claims: &Claims, caps: &dyn Capabilities) -> Result<(), Refusal> {
        let Some(rule) = self.settings.applied(claims).rule else { return Ok(()) };
        let name = name(claims).ok_or(&reasons::SESSION_UNNAMED)?;
        let now = caps.now().seconds();
        let ended = self.table.update(&name, now, caps, |known| {
            let next = Session::next(known, rule, claims.authenticated, now);
            (Some(next).filter(|_| known != Some(next)), next.ended)
        });
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(end)) => Err(Refusal::new(end.reason())),
            Err(TableFailed::Contended) => Err(passing(&reasons::SESSION_CONTENDED)),
            Err(TableFailed::Host) => Err(passing(&reasons::SESSION_UNREADABLE)),
        }
    }

    /// Adopts the table's secret. A failure shows at the next request.
    pub(super) fn refresh(&self, caps: &dyn Capabilities) {
        self.table.refresh(caps).unwrap_or_default();
    }
}

/// What is remembered of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    begun: UnixSeconds,
    seen: UnixSeconds,
    ended: Option<End>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Idle,
    Over,
}

impl Session {
    /// The session after a request at `now`. Seconds count whole: it ends on time or up to a second
    /// early, never late.
    fn next(
        known: Option<Session>,
        rule: &Rule,
        authenticated: Option<UnixSeconds>,
        now: UnixSeconds,
    ) -> Session {
        let known = known.unwrap_or(Session { begun: now, seen: now, ended: None });
        let begun = known.begun.min(authenticated.unwrap_or(now)).min(now);
        let ended = known.ended.or_else(|| {
            let past = |limit: Option<Duration>, since: UnixSeconds| {
                limit.is_some_and(|limit| now >= since.plus(limit))
            };
            let over = past(rule.lifetime, begun).then_some(End::Over);
            over.or_else(|| past(rule.idle, known.seen).then_some(End::Idle))
        });
        Session { begun, seen: seen(known.seen, now), ended }
    }
}

/// When it was last seen. Another worker may have been a second ahead; what is further ahead is of
/// before the clock was set back, and counts from now.
fn seen(known: UnixSeconds, now: UnixSeconds) -> UnixSeconds {
    if known > now.plus(AHEAD) { now } else { known.max(now) }
}

impl Slot for Session {
    const BYTES: usize = 17;

    fn encode(&self, value: &mut Vec<u8>) {
        value.extend(self.begun.0.to_be_bytes());
        value.extend(self.seen.0.to_be_bytes());
        value.push(match self.ended {
            None => 0,
            Some(End::Idle) => 1,
            Some(End::Over) => 2,
        });
    }

    fn decode(value: &mut Reader<'_>) -> Option<Session> {
        let (begun, seen) = (UnixSeconds(value.u64()?), UnixSeconds(value.u64()?));
        let ended = match value.u8()? {
            0 => None,
            1 => Some(End::Idle),
            2 => Some(End::Over),
            _ => return None,
        };
        Some(Session { begun, seen, ended })
    }

    fn used(&self) -> UnixSeconds {
        self.seen
    }
}

impl End {
    const fn reason(self) -> &'static Reason {
        match self {
            End::Idle => &reasons::SESSION_IDLE,
            End::Over => &reasons::SESSION_OVER,
        }
    }
}

/// The session's key: whose it is, and by which claim. `None`: the token names none.
fn name(claims: &Claims) -> Option<Vec<u8>> {
    let session = claims.session.as_deref().map(|name| (b's', name));
    let token = claims.token_id.as_deref().map(|name| (b't', name));
    let (kind, name) = session.or(token)?;
    let mut key = vec![kind];
    key.extend(u64::try_from(claims.issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
    key.extend(claims.issuer.as_bytes());
    key.extend(name.as_bytes());
    Some(key)
}

/// A refusal that passes.
fn passing(reason: &'static Reason) -> Refusal {
    Refusal::new(reason).retry_after(Duration::from_secs(1))
}

const AHEAD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
