//! `KEY=value` lines: the .env file, in the grammar that newer tools agree on.
//!
//! ```text
//! # a comment
//! export NAME=bare words # a comment after a blank
//! RAW='as it is, $ and \ too,
//! over lines'
//! TEXT="escapes \n \t \r \\ \" \$, over lines"
//! URL=http://${HOST:-localhost}:${PORT}/
//! ```
//!
//! Only `${NAME}` and `${NAME:-default}` expand, and not in single quotes. A plain `$NAME` stays:
//! passwords have dollars. Messages never show a value.

use super::text::{checked, ParseError};
use crate::base::limits;
use crate::base::sorted::SortedMap;

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, its references resolved.
    pub value: String,
    /// The line on which it begins.
    pub line: usize,
}

/// Reads a file: its keys and values in its order, a key as often as it occurs; the last one
/// should win. `${NAME}` is the last value above it, or what `lookup` knows, or empty; the default
/// stands for an empty one too, and is taken as it is.
///
/// # Errors
/// At the first line that is none of the above, at a quote or brace that is not closed (with the
/// line where it opens), and at the limits [`limits::TEXT_FILE`], [`limits::ARGUMENT`] (for one
/// entry) and [`limits::ENVIRONMENT`] (for all).
pub fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Entry>, ParseError> {
    let text = checked(text)?.replace("\r\n", "\n");
    let mut reader = Reader {
        rest: &text,
        line: 1,
        lookup,
        known: SortedMap::new(),
        entries: Vec::new(),
        room: limits::ENVIRONMENT,
    };
    while !reader.rest.is_empty() {
        reader.line()?;
    }
    Ok(reader.entries)
}

/// A position in the file, and what was read before it.
struct Reader<'a> {
    rest: &'a str,
    /// The line on which `rest` begins.
    line: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Where each key was last set, in `entries`.
    known: SortedMap<String, usize>,
    entries: Vec<Entry>,
    /// What is left of [`limits::ENVIRONMENT`].
    room: usize,
}

impl<'a> Reader<'a> {
    /// Reads one line, or more where quotes go over several.
    fn line(&mut self) -> Result<(), ParseError> {
        self.take_while(is_blank);
        if self.rest.starts_with(['\n', '#']) || self.rest.is_empty() {
            return self.end_of_line();
        }
        let line = self.line;
        let key = self.key()?;
        let value = match self.rest.trim_start_matches(is_blank).chars().next() {
            Some('\'') => self.single_quoted()?,
            Some('"') => self.double_quoted()?,
            Some(_) | None => self.bare()?,
        };
        self.end_of_line()?;
        self.keep(line, key, value)
    }

