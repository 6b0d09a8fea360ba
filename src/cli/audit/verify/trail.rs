//! Every stream, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Options;
use super::findings::{Finding, Findings, Kind};
use super::keys::Ring;
use super::stream::{Checkpoint, Noted, Stream};
use crate::audit::EventId;
use crate::audit::canonical::canonical;
use crate::audit::seal::{Head, Key, Keys, Tag};
use crate::base::time::Instant;
use crate::cli::audit::read::{self, Counts, Found};
use crate::cli::time;

/// What was read so far.
pub(super) struct Trail {
    ring: Ring,
    streams: BTreeMap<u64, Stream>,
    findings: Findings,
    /// Records, genuine or not, each copy.
    read: u64,
    /// How many more tags may wait for their predecessors.
    room: usize,
    /// Lines without a record, and others.
    pub(super) passed_over: Counts,
}

/// What came of it all.
pub(super) struct Verdict {
    pub(super) ring: Ring,
    pub(super) streams: BTreeMap<u64, Stream>,
    pub(super) findings: Findings,
    /// Of streams of which the files have a part only: the first record.
    pub(super) begins: BTreeMap<u64, u64>,
    pub(super) read: u64,
    pub(super) passed_over: Counts,
}

/// A record that its seal does not prove.
struct Unproven {
    kind: Kind,
    detail: Option<String>,
    id: Option<(u64, u64)>,
}

/// What its seal proves.
struct Proven {
    value: Value,
    key: usize,
    tag: Tag,
}

impl Trail {
    pub(super) fn new(ring: Ring) -> Trail {
        Trail {
            ring,
            streams: BTreeMap::new(),
            findings: Findings::default(),
            read: 0,
            room: MAX_WAITING,
            passed_over: Counts::default(),
        }
    }

    /// Whether there was neither a record nor a checkpoint.
    pub(super) fn is_empty(&self) -> bool {
        self.read == 0 && self.streams.is_empty() && self.findings.none()
    }

    /// Takes what was found. All checkpoints come before the first record.
    pub(super) fn take(&mut self, found: &Found) {
        match found.kind {
            read::Kind::Checkpoint => self.checkpoint(found),
            read::Kind::Record => self.record(found),
        }
    }

    fn checkpoint(&mut self, found: &Found) {
        let proven = self.proven(found, |keys| &keys.checkpoints);
        let read = proven.and_then(|proven| {
            let said = said(&proven.value).ok_or_else(|| Unproven::new(Kind::Checkpoint))?;
            Ok((proven.key, said))
        });
        match read {
            Err(mut unproven) => {
                if unproven.kind == Kind::Changed {
                    unproven.kind = Kind::Checkpoint;
                }
                self.unproven(found, unproven);
            }
            Ok((key, (stream, count, checkpoint))) => {
                let known = self.streams.entry(stream).or_insert_with(|| Stream::new(key));
                let kind = match known.key == key {
                    false => Kind::OtherKey,
                    true if known.checkpoint(count, checkpoint) => return,
                    true => Kind::Twice,
                };
                self.unproven(found, Unproven { id: Some((stream, count)), ..Unproven::new(kind) });
            }
        }
    }

    fn record(&mut self, found: &Found) {
        self.read = self.read.saturating_add(1);
        let read = self.proven(found, |keys| &keys.records).and_then(|proven| {
            let (stream, count) = id(&proven.value).ok_or_else(|| Unproven::new(Kind::Changed))?;
            Ok((proven, stream, count))
        });
        let (proven, stream, count) = match read {
            Ok(read) => read,
            Err(unproven) => return self.unproven(found, unproven),
        };
        let known = self.streams.entry(stream).or_insert_with(|| Stream::new(proven.key));
        let time = proven.value.get("time").and_then(Value::as_str).unwrap_or_default();
        let kind = match known.key == proven.key {
            false => Kind::OtherKey,
            true => match known.record(count, proven.tag, time, &mut self.room) {
                Noted::New | Noted::Duplicate => return,
                Noted::Other => Kind::Twice,
                Noted::Resealed { from, to } => {
                    let records = Some((stream, from, to));
                    let kind = Kind::Resealed;
                    return self.findings.add(Finding { kind, records, place: None, detail: None });
                }
            },
        };
        self.unproven(found, Unproven { id: Some((stream, count)), ..Unproven::new(kind) });
    }

    /// What all of it comes to.
    pub(super) fn verdict(mut self, options: &Options) -> Verdict {
        let changed = self.forged_or_changed();
        let mut begins = BTreeMap::new();
        for (id, stream) in &self.streams {
            let mut add = |kind, from, to| {
                let records = Some((*id, from, to));
                self.findings.add(Finding { kind, records, place: None, detail: None });
            };
            let highest = stream.seen.highest();
            stream.seen.missing(highest.max(stream.expected()), &mut |from, to| {
                if options.part && from == 1 {
                    begins.insert(*id, to.saturating_add(1));
                    return;
                }
                let kind = if from > highest { Kind::Tail } else { Kind::Missing };
                without(&changed, *id, from, to, &mut |from, to| add(kind, from, to));
            });
            unended(stream, options.until, &mut add);
        }
        Verdict {
            ring: self.ring,
            streams: self.streams,
            findings: self.findings,
            begins,
            read: self.read,
            passed_over: self.passed_over,
        }
    }

