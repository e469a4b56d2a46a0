//! Nodes, lookupds and one etcd in one virtual time, with lines between them that carry bytes: slow, cut
//! without a word, or broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::address::{Address, Cluster, Directory};
use gaffer::base::clock::Now;
use gaffer::base::ids::LinkId;
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::lookups::{Identity, Registration};
use gaffer::node::machine::Machine as _;

use crate::api_traces::file_job;
use crate::driven::Driven;
use crate::fake_etcd::FakeEtcd;
use crate::fake_lookupd::FakeLookupd;
use crate::fake_node::{open, FakeNode};

/// Who has a line to the etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Node(usize),
    Lookupd(usize),
}

/// A line.
pub(crate) struct Line {
    conn: u64,
    /// What is on its way there,
    to: Vec<u8>,
    /// and back.
    back: Vec<u8>,
    /// Nothing comes through, and neither end knows.
    pub(crate) cut: bool,
    /// So much comes through at a time.
    pub(crate) pace: usize,
}

/// All of them.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) etcd: FakeEtcd,
    /// Whether it runs.
    pub(crate) up: bool,
    /// Dials are not answered.
    pub(crate) mute: bool,
    pub(crate) nodes: Vec<Option<FakeNode>>,
    pub(crate) lookupds: Vec<Option<FakeLookupd>>,
    pub(crate) lines: BTreeMap<(Who, LinkId), Line>,
    /// Who sleeps: nothing of it goes on.
    pub(crate) asleep: BTreeSet<Who>,
    /// What is still on its way on lines that were given up.
    pub(crate) late: Vec<(u64, Vec<u8>)>,
}

/// What runs, by the names of nodes and jobs.
pub(crate) type Truth = BTreeMap<String, BTreeMap<String, BTreeSet<u64>>>;

pub(crate) fn cluster() -> Cluster {
    let member = |host: &str| Address::Tcp { host: host.into(), port: 2379 };
    Cluster { members: vec![member("e1"), member("e2")], prefix: "g".into() }
}

pub(crate) fn registration(name: &str) -> Registration {
    let identity = Identity { name: name.into(), origin: format!("http://{name}:5000") };
    Registration { lookups: vec![Directory::Etcd(cluster())], identity }
}

/// The node's own key.
pub(crate) fn key(name: &str) -> String {
    format!("g/nodes/{name}@http:%2F%2F{name}:5000")
}

impl World {
    /// With so many nodes and lookupds.
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn new(nodes: usize, lookupds: usize) -> Self {
        let mono = std::time::Instant::now();
        let now = Now { mono, wall: std::time::UNIX_EPOCH + Duration::from_secs(784_111_777) };
        let mut world = Self {
            now,
            etcd: FakeEtcd::new(mono),
            up: true,
            mute: false,
            nodes: (0..nodes).map(|_| None).collect(),
            lookupds: (0..lookupds).map(|_| None).collect(),
            lines: BTreeMap::new(),
            asleep: BTreeSet::new(),
            late: Vec::new(),
        };
        for number in 0..nodes {
            world.start_node(number, &format!("n{number}"), &[]);
        }
        for number in 0..lookupds {
            world.start_lookupd(number);
        }
        world
    }

    /// A node begins, with these jobs.
    pub(crate) fn start_node(&mut self, number: usize, name: &str, jobs: &[&str]) {
        let files = jobs.iter().map(|job| file_job(job)).collect();
        let setup = (Access::default(), Console::default(), Legacy::default());
        let mut node = FakeNode::begun(setup, files, (registration(name), open()), self.now);
        node.advance(Duration::ZERO);
        self.nodes[number] = Some(node);
    }

    pub(crate) fn start_lookupd(&mut self, number: usize) {
        let mut lookupd = FakeLookupd::of(Access::default(), Some(cluster()));
        lookupd.now = self.now;
        lookupd.settle();
        self.lookupds[number] = Some(lookupd);
    }

    /// Somebody dies; with his host nobody says so.
    pub(crate) fn kill(&mut self, who: Who, silently: bool) {
        match who {
            Who::Node(number) => self.nodes[number] = None,
            Who::Lookupd(number) => self.lookupds[number] = None,
        }
        self.asleep.remove(&who);
        let lines: Vec<_> = self.lines.keys().filter(|(of, _)| *of == who).copied().collect();
        for key in lines {
            let line = self.lines.remove(&key).expect("it is there");
            if !silently {
                self.etcd.close(line.conn);
            }
        }
    }

    /// The etcd is gone; with its host nobody says so.
    pub(crate) fn stop_etcd(&mut self, silently: bool) {
        self.up = false;
        self.etcd.restart();
        if silently {
            self.lines.values_mut().for_each(|line| line.cut = true);
        } else {
            for key in self.lines.keys().copied().collect::<Vec<_>>() {
                self.break_line(key);
            }
        }
    }

    /// A line breaks, and who has it is told.
    pub(crate) fn break_line(&mut self, (who, link): (Who, LinkId)) {
        let line = self.lines.remove(&(who, link)).expect("it is there");
        self.etcd.close(line.conn);
        self.with(who, |driven| driven.closed(link));
    }

