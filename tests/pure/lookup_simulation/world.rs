//! Nodes, lines, followers and the clock, and what happens to them at random.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use data_encoding::HEXLOWER;
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::front::sockjs;
use gaffer::lookup::lookupd::{Lookupd, Setup};
use gaffer::lookup::registry::Scope;
use gaffer::node::machine::Machine as _;

use super::follower::{Follower, Picture};
use super::node::{garbage, Link, Node};
use sha1::{Digest as _, Sha1};

use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::lookup_node::Socket;
use crate::ws_client::{self, Said};

/// What came up in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// What has to.
    pub(super) const EXPECTED: [&'static str; 15] = [
        "nodes that are known",
        "nodes that are refused",
        "nodes that wait",
        "lost connections that were found out",
        "nodes that were silent for too long",
        "lines that are cut",
        "lines that deliver late",
        "lines that break",
        "programs that hang",
        "twins",
        "sleeps of the lookupd",
        "jumps of the wall clock",
        "snapshots",
        "followers who lost something",
        "messages that are none",
    ];

    fn count(&mut self, what: &'static str) {
        assert!(Self::EXPECTED.contains(&what), "{what} is not expected");
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

const NODES: usize = 6;
const FOLLOWERS: usize = 3;

pub(super) struct World {
    lookupd: FakeLookupd,
    random: Random,
    nodes: Vec<Node>,
    /// Connections that their nodes have given up, while the lookupd knows nothing of it.
    ghosts: Vec<Link>,
    followers: Vec<Follower>,
    digest: Sha1,
    seen: Seen,
}

impl World {
    /// Plays a seed to its quiet end; gives a digest of all that was said.
    pub(super) fn run(seed: u64, steps: usize) -> (String, Seen) {
        let mut lookupd = FakeLookupd::new(Access::default());
        // A queue that a stalled follower fills.
        let stream = sockjs::Options { queue: 80 * 1024, ..sockjs::Options::default() };
        let setup = Setup { access: Access::default(), clients: 1_000, stream, seed, store: None };
        lookupd.machine = Lookupd::new(setup);
        let start = lookupd.now.mono;
        let node = |number| Node::new(format!("n{}", number % (NODES - 1)), start);
        let mut world = Self {
            lookupd,
            random: Random::seeded(seed),
            nodes: (0..NODES).map(node).collect(),
            ghosts: Vec::new(),
            followers: Vec::new(),
            digest: Sha1::new(),
            seen: Seen::default(),
        };
        for _ in 0..FOLLOWERS {
            world.followers.push(Follower::new(&mut world.lookupd));
        }
        // Everything is looked at behind each step.
        world.lookupd.trusted = true;
        for _ in 0..steps {
            world.step();
            world.exchange();
            world.lookupd.machine.sweep().expect("what is always so");
        }
        world.quiet();
        (HEXLOWER.encode(&world.digest.finalize()), world.seen)
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(count).expect("small"))).expect("small")
    }

    fn step(&mut self) {
        let who = self.pick(NODES);
        match self.random.below(24) {
            0..=6 => {
                let messages = self.nodes[who].change(&mut self.random);
                self.say(who, messages);
            }
            7 => {
                let messages = self.nodes[who].nothing_new(&mut self.random);
                self.say(who, messages);
            }
            8 => self.say_garbage(who),
            9 => self.cut(who),
            10 => self.give_up(),
            11 => self.deliver_late(),
            12 => self.vanish(who),
            13 if !self.nodes[who].hangs => {
                self.seen.count("programs that hang");
                self.nodes[who].hangs = true;
            }
            13 | 14 => self.nodes[who].hangs = false,
            15 => self.sleep(),
            16 => self.jump(),
            17 => self.flood(who),
            18 => {
                let follower = self.pick(FOLLOWERS);
                self.followers[follower].stalls ^= true;
            }
            19 => self.pass(Duration::from_secs(20)),
            _ => {
                let millis = self.random.below(8_000);
                self.pass(Duration::from_millis(millis));
            }
        }
    }

    /// A node says something, if it is known; what a cut line does not carry waits in it.
    fn say(&mut self, who: usize, messages: Vec<Value>) {
        let node = &mut self.nodes[who];
        if node.hangs {
            // It says everything anew when it is known again.
            if let Some(link) = node.link.take() {
                self.lookupd.vanish(link.socket.conn);
            }
            return;
        }
        let Some(link) = node.link.as_mut().filter(|link| link.identified) else { return };
        for message in messages {
            if link.cut {
                link.late.push(message);
            } else {
                link.socket.say(&mut self.lookupd, &message);
            }
        }
    }

    fn say_garbage(&mut self, who: usize) {
        let Some(link) = self.nodes[who].link.as_ref().filter(|link| !link.cut) else { return };
        self.seen.count("messages that are none");
        let bytes = garbage(&mut self.random);
        let opcode = if self.random.below(5) == 0 { ws_client::BINARY } else { ws_client::TEXT };
        link.socket.send(&mut self.lookupd, opcode, &bytes);
    }

    /// A line is cut: neither side notices.
    fn cut(&mut self, who: usize) {
        if let Some(link) = self.nodes[who].link.as_mut().filter(|link| !link.cut) {
            self.seen.count("lines that are cut");
            link.cut = true;
        }
    }

    /// A node finds that its line is cut, and comes back over another.
    fn give_up(&mut self) {
        for node in &mut self.nodes {
            if let Some(link) = node.link.take_if(|link| link.cut) {
                self.ghosts.push(link);
                node.next = self.lookupd.now.mono;
            }
        }
    }

    /// What a cut line held comes after all, or its end does.
    fn deliver_late(&mut self) {
        if self.ghosts.is_empty() {
            return;
        }
        let which = self.pick(self.ghosts.len());
        let link = self.ghosts.swap_remove(which);
        if self.random.below(4) > 0 {
            self.seen.count("lines that deliver late");
            for message in &link.late {
                link.socket.say(&mut self.lookupd, message);
            }
        }
        if self.random.below(2) == 0 {
            self.seen.count("lines that break");
            return self.lookupd.vanish(link.socket.conn);
        }
        self.ghosts.push(Link { late: Vec::new(), ..link });
    }

    fn vanish(&mut self, who: usize) {
        if let Some(link) = self.nodes[who].link.take() {
            self.lookupd.vanish(link.socket.conn);
        }
    }

    /// The lookupd does not run for a while. Time passes for the others; what they say is there when
    /// it wakes.
    fn sleep(&mut self) {
        if self.random.below(3) > 0 {
            return;
        }
        self.seen.count("sleeps of the lookupd");
        let time = Duration::from_secs(60 + self.random.below(600));
        self.lookupd.oversleep(time);
        self.lookupd.advance(Duration::ZERO);
        self.exchange();
        self.beat();
    }

    fn jump(&mut self) {
        self.seen.count("jumps of the wall clock");
        let seconds = self.random.below(2_000_000_000);
        self.lookupd.now.wall = UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(self.lookupd.now.wall > SystemTime::UNIX_EPOCH);
    }

    /// A node starts and ends many processes, so that who does not read falls behind.
    fn flood(&mut self, who: usize) {
        for _ in 0..400 {
            let messages = self.nodes[who].change(&mut self.random);
            self.say(who, messages);
        }
    }

    /// Time passes, second by second, so that nodes do what they do in time.
    fn pass(&mut self, time: Duration) {
        let until = self.lookupd.now.mono + time;
        while self.lookupd.now.mono < until {
            let left = until - self.lookupd.now.mono;
            self.lookupd.advance(left.min(Duration::from_millis(500)));
            self.exchange();
            self.beat();
        }
    }

    /// Each node whose time it is says that it lives, or tries to be known.
    fn beat(&mut self) {
        let now = self.lookupd.now.mono;
        for who in 0..NODES {
            let node = &mut self.nodes[who];
            if node.hangs || node.next > now {
                continue;
            }
            match &mut node.link {
                Some(link) if link.cut => {
                    link.late.push(serde_json::json!({"msgid": 0, "type": "PING"}))
                }
                Some(link) => {
                    // Until it is answered it says nothing more.
                    if link.identified {
                        let ping = self.nodes[who].ping();
                        self.say(who, vec![ping]);
                    }
                }
                None => {
                    let socket = Socket::open(&mut self.lookupd, "/ws");
                    let identify = node.identify();
                    socket.say(&mut self.lookupd, &identify);
                    let (identified, cut) = (false, false);
                    node.link = Some(Link { socket, identified, cut, late: Vec::new() });
                }
            }
            self.nodes[who].rest(now, &mut self.random);
        }
        self.exchange();
    }

    /// Everybody reads what there is to read.
    fn exchange(&mut self) {
        for who in 0..NODES {
            self.read_node(who);
        }
        // The kernel takes what is sent on a cut line, and nobody hears it.
        self.ghosts.retain(|link| {
            self.lookupd.take_answer(link.socket.conn);
            let over = self.lookupd.machine.is_finished(link.socket.conn);
            if over {
                self.seen.count("lost connections that were found out");
                self.lookupd.vanish(link.socket.conn);
            }
            !over
        });
        for number in 0..FOLLOWERS {
            let most = 1 << (6 + self.random.below(12));
            let bytes = self.followers[number].read(&mut self.lookupd, most);
            self.digest.update(&bytes);
            if self.followers[number].is_lost {
                self.seen.count("followers who lost something");
                self.followers[number].leave(&mut self.lookupd);
                self.followers[number] = Follower::new(&mut self.lookupd);
            }
        }
    }

    fn read_node(&mut self, who: usize) {
        let node = &mut self.nodes[who];
        let Some(link) = &mut node.link else { return };
        let bytes = self.lookupd.take_answer(link.socket.conn);
        if link.cut {
            if self.lookupd.machine.is_finished(link.socket.conn) {
                self.lookupd.vanish(link.socket.conn);
                node.link = None;
            }
            return;
        }
        self.digest.update(&bytes);
        let (mut known, mut over) = (false, false);
        for said in link.socket.take(&bytes) {
            match said {
                Said::Text(text) if !link.identified => {
                    let answer: Value = serde_json::from_str(&text).expect("JSON");
                    known |= answer["ok"] == true;
                    over |= answer["errno"] == 409;
                }
                // Whatever is wrong with what it said, it is told, and goes on.
                Said::Text(_) => {}
                Said::Ping(_) => link.socket.send(&mut self.lookupd, ws_client::PONG, b""),
                Said::Close(_, why) => {
                    over = true;
                    match why.as_str() {
                        "it was silent for too long" => {
                            self.seen.count("nodes that were silent for too long");
                        }
                        "it did not say who it is" | "a newer connection took its place" => {}
                        other => panic!("{other}"),
                    }
                }
                Said::Binary(_) | Said::Pong(_) => panic!("{said:?}"),
            }
        }
        if !known && !over && !link.identified {
            self.seen.count("nodes that wait");
        }
        if known {
            self.seen.count("nodes that are known");
            link.identified = true;
            let everything = node.everything();
            self.say(who, everything);
            return;
        }
        if over {
            self.seen.count("nodes that are refused");
            let twins = self.nodes.iter().filter(|other| other.name == self.nodes[who].name);
            if twins.count() > 1 {
                self.seen.count("twins");
            }
            self.vanish(who);
            let now = self.lookupd.now.mono;
            self.nodes[who].rest(now, &mut self.random);
        }
    }

    /// Nothing bad happens for a minute: then everything is as it is.
    fn quiet(&mut self) {
        for node in &mut self.nodes {
            node.hangs = false;
        }
        for follower in &mut self.followers {
            follower.stalls = false;
        }
        self.pass(Duration::from_secs(60));
        while self.followers.iter().any(|follower| follower.has_more(&self.lookupd)) {
            self.exchange();
        }
        self.lookupd.machine.sweep().expect("what is always so");
        let truth = self.truth();
        let known: Picture = self.registry();
        assert_eq!(known, truth, "the registry is what the connected nodes say");
        for follower in &self.followers {
            assert!(follower.is_whole);
            assert_eq!(follower.picture, truth, "and so is what those know who follow");
            self.seen.count("snapshots");
        }
        // Nobody is left out: of each name there is one, and none of another.
        let names: Vec<&String> = truth.keys().collect();
        assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"]);
        assert!(self.ghosts.is_empty(), "who is not heard of is given up");
    }

    fn truth(&self) -> Picture {
        let known = |node: &&Node| node.link.as_ref().is_some_and(|link| link.identified);
        let nodes = self.nodes.iter().filter(known);
        nodes.map(|node| (node.name.clone(), node.truth.clone())).collect()
    }

    fn registry(&self) -> Picture {
        let registry = self.lookupd.machine.registry();
        let nodes = registry.nodes(None);
        let mut picture: Picture =
            nodes.map(|(_, node, _)| (node.name.to_string(), Default::default())).collect();
        for source in registry.sources(&Scope::All, None) {
            let pids = source.pids.iter().copied().collect();
            let jobs = picture.get_mut(&*source.node.name).expect("a node");
            jobs.insert(source.job.to_string(), pids);
        }
        picture
    }
}
