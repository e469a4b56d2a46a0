//! The whole node on a scripted kernel in virtual time: requests go in as bytes, answers come out,
//! and processes do what a script says. What the node asked of the kernel is noted in words.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::address::Address;
use gaffer::base::clock::Now;
use gaffer::base::error::{Errno, Stage};
use gaffer::base::ids::{ConnId, InstanceId, LinkId, OsPid, StreamNo};
use gaffer::base::level::Level;
use gaffer::base::order::{Account, Identity, Unfit};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::turns::Turns;
use gaffer::front::access::Access;
use gaffer::front::passwords::{self, Outcome};
use gaffer::front::peer::Peer;
use gaffer::logs::reading::memory::{Kept as Part, Memory};
use gaffer::logs::reading::query::View;
use gaffer::logs::view::Taken;
use gaffer::node::console::Console;
use gaffer::node::gaffer::{Gaffer, Legacy, Setup};
use gaffer::node::keys::door::Keeping;
use gaffer::node::lookups::Registration;
use gaffer::node::machine::{
    Branch, Configuration, Effect, Machine, Pss, Standing, StateFile, Tend, Tended, Usage, Write,
};
use gaffer::node::plugins::file::{Unopened, Unread, Wanted, What};
use gaffer::node::plugins::{Plugin, Site};
use gaffer::node::reading::{
    Asking, Begun, Kept, Portion, Reading, Rings, Wanted as Reads, Whom as Reader,
};
use gaffer::node::usage_history::Keep;
use gaffer::node::webhooks::Hooking;
use gaffer::supervisor::effect::{Ask, Start, Whom};
use gaffer::supervisor::facts::Exit;
use gaffer::supervisor::order::{Accounts, Host};
use gaffer::supervisor::spec::JobEntry;
use gaffer::sys::beneath::Fault;

use crate::driven::Driven;

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
const WALL: Duration = Duration::from_secs(784_111_777);
/// The users who need no key on the unix socket.
pub(crate) const OWNERS: [u32; 3] = [0, 7, 1000];
/// Rounds of effects after one input: more would be a circle.
const ROUNDS: usize = 100;

/// A node, its kernel and its clock.
pub(crate) struct FakeNode {
    pub(crate) gaffer: Gaffer,
    pub(crate) now: Now,
    /// What was asked of the kernel, in words, since this was taken last.
    pub(crate) asked: Vec<String>,
    /// Writes of state files, since these were taken last.
    pub(crate) stored: Vec<(StateFile, Write)>,
    /// Processes ignore everything but KILL.
    pub(crate) deaf: bool,
    /// Processes survive even KILL, as in a system call that cannot be interrupted.
    pub(crate) immortal: bool,
    /// How spawns fail, while they do.
    pub(crate) spawns_fail: Option<(Stage, Errno)>,
    /// How writes of state files fail, while they do.
    pub(crate) stores_fail: Option<Errno>,
    /// How much processes read at a time of what they are sent, or why they do not.
    pub(crate) reads: Result<usize, Errno>,
    processes: BTreeMap<InstanceId, Process>,
    /// Streams of processes that are owed something.
    inputs: BTreeSet<(InstanceId, StreamNo)>,
    last_os_pid: i32,
    facts: VecDeque<Fact>,
    /// Connections that it wants, since these were taken last.
    pub(crate) dialled: Vec<(LinkId, Address)>,
    /// With whom it is to register at the next reading of the configuration.
    pub(crate) registration: Registration,
    /// How its door is kept from then on.
    pub(crate) keeping: Keeping,
    /// The worker is at something else: passwords are hashed when it is told to go on.
    pub(crate) busy: bool,
    hashes: VecDeque<(u64, passwords::Task)>,
    /// To whom it posts events from then on.
    pub(crate) webhooks: Hooking,
    /// The files below its sites, by their paths.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Those that are open, as they were then.
    pub(crate) open_files: BTreeMap<ConnId, (PathBuf, Vec<u8>)>,
    /// The disk takes its time: what is asked of it is told when it is told to go on.
    pub(crate) disk_waits: bool,
    from_disk: VecDeque<Fact>,
    /// What is read of what was written, for whom.
    readings: BTreeMap<Reader, (Reads, Reading)>,
    /// What its store has, if it has one: everything, stream by stream, with its numbers.
    pub(crate) store: Option<BTreeMap<(InstanceId, StreamNo), Written>>,
    /// Its plugins from then on.
    pub(crate) plugins: Vec<Plugin>,
    /// What every process uses, and what was measured.
    pub(crate) usage: Usage,
    pub(crate) measured: usize,
}

