//! The whole node in virtual time: the real machine, a fake kernel, a fake disk and fake clients. A
//! turn here is the reactor's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::error::Errno;
use gaffer::base::ids::{ConnId, InstanceId, OsPid, StreamNo};
use gaffer::base::order::{Account, Identity, SpawnOrder, Unfit};
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::front::sockjs::Options;
use gaffer::logs::reading::memory::Memory;
use gaffer::logs::reading::query::View;
use gaffer::node::console::{Console, Verbosity};
use gaffer::node::gaffer::{Gaffer, Legacy, Setup};
use gaffer::node::journal::Journal;
use gaffer::node::keys::door::Keeping;
use gaffer::node::machine::{
    Configuration, Effect, Machine, Standing, StateFile, Tended, Usage, Write,
};
use gaffer::node::reading::{Asking, Kept, Reading, Rings, Wanted, Whom as Reader};
use gaffer::node::state::{running_from_value, StoredJob};
use gaffer::supervisor::facts::Stray;
use gaffer::supervisor::job::Origin;
use gaffer::supervisor::order::{Accounts, Host};
use gaffer::supervisor::spec::JobEntry;

use super::clients::{Client, Fate};
use super::followers::Live;
use super::sites::{plugins, Ask as SiteAsk, SlowSite};
use super::words::Written;
use crate::fake_node::OWNERS;
use crate::simulation::kernel::{Fact, FakeKernel};
use crate::simulation::world::entry;

/// Everything there is.
pub(crate) struct World {
    pub(crate) node: Gaffer,
    pub(crate) kernel: FakeKernel,
    pub(crate) disk: Disk,
    /// A plugin's, and what was asked of it.
    pub(super) site: SlowSite,
    /// What is read of what was written, for whom.
    readings: BTreeMap<Reader, (Wanted, Reading)>,
    pub(crate) clients: Vec<Client>,
    /// Whether there are clients that stay.
    pub(crate) lively: bool,
    /// Those.
    pub(super) live: Vec<Live>,
    /// How many there were.
    pub(super) followers: u64,
    pub(super) written: Written,
    pub(super) last_event: u64,
    /// What processes have read of the message they read now, and each writer's last message.
    heard: BTreeMap<(InstanceId, StreamNo), Heard>,
    /// Connections that the reactor would look at.
    pub(super) dirty: BTreeSet<ConnId>,
    pub(crate) random: Random,
    pub(crate) now: Now,
    pub(crate) exit: Option<u8>,
    lives: u32,
    /// Streams of processes that are owed something.
    inputs: BTreeSet<(InstanceId, StreamNo)>,
    starts_left: usize,
    start: Instant,
    digest: u64,
}

/// What a process has read of one stream.
#[derive(Default)]
struct Heard {
    part: Vec<u8>,
    last: BTreeMap<u64, u64>,
}

impl Heard {
    /// Messages come whole, and each writer's in order.
    fn read(&mut self, bytes: &[u8]) {
        self.part.extend_from_slice(bytes);
        while let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.part.drain(..=end).collect();
            let line = std::str::from_utf8(&line).expect("text");
            let (head, rest) = line.split_once(':').expect("a message");
            assert!(rest.trim_end().bytes().all(|byte| byte == b'x'), "torn: {head}");
            let (writer, number) = head.split_once('.').expect("a writer and a number");
            let number: u64 = number.parse().expect("a number");
            let writer = writer.parse().expect("a writer");
            let before = self.last.insert(writer, number).unwrap_or(0);
            assert!(number > before, "{number} of {writer} comes behind {before}");
        }
    }
}

/// The state directory.
#[derive(Default)]
pub(crate) struct Disk {
    files: BTreeMap<StateFile, Vec<u8>>,
    pub(crate) full: bool,
    /// Written to since somebody looked.
    changed: bool,
}

impl Disk {
    /// A disk that is full takes half of what it is given.
    fn write(&mut self, file: StateFile, write: &Write) -> Result<(), Errno> {
        self.changed = true;
        let content = self.files.entry(file).or_default();
        match write {
            Write::Append(bytes) if self.full => {
                content.extend_from_slice(&bytes[..bytes.len() / 2]);
                Err(Errno(28))
            }
            Write::Replace(_) if self.full => Err(Errno(28)),
            Write::Append(bytes) => {
                content.extend_from_slice(bytes);
                Ok(())
            }
            Write::Replace(bytes) => {
                content.clone_from(bytes);
                Ok(())
            }
        }
    }

