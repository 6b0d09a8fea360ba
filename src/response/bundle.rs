//! The members of a Bundle of any kind, but for its entries.

use core::marker::PhantomData;

use super::edits::{Edits, Mark, Sieve};
use super::judge::{holds_resource, is_outcome};
use super::reasons::ANSWER_NOT_BUNDLE;
use super::strict::{Skim, Strict};
use super::walk::{Fault, Span, Walk};
use crate::base::node::Node;

/// What is known of a Bundle.
#[derive(Debug)]
pub(super) struct Bundle<T> {
    named: bool,
    kind: Option<String>,
    entries: Option<T>,
    members: Vec<(Span, Fate)>,
}

/// What becomes of a member of a Bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// Unknown to FHIR, or a resource where a Bundle has none.
    Goes,
    /// It stays while it counts only what the client may see.
    Total,
    /// It stays while all does that it signs.
    Signature,
}

impl<T> Bundle<T> {
    /// Reads a Bundle, its array of entries as `entries` says.
    pub(super) fn read<'a>(
        walk: &mut Walk<'a>,
        edits: &mut Edits,
        mut entries: impl FnMut(&mut Walk<'a>, &mut Edits) -> Result<T, Fault>,
    ) -> Result<Bundle<T>, Fault> {
        let mut bundle = Bundle { named: false, kind: None, entries: None, members: Vec::new() };
        bundle.members = walk.object(|walk, name| match name.as_ref() {
            "entry" => {
                bundle.entries = Some(entries(walk, edits)?);
                Ok(Fate::Stays)
            }
            name if BUNDLE.contains(&name) => bundle.member(walk, name),
            _ => walk.value(Skim(&mut Strict::default())).map(|_| Fate::Goes),
        })?;
        edits.count(bundle.members.iter().filter(|(_, fate)| *fate == Fate::Goes).count());
        Ok(bundle)
    }

    /// Reads the value of a member that FHIR knows.
    fn member<'a>(&mut self, walk: &mut Walk<'a>, name: &str) -> Result<Fate, Fault> {
        let (_, value) = walk.value(PhantomData::<Node<'a>>)?;
        match name {
            "resourceType" => self.named = value.text() == Some("Bundle"),
            "type" => self.kind = value.text().map(str::to_owned),
            _ => {}
        }
        let fits = if name == "issues" { is_outcome(&value) } else { !holds_resource(&value) };
        Ok(match name {
            _ if !fits => Fate::Goes,
            "total" => Fate::Total,
            "signature" => Fate::Signature,
            _ => Fate::Stays,
        })
    }

    /// Its kind, when it is one of these.
    pub(super) fn kind(&self, kinds: &[&str]) -> Result<&str, Fault> {
        let kind = self.kind.as_deref().filter(|kind| self.named && kinds.contains(kind));
        kind.ok_or(&ANSWER_NOT_BUNDLE)
    }

    /// What was read of its entries.
    pub(super) fn entries(&self) -> Option<&T> {
        self.entries.as_ref()
    }

    /// Takes out the members that can't stay, `mark` being where its edits began. `counted`: its
    /// `total` counts only what the client may see, as long as nothing is removed.
    pub(super) fn close(&self, counted: bool, mark: Mark, edits: &mut Edits) {
        let has = |wanted: Fate| self.members.iter().any(|(_, fate)| *fate == wanted);
        let changed = edits.changed_since(mark) || has(Fate::Goes);
        let total = counted && !changed;
        let signed = !changed && (total || !has(Fate::Total));
        let mut sieve = Sieve::default();
        for (span, fate) in &self.members {
            let stays = match fate {
                Fate::Stays => true,
                Fate::Goes => false,
                Fate::Total => total,
                Fate::Signature => signed,
            };
            sieve.next(*span, stays, edits);
        }
    }
}

/// The members of a Bundle (<http://hl7.org/fhir/R5/bundle.html>) besides `entry`; `issues` is of R5.
const BUNDLE: [&str; 12] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "identifier",
    "type",
    "timestamp",
    "total",
    "link",
    "signature",
    "issues",
];
