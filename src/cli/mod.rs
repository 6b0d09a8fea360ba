//! The command line: the same core, run natively.
//!
//! Everything is written to the two writers that are handed in, so tests call [`run`] as `main` does.

mod check;
mod places;
mod yaml;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done, and nothing is wrong.
    Ok = 0,
    /// What was given can't be used: the arguments, the file or what stands in it.
    Unusable = 3,
}

/// Runs the program with its arguments, its own name left out. Results go to `out`, what is wrong to
/// `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let done = match command(arguments) {
        Ok(command) => execute(&command, out, err),
        Err(error) => {
            writeln!(err, "phiward: {error}: see `phiward --help`").map(|()| Exit::Unusable)
        }
    };
    // What could not be told must not count as fine.
    done.unwrap_or(Exit::Unusable)
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Schema,
    Check(PathBuf),
}

fn command(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let command = match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Version),
        Some(Arg::Value(name)) if name == "help" => return Ok(Command::Help),
        Some(Arg::Value(name)) if name == "schema" => Command::Schema,
        Some(Arg::Value(name)) if name == "check" => match parser.next()? {
            Some(Arg::Value(file)) => Command::Check(file.into()),
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
            Some(other) => return Err(other.unexpected()),
            None => return Err("`check` needs a file".into()),
        },
        Some(Arg::Value(name)) => {
            return Err(format!("unknown command `{}`", name.string()?).into());
        }
        Some(other) => return Err(other.unexpected()),
    };
    match parser.next()? {
        None => Ok(command),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help),
        Some(other) => Err(other.unexpected()),
    }
}

fn execute(command: &Command, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    match command {
        Command::Help => out.write_all(HELP.as_bytes())?,
        Command::Version => writeln!(out, "phiward {}", env!("CARGO_PKG_VERSION"))?,
        Command::Schema => writeln!(out, "{:#}", crate::config::schema())?,
        Command::Check(file) => return check::check(file, out, err),
    }
    Ok(Exit::Ok)
}

const HELP: &str = "\
phiward guards FHIR APIs inside Envoy and Istio.

usage:
  phiward check FILE    every error of a configuration (YAML or JSON) with its place
  phiward schema        the JSON Schema of the configuration
  phiward --help        this page
  phiward --version     the version

exit status:
  0  nothing is wrong
  3  the arguments, the file or what stands in it can't be used
";

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
