//! What operators and files ask for. A verb changes intent and converges; it never waits, and it
//! never fails half way: it is checked whole before it changes anything.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::effect::{Ask, Effect, Record};
use super::event::Event;
use super::former::Obituary;
use super::instance::{Commit, Instance, Role, State, Step, Why};
use super::job::{Desired, Job, Origin};
use super::name::JobName;
use super::order::{OrderError, Seat};
use super::restart::History;
use super::spec::{JobEntry, JobSpec};
use super::spec_keys::{self, Change};
use super::tables::{Refusal, Supervisor, Timer};
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, JobId, Pid};
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::sorting;

/// How a target number is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By so many; never below 0.
    By(i64),
    /// To this many.
    To(i64),
}

impl Supervisor {
    /// Checks that a process of this job could be ordered: its variables and its account exist.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the reason.
    pub fn check(&self, name: &JobName, spec: &JobSpec, extra: &Commit) -> Result<(), Refusal> {
        let pid = Pid(self.last_pid + 1);
        let number = spec.numprocesses.max(1);
        let seat = Seat { name, number, pid, extra: &extra.env };
        let order = self.host.order(spec, seat);
        order.map(|_| ()).map_err(|error| Refusal::Invalid(error.to_string()))
    }

    /// The key because of which no process of this job could be ordered, if there is one.
    pub fn misfit(&self, name: &JobName, spec: &JobSpec) -> Option<&'static str> {
        let (number, pid) = (spec.numprocesses.max(1), Pid(self.last_pid + 1));
        let seat = Seat { name, number, pid, extra: &SortedMap::new() };
        match self.host.order(spec, seat).err()? {
            OrderError::Port(_) => Some("port"),
            OrderError::Argument { argument, .. } => {
                let config = spec.config.map();
                let cmd = config.get("cmd").and_then(Value::as_str);
                let words = cmd.and_then(shlex::split).unwrap_or_default();
                Some(if words.contains(&argument) { "cmd" } else { "args" })
            }
            OrderError::Account(unfit) => Some(unfit.key),
        }
    }

    /// Loads a job and, if its entry says so, starts it.
    ///
    /// # Errors
    /// The name is taken, or no process of it could be ordered. Nothing is loaded then.
    pub fn load(&mut self, entry: JobEntry, origin: Origin, now: Now) -> Result<(), Refusal> {
        let target = entry.spec.numprocesses;
        let desired = if entry.start { Desired::Up } else { Desired::Hold };
        self.admit(entry, origin, desired, target, now)
    }

    /// Loads a job as it was when the daemon ended: with its intent.
    ///
    /// # Errors
    /// As [`Supervisor::load`].
    pub fn restore(
        &mut self,
        entry: JobEntry,
        desired: Desired,
        target: u32,
        now: Now,
    ) -> Result<(), Refusal> {
        self.admit(entry, Origin::Api, desired, target, now)
    }

    /// Has a job share what it has in common with the one that was loaded last: most that are loaded one after another
    /// have the same options, and are of one session.
    pub fn share(&self, entry: &mut JobEntry) {
        let last = self.order.last_key_value().and_then(|(_, id)| self.jobs.get(*id));
        if let Some(last) = last {
            entry.share(&last.name, &last.spec);
        }
    }

    fn admit(
        &mut self,
        mut entry: JobEntry,
        origin: Origin,
        desired: Desired,
        target: u32,
        now: Now,
    ) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        self.share(&mut entry);
        let JobEntry { name, spec, place, .. } = entry;
        if self.names.contains_key(&name) {
            return Err(Refusal::Exists);
        }
        self.check(&name, &spec, &Commit::default())?;
        if !spec.detach {
            self.end_once_detached(&name, now);
        }
        self.last_order += 1;
        let job = Job {
            loaded: true,
            order: self.last_order,
            source: place.into_job(),
            former: self.former.remove(&name).unwrap_or_default(),
            ..Job::new(name.clone(), spec, origin, desired, target)
        };
        let id = self.jobs.insert(job);
        self.order.insert(self.last_order, id);
        self.names.insert(name.clone(), id);
        self.changed.insert(name.clone());
        self.events.push(Event::Load(name));
        if desired == Desired::Up {
            self.tell_started(id);
        }
        self.converge(id, now);
        Ok(())
    }

    fn tell_started(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(id) {
            self.events.push(Event::Start(job.name.clone()));
        }
    }

    /// Takes a job away. Its name is free at once; a job loaded under it waits until the last
    /// process of this one has ended.
    ///
    /// # Errors
    /// No such job.
    pub fn unload(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        self.names.remove(name);
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        job.loaded = false;
        self.changed.insert(name.clone());
        job.rolling.clear();
        self.order.remove(&job.order);
        let all: Vec<InstanceId> = job.instances().collect();
        self.predecessors.entry(name.clone()).or_default().push(id);
        self.obituaries.push(Obituary::Forget(name.clone()));
        self.events.push(Event::Unload(name.clone()));
        self.events.push(Event::Stop(name.clone()));
        for instance in all {
            self.tell_stop(instance);
            self.send_away(instance, Why::Unload, now);
        }
        self.converge(id, now);
        Ok(())
    }

    /// Tells `stop_process` for an instance that is about to be stopped for the first time.
    fn tell_stop(&mut self, id: InstanceId) {
        let runs = |i: &Instance| matches!(i.state, State::Starting | State::Running);
        if self.instances.get(id).is_some_and(runs) {
            self.tell(id, Event::StopProcess);
        }
    }

    /// Wants a job up, with its configured number, and forgets its failures.
    ///
    /// # Errors
    /// No such job.
    pub fn start_job(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        job.desired = Desired::Up;
        job.target = job.spec.numprocesses;
        self.changed.insert(name.clone());
        self.forgive(id);
        self.tell_started(id);
        self.converge(id, now);
        Ok(())
    }

    /// Brings every instance without a process back to a fresh start, its failures forgotten.
    fn forgive(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        for kept in job.kept.iter().copied().collect::<Vec<_>>() {
            let Some(instance) = self.instances.get_mut(kept) else { continue };
            instance.history = History::default();
            match instance.state {
                State::Waiting(_)
                | State::Backoff { .. }
                | State::Exited { .. }
                | State::Failed { .. } => {
                    instance.state = State::Stopped;
                    self.clear_timers(kept);
                }
                State::Starting | State::Running | State::Stopping(_) | State::Stopped => {}
            }
        }
    }

    /// Wants a job down, one-offs too. Asked again while it stops, it kills at once.
    ///
    /// # Errors
    /// No such job.
    pub fn stop_job(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        let again = job.desired == Desired::Down;
        job.desired = Desired::Down;
        job.target = 0;
        self.changed.insert(name.clone());
        job.rolling.clear();
        self.events.push(Event::Stop(name.clone()));
        self.stop_all(id, Why::Stop, again, now);
        self.converge(id, now);
        Ok(())
    }

    /// Stops every instance; those that are stopping already go to the next step if `again`.
    pub(super) fn stop_all(&mut self, id: JobId, why: Why, again: bool, now: Now) {
        if again {
            self.hurry_predecessors(id, now);
        }
        let Some(job) = self.jobs.get(id) else { return };
        for instance in job.instances().collect::<Vec<_>>() {
            if again {
                self.hurry(instance, now);
            }
            self.tell_stop(instance);
            self.begin_stop(instance, why, now);
        }
    }

    /// Changes the target number and gives the new one. A stopped job stays stopped.
    ///
    /// # Errors
    /// No such job, or more than the limit.
    pub fn scale(&mut self, name: &JobName, scale: Scale, now: Now) -> Result<u32, Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        let wanted = match scale {
            Scale::By(by) => i64::from(job.target).saturating_add(by),
            Scale::To(to) => to,
        };
        let target = u32::try_from(wanted.max(0)).ok().filter(|n| *n <= limits::NUMPROCESSES);
        job.target = target.ok_or_else(|| {
            Refusal::Invalid(format!("at most {} processes a job", limits::NUMPROCESSES))
        })?;
        let target = job.target;
        self.changed.insert(name.clone());
        self.events.push(Event::Update(name.clone()));
        self.converge(id, now);
        Ok(target)
    }

    /// Replaces a job's specification: its processes stop and come back with the new one. The
    /// target number never shrinks by this. With `start` a stopped job is started.
    ///
    /// # Errors
    /// No such job, or no process of it could be ordered; nothing is changed then.
    pub fn update(&mut self, entry: JobEntry, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(&entry.name)?;
        self.check(&entry.name, &entry.spec, &Commit::default())?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        if job.desired != Desired::Down || entry.start {
            job.target = job.target.max(entry.spec.numprocesses);
        }
        let starts = entry.start && job.desired != Desired::Up;
        self.replace_spec(id, entry.spec, starts, now);
        Ok(())
    }

    /// Takes a changed file's word for a job: the new specification, but a number that was scaled
    /// and a stop that was asked for stay. Processes are replaced only if they are made of something
    /// that changed.
    ///
    /// # Errors
    /// As [`Supervisor::update`].
    pub fn reconfigure(&mut self, entry: JobEntry, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(&entry.name)?;
        self.check(&entry.name, &entry.spec, &Commit::default())?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        job.source = entry.place.job().to_owned();
        if job.desired != Desired::Down && job.target == job.spec.numprocesses {
            job.target = entry.spec.numprocesses;
        }
        let starts = entry.start && job.desired == Desired::Hold;
        if spec_keys::differ(&job.spec.config.map(), &entry.spec.config.map(), Change::Process) {
            self.replace_spec(id, entry.spec, starts, now);
        } else {
            self.amend_spec(id, entry.spec, starts, now);
        }
        Ok(())
    }

    /// As [`Supervisor::replace_spec`], with one that makes the same processes: those that run go on
    /// under it.
    fn amend_spec(&mut self, id: JobId, spec: Rc<JobSpec>, starts: bool, now: Now) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let judged =
            spec_keys::differ(&job.spec.config.map(), &spec.config.map(), Change::Judgement);
        job.spec = Rc::clone(&spec);
        let ours: Vec<InstanceId> = job.kept.iter().chain(job.committed.iter()).copied().collect();
        self.changed.insert(job.name.clone());
        self.events.push(Event::Update(job.name.clone()));
        if starts {
            job.desired = Desired::Up;
            self.tell_started(id);
        }
        for instance in ours {
            self.amend_run(instance, &spec);
            if judged {
                self.judge_anew(instance, &spec);
            }
        }
        self.converge(id, now);
    }

    /// Puts a run under the new word on how it is to be kept. One that ends already goes on as it does.
    fn amend_run(&mut self, id: InstanceId, spec: &Rc<JobSpec>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let starting = matches!(instance.state, State::Starting);
        if !starting && !matches!(instance.state, State::Running) {
            return;
        }
        let own = match &instance.role {
            Role::Committed(commit) => commit.graceful_timeout,
            Role::Kept | Role::Leaving { .. } | Role::Straggler { .. } => None,
        };
        let (number, once, job) = (instance.number, instance.is_once(), instance.job);
        let Some(run) = &mut instance.run else { return };
        let before = (run.spec.stop_signal, run.grace);
        let logs_change = run.spec.logs != spec.logs;
        let pid = run.pid;
        if logs_change {
            // What is wrong with where it goes now is told when it is found.
            run.unlogged.clear();
        }
        run.spec = Rc::clone(spec);
        run.grace = own.unwrap_or(spec.graceful_timeout);
        let (stop_signal, graceful_timeout) = (spec.stop_signal, run.grace);
        let os_pid = run.os_pid;
        let begun = run.started.mono;
        // One that waits for its start is told then.
        let tells = logs_change && !self.orders.contains_key(&pid);
        if let Some(job) = self.jobs.get(job).filter(|_| tells) {
            let logs = Box::new(spec.log_order(&job.name, (number, pid), once, &self.sinks));
            self.effect(Ask::Log { id, logs });
        }
        // Of one that is not there yet all this is said when it is.
        let Some(os_pid) = os_pid else { return };
        if starting {
            self.timers.set(Timer::Stable(id), begun + spec.rules.min_uptime);
        }
        if before != (stop_signal, graceful_timeout) {
            let amended = Record::Amended { os_pid, stop_signal, graceful_timeout };
            self.effect(Effect::Record(amended));
        }
    }

    /// Judges an instance by other rules: its failures are forgotten, and it is brought back to a fresh
    /// start unless it has ended as these rules, too, let it end for good.
    fn judge_anew(&mut self, id: InstanceId, spec: &JobSpec) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.history = History::default();
        let again = match instance.state {
            State::Backoff { .. } | State::Failed { .. } => true,
            State::Exited { success } => spec.rules.policy.wants(success),
            State::Waiting(_)
            | State::Starting
            | State::Running
            | State::Stopping(_)
            | State::Stopped => false,
        };
        if again {
            instance.state = State::Stopped;
            self.clear_timers(id);
        }
    }

    /// Puts a new specification in the place of the old, and wants the job up if this `starts` it.
    fn replace_spec(&mut self, id: JobId, spec: Rc<JobSpec>, starts: bool, now: Now) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.spec = spec;
        job.rolling.clear();
        self.changed.insert(job.name.clone());
        self.events.push(Event::Update(job.name.clone()));
        if starts {
            job.desired = Desired::Up;
            self.tell_started(id);
        }
        self.forgive(id);
        self.stop_all(id, Why::Reload, false, now);
        self.converge(id, now);
    }

    /// Replaces every process at once: new ones are started while the old ones stop. A stopped job
    /// stays stopped.
    ///
    /// # Errors
    /// No such job.
    pub fn reload(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get_mut(id) else { return Err(Refusal::NotFound) };
        if job.desired == Desired::Up {
            job.target = job.spec.numprocesses;
            self.changed.insert(name.clone());
        }
        job.rolling.clear();
        let up = job.desired == Desired::Up;
        let kept: Vec<InstanceId> = job.kept.iter().copied().collect();
        let committed: Vec<InstanceId> = job.committed.iter().copied().collect();
        self.forgive(id);
        for old in kept {
            // What a stopped job still has is on its way out, and stays in its place until then.
            if up && self.instances.get(old).is_some_and(Instance::is_live) {
                self.replace(id, old, now);
            }
        }
        for once in committed {
            self.tell_stop(once);
            self.begin_stop(once, Why::Reload, now);
        }
        self.converge(id, now);
        Ok(())
    }

    /// Puts a fresh instance in an old one's place, with its memory, and sends the old one away.
    fn replace(&mut self, job: JobId, old: InstanceId, now: Now) {
        let Some(leaving) = self.instances.get_mut(old) else { return };
        let number = leaving.number;
        let deaths = std::mem::take(&mut leaving.deaths);
        let restarts = leaving.restarts;
        self.tell_stop(old);
        self.send_away(old, Why::Reload, now);
        let fresh = self.new_kept(job, number);
        if let Some(instance) = self.instances.get_mut(fresh) {
            instance.deaths = deaths;
            instance.restarts = restarts;
        }
    }

    /// Restarts a job one instance after the other: the next only when the one before runs again.
    /// Instances without a process are started at once.
    ///
    /// # Errors
    /// No such job, or it is not up.
    pub fn restart_job(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get(id) else { return Err(Refusal::NotFound) };
        if job.desired != Desired::Up {
            return Err(Refusal::NotStarted);
        }
        let runs = |id: &InstanceId| self.instances.get(*id).is_some_and(|i| i.run.is_some());
        let mut rolling: Vec<InstanceId> = job.kept.iter().copied().filter(runs).collect();
        // What is not up goes first, so that never two are down by our doing; then the oldest.
        sorting::sort_by_key(&mut rolling, |id| {
            let instance = self.instances.get(*id)?;
            let up = matches!(instance.state, State::Running);
            Some((up, instance.run.as_ref().map(|run| run.pid)))
        });
        if let Some(job) = self.jobs.get_mut(id) {
            job.rolling = rolling.into();
        }
        self.forgive(id);
        self.converge(id, now);
        self.roll(id, now);
        Ok(())
    }

    /// Starts one process more, which is not kept alive and not counted.
    ///
    /// # Errors
    /// No such job, or it could not be ordered.
    pub fn commit(&mut self, name: &JobName, commit: Commit, now: Now) -> Result<Pid, Refusal> {
        self.refuse_when_ending()?;
        let id = self.job_id(name)?;
        let Some(job) = self.jobs.get(id) else { return Err(Refusal::NotFound) };
        self.check(name, &job.spec, &commit)?;
        let number = job.committed.free(&SortedSet::new(), 1).first().copied().unwrap_or(u32::MAX);
        let instance = self.instances.insert(Instance::new(id, number, Role::Committed(commit)));
        if let Some(job) = self.jobs.get_mut(id) {
            job.committed.put(number, instance);
        }
        // A one-off waits for nothing, so the next number is its own.
        let pid = Pid(self.last_pid + 1);
        self.spawn(instance, now);
        Ok(pid)
    }

    /// Stops one process. A kept one is replaced when it has ended. Asked again, it kills at once.
    ///
    /// # Errors
    /// No such live process.
    pub fn stop_process(&mut self, pid: Pid, now: Now) -> Result<(), Refusal> {
        let id = self.live_instance(pid)?;
        let asked = |i: &Instance| i.stopping().is_some_and(|s| s.step != Step::Nothing);
        if self.instances.get(id).is_some_and(asked) {
            self.hurry(id, now);
            return Ok(());
        }
        self.tell_stop(id);
        self.begin_stop(id, Why::StopProcess, now);
        Ok(())
    }

    /// Stops every process of a job; kept ones are replaced when they have ended.
    ///
    /// # Errors
    /// No such job.
    pub fn stop_processes(&mut self, name: &JobName, now: Now) -> Result<(), Refusal> {
        let job = self.job(self.job_id(name)?).ok_or(Refusal::NotFound)?;
        for instance in job.instances().collect::<Vec<_>>() {
            // Whose process ended by itself waits out its delay: there is nothing to stop.
            if self.instances.get(instance).is_some_and(|i| i.run.is_some()) {
                self.tell_stop(instance);
                self.begin_stop(instance, Why::StopProcess, now);
            }
        }
        Ok(())
    }

    /// Sends a signal to one process, and to it alone: not to its group.
    ///
    /// # Errors
    /// No such live process.
    pub fn kill(&mut self, pid: Pid, signal: Signal) -> Result<(), Refusal> {
        let id = self.live_instance(pid)?;
        self.signal_leader(id, signal);
        Ok(())
    }

    /// Sends a signal to every process of a job, one-offs included, then tops the job up.
    ///
    /// # Errors
    /// No such job.
    pub fn kill_job(&mut self, name: &JobName, signal: Signal, now: Now) -> Result<(), Refusal> {
        let id = self.job_id(name)?;
        self.events.push(Event::KillJob(name.clone(), signal));
        let Some(job) = self.jobs.get(id) else { return Err(Refusal::NotFound) };
        for instance in job.instances().collect::<Vec<_>>() {
            if let Some(pid) = self.live_pid(instance) {
                self.kill(pid, signal)?;
            }
        }
        self.converge(id, now);
        Ok(())
    }

    /// The number of an instance's live run.
    pub fn live_pid(&self, id: InstanceId) -> Option<Pid> {
        let instance = self.instances.get(id).filter(|instance| instance.is_live())?;
        instance.run.as_ref().filter(|_| !instance.is_straggler()).map(|run| run.pid)
    }

    /// The instance of a live process.
    ///
    /// # Errors
    /// No such live process.
    pub fn live_instance(&self, pid: Pid) -> Result<InstanceId, Refusal> {
        let id = self.instance_id(pid)?;
        self.live_pid(id).map(|_| id).ok_or(Refusal::NotFound)
    }
}

impl Commit {
    /// A one-off with these variables and this grace period; one of 0 is the job's own.
    pub fn new(env: SortedMap<String, String>, graceful_timeout: Option<Duration>) -> Self {
        Self { env, graceful_timeout: graceful_timeout.filter(|grace| !grace.is_zero()) }
    }
}
