//! `name: command` lines: the Procfile of foreman and its kin, and what its users expect around
//! it: which commands need a shell, and which port a process is told.
//!
//! Nothing here runs a shell. A command is kept as it is written; [`needs_shell`] says whether
//! splitting it into words gives the same words that `sh -c` would.

use super::text::{checked, numbered, quoted, ParseError};
use crate::base::sorted::SortedMap;

/// A file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Procfile {
    /// The processes. No two have the same name.
    pub processes: Vec<Process>,
    /// Lines with their numbers that are neither a process, nor blank, nor a comment. Every tool
    /// ignores them; the caller warns.
    pub ignored: Vec<(usize, String)>,
}

/// One process type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// One or more of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// The command, not empty, without blanks around it.
    pub command: String,
    /// Its line, from 1.
    pub line: usize,
}

/// Reads a file.
///
/// # Errors
/// When a name occurs twice, and at [`limits::TEXT_FILE`](crate::base::limits::TEXT_FILE).
pub fn parse(text: &str) -> Result<Procfile, ParseError> {
    let mut file = Procfile::default();
    let mut lines: SortedMap<&str, usize> = SortedMap::new();
    for (line, text) in numbered(checked(text)?) {
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        let Some((name, command)) = split_process(text) else {
            file.ignored.push((line, text.to_owned()));
            continue;
        };
        if let Some(first) = lines.insert(name, line) {
            let message = format!(
                "process {} is already on line {first}; rename or remove one of the two",
                quoted(name)
            );
            return Err(ParseError::at(line, message));
        }
        file.processes.push(Process { name: name.to_owned(), command: command.to_owned(), line });
    }
    Ok(file)
}

fn split_process(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let command = command.trim();
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(in_name) && !command.is_empty())
        .then_some((name, command))
}

/// Whether a command means something to `sh -c` that its words alone do not: when this is false,
/// `shlex::split` finds exactly the words that the shell would run.
///
/// Brace and history expansion are not POSIX and do not count. Quotes that are not closed count:
/// the shell tells the user.
pub fn needs_shell(command: &str) -> bool {
    let mut chars = command.chars();
    let mut at_word_start = true;
    while let Some(c) = chars.next() {
        let shell = match c {
            '\'' => !chars.any(|inner| inner == '\''),
            '"' => double_quotes_need_shell(&mut chars),
            '\\' => matches!(chars.next(), None | Some('\n')),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '\n' | '*' | '?' | '[' => true,
            '~' | '#' => at_word_start,
            _ => false,
        };
        if shell {
            return true;
        }
        at_word_start = c == ' ' || c == '\t';
    }
    first_word_needs_shell(command)
}

/// The line for `sh -c` that a command which needs a shell becomes. When it is one simple command, it
/// takes the shell's place (`exec`), so that signals reach it and not a shell that waits for it.
pub fn shell_line(command: &str) -> String {
    if is_one_command(command) {
        format!("exec {command}")
    } else {
        command.to_owned()
    }
}

/// Whether nothing can follow the first program of this line. Where that is hard to say, it is not.
fn is_one_command(command: &str) -> bool {
    let mut chars = command.chars();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let plain = match c {
            '\'' => chars.any(|inner| inner == '\''),
            // A program may run inside of double quotes, but only behind one of these.
            '"' => !double_quotes_run_programs(&mut chars),
            '\\' => !matches!(chars.next(), None | Some('\n')),
            '|' | ';' | '(' | ')' | '`' | '\n' => false,
            '&' => before == '>',
            _ => true,
        };
        if !plain {
            return false;
        }
        before = c;
    }
    !first_word_needs_shell(command) && !command.trim_start().starts_with('$')
}

fn double_quotes_run_programs(chars: &mut std::str::Chars<'_>) -> bool {
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '(' | '`' => return true,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    true
}

/// Reads on behind a double quote to the one that closes it.
fn double_quotes_need_shell(chars: &mut std::str::Chars<'_>) -> bool {
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '$' | '`' => return true,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    true
}

/// Words that only a shell understands when a command begins with them: those of POSIX (sections
/// 2.4, 2.14 and 1.6 of its shell volume), and the ones of bash that people take for them. Not
/// those that are programs as well, as `echo`, `test` or `kill`.
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue",
    "declare", "do", "done", "elif", "else", "esac", "eval", "exec", "exit", "export", "fc", "fg",
    "fi", "for", "function", "getopts", "hash", "if", "in", "jobs", "let", "local", "popd",
    "pushd", "read", "readonly", "return", "select", "set", "shift", "shopt", "source", "then",
    "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until",
    "wait", "while", "{", "}",
];

/// Whether the first word is an assignment or a [`SHELL_WORDS`] word, given that no word has
/// syntax of the shell but quotes.
fn first_word_needs_shell(command: &str) -> bool {
    let Some(word) = shlex::Shlex::new(command).next() else {
        return false;
    };
    // A quoted name makes no assignment; taking it for one costs a shell, and changes nothing.
    let assigned = word.split_once('=').map(|(name, _)| name.strip_suffix('+').unwrap_or(name));
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assigned.is_some_and(is_name) || SHELL_WORDS.contains(&word.as_str())
}

