//! The events of one answer on their way into force: each judged, then all remembered at once, and only
//! then acknowledged.

use core::time::Duration;

use super::memory::{Remembered, Revoked};
use super::poll::{Answer, Receipts};
use super::set::{self, Fault, Verdict};
use super::shared::{Head, Kept};
use super::stream::{Rules, Stream};
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::notice::Notice;
use crate::base::time::Instant;
use crate::store::InstanceId;

/// The events of one answer.
#[derive(Debug)]
pub(super) struct Page {
    instance: InstanceId,
    /// When the poll was sent.
    started: Instant,
    answer: Answer,
    revoked: Vec<Revoked>,
    receipts: Receipts,
    note: Option<&'static str>,
    /// Events that are neither acknowledged nor refused.
    later: usize,
}

impl Page {
    /// Of the answer to the poll that this instance sent at `started`.
    pub(super) fn new(answer: Answer, instance: InstanceId, started: Instant) -> Page {
        let receipts = Receipts::default();
        Page { instance, started, answer, revoked: Vec::new(), receipts, note: None, later: 0 }
    }

    /// Judges events until `until`, at least one: whether none is left.
    pub(super) fn judge(
        &mut self,
        rules: &Rules<'_>,
        until: Instant,
        caps: &dyn Capabilities,
    ) -> bool {
        while let Some((jti, set)) = self.answer.sets.pop() {
            match set::judge(&jti, &set, rules, caps) {
                Verdict::Taken(revoked, note) => {
                    self.revoked.extend(revoked);
                    self.note = note.or(self.note);
                    self.receipts.taken.push(jti);
                }
                Verdict::Refused(fault) => {
                    self.receipts.refused.push((jti, fault));
                }
                Verdict::Later => self.later = self.later.saturating_add(1),
            }
            if caps.now() >= until {
                break;
            }
        }
        self.answer.sets.is_empty()
    }

    /// Puts in force what the events revoked, then notes what to acknowledge.
    pub(super) fn finish(self, stream: &Stream, caps: &dyn Capabilities) -> Vec<Notice> {
        let Ok(kept) = self.publish(stream, caps) else {
            stream.lease.pause(&self.instance, stream.settings.every, caps);
            return vec![stream.failed("the host's shared data failed", caps)];
        };
        match self.later {
            0 => stream.lease.give_back(&self.instance, caps),
            _ => stream.lease.pause(&self.instance, stream.settings.every, caps),
        }
        self.notices(stream, kept, caps)
    }

    fn publish(&self, stream: &Stream, caps: &dyn Capabilities) -> Result<Kept, HostFailed> {
        let kept = stream.shared.remember(&self.revoked, stream.floor(self.started), caps)?;
        let before = stream.shared.head(caps).unwrap_or_default();
        let whole = self.later == 0 && !self.answer.more;
        let complete = match before {
            _ if whole => self.started,
            Some(before) if !kept.anew => before.complete,
            _ => Instant::default(),
        };
        let at_once = caps.now().plus(AT_ONCE);
        let next = match self.answer.more {
            true => at_once,
            // The answer may have taken that long.
            false => self.started.plus(stream.settings.every).max(at_once),
        };
        stream.shared.write_head(&Head { generation: kept.generation, complete, next }, caps)?;
        stream.shared.write_receipts(&self.receipts, caps)?;
        Ok(kept)
    }

    fn notices(&self, stream: &Stream, kept: Kept, caps: &dyn Capabilities) -> Vec<Notice> {
        let name = stream.name();
        let mut notices = Vec::new();
        if kept.anew {
            let since = stream.floor(self.started).0;
            notices.push(Notice::info(format!(
                "events of `{name}`: nothing is remembered from before; tokens issued until {since} \
                 (seconds since 1970) are refused"
            )));
        }
        match kept.remembered {
            Remembered::Known => (),
            Remembered::More => notices.push(Notice::info(format!(
                "events of `{name}`: {} were taken, {} entries are in force",
                self.receipts.taken.len(),
                kept.entries
            ))),
            Remembered::Full => notices.push(Notice::warn(format!(
                "events of `{name}`: there are more than can be remembered; every token issued \
                 until now is refused instead"
            ))),
        }
        if let Some((jti, fault)) = self.receipts.refused.first() {
            notices.push(Notice::warn(refused(name, self.receipts.refused.len(), jti, *fault)));
        }
        if self.later > 0 {
            notices.push(stream.failed("the keys that signed them are not there yet", caps));
        }
        let note = self.note.map(|note| Notice::warn(format!("events of `{name}`: {note}")));
        notices.extend(note);
        notices
    }
}

fn refused(name: &str, count: usize, jti: &str, fault: Fault) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '?' };
    let jti: String = jti.chars().take(64).map(plain).collect();
    let (code, why) = (fault.code(), fault.describe());
    format!("events of `{name}`: {count} were refused, the first is `{jti}`: {code}, {why}")
}

/// Every worker has ticked by then: what the next poll acknowledges is in force everywhere.
pub(super) const AT_ONCE: Duration = Duration::from_millis(500);