    fn load(&self, file: StateFile) -> Vec<(String, serde_json::Value)> {
        let bytes = self.files.get(&file).cloned().unwrap_or_default();
        Journal::load(file.name(), &bytes).map(|loaded| loaded.entries).unwrap_or_default()
    }
}

struct NoAccounts;

impl Accounts for NoAccounts {
    fn resolve(&self, _: &Account<'_>) -> Result<Option<Identity>, Unfit> {
        Ok(None)
    }
}

fn gaffer(life: u32, seed: u64) -> Gaffer {
    let node = format!("n-{life}");
    let host = Host { environ: Rc::default(), accounts: Rc::new(NoAccounts), node };
    Gaffer::new(Setup {
        host,
        seed,
        access: Access::default(),
        memory: 1 << 30,
        clients: gaffer::base::limits::CONNECTIONS,
        // Small, so that readers who are slow miss something.
        channel: Options { queue: 20_000, ..Options::default() },
        stats_history: Default::default(),
        console: Console::new(Verbosity::Output),
        log_level: None,
        boot_id: "boot".into(),
        registration: Default::default(),
        extensions: Default::default(),
        keeping: keeping(),
        webhooks: Default::default(),
        plugins: plugins(),
        secret: [0; 32],
    })
}

/// What there is to read, where nothing is on disk.
fn view(wanted: &Wanted, rings: Rings) -> View {
    let alone = &|_, _| None;
    wanted.view(rings, Kept { books: Vec::new(), alone })
}

fn keeping() -> Keeping {
    Keeping { require_key: false, owners: OWNERS.into(), root: false }
}

