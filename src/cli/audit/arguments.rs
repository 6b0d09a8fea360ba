//! The arguments of `phiward audit`.

use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use super::Command;
use super::report::{Form, Options};
use super::verify::{self, KeyFrom};
use crate::cli::arguments::Wrong;
use crate::cli::time;

/// Reads what follows `audit`.
pub(in crate::cli) fn arguments(mut parser: Parser) -> Result<Command, Wrong> {
    let name = match parser.next()? {
        Some(Arg::Value(name)) => name.string()?,
        Some(Arg::Short('h') | Arg::Long("help")) => return Err(Wrong::Help),
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(NEEDS_COMMAND.into()),
    };
    match name.as_str() {
        "report" => report(parser).map(|options| Command::Report(Box::new(options))),
        "verify" => verify(parser).map(|options| Command::Verify(Box::new(options))),
        unknown => Err(Wrong::Arguments(format!("unknown command `audit {unknown}`").into())),
    }
}

fn report(mut parser: Parser) -> Result<Options, Wrong> {
    let mut read = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Err(Wrong::Help),
            Arg::Long("patient") => read.filter.patient = Some(parser.value()?.string()?),
            Arg::Long("token") => read.filter.token = Some(parser.value()?.string()?),
            Arg::Long("user") => read.filter.user = Some(parser.value()?.string()?),
            Arg::Long("client") => read.filter.client = Some(parser.value()?.string()?),
            Arg::Long("since") => {
                read.filter.since = Some(parser.value()?.parse_with(time::instant)?)
            }
            Arg::Long("until") => {
                read.filter.until = Some(parser.value()?.parse_with(time::instant)?)
            }
            Arg::Long("decision") => {
                read.filter.decision = Some(parser.value()?.parse_with(word::<_>)?);
            }
            Arg::Long("limit") => read.limit = parser.value()?.parse()?,
            Arg::Long("format") => read.form = parser.value()?.parse_with(form)?,
            Arg::Long("output") => read.output = Some(PathBuf::from(parser.value()?)),
            Arg::Value(file) => read.files.push(file.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    match read.files.is_empty() {
        true => Err("`audit report` needs a file of audit records, or `-`".into()),
        false => Ok(read),
    }
}

/// What follows `--key` is not repeated: it may be a key.
fn verify(mut parser: Parser) -> Result<verify::Options, Wrong> {
    let mut read = verify::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Err(Wrong::Help),
            Arg::Long("key") => {
                let text =
                    parser.value()?.into_string().map_err(|_| "`--key` is not UTF-8 text")?;
                read.keys.push(KeyFrom::parse(&text)?);
            }
            Arg::Long("until") => read.until = Some(parser.value()?.parse_with(time::instant)?),
            Arg::Long("part") => read.part = true,
            Arg::Long("json") => read.json = true,
            Arg::Value(file) => read.files.push(file.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if read.keys.is_empty() {
        return Err("`audit verify` needs the keys: `--key ID=FILE` or `--key ID=@VARIABLE`".into());
    }
    if read.files.is_empty() || read.files.iter().any(|file| file == Path::new("-")) {
        return Err("`audit verify` needs files of audit records, which it reads twice".into());
    }
    Ok(read)
}

/// A word that stands for a value in records.
fn word<T: for<'a> serde::Deserialize<'a>>(text: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(serde::de::IntoDeserializer::into_deserializer(text))
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "table" => Ok(Form::Table),
        "json" => Ok(Form::Json),
        "html" => Ok(Form::Html),
        _ => Err("expected `table`, `json` or `html`".to_owned()),
    }
}

const NEEDS_COMMAND: &str = "`audit` needs a command: `audit report` or `audit verify`";
