//! What happened in each job since it was loaded, in numbers that only grow, and how it stands with all of them now:
//! for whoever watches many nodes over months. They go with their job, and are not kept on disk.

use std::time::Duration;

use super::death::{Cause, Death};
use super::instance::{Instance, State};
use super::job::Job;
use super::tables::Supervisor;
use crate::base::ids::{InstanceId, JobId, StreamNo};
use crate::base::process::ExitStatus;

/// The words for how runs end: each run's end is one of them.
pub const ENDS: [&str; 8] =
    ["stopped", "success", "exit", "signal", "core", "out_of_memory", "spawn_error", "unknown"];

/// The words for streams. Those of a job's own making have one together: there may be many.
pub const STREAMS: [&str; 3] = ["stdout", "stderr", "custom"];

/// The states from the one that needs people most to the one that needs them least.
pub const STATES: [&str; 8] =
    ["failed", "backoff", "waiting", "stopping", "starting", "running", "exited", "stopped"];

/// What happened in a job.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How runs ended, in the order of [`ENDS`].
    pub ends: [u64; ENDS.len()],
    /// How often an instance was started again after an end that nobody had asked for.
    pub restarts: u64,
    /// What was written, in bytes, in the order of [`STREAMS`],
    pub output: [u64; STREAMS.len()],
    /// and how much of that could not be written to its log.
    pub unlogged: u64,
    /// What runs used that are over.
    used: Duration,
    /// The most that was ever told of what all runs used, in seconds.
    told: f64,
}

/// How it stands with a job.
pub struct Survey<'a> {
    /// Which.
    pub job: &'a Job,
    /// How many of its instances are in each state, in the order of [`STATES`]; what is left of another life is none
    /// of them.
    pub states: [u32; STATES.len()],
    /// The place of its own state there: the most urgent of those of the instances that are kept alive.
    pub state: usize,
    /// How many of its deaths are remembered.
    pub deaths: usize,
    /// How many of its instances write what does not come to its log.
    pub unlogged: u32,
}

impl Survey<'_> {
    /// Whether it needs people: one of the instances that are kept alive was given up.
    pub fn has_failed(&self) -> bool {
        STATES.get(self.state) == Some(&"failed")
    }
}

impl Tally {
    fn end(&mut self, death: &Death) {
        if let Some(count) = ENDS.iter().position(|word| *word == end_of(death)) {
            self.ends[count] += 1;
        }
        self.used += death.evidence.usage.map_or(Duration::ZERO, |usage| usage.user + usage.system);
    }

    /// Seconds of the processor that all its runs used, where those that are not over use so many. It never shrinks: a
    /// member of a group that ends unseen takes with it what it used.
    pub fn cpu(&mut self, living: f64) -> f64 {
        self.told = self.told.max(self.used.as_secs_f64() + living);
        self.told
    }
}

/// How a run ended, in one word.
fn end_of(death: &Death) -> &'static str {
    match &death.cause {
        Cause::Spawn { .. } | Cause::Order(_) => "spawn_error",
        Cause::Exit(_) if death.evidence.out_of_memory => "out_of_memory",
        Cause::Exit(_) if death.why.is_planned() => "stopped",
        Cause::Exit(ExitStatus::Unknown) => "unknown",
        Cause::Exit(_) if death.success => "success",
        Cause::Exit(ExitStatus::Code(_)) => "exit",
        Cause::Exit(ExitStatus::Signal { core: true, .. }) => "core",
        Cause::Exit(ExitStatus::Signal { core: false, .. }) => "signal",
    }
}

/// The place of an instance's state among all.
fn state_of(instance: &Instance) -> usize {
    match instance.state {
        State::Failed { .. } => 0,
        State::Backoff { .. } => 1,
        State::Waiting(_) => 2,
        State::Stopping(_) => 3,
        State::Starting => 4,
        State::Running => 5,
        State::Exited { .. } => 6,
        State::Stopped => 7,
    }
}

