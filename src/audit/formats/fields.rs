//! The fields of what phiward writes, in the order it writes them: beside the structs `Line` and
//! `Checkpoint`, for what reads their lines. A test fails when they differ.

/// A field of a line.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    /// A whole number that is not negative.
    Count,
    /// Milliseconds with at most three decimals.
    Milliseconds,
    Flag,
    Texts,
    Object(&'static [Field]),
    /// As [`Kind::Object`]; it is written without any field too.
    Always(&'static [Field]),
    Objects(&'static [Field]),
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// The record of an exchange.
pub(crate) const RECORD: &[Field] = &[
    field("schema", Kind::Text),
    field("time", Kind::Text),
    field("id", Kind::Text),
    field("part_of", Kind::Text),
    field("request_id", Kind::Text),
    field("decision", Kind::Text),
    field("observe", Kind::Flag),
    field("would", Kind::Text),
    field("reason", Kind::Text),
    field("who", Kind::Object(WHO)),
    field("from", Kind::Always(FROM)),
    field("what", Kind::Always(WHAT)),
    field("outcome", Kind::Object(OUTCOME)),
    field("patients", Kind::Texts),
    field("patients_unread", Kind::Flag),
    field("scopes", Kind::Texts),
    field("narrowed", Kind::Texts),
    field("removed", Kind::Count),
    field("revocation", Kind::Text),
];

const WHO: &[Field] = &[
    field("issuer", Kind::Text),
    field("sub", Kind::Text),
    field("client", Kind::Text),
    field("user", Kind::Text),
    field("organization", Kind::Text),
    field("roles", Kind::Texts),
    field("jti", Kind::Text),
    field("patient", Kind::Text),
];

const FROM: &[Field] = &[field("address", Kind::Text), field("tls", Kind::Text)];

const WHAT: &[Field] = &[
    field("method", Kind::Text),
    field("interaction", Kind::Text),
    field("type", Kind::Text),
    field("id", Kind::Text),
    field("version", Kind::Text),
    field("operation", Kind::Text),
    field("compartment", Kind::Text),
    field("patient", Kind::Text),
    field("parameters", Kind::Objects(PARAMETER)),
];

const PARAMETER: &[Field] =
    &[field("name", Kind::Text), field("value", Kind::Text), field("hash", Kind::Text)];

const OUTCOME: &[Field] = &[
    field("status", Kind::Count),
    field("bytes", Kind::Count),
    field("duration_ms", Kind::Milliseconds),
    field("failure", Kind::Text),
];

/// A checkpoint.
pub(crate) const CHECKPOINT: &[Field] = &[
    field("schema", Kind::Text),
    field("time", Kind::Text),
    field("stream", Kind::Text),
    field("count", Kind::Count),
    field("head", Kind::Text),
    field("last", Kind::Flag),
];
