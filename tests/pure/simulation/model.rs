//! What the supervisor promises, checked from outside: from its effects, its events, the kernel's
//! truth and what the operator asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gaffer::base::clock::Now;
use gaffer::base::ids::{InstanceId, JobId, OsPid, Pid};
use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::supervisor::death::{Cause, Death};
use gaffer::supervisor::effect::{Ask, Record, Whom};
use gaffer::supervisor::instance::{Blocker, Instance, Role, State};
use gaffer::supervisor::job::Desired;
use gaffer::supervisor::{Effect, Event, JobName, Supervisor};

use super::kernel::FakeKernel;

/// How much later than its grace period a run may end: a fake child's longest uninterruptible
/// sleep, a last look at its group and the drain.
const SLACK: Duration = Duration::from_secs(9);

/// One restart of the allowance, which gains so much a second for each that the rate allows.
const ONE: u64 = 1_000_000_000;

/// A run from the effect that begins it to its release.
struct Book {
    name: JobName,
    job: JobId,
    number: u32,
    grace: Duration,
    kept: bool,
    /// Nothing waits for it: a descendant that escaped.
    stray: bool,
    /// A reload may start its replacement beside it.
    replaceable: bool,
    asked: Option<Instant>,
}

/// What is known of a process number from its events.
#[derive(Default)]
struct Told {
    spawned: bool,
    exited: bool,
}

