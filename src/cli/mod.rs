//! The command line: the same core, run natively.
//!
//! Everything is written to the two writers that are handed in, so tests call [`run`] as `main` does.

mod arguments;
mod audit;
mod cases;
mod check;
mod document;
mod explain;
mod gateway;
mod meanings;
mod places;
mod request;
mod signer;
mod stored;
mod time;
mod yaml;

use std::ffi::OsString;
use std::io::{self, Write};

use crate::base::time::Instant;
use arguments::{Command, command};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done, and nothing is wrong: the request is allowed, every case is as
    /// expected.
    Ok = 0,
    /// A case is not as expected; the trail of audit records is not whole.
    Differs = 1,
    /// The request, or its answer, is refused.
    Denied = 2,
    /// What was given can't be used: the arguments, the file or what stands in it.
    Unusable = 3,
}

/// Where standard error leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// To a person, who is told how far long work is.
    Terminal,
    /// To a file or another program.
    Elsewhere,
}

/// Runs the program with its arguments, its own name left out. `now` is the time where the arguments
/// name none. Results go to `out`, what is wrong to `err`, which leads where `stderr` says.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    now: Instant,
    out: &mut dyn Write,
    err: &mut dyn Write,
    stderr: Stderr,
) -> Exit {
    let done = match command(arguments) {
        Ok(command) => execute(&command, now, out, err, stderr),
        Err(error) => {
            writeln!(err, "phiward: {error}: see `phiward --help`").map(|()| Exit::Unusable)
        }
    };
    // What could not be told must not count as fine.
    done.unwrap_or(Exit::Unusable)
}

fn execute(
    command: &Command,
    now: Instant,
    out: &mut dyn Write,
    err: &mut dyn Write,
    stderr: Stderr,
) -> io::Result<Exit> {
    match command {
        Command::Help => out.write_all(HELP.as_bytes())?,
        Command::Version => writeln!(out, "phiward {}", env!("CARGO_PKG_VERSION"))?,
        Command::Schema => writeln!(out, "{:#}", crate::config::schema())?,
        Command::Check(file) => return check::check(file, out, err),
        Command::Explain(arguments) => return explain::explain(arguments, now, out, err),
        Command::Test(files) => return cases::test(files, out, err),
        Command::Audit(command) => return audit::execute(command, now, out, err, stderr),
    }
    Ok(Exit::Ok)
}

const HELP: &str = "\
phiward guards FHIR APIs inside Envoy and Istio.

usage:
  phiward check FILE       every error of a configuration (YAML or JSON) with its place
  phiward explain OPTIONS  one request through the same core: each stage and its verdict
  phiward test FILE...     runs files of cases: requests and the decisions that must follow
  phiward audit report [OPTIONS] FILE...
                           who touched which patient and when, what was refused, what is missing
  phiward audit verify --key ID=FILE FILE...
                           whether sealed records are whole: changed, forged and missing ones by name
  phiward schema           the JSON Schema of the configuration
  phiward --help           this page
  phiward --version        the version

options of explain:
  --config FILE       the configuration
  --request REQ       `METHOD TARGET`, or `@FILE`: request line, header lines, empty line, body
  --token T           a JWT, its claims as JSON, or `@FILE` with either
  --at TIME           when it takes place: RFC 3339 or seconds since 1970; otherwise now
  --keys FILE         the issuer's keys (JWKS), where the configuration fetches them
  --revocations FILE  the revocation list
  --stored FILE       what the FHIR server has: resources by `Type/id`, YAML or JSON
  --answer FILE       the FHIR server's answer in JSON, to be judged
  --status N          its status, otherwise 200
  --json              the same as JSON

options of audit report, of which each leaves fewer records:
  --patient ID        those that touch this patient
  --token JTI         of this token
  --user USER         of this user: `fhirUser` or `sub`
  --client ID         of this client
  --since TIME        from this time on: RFC 3339 or seconds since 1970
  --until TIME        before this time
  --decision WORD     allow, deny or error
and of its form:
  --format FORM       table (default), json or html
  --output FILE       a file to write instead of standard output
  --limit N           so many accesses are listed at most, otherwise 1000

options of audit verify:
  --key ID=FILE       a key that was in use and its id; `ID=@VARIABLE` takes it from the environment
  --until TIME        streams that neither ended nor said anything from then on are findings
  --part              the files are a part of the trail: what came before them is not expected
  --json              the same as JSON

exit status:
  0  nothing is wrong; allowed; every case is as expected
  1  a case differs; the trail is not whole
  2  denied
  3  the arguments, the file or what stands in it can't be used
";

#[cfg(test)]
mod tests;
