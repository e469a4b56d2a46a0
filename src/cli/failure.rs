//! Why a command ends in another way than well, and with which exit code.

use std::fmt::Display;
use std::io;

use crate::client;

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Refused, or it failed (1).
    Failed(String),
    /// The command line makes no sense (2).
    Usage(String),
    /// Something asked about does not run; it has been shown (3).
    NotRunning,
    /// No node answers (4).
    NoNode(String),
    /// The reader of what is printed has gone, as `head` does: no reason to complain.
    Gone,
    /// With this code, and everything was said.
    Code(u8),
}

impl Failure {
    /// A failure in these words.
    pub fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }

    /// A mistake on the command line.
    pub fn usage(what: impl Display) -> Self {
        Self::Usage(what.to_string())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotRunning => 3,
            Self::NoNode(_) => 4,
            Self::Gone => 0,
            Self::Code(code) => *code,
        }
    }

    /// What is said of it, in one line.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(what) | Self::Usage(what) | Self::NoNode(what) => Some(what),
            Self::NotRunning | Self::Gone | Self::Code(_) => None,
        }
    }
}

/// Refuses more words than a command's arguments in the table. One whose last goes on takes any number.
///
/// # Errors
/// There are too many.
pub fn within(args: &str, words: &[String]) -> Result<(), Failure> {
    if args.ends_with("...") || args.ends_with("...]") {
        return Ok(());
    }
    match words.get(args.split_whitespace().count()) {
        None => Ok(()),
        Some(word) => Err(Failure::usage(format!("{word:?} is one argument too many"))),
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::NoNode { .. }
            | client::Error::NoLookupd(_)
            | client::Error::Unsafe { .. }
            | client::Error::Strange(_) => Self::NoNode(error.to_string()),
            client::Error::Address { .. } => Self::Usage(error.to_string()),
            client::Error::Broken(_) | client::Error::Refused { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Gone
        } else {
            Self::Failed(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_takes_more_words_than_its_arguments() {
        for (args, most) in [("", 0), ("[FILE]", 1), ("JOB|PID SIGNAL", 2), ("PID [STREAM]", 2)] {
            let words = vec!["x".to_owned(); most + 1];
            assert!(within(args, &words[..most]).is_ok(), "{args}");
            let told = within(args, &words).expect_err(args);
            assert_eq!((told.code(), told.message()), (2, Some("\"x\" is one argument too many")));
        }
        for args in ["[JOB...]", "CMD...", "NAME=N|NAME+N|NAME-N...", "PID DATA..."] {
            assert!(within(args, &vec!["x".to_owned(); 9]).is_ok(), "{args}");
        }
    }
}