    /// Tells changed records, whose place no genuine one has, from forged ones. Gives the places of
    /// the former.
    fn forged_or_changed(&mut self) -> BTreeSet<(u64, u64)> {
        let mut changed = BTreeSet::new();
        for finding in &mut self.findings.named {
            let (Kind::Changed, Some((stream, count, _))) = (finding.kind, finding.records) else {
                continue;
            };
            let known = self.streams.get(&stream);
            let taken = known.is_some_and(|known| known.seen.contains(count));
            let after = known.and_then(Stream::end).is_some_and(|end| end < count);
            if taken || after || known.is_none() {
                finding.kind = Kind::Forged;
                for (kind, more) in [(Kind::Changed, false), (Kind::Forged, true)] {
                    let number = self.findings.counts.entry(kind).or_default();
                    *number =
                        if more { number.saturating_add(1) } else { number.saturating_sub(1) };
                }
            } else {
                changed.insert((stream, count));
            }
        }
        self.findings.counts.retain(|_, number| *number > 0);
        changed
    }

    /// Checks the seal of a record or a checkpoint.
    fn proven(&self, found: &Found, purpose: fn(&Keys) -> &Key) -> Result<Proven, Unproven> {
        let value = found.value().map_err(|error| Unproven {
            detail: Some(error.to_string()),
            ..Unproven::new(Kind::Unreadable)
        })?;
        let id = id(&value).or_else(|| said(&value).map(|(stream, count, _)| (stream, count)));
        let wrong = |kind| Unproven { id, ..Unproven::new(kind) };
        let seal = value.get("seal").ok_or_else(|| wrong(Kind::Unsealed))?;
        let [key_id, tag] = ["key", "tag"].map(|name| seal.get(name).and_then(Value::as_str));
        let key_id = key_id.ok_or_else(|| wrong(Kind::Unsealed))?;
        let tag = tag.and_then(Tag::parse).ok_or_else(|| wrong(Kind::Changed))?;
        let (key, keys) = self.ring.find(key_id).ok_or_else(|| Unproven {
            detail: Some(format!("`{}`", shown(key_id))),
            ..wrong(Kind::UnknownKey)
        })?;
        let line = canonical(&value).ok_or_else(|| wrong(Kind::Changed))?;
        if purpose(keys).tag(line.as_bytes()) != tag {
            return Err(wrong(Kind::Changed));
        }
        Ok(Proven { value, key, tag })
    }

    fn unproven(&mut self, found: &Found, unproven: Unproven) {
        self.findings.add(Finding {
            kind: unproven.kind,
            records: unproven.id.map(|(stream, count)| (stream, count, count)),
            place: Some(found.place.to_string()),
            detail: unproven.detail,
        });
    }
}

impl Unproven {
    fn new(kind: Kind) -> Unproven {
        Unproven { kind, detail: None, id: None }
    }
}

/// The stream and the count of a record.
fn id(value: &Value) -> Option<(u64, u64)> {
    let text = value.get("id")?.as_str()?;
    let (stream, count) = text.split_once('-')?;
    let (stream, count) = (u64::from_str_radix(stream, 16).ok()?, count.parse().ok()?);
    let id = EventId { instance: stream, count };
    (count > 0 && id.to_string() == text).then_some((stream, count))
}

/// What a checkpoint says: its stream, how many records, and for what it stands.
fn said(value: &Value) -> Option<(u64, u64, Checkpoint)> {
    let text = |name| value.get(name).and_then(Value::as_str);
    let stream = u64::from_str_radix(text("stream")?, 16).ok()?;
    let checkpoint = Checkpoint {
        head: Head::parse(text("head")?)?,
        last: value.get("last").and_then(Value::as_bool).unwrap_or_default(),
        time: text("time")?.to_owned(),
    };
    Some((stream, value.get("count")?.as_u64()?, checkpoint))
}

/// Adds what is wrong with the end of a stream: records after it, or silence before `until`.
fn unended(stream: &Stream, until: Option<Instant>, add: &mut dyn FnMut(Kind, u64, u64)) {
    let highest = stream.seen.highest();
    match stream.end() {
        Some(end) if end < highest => add(Kind::AfterEnd, end.saturating_add(1), highest),
        Some(_) => {}
        None => {
            let newest = time::instant(&stream.newest).unwrap_or_default();
            let known = highest.max(stream.expected());
            if until.is_some_and(|until| newest < until) {
                add(Kind::Open, known, known);
            }
        }
    }
}

/// Hands over what of a range is left without these places.
fn without(
    places: &BTreeSet<(u64, u64)>,
    stream: u64,
    from: u64,
    to: u64,
    range: &mut dyn FnMut(u64, u64),
) {
    let mut next = from;
    for &(_, count) in places.range((stream, from)..=(stream, to)) {
        if count > next {
            range(next, count.saturating_sub(1));
        }
        next = count.saturating_add(1);
    }
    if next <= to {
        range(next, to);
    }
}

/// Text from outside as it may stand on a terminal: short and printable.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Most tags that wait for their predecessors: some 50 MB.
const MAX_WAITING: usize = 1 << 20;
