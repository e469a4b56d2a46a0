//! The keys of a job's configuration, in one table: what each expects, and in which form.

/// The form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text, or a number.
    Account,
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number of seconds.
    Seconds,
    /// A list of texts, or one text that is split like a shell does.
    Words,
    /// A list of labels.
    Labels,
    /// A list of whole numbers.
    Codes,
    /// Names and values.
    Table,
    /// Named numbers; in a file also by position.
    Numbers(&'static [&'static str]),
    /// Accepted and without effect.
    Unused,
}

/// One key of a job's configuration.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// What it expects, for messages and documentation.
    pub expects: &'static str,
}

/// The names of the numbers of `flapping`,
pub(super) const FLAPPING: &[&str] = &["attempts", "window", "retry_in", "max_retry"];
/// and of those of `backoff`.
pub(super) const BACKOFF: &[&str] = &["base", "factor", "max", "jitter", "reset_after"];

/// Every key of a job's configuration.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "name", kind: Kind::Text, expects: "a job name" },
    Key { name: "cmd", kind: Kind::Text, expects: "a command line" },
    Key { name: "args", kind: Kind::Words, expects: "a list of texts, or one text" },
    Key { name: "env", kind: Kind::Table, expects: "an object of names and texts" },
    Key { name: "os_env", kind: Kind::Flag, expects: "true or false" },
    Key { name: "uid", kind: Kind::Account, expects: "a user's name or number" },
    Key { name: "gid", kind: Kind::Account, expects: "a group's name or number" },
    Key { name: "cwd", kind: Kind::Text, expects: "a directory" },
    Key { name: "shell", kind: Kind::Flag, expects: "true or false" },
    Key { name: "detach", kind: Kind::Flag, expects: "true or false" },
    Key { name: "numprocesses", kind: Kind::Whole, expects: "a whole number from 0 to 10000" },
    Key { name: "start", kind: Kind::Flag, expects: "true or false" },
    Key { name: "priority", kind: Kind::Whole, expects: "a whole number" },
    Key { name: "graceful_timeout", kind: Kind::Seconds, expects: "seconds from 0 to 864000" },
    Key { name: "flapping", kind: Kind::Numbers(FLAPPING), expects: "attempts, window, retry_in and max_retry" },
    Key { name: "redirect_output", kind: Kind::Labels, expects: "a list of at most 2 labels" },
    Key { name: "redirect_input", kind: Kind::Flag, expects: "true or false" },
    Key { name: "custom_streams", kind: Kind::Labels, expects: "a list of at most 16 labels" },
    Key { name: "restart", kind: Kind::Text, expects: "always, on-failure, on-success or never" },
    Key { name: "success_codes", kind: Kind::Codes, expects: "a list of exit codes from 0 to 255" },
    Key { name: "stop_signal", kind: Kind::Account, expects: "a signal's name or number" },
    Key { name: "min_uptime", kind: Kind::Seconds, expects: "seconds from 0 to 864000" },
    Key { name: "backoff", kind: Kind::Numbers(BACKOFF), expects: "base, factor, max, jitter and reset_after" },
    Key { name: "umask", kind: Kind::Text, expects: "an octal text such as \"022\"" },
    Key { name: "rlimits", kind: Kind::Table, expects: "an object of resources, each a number, \"unlimited\" or [soft, hard]" },
    Key { name: "nice", kind: Kind::Whole, expects: "a whole number from -20 to 19" },
    Key { name: "port", kind: Kind::Whole, expects: "a port number from 1 to 65535" },
    Key { name: "group", kind: Kind::Unused, expects: "nothing: it has no effect" },
];

/// The table's entry for this key.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
