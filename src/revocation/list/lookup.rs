//! Looks a token up in the list in force: the small tier without reading anything, then one bucket for
//! each set of keys in the large tier.

use super::InForce;
use super::bucket::search;
use super::entry::Kind;
use super::record::{Holder, Mask};
use super::table::Table;
use crate::base::capabilities::{Capabilities, HostFailed};
use crate::store::Feed;
use crate::token::Claims;

/// What the list says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Found {
    /// No entry matches it.
    Nothing,
    /// An entry matches it.
    Revoked,
    /// A part of the list is not of this loading, is newer than its head, or can't be read.
    Torn,
}

/// Looks a token up: once, and for each further patient whose records it opens in what names patients.
pub(super) fn look_up(
    claims: &Claims,
    list: &InForce,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<Found, HostFailed> {
    let now = caps.now();
    let mut patients = claims.patients();
    let first = Holder { claims, patient: patients.next(), now };
    let mut found = look_up_one(&first, |_| true, list, feed, caps)?;
    for patient in patients {
        if found == Found::Nothing {
            let other = Holder { patient: Some(patient), ..first };
            found = look_up_one(&other, |mask| mask.has(Kind::Patient), list, feed, caps)?;
        }
    }
    Ok(found)
}

fn look_up_one(
    holder: &Holder<'_>,
    concerns: impl Fn(Mask) -> bool,
    list: &InForce,
    feed: &Feed,
    caps: &dyn Capabilities,
) -> Result<Found, HostFailed> {
    let InForce { summary, small, .. } = list;
    let Some(small) = small else { return Ok(Found::Torn) };
    for (mask, section) in small.sections(&summary.small).filter(|(mask, _)| concerns(*mask)) {
        if let Some(hash) = holder.hash(mask, &summary.secret)
            && small.revokes(section, hash, holder)
        {
            return Ok(Found::Revoked);
        }
    }
    let table = Table { feed, place: summary.place };
    for mask in summary.masks.iter().filter(|mask| concerns(**mask)) {
        let Some(hash) = holder.hash(*mask, &summary.secret) else { continue };
        let bucket = table.read(hash, caps)?;
        let tag = &summary.place.tag;
        match bucket.and_then(|bucket| search(&bucket.value, tag, hash, holder)) {
            None => return Ok(Found::Torn),
            Some((true, _)) => return Ok(Found::Revoked),
            // What took the place of an entry that was removed may be known to a later head only.
            Some((false, changes)) if changes.wrapping_sub(summary.changes) as i32 > 0 => {
                return Ok(Found::Torn);
            }
            Some((false, _)) => (),
        }
    }
    Ok(Found::Nothing)
}
