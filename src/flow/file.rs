//! A file of an export streams: it may be larger than any buffer. Each line is judged when it has
//! ended; the client has the lines before it by then.

#[cfg(test)]
mod tests;

use super::effect::{Effect, Event, Next, Step};
use super::room::{MAX_HELD, Place};
use super::{Exchange, Waits, Worker, held_answer};
use crate::base::refusal::Refusal;
use crate::export::{Lines, MAX_LINE};
use crate::policy::ExpectedFile;
use crate::request::Headers;
use crate::response;

/// A file that is judged.
#[derive(Debug)]
pub(super) struct File {
    expected: ExpectedFile,
    lines: Lines,
    /// What a line takes that has not ended yet.
    place: Option<Place>,
}

/// What comes of a file after its head.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Bytes, more to come.
    More(&'a [u8]),
    /// Bytes, the last.
    Last(&'a [u8]),
    /// No more bytes, but trailers: nothing can be added before them.
    Trailers,
}

impl<'a> Part<'a> {
    pub(super) fn of(bytes: &'a [u8], last: bool) -> Part<'a> {
        if last { Part::Last(bytes) } else { Part::More(bytes) }
    }
}

impl File {
    pub(super) fn new(expected: ExpectedFile) -> Box<File> {
        Box::new(File { expected, lines: Lines::new(MAX_LINE), place: None })
    }

    /// Takes what came. Gives what may go on; `None`: as it came.
    fn sift(&mut self, part: Part<'_>, worker: &Worker) -> Result<Option<Vec<u8>>, Refusal> {
        let File { expected, lines, place } = self;
        let (api, smart) = (&worker.config.fhir, &worker.config.smart);
        let shows = |line: &[u8]| response::line(expected, line, api, smart);
        let (bytes, passed) = match part {
            Part::More(bytes) => {
                let passed = lines.push(bytes, &shows)?;
                worker.room.take(place, lines.begun(), MAX_HELD)?;
                (bytes, passed)
            }
            Part::Last(bytes) => {
                let mut passed = lines.push(bytes, &shows)?;
                passed.extend(lines.finish(&shows));
                (bytes, passed)
            }
            Part::Trailers => {
                lines.cut();
                return Ok(None);
            }
        };
        Ok((passed != bytes).then_some(passed))
    }
}

impl Exchange {
    /// Judges a file by its head. What is no success is judged as any held answer.
    pub(super) fn file_head(
        &mut self,
        file: Box<File>,
        headers: &Headers,
        end_of_stream: bool,
        worker: &Worker,
    ) -> Step {
        if held_answer::status(headers) != Some(200) {
            return self.answer_head(file.expected.expected, headers, end_of_stream, worker);
        }
        if !end_of_stream {
            if let Err(reason) = response::is_ndjson(headers) {
                return self.refuse_answer(&Refusal::new(reason), worker);
            }
            self.waits = Waits::FilePart(file);
        }
        if held_answer::only_reports(worker) {
            return held_answer::pass();
        }
        Step { effects: held_answer::stale(), next: Next::Continue }
    }

    /// Judges what came of a file.
    pub(super) fn file_part(
        &mut self,
        mut file: Box<File>,
        part: Part<'_>,
        worker: &Worker,
    ) -> Step {
        let only_reports = held_answer::only_reports(worker);
        let sifted = file.sift(part, worker);
        if file.lines.removed() > 0 {
            self.record.removed(file.lines.removed());
            if only_reports {
                self.record.only_observed();
            }
        }
        match sifted {
            Err(refusal) => {
                if !only_reports {
                    self.waits = Waits::FileCut;
                }
                self.refuse_answer(&refusal, worker)
            }
            Ok(passed) => {
                if matches!(part, Part::More(_)) {
                    self.waits = Waits::FilePart(file);
                }
                let passed = passed.filter(|_| !only_reports);
                let effects = passed.map(Effect::ReplaceAnswer).into_iter().collect();
                Step { effects, next: Next::Continue }
            }
        }
    }

    /// What comes of a file after it was refused, should the host still tell: nothing of it goes on.
    pub(super) fn file_after_cut(&mut self, event: &Event) -> Step {
        self.waits = Waits::FileCut;
        let came = matches!(event, Event::ResponsePart { .. });
        let effects = came.then(|| Effect::ReplaceAnswer(Vec::new())).into_iter().collect();
        Step { effects, next: Next::Pause }
    }
}
