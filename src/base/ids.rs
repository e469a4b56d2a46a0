//! The keys that every floor may name. They are all small, `Copy` and ordered, so that tables keyed
//! by them iterate in the same order in every run.

use std::fmt;

/// Makes a newtype over an arena [`Key`](super::arena::Key).
macro_rules! arena_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub super::arena::Key);

        impl From<super::arena::Key> for $name {
            fn from(key: super::arena::Key) -> Self {
                Self(key)
            }
        }

        impl From<$name> for super::arena::Key {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}

arena_id! {
    /// A job in the supervisor's table. It outlives the job's name there while processes of an
    /// unloaded job are still ending.
    JobId
}
arena_id! {
    /// One place of a job (`web.1`) and, while it lives, the process that fills it.
    InstanceId
}
arena_id! {
    /// One client connection.
    ConnId
}

arena_id! {
    /// A file of output and what it was before.
    BookId
}

arena_id! {
    /// One client's conversation on a channel, over whatever connections it takes.
    SessionId
}

/// A connection of ours to somebody else: 1, 2, 3…, never used twice in a machine's life, so that what is
/// told late of one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Gaffer's own number of a process: 1, 2, 3…, never used twice in a daemon's life. Public as `pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u64);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kernel's number of a process, always greater than 0. Public as `os_pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsPid(pub i32);

impl fmt::Display for OsPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream between gaffer and a child, named by the child's file descriptor: 0 stdin, 1 stdout,
/// 2 stderr, 3 and up the custom streams in the order of the job's specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamNo(pub u16);

impl StreamNo {
    /// The child's standard input.
    pub const STDIN: Self = Self(0);
    /// The child's standard output.
    pub const STDOUT: Self = Self(1);
    /// The child's standard error.
    pub const STDERR: Self = Self(2);
    /// The first custom stream.
    pub const FIRST_CUSTOM: Self = Self(3);
}
