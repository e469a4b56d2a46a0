//! Listeners of supervisor's dialect that do whatever they like, in virtual time: they answer, fail, say what has
//! no meaning, die with an event, and are scaled, replaced and told otherwise what to hear. Each event goes to one
//! process at a time, to one that is ready, whole; none that is done is heard of again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gaffer::base::ids::{OsPid, StreamNo};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use serde_json::json;

use crate::api_traces::file_job;
use crate::driven::Driven as _;
use crate::fake_node::FakeNode;
use crate::seeds::{self, Replay};

const SEEDS: u64 = 60;
const STEPS: usize = 400;
/// How many events may wait in the pool.
const ROOM: usize = 4;

/// What a listener is at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// It has said nothing, or how its event went.
    Rest,
    /// It waits for an event.
    Ready,
    /// It has this one.
    Has(u64),
    /// It has said what has no meaning.
    Lost,
}

struct World {
    node: FakeNode,
    random: Random,
    ears: BTreeMap<i32, At>,
    others: BTreeSet<i32>,
    done: BTreeSet<u64>,
    /// The newest event that anybody was given.
    newest: Option<u64>,
    given: BTreeSet<u64>,
}

#[test]
fn one_seed() {
    play(seeds::wanted());
}

#[test]
fn many_seeds() {
    let done = (1..SEEDS).map(play).sum::<usize>();
    assert!(done > 1_000, "only {done} events were done");
}

/// Plays a seed, and gives how many events were done.
fn play(seed: u64) -> usize {
    let _replay = Replay { seed, test: "listeners::one_seed" };
    let quick = json!({"base": 0.0, "max": 0.0});
    let work = json!({"cmd": "work", "numprocesses": 2, "min_uptime": 0.0, "backoff": quick});
    let files = vec![
        file_job(&format!("own.ear {}", ear(&["PROCESS_STATE_EXITED", "TICK_5"], ROOM))),
        file_job(&format!("s.work {work}")),
    ];
    let node = FakeNode::new(Access::default(), Console::default(), Legacy::default(), files);
    let mut world = World {
        node,
        random: Random::seeded(seed),
        ears: BTreeMap::new(),
        others: BTreeSet::new(),
        done: BTreeSet::new(),
        newest: None,
        given: BTreeSet::new(),
    };
    world.look();
    for _ in 0..STEPS {
        world.step();
        world.look();
    }
    world.node.signal(Signal::TERM);
    world.look();
    assert!(world.ears.is_empty(), "the node ends with all of them");
    world.done.len()
}

fn ear(kinds: &[&str], room: usize) -> serde_json::Value {
    json!({
        "cmd": "ear", "listen": kinds, "listen_protocol": "supervisor", "listen_buffer": room,
        "numprocesses": 3, "min_uptime": 0.0, "backoff": {"base": 0.0, "max": 0.0},
    })
}

impl World {
    fn step(&mut self) {
        match self.random.below(30) {
            0..16 => self.speak(),
            16..21 => self.end_other(),
            21 => self.end_ear(),
            22..26 => self.node.advance(Duration::from_millis(1 + self.random.below(3_000))),
            26 => {
                let body = format!("{{\"scale\": \"={}\"}}", self.random.below(5));
                self.node.ask("POST /jobs/own/ear/numprocesses", &body);
            }
            27 => drop(self.node.ask("POST /jobs/own/ear/state", "2")),
            28 => {
                let kinds = if self.random.below(2) == 0 { "EVENT" } else { "PROCESS_STATE" };
                self.node.ask("PUT /jobs/own/ear", &ear(&[kinds], ROOM).to_string());
            }
            _ => {
                self.node.ask("POST /jobs/own/ear/state", "0");
                self.look();
                self.node.ask("POST /jobs/own/ear/state", "1");
            }
        }
    }

    fn pick(&mut self, of: &[i32]) -> Option<i32> {
        let count = u64::try_from(of.len()).expect("few");
        let at = usize::try_from(self.random.below(count.max(1))).expect("few");
        of.get(at).copied()
    }