    pub(crate) fn node(&mut self, number: usize) -> &mut FakeNode {
        self.nodes[number].as_mut().expect("it runs")
    }

    pub(crate) fn lookupd(&mut self, number: usize) -> &mut FakeLookupd {
        self.lookupds[number].as_mut().expect("it runs")
    }

    /// How a node sees the etcd.
    pub(crate) fn view(&mut self, number: usize) -> Value {
        self.node(number).get("/lookupds")["lookupds"][0].clone()
    }

    fn with(&mut self, who: Who, act: impl FnOnce(&mut dyn Linked)) {
        match who {
            Who::Node(number) => {
                if let Some(node) = &mut self.nodes[number] {
                    act(node);
                }
            }
            Who::Lookupd(number) => {
                if let Some(lookupd) = &mut self.lookupds[number] {
                    act(lookupd);
                }
            }
        }
    }

    fn all(&self) -> Vec<Who> {
        let nodes = (0..self.nodes.len()).map(Who::Node);
        let all = nodes.chain((0..self.lookupds.len()).map(Who::Lookupd));
        all.filter(|who| !self.asleep.contains(who)).collect()
    }

    /// What was given up arrives after all.
    pub(crate) fn deliver_late(&mut self) {
        for (conn, bytes) in std::mem::take(&mut self.late) {
            self.etcd.receive(conn, &bytes);
            self.etcd.close(conn);
        }
    }

    /// Carries everything that there is to carry.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..20_000 {
            let mut moved = false;
            for who in self.all() {
                moved |= self.answer_dials(who);
            }
            for (who, link) in self.lines.keys().copied().collect::<Vec<_>>() {
                if !self.asleep.contains(&who) {
                    moved |= self.carry(who, link);
                }
            }
            if !moved {
                return;
            }
        }
        panic!("they talk for ever");
    }

    fn answer_dials(&mut self, who: Who) -> bool {
        let mut dialled = Vec::new();
        self.with(who, |driven| dialled = driven.take_dialled());
        let any = !dialled.is_empty();
        for link in dialled {
            let mut over = false;
            self.with(who, |driven| over = driven.over(link));
            if over || self.mute {
                continue;
            }
            if !self.up {
                self.with(who, |driven| driven.failed(link));
                continue;
            }
            let conn = self.etcd.connect();
            let (to, back) = (Vec::new(), Vec::new());
            self.lines.insert((who, link), Line { conn, to, back, cut: false, pace: 1 << 20 });
            self.with(who, |driven| driven.opened(link));
        }
        any
    }

    /// Carries what there is on one line; whether anything was.
    fn carry(&mut self, who: Who, link: LinkId) -> bool {
        let Some(mut line) = self.lines.remove(&(who, link)) else { return false };
        let (mut owed, mut over) = (Vec::new(), false);
        let pace = line.pace;
        self.with(who, |driven| {
            owed = driven.take(link, pace);
            over = driven.over(link);
        });
        line.to.extend_from_slice(&owed);
        if over {
            // Whatever was on its way may arrive, and the far end learns of it or does not.
            if line.cut {
                self.late.push((line.conn, line.to));
            } else {
                self.etcd.receive(line.conn, &line.to);
                self.etcd.close(line.conn);
            }
            self.with(who, |driven| driven.closed(link));
            return true;
        }
        if line.cut || !self.up {
            let moved = !owed.is_empty();
            self.lines.insert((who, link), line);
            return moved;
        }
        let to = std::mem::take(&mut line.to);
        if !to.is_empty() {
            self.etcd.receive(line.conn, &to);
        }
        line.back.extend(self.etcd.take(line.conn, usize::MAX));
        let back: Vec<u8> = line.back.drain(..line.back.len().min(line.pace)).collect();
        let ends = !self.etcd.has(line.conn) && line.back.is_empty();
        if !ends {
            self.lines.insert((who, link), line);
        }
        if !back.is_empty() {
            self.with(who, |driven| driven.received(link, &back));
        }
        if ends {
            self.with(who, |driven| driven.closed(link));
        }
        ends || !owed.is_empty() || !to.is_empty() || !back.is_empty()
    }

    /// Time passes, from one deadline of anybody to the next.
    pub(crate) fn pass(&mut self, by: Duration) {
        let target = self.now.plus(by).mono;
        loop {
            self.exchange();
            let mut next = target;
            for who in self.all() {
                self.with(who, |driven| next = next.min(driven.due().unwrap_or(target)));
            }
            if self.up {
                next = next.min(self.etcd.deadline().unwrap_or(target));
            }
            let wait = next.saturating_duration_since(self.now.mono);
            self.now = self.now.plus(wait);
            for who in self.all() {
                self.with(who, |driven| driven.pass(wait));
            }
            // While it is down its leases do not run out.
            match self.up {
                true => self.etcd.advance(wait),
                false => self.etcd.now += wait,
            }
            if next == target {
                self.exchange();
                return;
            }
        }
    }

    /// Somebody who slept wakes up, and it is as late as it is.
    pub(crate) fn wake(&mut self, who: Who) {
        self.asleep.remove(&who);
        let now = self.now;
        self.with(who, |driven| driven.wake(now));
    }

    /// What runs on the nodes that live.
    pub(crate) fn truth(&mut self) -> Truth {
        let mut truth = Truth::new();
        for node in self.nodes.iter_mut().flatten() {
            let name = node.registration.identity.name.clone();
            truth.insert(name, jobs_of(node));
        }
        truth
    }

    /// What a lookupd answers that runs; `None` while it does not know.
    pub(crate) fn known(&mut self, number: usize) -> Option<Truth> {
        let lookupd = self.lookupd(number);
        let (status, nodes) = lookupd.get("/nodes");
        if status != 200 {
            assert_eq!(status, 503);
            return None;
        }
        let names = nodes["nodes"].as_array().into_iter().flatten();
        let mut known: Truth = names.map(|node| (word(&node["name"]), BTreeMap::new())).collect();
        let (_, jobs) = lookupd.get("/jobs");
        for job in jobs["jobs"].as_array().into_iter().flatten() {
            for source in job["sources"].as_array().into_iter().flatten() {
                let of = known.get_mut(&word(&source["name"])).expect("its node is there");
                of.insert(word(&job["name"]), numbers(&source["pids"]));
            }
        }
        Some(known)
    }

    /// Checks that each lookupd knows what runs.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let truth = self.truth();
        for number in 0..self.lookupds.len() {
            if self.lookupds[number].is_none() {
                continue;
            }
            let known = self.known(number);
            if known.as_ref() != Some(&truth) {
                let views: Vec<Value> =
                    self.nodes.iter_mut().flatten().map(|node| node.get("/lookupds")).collect();
                let store = self.lookupd(number).get("/").1;
                return Err(format!(
                    "lookupd {number} knows {known:?}, and it is {truth:?}; {store}; {views:?}; {:?}",
                    self.etcd.keys()
                ));
            }
        }
        Ok(())
    }
}

