//! What a job is: its specification, parsed once and immutable from then on. A [`JobSpec`] that
//! exists is valid; `spec_read` makes it of JSON and says what is wrong, key by key.

use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::hearer::Hearer;
use super::restart::Rules;
use super::spec_logs::Logs;
use crate::base::capabilities::Capabilities;
use crate::base::environment::Variables;
use crate::base::ids::StreamNo;
use crate::base::order::{Account, Rlimit};
use crate::base::process::Signal;
use crate::base::sorted::{SortedMap, SortedSet};

/// How long a process has between the stop signal and KILL, unless its job says otherwise.
pub const GRACEFUL_TIMEOUT: Duration = Duration::from_secs(10);
/// A run at least this long did not fail quickly, unless the job says otherwise.
pub const MIN_UPTIME: Duration = Duration::from_secs(1);
/// What stdout and stderr are called when a job does not name them.
pub const OUTPUT_LABELS: [&str; 2] = ["out", "err"];

/// A job's specification: what is its own, and the options, most of which many jobs have in common.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// What to run.
    pub command: Command,
    /// Its own environment variables.
    pub env: Variables,
    /// Working directory; the daemon's without one.
    pub cwd: Option<String>,
    /// How many instances to keep.
    pub numprocesses: u32,
    /// Start order among the jobs of files, smallest first.
    pub priority: i64,
    /// Base port: instance n finds `port + n - 1` in `PORT`.
    pub port: Option<u16>,
    /// The configuration as it was given, shown by the API.
    pub config: Given,
    /// All else. Jobs that have the same options share them: see [`JobEntry::share`].
    pub options: Rc<Options>,
}

/// How a job is run, whatever it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Whether the daemon's environment lies below the job's variables.
    pub os_env: bool,
    /// User to run as: a name or a number.
    pub uid: Option<String>,
    /// Group to run as: a name or a number.
    pub gid: Option<String>,
    /// Its supplementary groups, names or numbers; those of its user without them.
    pub groups: Option<Vec<String>>,
    /// The capabilities that it keeps, and no others; those that come with its user without them.
    pub capabilities: Option<Capabilities>,
    /// Whether no program that it runs gives it more rights, by a set-user-ID bit for example.
    pub no_new_privs: bool,
    /// Whether its processes survive the daemon.
    pub detach: bool,
    /// Time between the stop signal and KILL.
    pub graceful_timeout: Duration,
    /// Labels under which stdout and stderr are published. Two equal ones merge the two.
    pub redirect_output: Vec<String>,
    /// Whether stdin is a pipe of ours, instead of /dev/null.
    pub redirect_input: bool,
    /// How the names of the events begin that it is told on its stdin; all do so with an empty one.
    pub listen: Vec<String>,
    /// How it is told.
    pub listen_protocol: Dialect,
    /// How many events wait at most for its processes, where those are told one at a time.
    pub listen_buffer: usize,
    /// Labels of further streams, both ways, from descriptor 3.
    pub custom_streams: Vec<String>,
    /// The path of a socket on which it is to listen, behind those. No configuration says it: it is for plugins.
    pub listener: Option<String>,
    /// Whether it extends the node, and its stdin and stdout are between them alone.
    pub is_plugin: bool,
    /// What is kept of what it writes.
    pub logs: Logs,
    /// Restart policy, delays and flapping.
    pub rules: Rules,
    /// Exit codes that count as success.
    pub success_codes: SortedSet<i32>,
    /// What asks a process to stop.
    pub stop_signal: Signal,
    /// File mode creation mask; the daemon's without one.
    pub umask: Option<u32>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Nice value.
    pub nice: Option<i32>,
}

impl Deref for JobSpec {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.options
    }
}

/// A configuration as it was given, in one piece of memory: a tree of its values would take ten times as much,
/// for as long as the job is loaded, and is seldom asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given(Box<str>);

impl Given {
    /// Keeps this.
    pub fn new(config: &Map<String, Value>) -> Self {
        Self(serde_json::to_string(config).unwrap_or_default().into())
    }

