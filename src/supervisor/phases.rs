//! The life of an instance as other supervisors tell it. Our own states say what is observed and why; these
//! phases, with the names and the order that supervisor gave them ("Subprocess States" in its documentation), are
//! what listeners of its dialect know. Each step from one to another is noted where the state changes, while
//! somebody wants to know; nothing here acts on them.
//!
//! A process that ends by itself before `min_uptime` goes to `Backoff`, if it is started again, and from there
//! to `Fatal`, if it is given up; one that ran for longer goes to `Exited`, and starts again from there.

use super::ending::RunEnd;
use super::instance::{Instance, Role, State, Stopping};
use super::name::JobName;
use super::restart::Verdict;
use super::tables::Supervisor;
use crate::base::ids::{InstanceId, OsPid};

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has no process, because none is wanted.
    #[default]
    Stopped,
    /// Its process is there, not yet for `min_uptime`.
    Starting,
    /// Its process is there.
    Running,
    /// Its process ended before `min_uptime`, and there will be another.
    Backoff,
    /// Its process was asked to stop.
    Stopping,
    /// Its process ended by itself.
    Exited,
    /// It was given up.
    Fatal,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
            Self::Exited => "EXITED",
            Self::Fatal => "FATAL",
        }
    }
}

/// A step of an instance from one phase to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its job.
    pub job: JobName,
    /// Its place there.
    pub number: u32,
    /// Its process, if it has or had one.
    pub os_pid: Option<OsPid>,
    /// From where,
    pub from: Phase,
    /// and to where.
    pub to: Phase,
    /// Whether it ended with a success code. Only of an exit this means anything.
    pub expected: bool,
    /// Quick failures in a row, this one among them.
    pub tries: u32,
}

/// The steps that were not taken yet.
#[derive(Default)]
pub(super) struct Steps {
    are_wanted: bool,
    steps: Vec<Step>,
}

impl Supervisor {
    /// Whether steps are noted from now on.
    pub fn note_steps(&mut self, wanted: bool) {
        self.steps.are_wanted = wanted;
        if !wanted {
            self.steps.steps = Vec::new();
        }
    }

    /// The steps since the last call, in their order.
    pub fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps.steps)
    }

    /// An instance goes to another phase, with the process that it has.
    pub(super) fn enter(&mut self, id: InstanceId, to: Phase) {
        let os_pid = self.os_pid(id);
        self.step(id, to, os_pid, false);
    }

    fn step(&mut self, id: InstanceId, to: Phase, os_pid: Option<OsPid>, expected: bool) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let from = std::mem::replace(&mut instance.phase, to);
        if from == to || !self.steps.are_wanted || instance.is_straggler() {
            return;
        }
        let Some(job) = self.jobs.get(instance.job) else { return };
        let tries = match (from, to) {
            (_, Phase::Backoff) => instance.history.quick_failures().max(1),
            (Phase::Backoff, _) => instance.history.quick_failures(),
            (_, _) => 0,
        };
        self.steps.steps.push(Step {
            job: job.name.clone(),
            number: instance.number,
            os_pid,
            from,
            to,
            expected,
            tries,
        });
    }

    /// The process of an instance is there. It may have been asked to stop before.
    pub(super) fn enter_life(&mut self, id: InstanceId) {
        self.enter(id, Phase::Starting);
        self.enter_asked(id);
    }

    /// An instance was asked to go down.
    pub(super) fn enter_asked(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        let asked = instance.stopping().is_some_and(Stopping::planned);
        if asked && self.os_pid(id).is_some() {
            self.enter(id, Phase::Stopping);
        } else if matches!(instance.state, State::Stopped) {
            self.enter_nothing(id);
        }
    }

    /// Nothing is to come of an instance any more that waited for another try.
    pub(super) fn enter_nothing(&mut self, id: InstanceId) {
        if self.instances.get(id).is_some_and(|instance| instance.phase == Phase::Backoff) {
            self.enter(id, Phase::Stopped);
        }
    }

    /// The run of an instance is over. Of one that failed quickly and is kept, what it means is judged first.
    pub(super) fn enter_end(&mut self, id: InstanceId, end: &RunEnd, planned: bool) {
        let Some(instance) = self.instances.get(id) else { return };
        let (os_pid, success) = (end.subject.os_pid, end.outcome.success);
        let kept = matches!(instance.role, Role::Kept);
        if planned {
            match instance.phase == Phase::Stopping {
                true => self.step(id, Phase::Stopped, os_pid, success),
                false => self.enter_nothing(id),
            }
            return;
        }
        if end.outcome.spawn_failed {
            self.step(id, Phase::Starting, None, false);
        } else if end.outcome.ran >= end.spec.rules.min_uptime {
            // Both may have come in the same turn.
            self.step(id, Phase::Running, os_pid, false);
            self.step(id, Phase::Exited, os_pid, success);
        }
        if !kept {
            self.enter_rest(id, end);
        }
    }

    /// What was judged of a run that ended by itself.
    pub(super) fn enter_verdict(&mut self, id: InstanceId, end: &RunEnd, verdict: Verdict) {
        match verdict {
            Verdict::Again => {}
            Verdict::After(_) | Verdict::Pause(_) => self.enter_backoff(id, end),
            Verdict::Done => self.enter_rest(id, end),
            Verdict::GiveUp { .. } => {
                self.enter_backoff(id, end);
                self.step(id, Phase::Fatal, end.subject.os_pid, false);
            }
        }
    }

    /// Unless it has run for long enough to have exited.
    fn enter_backoff(&mut self, id: InstanceId, end: &RunEnd) {
        if self.instances.get(id).is_some_and(|instance| instance.phase == Phase::Starting) {
            self.step(id, Phase::Backoff, end.subject.os_pid, false);
        }
    }

    /// It is not started again: what never ran has failed for good.
    fn enter_rest(&mut self, id: InstanceId, end: &RunEnd) {
        if end.outcome.spawn_failed {
            self.enter_backoff(id, end);
            self.step(id, Phase::Fatal, None, false);
        } else {
            self.step(id, Phase::Exited, end.subject.os_pid, end.outcome.success);
        }
    }
}

impl Instance {
    /// Checks that its phase is one of those in which its state can be.
    pub(super) fn phase_is_sound(&self) -> Result<(), String> {
        let has_process = self.run.as_ref().is_some_and(|run| run.os_pid.is_some());
        let (phase, alive) = (self.phase, matches!(self.phase, Phase::Starting | Phase::Running));
        let sound = match &self.state {
            State::Starting if has_process => phase == Phase::Starting,
            State::Stopping(stopping) if has_process && stopping.planned() => {
                phase == Phase::Stopping
            }
            State::Stopping(_) if has_process => alive,
            State::Running => phase == Phase::Running,
            State::Backoff { .. } => matches!(phase, Phase::Backoff | Phase::Exited),
            State::Exited { .. } => phase == Phase::Exited,
            State::Failed { .. } => phase == Phase::Fatal,
            State::Starting | State::Stopping(_) | State::Waiting(_) | State::Stopped => {
                !alive && phase != Phase::Stopping
            }
        };
        match sound || self.is_straggler() {
            true => Ok(()),
            false => Err(format!("it is told as {}", phase.word())),
        }
    }
}
