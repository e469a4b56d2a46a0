//! `$NAME`, `${NAME}`, `${NAME:-default}` and `$$` in a job's arguments, taken from the environment
//! its process will have. One pass: what a variable holds is not expanded again.

use std::fmt;

/// Why an argument cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandError {
    /// The variable is not in the process's environment.
    Unknown(String),
    /// A `$` that begins nothing.
    Stray,
    /// `${` without its `}`.
    Unclosed,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(
                f,
                "${name} is not in the job's environment; set it in env, turn os_env on, or give a default with ${{{name}:-…}}"
            ),
            Self::Stray => f.write_str("a \"$\" that begins no variable; write \"$$\" for a dollar"),
            Self::Unclosed => f.write_str("\"${\" without its \"}\""),
        }
    }
}

/// Expands `text`. As in sh(1), `:-` gives its default for an empty variable too.
///
/// # Errors
/// A variable that `lookup` does not know and that has no default, or a `$` that is none.
pub fn expand<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('$');
    out.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // "$$", or a "$" at the very end.
            out.push('$');
            out.push_str(parts.next().ok_or(ExpandError::Stray)?);
        } else if let Some(braced) = part.strip_prefix('{') {
            let (inner, rest) = braced.split_once('}').ok_or(ExpandError::Unclosed)?;
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            if !is_name(name) {
                return Err(ExpandError::Stray);
            }
            let value = lookup(name).filter(|value| default.is_none() || !value.is_empty());
            out.push_str(value.or(default).ok_or_else(|| ExpandError::Unknown(name.into()))?);
            out.push_str(rest);
        } else {
            let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (name, rest) = part.split_at(end.unwrap_or(part.len()));
            if !is_name(name) {
                return Err(ExpandError::Stray);
            }
            out.push_str(lookup(name).ok_or_else(|| ExpandError::Unknown(name.into()))?);
            out.push_str(rest);
        }
    }
    Ok(out)
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, ExpandError> {
        expand(text, &|name| match name {
            "PORT" => Some("5000"),
            "EMPTY" => Some(""),
            "DOLLAR" => Some("$PORT"),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_and_dollars() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("-p $PORT", "-p 5000"),
            ("${PORT}x$PORT.", "5000x5000."),
            ("$$PORT $$", "$PORT $"),
            ("$$$PORT", "$5000"),
            ("${NONE:-a b}", "a b"),
            ("${EMPTY:-x}${EMPTY}", "x"),
            ("$DOLLAR", "$PORT"),
            ("é$PORT", "é5000"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expanded("$NONE"), Err(ExpandError::Unknown("NONE".into())));
        assert_eq!(expanded("${PORT"), Err(ExpandError::Unclosed));
        for stray in ["$", "a$", "$-", "$1", "${}", "${a b}", "$ x", "$$$"] {
            assert_eq!(expanded(stray), Err(ExpandError::Stray), "{stray}");
        }
    }
}
