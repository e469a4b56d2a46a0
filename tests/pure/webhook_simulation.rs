//! A whole node and those to whom it posts events, in virtual time: they fail in every way there is, the
//! node ends or dies and begins again, and more happens than has room. When all works again, each has got
//! all that it was to get, in its order and at least once, but for what is counted as dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use gaffer::base::limits;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use sha1::{Digest as _, Sha1};

use crate::driven::Driven as _;
use crate::seeds::{self, Replay};
use crate::webhook_world::{Mode, World, MODES};

const SEEDS: u64 = 20;
const STEPS: usize = 60;
const RECEIVERS: usize = 3;
/// The longest that all may take until everything is delivered: the longest wait of one that counts as dead.
const QUIET: Duration = limits::WEBHOOK_DEAD_RETRY;

struct Simulation {
    world: World,
    random: Random,
    jobs: u32,
    seen: BTreeMap<String, u64>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let (world, random) = (World::new(RECEIVERS), Random::seeded(seed));
        Self { world, random, jobs: 0, seen: BTreeMap::new() }
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).expect("small")
    }

    fn count(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    fn step(&mut self) {
        match self.pick(24) {
            0..=6 => self.change_mode(),
            7..=11 => self.change_jobs(),
            12 => self.burst(),
            13 => {
                self.count("nodes that die");
                self.world.kill();
                self.world.begin();
            }
            14 => self.end_and_begin(),
            15 => self.add_or_remove(),
            16 => {
                self.world.pace = [usize::MAX, 700, 60][self.pick(3)];
            }
            17 => {
                self.count("hangups");
                self.world.node().reconfigure(Vec::new());
            }
            18 | 19 => self.world.pass(Duration::from_secs(60)),
            // What is begun is not always carried to its end before something else comes up.
            20 | 21 => {}
            _ => {
                let millis = self.random.below(8_000);
                self.world.pass(Duration::from_millis(millis));
            }
        }
        self.world.settle();
        if self.pick(3) > 0 {
            self.world.exchange();
        }
    }

    fn change_mode(&mut self) {
        let number = self.pick(RECEIVERS);
        let mode = match self.pick(2) {
            0 => Mode::Well,
            _ => MODES[self.pick(MODES.len())],
        };
        self.count(&format!("{mode:?}"));
        self.world.receivers[number].mode = mode;
    }

    fn change_jobs(&mut self) {
        let kind = self.pick(3);
        let node = self.world.node();
        let job = node.gaffer.supervisor().job_names().next().map(|name| name.to_string());
        match (kind, job) {
            (0, _) | (_, None) => {
                self.jobs += 1;
                let session = ["s", "t"][usize::from(self.jobs % 2 == 0)];
                let body = format!("{{\"name\": \"j{}\", \"cmd\": \"x\"}}", self.jobs);
                node.ask(&format!("POST /jobs/{session}"), &body);
            }
            (1, Some(job)) => {
                node.ask(&format!("DELETE /jobs/{}", job.replace('.', "/")), "");
            }
            (_, Some(_)) => {
                let supervisor = node.gaffer.supervisor();
                let pids =
                    supervisor.live_pids().filter_map(|pid| supervisor.instance_id(pid).ok());
                let os_pid = pids.filter_map(|id| supervisor.os_pid(id)).next();
                if let Some(os_pid) = os_pid {
                    node.exit(os_pid, ExitStatus::Code(1), false);
                }
            }
        }
    }

    /// More than has room for one that takes nothing.
    fn burst(&mut self) {
        self.count("bursts");
        let node = self.world.node();
        for _ in 0..2 {
            node.ask("POST /jobs/s", r#"{"name": "many", "cmd": "x", "numprocesses": 70}"#);
            node.ask("DELETE /jobs/s/many", "");
        }
        self.world.settle();
    }

    fn end_and_begin(&mut self) {
        self.count("nodes that end");
        self.world.node().signal(Signal::TERM);
        self.world.pass(Duration::from_millis(500));
        self.world.kill();
        self.world.begin();
    }

    /// Over the API the last one begins to get something, or gets nothing any more.
    fn add_or_remove(&mut self) {
        self.world.exchange();
        let number = RECEIVERS - 1;
        let receiver = &mut self.world.receivers[number];
        let (url, id) = (receiver.url.text().to_owned(), receiver.url.id());
        if receiver.wants.take().is_some() {
            // What waited for it is gone with it.
            (receiver.due, receiver.taken) = (Vec::new(), Vec::new());
            self.world.node().ask(&format!("DELETE /webhooks/{id}"), "");
            self.count("webhooks that go");
        } else {
            receiver.wants = Some("exit");
            let body = format!("{{\"event\": \"exit\", \"url\": \"{url}\"}}");
            self.world.node().ask("POST /webhooks", &body);
            self.world.settle();
            self.count("webhooks that come");
        }
    }

    /// Everything works again, and a while passes.
    fn quiet(&mut self) {
        self.world.pace = usize::MAX;
        for receiver in &mut self.world.receivers {
            receiver.mode = Mode::Well;
        }
        self.world.pass(QUIET);
        self.world.check();
        for number in 0..RECEIVERS {
            if self.world.receivers[number].wants.is_some() {
                if self.world.view(number)["dropped"] != 0 {
                    self.count("drops");
                }
                let again = self.world.receivers[number].times.values();
                if again.copied().max().unwrap_or_default() > 1 {
                    self.count("messages that came again");
                }
            }
        }
    }
}

/// Plays a seed; gives its digest, and what came up.
fn play(seed: u64) -> (String, BTreeMap<String, u64>) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..STEPS {
        simulation.step();
    }
    simulation.quiet();
    let log = simulation.world.log.join("\n");
    (HEXLOWER.encode(&Sha1::digest(log.as_bytes())), simulation.seen)
}

fn play_twice(seed: u64) -> BTreeMap<String, u64> {
    let _replay = Replay { seed, test: "webhook_simulation::one_seed" };
    let (digest, seen) = play(seed);
    assert_eq!(play(seed).0, digest, "the same seed plays the same");
    seen
}

#[test]
fn each_gets_everything_in_order_but_for_what_is_counted() {
    let mut all = BTreeMap::new();
    for seed in 1..=SEEDS {
        for (what, count) in play_twice(seed) {
            *all.entry(what).or_insert(0) += count;
        }
    }
    println!("{all:?}");
    // A simulation in which nothing happens proves nothing.
    assert_eq!(all.len(), MODES.len() + 8, "{all:?}");
    assert!(all.values().all(|count| *count >= SEEDS / 10), "{all:?}");
}

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}
