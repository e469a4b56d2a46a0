//! Where the output of a stream goes, and how much of it is kept.

use std::path::PathBuf;
use std::rc::Rc;

use super::index::Form;

/// One stream of a process that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Which stream.
    pub stream: u16,
    /// What it is called.
    pub label: String,
    /// Where it goes.
    pub to: To,
    /// How it is written there.
    pub form: Form,
    /// How much of it is kept.
    pub keeping: Keeping,
    /// Whether the process waits where it cannot be written, instead of losing what it says.
    pub block: bool,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Into the store.
    Managed,
    /// Into this file.
    File(PathBuf),
    /// Where the daemon's own goes.
    Inherit,
    /// To syslog.
    Syslog,
    /// Nowhere: the last of it is in memory.
    Nowhere,
}

/// How much of a book is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// A file of so many bytes is put aside for a new one.
    pub max_size: u64,
    /// So many of those are kept at most.
    pub keep: Option<u32>,
    /// So many bytes are kept at most: of a job in the store, or of a book elsewhere.
    pub total: Option<u64>,
    /// Whether those that are put aside are compressed.
    pub compress: bool,
}

/// The streams of a process that is to be started, and whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The session of its job,
    pub session: Rc<str>,
    /// and the job's own name there.
    pub job: Rc<str>,
    /// The instance's place in it.
    pub instance: u32,
    /// Gaffer's number of the run.
    pub pid: u64,
    /// Whether it is a one-off.
    pub once: bool,
    /// Its streams.
    pub sinks: Rc<[Sink]>,
}

impl Order {
    /// The job's whole name.
    pub fn name(&self) -> String {
        format!("{}.{}", self.session, self.job)
    }
}
