//! What is kept of an entry: one hash of all that it names, and its two instants.
//!
//! The hash is a 64-bit SipHash-2-4 over which keys the entry names ([`Mask`]) and all their values,
//! so `{jti, iss}` is one hash, not two. Two entries with one hash make an entry match a token that it
//! does not name: a good token is refused, never a revoked one let through.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::entry::{Entry, Kind};
use crate::base::capabilities::Capabilities;
use crate::base::time::{Instant, UnixSeconds};
use crate::token::Claims;

/// Which keys an entry names: a bit for each [`Kind`]. None: it is about every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mask(pub(super) u8);

impl Mask {
    /// Whether the key is among them.
    pub(super) const fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }
}

/// Keys the hashes of one list: random, and known to nobody outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; 16]);

impl Secret {
    /// Draws a new one.
    pub(super) fn draw(caps: &dyn Capabilities) -> Secret {
        Secret(caps.random())
    }

    /// Each value behind its length: no two lists of values are hashed as the same bytes.
    fn hash<'n>(&self, mask: Mask, names: impl Iterator<Item = &'n str>) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&[mask.0]);
        for name in names {
            hasher.write(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.write(name.as_bytes());
        }
        hasher.finish()
    }
}

/// What is kept of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Of all that it names.
    pub(super) hash: u64,
    /// Only tokens issued before this second; [`NEVER`]: all.
    pub(super) issued_before: u32,
    /// When it may be forgotten; [`NEVER`]: never.
    pub(super) expires: u32,
    /// What it names.
    pub(super) mask: Mask,
}

/// Stands for no second at all, and for those after 2106: the entry then revokes more, not less.
pub(super) const NEVER: u32 = u32::MAX;

impl Record {
    /// What is kept of this entry.
    pub(super) fn of(entry: &Entry<'_>, secret: &Secret) -> Record {
        let second = |instant: Option<UnixSeconds>| {
            instant.and_then(|second| u32::try_from(second.0).ok()).unwrap_or(NEVER)
        };
        let mask = Mask(entry.names().fold(0, |mask, (kind, _)| mask | kind.bit()));
        Record {
            hash: secret.hash(mask, entry.names().map(|(_, name)| name)),
            issued_before: second(entry.issued_before),
            expires: second(entry.expires),
            mask,
        }
    }

    /// What tells it apart: of two that have this in common one stays, with the later `expires`.
    pub(super) fn own(&self) -> (u64, u32) {
        (self.hash, self.issued_before)
    }

    /// Whether it can be left out, see [`is_over`].
    pub(super) fn is_over(&self, now: Instant) -> bool {
        is_over(self.expires, now)
    }
}

/// Whether an entry can be left out. Far later than it expires: lookup is exact, and a clock that
/// runs ahead must not drop what is still in force.
pub(super) fn is_over(expires: u32, now: Instant) -> bool {
    let expires = UnixSeconds(u64::from(expires));
    expires.0 != u64::from(NEVER) && now.seconds() >= expires.plus(KEPT_AFTER_EXPIRY)
}

const KEPT_AFTER_EXPIRY: core::time::Duration = core::time::Duration::from_secs(24 * 60 * 60);

/// What entries are compared with: a token, and one of the patients whose records it opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder<'c> {
    pub(super) claims: &'c Claims,
    pub(super) patient: Option<&'c str>,
    pub(super) now: Instant,
}

impl Holder<'_> {
    /// The hash of the entries with these keys that are about this token; `None` when it lacks one.
    pub(super) fn hash(&self, mask: Mask, secret: &Secret) -> Option<u64> {
        let mut names = [""; 8];
        let mut count = 0_usize;
        for kind in Kind::ALL.into_iter().filter(|kind| mask.has(*kind)) {
            *names.get_mut(count)? = kind.of(self.claims, self.patient)?;
            count = count.saturating_add(1);
        }
        Some(secret.hash(mask, names.into_iter().take(count)))
    }

    /// Whether an entry about this token with these instants revokes it.
    ///
    /// An entry may be forgotten once it expires. It still stands against tokens that were to end by
    /// then: they are accepted for `clock_skew` longer, and who revokes a token names its `exp`.
    pub(super) fn is_revoked(&self, issued_before: u32, expires: u32) -> bool {
        let in_time = |second: u32, holds: &dyn Fn(UnixSeconds) -> bool| {
            second == NEVER || holds(UnixSeconds(u64::from(second)))
        };
        in_time(issued_before, &|second| self.claims.issued_at < second)
            && in_time(expires, &|second| {
                self.now.seconds() < second || self.claims.expires <= second
            })
    }
}
