//! The supervisor, the fake kernel and the model in one virtual time. A turn here is the reactor's:
//! verbs and facts, then what is due, then effects until there are none; then the checks.

use std::cell::Cell;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::{InstanceId, Pid};
use gaffer::base::order::{Account, Identity, Unfit};
use gaffer::base::random::Random;
use gaffer::supervisor::effect::Ask;
use gaffer::supervisor::job::Origin;
use gaffer::supervisor::order::{Accounts, Host};
use gaffer::supervisor::spec::{JobEntry, Place};
use gaffer::supervisor::{spec_read, Effect, Event, JobName, Supervisor};
use serde_json::Value;

use super::kernel::{Fact, FakeKernel};
use super::model::Model;

/// Everything there is.
pub(crate) struct World {
    pub(crate) supervisor: Supervisor,
    pub(crate) kernel: FakeKernel,
    pub(crate) model: Model,
    pub(crate) now: Now,
    /// What clients were told since somebody took it.
    pub(crate) events: Vec<Event>,
    /// While set, every account that a job names is unknown.
    pub(crate) accounts_are_down: Rc<Cell<bool>>,
    /// Every so many turns everything is checked.
    pub(crate) check_every: u64,
    /// Set where a turn does not always start all that is to be started.
    pub(crate) stingy: Option<Random>,
    /// Processes that a turn may start.
    pub(crate) start_share: usize,
    starts_left: usize,
    /// Whether places and the digest are looked at with every effect.
    pub(crate) thorough: bool,
    start: Instant,
    digest: Digest,
    trace: bool,
    turns: u64,
}

/// A system whose tables can be taken away.
struct FakeAccounts(Rc<Cell<bool>>);

impl Accounts for FakeAccounts {
    fn resolve(&self, account: &Account<'_>) -> Result<Option<Identity>, Unfit> {
        match account.uid {
            Some(_) if self.0.get() => {
                Err(Unfit { key: "uid", why: "the user table cannot be read".into() })
            }
            Some(_) => Ok(Some(Identity { uid: 7, gid: 7, groups: Vec::new() })),
            None => Ok(None),
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let accounts_are_down = Rc::new(Cell::new(false));
        let accounts = Rc::new(FakeAccounts(Rc::clone(&accounts_are_down)));
        let host = Host { environ: Rc::default(), accounts, node: "n".into() };
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from one instant")]
        let start = Instant::now();
        Self {
            supervisor: Supervisor::new(host, seed),
            kernel: FakeKernel::new(seed ^ 0x5EED),
            model: Model::new(),
            now: Now { mono: start, wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000) },
            events: Vec::new(),
            accounts_are_down,
            check_every: 1,
            stingy: None,
            start_share: usize::MAX,
            starts_left: usize::MAX,
            thorough: true,
            start,
            digest: Digest(0xCBF2_9CE4_8422_2325),
            trace: std::env::var_os("GAFFER_TRACE").is_some(),
            turns: 0,
        }
    }

    /// A number that two runs share only if they did the same at the same times.
    pub(crate) fn digest(&self) -> u64 {
        self.digest.0
    }