/// The jobs of files, which every life has.
fn files() -> Vec<JobEntry> {
    let web = serde_json::json!({"cmd": "mixed", "numprocesses": 2, "graceful_timeout": 0.5,
        "redirect_input": true, "custom_streams": ["c"], "redirect_output": ["out", "err"]});
    vec![entry("f.web", web), entry("a.work", serde_json::json!({"cmd": "child"}))]
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from one instant")]
        let start = Instant::now();
        let mut world = Self {
            node: gaffer(1, seed),
            kernel: FakeKernel::new(seed ^ 0x5EED),
            disk: Disk::default(),
            site: SlowSite::default(),
            readings: BTreeMap::new(),
            clients: Vec::new(),
            lively: false,
            live: Vec::new(),
            followers: 0,
            written: Written::new(),
            last_event: 0,
            heard: BTreeMap::new(),
            dirty: BTreeSet::new(),
            random: Random::seeded(seed ^ 0xC11E),
            now: Now { mono: start, wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000) },
            exit: None,
            lives: 1,
            inputs: BTreeSet::new(),
            starts_left: usize::MAX,
            start,
            digest: 0xCBF2_9CE4_8422_2325,
        };
        world.node.begin(Legacy::default(), files(), world.now);
        world.turn();
        world
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn note(&mut self, line: &str) {
        let at = (self.now.mono - self.start).as_nanos();
        let mut text = String::new();
        write!(text, "{at} {line}").expect("to memory");
        if std::env::var_os("GAFFER_TRACE").is_some() {
            eprintln!("{text}");
        }
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// Goes to the next thing that happens by itself, but not beyond `limit`.
    pub(crate) fn advance(&mut self, limit: Instant) {
        let at_once = self.node.has_starts().then_some(self.now.mono);
        let next = [self.node.deadline(), self.kernel.deadline(), at_once];
        let next = next.into_iter().flatten().min();
        let at = next.unwrap_or(limit).min(limit);
        self.now = self.now.plus(at.saturating_duration_since(self.now.mono));
        self.turn();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let limit = self.now.mono + time;
        while self.now.mono < limit {
            self.advance(limit);
        }
    }

    /// One turn of the reactor, and the checks behind it.
    pub(crate) fn turn(&mut self) {
        // Now and then a turn has time for few new processes, or for none.
        let few = usize::try_from(self.random.below(3)).expect("few");
        self.starts_left = if self.random.below(4) == 0 { few } else { usize::MAX };
        self.tell_of_site();
        // What was asked for before this turn's facts meets the kernel of before them.
        self.perform_all(usize::MAX);
        for fact in self.kernel.on_time(self.now) {
            self.tell(fact);
        }
        if self.node.deadline().is_some_and(|at| at <= self.now.mono) {
            self.node.on_time(self.now);
        }
        self.perform_all(usize::MAX);
        self.feed();
        self.perform_all(usize::MAX);
        self.node.sweep().unwrap_or_else(|broken| panic!("{broken}"));
        self.check_site();
        let whole = !self.disk.full && !self.node.is_degraded();
        if whole && std::mem::take(&mut self.disk.changed) {
            self.disk_tells_the_truth();
        }
    }

    /// Lets processes read of what they are owed as much as they like. The rest waits for another turn.
    fn feed(&mut self) {
        self.inputs.extend(self.node.take_dirty_inputs());
        for (id, stream) in std::mem::take(&mut self.inputs) {
            if self.is_stubborn(id) {
                self.inputs.insert((id, stream));
                continue;
            }
            let owed = self.node.input_owed(id, stream).len();
            let Some(taken) = self.kernel.reads(id, owed).filter(|_| owed > 0) else { continue };
            self.note(&format!("{id:?} reads {taken:?} on {}", stream.0));
            match taken {
                Ok(count) => {
                    let bytes = self.node.input_owed(id, stream)[..count].to_vec();
                    self.heard.entry((id, stream)).or_default().read(&bytes);
                    self.node.input_taken(id, stream, count, self.now);
                    self.inputs.insert((id, stream));
                }
                Err(errno) => {
                    self.node.input_refused(id, stream, errno, self.now);
                    assert!(self.node.input_owed(id, stream).is_empty(), "it is not read");
                }
            }
        }
    }

    /// Every other process reads nothing for a while, now and then, so that queues fill up.
    fn is_stubborn(&self, id: InstanceId) -> bool {
        let minute = (self.now.mono - self.start).as_secs() / 60;
        self.lively && minute % 2 == 0 && id.0.index % 2 == 0
    }

    /// Performs at most so many effects: the daemon may be killed in the middle of them.
    pub(crate) fn perform_all(&mut self, mut most: usize) {
        for round in 0.. {
            assert!(round < 200, "a turn does not end");
            self.node.settle(self.now);
            let effects = self.node.take_effects();
            if effects.is_empty() && (self.starts_left == 0 || !self.node.has_starts()) {
                return;
            }
            let (writes, others): (Vec<_>, Vec<_>) =
                effects.into_iter().partition(|effect| matches!(effect, Effect::Store { .. }));
            for effect in writes.into_iter().chain(others) {
                if most == 0 {
                    return;
                }
                most -= 1;
                self.perform(effect);
            }
            while self.starts_left > 0 && most > 0 {
                let Some(start) = self.node.next_start() else { break };
                self.starts_left -= 1;
                most -= 1;
                self.note(&format!("start {start:?}"));
                self.starts_alone(&start.order);
                let fact = self.kernel.start_one(&start, self.now);
                self.tell(fact);
            }
        }
    }

    fn sample(&mut self, ticket: u64, count: usize) {
        let usage = Usage { rss: 1, processes: 1, ..Usage::default() };
        let random = &mut self.random;
        let usages = (0..count).map(|_| (random.below(5) > 0).then_some(usage)).collect();
        self.node.sampled(ticket, usages, self.now);
    }

    fn perform(&mut self, effect: Effect) {
        if let Effect::Store { file, write } = &effect {
            let (Write::Append(bytes) | Write::Replace(bytes)) = write;
            self.note(&format!("{file:?}: {}", String::from_utf8_lossy(bytes)));
        } else {
            self.note(&format!("effect {effect:?}"));
        }
        let ask = match effect {
            Effect::Kernel(ask) => ask,
            Effect::Tend { conn, .. } => {
                self.node.tended(conn, Tended::Done, self.now);
                return;
            }
            Effect::Sample { ticket, targets, keep: _, pss: _ } => {
                return self.sample(ticket, targets.len());
            }
            Effect::Account { ticket } => {
                self.node.accounted(ticket, Standing::default(), self.now);
                return;
            }
            Effect::Climb { ticket, .. } => {
                self.node.climbed(ticket, Vec::new(), self.now);
                return;
            }
            Effect::Store { file, write } => {
                let result = self.disk.write(file, &write);
                if result.is_err() || matches!(write, Write::Replace(_)) {
                    self.node.stored(file, result, self.now);
                }
                return;
            }
            Effect::Search => {
                self.node.searched();
                return;
            }
            Effect::ReadConfig => {
                let jobs = match self.random.below(3) {
                    0 => Err("g.ini:1: broken".to_owned()),
                    1 => Ok(files()),
                    _ => Ok(files().into_iter().take(1).collect()),
                };
                let read = jobs.map(|jobs| Configuration {
                    jobs,
                    keeping: keeping(),
                    plugins: plugins(),
                    ..Default::default()
                });
                self.node.reconfigured(read, self.now);
                return;
            }
            Effect::Exit(code) => {
                self.exit = Some(code);
                return;
            }
            Effect::Dial { .. } => panic!("it registers with nobody"),
            Effect::OpenFile { conn, .. } => return self.ask_site(conn, SiteAsk::Open),
            Effect::ReadFile { conn, length, .. } => {
                return self.ask_site(conn, SiteAsk::Read(length));
            }
            Effect::CloseFile(conn) => return self.close_of_site(conn),
            Effect::BeginReading { whom, asking } => return self.begin_reading(whom, *asking),
            Effect::ReadOn { whom, fresh } => return self.read_on(whom, fresh),
            Effect::EndReading(whom) => {
                self.readings.remove(&whom);
                return;
            }
            Effect::Hash { .. } => panic!("it has no users"),
            Effect::Print(_)
            | Effect::ReopenLog
            | Effect::SetLogLevel(_)
            | Effect::StopSampling => return,
        };
        for fact in self.kernel.perform(&ask, self.now) {
            self.tell(fact);
        }
    }

    fn begin_reading(&mut self, whom: Reader, asking: Asking) {
        let Asking { wanted, rings } = asking;
        let reading = Reading::begin(wanted.clone(), view(&wanted, rings), &mut Memory::default());
        let begun = reading.begun();
        self.readings.insert(whom, (wanted, reading));
        self.node.reading_begun(whom, begun, self.now);
    }

    fn read_on(&mut self, whom: Reader, fresh: Option<Box<Rings>>) {
        let (wanted, reading) = self.readings.get_mut(&whom).expect("it has begun");
        let view = fresh.map(|rings| view(wanted, *rings));
        let portion = reading.read_on(view, &mut Memory::default());
        self.node.read_on(whom, portion, self.now);
    }

    /// Nothing of a job's former life runs when it is started. Those of a detached job are taken over,
    /// one by one, with all that they started.
    fn starts_alone(&self, order: &SpawnOrder) {
        let part = |name| order.env.get(name).expect("every process has it");
        let name = format!("{}.{}", part("GAFFER_SESSION"), part("GAFFER_JOB"));
        let name = gaffer::supervisor::JobName::parse(&name).expect("a name");
        let supervisor = self.node.supervisor();
        let job = supervisor.job_id(&name).ok().and_then(|id| supervisor.job(id));
        let detached = job.is_some_and(|job| job.spec.detach);
        let old = self.kernel.of_earlier_lives(&name);
        assert!(old == 0 || detached, "{name} is started beside {old} of an earlier life");
    }

    fn tell(&mut self, fact: Fact) {
        self.note(&format!("fact {fact:?}"));
        if let Fact::Exited { id, .. } = fact {
            let length = self.random.below(40);
            self.write(id, StreamNo::STDOUT, length);
        }
        let (node, now) = (&mut self.node, self.now);
        match fact {
            Fact::Spawned { id, os_pid, start_time } => {
                self.heard.retain(|(of, _), _| *of != id);
                node.spawned(id, os_pid, start_time, now);
            }
            Fact::SpawnFailed { id, stage, errno } => node.spawn_failed(id, stage, errno, now),
            Fact::Exited { id, exit } => {
                node.exited(id, exit, now);
            }
            Fact::Drained(id) => node.drained(id, now),
            Fact::GroupGone(id) => node.group_gone(id, now),
            Fact::Strayed(stray) => node.strayed(stray, now),
        }
    }

    /// The jobs on disk are the jobs of the API, and every process that runs is on record.
    fn disk_tells_the_truth(&self) {
        let supervisor = self.node.supervisor();
        let mut kept: BTreeMap<String, StoredJob> = BTreeMap::new();
        for (key, value) in self.disk.load(StateFile::Jobs) {
            kept.insert(key, StoredJob::from_value(&value).expect("sound"));
        }
        for name in supervisor.job_names() {
            let id = supervisor.job_id(name).expect("loaded");
            let job = supervisor.job(id).expect("loaded");
            let key = name.to_string();
            match job.origin {
                Origin::File => drop(kept.remove(&key)),
                Origin::Api => {
                    let stored = kept.remove(&key).unwrap_or_else(|| panic!("{key} is forgotten"));
                    assert_eq!(stored.config, job.spec.config.map(), "{key}");
                    assert_eq!((stored.desired, stored.target), (job.desired, job.target), "{key}");
                }
            }
        }
        for key in kept.into_keys() {
            // One that a file's job of the same name hides stays on disk.
            let hidden = files().iter().any(|entry| entry.name.to_string() == key);
            assert!(hidden, "{key} is on disk, but not loaded");
        }
        let running = self.disk.load(StateFile::Running);
        for leader in self.kernel.leaders() {
            let key = leader.to_string();
            assert!(running.iter().any(|(known, _)| *known == key), "{leader} is not on record");
        }
    }

    /// KILL for the daemon, perhaps in the middle of its work, and a new one.
    pub(crate) fn crash(&mut self) {
        let most = usize::try_from(self.random.below(6)).expect("small");
        self.perform_all(most);
        self.clients.clear();
        self.live.clear();
        self.written.clear();
        self.last_event = 0;
        self.heard.clear();
        self.dirty.clear();
        self.site = SlowSite::default();
        self.readings.clear();
        self.kernel.daemon_dies();
        self.note("killed");
        self.disk.full = false;
        self.lives += 1;
        let before = self.disk.load(StateFile::Jobs);
        self.node = gaffer(self.lives, u64::from(self.lives));
        let legacy = self.legacy();
        self.node.begin(legacy, files(), self.now);
        self.turn();
        let supervisor = self.node.supervisor();
        for (key, _) in before {
            let found = supervisor.job_names().any(|name| name.to_string() == key);
            assert!(found, "{key} is forgotten over the daemon's death");
        }
    }

    /// What the next daemon finds, as it is found in the state directory and the system.
    fn legacy(&self) -> Legacy {
        let relics = self.kernel.relics();
        let alive = |os_pid: OsPid, start: u64| {
            relics.iter().any(|relic| relic.os_pid == os_pid && relic.start_time == start)
        };
        let recorded = self.disk.load(StateFile::Running);
        let running: Vec<_> = recorded
            .iter()
            .filter_map(|(key, value)| running_from_value(key, value))
            .filter(|running| alive(running.os_pid, running.start_time))
            .collect();
        let known = |os_pid: OsPid| running.iter().any(|running| running.os_pid == os_pid);
        let strays = relics.iter().filter(|relic| !known(relic.os_pid));
        let stray = |relic: &crate::simulation::afterlife::Relic| Stray {
            job: relic.job.clone(),
            number: relic.number,
            run: None,
            os_pid: relic.os_pid,
            start_time: relic.start_time,
        };
        Legacy {
            jobs: self.disk.load(StateFile::Jobs),
            strays: strays.map(stray).collect(),
            running,
            keys: self.disk.load(StateFile::Keys),
            users: self.disk.load(StateFile::Users),
            ..Legacy::default()
        }
    }

    /// Lets every client do a little.
    pub(crate) fn serve(&mut self) {
        let mut clients = std::mem::take(&mut self.clients);
        clients.retain_mut(|client| {
            let fate = client.act(&mut self.node, &mut self.random, self.now);
            if fate == Fate::Served {
                client.check_served();
            }
            fate == Fate::Stays
        });
        for client in &mut clients {
            for status in std::mem::take(&mut client.statuses) {
                self.note(&format!("status {status}"));
            }
        }
        clients.append(&mut self.clients);
        self.clients = clients;
    }
}
