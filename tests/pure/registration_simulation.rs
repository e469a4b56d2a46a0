//! The whole node and two whole lookupds in one virtual time, with the bytes between them carried by
//! lines that are slow, cut without a word, or broken; lookupds that die and come back with nothing, and a
//! configuration that changes. When all has been quiet for a while, each lookupd that is named knows
//! exactly what runs on the node, once, and any other knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{json, Value};

use data_encoding::HEXLOWER;
use gaffer::base::address::Address;
use gaffer::base::ids::{ConnId, LinkId, OsPid};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;
use sha1::{Digest as _, Sha1};

use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::fake_node::FakeNode;
use crate::registration::registration;
use crate::seeds::{self, Replay};

const SEEDS: u64 = 50;
const STEPS: usize = 100;
const PLACES: [&str; 2] = ["l1", "l2"];
/// The longest that all may take to be true again: a silence of two heartbeats, or a dial that is not
/// answered, and the longest wait behind it; or until the lookupd has missed three heartbeats of a line
/// that nobody is at the other end of.
const QUIET: Duration = Duration::from_secs(100);

/// A line between the node and a lookupd.
struct Line {
    place: usize,
    conn: ConnId,
    to: Vec<u8>,
    back: Vec<u8>,
    /// Nothing comes through, and neither end knows.
    cut: bool,
    /// So much comes through at a time.
    pace: usize,
}

