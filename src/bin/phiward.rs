//! The command line: hands arguments, the time and standard streams to [`phiward::cli`].

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use phiward::base::time::Instant;
use phiward::cli::Stderr;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let stderr = if err.is_terminal() { Stderr::Terminal } else { Stderr::Elsewhere };
    let exit = phiward::cli::run(arguments, now(), &mut out, &mut err, stderr);
    ExitCode::from(exit as u8)
}

#[expect(clippy::disallowed_methods, reason = "here time becomes an argument")]
fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::default().plus(since)
}
