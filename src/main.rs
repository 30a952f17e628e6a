//! The command line: parses, calls, and maps what happened to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    breakwatch::cli::main()
}
