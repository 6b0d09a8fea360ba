//! The name of an environment variable, where the configuration says where a secret is.

use core::fmt;

use serde_json::{Value, json};

use super::Setting;

/// The name of an environment variable of the VM (`vm_config.environment_variables`). Never shown:
/// somebody may have put the secret itself there.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable(pub String);

impl Setting for Variable {
    const EXPECTED: &'static str =
        "the name of an environment variable: letters, digits and `_`, no digit first";

    fn parse(value: &Value) -> Result<Variable, String> {
        let name = value.as_str().unwrap_or_default();
        let is_name = name.len() <= MAX_BYTES
            && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name
            .then(|| Variable(name.to_owned()))
            .ok_or_else(|| "the value is no such name".to_owned())
    }

    fn hint(_value: &Value) -> Option<String> {
        Some("the secret itself goes into `vm_config.environment_variables` of Envoy".to_owned())
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": MAX_BYTES})
    }

    fn json(&self) -> Value {
        Value::Null
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Variable(…)")
    }
}

/// Longest name in bytes.
const MAX_BYTES: usize = 128;