    /// When something happens by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let at_once = self.supervisor.has_starts().then_some(self.now.mono);
        let all = [self.supervisor.deadline(), self.kernel.deadline(), at_once];
        all.into_iter().flatten().min()
    }

    /// Goes to the next thing that happens by itself, but not beyond `limit`. False if there is
    /// nothing before that.
    pub(crate) fn advance(&mut self, limit: Instant) -> bool {
        let next = self.deadline().filter(|at| *at <= limit);
        self.now = self.now.plus(next.unwrap_or(limit).saturating_duration_since(self.now.mono));
        self.turn();
        next.is_some()
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let limit = self.now.mono + time;
        self.turn();
        while self.advance(limit) {}
    }

    /// One turn of the reactor, now.
    pub(crate) fn turn(&mut self) {
        // Now and then a turn has time for few new processes, or for none.
        let drawn = self.stingy.as_mut().map(|random| (random.below(3), random.below(3)));
        self.starts_left = match drawn {
            Some((0, few)) => usize::try_from(few).expect("few"),
            Some(_) | None => self.start_share,
        };
        // What was asked for before this turn's facts meets the kernel of before them.
        self.perform_all();
        for fact in self.kernel.on_time(self.now) {
            self.tell(fact);
        }
        self.supervisor.on_time(self.now);
        self.perform_all();
        for ended in self.supervisor.take_ended() {
            self.supervisor.attach_last_words(ended, vec![format!("the words of {}", ended.pid)]);
        }
        for id in self.supervisor.take_gone() {
            assert!(self.supervisor.instance(id).is_none(), "{id:?} is gone and there");
        }
        let events = self.supervisor.take_events();
        for event in &events {
            self.note(format_args!("event {event:?}"));
            self.model.event(event);
        }
        if self.thorough {
            self.events.extend(events);
        }
        self.turns += 1;
        if self.turns % self.check_every == 0 {
            self.supervisor.sweep().expect("the supervisor's invariants hold");
            self.model.after(&self.supervisor, &self.kernel, self.now);
        }
    }

    fn perform_all(&mut self) {
        for round in 0.. {
            assert!(round < 100, "a turn does not end");
            let effects = self.supervisor.take_effects();
            if effects.is_empty() && (self.starts_left == 0 || !self.supervisor.has_starts()) {
                return;
            }
            self.perform(&effects);
            self.start_processes();
        }
    }

    fn start_processes(&mut self) {
        while self.starts_left > 0 {
            let Some(start) = self.supervisor.next_start() else { return };
            self.starts_left -= 1;
            self.note(format_args!("start {start:?}"));
            if self.thorough {
                self.model.places(start.id, &self.supervisor, &self.kernel);
            }
            self.model.begins(start.id, &self.supervisor, self.now);
            let fact = self.kernel.start_one(&start, self.now);
            self.tell(fact);
        }
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            self.note(format_args!("effect {effect:?}"));
            if let (true, Effect::Kernel(Ask::Adopt { id, .. })) = (self.thorough, effect) {
                self.model.places(*id, &self.supervisor, &self.kernel);
            }
            self.model.before(effect, &self.supervisor, self.now);
            let Effect::Kernel(ask) = effect else { continue };
            for fact in self.kernel.perform(ask, self.now) {
                self.tell(fact);
            }
        }
    }

    /// Hands a fact in.
    pub(crate) fn tell(&mut self, fact: Fact) {
        self.note(format_args!("fact {fact:?}"));
        let (supervisor, now) = (&mut self.supervisor, self.now);
        match fact {
            Fact::Spawned { id, os_pid, start_time } => {
                supervisor.spawned(id, os_pid, start_time, now);
            }
            Fact::SpawnFailed { id, stage, errno } => {
                supervisor.spawn_failed(id, stage, errno, now)
            }
            Fact::Exited { id, exit } => supervisor.exited(id, exit, now),
            Fact::Drained(id) => supervisor.drained(id, now),
            Fact::GroupGone(id) => supervisor.group_gone(id, now),
            Fact::Strayed(stray) => supervisor.strayed(stray, now),
        }
    }

    /// Takes a line into the digest and, with `GAFFER_TRACE`, shows it.
    pub(crate) fn note(&mut self, line: std::fmt::Arguments<'_>) {
        if !self.thorough {
            return;
        }
        let at = self.now.mono - self.start;
        if self.trace {
            eprintln!("{:>12.6} {line}", at.as_secs_f64());
        }
        writeln!(self.digest, "{} {line}", at.as_nanos()).expect("a digest takes everything");
    }

    /// Loads a job of this configuration.
    pub(crate) fn load(&mut self, name: &str, config: Value) {
        self.supervisor.load(entry(name, config), Origin::Api, self.now).expect("a good job");
        self.turn();
    }

    /// The states of a job's instances by place, leaving ones and one-offs too.
    pub(crate) fn states(&self, job: &str) -> Vec<(u32, &'static str)> {
        let id = self.supervisor.job_id(&name(job)).expect("a loaded job");
        let job = self.supervisor.job(id).expect("a loaded job");
        let instances = job.instances().filter_map(|id| self.supervisor.instance(id));
        let mut all: Vec<_> = instances.map(|i| (i.number, i.word())).collect();
        all.sort_unstable();
        all
    }

    /// The live kept processes of a job, oldest first.
    pub(crate) fn pids(&self, job: &str) -> Vec<u64> {
        self.supervisor.kept_pids(&name(job)).expect("a loaded job")
    }

    /// The instance behind a live process.
    pub(crate) fn instance_of(&self, pid: u64) -> InstanceId {
        self.supervisor.instance_id(Pid(pid)).expect("it lives")
    }

    /// What clients were told since the last time, by the full names of the messages.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        events.iter().flat_map(|event| event.names()).collect()
    }
}

/// A job's name.
pub(crate) fn name(text: &str) -> JobName {
    JobName::parse(text).expect("a good name")
}

/// A job as a client asks for it.
pub(crate) fn entry(job: &str, config: Value) -> JobEntry {
    let config = config.as_object().expect("an object").clone();
    let spec = spec_read::read(&config).expect("a good configuration");
    let start = spec_read::wants_start(&config);
    JobEntry { name: name(job), spec: Rc::new(spec), start, place: Place::default() }
}

/// FNV-1a, 64 bits.
struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}
