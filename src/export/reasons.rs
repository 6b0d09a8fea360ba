//! Why what belongs to a bulk export is refused.

use crate::base::refusal::Reason;

crate::reasons! {
    /// The signature in `_phiward` is not of this link, this client or this gateway; more than one of
    /// it, or something behind it.
    EXPORT_NOT_BOUND = Reason::new(403, "export_not_bound", "forbidden",
        "this link is not of an export that this client started here: start the export again");
    /// Neither read nor, for the status, cancelled.
    EXPORT_METHOD = Reason::new(405, "export_method", "not-supported",
        "this method is nothing that a link of an export takes");
    /// The token names no client to bind the export to.
    EXPORT_CLIENT_MISSING = Reason::new(403, "export_client_missing", "forbidden",
        "an export is bound to the client that starts it, and the token names none");
    /// `PHIWARD_EXPORT_KEY` is shorter than 32 characters, or the host's shared data failed.
    EXPORT_KEY_MISSING = Reason::new(503, "export_key_missing", "exception",
        "this gateway has no key to sign the links of exports with");
    /// The kick-off was not answered with 202 and one `Content-Location`, nor with an error.
    EXPORT_KICKOFF = Reason::new(502, "export_kickoff", "exception",
        "the server did not answer the start of an export as it should");
    /// The status was answered with a redirect or something else that is no status.
    EXPORT_STATUS = Reason::new(502, "export_status", "exception",
        "the server did not answer the status of an export as it should");
    /// A URL of this host that can't be signed: relative, with a fragment, with characters that must
    /// be encoded, or leading to what scopes are judged for, such as a search.
    EXPORT_LOCATION = Reason::new(502, "export_location", "exception",
        "the server gave a link of an export that can't be followed");
    /// The manifest is not strict JSON or has no `transactionTime`; it is a resource; an output has no
    /// URL or no type of the release.
    EXPORT_MANIFEST = Reason::new(502, "export_manifest", "exception",
        "the manifest of the export can't be judged");
    /// An output is of a type that the token's scopes don't cover: the server ignored `_type`, or the
    /// token has fewer scopes than the one that started the export.
    EXPORT_OUTPUT_UNCOVERED = Reason::new(403, "export_output_uncovered", "forbidden",
        "the export holds types that the token's scopes don't cover");
    /// A line of a file has more than 16 MiB: nobody can judge it. The client, which had the lines
    /// before it, sees the answer break off.
    EXPORT_LINE_TOO_LONG = Reason::new(502, "export_line_too_long", "too-long",
        "a line of the export is longer than this gateway can judge");
}
