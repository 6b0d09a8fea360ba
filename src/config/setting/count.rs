//! How many of something may be kept.

use serde_json::{Value, json};

use super::Setting;
use crate::config::section::excerpt;

/// A whole number from 1 to a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl Setting for Count {
    const EXPECTED: &'static str = "a whole number from 1 to 1000000";

    fn parse(value: &Value) -> Result<Count, String> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=MOST).contains(number));
        number.map(Count).ok_or_else(|| format!("`{}` is not such a number", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": MOST})
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

const MOST: u32 = 1_000_000;
