//! The command line: hands arguments and standard streams to [`phiward::cli`].

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let exit = phiward::cli::run(arguments, &mut io::stdout().lock(), &mut io::stderr().lock());
    ExitCode::from(exit as u8)
}
