//! The revocation list: pulled by one instance for all, kept in shared data, looked up by every instance.
//!
//! Entries of which there are few with the same keys are held by every instance ([`small`]); the others are
//! in buckets in shared data ([`table`]), of which a lookup reads one for each set of keys. There are two
//! slots of buckets: a full list is written to the one that is not in force, and put in force by the
//! head, written last. Changes are applied in place ([`delta`]). All of it is done in slices of a few
//! milliseconds; who does it holds the lease, and stops when it is lost.

mod bucket;
mod chores;
mod context;
mod delta;
mod entry;
mod full;
mod limits;
mod loading;
mod lookup;
mod page;
mod record;
mod small;
mod status;
mod summary;
mod table;
mod value;
mod version;

use core::time::Duration;

use super::settings::{ListSettings, WhenStale};
use super::{Freshness, reasons};
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::base::notice::Notice;
use crate::base::refusal::{Reason, Refusal};
use crate::base::time::Instant;
use crate::store::{
    Ask, CallFailed, Feed, Generation, Head, HttpAnswer, HttpCall, InstanceId, Receipt, Received,
};
use crate::token::Claims;
use chores::Chores;
use context::{Context, small_key};
use limits::Limits;
use loading::{Loading, Progress, since};
use lookup::{Found, look_up};
use small::Small;
use summary::Summary;

/// One instance's view of the list, and what it does for it.
#[derive(Debug)]
pub(super) struct List {
    feed: Feed,
    max_staleness: Duration,
    when_stale: WhenStale,
    limits: Limits,
    view: Result<Option<InForce>, HostFailed>,
    task: Option<Task>,
    /// When a further page was asked for whose answer has not come yet.
    asked: Option<Instant>,
}

/// The list in force.
#[derive(Debug, Clone)]
struct InForce {
    head: Head,
    summary: Summary,
    /// `None`: it can't be read.
    small: Option<Small>,
}

/// What this instance does for all.
#[derive(Debug)]
enum Task {
    Load(Box<Loading>),
    Chores(Box<Chores>),
}

impl List {
    pub(super) fn new(settings: ListSettings) -> List {
        List {
            feed: Feed::new(settings.source),
            max_staleness: settings.max_staleness,
            when_stale: settings.when_stale,
            limits: Limits::default(),
            view: Ok(None),
            task: None,
            asked: None,
        }
    }

    /// The call to make now, if it is this instance's turn.
    pub(super) fn due(
        &mut self,
        instance: &InstanceId,
        caps: &dyn Capabilities,
    ) -> Option<HttpCall> {
        let awaits_page = self.awaits_page(caps.now());
        match &mut self.task {
            Some(Task::Load(loading)) => {
                let call = loading.due(&Context { feed: &self.feed, caps })?;
                self.asked = Some(caps.now());
                Some(call)
            }
            Some(Task::Chores(_)) => None,
            // The page of a list that was given up is awaited, lest it be taken for a whole list.
            None if awaits_page => None,
            None => {
                self.asked = None;
                self.feed.due_for(instance, ask, caps)
            }
        }
    }

    /// Takes the answer to that call. What it brought is worked on by [`List::work`].
    pub(super) fn answered(
        &mut self,
        answer: Result<HttpAnswer, CallFailed>,
        caps: &dyn Capabilities,
    ) -> Option<Notice> {
        if self.asked.take().is_some() {
            let Some(Task::Load(loading)) = &mut self.task else { return None };
            let page = self.feed.page(answer);
            let taken = page.and_then(|page| loading.answered(page, &self.limits));
            return taken.err().and_then(|problem| self.fails(&problem, caps));
        }
        let received = self.feed.received(answer, caps);
        self.refresh(caps);
        let before = self.view.as_ref().ok().cloned().flatten();
        let context = Context { feed: &self.feed, caps };
        let loading = match received {
            Received::Failed(problem) => return Some(self.not_renewed(&problem, caps)),
            Received::Unchanged(receipt) => {
                self.begin_chores(receipt, caps);
                return None;
            }
            Received::Gone(receipt) => Loading::again(receipt, before, &context),
            Received::New { body, receipt } => Loading::new(receipt, body, before, &context),
        };
        self.task = Some(Task::Load(Box::new(loading)));
        None
    }

    /// Whether there is work to do.
    pub(super) fn busy(&self) -> bool {
        match &self.task {
            Some(Task::Load(loading)) => !loading.waits(),
            Some(Task::Chores(_)) => true,
            None => false,
        }
    }