/// What was written to a stream, with its numbers.
type Written = Vec<(u64, Vec<u8>)>;

struct Process {
    os_pid: OsPid,
    leader: bool,
    group: bool,
}

enum Fact {
    Spawned(InstanceId, OsPid),
    SpawnFailed(InstanceId, Stage, Errno),
    Exited(InstanceId, Exit),
    GroupGone(InstanceId),
    Sampled(u64, Vec<Option<Usage>>),
    Accounted(u64, Standing),
    Climbed(u64, Vec<Branch>),
    Stored(StateFile, Result<(), Errno>),
    Hashed(u64, Outcome),
    Opened(ConnId, Result<What, Unopened>),
    Read(ConnId, Result<Vec<u8>, Unread>),
    Tended(ConnId, Tended),
    Begun(Reader, Begun),
    ReadOn(Reader, Portion),
}

/// What a store says that has a little of two jobs.
fn tended(wish: Tend) -> Tended {
    let taken = |name: &str, elsewhere, bytes| Taken {
        name: name.into(),
        elsewhere,
        bytes,
        files: 2,
        oldest: 1_700_000_000_000_000,
        newest: 1_700_000_060_000_000,
    };
    match wish {
        Tend::Reopen => Tended::Done,
        Tend::Rotate(name) if name == "s.stuck" => Tended::Failed("no space left".into()),
        Tend::Rotate(_) => Tended::Rotated(2),
        Tend::Clear(_) => Tended::Cleared(4096),
        Tend::Measure => {
            let all = vec![taken("s.web", false, 4096), taken("/var/log/app.log", true, 100)];
            Tended::Measured(all, 1 << 28)
        }
    }
}

/// A system with one user, who is called www.
struct OneUser;

impl Accounts for OneUser {
    fn resolve(&self, account: &Account<'_>) -> Result<Option<Identity>, Unfit> {
        let unknown = |key, kind: &str, name: &str| {
            let why = format!("there is no {kind} {name:?}");
            Err(Unfit { key, why })
        };
        match (account.uid, account.gid) {
            (None, None) => Ok(None),
            (Some("www" | "33"), None | Some("www" | "33")) => {
                Ok(Some(Identity { uid: 33, gid: 33, groups: Vec::new() }))
            }
            (Some(uid), _) => unknown("uid", "user", uid),
            (None, Some(gid)) => unknown("gid", "group", gid),
        }
    }
}

impl Driven for FakeNode {
    type Machine = Gaffer;

    fn machine(&mut self) -> &mut Gaffer {
        &mut self.gaffer
    }

    fn clock(&mut self) -> &mut Now {
        &mut self.now
    }

    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.gaffer.settle(self.now);
            let effects = self.gaffer.take_effects();
            let fed = self.feed();
            if !fed && effects.is_empty() && self.facts.is_empty() && !self.gaffer.has_starts() {
                self.gaffer.sweep().expect("what is always so");
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
            while let Some(start) = self.gaffer.next_start() {
                self.start(start);
            }
            while let Some(fact) = self.facts.pop_front() {
                self.tell(fact);
            }
        }
        panic!("the node asks for ever");
    }
}

impl FakeNode {
    /// A node that has begun, with the jobs of its files.
    pub(crate) fn new(
        access: Access,
        console: Console,
        legacy: Legacy,
        files: Vec<JobEntry>,
    ) -> Self {
        let registration = Registration::default();
        Self::begun((access, console, legacy), files, (registration, open()), start())
    }

    /// One whose door is kept like this.
    pub(crate) fn kept(access: Access, legacy: Legacy, keeping: Keeping) -> Self {
        let registration = Registration::default();
        let parts = (access, Console::default(), legacy);
        Self::begun(parts, Vec::new(), (registration, keeping), start())
    }

