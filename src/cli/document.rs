//! Files that people write: read as YAML or JSON, with everything that is wrong and where it stands.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::Value;

use super::places::{Place, Places};
use super::yaml::{self, YamlError};
use crate::base::json;
use crate::config::ConfigError;

/// A document and where its parts stand.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) places: Places,
}

/// What makes a file unusable.
#[derive(Debug)]
pub(super) struct Problems {
    file: String,
    /// Without a place: the file as a whole.
    problems: Vec<(Option<Place>, String)>,
}

/// Reads a document as the filter reads its configuration.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(super) fn read(file: &Path) -> Result<Document, Problems> {
    let text = text(file, MAX_DOCUMENT)?;
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let read = if is_json { from_json(&text) } else { from_yaml(&text) };
    read.map_err(|problems| Problems::placed(file, problems))
}

/// A file as text.
///
/// # Errors
///
/// It can't be read, has `max` bytes or more, or is not UTF-8.
pub(super) fn text(file: &Path, max: u64) -> Result<String, Problems> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(max).read_to_end(&mut bytes))
        .map_err(|error| Problems::whole(file, format!("can't be read: {error}")))?;
    if bytes.len() as u64 >= max {
        return Err(Problems::whole(file, format!("is too long: at most {} MiB", max >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| Problems::whole(file, "is not UTF-8 text"))
}

impl Document {
    /// What a reader of the document's sections found wrong, with its places in `file`.
    pub(super) fn problems(&self, file: &Path, errors: &[ConfigError]) -> Problems {
        let placed = errors.iter().map(|error| (self.places.of(&error.pointer), error.to_string()));
        Problems::placed(file, placed.collect())
    }
}

impl Problems {
    /// Something that is wrong with a file as a whole.
    pub(super) fn whole(file: &Path, problem: impl Into<String>) -> Problems {
        Problems { file: file.display().to_string(), problems: vec![(None, problem.into())] }
    }

    /// Things that are wrong at places in a file.
    pub(super) fn placed(file: &Path, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(|problem| problem.0);
        let problems = problems.into_iter().map(|(place, text)| (Some(place), text)).collect();
        Problems { file: file.display().to_string(), problems }
    }

    /// Writes a line for each, and how many there are.
    pub(super) fn write(&self, err: &mut dyn Write) -> io::Result<()> {
        let file = &self.file;
        let mut placed = 0_usize;
        for (place, problem) in &self.problems {
            match place {
                None => writeln!(err, "{file}: {problem}")?,
                Some(Place { line, column }) => {
                    placed = placed.saturating_add(1);
                    writeln!(err, "{file}:{line}:{column}: {problem}")?;
                }
            }
        }
        match placed {
            0 => Ok(()),
            1 => writeln!(err, "{file}: 1 error"),
            errors => writeln!(err, "{file}: {errors} errors"),
        }
    }
}

/// What is wrong, and where.
pub(super) type Problem = (Place, String);

/// JSON by the filter's own strict reader; places as far as a reader of YAML can tell them.
fn from_json(text: &str) -> Result<Document, Vec<Problem>> {
    match json::parse(text.as_bytes()) {
        Ok(value) => Ok(Document { value, places: yaml::read(text).places }),
        Err(error) => {
            let place = Place { line: error.line().max(1), column: error.column().max(1) };
            let message = error.to_string();
            let problem = message.split(" at line ").next().unwrap_or_default();
            Err(vec![(place, format!("this is not strict JSON: {problem}"))])
        }
    }
}

fn from_yaml(text: &str) -> Result<Document, Vec<Problem>> {
    let document = yaml::read(text);
    if document.errors.is_empty() {
        return Ok(Document { value: document.value, places: document.places });
    }
    let problem = |error: YamlError| (error.place, error.message);
    Err(document.errors.into_iter().map(problem).collect())
}

/// Longest document, as the filter's own limit for its configuration.
const MAX_DOCUMENT: u64 = 1 << 20;

/// Longest token, request, answer, key set or revocation list.
pub(super) const MAX_CONTENT: u64 = 64 << 20;
