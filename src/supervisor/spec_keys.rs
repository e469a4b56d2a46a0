//! The keys of a job's configuration, in one table: what each expects, in which form, and what a change
//! of it means for processes that run.

use serde_json::{Map, Value};

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
    /// A list of words.
    Names,
    /// A list of whole numbers.
    Codes,
    /// Names and values.
    Table,
    /// An amount of bytes: a number, or a text with a unit.
    Size,
    /// Named numbers; in a file also by position.
    Numbers(&'static [&'static str]),
    /// Accepted and without effect.
    Unused,
}

/// What another value of a key means for a job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Processes are made of it: those that run are replaced.
    Process,
    /// It judges how processes end: those that run go on, and what has ended is judged anew.
    Judgement,
    /// It says how the job is kept: it holds from now on, and nothing else happens.
    Keeping,
}

/// One key of a job's configuration.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What a change of it means.
    pub change: Change,
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
    Key { name: "name", change: Change::Process, kind: Kind::Text, expects: "a job name" },
    Key { name: "cmd", change: Change::Process, kind: Kind::Text, expects: "a command line" },
    Key { name: "args", change: Change::Process, kind: Kind::Words, expects: "a list of texts, or one text" },
    Key { name: "env", change: Change::Process, kind: Kind::Table, expects: "an object of names and texts" },
    Key { name: "os_env", change: Change::Process, kind: Kind::Flag, expects: "true or false" },
    Key { name: "uid", change: Change::Process, kind: Kind::Account, expects: "a user's name or number" },
    Key { name: "gid", change: Change::Process, kind: Kind::Account, expects: "a group's name or number" },
    Key { name: "groups", change: Change::Process, kind: Kind::Names, expects: "a list of groups' names or numbers" },
    Key { name: "capabilities", change: Change::Process, kind: Kind::Names, expects: "a list of capabilities such as net_bind_service" },
    Key { name: "no_new_privs", change: Change::Process, kind: Kind::Flag, expects: "true or false" },
    Key { name: "cwd", change: Change::Process, kind: Kind::Text, expects: "a directory" },
    Key { name: "shell", change: Change::Process, kind: Kind::Flag, expects: "true or false" },
    Key { name: "detach", change: Change::Process, kind: Kind::Flag, expects: "true or false" },
    Key { name: "numprocesses", change: Change::Keeping, kind: Kind::Whole, expects: "a whole number from 0 to 10000" },
    Key { name: "start", change: Change::Keeping, kind: Kind::Flag, expects: "true or false" },
    Key { name: "priority", change: Change::Keeping, kind: Kind::Whole, expects: "a whole number" },
    Key { name: "graceful_timeout", change: Change::Keeping, kind: Kind::Seconds, expects: "seconds from 0 to 864000" },
    Key { name: "flapping", change: Change::Judgement, kind: Kind::Numbers(FLAPPING), expects: "attempts, window, retry_in and max_retry" },
    Key { name: "redirect_output", change: Change::Process, kind: Kind::Names, expects: "a list of at most 2 labels" },
    Key { name: "redirect_input", change: Change::Process, kind: Kind::Flag, expects: "true or false" },
    Key { name: "listen", change: Change::Process, kind: Kind::Names, expects: "a list of at most 64 names of events, or how they begin; \".\" for all" },
    Key { name: "listen_protocol", change: Change::Process, kind: Kind::Text, expects: "gaffer or supervisor" },
    Key { name: "listen_buffer", change: Change::Keeping, kind: Kind::Whole, expects: "a whole number from 1 to 1000" },
    Key { name: "custom_streams", change: Change::Process, kind: Kind::Names, expects: "a list of at most 16 labels" },
    Key { name: "restart", change: Change::Judgement, kind: Kind::Text, expects: "always, on-failure, on-success or never" },
    Key { name: "success_codes", change: Change::Judgement, kind: Kind::Codes, expects: "a list of exit codes from 0 to 255" },
    Key { name: "stop_signal", change: Change::Keeping, kind: Kind::Account, expects: "a signal's name or number" },
    Key { name: "min_uptime", change: Change::Judgement, kind: Kind::Seconds, expects: "seconds from 0 to 864000" },
    Key { name: "backoff", change: Change::Judgement, kind: Kind::Numbers(BACKOFF), expects: "base, factor, max, jitter and reset_after" },
    Key { name: "umask", change: Change::Process, kind: Kind::Text, expects: "an octal text such as \"022\"" },
    Key { name: "rlimits", change: Change::Process, kind: Kind::Table, expects: "an object of resources, each a number, \"unlimited\" or [soft, hard]" },
    Key { name: "nice", change: Change::Process, kind: Kind::Whole, expects: "a whole number from -20 to 19" },
    Key { name: "port", change: Change::Process, kind: Kind::Whole, expects: "a port number from 1 to 65535" },
    Key { name: "stdout_log", change: Change::Keeping, kind: Kind::Text, expects: "an absolute path with {session}, {job}, {instance} and {stream} in it, managed, inherit, syslog or none" },
    Key { name: "stderr_log", change: Change::Keeping, kind: Kind::Text, expects: "an absolute path with {session}, {job}, {instance} and {stream} in it, managed, inherit, syslog or none" },
    Key { name: "log_max_size", change: Change::Keeping, kind: Kind::Size, expects: "bytes, or a size such as 10MB, up to 1048576 GB" },
    Key { name: "log_keep", change: Change::Keeping, kind: Kind::Whole, expects: "a whole number from 0 to 10000" },
    Key { name: "log_total", change: Change::Keeping, kind: Kind::Size, expects: "bytes, or a size such as 10MB, up to 1048576 GB" },
    Key { name: "log_compress", change: Change::Keeping, kind: Kind::Flag, expects: "true or false" },
    Key { name: "log_timestamps", change: Change::Keeping, kind: Kind::Flag, expects: "true or false" },
    Key { name: "log_format", change: Change::Keeping, kind: Kind::Text, expects: "text or json" },
    Key { name: "log_policy", change: Change::Keeping, kind: Kind::Text, expects: "drop or block" },
    Key { name: "group", change: Change::Keeping, kind: Kind::Unused, expects: "nothing: it has no effect" },
];

/// The table's entry for this key.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether two configurations have different values for keys of this kind. One that is null is as good
/// as none.
pub fn differ(one: &Map<String, Value>, other: &Map<String, Value>, change: Change) -> bool {
    let mut keys = KEYS.iter().filter(|key| key.change == change);
    keys.any(|key| {
        let [one, other] =
            [one, other].map(|config| config.get(key.name).filter(|value| !value.is_null()));
        one != other
    })
}
