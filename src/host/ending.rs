//! How an exchange ended: what was seen of its answer, and what only the host knows.

use core::time::Duration;

use proxy_wasm::hostcalls;

use crate::audit::Failure;
use crate::flow::End;
use crate::request::Headers;

/// What went by of the answer. Every property that the host is asked for costs a call of the host back
/// into this VM, so it is asked for what was not seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where its head was read or it is our own.
    status: Option<u16>,
    ours: bool,
    /// Of its body.
    bytes: u64,
    whole: bool,
}

impl Seen {
    /// The head of an answer came: one that Envoy gives in place of another begins anew.
    pub(super) fn begun(&mut self, end_of_stream: bool) {
        if !self.ours {
            *self = Seen::default();
        }
        self.ended(end_of_stream);
    }

    /// That head was read.
    pub(super) fn head(&mut self, headers: &Headers) {
        let status = headers.all(":status").next();
        self.status = status.and_then(|status| core::str::from_utf8(status).ok()?.parse().ok());
    }

    /// An answer of our own took its place.
    pub(super) fn answered(&mut self, status: u16) {
        *self = Seen { status: Some(status), ours: true, ..Seen::default() };
    }

    /// Whether this was its end.
    pub(super) fn ended(&mut self, end_of_stream: bool) {
        self.whole |= end_of_stream;
    }

    /// So many more bytes of the body went on.
    pub(super) fn went_on(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// What became of the exchange that the host is logging. `began`: its head was seen, so how long it
    /// took is known.
    pub(super) fn end(&self, began: bool) -> End {
        let duration = || number(&["request", "duration"]).map(Duration::from_nanos);
        let end = End {
            duration: if began { None } else { duration() },
            address: text(&["source", "address"]),
            tls: text(&["connection", "tls_version"]),
            ..End::default()
        };
        let flags = number(&["response", "flags"]);
        if self.whole && flags == Some(0) {
            let status = self.status.or_else(status);
            // Errors of the host have no flag where it refuses what is too long.
            let failed = !self.ours && status.is_none_or(|status| status >= 400);
            let failure = if failed { failure_by_details() } else { None };
            return End { status, bytes: Some(self.bytes), failure, ..end };
        }
        let failure = flags.and_then(Failure::of).or_else(failure_by_details);
        End { status: status(), bytes: number(&["response", "size"]), failure, ..end }
    }
}

fn status() -> Option<u16> {
    number(&["response", "code"]).and_then(|code| u16::try_from(code).ok())
}

fn failure_by_details() -> Option<Failure> {
    Failure::of_details(&text(&["response", "code_details"])?)
}

/// An integer property: 8 bytes, little endian.
fn number(path: &[&str]) -> Option<u64> {
    let bytes = hostcalls::get_property(path.to_vec()).ok()??;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn text(path: &[&str]) -> Option<String> {
    let bytes = hostcalls::get_property(path.to_vec()).ok()??;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}
