//! Refusals that belong to no single stage.

use crate::base::refusal::Reason;

crate::reasons! {
    /// The host told of events in an order that this filter does not know.
    OUT_OF_ORDER = Reason::new(500, "exchange_out_of_order", "exception",
        "the gateway lost track of this exchange");
    /// Envoy ended the exchange before this filter saw the request's head.
    NEVER_SEEN = Reason::new(500, "request_never_seen", "exception",
        "the request ended before it reached this gateway's rules");
    /// The exchange ended before there was a decision: the client left, or a body never came.
    NOT_DECIDED = Reason::new(500, "request_not_decided", "incomplete",
        "the request ended before it was decided");
    /// The filter has no configuration it could decide by.
    NOT_CONFIGURED = Reason::new(503, "gateway_not_configured", "transient",
        "the gateway is not ready");
    /// The host refused to change the request as decided.
    HOST_FAILED = Reason::new(500, "host_failed", "exception",
        "the gateway could not prepare this request");
    /// `GET`, `HEAD`, `DELETE` or `OPTIONS` with a body. Nobody judges it; a server that reads such a
    /// request as one without a body takes it for the next request (RFC 9110 section 9.3.1).
    BODY_UNEXPECTED = Reason::new(400, "body_unexpected", "structure",
        "a request with this method has no body: leave it out");
    /// The worker holds as many bytes of requests that wait, and of answers that pass, as it may
    /// (`flow::room`): more would end in a lack of memory, which takes everybody's requests along.
    HELD_ENOUGH = Reason::new(503, "held_enough", "transient",
        "the gateway holds as many bodies as it may: try again");
    /// The answer that had to be judged never came whole: it is larger than Envoy's buffer
    /// (`per_connection_buffer_limit_bytes`), or one side hung up. Envoy answered in its own words.
    ANSWER_UNFINISHED = Reason::new(502, "answer_unfinished", "incomplete",
        "the FHIR server's answer did not come whole");
    /// The answer of the FHIR server has no status.
    STATUS_UNREADABLE = Reason::new(502, "answer_status_unreadable", "exception",
        "the FHIR server's answer can't be read");
    /// The form body of a search is longer than `flow::MAX_FORM`.
    FORM_TOO_LONG = Reason::new(413, "form_too_long", "too-long",
        "the search form is longer than 64 KiB: use fewer criteria");
    /// The verified token was not found again where it was just put.
    TOKEN_NOT_HELD = Reason::new(500, "token_not_held", "exception",
        "the gateway lost track of this token");
}
