//! Stage 1: the request head, read once as bytes, with a target that only reads one way.

pub mod query;
pub mod reasons;
mod target;

#[cfg(test)]
mod tests;

pub use query::Query;
pub use target::MAX_TARGET;

use core::fmt;

use crate::base::refusal::Refusal;
use query::Forbidden;
use reasons::{
    AUTHORITY_INVALID, HEAD_DUPLICATE, HEAD_INCOMPLETE, HOST_CONFLICT, IN_GRPC, METHOD_OVERRIDE,
    METHOD_UNKNOWN, TOKEN_IN_QUERY, UPGRADE,
};
use target::Target;

/// Headers by which some frameworks replace the method or the target that was judged. `forward`
/// removes them.
pub const OVERRIDES: &[&str] = &[
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Proof that a request head was read: one method, one authority, a target with one meaning and no
/// token in its query.
#[derive(Debug, Clone)]
pub struct Head {
    method: Method,
    authority: String,
    raw_target: String,
    path: String,
    query: Query,
    headers: Headers,
}

/// Reads a request head from the headers as Envoy gives them, pseudo headers included.
///
/// # Errors
///
/// A reason of [`reasons`]: an incomplete or contradictory head, a target that two parsers could
/// read differently, a token or a method override among the parameters.
pub fn read(headers: Headers) -> Result<Head, Refusal> {
    let method = pseudo(&headers, ":method")?;
    let method = Method::parse(method)
        .ok_or_else(|| Refusal::new(&METHOD_UNKNOWN).allow(Method::ALLOWED))?;
    speaks_http(&headers)?;
    let authority = authority(&headers)?;
    headers.single(":scheme").map_err(|_| Refusal::new(&HEAD_DUPLICATE).hint(":scheme"))?;
    let target = Target::read(pseudo(&headers, ":path")?)?;
    let query = target.raw_query().map_or(Ok(Query::default()), Query::parse)?;
    match query.forbidden() {
        Some(Forbidden::Token) => return Err(Refusal::new(&TOKEN_IN_QUERY)),
        Some(Forbidden::MethodOverride) => return Err(Refusal::new(&METHOD_OVERRIDE)),
        None => {}
    }
    let Target { raw: raw_target, path } = target;
    Ok(Head { method, authority, raw_target, path, query, headers })
}

impl Head {
    /// The request method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path after its one and only decoding, without the query. Starts with `/`; has no empty
    /// segment but a last one, no dot segment, no control character.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The target as it came: `:path`. May hold patient data: not for logs.
    pub fn raw_target(&self) -> &str {
        &self.raw_target
    }

    /// What stands after `?`, as it came.
    pub fn raw_query(&self) -> Option<&str> {
        self.raw_target.split_once('?').map(|(_, query)| query)
    }

    /// The parameters of the query, decoded once.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// All header fields, pseudo headers included.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The host the client asked for, with its port if it gave one.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// What a client says after a change of protocol, or in gRPC, nobody judges. Envoy refuses a change
/// of protocol by itself, unless its listener has `upgrade_configs`.
fn speaks_http(headers: &Headers) -> Result<(), Refusal> {
    if headers.names().any(|name| matches!(name, b"upgrade" | b":protocol")) {
        return Err(Refusal::new(&UPGRADE));
    }
    let is_grpc = |value: &[u8]| {
        let kind = value.get(..GRPC.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
    };
    if headers.all("content-type").any(is_grpc) { Err(Refusal::new(&IN_GRPC)) } else { Ok(()) }
}

/// A pseudo header that must be there once and not empty.
fn pseudo<'a>(headers: &'a Headers, name: &str) -> Result<&'a [u8], Refusal> {
    let value = headers.single(name).map_err(|_| Refusal::new(&HEAD_DUPLICATE).hint(name))?;
    value.filter(|value| !value.is_empty()).ok_or_else(|| Refusal::new(&HEAD_INCOMPLETE).hint(name))
}

/// The authority, which a `host` header, should the client's protocol allow both, must repeat.
fn authority(headers: &Headers) -> Result<String, Refusal> {
    let bytes = pseudo(headers, ":authority")?;
    let text = core::str::from_utf8(bytes).ok();
    let authority = text.filter(|text| text.bytes().all(is_authority_byte));
    let authority = authority.ok_or_else(|| Refusal::new(&AUTHORITY_INVALID))?;
    let hosts_agree = headers.all("host").all(|host| host.eq_ignore_ascii_case(bytes));
    if hosts_agree { Ok(authority.to_owned()) } else { Err(Refusal::new(&HOST_CONFLICT)) }
}

/// Host names, IPv4, IPv6 in brackets and a port; no user information.
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte)
}

/// A field that may come once came more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate;

/// Header fields as bytes, in the order they came. Names are lower case, as Envoy gives them.
#[derive(Clone, Default)]
pub struct Headers {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Headers {
    /// Takes the fields as the host gave them.
    pub fn new(fields: Vec<(Vec<u8>, Vec<u8>)>) -> Headers {
        Headers { fields }
    }

    /// Every value of the field `name` (lower case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.as_slice() == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// The value of a field that may come once.
    ///
    /// # Errors
    ///
    /// [`Duplicate`] when it came more than once, even with the same value.
    pub fn single<'a>(&'a self, name: &str) -> Result<Option<&'a [u8]>, Duplicate> {
        let mut values =
            self.fields.iter().filter(|(field, _)| field.as_slice() == name.as_bytes());
        let first = values.next().map(|(_, value)| value.as_slice());
        if values.next().is_some() { Err(Duplicate) } else { Ok(first) }
    }

    /// All names, in order, with repeats.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|(name, _)| name.as_slice())
    }
}

/// Names only: among the values are the token and cookies.
impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names().map(String::from_utf8_lossy)).finish()
    }
}

/// A request method that the FHIR API or a browser's preflight uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// Every method, as an `Allow` header names them.
    pub const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

    /// Reads a method. Methods are case-sensitive (RFC 9110 section 9.1).
    pub fn parse(name: &[u8]) -> Option<Method> {
        match name {
            b"GET" => Some(Method::Get),
            b"HEAD" => Some(Method::Head),
            b"POST" => Some(Method::Post),
            b"PUT" => Some(Method::Put),
            b"PATCH" => Some(Method::Patch),
            b"DELETE" => Some(Method::Delete),
            b"OPTIONS" => Some(Method::Options),
            _ => None,
        }
    }

    /// Whether content of a request with this method means anything (RFC 9110 section 9.3).
    pub const fn takes_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }

    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

/// What the media types of gRPC and gRPC-Web begin with.
const GRPC: &[u8] = b"application/grpc";
