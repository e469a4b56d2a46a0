//! An instance: one place of a job, and the run that fills it. The state holds what is only valid
//! there; its timers are set and cancelled where the state changes, in `converge` and `ending`.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::death::{Cause, Deaths, Evidence};
use super::phases::Phase;
use super::restart::History;
use super::spec::JobSpec;
use crate::base::clock::Now;
use crate::base::ids::{JobId, OsPid, Pid, StreamNo};
use crate::base::process::{ExitStatus, Signal};
use crate::base::sorted::{SortedMap, SortedSet};

/// One place of a job.
pub struct Instance {
    /// The job it belongs to.
    pub job: JobId,
    /// Its place there, from 1: `web.1`. Public as `GAFFER_INSTANCE`.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// What is observed of it.
    pub state: State,
    /// As what it is told to those who know the states of other supervisors.
    pub phase: Phase,
    /// The run that fills it, while there is one.
    pub run: Option<Run>,
    /// What it remembers of its unplanned exits.
    pub history: History,
    /// Its last deaths.
    pub deaths: Deaths,
    /// How often it was started again after an unplanned exit.
    pub restarts: u64,
}

/// What an instance is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Kept alive as one of the job's target number.
    Kept,
    /// A one-off: not kept alive, not counted.
    Committed(Commit),
    /// Told to go, and not to come back: reaped, replaced or of an unloaded job.
    Leaving {
        /// Whether it was a one-off.
        once: bool,
    },
    /// Not a run of ours, but to be ended all the same: what a killed daemon left, or a descendant
    /// that escaped its group.
    Straggler {
        /// Whether the job waits for its end before it starts anything.
        blocks: bool,
        /// Whether it was a run of a killed daemon, by that one's record.
        recorded: bool,
    },
}

/// What a one-off process was given beside its job's specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Further environment variables.
    pub env: SortedMap<String, String>,
    /// Its own time between the stop signal and KILL.
    pub graceful_timeout: Option<Duration>,
}

/// One run: a process, from the order to its last words.
pub struct Run {
    /// Its own number.
    pub pid: Pid,
    /// The kernel's, once it is spawned.
    pub os_pid: Option<OsPid>,
    /// What it was started with.
    pub spec: Rc<JobSpec>,
    /// When it was started.
    pub started: Now,
    /// Variables that it has beside those of its job. With `spec` they tell what its command and
    /// environment were: keeping those would cost more than all the rest of a run.
    pub extra: SortedMap<String, String>,
    /// Whether it is one of its instance's restarts.
    pub again: bool,
    /// Signals that were sent to it before it was there,
    pub early: SortedSet<Signal>,
    /// and those that were sent to it alone, each once.
    pub sent: SortedSet<Signal>,
    /// User and group it runs as, if not the daemon's.
    pub ids: Option<(u32, u32)>,
    /// Its time between the stop signal and KILL.
    pub grace: Duration,
    /// Why what it writes does not come to its logs, by stream.
    pub unlogged: SortedMap<StreamNo, String>,
}

/// What is observed of an instance. The names are public, in lower case.
pub enum State {
    /// It wants up and may not yet.
    Waiting(Blocker),
    /// Its process runs, not yet for `min_uptime`.
    Starting,
    /// Its process runs.
    Running,
    /// Its process is ending.
    Stopping(Box<Stopping>),
    /// It will be started again by itself.
    Backoff {
        /// When.
        retry_at: SystemTime,
        /// Whether this is a pause for flapping.
        flapping: bool,
    },
    /// It is down because it is wanted down.
    Stopped,
    /// It ended by itself and is not started again.
    Exited {
        /// With a success code.
        success: bool,
    },
    /// It was given up.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Why an instance waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// Too many unplanned restarts on this node at once.
    RestartRate,
    /// Processes of the job's former life have not ended yet.
    Predecessor,
}

/// How far an ending has come.
pub struct Stopping {
    /// Who wanted it.
    pub why: Why,
    /// What was sent last.
    pub step: Step,
    /// The leader's exit, once it is seen.
    pub exit: Option<Cause>,
    /// What else is known of that.
    pub evidence: Evidence,
    /// When the leader's exit was seen.
    pub exited: Option<Now>,
    /// Whether its streams are still open.
    pub streams_open: bool,
    /// Whether nobody of its group is left.
    pub group_empty: bool,
    /// Whether members of the group outlived the leader.
    pub outlived: bool,
    /// How long to wait before the group is looked at again.
    pub linger: Duration,
}

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By itself.
    Itself,
    /// Its job was stopped.
    Stop,
    /// Its job was unloaded.
    Unload,
    /// It was one too many.
    Scale,
    /// A replacement is started.
    Reload,
    /// It is to be started again.
    Restart,
    /// This process alone was asked to stop.
    StopProcess,
    /// The daemon ends.
    Shutdown,
    /// It is left over from something that is gone.
    Leftover,
    /// Nobody knows: it ended while no daemon was there.
    Unseen,
}

