//! `audit`: where events go.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::config::section::{ConfigError, Section};
use crate::config::setting::Setting;

/// Where audit events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// At least one, each once.
    pub sinks: Vec<Sink>,
}

crate::words! {
    /// A place that takes audit events.
    pub enum Sink {
        /// The host's log, one line at level `info`.
        Log = "log",
    }
}

impl Settings {
    /// Reads `audit`.
    pub fn read(section: &mut Section<'_>) -> Settings {
        let sinks = section.default("sinks", Sinks(vec![Sink::Log]), "Where audit events go.");
        Settings { sinks: sinks.0 }
    }
}

/// At least one sink, each once.
struct Sinks(Vec<Sink>);

impl Setting for Sinks {
    const EXPECTED: &'static str = "a list of at least one of `log`, each once";

    fn parse(value: &Value) -> Result<Sinks, String> {
        let sinks = Vec::<Sink>::parse(value)?;
        if sinks.is_empty() {
            return Err("the list is empty, so nothing would be recorded".to_owned());
        }
        if sinks.iter().collect::<HashSet<_>>().len() < sinks.len() {
            return Err("the list names a sink twice".to_owned());
        }
        Ok(Sinks(sinks))
    }

    fn parse_at(value: &Value, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Sinks> {
        Vec::<Sink>::parse_at(value, pointer, errors)?;
        match Sinks::parse(value) {
            Ok(sinks) => Some(sinks),
            Err(problem) => {
                errors.push(Sinks::error(pointer, problem, value));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "array", "items": Sink::schema(), "minItems": 1, "uniqueItems": true})
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}
