//! Words to an invocation, by the table. Flags may stand anywhere; `--` ends them.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::failure::Failure;
use super::table::{self, Command, Flag, COMMANDS, GLOBAL};
use crate::base::similar;
use crate::base::sorted::SortedMap;

/// What the words mean.
pub enum Parsed {
    /// Print help, of this command or of all.
    Help(Option<String>),
    /// Print the version.
    Version,
    /// Do this.
    Run(&'static Command, Invocation),
}

/// A command with what was said to it.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// Flags with their values, by their long names.
    said: SortedMap<&'static str, Vec<String>>,
    /// The arguments.
    pub words: Vec<String>,
}

impl Invocation {
    /// Whether a flag was given.
    pub fn has(&self, long: &str) -> bool {
        self.said.contains_key(long)
    }

    /// Takes what was said to another invocation too, behind its own.
    pub fn absorb(&mut self, other: Self) {
        for (flag, values) in other.said {
            let own = self.said.entry(flag).or_default();
            own.splice(0..0, values);
        }
    }

    /// The value of a flag; the last one if there are more.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.said.get(long).and_then(|values| values.last()).map(String::as_str)
    }

    /// All values of a flag.
    pub fn values(&self, long: &str) -> &[String] {
        self.said.get(long).map_or(&[], Vec::as_slice)
    }

    /// The value of a flag as a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, long: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.value(long) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_| Failure::usage(format!("--{long}: {text:?} is not a number")))
    }

    /// The only argument.
    ///
    /// # Errors
    /// There is none, or more.
    pub fn only(&self, what: &str) -> Result<&str, Failure> {
        match self.words.as_slice() {
            [word] => Ok(word),
            [] => Err(Failure::usage(format!("{what} is missing"))),
            [_, more, ..] => Err(Failure::usage(format!("{more:?} is one argument too many"))),
        }
    }
}

/// Reads the words.
///
/// # Errors
/// They make no sense.
pub fn parse(words: Vec<OsString>) -> Result<Parsed, Failure> {
    let mut parser = Parser::from_args(words);
    let mut command: Option<&'static Command> = None;
    let mut first = String::new();
    let mut invocation = Invocation::default();
    let said_wrongly = |error: lexopt::Error| Failure::usage(error);
    while let Some(arg) = parser.next().map_err(said_wrongly)? {
        match arg {
            Arg::Value(word) => {
                let word = text(word)?;
                match command {
                    None => {
                        command = Some(command_of(&word)?);
                        first = word;
                    }
                    // `webhook add` is `webhook:add`, where `webhook` takes no words of its own.
                    Some(of)
                        if of.args.is_empty() && table::find(&joined(&first, &word)).is_some() =>
                    {
                        command = table::find(&joined(&first, &word));
                    }
                    Some(command) => {
                        invocation.words.push(word);
                        if command.args.contains("CMD") {
                            let rest: Vec<OsString> =
                                parser.raw_args().map_err(said_wrongly)?.collect();
                            for word in rest {
                                invocation.words.push(text(word)?);
                            }
                        }
                    }
                }
            }
            Arg::Short(letter) => {
                let flag = known(command).find(|flag| flag.short == Some(letter));
                let flag = flag.ok_or_else(|| unknown_flag(&format!("-{letter}"), command))?;
                take(flag, &mut parser, &mut invocation)?;
            }
            Arg::Long(name) => {
                let flag = known(command).find(|flag| flag.long == name);
                let flag = flag.ok_or_else(|| unknown_flag(&format!("--{name}"), command));
                take(flag?, &mut parser, &mut invocation)?;
            }
        }
    }
    if invocation.has("version") {
        return Ok(Parsed::Version);
    }
    let asked = command.and_then(|command| command.names.first()).map(|name| (*name).to_owned());
    match command {
        _ if invocation.has("help") => Ok(Parsed::Help(asked)),
        None => Ok(Parsed::Help(None)),
        Some(command) => Ok(Parsed::Run(command, invocation)),
    }
}

/// A command that is said in two words.
pub(super) fn joined(first: &str, second: &str) -> String {
    format!("{first}:{second}")
}