    /// Does a slice of it; gives what an operator should read of it.
    pub(super) fn work(&mut self, caps: &dyn Capabilities) -> Option<Notice> {
        let receipt = match self.task.as_ref()? {
            Task::Load(loading) => &loading.receipt,
            Task::Chores(chores) => &chores.receipt,
        };
        if !self.feed.keep(receipt, caps) {
            return self
                .fails("another instance took over, or the host's shared data failed", caps);
        }
        let began = caps.now();
        for _ in 0..self.limits.steps {
            match self.step(caps) {
                Ok(None) => (),
                Ok(told) => return told,
                Err(problem) => return self.fails(&problem, caps),
            }
            if self.is_idle() || caps.now().since(began) >= self.slice() {
                break;
            }
        }
        None
    }

    /// Adopts what is in force.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) {
        let known = self.view.as_mut().ok().and_then(Option::take);
        self.view = match self.feed.head(caps) {
            Ok(Some(head)) => {
                let generation = head.generation;
                let list = InForce::read(head, known, &self.feed, caps);
                if list.as_ref().is_none_or(|list| list.small.is_none()) {
                    self.feed.report_broken(generation);
                }
                list.map(Some).ok_or(HostFailed)
            }
            Ok(None) => Ok(None),
            Err(failed) => Err(failed),
        };
    }

    /// By what list the token is live.
    pub(super) fn judge(
        &mut self,
        claims: &Claims,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Freshness, Refusal> {
        for _ in 0..2 {
            let freshness = self.freshness(caps)?;
            match self.look_up(claims, checked, caps)? {
                Found::Nothing => return Ok(freshness),
                Found::Revoked => return Err(Refusal::new(&reasons::TOKEN_REVOKED)),
                // Either the list was replaced since the last tick, or it is torn indeed.
                Found::Torn => self.refresh(caps),
            }
        }
        if let Ok(Some(list)) = &self.view {
            self.feed.report_broken(list.head.generation);
        }
        Err(self.unknown(&reasons::REVOCATION_TORN))
    }
}

impl List {
    /// One step of the task.
    fn step(&mut self, caps: &dyn Capabilities) -> Result<Option<Notice>, String> {
        let context = Context { feed: &self.feed, caps };
        let progress = match self.task.as_mut() {
            Some(Task::Load(loading)) => loading.step(&self.limits, &context)?,
            Some(Task::Chores(chores)) => {
                if chores.step(&context).unwrap_or(true) {
                    self.end_chores(caps);
                }
                return Ok(None);
            }
            None => return Ok(None),
        };
        let told = match progress {
            Progress::More => return Ok(None),
            Progress::Unchanged => None,
            Progress::InForce(told) => told,
        };
        self.refresh(caps);
        if let Some(Task::Load(loading)) = self.task.take() {
            self.begin_chores(loading.receipt, caps);
        }
        Ok(told.map(|told| Notice::info(format!("revocation list, {told}"))))
    }

    fn begin_chores(&mut self, receipt: Receipt, caps: &dyn Capabilities) {
        let context = Context { feed: &self.feed, caps };
        let list = self.view.as_ref().ok().and_then(Option::as_ref);
        let chores = Chores::of(list, receipt, self.feed.source().every, &context);
        let none = chores.are_done();
        self.task = Some(Task::Chores(Box::new(chores)));
        if none {
            self.end_chores(caps);
        }
    }

    fn end_chores(&mut self, caps: &dyn Capabilities) {
        if let Some(Task::Chores(chores)) = self.task.take() {
            self.feed.finish(chores.receipt, caps);
            self.refresh(caps);
        }
    }

    /// Gives the task up. What was in force stays.
    fn fails(&mut self, problem: &str, caps: &dyn Capabilities) -> Option<Notice> {
        match self.task.take()? {
            Task::Load(loading) => {
                if let (true, Some(generation)) = (loading.is_torn(), loading.changes()) {
                    self.feed.report_broken(generation);
                }
                self.feed.reject(loading.receipt, caps);
                self.refresh(caps);
                Some(self.not_renewed(problem, caps))
            }
            Task::Chores(chores) => {
                self.feed.finish(chores.receipt, caps);
                None
            }
        }
    }