struct World {
    node: FakeNode,
    lookupds: Vec<Option<FakeLookupd>>,
    lines: BTreeMap<LinkId, Line>,
    /// Connections whose other end is gone without a word.
    ghosts: Vec<(usize, ConnId)>,
    /// Dials to a lookupd that is cut off are not answered.
    mute: [bool; 2],
    /// Which lookupds are named.
    named: Vec<&'static str>,
    random: Random,
    jobs: u32,
    digest: Sha1,
    seen: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let to = registration(&PLACES);
        let (access, console) = (Access::default(), Console::default());
        let node = FakeNode::registered(access, console, Legacy::default(), Vec::new(), to);
        let mut world = Self {
            node,
            lookupds: vec![None, None],
            lines: BTreeMap::new(),
            ghosts: Vec::new(),
            mute: [false; 2],
            named: PLACES.to_vec(),
            random: Random::seeded(seed),
            jobs: 0,
            digest: Sha1::new(),
            seen: BTreeMap::new(),
        };
        (0..PLACES.len()).for_each(|place| world.revive(place));
        world
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(count).expect("small"))).expect("small")
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn revive(&mut self, place: usize) {
        if self.lookupds[place].is_none() {
            let mut lookupd = FakeLookupd::new(Access {
                hosts: PLACES.map(str::to_owned).to_vec(),
                ..Access::default()
            });
            lookupd.now = self.node.now;
            // It has a simulation of its own.
            lookupd.trusted = true;
            self.lookupds[place] = Some(lookupd);
        }
    }

    /// A lookupd dies. With its host nobody says so.
    fn kill(&mut self, place: usize, silently: bool) {
        self.lookupds[place] = None;
        self.ghosts.retain(|(at, _)| *at != place);
        let lines = self.lines.iter().filter(|(_, line)| line.place == place);
        for link in lines.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.lines.remove(&link);
            if !silently {
                self.node.link_closed(link);
            }
        }
    }

    fn step(&mut self) {
        let place = self.pick(PLACES.len());
        match self.random.below(20) {
            0..=3 => self.load(),
            4 | 5 => self.unload(),
            6 | 7 => self.scale(),
            8 | 9 => self.exit(),
            10 => self.kill_and_count(place),
            11 | 12 => self.revive(place),
            13 => self.cut(),
            14 => self.break_line(),
            15 => {
                let pace = 1 + self.pick(200);
                self.lines.values_mut().for_each(|line| line.pace = pace);
                self.count("slow lines");
            }
            16 => self.mute[place] ^= true,
            17 => self.reconfigure(),
            18 => self.pass(Duration::from_secs(20)),
            _ => {
                let millis = self.random.below(3_000);
                self.pass(Duration::from_millis(millis));
            }
        }
    }

    fn load(&mut self) {
        self.jobs += 1;
        let number = self.random.below(4);
        let body = json!({"name": format!("j{}", self.jobs), "cmd": "x", "numprocesses": number});
        self.node.ask("POST /jobs/s", &body.to_string());
    }

    fn some_job(&mut self) -> Option<String> {
        let jobs: Vec<String> =
            self.node.gaffer.supervisor().job_names().map(ToString::to_string).collect();
        let at = self.pick(jobs.len().max(1));
        jobs.get(at).map(|job| job.replace('.', "/"))
    }

    fn unload(&mut self) {
        if let Some(job) = self.some_job() {
            self.node.ask(&format!("DELETE /jobs/{job}"), "");
        }
    }

    fn scale(&mut self) {
        if let Some(job) = self.some_job() {
            let number = self.random.below(40);
            let body = json!({"scale": format!("={number}")}).to_string();
            self.node.ask(&format!("POST /jobs/{job}/numprocesses"), &body);
        }
    }

    fn os_pids(&self) -> Vec<OsPid> {
        let supervisor = self.node.gaffer.supervisor();
        let instances = supervisor.live_pids().filter_map(|pid| supervisor.instance_id(pid).ok());
        instances.filter_map(|id| supervisor.os_pid(id)).collect()
    }

    fn exit(&mut self) {
        let all = self.os_pids();
        let at = self.pick(all.len().max(1));
        if let Some(os_pid) = all.get(at) {
            self.node.exit(*os_pid, ExitStatus::Code(1), false);
        }
    }

    fn kill_and_count(&mut self, place: usize) {
        let silently = self.pick(2) == 0;
        self.count(if silently { "hosts that die" } else { "lookupds that die" });
        self.kill(place, silently);
    }

    fn some_line(&mut self) -> Option<LinkId> {
        let links: Vec<LinkId> = self.lines.keys().copied().collect();
        let at = self.pick(links.len().max(1));
        links.get(at).copied()
    }

    fn cut(&mut self) {
        if let Some(link) = self.some_line() {
            self.count("lines that are cut");
            self.lines.get_mut(&link).expect("it is there").cut = true;
        }
    }

    /// Both ends are told, or the node alone.
    fn break_line(&mut self) {
        let Some(link) = self.some_line() else { return };
        let line = self.lines.remove(&link).expect("it is there");
        if line.cut || self.pick(2) == 0 {
            self.count("ghosts");
            self.ghosts.push((line.place, line.conn));
        } else {
            self.count("lines that break");
            if let Some(lookupd) = &mut self.lookupds[line.place] {
                lookupd.vanish(line.conn);
            }
        }
        self.node.link_closed(link);
    }

    fn reconfigure(&mut self) {
        self.count("changes of the configuration");
        self.named = match self.random.below(4) {
            0 => vec![PLACES[0]],
            1 => vec![PLACES[1]],
            _ => PLACES.to_vec(),
        };
        let mut to = registration(&self.named);
        if self.pick(3) == 0 {
            to.identity.origin = format!("http://n1:{}", 5000 + self.pick(2));
        }
        self.node.registration = to;
        self.node.reconfigure(Vec::new());
    }

    /// Carries everything that there is to carry.
    fn exchange(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.answer_dials();
            for link in self.lines.keys().copied().collect::<Vec<_>>() {
                moved |= self.carry(link);
            }
            if !moved {
                return;
            }
        }
        panic!("they talk for ever");
    }

    fn answer_dials(&mut self) -> bool {
        let dialled = std::mem::take(&mut self.node.dialled);
        let any = !dialled.is_empty();
        for (link, address) in dialled {
            let Address::Tcp { host, .. } = &address else { panic!("{address}") };
            let place = PLACES.iter().position(|name| name == host).expect("a lookupd");
            if self.node.link_is_over(link) || self.mute[place] {
                continue;
            }
            match &mut self.lookupds[place] {
                None => self.node.link_failed(link, "Connection refused"),
                Some(lookupd) => {
                    let conn = lookupd.connect();
                    let (to, back) = (Vec::new(), Vec::new());
                    let line = Line { place, conn, to, back, cut: false, pace: 10_000 };
                    self.lines.insert(link, line);
                    self.node.link_opened(link);
                }
            }
        }
        any
    }

    /// Carries what there is on one line; whether anything was.
    fn carry(&mut self, link: LinkId) -> bool {
        let Some(line) = self.lines.get_mut(&link) else { return false };
        let owed = self.node.take_link_output(link, line.pace);
        line.to.extend_from_slice(&owed);
        let over = self.node.link_is_over(link);
        let Some(lookupd) = self.lookupds[line.place].as_mut().filter(|_| !line.cut) else {
            if over {
                let line = self.lines.remove(&link).expect("it is there");
                self.ghosts.push((line.place, line.conn));
                self.node.link_closed(link);
            }
            return over || !owed.is_empty();
        };
        let to = std::mem::take(&mut line.to);
        if !to.is_empty() {
            lookupd.send(line.conn, &to, &mut || usize::MAX);
        }
        line.back.extend(lookupd.take_answer(line.conn));
        let closed = lookupd.machine.is_finished(line.conn);
        let back: Vec<u8> = line.back.drain(..line.back.len().min(line.pace)).collect();
        let ends = over || closed && line.back.is_empty();
        let conn = line.conn;
        if ends {
            lookupd.vanish(conn);
            self.lines.remove(&link);
        }
        if !back.is_empty() {
            self.node.link_received(link, &back);
        }
        if ends {
            self.node.link_closed(link);
        }
        ends || !owed.is_empty() || !to.is_empty() || !back.is_empty()
    }

    /// Time passes, from one deadline of anybody to the next.
    fn pass(&mut self, by: Duration) {
        let target = self.node.now.plus(by).mono;
        loop {
            self.exchange();
            let all = self.lookupds.iter().flatten().map(|lookupd| lookupd.machine.deadline());
            let next = all.chain([self.node.gaffer.deadline()]).flatten().min();
            let next = next.unwrap_or(target).min(target);
            let wait = next.saturating_duration_since(self.node.now.mono);
            self.node.advance(wait);
            self.lookupds.iter_mut().flatten().for_each(|lookupd| lookupd.advance(wait));
            self.close_ghosts();
            if next == target {
                self.exchange();
                return;
            }
        }
    }

    /// What a lookupd gives up is gone, though nobody hears of it.
    fn close_ghosts(&mut self) {
        for (place, conn) in std::mem::take(&mut self.ghosts) {
            let Some(lookupd) = &mut self.lookupds[place] else { continue };
            // What it says goes nowhere.
            lookupd.take_answer(conn);
            if lookupd.machine.is_finished(conn) {
                lookupd.vanish(conn);
            } else {
                self.ghosts.push((place, conn));
            }
        }
    }

    fn note(&mut self) {
        let view = self.node.get("/lookupds");
        self.digest.update(view.to_string().as_bytes());
    }

    /// Everything works again, and a while passes; gives how long it took until all was true.
    fn quiet(&mut self) -> Duration {
        (0..PLACES.len()).for_each(|place| self.revive(place));
        self.mute = [false; 2];
        for line in self.lines.values_mut() {
            (line.cut, line.pace) = (false, 10_000);
        }
        let piece = Duration::from_secs(5);
        let mut took = Duration::ZERO;
        let mut passed = Duration::ZERO;
        while passed < QUIET {
            self.pass(piece);
            passed += piece;
            if self.check().is_err() {
                took = passed + piece;
            }
        }
        self.check().expect("what is known is what is so");
        took
    }

    /// Whether each lookupd knows what it should.
    fn check(&mut self) -> Result<(), String> {
        let truth = self.truth();
        for (place, name) in PLACES.iter().enumerate() {
            let wanted = self.named.contains(name);
            let lookupd = self.lookupds[place].as_mut().expect("it lives");
            let nodes = get(lookupd, "/nodes")["nodes"].as_array().map_or(0, Vec::len);
            if nodes != usize::from(wanted) {
                let view = self.node.get("/lookupds");
                return Err(format!("{name} knows {nodes} nodes; {view}"));
            }
            let known = known(lookupd);
            if wanted && known != truth {
                return Err(format!("{name} knows {known:?}, and it is {truth:?}"));
            }
        }
        Ok(())
    }

    /// What runs on the node.
    fn truth(&mut self) -> BTreeMap<String, BTreeSet<u64>> {
        let names: Vec<String> =
            self.node.gaffer.supervisor().job_names().map(ToString::to_string).collect();
        let mut all = BTreeMap::new();
        for name in names {
            let job = self.node.get(&format!("/jobs/{}", name.replace('.', "/")));
            all.insert(name, numbers(&job["processes"]));
        }
        all
    }
}

