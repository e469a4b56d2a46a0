//! How a run ends: stop signal to the group, grace, KILL to the group, until nobody of the group is
//! left; then the streams are drained for a bounded time; then, and only then, the exit is told.
//! A run that ends by itself goes the same way from its middle.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::death::{Cause, Death, Evidence, Told};
use super::effect::{Ask, Effect, Record, Whom};
use super::event::{Event, Subject};
use super::facts::Exit;
use super::instance::{Instance, Role, Run, State, Step, Stopping, Why};
use super::job::Job;
use super::restart::Outcome;
use super::shutdown::Pace;
use super::tables::{Ended, Supervisor, Timer};
use super::JobSpec;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, JobId, OsPid, Pid};
use crate::base::limits;
use crate::base::process::{ExitStatus, Signal};
use crate::base::sorted::{SortedMap, SortedSet};

/// A run that is over, as its judges see it.
pub(super) struct RunEnd {
    pub(super) subject: Subject,
    pub(super) spec: Rc<JobSpec>,
    pub(super) cause: Cause,
    pub(super) outcome: Outcome,
}

impl Supervisor {
    /// Asks an instance to go down. Without a process it is down at once; one that is already
    /// ending goes on as it does, but from now on by our wish.
    pub(super) fn begin_stop(&mut self, id: InstanceId, why: Why, now: Now) {
        if self.withdraw(id) {
            self.go_without(id, now);
            return;
        }
        let Some(instance) = self.instances.get_mut(id) else { return };
        match &mut instance.state {
            State::Starting | State::Running => {
                self.timers.cancel(Timer::Stable(id));
                instance.state = State::Stopping(Stopping::new(why).into());
                self.ask(id, now);
            }
            State::Stopping(stopping) => {
                // The weightiest wish is the one shown: an unload is not undone by a restart.
                if !stopping.planned() || !matches!(stopping.why, Why::Unload | Why::Shutdown) {
                    stopping.why = why;
                }
            }
            State::Waiting(_)
            | State::Backoff { .. }
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => {
                self.timers.cancel(Timer::Backoff(id));
                instance.state = State::Stopped;
            }
        }
        self.enter_asked(id);
    }

    /// Takes back the order for a process that is not started yet, if there is one. Nothing ran, so
    /// there is no exit to tell and no death to remember.
    pub(super) fn withdraw(&mut self, id: InstanceId) -> bool {
        let Some(instance) = self.instances.get_mut(id) else { return false };
        let Some(run) = instance.run.as_ref() else { return false };
        if self.orders.remove(&run.pid).is_none() {
            return false;
        }
        self.pids.remove(&run.pid);
        instance.restarts -= u64::from(run.again);
        instance.run = None;
        instance.state = State::Stopped;
        self.enter_asked(id);
        true
    }

    /// What becomes of an instance whose order was taken back: as after a planned exit, a kept one is
    /// filled again if its job is up, and a one-off is gone.
    fn go_without(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get(id) else { return };
        if matches!(instance.role, Role::Kept) {
            self.fill_again(id, now);
            return;
        }
        let (job, number) = (instance.job, instance.number);
        self.remove_instance(id);
        if let Some(job) = self.jobs.get_mut(job) {
            job.committed.take(number, id);
        }
    }

    /// Sends a signal to a process alone. One that is ordered and not there yet gets it when it is;
    /// the same one twice is once, as signals that are pending are (signal(7)).
    pub(super) fn signal_leader(&mut self, id: InstanceId, signal: Signal) {
        let Some(run) = self.instances.get_mut(id).and_then(|i| i.run.as_mut()) else { return };
        if run.os_pid.is_none() {
            run.early.insert(signal);
            return;
        }
        run.sent.insert(signal);
        self.effect(Ask::Signal { id, signal, whom: Whom::Leader });
        self.tell(id, |subject| Event::Kill(subject, signal));
    }

    /// Sends the stop signal and starts the grace period; without one, or in a hurry, kills at once.
    fn ask(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(run) = &instance.run else { return };
        let (signal, grace) = (run.spec.stop_signal, run.grace);
        let hurried = self.shutdown == Some(Pace::Hurried);
        if hurried || grace.is_zero() || signal == Signal::KILL {
            self.kill_tree(id, now);
            return;
        }
        if let Some(stopping) = instance.stopping_mut() {
            stopping.step = Step::Asked(signal);
        }
        self.timers.set(Timer::Grace(id), now.mono + grace);
        self.effect(Ask::Signal { id, signal, whom: Whom::Group });
        if signal != Signal::CONT {
            // A process that is stopped (SIGSTOP) would never see the signal before.
            self.effect(Ask::Signal { id, signal: Signal::CONT, whom: Whom::Group });
        }
    }

