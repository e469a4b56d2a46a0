//! gaffer, the command line. In this version it knows its version and its help.

use std::process::ExitCode;

const HELP: &str = "\
gaffer: the command line of gaffer, a process supervisor controlled over HTTP

usage: gaffer --version
       gaffer help

This version has no further commands. Start a node with gafferd (see gafferd --help) and ask it
with any HTTP client, for example:

    curl http://127.0.0.1:5000/jobs
";

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--version"] => println!("gaffer version {}", gaffer::VERSION),
        ["help" | "--help" | "-h"] => print!("{HELP}"),
        [] => {
            eprint!("{HELP}");
            return ExitCode::FAILURE;
        }
        ["help", other, ..] | [other, ..] => {
            eprint!("Unknown command: {other:?}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
