//! What a Status List Token says (draft-ietf-oauth-status-list section 5.1), once its signature is
//! verified.

use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::base::time::{Instant, UnixSeconds};
use crate::token::signed::Signed;

/// A list as it was signed, still packed.
#[derive(Debug)]
pub(super) struct Document {
    /// `iat`
    pub(super) issued_at: UnixSeconds,
    /// `exp` and the issuer's clock skew; without `exp`, the end of time.
    pub(super) good_until: Instant,
    /// `ttl`: how long a copy may be used before it is fetched anew.
    pub(super) ttl: Option<Duration>,
    /// Bits of one status: 1, 2, 4 or 8.
    pub(super) bits: u8,
    /// The statuses, packed with zlib.
    pub(super) packed: Vec<u8>,
}

/// Reads the list that is to be the one at `uri`.
///
/// # Errors
///
/// What is wrong with it, in words for the log.
pub(super) fn read(signed: &Signed, uri: &str) -> Result<Document, &'static str> {
    let claims = &signed.claims;
    if claims.get("sub").and_then(Value::as_str) != Some(uri) {
        return Err("its `sub` is not the URI that it was fetched from");
    }
    let ttl = match claims.get("ttl").map(Value::as_u64) {
        None => None,
        Some(Some(1..)) => claims.get("ttl").and_then(Value::as_u64).map(Duration::from_secs),
        Some(_) => return Err("its `ttl` is not a positive whole number"),
    };
    let list = claims.get("status_list").and_then(Value::as_object);
    let list = list.ok_or("it has no `status_list`")?;
    let bits = match list.get("bits").and_then(Value::as_u64) {
        Some(bits @ (1 | 2 | 4 | 8)) => u8::try_from(bits).unwrap_or_default(),
        _ => return Err("its `bits` is none of 1, 2, 4 and 8"),
    };
    let packed = list.get("lst").and_then(Value::as_str).ok_or("it has no `lst`")?;
    let packed = URL_SAFE_NO_PAD.decode(packed).map_err(|_| "its `lst` is not base64url")?;
    let good_until = signed.expires.map_or(Instant::from_nanoseconds(u64::MAX), |end| {
        Instant::from_seconds(end).plus(signed.clock_skew)
    });
    Ok(Document { issued_at: signed.issued_at, good_until, ttl, bits, packed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const URI: &str = "https://auth.clinic.example/lists/1";

    fn honest() -> Value {
        json!({"sub": URI, "iat": 1, "exp": 100, "ttl": 60,
               "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ", "aggregation_uri": "x"}})
    }

    fn of(claims: Value) -> Result<Document, &'static str> {
        let Value::Object(claims) = claims else { panic!() };
        let expires = claims.get("exp").and_then(Value::as_u64).map(UnixSeconds);
        let clock_skew = Duration::from_secs(30);
        read(&Signed { claims, issued_at: UnixSeconds(1), expires, clock_skew }, URI)
    }

    #[test]
    fn a_list_is_read_with_its_times() {
        let list = of(honest()).unwrap();
        assert_eq!((list.issued_at, list.bits), (UnixSeconds(1), 1));
        assert_eq!(list.good_until, Instant::from_seconds(UnixSeconds(130)));
        assert_eq!(list.ttl, Some(Duration::from_secs(60)));
        assert_eq!(list.packed[..2], [0x78, 0xda]);
    }

    #[test]
    fn what_it_may_leave_out_bounds_nothing() {
        let mut claims = honest();
        claims.as_object_mut().unwrap().retain(|name, _| name != "exp" && name != "ttl");
        let list = of(claims).unwrap();
        assert_eq!((list.ttl, list.good_until.nanoseconds()), (None, u64::MAX));
    }

    #[test]
    fn what_is_no_such_list_is_told_apart() {
        let rows = [
            ("/sub", json!("https://auth.clinic.example/lists/2"), "`sub`"),
            ("/sub", json!(format!("{URI}/")), "`sub`"),
            ("/sub", json!(null), "`sub`"),
            ("/ttl", json!(0), "`ttl`"),
            ("/ttl", json!(-5), "`ttl`"),
            ("/ttl", json!(1.5), "`ttl`"),
            ("/ttl", json!("60"), "`ttl`"),
            ("/status_list", json!([]), "`status_list`"),
            ("/status_list/bits", json!(3), "`bits`"),
            ("/status_list/bits", json!(0), "`bits`"),
            ("/status_list/bits", json!(16), "`bits`"),
            ("/status_list/bits", json!("1"), "`bits`"),
            ("/status_list/bits", json!(257), "`bits`"),
            ("/status_list/lst", json!(null), "`lst`"),
            ("/status_list/lst", json!("eNrbuRgAAhcBXQ=="), "base64url"),
            ("/status_list/lst", json!("eNrb uRgAAhcBXQ"), "base64url"),
        ];
        for (place, value, word) in rows {
            let mut claims = honest();
            *claims.pointer_mut(place).unwrap() = value.clone();
            let problem = of(claims).unwrap_err();
            assert!(problem.contains(word), "{place} {value}: {problem}");
        }
    }
}
