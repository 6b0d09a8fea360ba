//! Instants as people write them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::time::{Instant, UnixSeconds};

/// Reads RFC 3339 or whole seconds since 1970.
pub(super) fn instant(text: &str) -> Result<Instant, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Instant::from_seconds(UnixSeconds(seconds)));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let nanoseconds = time.and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok());
    nanoseconds.map(Instant::from_nanoseconds).ok_or_else(|| {
        format!("`{text}` is neither a time such as {EXAMPLE} nor seconds since 1970")
    })
}

/// Writes RFC 3339 in UTC.
pub(super) fn text(instant: Instant) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(instant.nanoseconds().into()).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| instant.seconds().0.to_string())
}

const EXAMPLE: &str = "2026-09-21T14:13:20Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_or_seconds() {
        let seconds = |text: &str| instant(text).ok().map(|instant| instant.seconds().0);
        assert_eq!(seconds("1790000000"), Some(1_790_000_000));
        assert_eq!(seconds(EXAMPLE), Some(1_790_000_000));
        assert_eq!(seconds("2026-09-21T16:13:20.5+02:00"), Some(1_790_000_000));
        for wrong in ["", "now", "2026-09-21", "-1", "1960-01-01T00:00:00Z"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(text(instant(EXAMPLE).unwrap()), EXAMPLE);
    }
}
