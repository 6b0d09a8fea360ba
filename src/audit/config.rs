//! `audit`: where events go.

use serde_json::{Value, json};

use crate::config::section::Section;
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
        let repeated = Sink::ALL
            .iter()
            .any(|known| sinks.iter().filter(|sink| *sink == known).nth(1).is_some());
        match (sinks.is_empty(), repeated) {
            (true, _) => Err("the list is empty, so nothing would be recorded".to_owned()),
            (_, true) => Err("the list names a sink twice".to_owned()),
            _ => Ok(Sinks(sinks)),
        }
    }

    fn schema() -> Value {
        json!({"type": "array", "items": Sink::schema(), "minItems": 1, "uniqueItems": true})
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}