fn numbers(list: &Value) -> BTreeSet<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

fn get(lookupd: &mut FakeLookupd, path: &str) -> Value {
    let conn = lookupd.connect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    lookupd.send(conn, request.as_bytes(), &mut || usize::MAX);
    let answer = String::from_utf8(lookupd.take_answer(conn)).expect("text");
    lookupd.vanish(conn);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).expect("JSON")
}

/// What a lookupd knows of all nodes.
fn known(lookupd: &mut FakeLookupd) -> BTreeMap<String, BTreeSet<u64>> {
    let jobs = get(lookupd, "/jobs");
    let job = |job: &Value| {
        let sources = job["sources"].as_array().into_iter().flatten();
        let pids = sources.flat_map(|source| numbers(&source["pids"])).collect();
        (job["name"].as_str().expect("a name").to_owned(), pids)
    };
    jobs["jobs"].as_array().into_iter().flatten().map(job).collect()
}

/// Plays a seed; gives its digest, how long the truth took, and what came up.
fn play(seed: u64) -> (String, Duration, BTreeMap<&'static str, u64>) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.exchange();
        world.note();
    }
    let took = world.quiet();
    world.note();
    if seed % 3 == 0 {
        world.node.signal(Signal::TERM);
        world.pass(Duration::from_secs(1));
        for lookupd in world.lookupds.iter_mut().flatten() {
            assert_eq!(get(lookupd, "/nodes"), json!({"nodes": []}), "it took leave");
        }
    }
    (HEXLOWER.encode(&world.digest.finalize()), took, world.seen)
}

fn play_twice(seed: u64) -> (Duration, BTreeMap<&'static str, u64>) {
    let _replay = Replay { seed, test: "registration_simulation::one_seed" };
    let (digest, took, seen) = play(seed);
    assert_eq!(play(seed).0, digest, "the same seed plays the same");
    (took, seen)
}

#[test]
fn each_lookupd_knows_what_runs_when_all_is_quiet() {
    let (mut all, mut longest) = (BTreeMap::new(), Duration::ZERO);
    for seed in 1..=SEEDS {
        let (took, seen) = play_twice(seed);
        longest = longest.max(took);
        for (what, count) in seen {
            *all.entry(what).or_insert(0) += count;
        }
    }
    println!("true again after {longest:?} at the latest; {all:?}");
    // A simulation in which nothing happens proves nothing.
    assert_eq!(all.len(), 7, "{all:?}");
    assert!(all.values().all(|count| *count >= SEEDS / 10), "{all:?}");
}

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}
