//! `phiward check`: every error of a configuration file with its place.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::Value;

use super::Exit;
use super::places::{Place, Places};
use super::yaml::{self, YamlError};
use crate::base::json;
use crate::config::{self, Configuration};

/// Checks `file` and writes a summary to `out`, or everything that is wrong to `err`.
pub(super) fn check(file: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let name = file.display();
    let text = match text(file) {
        Ok(text) => text,
        Err(problem) => {
            writeln!(err, "{name}: {problem}")?;
            return Ok(Exit::Unusable);
        }
    };
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    match verdict(&text, is_json) {
        Ok(configuration) => {
            writeln!(out, "{name}: ok: {}", summary(&configuration))?;
            Ok(Exit::Ok)
        }
        Err(mut problems) => {
            problems.sort_by_key(|problem| problem.0);
            for (Place { line, column }, problem) in &problems {
                writeln!(err, "{name}:{line}:{column}: {problem}")?;
            }
            let errors = if problems.len() == 1 { "error" } else { "errors" };
            writeln!(err, "{name}: {} {errors}", problems.len())?;
            Ok(Exit::Unusable)
        }
    }
}

/// What is wrong, and where.
type Problem = (Place, String);

/// Reads the configuration as the filter will.
fn verdict(text: &str, is_json: bool) -> Result<Configuration, Vec<Problem>> {
    let (document, places) = if is_json { from_json(text) } else { from_yaml(text) }?;
    config::from_document(&document).map_err(|errors| {
        errors.iter().map(|error| (places.of(&error.pointer), error.to_string())).collect()
    })
}

/// JSON by the filter's own strict reader; places as far as a reader of YAML can tell them.
fn from_json(text: &str) -> Result<(Value, Places), Vec<Problem>> {
    match json::parse(text.as_bytes()) {
        Ok(document) => Ok((document, yaml::read(text).places)),
        Err(error) => {
            let place = Place { line: error.line().max(1), column: error.column().max(1) };
            let message = error.to_string();
            let problem = message.split(" at line ").next().unwrap_or_default();
            Err(vec![(place, format!("this is not strict JSON: {problem}"))])
        }
    }
}

fn from_yaml(text: &str) -> Result<(Value, Places), Vec<Problem>> {
    let document = yaml::read(text);
    if document.errors.is_empty() {
        return Ok((document.value, document.places));
    }
    let problem = |error: YamlError| (error.place, error.message);
    Err(document.errors.into_iter().map(problem).collect())
}

/// The file as text, or why it can't be read.
fn text(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| format!("can't be read: {error}"))?;
    if bytes.len() as u64 >= MAX_BYTES {
        return Err("is too long for a configuration: at most 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
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
        if revocation.is_some() { "with a revocation list" } else { "without a revocation list" },
        mode.word(),
    )
}

/// Longest file, as the filter's own limit.
const MAX_BYTES: u64 = 1 << 20;