/// All of them.
const WHYS: [Why; 10] = [
    Why::Itself,
    Why::Stop,
    Why::Unload,
    Why::Scale,
    Why::Reload,
    Why::Restart,
    Why::StopProcess,
    Why::Shutdown,
    Why::Leftover,
    Why::Unseen,
];

impl Why {
    /// The word in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Itself => "ended by itself",
            Self::Stop => "stop",
            Self::Unload => "unload",
            Self::Scale => "scale down",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::StopProcess => "stop of this process",
            Self::Shutdown => "shutdown",
            Self::Leftover => "left over",
            Self::Unseen => "unseen",
        }
    }

    /// That of this word.
    pub fn parse(word: &str) -> Option<Self> {
        WHYS.into_iter().find(|why| why.word() == word)
    }

    /// Whether we asked for it.
    pub fn is_planned(self) -> bool {
        !matches!(self, Self::Itself | Self::Unseen)
    }
}

/// What an ending process was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it ended by itself.
    Nothing,
    /// The stop signal.
    Asked(Signal),
    /// KILL.
    Killed,
}

impl Role {
    /// Whether it is no run of ours.
    pub fn is_straggler(&self) -> bool {
        matches!(self, Self::Straggler { .. })
    }
}

impl Stopping {
    /// An ending at its beginning.
    pub fn new(why: Why) -> Self {
        Self {
            why,
            step: Step::Nothing,
            exit: None,
            evidence: Evidence::default(),
            exited: None,
            streams_open: true,
            group_empty: false,
            outlived: false,
            linger: crate::base::limits::LINGER.0,
        }
    }

    /// Whether its exit counts as wanted.
    pub fn planned(&self) -> bool {
        self.why.is_planned()
    }
}

impl Instance {
    /// A new place.
    pub fn new(job: JobId, number: u32, role: Role) -> Self {
        Self {
            job,
            number,
            role,
            state: State::Stopped,
            phase: Phase::default(),
            run: None,
            history: History::default(),
            deaths: Deaths::default(),
            restarts: 0,
        }
    }

    /// The public word for its state.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Waiting(_) => "waiting",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping(_) => "stopping",
            State::Backoff { .. } => "backoff",
            State::Stopped => "stopped",
            State::Exited { .. } => "exited",
            State::Failed { .. } => "failed",
        }
    }

    /// Whether a process of the kernel belongs to it now.
    pub fn is_live(&self) -> bool {
        match &self.state {
            State::Starting | State::Running => true,
            State::Stopping(stopping) => stopping.exit.is_none(),
            State::Waiting(_)
            | State::Backoff { .. }
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => false,
        }
    }

    /// Whether it was a one-off.
    pub fn is_once(&self) -> bool {
        match self.role {
            Role::Committed(_) => true,
            Role::Leaving { once } => once,
            Role::Kept | Role::Straggler { .. } => false,
        }
    }

    /// Whether it is no run of ours.
    pub fn is_straggler(&self) -> bool {
        self.role.is_straggler()
    }

    /// Its ending, while its run is ending.
    pub fn stopping(&self) -> Option<&Stopping> {
        match &self.state {
            State::Stopping(stopping) => Some(stopping),
            State::Waiting(_)
            | State::Starting
            | State::Running
            | State::Backoff { .. }
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => None,
        }
    }

    /// As [`Instance::stopping`], to change it.
    pub fn stopping_mut(&mut self) -> Option<&mut Stopping> {
        match &mut self.state {
            State::Stopping(stopping) => Some(stopping),
            State::Waiting(_)
            | State::Starting
            | State::Running
            | State::Backoff { .. }
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => None,
        }
    }

    /// Whether this exit is one of the job's success codes.
    pub fn succeeded(&self, cause: &Cause) -> bool {
        let codes = self.run.as_ref().map(|run| &run.spec.success_codes);
        match cause {
            Cause::Exit(ExitStatus::Code(code)) => codes.is_some_and(|codes| codes.contains(code)),
            Cause::Exit(ExitStatus::Signal { .. } | ExitStatus::Unknown)
            | Cause::Spawn { .. }
            | Cause::Order(_) => false,
        }
    }
}
