//! A list, or what changed of one, on its way into shared data: page by page, in small steps.

use core::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::InForce;
use super::context::Context;
use super::delta::Delta;
use super::full::Full;
use super::limits::Limits;
use super::page::{Header, Page};
use super::summary::Summary;
use super::table::Broken;
use super::value::Top;
use super::version::check_version;
use crate::base::time::Instant;
use crate::store::{Generation, HttpAnswer, HttpCall, Receipt};

/// A list on its way.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) receipt: Receipt,
    /// What was in force when it began.
    before: Option<InForce>,
    /// Keys the hashes of its entries.
    summary: Summary,
    pages: u32,
    read: u64,
    /// What the first page says.
    header: Header,
    job: Option<Job>,
    step: Step,
    torn: bool,
}

/// What is done with the entries. Decided when the first page was read whole.
#[derive(Debug)]
enum Job {
    Full(Full),
    Delta(Delta),
}

#[derive(Debug)]
enum Step {
    /// The first page's digest is being taken.
    Digest { body: Vec<u8>, at: usize, hash: Digest },
    /// A page is being read.
    Read(Page),
    /// The entries of a page are being added, from these on.
    Add { page: Page, entries: usize, removed: usize },
    /// Another page is to be asked for; `None`: the list from its beginning.
    Ask(Option<String>),
    /// It was asked for then.
    Wait(Instant),
    /// All pages were read, and are being written.
    Write,
}

/// SHA-256 of what came so far.
struct Digest(hmac_sha256::Hash);

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest")
    }
}

/// What a step came to.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is more to do.
    More,
    /// It is the list in force.
    Unchanged,
    /// A list was put in force; what an operator reads of it.
    InForce(Option<String>),
}

impl Loading {
    /// Reads the answer to the first call.
    pub(super) fn new(
        receipt: Receipt,
        body: Vec<u8>,
        before: Option<InForce>,
        context: &Context<'_>,
    ) -> Loading {
        let mut hash = hmac_sha256::Hash::new();
        if let Some(query) = receipt.query() {
            // Another question, another answer, though it may have the same bytes.
            hash.update(query.as_bytes());
            hash.update(b"\n");
        }
        let step = Step::Digest { body, at: 0, hash: Digest(hash) };
        Loading::at(step, receipt, before, context)
    }

    /// Asks for the full list, for want of what was asked for first.
    pub(super) fn again(
        receipt: Receipt,
        before: Option<InForce>,
        context: &Context<'_>,
    ) -> Loading {
        Loading::at(Step::Ask(None), receipt.asking(None), before, context)
    }

    fn at(step: Step, receipt: Receipt, before: Option<InForce>, context: &Context<'_>) -> Loading {
        let summary = before.as_ref().map(|list| list.summary.clone());
        let summary = summary.unwrap_or_else(|| Summary::empty(context.caps));
        let header = Header::default();
        Loading {
            receipt,
            before,
            summary,
            pages: 1,
            read: 0,
            header,
            job: None,
            step,
            torn: false,
        }
    }

    /// Whether it waits for an answer.
    pub(super) fn waits(&self) -> bool {
        matches!(self.step, Step::Wait(_))
    }

    /// Whether all pages were read, and are being written.
    pub(super) fn writes(&self) -> bool {
        matches!(self.step, Step::Write)
    }

    /// Whether it has a call to make.
    pub(super) fn asks(&self) -> bool {
        matches!(self.step, Step::Ask(_))
    }

    /// Whether it broke off because shared data is not what it should be.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// The list in force that it changes, if it does.
    pub(super) fn changes(&self) -> Option<Generation> {
        let list = self.before.as_ref().filter(|_| matches!(self.job, Some(Job::Delta(_))));
        list.map(|list| list.head.generation)
    }

    /// The call to make now.
    pub(super) fn due(&mut self, context: &Context<'_>) -> Option<HttpCall> {
        let Step::Ask(page) = &self.step else { return None };
        let page = page.as_ref().map(|page| format!("page={}", encoded(page)));
        let query: Vec<&str> = self.receipt.query().into_iter().chain(page.as_deref()).collect();
        let query = (!query.is_empty()).then(|| query.join("&"));
        let call = context.feed.further(query.as_deref());
        self.step = Step::Wait(context.caps.now());
        Some(call)
    }

