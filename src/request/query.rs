//! Parameters of a query string or a form body, decoded once
//! (`application/x-www-form-urlencoded`, <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>).

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::reasons::{
    PARAMETER_CHARACTER, PARAMETER_CONTROL, PARAMETER_ESCAPE, PARAMETER_NAME, PARAMETER_NOT_UTF8,
    PARAMETERS_TOO_MANY,
};
use super::target::escapes;
use crate::base::refusal::Refusal;

/// Most parameters that are read. Servers stop reading at such a number without a word.
pub const MAX_PARAMS: usize = 1000;

/// Parameters in the order they came, repeats included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    params: Vec<Param>,
}

/// One parameter, decoded once: a value may still contain `%`, a name never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Letters, digits and `_-.:$`; never empty. FHIR's modifiers and chains are part of it.
    pub name: String,
    /// The value; empty when there was none.
    pub value: String,
}

/// A parameter that no request may carry, wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// An access token (RFC 6750 sections 2.2 and 2.3) or what some servers take for one.
    Token,
    /// A replacement for the request method.
    MethodOverride,
}

impl Query {
    /// Reads the text after `?`, or a form body. `&` separates, `+` is a space, empty pieces count
    /// for nothing.
    ///
    /// # Errors
    ///
    /// A reason of [`super::reasons`] whose code starts with `parameter`: what two readers could
    /// read differently, a raw `;` (once a separator) and raw bytes outside 0x21 to 0x7e among it.
    pub fn parse(raw: &str) -> Result<Query, Refusal> {
        if raw.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b';') {
            return Err(Refusal::new(&PARAMETER_CHARACTER));
        }
        let mut params = Vec::new();
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            if params.len() >= MAX_PARAMS {
                return Err(Refusal::new(&PARAMETERS_TOO_MANY));
            }
            params.push(param(piece)?);
        }
        Ok(Query { params })
    }

    /// The parameters in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Every value of the parameter with exactly this name, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.params.iter().filter(move |param| param.name == name);
        named.map(|param| param.value.as_str())
    }

    /// Adds the parameters of a form to those of the query: servers take both together.
    ///
    /// # Errors
    ///
    /// [`PARAMETERS_TOO_MANY`].
    pub fn extend(&mut self, other: Query) -> Result<(), Refusal> {
        self.params.extend(other.params);
        if self.params.len() > MAX_PARAMS {
            return Err(Refusal::new(&PARAMETERS_TOO_MANY));
        }
        Ok(())
    }

    /// The first parameter that no request may carry. Names are compared without regard to case,
    /// as a careless server might.
    pub(crate) fn forbidden(&self) -> Option<Forbidden> {
        self.params.iter().find_map(|param| match param.name.to_ascii_lowercase().as_str() {
            "access_token" | "bearer_token" | "id_token" => Some(Forbidden::Token),
            "_method" => Some(Forbidden::MethodOverride),
            _ => None,
        })
    }
}

fn param(piece: &str) -> Result<Param, Refusal> {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let name = decode(name)?;
    if name.is_empty() || !name.bytes().all(is_name_byte) {
        return Err(Refusal::new(&PARAMETER_NAME));
    }
    let value = decode(value)?;
    if value.chars().any(char::is_control) {
        return Err(Refusal::new(&PARAMETER_CONTROL));
    }
    Ok(Param { name, value })
}

fn decode(text: &str) -> Result<String, Refusal> {
    if escapes(text).any(|escape| escape.is_none()) {
        return Err(Refusal::new(&PARAMETER_ESCAPE));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Refusal::new(&PARAMETER_NOT_UTF8))
}

/// FHIR search parameter codes, modifiers, chains and the names in use for operations. Not `[`,
/// which some frameworks cut off, nor a space, which some trim.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:$".contains(&byte)
}
