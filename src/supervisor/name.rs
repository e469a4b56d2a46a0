//! Names of sessions and jobs. A job's whole name is `session.label`; both parts are checked once,
//! here, and are short and plain enough for paths, log lines and file names.

use std::fmt;
use std::rc::Rc;

use crate::base::limits;
use crate::wire::listener;

/// The session of jobs that are named without one.
pub const DEFAULT_SESSION: &str = "default";

/// So much of a text that is no name is told.
const SHOWN: usize = 40;

/// The name of a job: its session and its label there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName {
    session: Rc<str>,
    label: Rc<str>,
}

/// Why something is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The session part is not one.
    Session(String),
    /// The label part is not one.
    Label(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(text) => write!(
                f,
                "{:?} is not a session name: 1 to {} of A-Z a-z 0-9 _ + -",
                shortened(text),
                limits::SESSION_NAME
            ),
            Self::Label(text) => write!(
                f,
                "{:?} is not a job name: 1 to {} of A-Z a-z 0-9 _ . + @ - and blank",
                shortened(text),
                limits::JOB_LABEL
            ),
        }
    }
}

/// Enough of what was said to find it again.
fn shortened(text: &str) -> String {
    match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

impl JobName {
    /// Puts a name together.
    ///
    /// # Errors
    /// When one of the parts has other characters, or is empty or too long.
    pub fn new(session: &str, label: &str) -> Result<Self, NameError> {
        check_session(session)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.+@- ".contains(c);
        // Dots alone would mean a folder to anything that makes a path of the name.
        let only_dots = label.chars().all(|c| c == '.');
        if label.len() > limits::JOB_LABEL || !label.chars().all(plain) || only_dots {
            return Err(NameError::Label(label.into()));
        }
        Ok(Self { session: session.into(), label: label.into() })
    }

    /// Reads `session.label` or `session/label`, split at the first of the two separators; a name
    /// without a session is one of [`DEFAULT_SESSION`].
    ///
    /// # Errors
    /// As [`JobName::new`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once(['.', '/']) {
            Some((session, label)) => Self::new(session, label),
            None => Self::new(DEFAULT_SESSION, text),
        }
    }

    /// Shares the text of the session with another of the same.
    pub(super) fn share(&mut self, other: &Self) {
        if self.session == other.session {
            self.session = Rc::clone(&other.session);
        }
    }

    /// Both parts.
    pub(super) fn parts(&self) -> (Rc<str>, Rc<str>) {
        (Rc::clone(&self.session), Rc::clone(&self.label))
    }

    /// The session.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What an instance of it is called where supervisor's names of processes are used, which have no blanks.
    pub fn process_name(&self, number: u32) -> String {
        listener::token(&format!("{}.{number}", self.label))
    }

    /// The same for the group that it belongs to.
    pub fn group_name(&self) -> &str {
        &self.session
    }

    /// Where the jobs of a session begin among all names.
    pub(super) fn first_of(session: &str) -> Self {
        Self { session: session.into(), label: "".into() }
    }
}

/// Checks a session's name.
///
/// # Errors
/// When it has other characters, or is empty or too long.
pub fn check_session(text: &str) -> Result<(), NameError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
    if text.is_empty() || text.len() > limits::SESSION_NAME || !text.chars().all(plain) {
        return Err(NameError::Session(text.into()));
    }
    Ok(())
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.label)
    }
}

impl fmt::Debug for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_first_separator() {
        let name =
            |text| JobName::parse(text).map(|n| (n.session().to_owned(), n.label().to_owned()));
        assert_eq!(name("web"), Ok(("default".into(), "web".into())));
        assert_eq!(name("app.web.1"), Ok(("app".into(), "web.1".into())));
        assert_eq!(name("app/sp ace"), Ok(("app".into(), "sp ace".into())));
        for bad in ["", ".", "a.", ".a", "a.b/c", "a.\0", "a...", "ä.b", "a b.c"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_at_its_limit_is_taken_and_one_beyond_is_not() {
        let session = "s".repeat(limits::SESSION_NAME);
        let label = "l".repeat(limits::JOB_LABEL);
        assert!(JobName::new(&session, &label).is_ok());
        assert!(JobName::new(&format!("{session}s"), &label).is_err());
        let long = JobName::new(&session, &format!("{label}l")).expect_err("too long").to_string();
        assert!(long.starts_with(&format!("\"{}…\" is not a job name", "l".repeat(39))), "{long}");
    }
}