    /// Goes to the last step now: the grace period is over, or a killed process is still there.
    pub(super) fn kill_tree(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(stopping) = instance.stopping_mut() else { return };
        if stopping.group_empty {
            return;
        }
        stopping.step = Step::Killed;
        let leader_gone = stopping.exit.is_some();
        self.timers.set(Timer::Grace(id), now.mono + limits::KILL_AGAIN);
        self.effect(Ask::Signal { id, signal: Signal::KILL, whom: Whom::Group });
        if leader_gone {
            self.effect(Ask::Survey(id));
        }
    }

    /// A second request to stop goes to the next step at once.
    pub(super) fn hurry(&mut self, id: InstanceId, now: Now) {
        let asked = |s: &Stopping| matches!(s.step, Step::Asked(_));
        if self.instances.get(id).and_then(Instance::stopping).is_some_and(asked) {
            self.kill_tree(id, now);
        }
    }

    /// The same for what a job's former lives have left and it waits for.
    pub(super) fn hurry_predecessors(&mut self, id: JobId, now: Now) {
        let former = self.jobs.get(id).and_then(|job| self.predecessors.get(&job.name));
        let former = former.into_iter().flatten().filter_map(|id| self.jobs.get(*id));
        for instance in former.flat_map(Job::instances).collect::<Vec<_>>() {
            self.hurry(instance, now);
        }
    }

    /// The leader is gone, and its streams were read dry first.
    pub(super) fn leader_gone(&mut self, id: InstanceId, exit: Exit, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        match instance.state {
            State::Starting | State::Running => {
                self.timers.cancel(Timer::Stable(id));
                instance.state = State::Stopping(Stopping::new(Why::Itself).into());
            }
            State::Stopping(_) => {}
            State::Waiting(_)
            | State::Backoff { .. }
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => return,
        }
        let sent = instance.run.as_ref().map(|run| run.sent.clone()).unwrap_or_default();
        let Some(stopping) = instance.stopping_mut() else { return };
        if stopping.exit.is_some() {
            return;
        }
        let sent = match exit.status {
            ExitStatus::Signal { signal: Signal::KILL, .. } if stopping.step == Step::Killed => {
                true
            }
            ExitStatus::Signal { signal, .. } => sent.contains(&signal),
            ExitStatus::Code(_) | ExitStatus::Unknown => false,
        };
        let out_of_memory = exit.out_of_memory && !sent;
        stopping.evidence = Evidence { usage: exit.usage, out_of_memory, sent };
        stopping.exit = Some(Cause::Exit(exit.status));
        stopping.exited = Some(now);
        stopping.streams_open = exit.streams_open;
        if !exit.group_alive {
            self.group_gone(id, now);
            return;
        }
        stopping.outlived = true;
        self.timers.set(Timer::Linger(id), now.mono + stopping.linger);
        if stopping.step == Step::Nothing {
            self.ask(id, now);
        }
    }

    /// Looks at a group that outlives its leader, less and less often.
    pub(super) fn look_again(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(stopping) = instance.stopping_mut() else { return };
        stopping.linger = (stopping.linger * 2).min(limits::LINGER.1);
        self.timers.set(Timer::Linger(id), now.mono + stopping.linger);
        self.effect(Ask::Survey(id));
    }

    /// Nobody of the group is left.
    pub fn group_gone(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(stopping) = instance.stopping_mut() else { return };
        if stopping.exit.is_none() || stopping.group_empty {
            return;
        }
        stopping.group_empty = true;
        let streams_open = stopping.streams_open;
        self.timers.cancel(Timer::Grace(id));
        self.timers.cancel(Timer::Linger(id));
        if streams_open {
            self.timers.set(Timer::Drain(id), now.mono + limits::DRAIN);
        } else {
            self.finish(id, now);
        }
    }

    /// All output streams of a run have ended.
    pub fn drained(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(stopping) = instance.stopping_mut() else { return };
        if stopping.exit.is_none() {
            // The exit brings its own word on the streams.
            return;
        }
        stopping.streams_open = false;
        if stopping.group_empty {
            self.finish(id, now);
        }
    }

    /// The exit is complete: last words are read, nobody is left.
    pub(super) fn finish(&mut self, id: InstanceId, now: Now) {
        let Some(stopping) = self.instances.get_mut(id).and_then(Instance::stopping_mut) else {
            return;
        };
        let cause = stopping.exit.clone().unwrap_or(Cause::Exit(ExitStatus::Unknown));
        self.run_ended(id, cause, now);
    }

