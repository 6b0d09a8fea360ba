//! Stage 1: the request head, read once as bytes, with a target that only reads one way.

pub mod reasons;

/// Header fields as bytes, in the order they came. Names are lower case, as Envoy gives them.
#[derive(Debug, Clone, Default)]
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

    /// All names, in order, with repeats.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|(name, _)| name.as_slice())
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
