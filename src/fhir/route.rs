//! From a request head to what it asks of the FHIR API.

use super::content::{self, Declared};
use super::grammar::{self, Conditions};
use super::reasons::{FHIR_IF_NONE_EXIST, FHIR_MEDIA_TYPE, FHIR_METHOD, FHIR_OUTSIDE_BASE};
use super::{Api, Interaction};
use crate::base::refusal::Refusal;
use crate::request::query::Forbidden;
use crate::request::reasons::{METHOD_OVERRIDE, PARAMETER_CHARACTER, TOKEN_IN_FORM};
use crate::request::{Head, Method, Query};

/// Name of the [`Interaction::Public`] that a browser's preflight is.
pub const PREFLIGHT: &str = "preflight";

/// Parameters that shape the answer and select nothing: alone they are no criteria.
const ANSWER_SHAPE: [&str; 4] = ["_format", "_pretty", "_summary", "_elements"];

/// Where a request goes.
#[derive(Debug, Clone)]
pub enum Routed {
    /// A path of `fhir.passthrough`: not FHIR, forwarded untouched.
    Passthrough,
    /// An interaction of the FHIR API.
    Fhir(Request),
}

/// An interaction with its parameters. Made by [`route`] only.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked for.
    pub interaction: Interaction,
    /// Parameters of the query, and after [`Request::with_form`] of the body.
    pub query: Query,
    /// What body belongs to it.
    pub body: Body,
    declared: Declared,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// Parameters: of a search by POST, or of an operation sent as a form. Must be read whole and
    /// given to [`Request::with_form`] before anything is decided. May be empty.
    Form,
    /// A resource, a patch or `Parameters`.
    Resource,
}

/// Tells which interaction a request is.
///
/// # Errors
///
/// A reason of [`super::reasons`]: 404 for what the release does not have, 405 with `Allow` for a
/// method that the path does not take, 400 for what is malformed, 415 for a body of another type.
pub fn route(head: &Head, api: &Api) -> Result<Routed, Refusal> {
    let path = head.path();
    if api.passthrough.iter().any(|known| known == path) {
        return Ok(Routed::Passthrough);
    }
    let path = api.below_base(path).ok_or_else(|| Refusal::new(&FHIR_OUTSIDE_BASE))?;
    let selects = |name: &str| !ANSWER_SHAPE.contains(&name);
    let conditions = Conditions {
        criteria: head.query().params().iter().any(|param| selects(&param.name)),
        if_none_exist: if_none_exist(head)?,
    };
    let interaction = if let Some(method) = preflight(head) {
        interaction(api, method, path, conditions)?;
        Interaction::Public(PREFLIGHT.to_owned())
    } else {
        interaction(api, head.method(), path, conditions)?
    };
    let (body, declared) = content::body(&interaction, head.method(), head.headers())?;
    let query = head.query().clone();
    Ok(Routed::Fhir(Request { interaction, query, body, declared }))
}

impl Request {
    /// Adds the parameters of the whole form body to those of the query. An empty body adds none.
    ///
    /// # Errors
    ///
    /// What [`Query::parse`] refuses, a token or a method override among the parameters, and a
    /// body that was not declared to be a form.
    pub fn with_form(mut self, body: &[u8]) -> Result<Request, Refusal> {
        if body.is_empty() {
            return Ok(self);
        }
        if self.body != Body::Form || self.declared != Declared::Form {
            return Err(Refusal::new(&FHIR_MEDIA_TYPE));
        }
        let text = core::str::from_utf8(body).map_err(|_| Refusal::new(&PARAMETER_CHARACTER))?;
        let form = Query::parse(text)?;
        match form.forbidden() {
            Some(Forbidden::Token) => return Err(Refusal::new(&TOKEN_IN_FORM)),
            Some(Forbidden::MethodOverride) => return Err(Refusal::new(&METHOD_OVERRIDE)),
            None => {}
        }
        self.query.extend(form)?;
        Ok(self)
    }
}

/// Public documents come first: `fhir.public` can't name a resource type, so they hide nothing.
fn interaction(
    api: &Api,
    method: Method,
    path: &str,
    conditions: Conditions,
) -> Result<Interaction, Refusal> {
    if !api.public.iter().any(|known| known == path) {
        return grammar::interaction(api.release, method, path, conditions);
    }
    match method {
        Method::Get | Method::Head if path == "metadata" => Ok(Interaction::Capabilities),
        Method::Get | Method::Head => Ok(Interaction::Public(path.to_owned())),
        _ => Err(Refusal::new(&FHIR_METHOD).allow("GET, HEAD")),
    }
}

/// The method that a browser asks leave for (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
/// It asks without a token, so the preflight of any known interaction is let through as public.
fn preflight(head: &Head) -> Option<Method> {
    let headers = head.headers();
    let asks = head.method() == Method::Options
        && matches!(headers.single("origin"), Ok(Some(_)))
        && matches!(headers.single("authorization"), Ok(None));
    let asked = headers.single("access-control-request-method").ok()??;
    Method::parse(asked).filter(|_| asks)
}

fn if_none_exist(head: &Head) -> Result<bool, Refusal> {
    match head.headers().single("if-none-exist") {
        Ok(None) => Ok(false),
        Ok(Some(criteria)) if !criteria.trim_ascii().is_empty() => Ok(true),
        _ => Err(Refusal::new(&FHIR_IF_NONE_EXIST)),
    }
}
