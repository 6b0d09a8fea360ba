//! How an exchange ended: what was seen of its answer, and what only the host knows.

use core::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MapType;

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
        self.status = headers.all(":status").next().and_then(code);
    }

    /// That head is not read, its status aside. What we answer has the status that was said, whatever Envoy
    /// makes of it for gRPC.
    pub(super) fn head_unread(&mut self) {
        if self.ours {
            return;
        }
        let status = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, ":status");
        self.status = status.ok().flatten().and_then(|status| code(&status));
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

    /// Whether Envoy has nothing to add: the answer went by as it should, and is too small to be still on
    /// its way when the client leaves.
    fn is_all(&self) -> bool {
        let well = self.status.is_some_and(|status| self.ours || (200..400).contains(&status));
        self.whole && well && self.bytes <= SMALL
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
        let flags = if self.is_all() { Some(0) } else { number(&["response", "flags"]) };
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

/// Most bytes of an answer's body that leave at once: a window of HTTP/2 is larger unless the client
/// makes it smaller.
const SMALL: u64 = 16 * 1024;

/// The value of `:status`.
fn code(text: &[u8]) -> Option<u16> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The status by its property.
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