fn word(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn numbers(list: &Value) -> BTreeSet<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

fn jobs_of(node: &mut FakeNode) -> BTreeMap<String, BTreeSet<u64>> {
    let names: Vec<String> =
        node.gaffer.supervisor().job_names().map(ToString::to_string).collect();
    let mut all = BTreeMap::new();
    for name in names {
        let job = node.get(&format!("/jobs/{}", name.replacen('.', "/", 1)));
        all.insert(name, numbers(&job["processes"]));
    }
    all
}

/// Loads a job on a node.
pub(crate) fn load(node: &mut FakeNode, name: &str, count: u64) {
    let body = json!({"name": name, "cmd": "x", "numprocesses": count}).to_string();
    node.ask("POST /jobs/s", &body);
}

/// Whose connections are carried.
trait Linked {
    fn take_dialled(&mut self) -> Vec<LinkId>;
    fn opened(&mut self, link: LinkId);
    fn failed(&mut self, link: LinkId);
    fn received(&mut self, link: LinkId, bytes: &[u8]);
    fn closed(&mut self, link: LinkId);
    fn take(&mut self, link: LinkId, most: usize) -> Vec<u8>;
    fn over(&mut self, link: LinkId) -> bool;
    fn due(&mut self) -> Option<std::time::Instant>;
    fn pass(&mut self, by: Duration);
    fn wake(&mut self, now: Now);
}

impl<D: Driven + Dialler> Linked for D {
    fn take_dialled(&mut self) -> Vec<LinkId> {
        std::mem::take(self.dialled()).into_iter().map(|(link, _)| link).collect()
    }

    fn opened(&mut self, link: LinkId) {
        self.link_opened(link);
    }

    fn failed(&mut self, link: LinkId) {
        self.link_failed(link, "Connection refused");
    }

    fn received(&mut self, link: LinkId, bytes: &[u8]) {
        self.link_received(link, bytes);
    }

    fn closed(&mut self, link: LinkId) {
        self.link_closed(link);
    }

    fn take(&mut self, link: LinkId, most: usize) -> Vec<u8> {
        self.take_link_output(link, most)
    }

    fn over(&mut self, link: LinkId) -> bool {
        self.link_is_over(link)
    }

    fn due(&mut self) -> Option<std::time::Instant> {
        self.machine().deadline()
    }

    fn pass(&mut self, by: Duration) {
        self.advance(by);
    }

    fn wake(&mut self, now: Now) {
        *self.clock() = now;
        self.advance(Duration::ZERO);
    }
}

/// Who dials.
trait Dialler {
    fn dialled(&mut self) -> &mut Vec<(LinkId, Address)>;
}

impl Dialler for FakeNode {
    fn dialled(&mut self) -> &mut Vec<(LinkId, Address)> {
        &mut self.dialled
    }
}

impl Dialler for FakeLookupd {
    fn dialled(&mut self) -> &mut Vec<(LinkId, Address)> {
        &mut self.dialled
    }
}
