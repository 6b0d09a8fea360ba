//! What happens to an exchange, and what the flow asks of the host in return.

use core::time::Duration;

use crate::audit::Failure;
use crate::forward::Edit;
use crate::request::Headers;
use crate::store::{CallFailed, HttpAnswer, HttpCall};

/// Something that happened, in the order in which Envoy tells it.
#[derive(Debug)]
pub enum Event {
    /// The request's header fields arrived.
    RequestHead {
        /// All of them, pseudo headers included.
        headers: Headers,
        /// No body follows.
        end_of_stream: bool,
    },
    /// More of a held request body arrived, but not its end; `held` bytes so far.
    RequestBodyPart {
        /// Bytes held so far.
        held: usize,
    },
    /// A held request body is complete, by its own end or by trailers.
    RequestBody {
        /// The whole body.
        body: Vec<u8>,
    },
    /// The call that [`Effect::Call`] asked for was answered, or failed.
    CallAnswered {
        /// What came back.
        answer: Result<HttpAnswer, CallFailed>,
    },
    /// The worker got news that this exchange may wait for.
    News,
    /// The header fields of an answer that must be judged arrived.
    ResponseHead {
        /// All of them, `:status` included.
        headers: Headers,
        /// No body follows.
        end_of_stream: bool,
    },
    /// A held answer's body is complete, by its own end or by trailers.
    ResponseBody {
        /// The whole body.
        body: Vec<u8>,
    },
    /// More of an answer came that is judged while it streams.
    ResponsePart {
        /// What came since the last time, which the host still has.
        part: Vec<u8>,
        /// It was the last.
        end_of_stream: bool,
    },
    /// Trailers ended an answer that is judged while it streams. Its body has gone on.
    ResponseTrailers,
}

/// How an exchange ended, as far as the host can tell.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// Status that the client saw; `None` when it was gone before.
    pub status: Option<u16>,
    /// Bytes of the response body sent to the client.
    pub bytes: Option<u64>,
    /// From the first byte of the request to the end. `None`: since its head was seen.
    pub duration: Option<Duration>,
    /// Why the client did not get the whole answer.
    pub failure: Option<Failure>,
    /// The client's address, `ip:port`.
    pub address: Option<String>,
    /// TLS version of the client's connection, for example `TLSv1.3`; `None` on plain text.
    pub tls: Option<String>,
}

/// What the host does next with the exchange.
#[derive(Debug, Default)]
pub struct Step {
    /// To be carried out in this order.
    pub effects: Vec<Effect>,
    /// Then this.
    pub next: Next,
}

/// Whether the request, or the held answer, goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// It stays here: an answer was sent, or more of it has to come. The default, so that a step
    /// that says nothing lets nothing through.
    #[default]
    Pause,
    /// It goes on to the next filter.
    Continue,
}

/// One thing to be done by the host.
#[derive(Debug)]
pub enum Effect {
    /// Change a request header.
    Edit(Edit),
    /// Replace the held request body.
    ReplaceBody(Vec<u8>),
    /// Remove a header field of the held answer.
    RemoveAnswerHeader(&'static str),
    /// Set a header field of the answer, in place of every field of that name.
    SetAnswerHeader(&'static str, String),
    /// Replace the body of the held answer, or the part that came of one that streams.
    ReplaceAnswer(Vec<u8>),
    /// Set a key of the filter state, where the filters behind us and the access log read it.
    FilterState(&'static str, &'static str),
    /// Send this call; the exchange waits for its answer.
    Call(HttpCall),
    /// Answer the client ourselves.
    Reply(Reply),
}

/// An answer of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields without pseudo headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}
