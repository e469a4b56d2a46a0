//! gaffer_lookupd, which is to know what node runs what. In this version it knows its version and
//! its help, and refuses to pretend more.

use std::process::ExitCode;

const HELP: &str = "\
gaffer_lookupd: knows which node runs what

usage: gaffer_lookupd --version
       gaffer_lookupd --help

This version cannot be started yet: nodes do not register anywhere.
";

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--version"] => println!("gaffer_lookupd version {}", gaffer::VERSION),
        ["--help" | "-h"] => print!("{HELP}"),
        [] => {
            eprint!("{HELP}");
            return ExitCode::FAILURE;
        }
        [other, ..] => {
            eprint!("gaffer_lookupd: unknown option {other:?}\n\n{HELP}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