/// The `PORT` of the first instance of the process at `index` in the file: foreman's rule, a
/// hundred ports for each. `None` beyond the last port.
pub fn port_of(base: u16, index: usize) -> Option<u16> {
    const STEP: u16 = 100;
    u16::try_from(index).ok()?.checked_mul(STEP)?.checked_add(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_table() {
        type Processes = &'static [(&'static str, &'static str, usize)];
        let table: &[(&str, Processes)] = &[
            ("web: ruby app.rb\nworker:rake", &[("web", "ruby app.rb", 1), ("worker", "rake", 2)]),
            (
                "\u{feff}web: a\r\n\r\n# x\r\ndb-1_B:\tb \r\n",
                &[("web", "a", 1), ("db-1_B", "b", 4)],
            ),
            ("web: PORT=3000 cmd: x # y", &[("web", "PORT=3000 cmd: x # y", 1)]),
            ("", &[]),
            ("  # indented: comment\n \t\n#web: no\n", &[]),
        ];
        for (text, expected) in table {
            let file = parse(text).unwrap();
            let found: Vec<_> = file
                .processes
                .iter()
                .map(|p| (p.name.as_str(), p.command.as_str(), p.line))
                .collect();
            assert_eq!(found, *expected, "{text:?}");
            assert_eq!(file.ignored, [], "{text:?}");
        }
    }

    #[test]
    fn other_lines_are_ignored_and_told() {
        let text = "bad name: x\n web: indented\nweb:\nno colon\n: x\nwéb: x\nok: 1\n";
        let file = parse(text).unwrap();
        let lines: Vec<usize> = file.ignored.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6]);
        assert_eq!(file.ignored[1].1, " web: indented");
        assert_eq!(file.processes.len(), 1);
    }

    #[test]
    fn a_name_twice_names_both_lines() {
        let error = parse("web: a\n\nweb: b\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(error.message.contains("\"web\" is already on line 1"), "{error}");
        assert_eq!(parse("web: a\nWeb: b\n").unwrap().processes.len(), 2);
        assert_eq!(parse("a: b\nc: \0").unwrap_err().line, 2);
    }

    #[test]
    fn shell_syntax_is_found() {
        let shell = [
            "a | b",
            "a && b",
            "a; b",
            "a &",
            "a < f",
            "a >f",
            "a 2>&1",
            "(a)",
            "echo $HOME",
            "echo \"$HOME\"",
            "echo \"`a`\"",
            "echo `a`",
            "ls *.rb",
            "ls a?",
            "ls [ab]",
            "ls ~",
            "~/bin/run",
            "ls ~joe",
            "PORT=3000 cmd",
            "A= cmd",
            "a # why",
            "#a",
            "a\nb",
            "a 'b",
            "a \"b",
            "a \\",
            "a \\\nb",
            "cd x",
            "exec a",
            "export A=1",
            "if a",
            "for i in a",
            "while a",
            "source a",
            ". a",
            "{ a",
            "! a",
            "trap a",
            "ulimit -n 5",
            "set -e",
            "eval a",
            "exit 1",
            ": a",
            "\\cd x",
            "'cd' x",
            "  exec a",
            "a+=1 b",
            "time a",
        ];
        for command in shell {
            assert!(needs_shell(command), "{command:?}");
        }
    }

    #[test]
    fn one_command_takes_the_shells_place() {
        for one in ["./serve -p $PORT", "a >log 2>&1", "a \"$HOME/x y\" '; b'", "~/bin/run *.rb"] {
            assert_eq!(shell_line(one), format!("exec {one}"));
        }
        for more in [
            "a; b",
            "a | b",
            "a && b",
            "a &",
            "(a)",
            "a `b`",
            "a $(b)",
            "a \"$(b)\"",
            "a\nb",
            "PORT=1 a",
            "cd x && a",
            "exec a",
            "$CMD x",
            "if a; then b; fi",
            "a 'b",
            "a \\",
        ] {
            assert_eq!(shell_line(more), more);
        }
    }

    #[test]
    fn plain_words_and_quotes_need_no_shell() {
        let plain = [
            "",
            " ",
            "ruby app.rb -p 3000",
            "echo 'a | b; $c *'",
            "echo \"a | b; c * ~ #\"",
            "echo \"\\$HOME \\` \\\\ \\\"\"",
            "echo a\\ b \\$HOME \\| \\* \\~",
            "a --x=~/y b=c",
            "a b#c d~e",
            "1a=b",
            "a,b=c d",
            "./cd x",
            "echo exec",
            "test -f x",
            "a {b,c} !x ^y %z",
            "é \"ü\"",
        ];
        for command in plain {
            assert!(!needs_shell(command), "{command:?}");
            assert!(shlex::split(command).is_some(), "{command:?}");
        }
    }

    #[test]
    fn ports_step_by_a_hundred_and_end() {
        assert_eq!(port_of(5000, 0), Some(5000));
        assert_eq!(port_of(5000, 3), Some(5300));
        assert_eq!(port_of(65_435, 1), Some(65_535));
        assert_eq!(port_of(65_436, 1), None);
        assert_eq!(port_of(0, 656), None);
        assert_eq!(port_of(0, usize::MAX), None);
    }
}
