//! `phiward explain`: one request through the same core, each stage with its verdict and what
//! decided.
//!
//! The decision is that of an exchange as Envoy would have it. The stages are called once more, one
//! by one, for what they have to tell. The token is never printed.

mod facts;
mod report;
mod run;
mod stages;
mod token;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;

use super::Exit;
use super::document::Problems;
use crate::base::time::Instant;

/// What is to be explained.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// The configuration.
    pub(super) config: PathBuf,
    /// `METHOD TARGET` or `@FILE`.
    pub(super) request: String,
    /// A JWT, claims or `@FILE`.
    pub(super) token: Option<String>,
    /// RFC 3339 or seconds.
    pub(super) at: Option<String>,
    /// The key set of the token's issuer.
    pub(super) keys: Option<PathBuf>,
    /// The revocation list.
    pub(super) revocations: Option<PathBuf>,
    /// What the FHIR server has.
    pub(super) stored: Option<PathBuf>,
    /// The FHIR server's answer.
    pub(super) answer: Option<PathBuf>,
    /// Its status.
    pub(super) status: Option<u16>,
    /// Whether to write JSON.
    pub(super) json: bool,
}

/// Why nothing can be explained.
#[derive(Debug)]
enum Unusable {
    Argument(String),
    File(Problems),
}

/// Explains a request. Exit: allowed, denied, or unusable arguments.
pub(super) fn explain(
    arguments: &Arguments,
    now: Instant,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    match run::run(arguments, now) {
        Ok(explained) => {
            if arguments.json {
                writeln!(out, "{:#}", report::json(&explained))?;
            } else {
                report::text(&explained, out)?;
            }
            Ok(if explained.allowed { Exit::Ok } else { Exit::Denied })
        }
        Err(Unusable::Argument(problem)) => {
            writeln!(err, "phiward: {problem}")?;
            Ok(Exit::Unusable)
        }
        Err(Unusable::File(problems)) => {
            problems.write(err)?;
            Ok(Exit::Unusable)
        }
    }
}

impl From<Problems> for Unusable {
    fn from(problems: Problems) -> Unusable {
        Unusable::File(problems)
    }
}

impl From<String> for Unusable {
    fn from(problem: String) -> Unusable {
        Unusable::Argument(problem)
    }
}
