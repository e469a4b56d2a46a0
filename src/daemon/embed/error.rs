//! Why an embedded node cannot be built or go on.

use std::{fmt, io};

/// Why a node cannot be built or go on, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(format!("the loop failed: {error}"))
    }
}
