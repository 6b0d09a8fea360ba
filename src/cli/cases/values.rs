//! The values of a case file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::time;
use crate::config::section::excerpt;
use crate::config::setting::Setting;

/// A reason code. YAML's `off` and the like are no codes.
#[derive(Debug)]
pub(super) struct Code(pub(super) String);

/// A status or another small number.
#[derive(Debug)]
pub(super) struct Status(pub(super) u16);

/// A time as it is written.
#[derive(Debug)]
pub(super) struct Moment(pub(super) String);

/// Text as it is, or anything else as JSON.
#[derive(Debug)]
pub(super) struct Content(pub(super) Value);

/// An object of whatever kind.
#[derive(Debug)]
pub(super) struct Members(pub(super) Map<String, Value>);

/// Header fields; null for one that is not there.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) BTreeMap<String, Option<String>>);

/// Who calls.
#[derive(Debug, Clone)]
pub(super) enum Person {
    /// Nothing is said of it.
    Unsaid,
    /// Nobody: no token.
    Nobody,
    /// Somebody with these claims.
    Claims(Map<String, Value>),
}

impl Content {
    /// What a body of this kind is called: a list is a JSON Patch, an object a resource.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self.0 {
            Value::Array(_) => Some("application/json-patch+json"),
            Value::Object(_) => Some("application/fhir+json"),
            _ => None,
        }
    }

    /// The body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match &self.0 {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        }
    }
}

impl Person {
    /// Who calls, where `self` was said of all and `other` of this one.
    pub(super) fn refined(&self, other: &Person) -> Person {
        match (self, other) {
            (_, Person::Unsaid) => self.clone(),
            (Person::Claims(all), Person::Claims(one)) => {
                let mut claims = all.clone();
                claims.extend(one.clone());
                Person::Claims(claims)
            }
            (_, one) => one.clone(),
        }
    }
}

impl Setting for Code {
    const EXPECTED: &'static str = "`allowed` or a reason code";

    fn parse(value: &Value) -> Result<Code, String> {
        String::parse(value).map(Code)
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Setting for Status {
    const EXPECTED: &'static str = "a small number";

    fn parse(value: &Value) -> Result<Status, String> {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.map(Status).ok_or_else(|| format!("`{}` is none", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "integer"})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Setting for Moment {
    const EXPECTED: &'static str = "a time in RFC 3339 or seconds since 1970";

    fn parse(value: &Value) -> Result<Moment, String> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        time::instant(&text).map(|_| Moment(text))
    }

    fn schema() -> Value {
        json!({"type": ["string", "integer"]})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Setting for Content {
    const EXPECTED: &'static str = "text or JSON";

    fn parse(value: &Value) -> Result<Content, String> {
        Ok(Content(value.clone()))
    }

    fn schema() -> Value {
        json!({})
    }

    fn json(&self) -> Value {
        self.0.clone()
    }
}

impl Setting for Members {
    const EXPECTED: &'static str = "an object";

    fn parse(value: &Value) -> Result<Members, String> {
        let members = value.as_object().cloned().map(Members);
        members.ok_or_else(|| format!("`{}` is none", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Setting for Fields {
    const EXPECTED: &'static str = "header fields: texts by name, null for one that is not there";

    fn parse(value: &Value) -> Result<Fields, String> {
        let members = Members::parse(value)?.0;
        let field = |(name, value): (String, Value)| match value {
            Value::String(text) => Ok((name, Some(text))),
            Value::Null => Ok((name, None)),
            other => Err(format!("`{}` of `{name}` is no text: put it in quotes", excerpt(&other))),
        };
        members.into_iter().map(field).collect::<Result<_, _>>().map(Fields)
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

/// What is written there is never repeated: somebody may have written a token.
impl Setting for Person {
    const EXPECTED: &'static str = "claims, or null for no token";

    fn parse(value: &Value) -> Result<Person, String> {
        match value {
            Value::Null => Ok(Person::Nobody),
            Value::Object(claims) => Ok(Person::Claims(claims.clone())),
            _ => Err("these are no claims".to_owned()),
        }
    }

    fn schema() -> Value {
        json!({"type": ["object", "null"]})
    }

    fn json(&self) -> Value {
        match self {
            Person::Claims(claims) => Value::Object(claims.clone()),
            Person::Unsaid | Person::Nobody => Value::Null,
        }
    }
}
