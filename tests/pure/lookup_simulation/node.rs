//! A node: what is true of it, and what it says. It knows nothing of the lookupd but its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use gaffer::base::limits;
use gaffer::base::random::Random;

use crate::lookup_node::Socket;

/// The jobs of a node, and the processes of each.
pub(crate) type Truth = BTreeMap<String, BTreeSet<u64>>;

/// A node.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) truth: Truth,
    /// Its connection.
    pub(super) link: Option<Link>,
    /// When it tries again, or says that it lives.
    pub(super) next: Instant,
    /// Its program does nothing, while its websocket still answers pings.
    pub(super) hangs: bool,
    last_pid: u64,
    last_msgid: u64,
}

/// A connection to the lookupd.
pub(super) struct Link {
    pub(super) socket: Socket,
    /// It is known there.
    pub(super) identified: bool,
    /// Nothing goes either way, and nobody has noticed.
    pub(super) cut: bool,
    /// What was sent meanwhile.
    pub(super) late: Vec<Value>,
}

impl Node {
    pub(super) fn new(name: String, next: Instant) -> Self {
        let truth = Truth::new();
        Self { name, truth, link: None, next, hangs: false, last_pid: 0, last_msgid: 0 }
    }

    fn message(&mut self, kind: &str, more: Value) -> Value {
        self.last_msgid += 1;
        let mut message = json!({"msgid": self.last_msgid.to_string(), "type": kind});
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        message
    }

    pub(super) fn identify(&mut self) -> Value {
        let (name, version) = (self.name.clone(), "0.1");
        self.message(
            "IDENTIFY",
            json!({"name": name, "origin": "http://n:5000", "version": version}),
        )
    }

    pub(super) fn ping(&mut self) -> Value {
        self.message("PING", json!({}))
    }

    /// Everything that is true of it.
    pub(super) fn everything(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        for (job, pids) in self.truth.clone() {
            all.push(self.message("REGISTER_JOB", json!({"job_name": job})));
            for pid in pids {
                all.push(self.message("REGISTER_PROCESS", json!({"job_name": job, "pid": pid})));
            }
        }
        all
    }

    /// Something changes; gives what it says of that.
    pub(super) fn change(&mut self, random: &mut Random) -> Vec<Value> {
        let names = ["a.web", "a.api", "b.web", "solo", "a-b.x", "default.cron.daily"];
        let job = names[usize::try_from(random.below(6)).expect("small")].to_owned();
        let known = self.truth.contains_key(&job);
        match (known, random.below(10)) {
            (false, _) => {
                self.truth.insert(job.clone(), BTreeSet::new());
                vec![self.message("REGISTER_JOB", json!({"job_name": job}))]
            }
            (true, 0 | 1) => {
                self.truth.remove(&job);
                vec![self.message("UNREGISTER_JOB", json!({"job_name": job}))]
            }
            (true, 2..=4) => {
                let pids = self.truth.get_mut(&job).expect("it is known");
                let Some(pid) = pids.pop_first() else { return Vec::new() };
                vec![self.message("UNREGISTER_PROCESS", json!({"job_name": job, "pid": pid}))]
            }
            (true, _) => {
                self.last_pid += 1;
                let pid = self.last_pid;
                self.truth.get_mut(&job).expect("it is known").insert(pid);
                vec![self.message("REGISTER_PROCESS", json!({"job_name": job, "pid": pid}))]
            }
        }
    }

    /// What changes nothing: repetitions, and what is said before its time.
    pub(super) fn nothing_new(&mut self, random: &mut Random) -> Vec<Value> {
        let mut all = self.everything();
        for number in (1..all.len()).rev() {
            let other = random.below(u64::try_from(number).expect("small") + 1);
            all.swap(number, usize::try_from(other).expect("small"));
        }
        all.push(self.message("REGISTER_PROCESS", json!({"job_name": "no.such", "pid": 1})));
        all.push(self.message("UNREGISTER_PROCESS", json!({"job_name": "no.such", "pid": 1})));
        all.push(self.message("UNREGISTER_JOB", json!({"job_name": "no.such"})));
        all.push(self.identify());
        all
    }

    /// When it does something next.
    pub(super) fn rest(&mut self, now: Instant, random: &mut Random) {
        let wait = match self.link {
            Some(_) => limits::LOOKUP_HEARTBEAT,
            None => Duration::from_secs(1 + random.below(8)),
        };
        self.next = now + wait;
    }
}

/// What is no message.
pub(super) fn garbage(random: &mut Random) -> Vec<u8> {
    let texts = [
        "",
        "{",
        "null",
        "{}",
        r#"{"msgid": "1"}"#,
        r#"{"msgid": "1", "type": "REGISTER_JOB"}"#,
        r#"{"msgid": "1", "type": "REGISTER_JOB", "job_name": "\u0000"}"#,
        r#"{"msgid": "1", "type": "REGISTER_PROCESS", "job_name": "a.web", "pid": 1e3}"#,
        r#"{"msgid": "1", "type": "UNREGISTER_EVERYTHING"}"#,
    ];
    let which = usize::try_from(random.below(10)).expect("small");
    texts.get(which).map_or_else(|| vec![b'['; 70_000], |text| text.as_bytes().to_vec())
}
