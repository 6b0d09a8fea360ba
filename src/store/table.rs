//! A table in the host's shared data that all instances read and write: sessions, and whatever else
//! is counted or remembered for each key.
//!
//! Set-associative, since no shared key may depend on data: a key's hash names one of a fixed number
//! of sets, each one shared value of up to [`WAYS`] slots. A set that is full forgets the slot that
//! was used longest ago. There are so many sets that this happens to fewer than one key in three
//! million while no more than the capacity is in use: what is in use is exact.
//!
//! Keys are kept as 128-bit SipHash-2-4 under a secret that is drawn for the table: no two keys share a
//! slot, whether sharing would refuse or let through, and nobody can choose keys that crowd one set.
//! What others wrote over a set counts as nothing.

use core::cell::Cell;
use core::marker::PhantomData;

use siphasher::sip128::SipHasher24;

use super::bytes::Reader;
use super::place::Place;
use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::UnixSeconds;

/// What a table keeps for each key: always as long in shared data.
pub trait Slot: Sized {
    /// Its length in shared data.
    const BYTES: usize;

    /// Appends [`Slot::BYTES`] bytes.
    fn encode(&self, value: &mut Vec<u8>);

    /// Reads what [`Slot::encode`] wrote; `None` when it can't be that.
    fn decode(value: &mut Reader<'_>) -> Option<Self>;

    /// When it was last of use: of a full set, the slot furthest from now is forgotten.
    fn used(&self) -> UnixSeconds;
}

/// A table, as one instance knows it.
#[derive(Debug)]
pub struct Table<S> {
    prefix: String,
    sets: u64,
    secret: Cell<Option<Secret>>,
    slot: PhantomData<fn() -> S>,
}

/// Why a table can't be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFailed {
    /// The host failed.
    Host,
    /// Others wrote the same set each time before this instance could.
    Contended,
}

/// Most slots of one set.
pub const WAYS: usize = 16;

type Secret = [u8; 16];
type Tag = [u8; TAG];

impl<S: Slot> Table<S> {
    /// The table of this name for `capacity` keys. Tables of one name, capacity and form of slot in
    /// one Envoy (one `vm_id`) are the same table, also across configurations.
    pub fn new(name: &str, capacity: u32) -> Table<S> {
        let sets = u64::from(capacity.max(1)).div_ceil(FILL);
        let prefix = prefix::<S>(name, sets);
        Table { prefix, sets, secret: Cell::new(None), slot: PhantomData }
    }

    /// Adopts the table's secret, or draws it: done on every tick, so that all instances soon have the
    /// same one whatever became of it.
    ///
    /// # Errors
    ///
    /// The host failed. The secret known so far stays in use.
    pub fn refresh(&self, caps: &dyn Capabilities) -> Result<(), TableFailed> {
        self.adopt(caps).map(|_| ())
    }

    /// What is kept for a key.
    ///
    /// # Errors
    ///
    /// The host failed.
    pub fn get(&self, key: &[u8], caps: &dyn Capabilities) -> Result<Option<S>, TableFailed> {
        self.update(key, UnixSeconds::default(), caps, |kept| (None, kept))
    }

    /// Changes what is kept for a key: `change` takes that and gives what is to be kept from now on
    /// (`None`: as it was, nothing is written) and a result. It is asked again when somebody else
    /// wrote meanwhile.
    ///
    /// # Errors
    ///
    /// The host failed, or others were faster each time; nothing was written then.
    pub fn update<R>(
        &self,
        key: &[u8],
        now: UnixSeconds,
        caps: &dyn Capabilities,
        mut change: impl FnMut(Option<S>) -> (Option<S>, R),
    ) -> Result<R, TableFailed> {
        let tag = self.tag(key, caps)?;
        let mut place = Place::new(self.place(&tag));
        for _ in 0..ATTEMPTS {
            let mut set = Set::of(place.read(caps)?);
            let (next, result) = change(set.find(&tag));
            let Some(next) = next else { return Ok(result) };
            set.put(&tag, &next, now);
            if place.write(&set.value, caps)? == Written::Done {
                return Ok(result);
            }
        }
        Err(TableFailed::Contended)
    }

    fn tag(&self, key: &[u8], caps: &dyn Capabilities) -> Result<Tag, TableFailed> {
        let secret = self.secret.get().map_or_else(|| self.adopt(caps), Ok)?;
        let tag: u128 = SipHasher24::new_with_key(&secret).hash(key).into();
        Ok(tag.to_be_bytes())
    }

