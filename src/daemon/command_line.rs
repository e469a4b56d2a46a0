//! The command lines of the daemons. One table of each makes its parser, its `--help` and the check
//! that the documentation names every option.

use std::ffi::OsString;
use std::fmt::Write as _;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::base::similar;

/// One option of the table.
pub struct Opt {
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// Its long name.
    pub long: &'static str,
    /// What its value is called; without one it takes none.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// An option that takes no value.
pub(super) const fn flag(short: Option<char>, long: &'static str, help: &'static str) -> Opt {
    Opt { short, long, value: None, help }
}

/// An option that takes one.
pub(super) const fn takes(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt { short, long, value: Some(value), help }
}

/// What a command line asks for.
pub(super) enum Wish {
    /// To run, with what was set.
    Run,
    /// The version.
    Version,
    /// The help.
    Help,
}

/// Reads the command line of `program`, without its name, and sets the options that are on it.
///
/// # Errors
/// The option that is unknown or lacks its value, or what is wrong with that, in words.
pub(super) fn parse(
    program: &str,
    options: &[Opt],
    args: impl IntoIterator<Item = OsString>,
    mut set: impl FnMut(&str, OsString) -> Result<(), String>,
) -> Result<Wish, String> {
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let option = match arg {
            Arg::Short(letter) => options.iter().find(|option| option.short == Some(letter)),
            Arg::Long(name) => options.iter().find(|option| option.long == name),
            Arg::Value(value) => {
                return Err(format!("unexpected argument {value:?}; see {program} --help"));
            }
        };
        let Some(option) = option else { return Err(unknown(program, options, &arg)) };
        let value = match option.value {
            None => OsString::new(),
            Some(_) => parser.value().map_err(|error| error.to_string())?,
        };
        if option.value.is_some() && value.is_empty() {
            return Err(format!("--{}: its value is empty", option.long));
        }
        match option.long {
            "version" => return Ok(Wish::Version),
            "help" => return Ok(Wish::Help),
            long => set(long, value)?,
        }
    }
    Ok(Wish::Run)
}

/// The value of an option as text.
///
/// # Errors
/// It is none.
pub(super) fn text(long: &str, value: OsString) -> Result<String, String> {
    value.string().map_err(|_| format!("--{long}: its value is no UTF-8"))
}

fn unknown(program: &str, options: &[Opt], arg: &Arg<'_>) -> String {
    let (written, name) = match arg {
        Arg::Short(letter) => (format!("-{letter}"), None),
        Arg::Long(name) => (format!("--{name}"), Some(*name)),
        Arg::Value(value) => (format!("{value:?}"), None),
    };
    let longs = options.iter().map(|option| option.long);
    match name.and_then(|name| similar::nearest(name, longs)) {
        Some(meant) => format!("unknown option {written}; did you mean --{meant}?"),
        None => format!("unknown option {written}; see {program} --help"),
    }
}

/// What each option does, for `--help`.
pub(super) fn described(options: &[Opt]) -> String {
    let mut text = String::new();
    for option in options {
        let short = option.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
        let value = option.value.map(|value| format!(" {value}")).unwrap_or_default();
        let head = format!("  {short:>4}--{}{value}", option.long);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{head:<32}  {}", option.help);
    }
    text
}
