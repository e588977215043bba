//! The `floatlock` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    floatlock::cli::main()
}
