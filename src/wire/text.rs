//! What the parsers of files people write have in common: one error with its line, and the checks
//! that come before any syntax. Messages never quote values, which may be secrets.

use std::fmt;

use crate::base::limits;

/// Why a file cannot be read. The caller knows the file's name and puts `file:line` before the
/// message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and the cure.
    pub message: String,
}

impl ParseError {
    /// An error at a line.
    pub(super) fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// The text without a byte order mark.
///
/// # Errors
/// When it is larger than [`limits::TEXT_FILE`], or has a NUL: no argument, environment value or
/// path can hold one, and here its line is still known.
pub(super) fn checked(text: &str) -> Result<&str, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    if text.len() > limits::TEXT_FILE {
        let message = format!(
            "the file has {} bytes and goes over the limit of {} here; split it",
            text.len(),
            limits::TEXT_FILE
        );
        return Err(ParseError::at(line_of(limits::TEXT_FILE), message));
    }
    match text.find('\0') {
        Some(at) => Err(ParseError::at(
            line_of(at),
            "a NUL character; save the file as plain UTF-8 text, without it",
        )),
        None => Ok(text),
    }
}

/// The lines with their numbers, from 1, each without its end (`\n` or `\r\n`).
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// A name in quotes for a message, cut when nobody would read all of it.
pub(super) fn quoted(name: &str) -> String {
    const SHOWN: usize = 60;
    let mut rest = name.chars();
    let start: String = rest.by_ref().take(SHOWN).collect();
    let cut = if rest.next().is_some() { "…" } else { "" };
    format!("{start:?}{cut}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_at_its_limit_is_taken_and_one_beyond_is_not() {
        let mut text = "#\n".repeat(limits::TEXT_FILE / 2);
        assert_eq!(checked(&text), Ok(text.as_str()));
        text.push('x');
        let error = checked(&text).unwrap_err();
        assert_eq!(error.line, limits::TEXT_FILE / 2 + 1);
        assert!(error.to_string().contains("split it"), "{error}");
    }

    #[test]
    fn a_mark_goes_and_a_nul_is_found() {
        assert_eq!(checked("\u{feff}a"), Ok("a"));
        assert_eq!(checked("a\n\nb\0").unwrap_err().line, 3);
    }

    #[test]
    fn long_names_are_cut_in_messages() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}\"…", "é".repeat(60)));
    }
}
