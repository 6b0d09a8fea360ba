//! Arguments and dispatch.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