    /// The shared key of the set that may hold this tag.
    fn place(&self, tag: &Tag) -> String {
        let hash = Reader::new(tag).u64().unwrap_or_default();
        let number = hash.checked_rem(self.sets).unwrap_or_default();
        format!("{}{number}", self.prefix)
    }

    /// The secret in shared data, or else ours. Whoever loses the race to create it takes the
    /// winner's.
    fn adopt(&self, caps: &dyn Capabilities) -> Result<Secret, TableFailed> {
        let mut place = Place::new(format!("{}secret", self.prefix));
        for _ in 0..ATTEMPTS {
            let shared = place.read(caps)?;
            if let Ok(secret) = Secret::try_from(shared) {
                self.secret.set(Some(secret));
                return Ok(secret);
            }
            let ours = self.secret.get().unwrap_or_else(|| caps.random());
            // Read again in any case, so that all take what is there in the end.
            let _ = place.write(&ours, caps)?;
        }
        Err(TableFailed::Host)
    }
}

/// One set: slots behind their tags.
struct Set<S> {
    value: Vec<u8>,
    slot: PhantomData<fn() -> S>,
}

impl<S: Slot> Set<S> {
    const SLOT: usize = TAG.saturating_add(S::BYTES);

    /// A set from shared data. What can't be one is empty.
    fn of(mut value: Vec<u8>) -> Set<S> {
        let whole = value.len().checked_rem(Set::<S>::SLOT) == Some(0);
        if !whole || value.len() > WAYS.saturating_mul(Set::<S>::SLOT) {
            value.clear();
        }
        Set { value, slot: PhantomData }
    }

    fn find(&self, tag: &Tag) -> Option<S> {
        let slot = self.slots().find(|slot| slot.starts_with(tag))?;
        decode(slot)
    }

    /// Puts a slot in its place: its own, a free one, or that of the slot furthest from `now`.
    fn put(&mut self, tag: &Tag, slot: &S, now: UnixSeconds) {
        let own = self.slots().position(|slot| slot.starts_with(tag));
        let full = self.slots().count() >= WAYS;
        let place = own.or_else(|| if full { self.furthest(now) } else { None });
        let start = place.map_or(self.value.len(), |place| place.saturating_mul(Set::<S>::SLOT));
        let rest = self.value.split_off(start);
        self.value.extend(tag);
        slot.encode(&mut self.value);
        self.value.resize(start.saturating_add(Set::<S>::SLOT), 0);
        self.value.extend(rest.get(Set::<S>::SLOT..).unwrap_or_default());
    }

    /// The slot whose use is furthest from now: after the clock was set back, that of a time that has
    /// yet to come may be. One that can't be read goes first.
    fn furthest(&self, now: UnixSeconds) -> Option<usize> {
        let distance =
            |slot: &[u8]| decode::<S>(slot).map_or(u64::MAX, |slot| slot.used().0.abs_diff(now.0));
        let slots = self.slots().map(distance).enumerate();
        slots.max_by_key(|(_, distance)| *distance).map(|(place, _)| place)
    }

    fn slots(&self) -> impl Iterator<Item = &[u8]> {
        self.value.chunks_exact(Set::<S>::SLOT)
    }
}

fn decode<S: Slot>(slot: &[u8]) -> Option<S> {
    let mut reader = Reader::new(slot);
    reader.array::<TAG>()?;
    S::decode(&mut reader)
}

fn prefix<S: Slot>(name: &str, sets: u64) -> String {
    let form = format!("{FORMAT}/{name}/{sets}/{WAYS}/{}", S::BYTES);
    let digest = hmac_sha256::Hash::hash(form.as_bytes());
    let short: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("phiward/{short}/{name}/")
}

impl From<HostFailed> for TableFailed {
    fn from(HostFailed: HostFailed) -> TableFailed {
        TableFailed::Host
    }
}

const TAG: usize = 16;
/// Slots of a set that are in use on average, when as many keys are as the capacity says: the
/// chance that another thirteen fall into the same set is one in a million.
const FILL: u64 = 4;
/// Each attempt that fails is one in which another instance succeeded.
const ATTEMPTS: usize = 64;
/// Changes with the form of any shared value.
const FORMAT: &str = "1";

#[cfg(test)]
mod tests;
