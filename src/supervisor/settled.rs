//! Whether a job has come to where somebody waits for it, or never will.

use super::instance::{Instance, Role, State};
use super::job::{Desired, Job};
use super::name::JobName;
use super::tables::Supervisor;
use super::view;

/// Where a job is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// All its wanted instances run.
    Running,
    /// No process of it is left, not even of an unloaded job of its name.
    Stopped,
}

/// How near it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There.
    Reached,
    /// On the way; what is missing, in words.
    NotYet(String),
    /// It will not come there by itself; why, in words.
    Never(String),
}

impl Supervisor {
    /// How near a job is to a goal.
    pub fn settled(&self, name: &JobName, goal: Goal) -> Progress {
        let job = self.names.get(name).and_then(|id| self.jobs.get(*id));
        match (goal, job) {
            (Goal::Stopped, _) => self.is_empty(name),
            (Goal::Running, None) => Progress::Never(format!("{name} is not loaded")),
            (Goal::Running, Some(job)) => self.runs(job),
        }
    }

    fn is_empty(&self, name: &JobName) -> Progress {
        let former = self.predecessors.get(name).into_iter().flatten();
        let ids = self.names.get(name).into_iter().chain(former);
        let instances = ids.filter_map(|id| self.jobs.get(*id)).flat_map(Job::instances);
        let left = instances
            .filter_map(|id| self.instances.get(id))
            .filter(|instance| instance.run.is_some() && !is_late(instance))
            .count();
        match left {
            0 => Progress::Reached,
            left => Progress::NotYet(format!("{left} of {name} still running")),
        }
    }

    fn runs(&self, job: &Job) -> Progress {
        if job.desired != Desired::Up {
            return Progress::Never(format!("{} is not started", job.name));
        }
        let mut missing = None;
        for instance in job.kept.iter().filter_map(|id| self.instances.get(*id)) {
            let said = || {
                let (number, word) = (instance.number, instance.word());
                let reason = view::reason(instance);
                let text = format!("{}.{number} is {word}: {reason}", job.name);
                text.trim_end_matches([':', ' ']).to_owned()
            };
            match instance.state {
                State::Running => {}
                State::Exited { .. } | State::Failed { .. } => return Progress::Never(said()),
                State::Waiting(_)
                | State::Starting
                | State::Stopping(_)
                | State::Backoff { .. }
                | State::Stopped => missing = missing.or_else(|| Some(said())),
            }
        }
        if missing.is_none() && !job.rolling.is_empty() {
            missing = Some(format!("{} instances are still to be restarted", job.rolling.len()));
        }
        missing.map_or(Progress::Reached, Progress::NotYet)
    }
}

/// A straggler that nobody waits for.
fn is_late(instance: &Instance) -> bool {
    matches!(instance.role, Role::Straggler { blocks: false, .. })
}
