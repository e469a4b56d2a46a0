//! What the supervisor asks of the kernel. The shell performs effects in order, in the turn in which
//! they were asked or, if that has done its share, in the next, and answers with facts. Processes to
//! start wait in a line of their own, from which the shell takes as many in a turn as it has time for.

use std::time::{Duration, SystemTime};

use super::name::JobName;
use crate::base::ids::{InstanceId, OsPid, Pid};
use crate::base::order::SpawnOrder;
use crate::base::process::Signal;
use crate::logs::sink::Order;

/// One request to the shell.
#[derive(Debug)]
pub enum Effect {
    /// Something of the kernel.
    Kernel(Ask),
    /// To write this down, so that the next daemon finds what this one leaves.
    Record(Record),
}

impl From<Ask> for Effect {
    fn from(ask: Ask) -> Self {
        Self::Kernel(ask)
    }
}

/// Something asked of the kernel.
#[derive(Debug)]
pub enum Ask {
    /// Take a running process over that was not started by this daemon's life. Only its end is
    /// told, by `exited`; a process that is gone already is told as exited too.
    Adopt {
        /// For which instance.
        id: InstanceId,
        /// Which process.
        os_pid: OsPid,
        /// When it started, in clock ticks since boot, so that no other is taken for it.
        start_time: u64,
    },
    /// Send a signal; nobody there is no error.
    Signal {
        /// To whose process.
        id: InstanceId,
        /// Which.
        signal: Signal,
        /// To how much of it.
        whom: Whom,
    },
    /// Look whether the process group is empty; answered by `group_gone` if it is.
    Survey(InstanceId),
    /// Streams of a process that runs go elsewhere from now on, or are kept otherwise.
    Log {
        /// Whose.
        id: InstanceId,
        /// Where.
        logs: Box<Order>,
    },
    /// The run is over: close its streams and forget it.
    Release(InstanceId),
}

/// A process to start; answered by `spawned` or `spawn_failed`.
#[derive(Debug)]
pub struct Start {
    /// For which instance.
    pub id: InstanceId,
    /// What to start.
    pub order: Box<SpawnOrder>,
    /// Where its streams go.
    pub logs: Box<Order>,
}

/// How much of a process tree gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The process gaffer started, alone.
    Leader,
    /// Its process group.
    Group,
}

/// A line of the record of what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A process was started.
    Started(Running),
    /// It is to be stopped in another way than when it was started.
    Amended {
        /// Which.
        os_pid: OsPid,
        /// How it is asked to stop,
        stop_signal: Signal,
        /// and how long it has to do so.
        graceful_timeout: Duration,
    },
    /// It is gone.
    Ended(OsPid),
}

/// A process as the record knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its job.
    pub job: JobName,
    /// Its place there.
    pub number: u32,
    /// Gaffer's number of it.
    pub pid: Pid,
    /// The kernel's.
    pub os_pid: OsPid,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Whether it is to survive the daemon: a kept process of a detached job, as one-offs have no
    /// place in which the next daemon could claim them.
    pub detach: bool,
    /// How it is asked to stop,
    pub stop_signal: Signal,
    /// and how long it has to do so.
    pub graceful_timeout: Duration,
    /// Since when it runs; a gaffer of before did not write that down.
    pub started_at: Option<SystemTime>,
}
