//! Which records of a stream were there.

use std::collections::BTreeMap;

use crate::audit::seal::Tag;

/// The counts of a stream that were seen, each with four bytes of its tag.
#[derive(Default)]
pub(super) struct Seen {
    /// By count / [`SIZE`]. Zero: not seen.
    chunks: BTreeMap<u64, Box<[u32; SIZE]>>,
    highest: u64,
}

/// Whether a count was seen before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    Never,
    /// With the same tag.
    Same,
    /// With another tag.
    Other,
}

impl Seen {
    /// Takes note of a record.
    pub(super) fn note(&mut self, count: u64, tag: Tag) -> Before {
        let [a, b, c, d, ..] = tag.0;
        let print = u32::from_le_bytes([a, b, c, d]).max(1);
        let (chunk, place) = place(count);
        let chunk = self.chunks.entry(chunk).or_insert_with(|| Box::new([0; SIZE]));
        self.highest = self.highest.max(count);
        match chunk.get_mut(place) {
            Some(known) if *known == 0 => {
                *known = print;
                Before::Never
            }
            Some(known) if *known == print => Before::Same,
            _ => Before::Other,
        }
    }

    pub(super) fn contains(&self, count: u64) -> bool {
        let (chunk, place) = place(count);
        self.chunks.get(&chunk).and_then(|chunk| chunk.get(place)).is_some_and(|print| *print != 0)
    }

    /// The highest count; 0 when there is none.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Hands over each range of counts, from 1 to `end`, that is not there.
    pub(super) fn missing(&self, end: u64, range: &mut dyn FnMut(u64, u64)) {
        let mut next = 1_u64;
        for (chunk, prints) in &self.chunks {
            let first = chunk.saturating_mul(WIDTH);
            let there = prints.iter().enumerate().filter(|(_, print)| **print != 0);
            for (place, _) in there {
                let count = first.saturating_add(place as u64);
                if count > next {
                    range(next, count.saturating_sub(1));
                }
                next = count.saturating_add(1);
            }
        }
        if next <= end {
            range(next, end);
        }
    }
}

fn place(count: u64) -> (u64, usize) {
    (count / WIDTH, usize::try_from(count % WIDTH).unwrap_or_default())
}

/// Counts that are kept together.
const SIZE: usize = 256;

const WIDTH: u64 = SIZE as u64;
