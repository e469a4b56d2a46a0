//! Snapshots larger than what a connection takes at once, so that they are under way for long while
//! everything in them changes: jobs and nodes come and go before and behind the place that each has
//! reached.

use std::collections::BTreeSet;

use serde_json::{json, Value};

use gaffer::base::random::Random;
use gaffer::front::access::Access;

use super::follower::{Follower, Picture};
use super::node::Truth;
use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::lookup_node::{register_job, register_process, Socket};

const SEEDS: u64 = 30;
const NODES: usize = 4;
const JOBS: u64 = 250;

/// A long name, so that a few of them are much to tell.
fn job(number: u64) -> String {
    format!("s.{number:0>120}")
}

struct Nodes {
    lookupd: FakeLookupd,
    random: Random,
    nodes: Vec<(Socket, Truth)>,
}

impl Nodes {
    fn new(seed: u64) -> Self {
        let mut lookupd = FakeLookupd::new(Access::default());
        lookupd.trusted = true;
        let mut nodes = Self { lookupd, random: Random::seeded(seed), nodes: Vec::new() };
        for number in 0..NODES {
            nodes.add(number);
        }
        nodes
    }

    fn add(&mut self, number: usize) {
        let socket = Socket::node(&mut self.lookupd, &format!("n{number}"));
        self.nodes.insert(number, (socket, Truth::new()));
        for name in (0..JOBS).map(job) {
            self.say(number, register_job(&name));
            self.nodes[number].1.insert(name, BTreeSet::new());
        }
    }

    fn say(&mut self, number: usize, message: Value) {
        let answer = self.nodes[number].0.asks(&mut self.lookupd, message);
        assert_eq!(answer["ok"], true, "{answer}");
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(count).expect("small"))).expect("small")
    }

    /// Something changes somewhere.
    fn change(&mut self) {
        let who = self.below(NODES);
        if self.random.below(300) == 0 {
            let (socket, _) = self.nodes.remove(who);
            self.lookupd.vanish(socket.conn);
            return self.add(who);
        }
        let (name, pid) = (job(self.random.below(JOBS)), self.random.below(4));
        let jobs = &mut self.nodes[who].1;
        let message = match jobs.get_mut(&name) {
            None => {
                jobs.insert(name.clone(), BTreeSet::new());
                register_job(&name)
            }
            Some(pids) if !pids.contains(&pid) => {
                pids.insert(pid);
                register_process(&name, pid)
            }
            Some(pids) if pid > 1 => {
                pids.remove(&pid);
                json!({"msgid": 1, "type": "UNREGISTER_PROCESS", "job_name": name, "pid": pid})
            }
            Some(_) => {
                jobs.remove(&name);
                json!({"msgid": 1, "type": "UNREGISTER_JOB", "job_name": name})
            }
        };
        self.say(who, message);
    }

    fn truth(&self) -> Picture {
        let truth =
            |(number, (_, jobs)): (usize, &(Socket, Truth))| (format!("n{number}"), jobs.clone());
        self.nodes.iter().enumerate().map(truth).collect()
    }
}

#[test]
fn a_snapshot_and_what_changes_meanwhile_are_told_in_one_order() {
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let mut nodes = Nodes::new(seed);
        let mut followers: Vec<Follower> =
            (0..3).map(|_| Follower::new(&mut nodes.lookupd)).collect();
        let mut changes_meanwhile = 0;
        while followers.iter().any(|follower| !follower.is_whole) {
            for _ in 0..nodes.below(8) {
                nodes.change();
                changes_meanwhile += 1;
            }
            let who = nodes.below(followers.len());
            let most = 1 << (8 + nodes.random.below(8));
            followers[who].read(&mut nodes.lookupd, most);
        }
        assert!(changes_meanwhile > 50, "only {changes_meanwhile} changes");
        nodes.lookupd.machine.sweep().expect("what is always so");
        for follower in &mut followers {
            while follower.has_more(&nodes.lookupd) {
                follower.read(&mut nodes.lookupd, usize::MAX);
            }
            assert!(!follower.is_lost);
            assert_eq!(follower.picture, nodes.truth());
        }
    }
}
