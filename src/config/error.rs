//! What is wrong with a document, and where.

use core::fmt;

/// One thing wrong with the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// JSON pointer (RFC 6901) to the place, for example `/issuers/0/max_lifetime`; empty for the
    /// document as a whole.
    pub pointer: String,
    /// What is wrong: lower case, the offending value in backticks.
    pub problem: String,
    /// What was expected there.
    pub expected: String,
    /// What to do, where there is something to say: the nearest known key, the missing section.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error of the document as a whole.
    pub(crate) fn whole(problem: impl Into<String>, expected: &str, hint: &str) -> ConfigError {
        ConfigError {
            pointer: String::new(),
            problem: problem.into(),
            expected: expected.to_owned(),
            hint: Some(hint.to_owned()),
        }
    }
}

impl fmt::Display for ConfigError {
    /// `/issuers/0/max_lifetme: unknown key `max_lifetme`: expected …: did you mean …?`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(formatter, "{}: ", self.pointer)?;
        }
        write!(formatter, "{}: expected {}", self.problem, self.expected)?;
        match &self.hint {
            Some(hint) => write!(formatter, ": {hint}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for ConfigError {}
