//! What one filter instance wrote.

use std::collections::BTreeMap;

use super::seen::{Before, Seen};
use crate::audit::seal::{Head, Tag};

/// The records and checkpoints of one instance, as far as they are genuine.
pub(super) struct Stream {
    /// The place of its key in the ring.
    pub(super) key: usize,
    pub(super) seen: Seen,
    pub(super) records: u64,
    pub(super) duplicates: u64,
    /// Times of the first and the last record or checkpoint, as they are written: all alike, so they
    /// compare as text.
    pub(super) first: String,
    pub(super) newest: String,
    /// By the number of records before them.
    pub(super) checkpoints: BTreeMap<u64, Checkpoint>,
    /// The chain from each checkpoint to the one after it, by the count of the latter.
    chains: BTreeMap<u64, Chain>,
}

/// What a checkpoint stands for.
#[derive(Clone)]
pub(super) struct Checkpoint {
    pub(super) head: Head,
    pub(super) last: bool,
    pub(super) time: String,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    New,
    Duplicate,
    /// Another record with the same id is genuine too.
    Other,
    /// It completes the records between two checkpoints, and they are not those that the latter
    /// stands for.
    Resealed {
        from: u64,
        to: u64,
    },
}

/// How far the chain between two checkpoints is.
struct Chain {
    next: u64,
    head: Head,
    /// Tags whose predecessors are to come; `None`: there were too many.
    waiting: Option<BTreeMap<u64, Tag>>,
}

impl Stream {
    pub(super) fn new(key: usize) -> Stream {
        Stream {
            key,
            seen: Seen::default(),
            records: 0,
            duplicates: 0,
            first: String::new(),
            newest: String::new(),
            checkpoints: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    /// Takes a checkpoint. `false` when one that says otherwise was there before.
    pub(super) fn checkpoint(&mut self, count: u64, checkpoint: Checkpoint) -> bool {
        self.at(&checkpoint.time);
        let known = self.checkpoints.entry(count).or_insert_with(|| checkpoint.clone());
        known.last |= checkpoint.last;
        known.time = checkpoint.time.max(core::mem::take(&mut known.time));
        known.head == checkpoint.head
    }

    /// Takes a record, after every checkpoint. `room` is how many tags may wait, here and elsewhere.
    pub(super) fn record(&mut self, count: u64, tag: Tag, time: &str, room: &mut usize) -> Noted {
        match self.seen.note(count, tag) {
            Before::Other => return Noted::Other,
            Before::Same => {
                self.duplicates = self.duplicates.saturating_add(1);
                return Noted::Duplicate;
            }
            Before::Never => self.records = self.records.saturating_add(1),
        }
        self.at(time);
        self.chain(count, tag, room)
    }

    /// The count of the checkpoint that says there are no more.
    pub(super) fn end(&self) -> Option<u64> {
        let last = self.checkpoints.iter().rev().find(|(_, checkpoint)| checkpoint.last);
        last.map(|(count, _)| *count)
    }

    /// How many records there must be at least.
    pub(super) fn expected(&self) -> u64 {
        self.checkpoints.keys().next_back().copied().unwrap_or_default()
    }

    /// How many stretches between checkpoints were too far out of order to be compared.
    pub(super) fn not_compared(&self) -> usize {
        self.chains.values().filter(|chain| chain.waiting.is_none()).count()
    }

    fn at(&mut self, time: &str) {
        if self.first.is_empty() || time < self.first.as_str() {
            time.clone_into(&mut self.first);
        }
        if time > self.newest.as_str() {
            time.clone_into(&mut self.newest);
        }
    }

    /// Adds a tag to the chain that it is part of.
    fn chain(&mut self, count: u64, tag: Tag, room: &mut usize) -> Noted {
        let Some((&end, checkpoint)) = self.checkpoints.range(count..).next() else {
            return Noted::New;
        };
        let before = self.checkpoints.range(..count).next_back();
        let (start, head) = before.map_or((0, Head::START), |(count, one)| (*count, one.head));
        let chain = self.chains.entry(end).or_insert_with(|| Chain::new(start, head));
        chain.add(count, tag, room);
        if chain.next <= end {
            return Noted::New;
        }
        let same = chain.head == checkpoint.head;
        self.chains.remove(&end);
        if same { Noted::New } else { Noted::Resealed { from: start.saturating_add(1), to: end } }
    }
}

impl Chain {
    fn new(start: u64, head: Head) -> Chain {
        Chain { next: start.saturating_add(1), head, waiting: Some(BTreeMap::new()) }
    }

    fn add(&mut self, count: u64, tag: Tag, room: &mut usize) {
        let Some(waiting) = &mut self.waiting else { return };
        if count != self.next {
            waiting.insert(count, tag);
            match room.checked_sub(1) {
                Some(less) => *room = less,
                None => {
                    *room = room.saturating_add(waiting.len()).saturating_sub(1);
                    self.waiting = None;
                }
            }
            return;
        }
        self.link(tag);
        while let Some(tag) = self.waiting.as_mut().and_then(|waiting| waiting.remove(&self.next)) {
            *room = room.saturating_add(1);
            self.link(tag);
        }
    }

    fn link(&mut self, tag: Tag) {
        self.head = self.head.after(tag);
        self.next = self.next.saturating_add(1);
    }
}
