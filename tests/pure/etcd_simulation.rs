//! Whole nodes, a whole etcd of ours and two whole lookupds in one virtual time, with lines that are slow,
//! cut without a word, or broken; an etcd that dies and comes back with its data, without it, or with that
//! of a backup, that compacts its log, lets leases run out, refuses, or stops telling; nodes and lookupds
//! that die, sleep and come back; somebody who writes and deletes keys by hand. When all has been quiet for
//! a while, each lookupd knows exactly what runs on the nodes that live, and whoever follows was told so.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use sha1::{Digest as _, Sha1};

use crate::driven::Driven;
use crate::etcd_world::{load, Who, World};
use crate::lookup_simulation::follower::Follower;
use crate::seeds::{self, Replay};

const SEEDS: u64 = 60;
const STEPS: usize = 100;
const NODES: usize = 3;
const LOOKUPDS: usize = 2;
/// The longest that all may take to be true again: the lease of a dead node, which begins anew when the etcd
/// does, or two looks at a watch, each with its patience and the longest wait behind it.
const QUIET: Duration = Duration::from_secs(150);

struct Simulation {
    world: World,
    followers: Vec<Option<Follower>>,
    random: Random,
    jobs: u32,
    digest: Sha1,
    seen: BTreeMap<&'static str, u64>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut world = World::new(NODES, LOOKUPDS);
        // They have simulations of their own.
        (0..LOOKUPDS).for_each(|number| world.lookupd(number).trusted = true);
        Self {
            world,
            followers: (0..LOOKUPDS).map(|_| None).collect(),
            random: Random::seeded(seed),
            jobs: 0,
            digest: Sha1::new(),
            seen: BTreeMap::new(),
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).expect("small");
        usize::try_from(self.random.below(count)).expect("small")
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..=8 => self.change_jobs(),
            9..=11 => self.kill_or_start_node(),
            12 | 13 => self.kill_or_start_lookupd(),
            14 | 15 => self.sleep_or_wake(),
            16..=18 => self.stop_or_start_etcd(),
            19 | 20 => {
                self.count("logs that are compacted");
                self.world.etcd.compact();
            }
            21 => {
                self.count("leases that run out");
                self.world.etcd.expire_all();
            }
            22 => {
                self.count("refusals");
                self.world.etcd.failing = 1 + u32::try_from(self.pick(6)).expect("small");
            }
            23 => {
                self.world.etcd.mute ^= true;
                self.count("watches that stop");
            }
            24 => self.world.mute ^= true,
            25 | 26 => self.trouble_line(),
            27 => {
                let pace = 1 + self.pick(3_000);
                self.count("slow lines");
                self.world.lines.values_mut().for_each(|line| line.pace = pace);
            }
            28 | 29 => self.meddle(),
            30 => {
                self.count("late words");
                self.world.deliver_late();
            }
            31 => self.reconfigure(),
            32 | 33 => self.world.pass(Duration::from_secs(20)),
            _ => {
                let millis = self.random.below(4_000);
                self.world.pass(Duration::from_millis(millis));
            }
        }
    }

    fn change_jobs(&mut self) {
        let number = self.pick(NODES);
        let kind = self.pick(10);
        if self.world.nodes[number].is_none() || self.world.asleep.contains(&Who::Node(number)) {
            return;
        }
        let node = self.world.node(number);
        let names: Vec<String> =
            node.gaffer.supervisor().job_names().map(ToString::to_string).collect();
        let at = self.pick(names.len());
        let job = names.get(at).map(|name| name.replace('.', "/"));
        let size = self.random.below(if kind == 9 { 40 } else { 4 });
        let node = self.world.node(number);
        match (kind, job) {
            (0..=3, _) | (_, None) => {
                self.jobs += 1;
                let name = format!("j{}", self.jobs);
                load(node, &name, size);
            }
            (4..=5, Some(job)) => drop(node.ask(&format!("DELETE /jobs/{job}"), "")),
            (6..=7, Some(_)) => {
                let supervisor = node.gaffer.supervisor();
                let pids =
                    supervisor.live_pids().filter_map(|pid| supervisor.instance_id(pid).ok());
                let os_pid = pids.filter_map(|id| supervisor.os_pid(id)).next();
                if let Some(os_pid) = os_pid {
                    node.exit(os_pid, ExitStatus::Code(1), false);
                }
            }
            (_, Some(job)) => {
                let body = format!("{{\"scale\": \"={size}\"}}");
                node.ask(&format!("POST /jobs/{job}/numprocesses"), &body);
            }
        }
    }

    fn kill_or_start_node(&mut self) {
        let number = self.pick(NODES);
        if self.world.nodes[number].is_none() {
            return self.world.start_node(number, &format!("n{number}"), &[]);
        }
        if self.pick(3) == 0 && !self.world.asleep.contains(&Who::Node(number)) {
            self.count("nodes that end");
            self.world.node(number).signal(Signal::TERM);
            self.world.pass(Duration::from_secs(1));
        } else {
            self.count("nodes that die");
        }
        let silently = self.pick(2) == 0;
        self.world.kill(Who::Node(number), silently);
        if self.pick(2) == 0 {
            self.world.start_node(number, &format!("n{number}"), &[]);
        }
    }

    fn kill_or_start_lookupd(&mut self) {
        let number = self.pick(LOOKUPDS);
        self.followers[number] = None;
        match self.world.lookupds[number] {
            None => self.start_lookupd(number),
            Some(_) => {
                self.count("lookupds that die");
                let silently = self.pick(2) == 0;
                self.world.kill(Who::Lookupd(number), silently);
            }
        }
    }

    fn start_lookupd(&mut self, number: usize) {
        self.world.start_lookupd(number);
        self.world.lookupd(number).trusted = true;
    }

    fn sleep_or_wake(&mut self) {
        let who = match self.pick(NODES + LOOKUPDS) {
            number @ 0..NODES => Who::Node(number),
            number => Who::Lookupd(number - NODES),
        };
        let is_there = match who {
            Who::Node(number) => self.world.nodes[number].is_some(),
            Who::Lookupd(number) => self.world.lookupds[number].is_some(),
        };
        if self.world.asleep.contains(&who) {
            self.world.wake(who);
        } else if is_there {
            self.count("sleepers");
            self.world.asleep.insert(who);
        }
    }

    fn stop_or_start_etcd(&mut self) {
        if self.world.up {
            self.count("etcds that die");
            let silently = self.pick(3) == 0;
            self.world.stop_etcd(silently);
        } else {
            self.start_etcd();
        }
    }

    fn start_etcd(&mut self) {
        match self.pick(4) {
            0 => {
                self.count("data that is lost");
                self.world.etcd.forget();
            }
            1 => {
                self.count("backups");
                let latest = self.world.etcd.revision();
                let back = i64::try_from(self.pick(20)).expect("small");
                self.world.etcd.go_back((latest - back).max(1));
            }
            _ => {}
        }
        self.world.up = true;
    }

    fn trouble_line(&mut self) {
        let keys: Vec<_> = self.world.lines.keys().copied().collect();
        let at = self.pick(keys.len());
        let Some(key) = keys.get(at).copied() else { return };
        if self.pick(2) == 0 && !self.world.asleep.contains(&key.0) {
            self.count("lines that break");
            self.world.break_line(key);
        } else {
            self.count("lines that are cut");
            self.world.lines.get_mut(&key).expect("it is there").cut = true;
        }
    }

    /// Somebody changes keys by hand.
    fn meddle(&mut self) {
        self.count("strange hands");
        let keys = self.world.etcd.keys();
        let at = self.pick(keys.len());
        match (self.pick(4), keys.get(at)) {
            (0 | 1, Some(key)) => self.world.etcd.delete(key),
            (2, Some(key)) => self.world.etcd.put(&format!("{key}/s.ghost"), "{\"pids\": [1]}"),
            (_, Some(key)) if key.matches('/').count() > 2 => {
                self.world.etcd.put(key, "{\"pids\": [99]}");
            }
            (_, _) => self.world.etcd.put("g/nodes/nonsense", "x"),
        }
    }

    fn reconfigure(&mut self) {
        let number = self.pick(NODES);
        if let Some(node) = self.world.nodes[number].as_mut() {
            if !self.world.asleep.contains(&Who::Node(number)) {
                node.reconfigure(vec![]);
                self.count("hangups");
            }
        }
    }

    /// Those who follow read what they are told, which is checked as it comes.
    fn follow(&mut self) {
        for number in 0..LOOKUPDS {
            let Some(lookupd) = self.world.lookupds[number].as_mut() else { continue };
            let follower = self.followers[number].get_or_insert_with(|| Follower::new(lookupd));
            follower.read(lookupd, usize::MAX);
            if follower.is_lost {
                follower.leave(lookupd);
                self.followers[number] = None;
            }
        }
    }

    fn note(&mut self) {
        let text = format!("{:?} {:?}", self.world.etcd.keys(), self.world.etcd.asked);
        self.digest.update(text.as_bytes());
    }

    /// Everything works again, and a while passes; gives how long it took until all was true.
    fn quiet(&mut self) -> Duration {
        for who in self.world.asleep.clone() {
            self.world.wake(who);
        }
        for number in 0..LOOKUPDS {
            if self.world.lookupds[number].is_none() {
                self.start_lookupd(number);
            }
        }
        self.world.mute = false;
        self.world.etcd.mute = false;
        self.world.etcd.failing = 0;
        if !self.world.up {
            self.start_etcd();
        }
        self.world.lines.values_mut().for_each(|line| line.pace = 1 << 20);
        let piece = Duration::from_secs(5);
        let (mut took, mut passed) = (Duration::ZERO, Duration::ZERO);
        while passed < QUIET {
            self.world.pass(piece);
            self.follow();
            passed += piece;
            if self.world.check().is_err() {
                took = passed + piece;
            }
        }
        self.world.check().expect("what is known is what is so");
        let truth = self.world.truth();
        for follower in self.followers.iter().flatten() {
            assert!(follower.is_whole && follower.picture == truth, "it was told what is so");
        }
        took
    }
}

/// Plays a seed; gives its digest, how long the truth took, and what came up.
fn play(seed: u64) -> (String, Duration, BTreeMap<&'static str, u64>) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..STEPS {
        simulation.step();
        simulation.world.exchange();
        simulation.follow();
        simulation.note();
    }
    let took = simulation.quiet();
    simulation.note();
    (HEXLOWER.encode(&simulation.digest.finalize()), took, simulation.seen)
}

fn play_twice(seed: u64) -> (Duration, BTreeMap<&'static str, u64>) {
    let _replay = Replay { seed, test: "etcd_simulation::one_seed" };
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
    assert_eq!(all.len(), 17, "{all:?}");
    assert!(all.values().all(|count| *count >= SEEDS / 10), "{all:?}");
}

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}
