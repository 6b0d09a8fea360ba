//! What is not as it was written.

use std::collections::{BTreeMap, BTreeSet};

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// The stream and the counts of its records, first and last.
    pub(super) records: Option<(u64, u64, u64)>,
    /// Where it stands: file and line.
    pub(super) place: Option<String>,
    /// More about it.
    pub(super) detail: Option<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Changed,
    Forged,
    Missing,
    Tail,
    Unreadable,
    Unsealed,
    UnknownKey,
    OtherKey,
    Twice,
    Resealed,
    AfterEnd,
    Checkpoint,
    Open,
}

impl Kind {
    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Kind::Changed => "changed",
            Kind::Forged => "forged",
            Kind::Missing => "missing",
            Kind::Tail => "missing_tail",
            Kind::Unreadable => "unreadable",
            Kind::Unsealed => "unsealed",
            Kind::UnknownKey => "unknown_key",
            Kind::OtherKey => "other_key",
            Kind::Twice => "twice",
            Kind::Resealed => "resealed",
            Kind::AfterEnd => "after_end",
            Kind::Checkpoint => "checkpoint",
            Kind::Open => "open",
        }
    }

    /// What it means.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Kind::Changed => "not what was sealed",
            Kind::Forged => "put in: not sealed, and no record is missing in its place",
            Kind::Missing => "not in these files",
            Kind::Tail => "not in these files, but counted by a checkpoint",
            Kind::Unreadable => "begins as a record, but is cut or no strict JSON",
            Kind::Unsealed => "has no seal",
            Kind::UnknownKey => "sealed with a key that was not given",
            Kind::OtherKey => "sealed with another key than the rest of its stream",
            Kind::Twice => "sealed twice with different content: by someone who has the key",
            Kind::Resealed => {
                "not the records that the checkpoint stands for: sealed anew by someone who has the key"
            }
            Kind::AfterEnd => "after the checkpoint that ended the stream",
            Kind::Checkpoint => "a checkpoint, not what was sealed",
            Kind::Open => "neither ended nor anything since",
        }
    }
}

/// All that was found; of each kind the first ones by name.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) named: Vec<Finding>,
    pub(super) counts: BTreeMap<Kind, u64>,
    /// The streams that have any.
    pub(super) streams: BTreeSet<u64>,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count = count.saturating_add(1);
        self.streams.extend(finding.records.map(|(stream, ..)| stream));
        if *count <= MAX_NAMED {
            self.named.push(finding);
        }
    }

    pub(super) fn none(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.counts.values().fold(0, |total, count| total.saturating_add(*count))
    }
}

/// Most findings of a kind that are kept by name.
const MAX_NAMED: u64 = 10_000;