    /// A listener says something, in one piece or in two.
    fn speak(&mut self) {
        let ears: Vec<i32> = self.ears.keys().copied().collect();
        let Some(ear) = self.pick(&ears) else { return };
        let at = self.ears[&ear];
        let fails = self.random.below(4) == 0;
        let (said, then): (&[u8], At) = match at {
            _ if self.random.below(20) == 0 => (b"what?\nRESULT", At::Lost),
            At::Rest => (b"READY\n", At::Ready),
            At::Has(_) if fails => (b"RESULT 4\nFAIL", At::Rest),
            At::Has(serial) => {
                self.done.insert(serial);
                (b"RESULT 2\nOK", At::Rest)
            }
            At::Ready => return,
            At::Lost => (b"READY\n", At::Lost),
        };
        let cut = usize::try_from(self.random.below(5)).expect("few");
        self.node.output(OsPid(ear), StreamNo::STDOUT, &said[..cut]);
        self.ears.insert(ear, then);
        self.node.output(OsPid(ear), StreamNo::STDOUT, &said[cut..]);
    }

    fn end_other(&mut self) {
        let others: Vec<i32> = self.others.iter().copied().collect();
        if let Some(other) = self.pick(&others) {
            self.others.remove(&other);
            let code = if self.random.below(2) == 0 { 0 } else { 3 };
            self.node.exit(OsPid(other), ExitStatus::Code(code), false);
        }
    }

    fn end_ear(&mut self) {
        let ears: Vec<i32> = self.ears.keys().copied().collect();
        if let Some(ear) = self.pick(&ears) {
            self.ears.remove(&ear);
            self.node.exit(OsPid(ear), ExitStatus::Code(1), false);
        }
    }

    /// Looks at what the node did.
    fn look(&mut self) {
        for line in std::mem::take(&mut self.node.asked) {
            let words: Vec<&str> = line.split([' ', ':']).collect();
            match words.as_slice() {
                ["spawn", os_pid, "", "ear"] => {
                    let _ = self.ears.insert(os_pid.parse().expect("a pid"), At::Rest);
                }
                ["spawn", os_pid, "", "work"] => {
                    self.others.insert(os_pid.parse().expect("a pid"));
                }
                ["SIGTERM", .., os_pid] => {
                    let os_pid = os_pid.parse().expect("a pid");
                    self.ears.remove(&os_pid);
                    self.others.remove(&os_pid);
                }
                [os_pid, "reads", ..] => {
                    let (_, text) = line.split_once(" reads ").expect("what it reads");
                    let text = text.strip_suffix(" on 0").expect("its stdin");
                    let text: String = serde_json::from_str(text).expect("a text");
                    self.hear(os_pid.parse().expect("a pid"), &text);
                }
                _ => {}
            }
        }
        self.node.gaffer.sweep().unwrap_or_else(|broken| panic!("{broken}"));
    }

    /// A listener reads a message: one, whole, and only when it waits for one.
    fn hear(&mut self, ear: i32, text: &str) {
        let (head, payload) = text.split_once('\n').expect("a head");
        let field = |name: &str| -> u64 {
            let value = head.split(' ').find_map(|part| part.strip_prefix(name));
            value.and_then(|value| value.parse().ok()).expect("a number")
        };
        assert_eq!(field("len:"), u64::try_from(payload.len()).expect("short"), "{text}");
        let serial = field("serial:");
        // One that was asked to stop meanwhile may have it in its pipe.
        let Some(at) = self.ears.get(&ear).copied() else { return };
        assert_eq!(at, At::Ready, "{ear} is told of {text}");
        assert!(!self.done.contains(&serial), "{text} was done");
        let held = self.ears.values().any(|other| *other == At::Has(serial));
        assert!(!held, "two have {text}");
        if self.given.insert(serial) {
            assert!(self.newest < Some(serial), "{text} comes before an older one");
            self.newest = Some(serial);
        }
        self.ears.insert(ear, At::Has(serial));
    }
}
