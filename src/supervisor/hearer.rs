//! Whom the standard output of a process is for. Most write for readers: it is kept, followed and logged. Some
//! speak to the node itself, in a protocol: then nobody else sees it, and it is no output of theirs. Their
//! standard error is output as any.

use super::spec::{Dialect, JobSpec};

/// Whom what a process writes to its standard output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearer {
    /// Whoever reads its output.
    Readers,
    /// The node, which tells it of events.
    Listening,
    /// The node, which it extends.
    Plugins,
}

impl JobSpec {
    /// Whom the standard output of its processes is for.
    pub fn hearer(&self) -> Hearer {
        match self.listen_protocol {
            _ if self.is_plugin => Hearer::Plugins,
            Dialect::Supervisor if !self.listen.is_empty() => Hearer::Listening,
            Dialect::Supervisor | Dialect::Gaffer => Hearer::Readers,
        }
    }
}