    /// One that registers with lookupds.
    pub(crate) fn registered(
        access: Access,
        console: Console,
        legacy: Legacy,
        files: Vec<JobEntry>,
        registration: Registration,
    ) -> Self {
        Self::begun((access, console, legacy), files, (registration, open()), start())
    }

    /// One that posts events to webhooks, and begins at this time.
    pub(crate) fn hooked(
        legacy: Legacy,
        files: Vec<JobEntry>,
        webhooks: Hooking,
        now: Now,
    ) -> Self {
        let parts = (Access::default(), Console::default(), legacy);
        let settings = (Registration::default(), open(), webhooks, Vec::new(), Keep::default());
        Self::whole(parts, files, settings, now)
    }

    /// One that is extended by plugins, whose jobs are among those of the files, and whose door is kept so.
    pub(crate) fn extended(plugins: Vec<Plugin>, files: Vec<JobEntry>, keeping: Keeping) -> Self {
        let parts = (Access::default(), Console::default(), Legacy::default());
        let settings =
            (Registration::default(), keeping, Hooking::default(), plugins, Keep::default());
        Self::whole(parts, files, settings, start())
    }

    /// One whose door is kept so, and that keeps what its instances used like this.
    pub(crate) fn remembering(keep: Keep, legacy: Legacy, keeping: Keeping) -> Self {
        let parts = (Access::default(), Console::default(), legacy);
        let settings = (Registration::default(), keeping, Hooking::default(), Vec::new(), keep);
        Self::whole(parts, Vec::new(), settings, start())
    }

    /// One whose door is kept so, and that begins at this time.
    pub(crate) fn begun(
        parts: (Access, Console, Legacy),
        files: Vec<JobEntry>,
        (registration, keeping): (Registration, Keeping),
        now: Now,
    ) -> Self {
        let settings = (registration, keeping, Hooking::default(), Vec::new(), Keep::default());
        Self::whole(parts, files, settings, now)
    }

    fn whole(
        (access, console, legacy): (Access, Console, Legacy),
        files: Vec<JobEntry>,
        (registration, keeping, webhooks, plugins, stats_history): (
            Registration,
            Keeping,
            Hooking,
            Vec<Plugin>,
            Keep,
        ),
        now: Now,
    ) -> Self {
        let environ =
            gaffer::base::sorted::SortedMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        let host =
            Host { environ: Rc::new(environ), accounts: Rc::new(OneUser), node: "node".into() };
        let setup = Setup {
            host,
            seed: 1,
            access,
            memory: 1 << 30,
            stats_history,
            console,
            log_level: Some(Level::Info),
            clients: gaffer::base::limits::CONNECTIONS,
            channel: Default::default(),
            boot_id: "boot".into(),
            registration: registration.clone(),
            keeping: keeping.clone(),
            webhooks: webhooks.clone(),
            plugins: plugins.clone(),
            secret: [7; 32],
            extensions: Default::default(),
        };
        let mut node = Self {
            gaffer: Gaffer::new(setup),
            now,
            asked: Vec::new(),
            stored: Vec::new(),
            deaf: false,
            immortal: false,
            spawns_fail: None,
            stores_fail: None,
            reads: Ok(usize::MAX),
            processes: BTreeMap::new(),
            inputs: BTreeSet::new(),
            last_os_pid: 1000,
            facts: VecDeque::new(),
            dialled: Vec::new(),
            registration,
            keeping,
            busy: false,
            hashes: VecDeque::new(),
            webhooks,
            files: BTreeMap::new(),
            open_files: BTreeMap::new(),
            disk_waits: false,
            from_disk: VecDeque::new(),
            readings: BTreeMap::new(),
            store: None,
            plugins,
            usage: sample(),
            measured: 0,
        };
        node.gaffer.begin(legacy, files, now);
        node.settle();
        node
    }

