//! gaffer, the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    gaffer::cli::run(std::env::args_os().skip(1).collect())
}