fn take(
    flag: &'static Flag,
    parser: &mut Parser,
    invocation: &mut Invocation,
) -> Result<(), Failure> {
    let values = invocation.said.entry(flag.long).or_default();
    if flag.value.is_some() {
        let value = parser.value().map_err(Failure::usage)?;
        values.push(text(value)?);
    }
    Ok(())
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::usage(format!("{word:?} is not UTF-8")))
}

/// The flags that mean something here. A command's own letters go before those of all.
fn known(command: Option<&'static Command>) -> impl Iterator<Item = &'static Flag> {
    command.into_iter().flat_map(|command| command.flags).chain(GLOBAL)
}

fn command_of(word: &str) -> Result<&'static Command, Failure> {
    table::find(word).ok_or_else(|| {
        let names = COMMANDS.iter().flat_map(|command| command.names).copied();
        let meant = similar::nearest(word, names);
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        Failure::usage(format!("Unknown command: '{word}'{meant} (gaffer help lists them)"))
    })
}

fn unknown_flag(said: &str, command: Option<&'static Command>) -> Failure {
    let name = said.trim_start_matches('-');
    let meant = similar::nearest(name, known(command).map(|flag| flag.long));
    let meant = meant.map(|meant| format!("; did you mean --{meant}?")).unwrap_or_default();
    let of = command.and_then(|command| command.names.first());
    let of = of.map(|name| format!(" of gaffer {name}")).unwrap_or_default();
    Failure::usage(format!("{said} is no flag{of}{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(&'static str, Invocation), String> {
        match parse(line.split_whitespace().map(OsString::from).collect()) {
            Ok(Parsed::Run(command, invocation)) => Ok((command.names[0], invocation)),
            Ok(Parsed::Help(topic)) => Err(format!("help {topic:?}")),
            Ok(Parsed::Version) => Err("version".into()),
            Err(failure) => Err(failure.message().unwrap_or_default().to_owned()),
        }
    }

    #[test]
    fn flags_stand_anywhere() {
        let (name, said) =
            parsed("-g unix:/s scale --app site web=3 --json worker+1").expect("valid");
        assert_eq!(name, "ps:scale");
        assert_eq!(said.words, ["web=3", "worker+1"]);
        assert_eq!((said.value("app"), said.has("json")), (Some("site"), true));
        assert_eq!(said.value("gafferd-http-address"), Some("unix:/s"));
        let (_, said) = parsed("send 7 -- --not-a-flag").expect("valid");
        assert_eq!(said.words, ["7", "--not-a-flag"]);
        let (_, said) = parsed("dev:run -e x ls -l --json").expect("valid");
        assert_eq!((said.words.join(" "), said.value("env")), ("ls -l --json".into(), Some("x")));
    }

    #[test]
    fn a_command_of_a_family_may_be_said_in_two_words() {
        for (line, name, words) in [
            ("webhook", "webhook:ls", ""),
            ("webhook ls", "webhook:ls", ""),
            ("webhook -g x add http://h/ job", "webhook:add", "http://h/ job"),
            ("webhook:rm add", "webhook:rm", "add"),
            ("webhook dance", "webhook:ls", "dance"),
            // Their words are names.
            ("user add", "user", "add"),
            ("key create", "key", "create"),
        ] {
            let (found, said) = parsed(line).expect(line);
            assert_eq!((found, said.words.join(" ").as_str()), (name, words), "{line}");
        }
    }

    #[test]
    fn mistakes_are_told_with_what_was_meant() {
        for (line, start) in [
            ("pss", "Unknown command: 'pss'; did you mean ps?"),
            ("ps --jsn", "--jsn is no flag of gaffer ps; did you mean --json?"),
            ("ps -Z", "-Z is no flag of gaffer ps"),
            ("ps --sort", "missing argument for option '--sort'"),
            ("", "help None"),
            ("ps --help", "help Some(\"ps\")"),
            ("--version", "version"),
        ] {
            let said = parsed(line).expect_err(line);
            assert!(said.starts_with(start), "{line}: {said}");
        }
    }

    #[test]
    fn the_table_is_consistent() {
        let mut names: Vec<&str> = COMMANDS.iter().flat_map(|c| c.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name stands twice");
        for command in COMMANDS {
            for flag in command.flags {
                let same = GLOBAL.iter().find(|global| global.long == flag.long);
                assert!(same.is_none(), "--{} of {} is global", flag.long, command.names[0]);
            }
        }
    }
}
