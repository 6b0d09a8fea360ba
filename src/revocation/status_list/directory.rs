//! Which list has which place. Which lists there are is known only when a token names one, and no
//! shared key may depend on that: so there is a fixed number of places, and one shared value that
//! says who has them. A place belongs to a list as long as tokens name it.

use core::time::Duration;

use crate::base::capabilities::{Capabilities, HostFailed, Shared, Written};
use crate::base::time::Instant;
use crate::store::bytes::{Reader, put_text};

/// How many lists there is room for.
pub(super) const PLACES: usize = 64;

/// A list as a token of an issuer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// `iss`
    pub(super) issuer: String,
    /// `uri`
    pub(super) uri: String,
}

/// A list that has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenant {
    /// Which list.
    pub(super) name: Name,
    /// Since when: what was fetched before is of an earlier tenant.
    pub(super) since: Instant,
    /// When a token last named it, give or take a minute.
    pub(super) used: Instant,
}

/// The places and who has them, as this instance last saw it.
#[derive(Debug)]
pub(super) struct Directory {
    key: String,
    seen: Option<u32>,
    tenants: Vec<Option<Tenant>>,
}

impl Directory {
    /// The directory under this key.
    pub(super) fn new(key: String) -> Directory {
        Directory { key, seen: None, tenants: vec![None; PLACES] }
    }

    /// Reads what is in shared data now: whether it is something new. What is no directory counts as
    /// an empty one.
    pub(super) fn refresh(&mut self, caps: &dyn Capabilities) -> Result<bool, HostFailed> {
        let shared = caps.shared(&self.key)?;
        let stamp = shared.as_ref().map(|shared| shared.stamp);
        let changed = stamp != self.seen;
        if changed {
            self.adopt(shared);
        }
        Ok(changed)
    }

    /// Who has each place, those left out whom no token named for long.
    pub(super) fn tenants(&self, now: Instant) -> impl Iterator<Item = Option<&Tenant>> {
        self.tenants.iter().map(move |tenant| tenant.as_ref().filter(|tenant| tenant.stays(now)))
    }

    /// Whether there is no place for another list.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.tenants(now).all(|tenant| tenant.is_some())
    }

    /// Whether it is time to say that the list at this place was named again.
    pub(super) fn should_touch(&self, place: usize, now: Instant) -> bool {
        let tenant = self.tenants.get(place).and_then(Option::as_ref);
        tenant.is_some_and(|tenant| now >= tenant.used.plus(TOUCH) || now < tenant.used)
    }

    /// Gives each of these lists a place, and says that those at these places were named.
    /// [`Written::Raced`]: somebody else changed something meanwhile, try again.
    pub(super) fn update(
        &mut self,
        wanted: &[Name],
        named: &[usize],
        caps: &dyn Capabilities,
    ) -> Result<Written, HostFailed> {
        let now = caps.now();
        let shared = caps.shared(&self.key)?;
        let stamp = shared.as_ref().map(|shared| shared.stamp);
        let before: Vec<_> = self.tenants.clone();
        self.adopt(shared);
        for place in named {
            let same = before.get(*place).and_then(Option::as_ref);
            if let Some(Some(tenant)) = self.tenants.get_mut(*place)
                && same.is_some_and(|same| same.name == tenant.name)
            {
                tenant.used = now;
            }
        }
        for name in wanted {
            self.settle(name, now);
        }
        // Whatever is written now, by us or by others, is read back.
        self.seen = None;
        let written = caps.set_shared(&self.key, &encode(&self.tenants), stamp)?;
        self.refresh(caps)?;
        Ok(written)
    }

    fn settle(&mut self, name: &Name, now: Instant) {
        if self.tenants(now).flatten().any(|tenant| tenant.name == *name) {
            return;
        }
        let free = |tenant: &Option<Tenant>| !tenant.as_ref().is_some_and(|one| one.stays(now));
        if let Some(place) = self.tenants.iter_mut().find(|tenant| free(tenant)) {
            *place = Some(Tenant { name: name.clone(), since: now, used: now });
        }
    }

    fn adopt(&mut self, shared: Option<Shared>) {
        self.seen = shared.as_ref().map(|shared| shared.stamp);
        let tenants = shared.and_then(|shared| decode(&shared.value));
        self.tenants = tenants.unwrap_or_else(|| vec![None; PLACES]);
    }
}

impl Tenant {
    /// One who came later than now, by a clock that was set back since, starts anew.
    fn stays(&self, now: Instant) -> bool {
        self.since <= now && now.since(self.used).max(self.used.since(now)) < IDLE
    }
}

fn encode(tenants: &[Option<Tenant>]) -> Vec<u8> {
    let mut value = Vec::new();
    for tenant in tenants {
        value.push(u8::from(tenant.is_some()));
        if let Some(Tenant { name, since, used }) = tenant {
            value.extend(since.nanoseconds().to_be_bytes());
            value.extend(used.nanoseconds().to_be_bytes());
            put_text(&mut value, &name.issuer);
            put_text(&mut value, &name.uri);
        }
    }
    value
}

fn decode(value: &[u8]) -> Option<Vec<Option<Tenant>>> {
    let mut reader = Reader::new(value);
    let mut tenants = Vec::new();
    while tenants.len() < PLACES {
        tenants.push(match reader.u8()? {
            0 => None,
            1 => Some(decode_tenant(&mut reader)?),
            _ => return None,
        });
    }
    reader.is_empty().then_some(tenants)
}

fn decode_tenant(reader: &mut Reader<'_>) -> Option<Tenant> {
    let since = Instant::from_nanoseconds(reader.u64()?);
    let used = Instant::from_nanoseconds(reader.u64()?);
    let name = Name { issuer: reader.text()?.to_owned(), uri: reader.text()?.to_owned() };
    Some(Tenant { name, since, used })
}

/// A list that no token named for this long loses its place and is no longer fetched.
const IDLE: Duration = Duration::from_secs(600);
/// How often it is said again that a list was named.
const TOUCH: Duration = Duration::from_secs(60);
