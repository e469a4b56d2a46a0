//! The daemon's own beginning and end: what a former daemon left is ended before its job starts
//! again, and at shutdown everything stops but what is detached.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Map;

use super::effect::{Ask, Running};
use super::ending::Found;
use super::facts::Stray;
use super::instance::{Instance, Role, State, Why};
use super::job::{Desired, Job, Origin};
use super::name::JobName;
use super::restart::Rules;
use super::spec::{self, Command, Dialect, Given, JobSpec, Options};
use super::spec_logs::Logs;
use super::tables::Supervisor;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, JobId};
use crate::base::process::Signal;
use crate::base::sorted::SortedMap;

/// How fast the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every process has its grace period.
    Graceful,
    /// Everything is killed.
    Hurried,
}

impl Supervisor {
    /// Takes over what an earlier daemon left running, before any job is loaded. A detached process
    /// waits for its job to claim it; everything else is ended, and its job waits for that.
    pub fn recovered(&mut self, running: Running, now: Now) {
        if !running.detach {
            self.end_left_over(running, now);
            return;
        }
        // A reload was under way: the later of the two is the one to keep.
        let place = (running.job.clone(), running.number);
        if let Some(replaced) = self.detached.insert(place, running) {
            self.end_left_over(replaced, now);
        }
    }

    /// Ends the detached processes of a job that is detached no more, before it starts its own.
    pub(super) fn end_once_detached(&mut self, name: &JobName, now: Now) {
        let places = (name.clone(), 0)..=(name.clone(), u32::MAX);
        let mine: Vec<_> = self.detached.range(places).map(|(place, _)| place.clone()).collect();
        for running in
            mine.iter().filter_map(|place| self.detached.remove(place)).collect::<Vec<_>>()
        {
            self.end_left_over(running, now);
        }
    }

    fn end_left_over(&mut self, running: Running, now: Now) {
        let Running { stop_signal, graceful_timeout, .. } = running;
        let spec = Rc::new(placeholder(stop_signal, graceful_timeout));
        let Running { job, number, os_pid, start_time, started_at: since, .. } = running;
        let found = Found { number, os_pid, start_time, since };
        self.end_before_its_job(job, (spec, true), found, now);
    }

    /// A process that carries the mark of an earlier daemon, but is on no record: its job waits for
    /// its end.
    pub fn recovered_stray(&mut self, stray: Stray, now: Now) {
        if self.is_known(stray.os_pid) {
            return;
        }
        let Stray { job, number, os_pid, start_time, .. } = stray;
        let spec = Rc::new(placeholder(Signal::TERM, spec::GRACEFUL_TIMEOUT));
        let found = Found { number, os_pid, start_time, since: None };
        self.end_before_its_job(job, (spec, false), found, now);
    }

    fn end_before_its_job(
        &mut self,
        name: JobName,
        (spec, recorded): (Rc<JobSpec>, bool),
        found: Found,
        now: Now,
    ) {
        let job = self.insert_placeholder(name.clone(), Rc::clone(&spec));
        self.predecessors.entry(name).or_default().push(job);
        let role = Role::Straggler { blocks: true, recorded };
        self.end_straggler(job, spec, found, role, now);
    }

    /// Ends the detached processes whose jobs did not come back.
    pub fn end_unclaimed(&mut self, now: Now) -> usize {
        let unclaimed = std::mem::take(&mut self.detached);
        let count = unclaimed.len();
        for running in unclaimed.into_values() {
            self.end_left_over(running, now);
        }
        count
    }

    /// The loaded job of this name, one that is ending, or else an entry that lives only as long as
    /// a straggler does.
    pub(super) fn job_or_placeholder(&mut self, name: &JobName) -> JobId {
        let ending = self.predecessors.get(name).and_then(|ids| ids.last());
        if let Some(id) = self.names.get(name).or(ending) {
            return *id;
        }
        let spec = Rc::new(placeholder(Signal::TERM, spec::GRACEFUL_TIMEOUT));
        self.insert_placeholder(name.clone(), spec)
    }

    fn insert_placeholder(&mut self, name: JobName, spec: Rc<JobSpec>) -> JobId {
        self.jobs.insert(Job::new(name, spec, Origin::File, Desired::Down, 0))
    }

    /// Begins to end the daemon; asked again, it kills everything.
    pub fn shutdown(&mut self, now: Now) {
        if self.shutdown.is_some() {
            self.shutdown = Some(Pace::Hurried);
            let all: Vec<InstanceId> = self.instances.iter().map(|(id, _)| id).collect();
            for id in all {
                self.kill_tree(id, now);
            }
            return;
        }
        self.shutdown = Some(Pace::Graceful);
        let jobs: Vec<JobId> = self.jobs.iter().map(|(id, _)| id).collect();
        for id in jobs {
            self.let_go_of_detached(id);
            self.stop_all(id, Why::Shutdown, false, now);
        }
    }

    /// Detached processes stay, on record, for the next daemon to find. That is for those that are
    /// kept in a place, which a job can claim again, and that nobody asked to stop.
    fn let_go_of_detached(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let stays = |i: &Instance| {
            let runs = matches!(i.state, State::Starting | State::Running);
            // A process that is ordered and not yet there could not be put on record any more.
            runs && i.run.as_ref().is_some_and(|run| run.spec.detach && run.os_pid.is_some())
        };
        let stays = |id: &InstanceId| self.instances.get(*id).is_some_and(stays);
        let staying: Vec<InstanceId> = job.kept.iter().copied().filter(stays).collect();
        for id in staying {
            self.clear_timers(id);
            self.effect(Ask::Release(id));
            let Some(instance) = self.remove_instance(id) else { continue };
            if let Some(job) = self.jobs.get_mut(instance.job) {
                job.kept.take(instance.number, id);
            }
            if let Some(run) = instance.run {
                self.pids.remove(&run.pid);
            }
        }
    }

    /// Whether the daemon is ending, and how fast.
    pub fn pace(&self) -> Option<Pace> {
        self.shutdown
    }

    /// How many processes are left to end.
    pub fn processes_left(&self) -> usize {
        self.pids.len()
    }
}

/// The specification of a process whose job is not known any more: enough to end it.
fn placeholder(stop_signal: Signal, graceful_timeout: Duration) -> JobSpec {
    JobSpec {
        command: Command::Shell(Box::default()),
        env: SortedMap::new(),
        cwd: None,
        numprocesses: 0,
        priority: 0,
        port: None,
        config: Given::new(&Map::new()),
        options: Rc::new(Options {
            os_env: false,
            uid: None,
            gid: None,
            groups: None,
            capabilities: None,
            no_new_privs: false,
            detach: false,
            graceful_timeout,
            redirect_output: Vec::new(),
            redirect_input: false,
            listen: Vec::new(),
            listen_protocol: Dialect::default(),
            listen_buffer: 0,
            custom_streams: Vec::new(),
            listener: None,
            is_plugin: false,
            logs: Logs::default(),
            rules: Rules::default(),
            success_codes: crate::base::sorted::SortedSet::new(),
            stop_signal,
            umask: None,
            rlimits: Vec::new(),
            nice: None,
        }),
    }
}