    /// Takes the answer to that call.
    pub(super) fn answered(&mut self, answer: HttpAnswer, limits: &Limits) -> Result<(), String> {
        self.pages = self.pages.saturating_add(1);
        if self.pages > limits.pages {
            return Err(format!("it has more than {} pages", limits.pages));
        }
        self.step = Step::Read(self.page(answer.body, limits));
        Ok(())
    }

    fn page(&self, body: Vec<u8>, limits: &Limits) -> Page {
        Page::new(body, self.summary.secret, limits.entries.saturating_sub(self.read))
    }

    /// Does one step, of half a millisecond or so.
    pub(super) fn step(
        &mut self,
        limits: &Limits,
        context: &Context<'_>,
    ) -> Result<Progress, String> {
        match core::mem::replace(&mut self.step, Step::Write) {
            Step::Digest { body, at, mut hash } => {
                let until = at.saturating_add(DIGESTED).min(body.len());
                hash.0.update(body.get(at..until).unwrap_or_default());
                if until < body.len() {
                    self.step = Step::Digest { body, at: until, hash };
                    return Ok(Progress::More);
                }
                self.digested(body, hash.0.finalize(), limits, context)
            }
            Step::Read(mut page) => {
                let whole = page.advance(ENTRIES).map_err(|problem| self.unusable(&problem))?;
                if whole {
                    self.check(&page, limits, context)
                        .map_err(|problem| self.unusable(&problem))?;
                }
                self.step = if whole {
                    Step::Add { page, entries: 0, removed: 0 }
                } else {
                    Step::Read(page)
                };
                Ok(Progress::More)
            }
            Step::Add { page, entries, removed } => {
                let added = self.add(page, entries, removed, limits, context);
                added.map_err(|broken| self.broken(broken))
            }
            Step::Write => {
                let written = self.write(limits, context);
                written.map_err(|broken| self.broken(broken))
            }
            Step::Wait(since) if context.caps.now().since(since) > context.feed.patience() => {
                Err("no answer".to_owned())
            }
            step @ (Step::Ask(_) | Step::Wait(_)) => {
                self.step = step;
                Ok(Progress::More)
            }
        }
    }

    fn digested(
        &mut self,
        body: Vec<u8>,
        digest: [u8; 32],
        limits: &Limits,
        context: &Context<'_>,
    ) -> Result<Progress, String> {
        self.receipt.set_digest(digest);
        match context.feed.renewed(&self.receipt, context.caps) {
            Some(renewed) => renewed.map(|()| Progress::Unchanged),
            None => {
                self.step = Step::Read(self.page(body, limits));
                Ok(Progress::More)
            }
        }
    }

    /// What the page says of the list is checked before anything is done with its entries.
    fn check(&mut self, page: &Page, limits: &Limits, context: &Context<'_>) -> Result<(), String> {
        let Header { version, exact, since, next, deltas, .. } = &page.header;
        if (next.is_some() || *deltas || since.is_some() || self.job.is_some()) && !exact {
            return Err("with pages or changes it needs a `version` of up to 64 letters, digits \
                        and `-_.:+`"
                .to_owned());
        }
        if page.has(Top::Removed) && since.is_none() {
            return Err("`removed` stands without `since`".to_owned());
        }
        if self.job.is_some() {
            if (version, since) != (&self.header.version, &self.header.since) {
                return Err("the list changed from one page to the next".to_owned());
            }
        } else {
            check_version(&self.summary.version, version.as_deref().unwrap_or_default())?;
            self.job = Some(self.begin(&page.header, limits, context)?);
            self.header = page.header.clone();
        }
        if let Some(Job::Delta(delta)) = &self.job {
            if delta.len().saturating_add(page.read()) > limits.delta {
                return Err(format!("more than {} changes: serve the full list", limits.delta));
            }
            if next.is_none() && delta.entries_after(page) > limits.entries {
                return Err(format!("a list has at most {} entries", limits.entries));
            }
        }
        self.read = self.read.saturating_add(u64::try_from(page.read()).unwrap_or(u64::MAX));
        if let (Some(Job::Full(full)), None) = (&mut self.job, next) {
            full.end(self.read);
        }
        Ok(())
    }

