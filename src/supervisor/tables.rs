//! The supervisor's tables and what every other file of this floor does with them: find, note an
//! effect, tell an event. Verbs are in `verbs`, the kernel's facts in `facts`, decisions in
//! `converge` and `ending`.

use std::fmt;
use std::ops::Bound;
use std::rc::Rc;
use std::time::Instant;

use super::death::Death;
use super::effect::{Effect, Running, Start};
use super::event::{Event, Subject};
use super::former::Obituary;
use super::instance::Instance;
use super::job::Job;
use super::name::JobName;
use super::order::{Host, Seat};
use super::phases::Steps;
use super::restart_queue::RestartQueue;
use super::shutdown::Pace;
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, JobId, OsPid, Pid};
use crate::base::limits;
use crate::base::order::Identity;
use crate::base::random::Random;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;
use crate::logs::sink::Sink;

/// All jobs and instances of a node, and what is decided about them.
pub struct Supervisor {
    pub(super) jobs: Arena<JobId, Job>,
    pub(super) instances: Arena<InstanceId, Instance>,
    /// Loaded jobs by name.
    pub(super) names: SortedMap<JobName, JobId>,
    /// Loaded jobs in the order of loading.
    pub(super) order: SortedMap<u64, JobId>,
    /// Unloaded jobs whose processes have not all ended, by their former name.
    pub(super) predecessors: SortedMap<JobName, Vec<JobId>>,
    /// Runs by their number, those of stragglers too.
    pub(super) pids: SortedMap<Pid, InstanceId>,
    /// Processes to start that the shell has not taken yet, in the order in which they were asked for.
    pub(super) orders: SortedMap<Pid, Ordered>,
    pub(super) timers: Timers<Timer>,
    pub(super) rate: RestartRate,
    /// Instances in `Waiting(RestartRate)`, in the order in which they came.
    pub(super) restart_queue: RestartQueue,
    /// Detached processes of an earlier daemon that no job has claimed yet.
    pub(super) detached: SortedMap<(JobName, u32), Running>,
    pub(super) host: Host,
    pub(super) random: Random,
    pub(super) last_pid: u64,
    pub(super) last_order: u64,
    pub(super) shutdown: Option<Pace>,
    pub(super) effects: Vec<Effect>,
    pub(super) events: Vec<Event>,
    pub(super) steps: Steps,
    pub(super) ended: Vec<Ended>,
    pub(super) gone: Vec<InstanceId>,
    /// Jobs of which the specification or the intent may have changed, or which are gone.
    pub(super) changed: SortedSet<JobName>,
    /// Deaths of jobs of an earlier daemon that are not loaded again, or not yet.
    pub(super) former: SortedMap<JobName, Vec<Death>>,
    /// Where the streams go of the process that was ordered last: others that have the same share it.
    pub(super) sinks: Rc<[Sink]>,
    /// For whoever writes down who died.
    pub(super) obituaries: Vec<Obituary>,
}

/// Whose timer it is. A timer is set where its state is entered and cancelled where it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// `Starting` becomes `Running`. Set when the process is there.
    Stable(InstanceId),
    /// `Backoff` is over.
    Backoff(InstanceId),
    /// `Stopping`: the next step.
    Grace(InstanceId),
    /// `Stopping`, leader gone: look at its group again.
    Linger(InstanceId),
    /// `Stopping`, group gone: stop waiting for the streams.
    Drain(InstanceId),
    /// The next restart of the queue may go.
    RestartRate,
}

/// A run that is over, for whoever keeps something of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The instance.
    pub id: InstanceId,
    /// Its job.
    pub job: JobId,
    /// Its place there.
    pub number: u32,
    /// The run.
    pub pid: Pid,
    /// Which of the events that are not taken yet tells of it.
    pub(super) event: Option<usize>,
}

/// Why a verb was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such job, session or process.
    NotFound,
    /// A job of this name is loaded.
    Exists,
    /// What was asked for cannot be; the text says why.
    Invalid(String),
    /// The job would have to be started for this.
    NotStarted,
    /// The daemon is ending.
    ShuttingDown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such job or process"),
            Self::Exists => f.write_str("a job of this name is loaded already"),
            Self::Invalid(reason) => f.write_str(reason),
            Self::NotStarted => f.write_str("the job is not started; start it first"),
            Self::ShuttingDown => f.write_str("the daemon is shutting down"),
        }
    }
}

