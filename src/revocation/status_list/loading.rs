//! A list on its way from the answer that brought it into force, in slices: its signature and what it
//! says first, then its statuses piece by piece.

use core::time::Duration;

use super::document::{self, Document};
use super::list::List;
use super::statuses::{Identity, Summary, tag};
use super::unpacking::{Unpacked, Unpacking};
use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::notice::Notice;
use crate::base::time::Instant;
use crate::store::{Generation, Receipt};
use crate::token::{Issuers, Keys, signed};

/// A list on its way.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) place: usize,
    identity: Identity,
    receipt: Receipt,
    step: Step,
    /// When to give up waiting for the issuer's keys.
    patience: Instant,
}

#[derive(Debug)]
enum Step {
    /// The document, nothing of it proven.
    Fetched(Vec<u8>),
    /// The document is good; its statuses are being unpacked.
    Unpacking(Box<Document>, Box<Unpacking>),
}

/// What came of a slice.
pub(super) enum Slice {
    /// There is more to do.
    Partly(Loading),
    /// The issuer's keys are on their way.
    Waits(Loading),
    /// It is over.
    Done(Option<Notice>),
}

impl Loading {
    /// Of what was fetched for this list at this place.
    pub(super) fn new(
        place: usize,
        list: &List,
        body: Vec<u8>,
        receipt: Receipt,
        now: Instant,
    ) -> Loading {
        let step = Step::Fetched(body);
        Loading { place, identity: list.identity, receipt, step, patience: now.plus(PATIENCE) }
    }

    /// Whether its next step takes long enough to have a slice to itself.
    pub(super) fn is_heavy(&self) -> bool {
        matches!(&self.step, Step::Fetched(body) if body.len() > HEAVY)
    }

    /// Works on it until `until`, at least one step.
    pub(super) fn work(
        self,
        list: &mut List,
        until: Instant,
        trusted: (&Issuers, &Keys),
        caps: &dyn Capabilities,
    ) -> Slice {
        let Loading { place, identity, receipt, step, patience } = self;
        if list.identity != identity {
            // Another list has the place by now, and its lease: nobody waits for this one.
            list.feed.finish(receipt, caps);
            return Slice::Done(None);
        }
        let step = match step {
            Step::Fetched(body) => match examine(&body, list, trusted, caps) {
                Ok(Examined::Same(summary, generation)) => {
                    return publish(list, receipt, generation, &summary, caps);
                }
                Ok(Examined::New(document, unpacking)) => Step::Unpacking(document, unpacking),
                Err(Unusable::Yet) if caps.now() < patience => {
                    let step = Step::Fetched(body);
                    return Slice::Waits(Loading { place, identity, receipt, step, patience });
                }
                Err(Unusable::Yet) => return reject(list, receipt, NO_KEYS, caps),
                Err(Unusable::Ever(problem)) => return reject(list, receipt, &problem, caps),
            },
            Step::Unpacking(document, mut unpacking) => loop {
                match unpacking.step(&list.feed, caps) {
                    Err(problem) => return reject(list, receipt, problem, caps),
                    Ok(Unpacked::Whole(length)) => {
                        let summary = summary(&document, &unpacking, length, list);
                        return publish(list, receipt, unpacking.generation, &summary, caps);
                    }
                    Ok(Unpacked::Partly) if caps.now() < until => (),
                    Ok(Unpacked::Partly) => break Step::Unpacking(document, unpacking),
                }
            },
        };
        Slice::Partly(Loading { place, identity, receipt, step, patience })
    }
}

/// What a document turned out to be.
enum Examined {
    /// The statuses in force, signed anew.
    Same(Summary, Generation),
    /// Others.
    New(Box<Document>, Box<Unpacking>),
}

/// Why a document can't be used.
enum Unusable {
    /// The keys to verify it are on their way.
    Yet,
    /// This is wrong with it.
    Ever(String),
}

impl From<&str> for Unusable {
    fn from(problem: &str) -> Unusable {
        Unusable::Ever(problem.to_owned())
    }
}

/// Verifies a document and reads what it says.
fn examine(
    body: &[u8],
    list: &List,
    (issuers, keys): (&Issuers, &Keys),
    caps: &dyn Capabilities,
) -> Result<Examined, Unusable> {
    let text = core::str::from_utf8(body).map_err(|_| "it is not text")?;
    let signed = signed::verify(text, "statuslist+jwt", &list.name.issuer, issuers, keys, caps)
        .map_err(|refusal| match refusal.pending {
            true => Unusable::Yet,
            false => Unusable::Ever(format!("it can't be trusted: `{}`", refusal.reason.code)),
        })?;
    let mut document = document::read(&signed, &list.name.uri)?;
    let in_force = list.view.as_ref().ok().and_then(Option::as_ref);
    if in_force.is_some_and(|list| document.issued_at < list.summary.issued_at) {
        return Err("it was issued before the one in force".into());
    }
    if let Some(list) = in_force.filter(|one| list.torn != Some(one.head.generation)) {
        let generation = list.head.generation;
        if tag(&generation, document.bits, &document.packed) == list.summary.tag {
            let Document { issued_at, good_until, ttl, .. } = document;
            let summary = Summary { issued_at, good_until, ttl, ..list.summary.clone() };
            return Ok(Examined::Same(summary, generation));
        }
    }
    let side = u8::from(in_force.is_some_and(|list| list.summary.side == 0));
    let packed = core::mem::take(&mut document.packed);
    let generation = Generation::draw(caps);
    let tag = tag(&generation, document.bits, &packed);
    let unpacking = Unpacking::new(packed, tag, list.max_bytes, generation, side);
    Ok(Examined::New(Box::new(document), Box::new(unpacking)))
}

fn summary(document: &Document, unpacking: &Unpacking, length: usize, list: &List) -> Summary {
    Summary {
        identity: list.identity,
        issued_at: document.issued_at,
        good_until: document.good_until,
        ttl: document.ttl,
        side: unpacking.side,
        bits: document.bits,
        length: u64::try_from(length).unwrap_or(u64::MAX),
        tag: unpacking.tag,
    }
}

fn publish(
    list: &mut List,
    receipt: Receipt,
    generation: Generation,
    summary: &Summary,
    caps: &dyn Capabilities,
) -> Slice {
    let is_new = !matches!(&list.view, Ok(Some(list)) if list.head.generation == generation);
    let written = list.feed.publish(receipt, generation, summary.encode(), caps);
    list.refresh(caps);
    Slice::Done(match written {
        Ok(Written::Done) if is_new => Some(Notice::info(format!(
            "status list `{}`: {} statuses of {} bits are in force",
            list.name.uri,
            summary.tokens(),
            summary.bits
        ))),
        Ok(_) => None,
        Err(HostFailed) => Some(list.not_renewed("the host's shared data failed", caps)),
    })
}

fn reject(list: &mut List, receipt: Receipt, problem: &str, caps: &dyn Capabilities) -> Slice {
    list.feed.reject(receipt, caps);
    Slice::Done(Some(list.not_renewed(problem, caps)))
}

/// A document up to this many bytes is verified and read in less than a millisecond; one of a megabyte
/// takes two to four.
const HEAVY: usize = 128 * 1024;
/// How long a worker is kept at a time. One step more takes less than a millisecond.
pub(super) const SLICE: Duration = Duration::from_millis(2);
/// How long a document waits for the keys that verify it.
const PATIENCE: Duration = Duration::from_secs(5);
const NO_KEYS: &str = "the issuer's keys that would verify it did not come";
