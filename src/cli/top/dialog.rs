//! What a key leads to before anything is done: questions with what they would do, the menu of signals,
//! the filter that is typed, and pages that fill the screen.

use serde_json::{json, Value};

use super::follow::Place;
use super::keys::Key;
use crate::base::limits;

/// What the keys mean at present.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// They are about the table.
    Table,
    /// They are the filter's; this is what it was before.
    Filter(String),
    /// They answer a question.
    Ask(Act),
    /// They choose a signal.
    Signals(Menu),
    /// They are about a page.
    Page(Page),
}

/// Something that may be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Replace the instances of a job one after the other.
    Restart(String),
    /// Stop a job.
    Stop(String),
    /// Stop a process.
    StopProcess(u64, String),
    /// Start a job.
    Start(String),
    /// Change how many instances a job has.
    Scale {
        /// Which.
        name: String,
        /// From so many
        from: u64,
        /// to so many.
        to: u64,
    },
    /// Send a signal to a process, or to all of a job.
    Signal(Target, &'static str),
}

/// Who gets a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A process, and what it is called here.
    Process(u64, String),
    /// All processes of a job.
    Job(String),
}

/// The menu of signals.
#[derive(Clone, Debug, PartialEq)]
pub struct Menu {
    /// The process of the row, if it has one.
    pub process: Option<(u64, String)>,
    /// Its job.
    pub name: String,
    /// Whether all of the job is meant.
    pub all: bool,
    /// Which signal is chosen.
    pub at: usize,
}

/// The signals that are offered.
pub const SIGNALS: [&str; 10] =
    ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "STOP", "CONT", "KILL"];

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What is on it.
    pub what: What,
    /// Its lines; those of a log are elsewhere.
    pub lines: Vec<String>,
    /// The line at the top; of a log the number of the line below the last one.
    pub at: u64,
    /// Whether the end of a log is shown, wherever that is.
    pub follows: bool,
}

/// What is on a page.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The keys.
    Help,
    /// The output of an instance.
    Log(Place),
    /// How a job's runs ended.
    Deaths(String),
    /// What the node tells of a job.
    Info(String),
}

/// What came of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Nothing yet.
    Open,
    /// This is to be done.
    Do(Act),
    /// Nothing is to be done.
    Leave,
}

impl Act {
    /// The question.
    pub fn question(&self) -> String {
        match self {
            Self::Restart(name) => format!("Restart {name}, one instance after the other?"),
            Self::Stop(name) => format!("Stop {name}?"),
            Self::StopProcess(pid, what) => format!("Stop process {pid} of {what}?"),
            Self::Start(name) => format!("Start {name}?"),
            Self::Scale { name, from, to } => format!("Scale {name} from {from} to {to}?"),
            Self::Signal(Target::Process(pid, what), signal) => {
                format!("Send {signal} to process {pid} of {what}?")
            }
            Self::Signal(Target::Job(name), signal) => {
                format!("Send {signal} to all processes of {name}?")
            }
        }
    }