/// A process to start. All that it is started with is put together when the shell takes it: of a thousand that wait,
/// that would be a megabyte.
pub(super) struct Ordered {
    /// For which instance.
    pub(super) id: InstanceId,
    /// Whom it is to be, as it was found when its run began.
    pub(super) identity: Option<Identity>,
}

/// A token bucket over all unplanned restarts.
pub struct RestartRate {
    tokens: f64,
    filled: Option<Instant>,
}

impl Default for RestartRate {
    fn default() -> Self {
        Self { tokens: f64::from(limits::RESTART_BURST), filled: None }
    }
}

impl RestartRate {
    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let rate = f64::from(limits::RESTARTS_PER_SECOND);
        if let Some(filled) = self.filled {
            let gained = now.duration_since(filled).as_secs_f64() * rate;
            self.tokens = (self.tokens + gained).min(f64::from(limits::RESTART_BURST));
        }
        self.filled = Some(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A millisecond more than needed, so that rounding cannot wake us a hair too early.
        let wait = (1.0 - self.tokens) / rate + 0.001;
        Err(now + std::time::Duration::from_secs_f64(wait))
    }
}

impl Supervisor {
    /// A supervisor without jobs. The seed makes its jitter reproducible.
    pub fn new(host: Host, seed: u64) -> Self {
        Self {
            jobs: Arena::default(),
            instances: Arena::default(),
            names: SortedMap::new(),
            order: SortedMap::new(),
            predecessors: SortedMap::new(),
            pids: SortedMap::new(),
            orders: SortedMap::new(),
            timers: Timers::default(),
            rate: RestartRate::default(),
            restart_queue: RestartQueue::default(),
            detached: SortedMap::new(),
            host,
            random: Random::seeded(seed),
            last_pid: 0,
            last_order: 0,
            shutdown: None,
            effects: Vec::new(),
            events: Vec::new(),
            steps: Steps::default(),
            ended: Vec::new(),
            gone: Vec::new(),
            changed: SortedSet::new(),
            former: SortedMap::new(),
            sinks: Rc::default(),
            obituaries: Vec::new(),
        }
    }

    /// What the shell has to do, in order. Taken once a turn.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The next process to start. What is stopped before it is taken is never started. There is none
    /// while the kernel has something else to do first: it must not meet a run that is still to be
    /// released.
    pub fn next_start(&mut self) -> Option<Start> {
        if self.effects.iter().any(|effect| matches!(effect, Effect::Kernel(_))) {
            return None;
        }
        loop {
            let (pid, Ordered { id, identity }) = self.orders.pop_first()?;
            if let Some(start) = self.start_of(id, pid, identity) {
                self.sinks = Rc::clone(&start.logs.sinks);
                return Some(start);
            }
        }
    }

    /// What the shell has to know to start the run of an instance.
    fn start_of(&self, id: InstanceId, pid: Pid, identity: Option<Identity>) -> Option<Start> {
        let instance = self.instances.get(id)?;
        let (run, job) = (instance.run.as_ref()?, self.jobs.get(instance.job)?);
        let (name, number) = (&job.name, instance.number);
        let seat = Seat { name, number, pid, extra: &run.extra };
        let order = self.host.order_as(&run.spec, seat, identity);
        let order = order.expect("it was made when the run began, of the same");
        let logs = run.spec.log_order(name, (number, pid), instance.is_once(), &self.sinks);
        Some(Start { id, order: Box::new(order), logs: Box::new(logs) })
    }

    /// Whether there are processes to start.
    pub fn has_starts(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Notes what the shell has to do.
    pub(super) fn effect(&mut self, effect: impl Into<Effect>) {
        self.effects.push(effect.into());
    }

    /// What clients are to be told.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Which runs are over.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// Which instances are no more, with or without a run.
    pub fn take_gone(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.gone)
    }

    /// Takes an instance out of the table, for good.
    pub(super) fn remove_instance(&mut self, id: InstanceId) -> Option<Instance> {
        let instance = self.instances.remove(id)?;
        self.gone.push(id);
        Some(instance)
    }

    /// Which jobs have, or may have, another specification or intent, or none any more.
    pub fn take_changed(&mut self) -> SortedSet<JobName> {
        std::mem::take(&mut self.changed)
    }

    /// When [`Supervisor::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The loaded job of this name.
    pub fn job_id(&self, name: &JobName) -> Result<JobId, Refusal> {
        self.names.get(name).copied().ok_or(Refusal::NotFound)
    }