    /// A client on this machine, over TCP.
    pub(crate) fn connect_tcp(&mut self) -> ConnId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.connect(Peer::Tcp { remote, tls: None })
    }

    /// A client.
    pub(crate) fn connect(&mut self, peer: Peer) -> ConnId {
        self.gaffer.accepted(peer, self.now).expect("there is room for a client")
    }

    /// From now on processes read so much at a time of what they are sent, or none of it.
    pub(crate) fn read(&mut self, reads: Result<usize, Errno>) {
        self.reads = reads;
        self.settle();
    }

    /// A process reads so much of its standard input, once.
    pub(crate) fn take(&mut self, os_pid: OsPid, count: usize) {
        let id = self.instance(os_pid);
        self.gaffer.input_taken(id, StreamNo::STDIN, count, self.now);
        self.settle();
    }

    /// A request on a connection of its own, and its answer, which is a good one.
    pub(crate) fn ask(&mut self, request: &str, body: &str) -> String {
        let conn = self.connect_tcp();
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
        self.send(conn, format!("{head}\r\n\r\n{body}").as_bytes(), &mut || usize::MAX);
        let answer = String::from_utf8(self.take_answer(conn)).expect("text");
        assert!(answer.starts_with("HTTP/1.1 20"), "{request}: {answer}");
        self.vanish(conn);
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// What it answers to GET.
    pub(crate) fn get(&mut self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.ask(&format!("GET {path}"), "")).expect("JSON")
    }

    /// The configuration is read again, and these are the jobs in it.
    pub(crate) fn reconfigure(&mut self, files: Vec<JobEntry>) {
        let registration = self.registration.clone();
        let keeping = self.keeping.clone();
        let webhooks = self.webhooks.clone();
        let plugins = self.plugins.clone();
        let read = Configuration {
            jobs: files,
            registration,
            keeping,
            webhooks,
            plugins,
            log_level: None,
        };
        self.gaffer.reconfigured(Ok(read), self.now);
        self.settle();
    }

    /// A process ends by itself. With `group_alive` others of its group stay.
    pub(crate) fn exit(&mut self, os_pid: OsPid, status: ExitStatus, group_alive: bool) {
        let id = self.instance(os_pid);
        let process = self.processes.get_mut(&id).expect("it runs");
        assert!(process.leader, "{os_pid} has ended already");
        process.leader = false;
        process.group = group_alive;
        let exit = Exit { group_alive, ..Exit::of(status) };
        self.facts.push_back(Fact::Exited(id, exit));
        self.settle();
    }

    /// A process writes.
    pub(crate) fn output(&mut self, os_pid: OsPid, stream: StreamNo, bytes: &[u8]) {
        let id = self.instance(os_pid);
        let seq = self.gaffer.output(id, stream, bytes, self.now);
        if let Some((store, seq)) = self.store.as_mut().zip(seq) {
            store.entry((id, stream)).or_default().push((seq, bytes.to_vec()));
        }
        self.settle();
    }

    pub(crate) fn instance(&self, os_pid: OsPid) -> InstanceId {
        let found = self.processes.iter().find(|(_, process)| process.os_pid == os_pid);
        found.map(|(id, _)| *id).unwrap_or_else(|| panic!("there is no process {os_pid}"))
    }

    /// The worker hashes the passwords that wait for it now; gives how many there were.
    pub(crate) fn go_on(&mut self) -> usize {
        let waiting = std::mem::take(&mut self.hashes);
        let count = waiting.len();
        for (ticket, task) in waiting {
            self.facts.push_back(Fact::Hashed(ticket, passwords::perform(&task)));
        }
        self.settle();
        count
    }

    /// The disk tells what was asked of it; gives how much that was.
    pub(crate) fn disk_goes_on(&mut self) -> usize {
        let count = self.from_disk.len();
        self.facts.append(&mut self.from_disk);
        self.settle();
        count
    }

    /// Lays out files with their texts below `/plugins`, each `NAME/FILE`: folders that are nothing but sites.
    pub(crate) fn have_sites(&mut self, files: &[(&str, &str)]) {
        let plugins = Path::new("/plugins");
        for (path, text) in files {
            self.files.insert(plugins.join(path), (*text).into());
            let name = path.split('/').next().unwrap_or_default().to_owned();
            if self.plugins.iter().all(|plugin| plugin.name != name) {
                let (directory, site) = (plugins.join(&name), Some(Site::Whole));
                let (manifest, faults) = (None, Vec::new());
                let program = None;
                self.plugins.push(Plugin { name, directory, site, manifest, program, faults });
            }
        }
    }

    fn open_file(&mut self, conn: ConnId, file: &Wanted) {
        let path = |more: &str| file.root.join(file.names.join("/") + more);
        let compressed = path(".gz");
        let gzip = file.gzip && self.files.contains_key(&compressed);
        let path = path("");
        let found = self.files.get(if gzip { &compressed } else { &path }).cloned();
        let is_below = |known: &PathBuf| known.starts_with(&path);
        let opened = match (&found, self.files.keys().any(is_below)) {
            (None, true) => Err(Unopened::Folder),
            (None, false) => Err(Unopened::Fault(Fault::Io(Errno(2)))),
            (Some(bytes), _) => Ok(What {
                length: u64::try_from(bytes.len()).expect("it is short"),
                modified: UNIX_EPOCH + WALL - Duration::from_secs(100),
                inode: 7,
                gzip,
            }),
        };
        let place = if gzip { compressed } else { path };
        self.open_files.insert(conn, (place, found.unwrap_or_default()));
        self.of_disk(Fact::Opened(conn, opened));
    }

    fn read_file(&mut self, conn: ConnId, at: u64, length: usize) {
        let (path, before): &(PathBuf, Vec<u8>) = self.open_files.get(&conn).expect("it is open");
        let at = usize::try_from(at).expect("it is short");
        let path: &Path = path;
        let read = match self.files.get(path) {
            Some(now) if now == before => Ok(now[at..at + length].to_vec()),
            Some(_) | None => Err(Unread::Changed),
        };
        self.of_disk(Fact::Read(conn, read));
    }

    fn of_disk(&mut self, fact: Fact) {
        match self.disk_waits {
            true => self.from_disk.push_back(fact),
            false => self.facts.push_back(fact),
        }
    }

    fn tell(&mut self, fact: Fact) {
        let now = self.now;
        match fact {
            Fact::Spawned(id, os_pid) => self.gaffer.spawned(id, os_pid, 1, now),
            Fact::SpawnFailed(id, stage, errno) => self.gaffer.spawn_failed(id, stage, errno, now),
            Fact::Exited(id, exit) => self.gaffer.exited(id, exit, now),
            Fact::GroupGone(id) => self.gaffer.group_gone(id, now),
            Fact::Sampled(ticket, usages) => self.gaffer.sampled(ticket, usages, now),
            Fact::Accounted(ticket, standing) => self.gaffer.accounted(ticket, standing, now),
            Fact::Tended(conn, tended) => self.gaffer.tended(conn, tended, now),
            Fact::Climbed(ticket, tree) => self.gaffer.climbed(ticket, tree, now),
            Fact::Stored(file, result) => self.gaffer.stored(file, result, now),
            Fact::Hashed(ticket, outcome) => self.gaffer.hashed(ticket, outcome, now),
            Fact::Opened(conn, _) | Fact::Read(conn, _) if !self.open_files.contains_key(&conn) => {
            }
            Fact::Opened(conn, opened) => self.gaffer.file_opened(conn, opened, now),
            Fact::Read(conn, read) => self.gaffer.file_read(conn, read, now),
            Fact::Begun(whom, _) | Fact::ReadOn(whom, _) if !self.readings.contains_key(&whom) => {}
            Fact::Begun(whom, begun) => self.gaffer.reading_begun(whom, begun, now),
            Fact::ReadOn(whom, portion) => self.gaffer.read_on(whom, portion, now),
        }
    }

    /// Lets processes read, and gives whether any did.
    fn feed(&mut self) -> bool {
        let (now, mut fed) = (self.now, false);
        self.inputs.extend(self.gaffer.take_dirty_inputs());
        for (id, stream) in std::mem::take(&mut self.inputs) {
            let Some(os_pid) = self.processes.get(&id).map(|process| process.os_pid) else {
                continue;
            };
            let owed = self.gaffer.input_owed(id, stream).to_vec();
            match self.reads {
                _ if owed.is_empty() && self.gaffer.input_ends(id, stream) => {
                    self.asked.push(format!("{os_pid} reads the end of {}", stream.0));
                    continue;
                }
                _ if owed.is_empty() => continue,
                Ok(most) => {
                    let count = owed.len().min(most);
                    let text = String::from_utf8_lossy(&owed[..count]).into_owned();
                    if count > 1000 {
                        self.asked.push(format!("{os_pid} reads {count} bytes on {}", stream.0));
                    } else if count > 0 {
                        self.asked.push(format!("{os_pid} reads {text:?} on {}", stream.0));
                    }
                    if count > 0 {
                        self.gaffer.input_taken(id, stream, count, now);
                        fed = true;
                    }
                    self.inputs.insert((id, stream));
                }
                Err(errno) => self.gaffer.input_refused(id, stream, errno, now),
            }
        }
        fed
    }

    fn start(&mut self, Start { id, order, .. }: Start) {
        let words: Vec<&str> = [order.program.as_str()]
            .into_iter()
            .chain(order.args.iter().map(String::as_str))
            .collect();
        let line = words.join(" ");
        if let Some((stage, errno)) = self.spawns_fail {
            self.asked.push(format!("spawn fails: {line}"));
            self.facts.push_back(Fact::SpawnFailed(id, stage, errno));
            return;
        }
        self.last_os_pid += 1;
        let os_pid = OsPid(self.last_os_pid);
        self.asked.push(format!("spawn {os_pid}: {line}"));
        self.processes.insert(id, Process { os_pid, leader: true, group: true });
        self.facts.push_back(Fact::Spawned(id, os_pid));
    }

    fn sample(&mut self, ticket: u64, count: usize, pss: bool) {
        let pss = if pss { Pss::Bytes(9_999_360) } else { Pss::NotAsked };
        self.measured += count;
        let usages = vec![Some(Usage { pss, ..self.usage }); count];
        self.facts.push_back(Fact::Sampled(ticket, usages));
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Kernel(Ask::Adopt { os_pid, .. }) => panic!("{os_pid} was left by nobody"),
            Effect::Kernel(Ask::Signal { id, signal, whom }) => self.kill(id, signal, whom),
            Effect::Kernel(Ask::Survey(id)) => {
                if self.processes.get(&id).is_none_or(|process| !process.group) {
                    self.facts.push_back(Fact::GroupGone(id));
                }
            }
            Effect::Kernel(Ask::Log { .. }) => {}
            Effect::Tend { conn, wish } => self.facts.push_back(Fact::Tended(conn, tended(wish))),
            Effect::Kernel(Ask::Release(id)) => drop(self.processes.remove(&id)),
            Effect::Sample { ticket, targets, keep: _, pss } => {
                self.sample(ticket, targets.len(), pss);
            }
            Effect::Account { ticket } => {
                self.facts.push_back(Fact::Accounted(ticket, standing()));
            }
            Effect::Climb { ticket, leader } => {
                self.facts.push_back(Fact::Climbed(ticket, tree(leader)));
            }
            Effect::Store { file, write } => {
                let result = self.stores_fail.map_or(Ok(()), Err);
                if result.is_err() || matches!(write, Write::Replace(_)) {
                    self.facts.push_back(Fact::Stored(file, result));
                }
                self.stored.push((file, write));
            }
            Effect::Hash { ticket, task } if self.busy => self.hashes.push_back((ticket, task)),
            Effect::Hash { ticket, task } => {
                self.facts.push_back(Fact::Hashed(ticket, passwords::perform(&task)));
            }
            Effect::Dial { link, address } => {
                self.asked.push(format!("dial {}: {address}", link.0));
                self.dialled.push((link, address));
            }
            Effect::OpenFile { conn, file } => self.open_file(conn, &file),
            Effect::ReadFile { conn, at, length } => self.read_file(conn, at, length),
            Effect::CloseFile(conn) => {
                self.open_files.remove(&conn);
            }
            Effect::BeginReading { whom, asking } => {
                let Asking { wanted, rings } = *asking;
                let view = self.view(&wanted, rings);
                let reading = Reading::begin(wanted.clone(), view, &mut Memory::default());
                let begun = Fact::Begun(whom, reading.begun());
                self.of_disk(begun);
                self.readings.insert(whom, (wanted, reading));
            }
            Effect::ReadOn { whom, fresh } => {
                let wanted = self.readings.get(&whom).expect("it has begun").0.clone();
                let view = fresh.map(|rings| self.view(&wanted, *rings));
                let (_, reading) = self.readings.get_mut(&whom).expect("it has begun");
                let portion = reading.read_on(view, &mut Memory::default());
                self.of_disk(Fact::ReadOn(whom, portion));
            }
            Effect::EndReading(whom) => {
                self.readings.remove(&whom);
            }
            Effect::StopSampling => self.asked.push("stop sampling".into()),
            Effect::Exit(code) => self.asked.push(format!("exit {code}")),
            Effect::Search => self.gaffer.searched(),
            Effect::ReadConfig => self.asked.push("read the configuration".into()),
            Effect::Print(lines) => {
                self.asked.extend(lines.lines().map(|line| format!("print {line}")));
            }
            Effect::ReopenLog => self.asked.push("reopen the log".into()),
            Effect::SetLogLevel(level) => self.asked.push(format!("log level {}", level.word())),
        }
    }

    /// What there is to read. Of streams that are in the store all is there that is.
    fn view(&self, wanted: &Reads, rings: Rings) -> View {
        let streams: Vec<_> = rings.streams.iter().map(|(id, stream, _)| (*id, *stream)).collect();
        let alone = &|_, _| None;
        let mut view = wanted.view(rings, Kept { books: Vec::new(), alone });
        let Some(store) = self.store.as_ref().filter(|_| matches!(wanted, Reads::Replay { .. }))
        else {
            return view;
        };
        for (key, stream) in streams.iter().zip(&mut view.streams) {
            let Some((first, written)) = stream.parts.first().cloned().zip(store.get(key)) else {
                continue;
            };
            let part = |(seq, bytes): &(u64, Vec<u8>)| {
                let (seq, last, bytes) = (*seq, *seq, bytes.clone());
                Part { seq, last, bytes, ..first.clone() }
            };
            stream.parts = written.iter().map(part).collect();
            (stream.lost, stream.begins) = (0, true);
        }
        view
    }

    /// KILL, TERM and INT end whom they reach, unless all are deaf to the latter two.
    fn kill(&mut self, id: InstanceId, signal: Signal, whom: Whom) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let whose = match whom {
            Whom::Leader => "",
            Whom::Group => "the group of ",
        };
        self.asked.push(format!("{signal} to {whose}{}", process.os_pid));
        let ends = match signal {
            Signal::KILL => !self.immortal,
            Signal::TERM | Signal::INT => !self.deaf,
            _ => false,
        };
        if !ends {
            return;
        }
        process.group = false;
        if std::mem::take(&mut process.leader) {
            let exit = Exit::of(ExitStatus::Signal { signal, core: false });
            self.facts.push_back(Fact::Exited(id, exit));
        }
    }
}

