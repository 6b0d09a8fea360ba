//! A line for the host's log that is not about one request: a list that could not be read, a new key
//! set. It never holds a token, a secret or patient data.

/// One line for the host's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How urgent.
    pub level: log::Level,
    /// What happened and, where that is known, what to do: lower case, without line breaks.
    pub text: String,
}

impl Notice {
    /// Something went well that an operator wants to see.
    pub fn info(text: impl Into<String>) -> Notice {
        Notice { level: log::Level::Info, text: text.into() }
    }

    /// Something went wrong; what was good before stays in force.
    pub fn warn(text: impl Into<String>) -> Notice {
        Notice { level: log::Level::Warn, text: text.into() }
    }
}
