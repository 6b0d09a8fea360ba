//! What an answer loses, and what stands there instead. Everything else goes on as it came: a
//! decimal keeps its digits (`1.10` is another measurement than `1.1`), members keep their order.

use std::borrow::Cow;

use super::Verdict;
use super::walk::Span;

/// What becomes of an answer that passes.
#[derive(Debug, Default)]
pub(super) struct Edits {
    list: Vec<(Span, Cow<'static, str>)>,
    removed: usize,
}

/// How far [`Edits`] had come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    edits: usize,
    removed: usize,
}

impl Edits {
    /// Puts a text in the place of a part. The parts of one answer do not overlap.
    pub(super) fn replace(&mut self, span: Span, with: impl Into<Cow<'static, str>>) {
        self.list.push((span, with.into()));
    }

    /// Takes a part out. Neighbours become one, so that there are never more parts than twice what
    /// stays between them.
    pub(super) fn cut(&mut self, span: Span) {
        match self.list.last_mut() {
            Some((last, with)) if last.end == span.start && with.is_empty() => last.end = span.end,
            _ => self.replace(span, ""),
        }
    }

    /// Counts what was removed: entries, resources, members that FHIR does not have.
    pub(super) fn count(&mut self, removed: usize) {
        self.removed = self.removed.saturating_add(removed);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { edits: self.list.len(), removed: self.removed }
    }

    /// Forgets what was done since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.list.truncate(mark.edits);
        self.removed = mark.removed;
    }

    /// How much was removed since.
    pub(super) fn removed_since(&self, mark: Mark) -> usize {
        self.removed.saturating_sub(mark.removed)
    }

    /// Whether anything was changed since.
    pub(super) fn changed_since(&self, mark: Mark) -> bool {
        self.list.len() > mark.edits
    }

    /// The verdict on this body.
    pub(super) fn verdict(mut self, body: &[u8]) -> Verdict {
        if self.list.is_empty() {
            return Verdict::Whole;
        }
        self.list.sort_by_key(|(span, _)| span.start);
        let cut = |(span, with): &(Span, Cow<'_, str>)| {
            with.len().saturating_add(span.start).saturating_sub(span.end)
        };
        let longer = self.list.iter().map(cut).fold(0, usize::saturating_add);
        let mut text = Vec::with_capacity(body.len().saturating_add(longer));
        let mut at = 0;
        for (span, with) in &self.list {
            text.extend_from_slice(body.get(at..span.start).unwrap_or_default());
            text.extend_from_slice(with.as_bytes());
            at = span.end;
        }
        text.extend_from_slice(body.get(at..).unwrap_or_default());
        Verdict::Replace { body: text, removed: self.removed }
    }
}

/// What stays of a list, element by element, with the commas between what stays.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Where the last element ended.
    last: Option<usize>,
    /// Whether an element stayed.
    kept: bool,
}

impl Sieve {
    /// Keeps the next element of the list, or cuts it.
    pub(super) fn next(&mut self, element: Span, keep: bool, edits: &mut Edits) {
        if let Some(last) = self.last
            && !(keep && self.kept)
        {
            edits.cut(Span { start: last, end: element.start });
        }
        if !keep {
            edits.cut(element);
        }
        self.last = Some(element.end);
        self.kept |= keep;
    }

    /// Whether nothing stayed.
    pub(super) fn is_empty(&self) -> bool {
        !self.kept
    }

    /// Adds an element at the end of the list.
    pub(super) fn add(&self, end: usize, element: &'static str, edits: &mut Edits) {
        let place = Span { start: end, end };
        if self.kept {
            edits.replace(place, format!(",{element}"));
        } else {
            edits.replace(place, element);
        }
    }
}
