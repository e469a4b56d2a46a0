//! gaffer_lookupd: nodes tell it what they run, and it tells everybody else.

use std::process::ExitCode;

use gaffer::daemon::lookupd;
use gaffer::daemon::lookupd_options::{help, parse, Command};
use gaffer::VERSION;

/// The command line is wrong.
const USAGE: u8 = 2;
/// It could not start, or not go on.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Ok(Command::Version) => {
            println!("gaffer_lookupd version {VERSION}");
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            print!("{}", help());
            ExitCode::SUCCESS
        }
        Ok(Command::Run(settings)) => match lookupd::run(*settings) {
            Ok(code) => ExitCode::from(code),
            Err(reason) => fail(&reason, FAILED),
        },
        Err(reason) => fail(&reason, USAGE),
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("gaffer_lookupd: {reason}");
    ExitCode::from(code)
}
