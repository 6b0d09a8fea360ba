//! What the headers say of a request's body.

use super::Interaction;
use super::reasons::{FHIR_CONTENT_DUPLICATE, FHIR_FORM_ENCODING, FHIR_MEDIA_TYPE};
use super::route::Body;
use crate::base::refusal::Refusal;
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
        uncompressed(headers)?;
    }
    Ok((body, declared))
}

fn declared(headers: &Headers) -> Result<Declared, Refusal> {
    let value = headers
        .single("content-type")
        .map_err(|_| Refusal::new(&FHIR_CONTENT_DUPLICATE).hint("content-type"))?;
    let Some(value) = value else { return Ok(Declared::Nothing) };
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().unwrap_or_default();
    if media_type.contains(&b',') {
        // How proxies join two fields.
        return Err(Refusal::new(&FHIR_CONTENT_DUPLICATE).hint("content-type"));
    }
    if !media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Ok(Declared::Other);
    }
    if parts.all(is_utf8_or_harmless) {
        Ok(Declared::Form)
    } else {
        Err(Refusal::new(&FHIR_FORM_ENCODING).hint("charset"))
    }
}

/// A parameter of the media type that does not ask for another character set.
fn is_utf8_or_harmless(parameter: &[u8]) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    let Some(charset) = parameter.strip_prefix(b"charset") else { return true };
    matches!(charset, b"=utf-8" | b"=\"utf-8\"")
}

fn uncompressed(headers: &Headers) -> Result<(), Refusal> {
    let coding = headers
        .single("content-encoding")
        .map_err(|_| Refusal::new(&FHIR_CONTENT_DUPLICATE).hint("content-encoding"))?;
    match coding {
        Some(coding) if !coding.eq_ignore_ascii_case(b"identity") => {
            Err(Refusal::new(&FHIR_FORM_ENCODING).hint("content-encoding"))
        }
        _ => Ok(()),
    }
}