/// The checks and what they remember.
pub(crate) struct Model {
    books: BTreeMap<InstanceId, Book>,
    told: BTreeMap<Pid, Told>,
    recorded: BTreeSet<OsPid>,
    /// The newest run of each instance.
    newest: BTreeMap<InstanceId, Pid>,
    restarts: BTreeMap<InstanceId, u64>,
    /// The restart rate's own count: how many may happen now, in [`ONE`]s.
    allowance: (u64, Option<Instant>),
    reloaded: BTreeSet<JobName>,
    /// Whether a shutdown lets detached processes go.
    pub(crate) ending: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            books: BTreeMap::new(),
            told: BTreeMap::new(),
            recorded: BTreeSet::new(),
            newest: BTreeMap::new(),
            restarts: BTreeMap::new(),
            allowance: (u64::from(limits::RESTART_BURST) * ONE, None),
            reloaded: BTreeSet::new(),
            ending: false,
        }
    }

    /// The operator is about to reload this job: from now on its runs may be overlapped.
    pub(crate) fn reloading(&mut self, name: &JobName) {
        for book in self.books.values_mut().filter(|book| book.name == *name) {
            book.replaceable = true;
        }
        // What this turn has ordered and not yet performed may be overlapped as well.
        self.reloaded.insert(name.clone());
    }

    /// Looks at an effect before it is performed.
    pub(crate) fn before(&mut self, effect: &Effect, supervisor: &Supervisor, now: Now) {
        match effect {
            Effect::Kernel(Ask::Adopt { id, .. }) => self.begins(*id, supervisor, now),
            // CONT goes along with a stop signal and asks for nothing.
            Effect::Kernel(Ask::Signal { signal: Signal::CONT, .. }) => {}
            Effect::Kernel(Ask::Signal { id, whom: Whom::Group, .. }) => {
                if let Some(book) = self.books.get_mut(id) {
                    book.asked.get_or_insert(now.mono);
                }
            }
            Effect::Kernel(Ask::Signal { whom: Whom::Leader, .. })
            | Effect::Kernel(Ask::Log { .. } | Ask::Survey(_)) => {}
            Effect::Kernel(Ask::Release(id)) => {
                assert!(self.books.remove(id).is_some(), "{id:?} is released without a run");
            }
            Effect::Record(Record::Started(running)) => {
                assert!(self.recorded.insert(running.os_pid), "{} started twice", running.os_pid);
            }
            Effect::Record(Record::Amended { os_pid, .. }) => {
                assert!(self.recorded.contains(os_pid), "{os_pid} is on no record");
            }
            Effect::Record(Record::Ended(os_pid)) => {
                assert!(self.recorded.remove(os_pid), "{os_pid} ended, but never started");
            }
        }
    }

    /// A run is about to begin.
    pub(crate) fn begins(&mut self, id: InstanceId, supervisor: &Supervisor, now: Now) {
        let instance = supervisor.instance(id).expect("an instance with a new run");
        let book = self.open(supervisor, instance);
        self.newest.extend(instance.run.as_ref().map(|run| (id, run.pid)));
        self.count_restart(id, instance, now);
        let before = self.books.insert(id, book);
        assert!(before.is_none(), "{id:?} has two runs at once");
    }

    fn open(&self, supervisor: &Supervisor, instance: &Instance) -> Book {
        let job = supervisor.job(instance.job).expect("an instance has a job");
        let (kept, stray) = match instance.role {
            Role::Kept | Role::Leaving { once: false } => (true, false),
            Role::Committed(_) | Role::Leaving { once: true } => (false, false),
            Role::Straggler { blocks, .. } => (false, !blocks),
        };
        Book {
            name: job.name.clone(),
            job: instance.job,
            number: instance.number,
            grace: instance.run.as_ref().map_or(Duration::ZERO, |run| run.grace),
            kept,
            stray,
            replaceable: self.reloaded.contains(&job.name),
            asked: None,
        }
    }

    /// Nothing else lives in a place that is to be filled, and nothing of the name's former life.
    pub(crate) fn places(&self, id: InstanceId, supervisor: &Supervisor, kernel: &FakeKernel) {
        let instance = supervisor.instance(id).expect("an instance with a new run");
        let new = self.open(supervisor, instance);
        if !new.kept {
            return;
        }
        for (id, other) in &self.books {
            if other.name != new.name || other.stray || !kernel.lives(*id) {
                continue;
            }
            let place = format!("{}.{}", new.name, new.number);
            assert_eq!(other.job, new.job, "{place} starts while its predecessor lives ({id:?})");
            let doubled = other.kept && other.number == new.number && !other.replaceable;
            assert!(!doubled, "{place} starts while it lives already ({id:?})");
        }
    }

    /// Unplanned restarts pass a token bucket.
    fn count_restart(&mut self, id: InstanceId, instance: &Instance, now: Now) {
        let before = self.restarts.insert(id, instance.restarts);
        // Restarts that came to nothing for want of an order spawn nothing to count.
        let unordered = |death: &Death| matches!(death.cause, Cause::Order(_));
        if before.is_none_or(|before| before == instance.restarts)
            || instance.deaths.last().is_some_and(unordered)
        {
            return;
        }
        let (mut left, filled) = self.allowance;
        if let Some(filled) = filled {
            let ns = u64::try_from((now.mono - filled).as_nanos()).expect("short");
            left += ns * u64::from(limits::RESTARTS_PER_SECOND);
        }
        left = left.min(u64::from(limits::RESTART_BURST) * ONE);
        assert!(left >= ONE - ONE / 1000, "more restarts than the rate allows");
        self.allowance = (left.saturating_sub(ONE), Some(now.mono));
    }

    /// Looks at what clients are told.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Spawn(subject) => {
                let told = self.told.entry(subject.pid).or_default();
                assert!(!told.spawned && !told.exited, "{} is spawned again", subject.pid);
                told.spawned = true;
            }
            Event::Exit { subject, .. } => {
                let told = self.told.entry(subject.pid).or_default();
                assert!(!told.exited, "{} exits twice", subject.pid);
                told.exited = true;
                assert_eq!(told.spawned, subject.os_pid.is_some(), "{}: no spawn", subject.pid);
            }
            Event::Reap(subject) | Event::StopProcess(subject) | Event::Kill(subject, _) => {
                let over = self.told.get(&subject.pid).is_some_and(|told| told.exited);
                assert!(!over, "an event about {} after its exit", subject.pid);
            }
            Event::Load(_)
            | Event::Unload(_)
            | Event::Start(_)
            | Event::Stop(_)
            | Event::Update(_)
            | Event::Flap(_)
            | Event::Failed { .. }
            | Event::LogFailed { .. }
            | Event::LogRecovered { .. }
            | Event::KillJob(..) => {}
        }
    }

    /// Looks at everything once a turn is over.
    pub(crate) fn after(&mut self, supervisor: &Supervisor, kernel: &FakeKernel, now: Now) {
        self.reloaded.clear();
        self.jobs(supervisor);
        for (id, book) in &self.books {
            let place = format!("{}.{} ({id:?})", book.name, book.number);
            let instance = supervisor.instance(*id).expect("a run belongs to an instance");
            if !book.stray && book.kept {
                assert_eq!(instance.is_live(), kernel.leads(*id), "{place}: live or not");
            }
            let job = supervisor.job(instance.job).expect("an instance has a job");
            let kept_down = matches!(instance.role, Role::Kept) && job.desired != Desired::Up;
            let leaving = matches!(instance.role, Role::Leaving { .. });
            let unwanted = !job.loaded || kept_down || leaving || self.ending;
            if kernel.lives(*id) && unwanted {
                assert!(book.asked.is_some(), "{place} is unwanted, but nobody asked it to go");
            }
            if let Some(asked) = book.asked.filter(|_| kernel.lives(*id)) {
                let late = now.mono > asked + book.grace + SLACK;
                assert!(!late, "{place} was asked to go and is still there");
            }
        }
    }

    /// Looks at the instances of all loaded jobs.
    fn jobs(&self, supervisor: &Supervisor) {
        for name in supervisor.job_names() {
            let id = supervisor.job_id(name).expect("a loaded job's name");
            let job = supervisor.job(id).expect("a loaded job");
            for id in job.kept.iter() {
                let instance = supervisor.instance(*id).expect("a kept instance");
                let place = format!("{name}.{}", instance.number);
                exit_rule_holds(instance, self.newest.get(id), &place);
                if job.desired != Desired::Up {
                    let down = matches!(instance.state, State::Stopped | State::Stopping(_));
                    assert!(down, "{place} is {}, but its job is down", instance.word());
                }
            }
        }
    }

    /// Nothing is left and nothing is owed, but for what a shutdown let go.
    pub(crate) fn everything_is_over(&self, let_go: usize) {
        assert!(self.books.is_empty(), "{} runs were never released", self.books.len());
        let open = self.told.values().filter(|told| told.spawned && !told.exited).count();
        assert_eq!(open, let_go, "processes without an exit event, and let go");
        assert_eq!(self.on_record(), let_go, "processes on record, and let go");
    }

    /// Processes on record as running.
    pub(crate) fn on_record(&self) -> usize {
        self.recorded.len()
    }
}

/// Only an unplanned exit leads to backoff, flapping or an end, and flapping gives up in time.
fn exit_rule_holds(instance: &Instance, newest: Option<&Pid>, place: &str) {
    let by_itself = match instance.state {
        State::Waiting(Blocker::RestartRate)
        | State::Backoff { .. }
        | State::Exited { .. }
        | State::Failed { .. } => true,
        State::Waiting(Blocker::Predecessor)
        | State::Starting
        | State::Running
        | State::Stopping(_)
        | State::Stopped => false,
    };
    if by_itself {
        let mine = |death: &&Death| newest.is_none_or(|pid| *pid <= death.pid);
        let last = instance.deaths.iter().filter(mine).max_by_key(|death| death.pid);
        let planned = last.is_none_or(|death| death.why.is_planned());
        assert!(!planned, "{place} is {} after a planned exit", instance.word());
    }
    assert!(
        instance.history.episodes() <= MOST_EPISODES,
        "{place} flaps for the {}. time",
        instance.history.episodes()
    );
}

/// The operator's jobs have a `max_retry` of at most 2, which the next episode passes.
const MOST_EPISODES: u32 = 3;
