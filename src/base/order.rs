//! One process to start, in plain values: what the supervisor orders and `sys/spawn.rs` carries out.

use std::fmt;

use super::capabilities::Capabilities;
use super::environment::Environment;

/// The ids a process runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Who a process is to be, as it is written: each a name or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account<'a> {
    /// The user.
    pub uid: Option<&'a str>,
    /// The group; the user's own without it.
    pub gid: Option<&'a str>,
    /// The supplementary groups; all that list the user without it.
    pub groups: Option<&'a [String]>,
    /// Whether its capabilities are chosen, too.
    pub with_capabilities: bool,
}

/// Why a process cannot be who it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The key that says so.
    pub key: &'static str,
    /// What is wrong about it.
    pub why: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

/// Where a stream of the child leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// To /dev/null.
    Null,
    /// To a pipe of ours.
    Pipe,
    /// Where stdout goes.
    Stdout,
}

/// One process to start.
#[derive(Clone, Debug)]
pub struct SpawnOrder {
    /// The program, looked up in the `PATH` of `env` if it has no slash.
    pub program: String,
    /// Its arguments, without its own name.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Environment,
    /// Its working directory; the daemon's without one.
    pub cwd: Option<String>,
    /// Whom to become, if not who the daemon is.
    pub identity: Option<Identity>,
    /// The capabilities that it has, and that anything it starts can have at most; those that come with
    /// its user without them.
    pub capabilities: Option<Capabilities>,
    /// Whether no program it runs gives it more rights than it has (no_new_privs, prctl(2)).
    pub no_new_privs: bool,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Nice value.
    pub nice: Option<i32>,
    /// Stdin.
    pub stdin: Wiring,
    /// Stdout.
    pub stdout: Wiring,
    /// Stderr.
    pub stderr: Wiring,
    /// Number of custom streams, from descriptor 3.
    pub custom: u16,
    /// A unix socket on which the process is to listen, by its path: the next descriptor behind those. It is
    /// the same socket for all who are given one by this path, so that whoever connects between two of them is
    /// heard by the later one.
    pub listener: Option<String>,
}

/// One resource limit (getrlimit(2)). `None` is unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// Linux's number of the resource.
    pub resource: u32,
    /// The limit in force.
    pub soft: Option<u64>,
    /// The ceiling to which the process may raise it.
    pub hard: Option<u64>,
}
