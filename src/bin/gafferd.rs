//! gafferd, the node: launches jobs, keeps them alive, and is controlled over HTTP.

use std::process::ExitCode;

use gaffer::daemon::options::{help, parse, Command};
use gaffer::daemon::{admin, boot};
use gaffer::VERSION;

/// The command line is wrong.
const USAGE: u8 = 2;
/// It could not start, or not go on.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Ok(Command::Version) => {
            println!("gafferd version {VERSION}");
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            print!("{}", help());
            ExitCode::SUCCESS
        }
        Ok(Command::Admin(options)) => match admin::run(&options, &options.admin) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(reason) => fail(&reason, FAILED),
        },
        Ok(Command::Run(options)) => match boot::run(*options) {
            Ok(code) => ExitCode::from(code),
            Err(reason) => fail(&reason, FAILED),
        },
        Err(reason) => fail(&reason, USAGE),
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("gafferd: {reason}");
    ExitCode::from(code)
}
