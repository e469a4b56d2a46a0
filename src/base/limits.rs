//! Every cap in one table, each with its reason. A limit that is not here is a bug.

use std::time::Duration;

// --- names -------------------------------------------------------------------------------------

/// Longest session name. Long enough for people, short enough for file names and log lines.
pub const SESSION_NAME: usize = 64;
/// Longest job label.
pub const JOB_LABEL: usize = 128;