    /// Reads `KEY =`, after an optional `export`, which can be a key too.
    fn key(&mut self) -> Result<&'a str, ParseError> {
        let mut key = self.take_while(in_name);
        let mut blanks = self.take_while(is_blank);
        if key == "export" && !blanks.is_empty() && !self.rest.starts_with('=') {
            key = self.take_while(in_name);
            blanks = self.take_while(is_blank);
        }
        let message = if self.rest.starts_with('=') {
            if is_name(key) {
                self.take(1);
                return Ok(key);
            }
            "this is no name for a variable; use letters, digits, _ and ., and no digit first"
        } else if is_name(key) && (!blanks.is_empty() || self.at_end_of_line()) {
            "a name without a value; write NAME=value"
        } else {
            "this is no NAME=value; write one, with letters, digits, _ and . in the name, put # \
             before a comment, and quotes around a value of several lines"
        };
        Err(ParseError::at(self.line, message))
    }

    fn single_quoted(&mut self) -> Result<String, ParseError> {
        let line = self.line;
        self.take_while(is_blank);
        self.take(1);
        let value = self.take_while(|c| c != '\'');
        if self.rest.is_empty() {
            return Err(ParseError::at(
                line,
                "the quote is never closed; add a ' behind the value",
            ));
        }
        self.take(1);
        Ok(value.to_owned())
    }

    fn double_quoted(&mut self) -> Result<String, ParseError> {
        let line = self.line;
        self.take_while(is_blank);
        self.take(1);
        let mut value = String::new();
        loop {
            value.push_str(self.take_while(|c| !matches!(c, '"' | '\\' | '$')));
            if self.rest.starts_with("${") {
                let rest = self.expand(self.rest, &mut value)?;
                self.take(self.rest.len() - rest.len());
                continue;
            }
            match self.take_char() {
                Some('"') => return Ok(value),
                Some('\\') => self.escape(&mut value),
                Some(plain) => value.push(plain),
                None => {
                    let cure = "the quote is never closed; add a \" behind the value";
                    return Err(ParseError::at(line, cure));
                }
            }
        }
    }

    /// Reads what follows a backslash. One before any other character is only a backslash.
    fn escape(&mut self, value: &mut String) {
        let meant = match self.rest.chars().next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(same @ ('\\' | '"' | '$')) => same,
            Some(_) | None => {
                value.push('\\');
                return;
            }
        };
        self.take_char();
        value.push(meant);
    }

    /// Reads to the end of the line, or to a `#` after a blank. What `${NAME}` stands for keeps its
    /// blanks; only written ones are trimmed.
    fn bare(&mut self) -> Result<String, ParseError> {
        let mut written = self.take(bare_length(self.rest)).trim();
        let mut value = String::new();
        while let Some(at) = written.find("${") {
            let (plain, reference) = written.split_at(at);
            value.push_str(plain);
            written = self.expand(reference, &mut value)?;
        }
        value.push_str(written);
        Ok(value)
    }

    /// Appends what the reference at the start of `text` stands for, and returns the text behind it.
    fn expand(&self, text: &'a str, value: &mut String) -> Result<&'a str, ParseError> {
        let end = text.find(['}', '\n', '"']).filter(|end| text.split_at(*end).1.starts_with('}'));
        let inside = end.and_then(|end| text.get("${".len()..end));
        let (Some(end), Some(inside)) = (end, inside) else {
            return Err(ParseError::at(self.line, BRACES));
        };
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        if !is_name(name) || default.contains("${") {
            return Err(ParseError::at(self.line, BRACES));
        }
        let before = value.len();
        match self.known.get(name).and_then(|at| self.entries.get(*at)) {
            Some(known) => value.push_str(&known.value),
            None => value.push_str(&(self.lookup)(name).unwrap_or_default()),
        }
        if value.len() == before {
            value.push_str(default);
        }
        // Checked at each step, for a thousand references may each be as long as a value can be.
        if value.len() > limits::ARGUMENT {
            return Err(ParseError::at(self.line, too_long()));
        }
        Ok(text.split_at(end + 1).1)
    }

    fn keep(&mut self, line: usize, key: &str, value: String) -> Result<(), ParseError> {
        // As the kernel counts it: with the = and the NUL.
        let bytes = key.len() + value.len() + 2;
        if bytes > limits::ARGUMENT {
            return Err(ParseError::at(line, too_long()));
        }
        let Some(room) = self.room.checked_sub(bytes) else {
            let message = format!(
                "the environment is larger than {} bytes here, which is what the system takes; \
                 remove or shorten values",
                limits::ENVIRONMENT
            );
            return Err(ParseError::at(line, message));
        };
        self.room = room;
        self.known.insert(key.to_owned(), self.entries.len());
        self.entries.push(Entry { key: key.to_owned(), value, line });
        Ok(())
    }

    /// Reads blanks, a comment and the end of the line.
    fn end_of_line(&mut self) -> Result<(), ParseError> {
        self.take_while(is_blank);
        if self.rest.starts_with('#') {
            self.take_while(|c| c != '\n');
        }
        if !self.at_end_of_line() {
            let cure = "text behind the closing quote; put all of the value into the quotes, or # \
                        before a comment";
            return Err(ParseError::at(self.line, cure));
        }
        self.take_char();
        Ok(())
    }

    fn at_end_of_line(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with('\n')
    }

    fn take_char(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.take(next.len_utf8());
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len()))
    }

    /// Takes so many bytes, which end between two characters; every step forward is this one.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

const BRACES: &str = "only ${NAME} and ${NAME:-default} can follow here, on one line and not in \
                      each other; put a value that should stay as it is into '...'";

fn too_long() -> String {
    format!(
        "the value is longer than {} bytes with its name, which is what the system takes; shorten \
         it, or put it into a file of its own",
        limits::ARGUMENT
    )
}

