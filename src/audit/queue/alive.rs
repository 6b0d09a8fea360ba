//! Which instances are alive, as far as their ticks tell: so that the last one to end knows it.

use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed, Written};
use crate::base::time::Instant;
use crate::store::InstanceId;
use crate::store::bytes::Reader;
use crate::store::place::Place;

/// The shared list of instances that ticked of late.
#[derive(Debug)]
pub(super) struct Alive {
    key: String,
    told: Option<Instant>,
}

/// One instance, and when it last ticked.
type Seen = ([u8; 16], Instant);

impl Alive {
    /// The list under this key.
    pub(super) fn new(key: String) -> Alive {
        Alive { key, told: None }
    }

    /// Notes that `me` is alive, now and then.
    pub(super) fn tell(&mut self, me: &InstanceId, now: Instant, caps: &dyn Capabilities) {
        let lately = |told: Instant| now >= told && now.since(told) < EVERY;
        if !self.told.is_some_and(lately) && self.change(me, true, now, caps).is_ok() {
            self.told = Some(now);
        }
    }

    /// Notes that `me` ends: whether nobody else is alive. A host that fails leaves that open: others
    /// may be.
    pub(super) fn leave(&mut self, me: &InstanceId, now: Instant, caps: &dyn Capabilities) -> bool {
        self.change(me, false, now, caps).is_ok_and(|others| others == 0)
    }

    /// How many others there are.
    fn change(
        &self,
        me: &InstanceId,
        stays: bool,
        now: Instant,
        caps: &dyn Capabilities,
    ) -> Result<usize, HostFailed> {
        let mut place = Place::new(self.key.clone());
        for _ in 0..ATTEMPTS {
            let mut seen = decode(&place.read(caps)?);
            seen.retain(|(instance, at)| {
                instance != me.bytes() && now.since(*at).max(at.since(now)) < LATELY
            });
            let others = seen.len();
            seen.truncate(MOST);
            if stays {
                seen.push((*me.bytes(), now));
            }
            if place.write(&encode(&seen), caps)? == Written::Done {
                return Ok(others);
            }
        }
        Err(HostFailed)
    }
}

/// What can't be read is nobody.
fn decode(value: &[u8]) -> Vec<Seen> {
    let mut reader = Reader::new(value.strip_prefix(&[FORMAT]).unwrap_or_default());
    let mut seen = Vec::new();
    while let (Some(instance), Some(at)) = (reader.array(), reader.u64()) {
        seen.push((instance, Instant::from_nanoseconds(at)));
    }
    seen
}

fn encode(seen: &[Seen]) -> Vec<u8> {
    let mut value = vec![FORMAT];
    for (instance, at) in seen {
        value.extend(instance);
        value.extend(at.nanoseconds().to_be_bytes());
    }
    value
}

/// Who has not ticked for so long is not counted.
const LATELY: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(400);
/// Most instances listed.
const MOST: usize = 255;
const ATTEMPTS: usize = 16;
/// Changes with the form of the list.
const FORMAT: u8 = 1;
