//! What can go wrong, in words that every floor shares: the kernel's errno with its text, and the
//! stages of a spawn.

use std::fmt;

/// An error number of the kernel (errno(3)). `Display` is its text without the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The number in an I/O error; 5 (EIO) for one that has none.
    pub fn of(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(5))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

/// Where on its way from nothing to running program a child failed. The order is the order in
/// which `sys/spawn.rs` does these things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Making the pipes for its streams.
    Pipe,
    /// Finding its user or group in the system's tables.
    Account,
    /// Making the process (clone).
    Fork,
    /// Making it the leader of its own session and group.
    Session,
    /// Setting its resource limits.
    Rlimit,
    /// Setting its nice value.
    Nice,
    /// Taking the capabilities that nothing it starts shall have.
    Bounds,
    /// Setting its supplementary groups.
    Groups,
    /// Setting its group.
    Gid,
    /// Setting its user.
    Uid,
    /// Keeping the capabilities that it shall have.
    Capabilities,
    /// Entering its working directory.
    Cwd,
    /// Putting its streams in place.
    Streams,
    /// Forbidding it to get more rights.
    NoNewPrivs,
    /// Replacing it by the program.
    Exec,
}

/// All of them.
const STAGES: [Stage; 15] = [
    Stage::Pipe,
    Stage::Account,
    Stage::Fork,
    Stage::Session,
    Stage::Rlimit,
    Stage::Nice,
    Stage::Bounds,
    Stage::Groups,
    Stage::Gid,
    Stage::Uid,
    Stage::Capabilities,
    Stage::Cwd,
    Stage::Streams,
    Stage::NoNewPrivs,
    Stage::Exec,
];

impl Stage {
    /// That of this word.
    pub fn parse(word: &str) -> Option<Self> {
        STAGES.into_iter().find(|stage| stage.word() == word)
    }

    /// The word used in messages and in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Account => "account",
            Self::Fork => "fork",
            Self::Session => "setsid",
            Self::Rlimit => "setrlimit",
            Self::Nice => "nice",
            Self::Bounds => "capability bounds",
            Self::Groups => "setgroups",
            Self::Gid => "setgid",
            Self::Uid => "setuid",
            Self::Capabilities => "capabilities",
            Self::Cwd => "chdir",
            Self::Streams => "streams",
            Self::NoNewPrivs => "no_new_privs",
            Self::Exec => "exec",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_has_the_systems_text() {
        assert_eq!(Errno(2).to_string(), "No such file or directory");
    }
}
