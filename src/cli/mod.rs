//! Floor 7: `gaffer`, the command line. One table describes all commands and flags; parsing, help and
//! completions come from it, and a test holds the README against it.
//!
//! Read in this order: `table` (what there is), `args` (words to an invocation), `failure` (exit codes),
//! `terminal` (how things are shown), `names` (which jobs are meant), `rows` (instances as they are
//! listed), then a file for each family of commands.

pub mod args;
pub mod beside;
pub mod check;
pub mod connect;
pub mod deaths;
pub mod events;
pub mod export;
pub mod failure;
pub mod foreground;
pub mod gather;
pub mod hearing;
pub mod help;
pub mod jobs;
pub mod keys;
pub mod layout;
pub mod lines;
pub mod loading;
pub mod log_files;
pub mod log_level;
pub mod logs;
pub mod lookups;
pub mod names;
pub mod one_off;
pub mod outcome;
pub mod parallel;
pub mod past;
pub mod plugins;
pub mod printable;
pub mod ps;
pub mod rows;
pub mod screen;
pub mod sites;
pub mod start;
pub mod stats;
pub mod status;
pub mod streams;
pub mod table;
pub mod terminal;
pub mod times;
#[cfg(feature = "top")]
pub mod top;
pub mod user_config;
pub mod users;
pub mod webhooks;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use args::Parsed;
use terminal::Terminal;

pub use table::{Command, Flag, On, COMMANDS, GLOBAL};

/// Runs the command line: `words` without the program's name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let mut terminal = Terminal::of_process();
    let result = match args::parse(words) {
        Err(failure) => Err(failure),
        Ok(Parsed::Help(topic)) => help::help(topic.as_deref(), &mut terminal),
        Ok(Parsed::Version) => terminal.line(&format!("gaffer version {}", crate::VERSION)),
        Ok(Parsed::Run(command, mut invocation)) => {
            terminal.obey(&invocation);
            failure::within(command.args, &invocation.words)
                .and_then(|()| sites::within(command, &invocation))
                .and_then(|()| (command.run)(&mut invocation, &mut terminal))
        }
    };
    let code = match result {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(message) = failure.message() {
                // Nobody is left to tell when even this cannot be written.
                let _ = writeln!(std::io::stderr(), "gaffer: {message}");
            }
            failure.code()
        }
    };
    ExitCode::from(code)
}