    /// The instance whose run has this number, until its exit is told. Stragglers are no processes
    /// of the API.
    pub fn instance_id(&self, pid: Pid) -> Result<InstanceId, Refusal> {
        let ours = |id: &InstanceId| self.instances.get(*id).is_some_and(|i| !i.is_straggler());
        self.pids.get(&pid).copied().filter(ours).ok_or(Refusal::NotFound)
    }

    /// A job, loaded or not.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// An instance.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// The names of all loaded jobs in the order of loading.
    pub fn job_names(&self) -> impl Iterator<Item = &JobName> {
        self.order.values().filter_map(|id| self.jobs.get(*id)).map(|job| &job.name)
    }

    /// All jobs in the order of their names, or those behind one of them, whether that is there or not.
    pub fn jobs_after(&self, name: Option<&JobName>) -> impl Iterator<Item = &Job> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range((from, Bound::Unbounded)).filter_map(|(_, id)| self.jobs.get(*id))
    }

    /// Whether a job of this session is loaded.
    pub fn has_session(&self, session: &str) -> bool {
        let next = self.names.range(JobName::first_of(session)..).next();
        next.is_some_and(|(name, _)| name.session() == session)
    }

    /// The numbers of all live runs.
    pub fn live_pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.pids.values().filter_map(|id| self.live_pid(*id))
    }

    /// Gives a death its last words: it is with its instance, with the one that replaced it, or with
    /// the job.
    pub fn attach_last_words(&mut self, ended: Ended, lines: Vec<String>) {
        if let Some(Event::Exit { subject, told, .. }) =
            ended.event.and_then(|at| self.events.get_mut(at))
        {
            if subject.pid == ended.pid {
                told.last_lines.clone_from(&lines);
            }
        }
        let Some(job) = self.jobs.get_mut(ended.job) else { return };
        let replacement = job.kept.at(ended.number).filter(|id| *id != ended.id);
        let instances = [Some(ended.id), replacement].into_iter().flatten();
        let mut lines = Some(lines);
        for id in instances {
            let Some(instance) = self.instances.get_mut(id) else { continue };
            if let Some(death) = instance.deaths.attach(ended.pid, &mut lines) {
                let told = || Obituary::Death(job.name.clone(), Box::new(death.clone()));
                self.obituaries.extend(job.loaded.then(told));
                return;
            }
        }
        if let Some(death) = job.departed.attach(ended.pid, &mut lines) {
            let told = || Obituary::Death(job.name.clone(), Box::new(death.clone()));
            self.obituaries.extend(job.loaded.then(told));
        }
    }

    /// Refuses a change while the daemon ends.
    pub(super) fn refuse_when_ending(&self) -> Result<(), Refusal> {
        match self.shutdown {
            Some(_) => Err(Refusal::ShuttingDown),
            None => Ok(()),
        }
    }

    /// What events say of an instance's run; `None` when it has none.
    pub(super) fn subject(&self, id: InstanceId) -> Option<Subject> {
        let instance = self.instances.get(id)?;
        let run = instance.run.as_ref()?;
        let name = self.jobs.get(instance.job)?.name.clone();
        Some(Subject {
            name,
            number: instance.number,
            pid: run.pid,
            os_pid: run.os_pid,
            once: instance.is_once(),
        })
    }

    /// Tells an event about an instance's run. Stragglers are no processes of the API, and one that is
    /// ordered and not there yet is none either.
    pub(super) fn tell(&mut self, id: InstanceId, event: impl FnOnce(Subject) -> Event) {
        if self.instances.get(id).is_some_and(Instance::is_straggler) {
            return;
        }
        if let Some(subject) = self.subject(id).filter(|subject| subject.os_pid.is_some()) {
            self.events.push(event(subject));
        }
    }

    /// The process of an instance, for the shell.
    pub fn os_pid(&self, id: InstanceId) -> Option<OsPid> {
        self.instances.get(id)?.run.as_ref()?.os_pid
    }

    /// Calls what is due.
    pub fn on_time(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Stable(id) => self.became_stable(id, now),
                Timer::Backoff(id) => self.restart(id, now),
                Timer::Grace(id) => self.kill_tree(id, now),
                Timer::Linger(id) => self.look_again(id, now),
                Timer::Drain(id) => self.finish(id, now),
                Timer::RestartRate => self.admit_restarts(now),
            }
        }
    }
}
