//! What the kernel says: spawned, spawn failed, exited, strayed. Facts are never refused; one about
//! something that is gone changes nothing.

use std::rc::Rc;

use super::death::Cause;
use super::effect::{Ask, Effect, Record, Running};
use super::ending::Found;
use super::event::Event;
use super::instance::{Instance, Role, State};
use super::name::JobName;
use super::tables::{Supervisor, Timer};
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{InstanceId, OsPid, Pid};
use crate::base::process::{ExitStatus, Rusage};

/// What is known of a leader's end.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// What it had used, if that is known: of a process that is not our child nobody tells it.
    pub usage: Option<Rusage>,
    /// Whether the kernel killed it because memory was used up, as far as there is evidence of that.
    pub out_of_memory: bool,
    /// Whether members of its group are left.
    pub group_alive: bool,
    /// Whether somebody still holds its output streams.
    pub streams_open: bool,
}

impl Exit {
    /// That it ended so, and nothing was left of it.
    pub fn of(status: ExitStatus) -> Self {
        Self { status, usage: None, out_of_memory: false, group_alive: false, streams_open: false }
    }
}

impl Supervisor {
    /// The process of this instance runs.
    pub fn spawned(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        self.has_process(id, os_pid, start_time, now);
        let spec = self.instances.get(id).and_then(|i| i.run.as_ref()).map(|run| &run.spec);
        if spec.is_some_and(|spec| spec.rules.min_uptime.is_zero()) {
            self.timers.cancel(Timer::Stable(id));
            self.became_stable(id, now);
        }
    }

    /// Makes a process that runs already the run of an instance.
    pub(super) fn adopt(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        self.effect(Ask::Adopt { id, os_pid, start_time });
        self.has_process(id, os_pid, start_time, now);
    }

    /// Puts a process on record, for the next daemon if this one is killed, and tells of it. Its run
    /// counts from here: before, it may have waited for its turn to be started.
    fn has_process(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(run) = instance.run.as_mut().filter(|run| run.os_pid.is_none()) else { return };
        run.os_pid = Some(os_pid);
        if !instance.role.is_straggler() {
            run.started = now;
        }
        if matches!(instance.state, State::Starting) {
            self.timers.set(Timer::Stable(id), now.mono + run.spec.rules.min_uptime);
        }
        let Some(job) = self.jobs.get(instance.job) else { return };
        self.effects.push(Effect::Record(Record::Started(Running {
            job: job.name.clone(),
            number: instance.number,
            pid: run.pid,
            os_pid,
            start_time,
            detach: run.spec.detach && matches!(instance.role, Role::Kept),
            stop_signal: run.spec.stop_signal,
            graceful_timeout: run.grace,
            started_at: Some(run.started.wall),
        })));
        let early = std::mem::take(&mut run.early);
        self.tell(id, Event::Spawn);
        self.enter_life(id);
        for signal in early {
            self.signal_leader(id, signal);
        }
    }

    /// The process of this instance never became its program.
    pub fn spawn_failed(&mut self, id: InstanceId, stage: Stage, errno: Errno, now: Now) {
        let run = self.instances.get(id).and_then(|instance| instance.run.as_ref());
        if let Some(run) = run.filter(|run| run.os_pid.is_none()) {
            let cause = Cause::spawn(&run.spec, stage, errno);
            self.run_ended(id, cause, now);
        }
    }

    /// The leader of this instance's group ended, after its output was read dry.
    pub fn exited(&mut self, id: InstanceId, exit: Exit, now: Now) {
        self.leader_gone(id, exit, now);
    }

    /// An orphan of ours carries the mark of a run. If that run is over, the orphan is one of its
    /// descendants that left the group, and is ended too; while the run lives it is its own affair.
    /// Those of detached jobs are left alone.
    pub fn strayed(&mut self, stray: Stray, now: Now) {
        if stray.run.is_some_and(|pid| self.pids.contains_key(&pid)) {
            return;
        }
        if self.is_known(stray.os_pid) {
            return;
        }
        let job_id = self.job_or_placeholder(&stray.job);
        let Some(job) = self.jobs.get(job_id) else { return };
        let spec = Rc::clone(&job.spec);
        if spec.detach {
            self.forget_if_gone(job_id, now);
            return;
        }
        let Stray { number, os_pid, start_time, .. } = stray;
        let found = Found { number, os_pid, start_time, since: None };
        let role = Role::Straggler { blocks: false, recorded: false };
        self.end_straggler(job_id, spec, found, role, now);
    }

    /// Whether this process is in our tables already. Strays are few, so a scan is good enough.
    pub(super) fn is_known(&self, os_pid: OsPid) -> bool {
        let runs = |instance: &Instance| instance.run.as_ref().and_then(|run| run.os_pid);
        self.instances.iter().any(|(_, instance)| runs(instance) == Some(os_pid))
            || self.detached.values().any(|running| running.os_pid == os_pid)
    }
}

/// An orphan with the mark of a run.
#[derive(Clone, Debug)]
pub struct Stray {
    /// The job its mark names.
    pub job: JobName,
    /// The place in it.
    pub number: u32,
    /// The run, if it is one of this daemon's life.
    pub run: Option<Pid>,
    /// The process.
    pub os_pid: OsPid,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}