    /// What was given.
    pub fn map(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// How processes are told what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A JSON object a line, to all of them.
    #[default]
    Gaffer,
    /// As event listeners of supervisor are: each event to one that is ready, which answers.
    Supervisor,
}

/// How many events wait for processes that are told one at a time, unless their job says otherwise.
pub const LISTEN_BUFFER: usize = 10;

/// What a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments, in which variables are expanded.
    Program(Words),
    /// A line for `sh -c`, which expands it.
    Shell(Box<str>),
}

/// A program and its arguments as they are written, in one piece of memory: each ends with a NUL, which is in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Box<str>);

impl Words {
    /// These, of which none has a NUL.
    pub(super) fn new<'a>(program: &str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = format!("{program}\0");
        for arg in args {
            text.push_str(arg);
            text.push('\0');
        }
        Self(text.into())
    }

    /// What is looked up in the `PATH` of the process.
    pub fn program(&self) -> &str {
        self.all().next().unwrap_or_default()
    }

    /// Its arguments, not yet expanded.
    pub fn args(&self) -> impl Iterator<Item = &str> {
        self.all().skip(1)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator('\0')
    }
}

/// Linux's resources by name, as `ulimit` and systemd know them.
pub const RESOURCES: [(&str, u32); 16] = [
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

impl JobSpec {
    /// Who its processes are.
    pub fn account(&self) -> Account<'_> {
        Account {
            uid: self.uid.as_deref(),
            gid: self.gid.as_deref(),
            groups: self.groups.as_deref(),
            with_capabilities: self.capabilities.is_some(),
        }
    }

    /// The labels and numbers of the streams that come out of its processes, custom ones last.
    pub fn outputs(&self) -> Vec<(StreamNo, &str)> {
        let named = |n: usize| self.redirect_output.get(n).map(String::as_str);
        let mut outputs = Vec::with_capacity(2 + self.custom_streams.len());
        let captured = !self.detach;
        for (n, default) in OUTPUT_LABELS.iter().enumerate() {
            let label = named(n).or(captured.then_some(*default));
            let is_other =
                if n == 0 { self.hearer() != Hearer::Readers } else { self.merges_stderr() };
            if let Some(label) = label.filter(|_| !is_other) {
                outputs.push((if n == 0 { StreamNo::STDOUT } else { StreamNo::STDERR }, label));
            }
        }
        let custom = (StreamNo::FIRST_CUSTOM.0..).zip(&self.custom_streams);
        outputs.extend(custom.map(|(number, label)| (StreamNo(number), label.as_str())));
        outputs
    }

    /// Whether stderr goes where stdout goes, because both have the same label.
    pub fn merges_stderr(&self) -> bool {
        matches!(self.redirect_output.as_slice(), [out, err] if out == err)
    }
}

/// A job as a file or a client asks for it.
#[derive(Clone, Debug)]
pub struct JobEntry {
    /// Its name.
    pub name: super::JobName,
    /// What it is.
    pub spec: Rc<JobSpec>,
    /// Whether to start it at once.
    pub start: bool,
    /// Where it is written.
    pub place: Place,
}

impl JobEntry {
    /// Shares with a job what it has in common with it. A specification that somebody else holds stays as it is.
    pub fn share(&mut self, name: &super::JobName, spec: &JobSpec) {
        self.name.share(name);
        if let Some(own) = Rc::get_mut(&mut self.spec) {
            if own.options == spec.options {
                own.options = Rc::clone(&spec.options);
            }
        }
    }

    /// Adds it to others. It shares with the last of them what it can: most that stand side by side have the same
    /// options.
    pub fn join(mut self, others: &mut Vec<Self>) {
        if let Some(last) = others.last() {
            self.share(&last.name, &last.spec);
        }
        others.push(self);
    }
}

/// Where a job of a file is written, as `file:line` or as near as that. One of the API is written
/// nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    job: String,
    keys: SortedMap<String, String>,
}

impl Place {
    /// A job that is written here.
    pub fn new(job: String) -> Self {
        Self { job, keys: SortedMap::new() }
    }

    /// One of its keys is written there.
    pub fn add(&mut self, key: &str, place: String) {
        self.keys.insert(key.to_owned(), place);
    }

    /// Where it is written.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The same, and nothing else of it.
    pub fn into_job(self) -> String {
        self.job
    }

    /// Where a key of it is written, as far as that is known.
    pub fn of(&self, key: &str) -> &str {
        self.keys.get(key).unwrap_or(&self.job)
    }
}