/// How long a bare value is, with the blanks around it. A `#` within braces begins no comment.
fn bare_length(text: &str) -> usize {
    let mut before = '=';
    let mut in_braces = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return at,
            '#' if is_blank(before) && !in_braces => return at,
            '{' if before == '$' => in_braces = true,
            '}' => in_braces = false,
            _ => {}
        }
        before = c;
    }
    text.len()
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(in_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses with `HOME` and the empty `NONE` known from outside.
    fn read(text: &str) -> Result<Vec<(String, String)>, ParseError> {
        let entries = parse(text, &|name| match name {
            "HOME" => Some("/root ".into()),
            "NONE" => Some(String::new()),
            _ => None,
        });
        Ok(entries?.into_iter().map(|entry| (entry.key, entry.value)).collect())
    }

    #[test]
    fn an_entry_has_the_line_on_which_it_begins() {
        let entries = parse("# a\n\nA=1\nB='x\ny'\nexport C=2\n", &|_| None).expect("valid");
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(lines, [("A", 3), ("B", 4), ("C", 6)]);
    }

    #[test]
    fn syntax_table() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("A=1\nB=2", &[("A", "1"), ("B", "2")]),
            ("\u{feff}A=1\r\nB=\"x\r\ny\"\r\n", &[("A", "1"), ("B", "x\ny")]),
            ("\n  # c=1\n\t\n#\nA=1", &[("A", "1")]),
            (
                "export A=1\n export\tB = 2\nexport=3\nexport =4",
                &[("A", "1"), ("B", "2"), ("export", "3"), ("export", "4")],
            ),
            ("A =  b c \t\nB.c_1\t=\nC= ", &[("A", "b c"), ("B.c_1", ""), ("C", "")]),
            (
                "A=b # c\nB=#fff\nC= # c\nD=a#b\nE=\t#",
                &[("A", "b"), ("B", "#fff"), ("C", ""), ("D", "a#b"), ("E", "")],
            ),
            (
                "A='a $B ${C} \\n \"\n#x'\nB= ''#c\nC='' # c",
                &[("A", "a $B ${C} \\n \"\n#x"), ("B", ""), ("C", "")],
            ),
            (
                r#"A="\n\t\r\\\"\$HOME \x \' $HOME #x" # c"#,
                &[("A", "\n\t\r\\\"$HOME \\x \\' $HOME #x")],
            ),
            ("A=\"a\n  b\n\"\nB=1", &[("A", "a\n  b\n"), ("B", "1")]),
            ("A=b\"c d\" 'e\nB=it's", &[("A", "b\"c d\" 'e"), ("B", "it's")]),
            ("A=a=b:c$B\\n${HOME}", &[("A", "a=b:c$B\\n/root ")]),
            (
                "A=1\nB=${A}${A}\nA=\nC=\"${A}.${B}\"\nHOME=x\nD=${HOME}",
                &[("A", "1"), ("B", "11"), ("A", ""), ("C", ".11"), ("HOME", "x"), ("D", "x")],
            ),
            (
                "A=${X}\nB=${X:-a #b} #c\nC=\"${NONE:-$x}\"\nD=${A:-d}${HOME:-e}f",
                &[("A", ""), ("B", "a #b"), ("C", "$x"), ("D", "d/root f")],
            ),
            (
                "A=\"\\${X}\"\nB='${X'\nC=$ {X\nD={#\nE=$",
                &[("A", "${X}"), ("B", "${X"), ("C", "$ {X"), ("D", "{#"), ("E", "$")],
            ),
        ];
        for (text, expected) in table {
            let found = read(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
            let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(found, *expected, "{text:?}");
        }
    }

    #[test]
    fn errors_have_their_line_and_the_cure() {
        let table = [
            ("A=1\nB\n", 2, "write NAME=value"),
            ("export A", 1, "write NAME=value"),
            ("A b=c", 1, "write NAME=value"),
            ("=1", 1, "no name"),
            ("1A=1", 1, "no digit first"),
            ("A-B=1", 1, "letters, digits"),
            ("\n\nMIIEpAIBAAKCAQEA+x\n", 3, "quotes around"),
            ("A='x\n\n", 1, "add a '"),
            ("\nA=\"x\n\n", 2, "add a \""),
            ("A=\"x\\", 1, "add a \""),
            ("A='\n'b\n", 2, "behind the closing quote"),
            ("A=\"a\"b", 1, "behind the closing quote"),
            ("A=${B\nC=}", 1, "${NAME:-default}"),
            ("A=\"x\n${B\"\nC=}", 2, "${NAME:-default}"),
            ("A=${}", 1, "'...'"),
            ("A=${B-c}", 1, "'...'"),
            ("A=${B:-${C}}", 1, "not in each other"),
            ("A=\0", 1, "NUL"),
        ];
        for (text, line, words) in table {
            let error = read(text).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.message.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn messages_do_not_show_values() {
        for text in ["A='secret", "A=\"secret\"secret", "A=${secret", "secret+secret", "A-A=secret"]
        {
            let error = read(text).expect_err(text);
            assert!(!error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_value_at_its_limit_is_taken_and_one_beyond_is_not() {
        let longest = limits::ARGUMENT - "KEY=\0".len();
        let text = format!("KEY={}", "x".repeat(longest));
        assert_eq!(read(&text).map(|entries| entries[0].1.len()), Ok(longest));
        let error = read(&format!("\n{text}x")).unwrap_err();
        assert_eq!((error.line, error.message.contains("shorten")), (2, true), "{error}");
    }

    #[test]
    fn an_environment_at_its_limit_is_taken_and_one_beyond_is_not() {
        let each = limits::ARGUMENT;
        let x = "x".repeat(each - "A=\0".len());
        let fits = limits::ENVIRONMENT / each;
        let lines = |n: usize| format!("A={x}\n{}", "B=${A}\n".repeat(n - 1));
        assert_eq!(read(&lines(fits)).map(|entries| entries.len()), Ok(fits));
        let error = read(&lines(fits + 1)).unwrap_err();
        assert_eq!((error.line, error.message.contains("remove")), (fits + 1, true), "{error}");
    }

    #[test]
    fn references_that_double_are_stopped_before_they_fill_the_memory() {
        let text = format!("A={}\nB=\"\n{}\n\"", "x".repeat(1000), "${A}".repeat(200));
        let error = read(&text).unwrap_err();
        // At the reference itself; the check of the finished value is at the key.
        assert_eq!((error.line, error.message.contains("shorten")), (3, true), "{error}");
    }
}