    /// The host answers every call; should it not, the call is forgotten.
    fn awaits_page(&self, now: Instant) -> bool {
        let patience = self.feed.patience();
        self.asked.is_some_and(|asked| now >= asked && now < asked.plus(patience))
    }

    /// Whether there is nothing to do before the next tick.
    fn is_idle(&self) -> bool {
        match &self.task {
            Some(Task::Load(loading)) => loading.waits() || loading.asks(),
            Some(Task::Chores(_)) => false,
            None => true,
        }
    }

    /// A slice ends with the step that comes to this.
    fn slice(&self) -> Duration {
        match &self.task {
            Some(Task::Load(loading)) if loading.writes() => LAST_SLICE,
            _ => SLICE,
        }
    }

    /// Whether the list may be relied on. A view that may not is looked at anew first: another
    /// instance may have published since the last tick.
    fn freshness(&mut self, caps: &dyn Capabilities) -> Result<Freshness, Refusal> {
        if !self.is_fresh(caps.now()) {
            self.refresh(caps);
        }
        let reason = match &self.view {
            Ok(_) if self.is_fresh(caps.now()) => return Ok(Freshness::Fresh),
            Ok(_) if self.when_stale == WhenStale::Allow => return Ok(Freshness::StaleAllowed),
            Ok(Some(_)) => &reasons::REVOCATION_STALE,
            Ok(None) => &reasons::REVOCATION_UNAVAILABLE,
            Err(HostFailed) => &reasons::REVOCATION_UNREADABLE,
        };
        let refusal = self.unknown(reason);
        let first = matches!(self.view, Ok(None)) && self.feed.is_coming(caps);
        Err(if first { refusal.pending() } else { refusal })
    }

    fn is_fresh(&self, now: Instant) -> bool {
        matches!(&self.view, Ok(Some(list)) if list.head.age(now) <= self.max_staleness)
    }

    /// Looks the token up, unless it was found live by this very list.
    fn look_up(
        &self,
        claims: &Claims,
        checked: &mut Option<Generation>,
        caps: &dyn Capabilities,
    ) -> Result<Found, Refusal> {
        let unreadable = |HostFailed| self.unknown(&reasons::REVOCATION_UNREADABLE);
        let view = self.view.as_ref().map_err(|failed| unreadable(*failed))?;
        // `freshness` lets nobody come here without a list unless `when_stale` is `allow`.
        let Some(list) = view else { return Ok(Found::Nothing) };
        if *checked == Some(list.head.generation) {
            return Ok(Found::Nothing);
        }
        let found = look_up(claims, list, &self.feed, caps).map_err(unreadable)?;
        *checked = Some(list.head.generation).filter(|_| found == Found::Nothing);
        Ok(found)
    }

    /// A refusal that passes with the next list.
    fn unknown(&self, reason: &'static Reason) -> Refusal {
        Refusal::new(reason).retry_after(self.feed.source().every.max(Duration::from_secs(1)))
    }

    fn not_renewed(&self, problem: &str, caps: &dyn Capabilities) -> Notice {
        self.feed.note(problem, caps);
        let source = self.feed.source();
        let left = match &self.view {
            Ok(Some(_)) => "the last good one stays in force",
            _ => "there is none in force",
        };
        Notice::warn(format!("revocation list from `{}`: {problem}; {left}", source.url))
    }
}

impl InForce {
    /// Reads what a head names. What is known of the same generation is not read again.
    fn read(
        head: Head,
        known: Option<InForce>,
        feed: &Feed,
        caps: &dyn Capabilities,
    ) -> Option<InForce> {
        let summary = Summary::decode(&head.payload)?;
        let same = known.filter(|known| known.head.generation == head.generation);
        let small = same.and_then(|known| known.small).or_else(|| {
            let shared = caps.shared(&small_key(feed, summary.small_slot)).ok().flatten()?;
            Small::decode(shared.value, &head.generation, &summary.small)
        });
        Some(InForce { head, summary, small })
    }
}

/// What to ask the server for, by what is in force.
fn ask(head: &Head) -> Ask {
    match Summary::decode(&head.payload) {
        Some(summary) if !summary.is_worn() => {
            let query = summary.deltas.then(|| since(&summary.version));
            Ask { query, anew: false }
        }
        _ => Ask { query: None, anew: true },
    }
}

/// Steps take half a millisecond or so.
const SLICE: Duration = Duration::from_millis(4);
/// The last step writes the small tier, which takes two milliseconds when it is full.
const LAST_SLICE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
