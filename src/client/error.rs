//! What can go wrong between a client and a node, with what to do about it.

use std::fmt;
use std::io;

use serde_json::Value;

use super::address::Address;
use super::lookup::Silent;

/// Why a call failed.
#[derive(Debug)]
pub enum Error {
    /// This is no address.
    Address {
        /// Of what: a node or a lookupd.
        of: &'static str,
        /// As it was written.
        text: String,
        /// Why not.
        why: String,
    },
    /// Nobody answers there.
    NoNode {
        /// Where.
        address: Address,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody answers there, but not over TLS as it should be.
    Unsafe {
        /// Where.
        address: Address,
        /// Why not.
        reason: String,
    },
    /// Of several lookupds none answered.
    NoLookupd(Vec<Silent>),
    /// The connection broke, or took too long.
    Broken(io::Error),
    /// What came is not what a node says.
    Strange(String),
    /// The node refused.
    Refused {
        /// The status of the answer, or the number of a command's error.
        status: u16,
        /// The word for it.
        word: String,
        /// Why, in a sentence.
        reason: String,
    },
}

impl Error {
    /// What an answer with this status and body says.
    pub(super) fn of_answer(status: u16, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        // The word stands in `error`, or beside a number there in `reason`, with the sentence in
        // `detail`.
        let (word, reason) = match text("error") {
            Some(word) => (word, text("reason")),
            None => (text("reason").unwrap_or_default(), text("detail")),
        };
        let reason = reason.unwrap_or_else(|| word.clone());
        if reason.is_empty() {
            return Self::Strange(format!("a refusal ({status}) without a reason"));
        }
        Self::Refused { status, word, reason }
    }

    /// Whether what was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { of, text, why } => write!(f, "{text:?} is not a {of}'s address: {why}"),
            Self::NoNode { address, error } => {
                write!(f, "no gafferd answers at {address} ({error}): start one with `gafferd`")
            }
            Self::Unsafe { address, reason } => {
                write!(f, "no safe connection to {address}: {reason}")
            }
            Self::NoLookupd(silent) if silent.is_empty() => f.write_str("no lookupd is named"),
            Self::NoLookupd(silent) => {
                let told: Vec<String> = silent.iter().map(Silent::to_string).collect();
                f.write_str(&told.join("; "))
            }
            Self::Broken(error) => write!(f, "the connection to the node broke: {error}"),
            Self::Strange(what) => write!(f, "what answers is no gafferd ({what})"),
            Self::Refused { reason, .. } => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}
