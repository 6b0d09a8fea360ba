//! `phiward check`: every error of a configuration file with its place.

use std::io::{self, Write};
use std::path::Path;

use super::Exit;
use super::document::{self, Problems};
use crate::config::{self, Configuration};
use crate::revocation;

/// Checks `file` and writes a summary to `out`, or everything that is wrong to `err`.
pub(super) fn check(file: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    match verdict(file) {
        Ok(configuration) => {
            writeln!(out, "{}: ok: {}", file.display(), summary(&configuration))?;
            Ok(Exit::Ok)
        }
        Err(problems) => {
            problems.write(err)?;
            Ok(Exit::Unusable)
        }
    }
}

/// Reads the configuration as the filter will.
fn verdict(file: &Path) -> Result<Configuration, Problems> {
    let document = document::read(file)?;
    config::from_document(&document.value).map_err(|errors| document.problems(file, &errors))
}

/// One line that lets a reader see at once whether this is the file that was meant.
fn summary(configuration: &Configuration) -> String {
    let Configuration { fhir, issuers, revocation, mode, .. } = configuration;
    let issuers: Vec<&str> = issuers.names().collect();
    format!(
        "{} below `{}/`, tokens of {}, {}, mode {}",
        fhir.release.word(),
        fhir.base_path,
        issuers.join(" and "),
        revocation.as_ref().map_or_else(|| "without a revocation list".to_owned(), sources),
        mode.word(),
    )
}

/// What tells revoked tokens.
fn sources(settings: &revocation::Settings) -> String {
    let sources = [
        (settings.has_list(), "a revocation list"),
        (settings.has_status_lists(), "status lists"),
        (settings.has_events(), "security events"),
    ];
    let named: Vec<_> = sources.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    format!("with {}", named.join(" and "))
}