    /// The keys that answer it.
    pub fn answers(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "y yes  n no  + more  - fewer",
            Self::Restart(_)
            | Self::Stop(_)
            | Self::StopProcess(..)
            | Self::Start(_)
            | Self::Signal(..) => "y yes  n no",
        }
    }

    /// What is said of it once the node has agreed.
    pub fn done(&self) -> String {
        match self {
            Self::Restart(name) => format!("{name} restarts"),
            Self::Stop(name) => format!("{name} stops"),
            Self::StopProcess(pid, what) => format!("process {pid} of {what} stops"),
            Self::Start(name) => format!("{name} starts"),
            Self::Scale { name, to, .. } => format!("{name} has {to} now"),
            Self::Signal(Target::Process(pid, what), signal) => {
                format!("{signal} sent to process {pid} of {what}")
            }
            Self::Signal(Target::Job(name), signal) => format!("{signal} sent to {name}"),
        }
    }

    /// The command of the channel that does it.
    pub fn command(&self) -> (&'static str, Vec<Value>) {
        match self {
            Self::Restart(name) => ("restart", vec![json!(name)]),
            Self::Stop(name) => ("stop_job", vec![json!(name)]),
            Self::StopProcess(pid, _) => ("stop_process", vec![json!(pid)]),
            Self::Start(name) => ("start_job", vec![json!(name)]),
            Self::Scale { name, to, .. } => ("scale", vec![json!(name), json!(format!("={to}"))]),
            Self::Signal(Target::Process(pid, _), signal) => {
                ("kill", vec![json!(pid), json!(signal)])
            }
            Self::Signal(Target::Job(name), signal) => {
                ("killall", vec![json!(name), json!(signal)])
            }
        }
    }

    /// A key answers.
    pub fn key(&mut self, key: &Key) -> Choice {
        match (key, &mut *self) {
            (Key::Char('+' | '='), Self::Scale { to, .. }) => {
                *to = to.saturating_add(1).min(u64::from(limits::NUMPROCESSES));
                Choice::Open
            }
            (Key::Char('-'), Self::Scale { to, .. }) => {
                *to = to.saturating_sub(1);
                Choice::Open
            }
            (Key::Char('y' | 'Y'), _) => Choice::Do(self.clone()),
            (Key::Char('n' | 'N' | 'q') | Key::Esc, _) => Choice::Leave,
            _ => Choice::Open,
        }
    }
}

impl Menu {
    /// Who gets the signal.
    pub fn target(&self) -> Target {
        match &self.process {
            Some((pid, what)) if !self.all => Target::Process(*pid, what.clone()),
            Some(_) | None => Target::Job(self.name.clone()),
        }
    }

    /// A key chooses.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    pub fn key(&mut self, key: &Key) -> Choice {
        match key {
            Key::Up | Key::Left | Key::Char('k') => {
                self.at = self.at.checked_sub(1).unwrap_or(SIGNALS.len() - 1);
            }
            Key::Down | Key::Right | Key::Char('j') => self.at = (self.at + 1) % SIGNALS.len(),
            Key::Char('a') => self.all ^= self.process.is_some(),
            Key::Enter => {
                let signal = SIGNALS.get(self.at).copied().unwrap_or(SIGNALS[0]);
                return Choice::Do(Act::Signal(self.target(), signal));
            }
            Key::Esc | Key::Char('q') => return Choice::Leave,
            _ => {}
        }
        Choice::Open
    }
}

impl Page {
    /// A page that begins at its beginning, or follows its end.
    pub fn new(what: What) -> Self {
        let follows = matches!(what, What::Log(_));
        Self { what, lines: Vec::new(), at: 0, follows }
    }

    /// What stands above it.
    pub fn title(&self) -> String {
        match &self.what {
            What::Help => "keys".into(),
            What::Log(place) => format!("output of {}", place.shown()),
            What::Deaths(name) => format!("deaths of {name}"),
            What::Info(name) => format!("what the node tells of {name}"),
        }
    }

    /// Moves so many lines; `height` of them are seen at a time. `shown` are the numbers of a log's lines.
    pub fn move_by(&mut self, by: i64, shown: &[u64], height: usize) {
        let by = isize::try_from(by).unwrap_or(if by < 0 { isize::MIN } else { isize::MAX });
        if !matches!(self.what, What::Log(_)) {
            let at = usize::try_from(self.at).unwrap_or(usize::MAX);
            let at = at.saturating_add_signed(by).min(self.lines.len().saturating_sub(height));
            self.at = u64::try_from(at).unwrap_or(u64::MAX);
            return;
        }
        let behind = match self.follows {
            true => shown.len(),
            false => shown.partition_point(|number| *number < self.at),
        };
        let behind = behind.saturating_add_signed(by).clamp(height.min(shown.len()), shown.len());
        self.follows = behind == shown.len();
        self.at = behind.checked_sub(1).and_then(|last| shown.get(last)).map_or(0, |last| last + 1);
    }
}
