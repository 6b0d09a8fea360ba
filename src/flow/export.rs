//! Bulk exports after their kick-off: requests that follow a link, and answers that hold links. Mode
//! `observe` signs none; `smart.response_check` changes nothing but how files are judged, for without a
//! signature a client could not come back.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::deciding::{Caller, Passed};
use super::effect::{Effect, Next, Step};
use super::file::File;
use super::{Exchange, Waits, Worker, go_on, held_answer, reasons};
use crate::base::capabilities::Capabilities;
use crate::base::refusal::Refusal;
use crate::export::{Answering, Bound, Claimed, Course, Links};
use crate::forward;
use crate::policy::{self, Grants, Permit, ResponseCheck};
use crate::request::{Head, Headers};

/// A request that follows its own link and may go on.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) head: Head,
    permit: Permit,
    bound: Bound,
    answer: Answer,
}

/// How the answer to such a request is judged.
#[derive(Debug)]
enum Answer {
    /// Not at all.
    Passes,
    /// It may hold links.
    Links(Box<Linked>),
    /// It is a file.
    File(Box<File>),
}

/// An answer that may hold links, and whose they will be.
#[derive(Debug)]
pub(super) struct Linked {
    answering: Answering,
    links: Links,
    grants: Rc<Grants>,
}

impl Linked {
    /// The answer to the kick-off of this caller, who is refused when it could not be given back.
    pub(super) fn kickoff(
        caller: &Caller,
        head: &Head,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Box<Linked>, Refusal> {
        let links = links(caller, head, worker, caps)?;
        let grants = Rc::clone(&caller.grants);
        Ok(Box::new(Linked { answering: Answering::Kickoff, links, grants }))
    }
}

impl Exchange {
    /// Decides a request that says it follows a link.
    pub(super) fn follow(
        &mut self,
        head: Head,
        claimed: Claimed,
        worker: &mut Worker,
        caps: &dyn Capabilities,
    ) -> Result<Passed, Refusal> {
        self.record.follows(&claimed);
        let caller = self.authenticate(&head, worker, caps)?;
        let links = links(&caller, &head, worker, caps)?;
        let bound = links.open(claimed)?;
        let release = worker.config.fhir.release;
        let permit = policy::exported(&caller.token, &caller.grants, bound.of(), release)?;
        self.record.permitted(Some(&permit));
        let answer = answer(&bound, links, caller.grants, worker);
        Ok(Passed::Link(Box::new(Followed { head, permit, bound, answer })))
    }

    /// The target becomes the server's own again.
    pub(super) fn carry_out_link(
        &mut self,
        followed: Followed,
        worker: &Worker,
    ) -> Result<Step, Refusal> {
        let Followed { head, permit, bound, answer } = followed;
        let settings = &worker.config.forward;
        let mut edits =
            forward::forward(&permit, &head, None, self.record.claims(), settings)?.edits;
        edits.extend(bound.edits(matches!(answer, Answer::File(_))));
        match answer {
            Answer::Passes => {}
            Answer::Links(linked) => self.waits = Waits::Links(linked),
            Answer::File(file) => self.waits = Waits::File(file),
        }
        Ok(go_on(self.record.code(), edits, None))
    }

    /// Judges an answer that may hold links by its head.
    pub(super) fn linked_head(
        &mut self,
        linked: Box<Linked>,
        headers: &Headers,
        end_of_stream: bool,
        worker: &Worker,
    ) -> Step {
        let Some(status) = held_answer::status(headers) else {
            return self.refuse(&Refusal::new(&reasons::STATUS_UNREADABLE));
        };
        match linked.links.head(linked.answering, status, headers) {
            Course::Pass => held_answer::pass(),
            Course::Locate(url) => {
                let effects = vec![Effect::SetAnswerHeader("content-location", url)];
                Step { effects, next: Next::Continue }
            }
            Course::Hold if end_of_stream => self.manifest(&linked, &[], worker),
            Course::Hold => {
                self.waits = Waits::Manifest(linked);
                Step::default()
            }
            Course::Refuse(refusal) => self.refuse(&refusal),
        }
    }

    /// Judges a manifest, which is whole.
    pub(super) fn manifest(&mut self, linked: &Linked, body: &[u8], worker: &Worker) -> Step {
        let release = worker.config.fhir.release;
        let may_have = |of| policy::may_export(&linked.grants, of, release);
        match linked.links.manifest(body, &may_have) {
            Ok(body) => held_answer::replace(body),
            Err(refusal) => self.refuse(&refusal),
        }
    }
}

fn answer(bound: &Bound, links: Links, grants: Rc<Grants>, worker: &Worker) -> Answer {
    let (smart, release) = (&worker.config.smart, worker.config.fhir.release);
    if let Some(answering) = bound.answering() {
        return Answer::Links(Box::new(Linked { answering, links, grants }));
    }
    match policy::expected_file(&grants, bound.of(), release) {
        Some(file) if smart.response_check != ResponseCheck::Off => Answer::File(File::new(file)),
        _ => Answer::Passes,
    }
}

fn links(
    caller: &Caller,
    head: &Head,
    worker: &mut Worker,
    caps: &dyn Capabilities,
) -> Result<Links, Refusal> {
    let key = worker.keyring.key(caps)?;
    Links::of(key, caller.token.claims(), head, &worker.config.fhir)
}