impl Supervisor {
    /// How it stands with each job, in the order of loading.
    pub fn surveys(&self) -> impl Iterator<Item = Survey<'_>> {
        self.order.values().filter_map(|id| self.jobs.get(*id)).map(|job| self.survey(job))
    }

    fn survey<'a>(&self, job: &'a Job) -> Survey<'a> {
        let (mut states, mut state) = ([0; STATES.len()], STATES.len() - 1);
        let mut unlogged = 0;
        let mut deaths = job.departed.iter().count() + job.former.len();
        for instance in job.instances().filter_map(|id| self.instance(id)) {
            deaths += instance.deaths.iter().count();
            if instance.is_straggler() {
                continue;
            }
            let at = state_of(instance);
            states[at] += 1;
            let run = instance.run.as_ref();
            unlogged += u32::from(run.is_some_and(|run| !run.unlogged.is_empty()));
            if !instance.is_once() {
                state = state.min(at);
            }
        }
        Survey { job, states, state, deaths, unlogged }
    }

    /// All loaded jobs in the order of loading.
    pub fn job_ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.order.values().copied()
    }

    /// How many jobs are loaded.
    pub fn job_count(&self) -> usize {
        self.order.len()
    }

    /// Counts the end of a run, if it is one of ours.
    pub(super) fn count_end(&mut self, id: InstanceId, death: &Death) {
        if self.instances.get(id).is_none_or(Instance::is_straggler) {
            return;
        }
        if let Some(tally) = self.tally(id) {
            tally.end(death);
        }
    }

    /// Counts what a process wrote.
    pub fn count_output(&mut self, id: InstanceId, stream: StreamNo, bytes: usize) {
        let place = match stream {
            StreamNo::STDOUT => 0,
            StreamNo::STDERR => 1,
            _ => 2,
        };
        if let Some(tally) = self.tally(id) {
            tally.output[place] += u64::try_from(bytes).unwrap_or(0);
        }
    }

    /// The tally of an instance's job.
    pub(super) fn tally(&mut self, id: InstanceId) -> Option<&mut Tally> {
        let job = self.instances.get(id)?.job;
        self.jobs.get_mut(job).map(|job| &mut job.tally)
    }

    /// What of the processor the runs of the jobs used since they were loaded, in seconds, in the order of loading,
    /// where `living` says it of the runs that are not over.
    pub fn tell_cpu(&mut self, living: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut told = Vec::with_capacity(self.order.len());
        for (at, id) in self.order.values().enumerate() {
            let job = self.jobs.get_mut(*id);
            told.push(job.map_or(0.0, |job| job.tally.cpu(living(at))));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Pid;
    use crate::base::process::{Rusage, Signal};
    use crate::supervisor::death::Evidence;
    use crate::supervisor::instance::Why;
    use std::time::SystemTime;

    fn death(cause: Cause, why: Why, success: bool) -> Death {
        Death {
            number: 1,
            once: false,
            pid: Pid(1),
            os_pid: None,
            started_at: SystemTime::UNIX_EPOCH,
            ended_at: SystemTime::UNIX_EPOCH,
            ran: Duration::ZERO,
            cause,
            why,
            evidence: Evidence::default(),
            success,
            outlived: false,
            last_lines: Vec::new(),
        }
    }

    fn signal(core: bool) -> Cause {
        Cause::Exit(ExitStatus::Signal { signal: Signal::KILL, core })
    }

    #[test]
    fn each_end_has_one_word() {
        let code = |code| Cause::Exit(ExitStatus::Code(code));
        let mut tally = Tally::default();
        let mut killed = death(signal(false), Why::Stop, false);
        killed.evidence.out_of_memory = true;
        let all = [
            death(signal(false), Why::Stop, false),
            death(code(0), Why::Itself, true),
            death(code(1), Why::Itself, false),
            death(signal(false), Why::Itself, false),
            death(signal(true), Why::Itself, false),
            killed,
            death(Cause::Order("no user".into()), Why::Itself, false),
            death(Cause::Exit(ExitStatus::Unknown), Why::Unseen, false),
        ];
        for (death, word) in all.iter().zip(ENDS) {
            assert_eq!(end_of(death), word);
            tally.end(death);
        }
        assert_eq!(tally.ends, [1; ENDS.len()]);
    }

    #[test]
    fn the_time_of_the_processor_only_grows() {
        let mut tally = Tally::default();
        assert_eq!(tally.cpu(1.5), 1.5);
        // A member of the group has ended.
        assert_eq!(tally.cpu(1.0), 1.5);
        let mut over = death(signal(false), Why::Stop, false);
        over.evidence.usage = Some(Rusage {
            user: Duration::from_secs(1),
            system: Duration::from_secs(2),
            ..Rusage::default()
        });
        tally.end(&over);
        assert_eq!(tally.cpu(0.0), 3.0);
        assert_eq!(tally.cpu(0.25), 3.25);
    }
}