/// When a node begins of which nobody says when.
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
pub(crate) fn start() -> Now {
    Now { mono: Instant::now(), wall: UNIX_EPOCH + WALL }
}

/// A door at which no key is asked for.
pub(crate) fn open() -> Keeping {
    Keeping { require_key: false, owners: OWNERS.into(), root: false }
}

/// What came from every such process.
fn tree(leader: OsPid) -> Vec<Branch> {
    let branch = |os_pid: i32, parent: i32, name: &str| Branch {
        os_pid: OsPid(os_pid),
        parent: OsPid(parent),
        name: name.into(),
        state: 'S',
        rss: 4096,
    };
    vec![branch(leader.0, 1, "leader"), branch(99, leader.0, "child")]
}

/// How it stands with the shell of every such node.
fn standing() -> Standing {
    let mut turns = Turns::default();
    for micros in [80, 80, 700, 20_000, 11_000_000] {
        turns.add(Duration::from_micros(micros));
    }
    let taken = |name: &str, elsewhere, bytes| Taken {
        name: name.into(),
        elsewhere,
        bytes,
        files: 1,
        oldest: 0,
        newest: 0,
    };
    Standing {
        turns,
        started: Some(UNIX_EPOCH + WALL),
        usage: Some(Usage { processes: 1, ..sample() }),
        most_fds: Some(1024),
        logs: vec![
            taken("s.web", false, 4096),
            taken("s.former", false, 10),
            taken("/var/log/web", true, 7),
        ],
        most_logs: 1 << 30,
    }
}

/// What every process uses.
fn sample() -> Usage {
    Usage {
        rss: 12_345_678,
        vms: 400 << 20,
        cpu_time: 1.08,
        threads: 3,
        fds: 7,
        processes: 2,
        pss: Pss::NotAsked,
    }
}
