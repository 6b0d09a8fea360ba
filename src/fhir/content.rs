//! What the headers say of a request's body.

use super::Interaction;
use super::reasons::{FHIR_CONTENT_DUPLICATE, FHIR_FORM_ENCODING, FHIR_MEDIA_TYPE};
use super::route::Body;
use crate::base::refusal::{Reason, Refusal};
use crate::request::{Headers, Method};

/// Whether a body is declared to be a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Form,
    Other,
    Nothing,
}

/// The body an interaction takes and what it is declared to be.
///
/// # Errors
///
/// A search by POST whose body is declared as something else than a form, a form where a resource or
/// nothing belongs, a form that two readers could decode differently.
pub(super) fn body(
    interaction: &Interaction,
    method: Method,
    headers: &Headers,
) -> Result<(Body, Declared), Refusal> {
    let declared = declared(headers)?;
    if matches!(method, Method::Get | Method::Head | Method::Delete | Method::Options) {
        // A server that reads forms of any method would take parameters that nobody judged.
        return match declared {
            Declared::Form => Err(Refusal::new(&FHIR_MEDIA_TYPE)),
            Declared::Other | Declared::Nothing => Ok((Body::None, Declared::Nothing)),
        };
    }
    let search = matches!(
        interaction,
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..)
    );
    let operation = matches!(interaction, Interaction::Operation(_));
    let body = match declared {
        Declared::Form | Declared::Nothing if search => Body::Form,
        Declared::Form if operation => Body::Form,
        Declared::Other if search => return Err(Refusal::new(&FHIR_MEDIA_TYPE)),
        Declared::Form => return Err(Refusal::new(&FHIR_MEDIA_TYPE)),
        Declared::Other | Declared::Nothing => Body::Resource,
    };
    if body == Body::Form {
        uncompressed(headers, &FHIR_FORM_ENCODING)?;
    }
    Ok((body, declared))
}

/// A `Content-Type`. Split at every `;`, quoted or not: that finds each parameter a reader could find,
/// and may only refuse too much.
pub(super) struct MediaType<'h> {
    pub(super) name: &'h [u8],
    /// None of them empty.
    pub(super) parameters: Vec<&'h [u8]>,
}

/// The media type of the body.
///
/// # Errors
///
/// `Content-Type` twice, or two of them joined into one.
pub(super) fn media_type(headers: &Headers) -> Result<Option<MediaType<'_>>, Refusal> {
    let Some(value) = single(headers, "content-type")? else { return Ok(None) };
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    if name.contains(&b',') {
        // How proxies join two fields.
        return Err(Refusal::new(&FHIR_CONTENT_DUPLICATE).hint("content-type"));
    }
    Ok(Some(MediaType { name, parameters: parts.filter(|part| !part.is_empty()).collect() }))
}

/// That the body is not compressed; `otherwise` says why it is refused.
pub(super) fn uncompressed(headers: &Headers, otherwise: &'static Reason) -> Result<(), Refusal> {
    match single(headers, "content-encoding")? {
        Some(coding) if !coding.trim_ascii().eq_ignore_ascii_case(b"identity") => {
            Err(Refusal::new(otherwise).hint("content-encoding"))
        }
        _ => Ok(()),
    }
}

fn declared(headers: &Headers) -> Result<Declared, Refusal> {
    let Some(MediaType { name, parameters }) = media_type(headers)? else {
        return Ok(Declared::Nothing);
    };
    if !name.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Ok(Declared::Other);
    }
    if parameters.into_iter().all(is_utf8_or_harmless) {
        Ok(Declared::Form)
    } else {
        Err(Refusal::new(&FHIR_FORM_ENCODING).hint("charset"))
    }
}

fn single<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h [u8]>, Refusal> {
    headers.single(name).map_err(|_| Refusal::new(&FHIR_CONTENT_DUPLICATE).hint(name))
}

/// A parameter of the media type that does not ask for another character set.
fn is_utf8_or_harmless(parameter: &[u8]) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    let Some(charset) = parameter.strip_prefix(b"charset") else { return true };
    matches!(charset, b"=utf-8" | b"=\"utf-8\"")
}