    fn begin(
        &self,
        header: &Header,
        limits: &Limits,
        context: &Context<'_>,
    ) -> Result<Job, String> {
        if header.total.is_some_and(|total| total > limits.entries) {
            return Err(format!("a list has at most {} entries", limits.entries));
        }
        let Some(since) = &header.since else {
            return Ok(Job::Full(Full::new(self.summary.clone(), header, context.caps.now())));
        };
        match &self.before {
            Some(list) if self.receipt.query().is_some() && *since == list.summary.version => {
                Ok(Job::Delta(Delta::new(list.clone(), context)))
            }
            _ => Err("it says the changes since another version than was asked for".to_owned()),
        }
    }

    fn add(
        &mut self,
        page: Page,
        mut entries: usize,
        mut removed: usize,
        limits: &Limits,
        context: &Context<'_>,
    ) -> Result<Progress, Broken> {
        match &mut self.job {
            Some(Job::Full(full)) if full.is_full(limits) => {
                let _ = full.write(context)?;
            }
            Some(Job::Full(full)) => {
                let some = page.entries.iter().skip(entries).take(ADDED);
                some.for_each(|record| full.add(*record, limits));
                entries = entries.saturating_add(ADDED);
                removed = page.removed.len();
            }
            Some(Job::Delta(delta)) => {
                let some = page.entries.iter().skip(entries).take(ADDED);
                some.for_each(|record| delta.add(*record));
                let some = page.removed.iter().skip(removed).take(ADDED);
                some.for_each(|record| delta.remove(*record));
                entries = entries.saturating_add(ADDED);
                removed = removed.saturating_add(ADDED);
            }
            None => (),
        }
        self.step = if entries < page.entries.len() || removed < page.removed.len() {
            Step::Add { page, entries, removed }
        } else {
            page.header.next.map_or(Step::Write, |next| Step::Ask(Some(next)))
        };
        Ok(Progress::More)
    }

    fn write(&mut self, limits: &Limits, context: &Context<'_>) -> Result<Progress, Broken> {
        let Loading { receipt, header, job, .. } = self;
        let (head, told) = match job {
            Some(Job::Full(full)) => {
                if full.is_to_write() && !full.write(context)? {
                    return Ok(Progress::More);
                }
                let next = header.version.as_deref().filter(|_| header.deltas).map(since);
                receipt.keep_etag_for(next.as_deref());
                (full.head(receipt, header, context)?, Some(full.told()))
            }
            Some(Job::Delta(delta)) => {
                if !delta.write(limits, context)? {
                    return Ok(Progress::More);
                }
                let next = header.version.as_deref().map(since);
                receipt.keep_etag_for(next.as_deref());
                (delta.head(receipt, header), delta.told())
            }
            None => return Err(Broken::Torn),
        };
        context.put(&head)?;
        let version = header.version.as_deref().unwrap_or_default();
        Ok(Progress::InForce(told.map(|told| format!("version `{version}`: {told}"))))
    }

    fn broken(&mut self, broken: Broken) -> String {
        self.torn = broken == Broken::Torn;
        match broken {
            Broken::Host => "the host's shared data failed",
            Broken::Torn => "its parts in shared data were changed by somebody else",
            Broken::Crowded => "too many of its entries name the same",
        }
        .to_owned()
    }

    fn unusable(&self, problem: &str) -> String {
        match self.pages {
            1 => format!("it can't be used: {problem}"),
            page => format!("it can't be used: page {page}: {problem}"),
        }
    }
}

/// The query that asks for what changed since this version.
pub(super) fn since(version: &str) -> String {
    format!("since={}", encoded(version))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Bytes digested in one step.
const DIGESTED: usize = 64 * 1024;
/// Entries read in one step.
const ENTRIES: usize = 64;
/// Entries added in one step.
const ADDED: usize = 512;
