//! The token of an explained request: a JWT as it is, or claims in its place.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Unusable;
use crate::base::json;
use crate::cli::document;
use crate::cli::request::Request;

/// What was given as the token. Never shown.
pub(super) enum Given {
    /// None.
    Nothing,
    /// What follows `Bearer` in the request's head.
    Bearer(String),
    /// Claims without a token.
    Claims(Map<String, Value>),
}

/// Reads the token of the arguments, or the one in the request.
pub(super) fn read(argument: Option<&str>, request: &Request) -> Result<Given, Unusable> {
    let Some(argument) = argument else { return Ok(of_request(request)) };
    if request.all("authorization").next().is_some() {
        let problem = "the request has an `Authorization` header: leave out `--token`";
        return Err(problem.to_owned().into());
    }
    let text = match argument.strip_prefix('@') {
        None => argument.to_owned(),
        Some(file) => document::text(Path::new(file), document::MAX_CONTENT)?,
    };
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(Given::Bearer(text.to_owned()));
    }
    match json::parse(text.as_bytes()) {
        Ok(Value::Object(claims)) => Ok(Given::Claims(claims)),
        _ => Err("the claims are not one strict JSON object".to_owned().into()),
    }
}

/// The token that the request brings along, where it brings exactly one.
fn of_request(request: &Request) -> Given {
    let mut all = request.all("authorization");
    let (first, second) = (all.next(), all.next());
    let bearer = first.and_then(|value| value.split_once(' '));
    match (bearer, second) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("Bearer") => {
            Given::Bearer(token.to_owned())
        }
        _ => Given::Nothing,
    }
}

/// Header and claims of a JWT, proven by nothing.
pub(super) fn parts(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.').map(|part| {
        let decoded = URL_SAFE_NO_PAD.decode(part).ok()?;
        match json::parse(&decoded).ok()? {
            Value::Object(members) => Some(members),
            _ => None,
        }
    });
    Some((parts.next()??, parts.next()??))
}

/// `iss` of a JWT, proven by nothing.
pub(super) fn issuer(token: &str) -> Option<String> {
    parts(token)?.1.get("iss")?.as_str().map(str::to_owned)
}

/// Whether a token has the form of neither JWS nor JWE.
pub(super) fn is_opaque(token: &str) -> bool {
    !matches!(token.matches('.').count(), 2 | 4)
}