    /// Closes a run's book: its event, its death record, and what becomes of the instance.
    pub(super) fn run_ended(&mut self, id: InstanceId, cause: Cause, now: Now) {
        self.clear_timers(id);
        let Some(subject) = self.subject(id) else { return };
        let Some(instance) = self.instances.get_mut(id) else { return };
        let success = instance.succeeded(&cause);
        let Some(run) = instance.run.take() else { return };
        let stopping = instance.stopping();
        let exited = stopping.and_then(|s| s.exited).unwrap_or(now);
        let why = stopping.map_or(Why::Itself, |stopping| stopping.why);
        let evidence = stopping.map(|stopping| stopping.evidence).unwrap_or_default();
        let outlived = stopping.is_some_and(|s| s.outlived);
        let ran = exited.mono.saturating_duration_since(run.started.mono);
        let spawn_failed = !matches!(cause, Cause::Exit(_));
        let death = Death {
            number: instance.number,
            once: instance.is_once(),
            pid: run.pid,
            os_pid: run.os_pid,
            started_at: run.started.wall,
            ended_at: exited.wall,
            ran: to_the_millisecond(ran),
            cause: cause.clone(),
            why,
            evidence,
            success,
            outlived,
            last_lines: Vec::new(),
        };
        instance.state = State::Stopped;
        self.pids.remove(&run.pid);
        if !matches!(cause, Cause::Order(_)) {
            self.effect(Ask::Release(id));
        }
        if let Some(os_pid) = run.os_pid {
            self.effect(Effect::Record(Record::Ended(os_pid)));
        }
        let outcome = Outcome { success, spawn_failed, ran };
        let end = RunEnd { subject, spec: run.spec, cause, outcome };
        self.settle(id, end, death, now);
    }

    fn settle(&mut self, id: InstanceId, end: RunEnd, death: Death, now: Now) {
        let planned = death.why.is_planned();
        self.enter_end(id, &end, planned);
        self.count_end(id, &death);
        let Some(instance) = self.instances.get_mut(id) else { return };
        let job_id = instance.job;
        let kept = matches!(instance.role, Role::Kept);
        let straggler = instance.is_straggler();
        let number = death.number;
        let event = (!straggler).then_some(self.events.len());
        self.ended.push(Ended { id, job: job_id, number, pid: death.pid, event });
        if !straggler {
            let (status, reason) = match &end.cause {
                Cause::Exit(status) => (Some(*status), end.cause.to_string()),
                Cause::Spawn { .. } | Cause::Order(_) => (None, end.cause.to_string()),
            };
            let (subject, told) = (end.subject.clone(), Box::new(Told::of(&death)));
            self.events.push(Event::Exit { subject, status, reason, told });
        }
        if !kept {
            if let Some(departed) = self.remove_instance(id) {
                self.remember_departed(id, &departed, death);
            }
            self.forget_if_gone(job_id, now);
            return;
        }
        instance.deaths.push(death);
        if planned {
            self.fill_again(id, now);
        } else {
            self.judge(id, &end, now);
        }
    }

    /// An instance that is no more: the death of a kept one belongs to its replacement, if it has
    /// one; a one-off has none.
    fn remember_departed(&mut self, id: InstanceId, departed: &Instance, death: Death) {
        let Some(job) = self.jobs.get_mut(departed.job) else { return };
        job.leaving.remove(&id);
        job.committed.take(departed.number, id);
        if let Role::Straggler { recorded, .. } = departed.role {
            if recorded {
                let name = job.name.clone();
                self.bury(name, death);
            }
            return;
        }
        let replacement = job.kept.at(departed.number).filter(|_| !departed.is_once());
        match replacement.and_then(|kept| self.instances.get_mut(kept)) {
            Some(instance) => instance.deaths.push(death),
            None => job.departed.push(death),
        }
    }

    /// Takes over a process that is to be ended: one that a killed daemon left, or a descendant
    /// that left its group.
    pub(super) fn end_straggler(
        &mut self,
        job: JobId,
        spec: Rc<JobSpec>,
        found: Found,
        role: Role,
        now: Now,
    ) {
        self.last_pid += 1;
        let pid = Pid(self.last_pid);
        let mut instance = Instance::new(job, found.number, role);
        instance.state = State::Stopping(Stopping::new(Why::Leftover).into());
        instance.run = Some(Run {
            pid,
            os_pid: None,
            grace: spec.graceful_timeout,
            spec,
            started: found.since.map_or(now, |since| earlier(now, since)),
            extra: SortedMap::new(),
            again: false,
            early: SortedSet::new(),
            sent: SortedSet::new(),
            ids: None,
            unlogged: SortedMap::new(),
        });
        let id = self.instances.insert(instance);
        self.pids.insert(pid, id);
        if let Some(job) = self.jobs.get_mut(job) {
            job.leaving.insert(id);
        }
        self.adopt(id, found.os_pid, found.start_time, now);
        self.ask(id, now);
    }
}

/// As it is told and written down, so that both are always the same.
fn to_the_millisecond(time: Duration) -> Duration {
    let millis = (time + Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// A process that was found running, and is no run of ours.
pub(super) struct Found {
    pub(super) number: u32,
    pub(super) os_pid: OsPid,
    pub(super) start_time: u64,
    /// Since when it runs, if that is known.
    pub(super) since: Option<SystemTime>,
}

/// The moment at which the wall showed this, as far as both clocks go.
fn earlier(now: Now, wall: SystemTime) -> Now {
    let ago = now.wall.duration_since(wall).unwrap_or_default();
    match now.mono.checked_sub(ago) {
        Some(mono) => Now { mono, wall },
        None => now,
    }
}
