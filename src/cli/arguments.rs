//! The arguments of the program.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::audit;
use super::explain::Arguments;

/// What the program is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Help,
    Version,
    Schema,
    Check(PathBuf),
    Explain(Box<Arguments>),
    Test(Vec<PathBuf>),
    Audit(audit::Command),
}

/// Reads the arguments, the program's own name left out.
pub(super) fn command(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Command, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let name = match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Version),
        Some(Arg::Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    let read = match name.as_str() {
        "help" => return Ok(Command::Help),
        "schema" => files(parser).and_then(|files| exactly(files, Command::Schema)),
        "check" => files(parser).and_then(check),
        "test" => files(parser).and_then(test),
        "explain" => explain(parser),
        "audit" => audit::arguments(parser).map(Command::Audit),
        unknown => return Err(format!("unknown command `{unknown}`").into()),
    };
    match read {
        Err(Wrong::Help) => Ok(Command::Help),
        Err(Wrong::Arguments(error)) => Err(error),
        Ok(command) => Ok(command),
    }
}

/// Why arguments are no command, or another one.
pub(super) enum Wrong {
    Help,
    Arguments(lexopt::Error),
}

impl From<lexopt::Error> for Wrong {
    fn from(error: lexopt::Error) -> Wrong {
        Wrong::Arguments(error)
    }
}

impl From<&str> for Wrong {
    fn from(problem: &str) -> Wrong {
        Wrong::Arguments(problem.into())
    }
}

/// A command whose arguments are all files.
fn files(mut parser: Parser) -> Result<Vec<OsString>, Wrong> {
    let mut files = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Err(Wrong::Help),
            Arg::Value(file) => files.push(file),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(files)
}

fn exactly(files: Vec<OsString>, command: Command) -> Result<Command, Wrong> {
    match files.into_iter().next() {
        None => Ok(command),
        Some(other) => Err(Arg::Value(other).unexpected().into()),
    }
}

fn check(files: Vec<OsString>) -> Result<Command, Wrong> {
    let mut files = files.into_iter();
    let file = files.next().ok_or("`check` needs a file")?;
    exactly(files.collect(), Command::Check(file.into()))
}

fn test(files: Vec<OsString>) -> Result<Command, Wrong> {
    match files.is_empty() {
        true => Err("`test` needs a file of cases".into()),
        false => Ok(Command::Test(files.into_iter().map(PathBuf::from).collect())),
    }
}

/// What stands without an option is never repeated: it may be a token.
fn explain(mut parser: Parser) -> Result<Command, Wrong> {
    let (mut config, mut request, mut read) = (None, None, Arguments::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Err(Wrong::Help),
            Arg::Long("config") => config = Some(PathBuf::from(parser.value()?)),
            Arg::Long("request") => request = Some(parser.value()?.string()?),
            Arg::Long("token") => read.token = Some(token(&mut parser)?),
            Arg::Long("at") => read.at = Some(parser.value()?.string()?),
            Arg::Long("keys") => read.keys = Some(PathBuf::from(parser.value()?)),
            Arg::Long("revocations") => read.revocations = Some(PathBuf::from(parser.value()?)),
            Arg::Long("stored") => read.stored = Some(PathBuf::from(parser.value()?)),
            Arg::Long("answer") => read.answer = Some(PathBuf::from(parser.value()?)),
            Arg::Long("status") => read.status = Some(parser.value()?.parse()?),
            Arg::Long("json") => read.json = true,
            Arg::Value(_) => return Err("`explain` takes options only".into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if read.status.is_some() && read.answer.is_none() {
        return Err("`--status` is that of an answer: give one with `--answer`".into());
    }
    read.config = config.ok_or("`explain` needs a configuration: `--config FILE`")?;
    read.request = request.ok_or("`explain` needs a request: `--request \"GET /fhir/…\"`")?;
    Ok(Command::Explain(Box::new(read)))
}

/// A token that is not text is not repeated either.
fn token(parser: &mut Parser) -> Result<String, Wrong> {
    parser.value()?.into_string().map_err(|_| "the token is not UTF-8 text".into())
}
