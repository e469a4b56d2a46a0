//! What `grep` looks for: a regular expression, and before that the longest text that stands in whatever it
//! matches, which is found many times as fast.

use memchr::memmem::{Finder, FinderBuilder};
use regex_lite::{Regex, RegexBuilder};

use crate::base::limits;

/// A regular expression for lines.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    literal: Option<Finder<'static>>,
    /// Whether that literal is all there is to it.
    plain: bool,
}

/// How much one may take when it is compiled.
const COMPILED: usize = 256 * 1024;

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > limits::LOG_PATTERN {
            return Err(format!("a pattern has at most {} bytes", limits::LOG_PATTERN));
        }
        let regex = RegexBuilder::new(text).size_limit(COMPILED).build();
        let regex = regex.map_err(|error| error.to_string())?;
        let found = literal(text);
        let plain = found.as_deref() == Some(text);
        let literal =
            found.map(|text| FinderBuilder::new().build_forward(text.as_bytes()).into_owned());
        Ok(Self { regex, literal, plain })
    }

    /// Whether it is found in a line. What is no UTF-8 in that stands for U+FFFD.
    pub fn is_match(&self, line: &[u8]) -> bool {
        if let Some(literal) = &self.literal {
            let found = literal.find(line).is_some();
            if !found || self.plain {
                return found;
            }
        }
        self.regex.is_match(&String::from_utf8_lossy(line))
    }

    /// What stands in every line that matches.
    pub fn literal(&self) -> Option<&Finder<'static>> {
        self.literal.as_ref()
    }
}

/// The longest text that stands in whatever a regular expression matches, where that is easy to see.
fn literal(pattern: &str) -> Option<String> {
    // Flags change what letters mean.
    if pattern.contains("(?") {
        return None;
    }
    let mut best = String::new();
    let mut run = String::new();
    let mut chars = pattern.chars().peekable();
    let mut depth = 0_usize;
    while let Some(char) = chars.next() {
        let stands = match char {
            '|' if depth == 0 => return None,
            '|' => None,
            '(' => {
                depth += 1;
                None
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                None
            }
            '[' => {
                skip_class(&mut chars)?;
                None
            }
            '\\' => match chars.next()? {
                '<' | '>' => None,
                mark if mark.is_ascii_punctuation() => Some(mark),
                class if "dDsSwWbBntrfvazA".contains(class) && chars.peek() != Some(&'{') => None,
                // A letter by its number, or what we do not know.
                _ => return None,
            },
            // What is repeated has been taken off already.
            '*' | '?' | '+' | '.' | '^' | '$' => None,
            '{' => {
                chars.by_ref().find(|char| *char == '}')?;
                None
            }
            char::REPLACEMENT_CHARACTER => None,
            other => Some(other),
        };
        let repeated = matches!(chars.peek(), Some('*' | '?' | '{' | '+'));
        match stands.filter(|_| depth == 0) {
            Some(char) if !repeated => run.push(char),
            Some(_) | None => keep_longer(&mut best, &mut run),
        }
    }
    keep_longer(&mut best, &mut run);
    (!best.is_empty()).then_some(best)
}

fn keep_longer(best: &mut String, run: &mut String) {
    if run.len() > best.len() {
        std::mem::swap(best, run);
    }
    run.clear();
}

/// Passes over a class, whose `[` is read; those in classes are too rare to be looked through.
fn skip_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<()> {
    chars.next_if_eq(&'^');
    // The first may be `]` itself.
    let mut first = true;
    loop {
        match chars.next()? {
            ']' if !first => return Some(()),
            '[' | '&' | '~' => return None,
            '\\' => drop(chars.next()?),
            _ => {}
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_text_that_every_match_has_is_found() {
        for (pattern, expected) in [
            ("error", Some("error")),
            ("^error: .* of disk$", Some(" of disk")),
            ("a+rest", Some("rest")),
            ("colou?r of it", Some("r of it")),
            (r"10\.0\.0\.1", Some("10.0.0.1")),
            (r"\d+ seconds", Some(" seconds")),
            ("(one|two) and three", Some(" and three")),
            ("one|two", None),
            ("(?i)error", None),
            ("x{3}yes", Some("yes")),
            ("[]a]bc", Some("bc")),
            ("[[:alpha:]]bc", None),
            (".*", None),
            (r"\x41", None),
            (r"\x{41}b", None),
            ("ab*c", Some("a")),
        ] {
            assert_eq!(literal(pattern).as_deref(), expected, "{pattern}");
        }
        assert!(Pattern::new(&"x".repeat(limits::LOG_PATTERN)).is_ok());
        assert!(Pattern::new(&"x".repeat(limits::LOG_PATTERN + 1)).is_err());
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("b\u{fffd}").expect("one").is_match(b"ab\xff"));
        assert!(Pattern::new("err").expect("one").is_match(b"\xfferr\xff"));
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_expression_finds(
            pattern in "[ab(|)*+?.\\[\\]^$\\\\{}1d]{0,8}",
            line in "[ab1d.\\\\(\\[{]{0,12}",
        ) {
            if let Ok(found) = Pattern::new(&pattern) {
                let expected = Regex::new(&pattern).expect("one").is_match(&line);
                prop_assert_eq!(found.is_match(line.as_bytes()), expected, "{}", pattern);
            }
        }
    }
}
