//! How fast processes come up, go down and come back: a crowd that is started, a crowd that is stopped, and one that
//! is killed and started again. The limit of each is a loop that does no more than that with the kernel. All take
//! turns in one and the same run, with the same program as a process.
//!
//! The number is that of processes.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{kill_process, Pid, Signal};
use serde_json::json;

use super::bench::gafferd::{pid, sleepers, Gafferd};
use super::bench::run::Run;
use super::bench::{end, median, now, role, start, this, until};

/// How often one is killed in a round.
const RESTARTS: usize = 15;

pub(crate) fn run(run: &Run) {
    let (count, rounds, restarts) = (run.count(100, 3), run.either(5, 1), run.either(RESTARTS, 2));
    let mut costs = [const { Vec::new() }; 6];
    for _ in 0..rounds {
        let (up, down) = floor(count);
        costs[0].push(up);
        costs[2].push(down);
        let (up, down) = supervised(count);
        costs[1].push(up);
        costs[3].push(down);
        costs[4].push(restart_floor(restarts));
        costs[5].push(restart_supervised(restarts));
    }
    let [up_floor, up, down_floor, down, again_floor, again] = costs.map(median);
    run.say(&format!(
        "median of {rounds} rounds in milliseconds; the limit, gafferd, and how many times the limit that is"
    ));
    let tell = |what: &str, limit: f64, ours: f64| {
        run.say(&format!("{what:34} {limit:8.2} {ours:8.2} {:5.2}", ours / limit));
    };
    tell(&format!("{count} jobs started, from nothing"), up_floor, up);
    tell(&format!("{count} processes stopped"), down_floor, down);
    tell("one killed until it is back", again_floor, again);
}

/// The process: says on the socket at this path that it is there, and waits.
pub(crate) fn beat(words: &[String]) {
    let path = &words[0];
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.send_to(&std::process::id().to_ne_bytes(), path).expect("somebody listens");
    loop {
        std::thread::park();
    }
}

fn sleeper() -> Child {
    start(Command::new("sleep").arg("100000"))
}

/// A loop that starts, which returns when a process has been replaced by its program, and one that kills and reaps.
fn floor(count: usize) -> (f64, f64) {
    let begun = now();
    let mut children: Vec<Child> = (0..count).map(|_| sleeper()).collect();
    let up = begun.elapsed();
    let begun = now();
    for child in &children {
        kill_process(pid(child), Signal::TERM).expect("ours");
    }
    for child in &mut children {
        child.wait().expect("ours");
    }
    (milliseconds(up), milliseconds(begun.elapsed()))
}

/// From the start of gafferd until all its jobs run, and from TERM until it has stopped them and is gone.
fn supervised(count: usize) -> (f64, f64) {
    let config = sleepers(count);
    let begun = now();
    let mut gafferd = Gafferd::begin(&config);
    until(|| gafferd.children() == count);
    let up = begun.elapsed();
    until(|| gafferd.ask("GET", "/ping", "").is_some());
    let begun = now();
    kill_process(pid(&gafferd.child), Signal::TERM).expect("ours");
    gafferd.child.wait().expect("ours");
    (milliseconds(up), milliseconds(begun.elapsed()))
}

/// Waits for beats of processes.
struct Beats {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Beats {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("s")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        Self { socket, folder }
    }

    fn next(&self) -> Pid {
        let mut id = [0; 4];
        self.socket.recv(&mut id).expect("a beat");
        Pid::from_raw(i32::from_ne_bytes(id)).expect("a pid")
    }

    fn path(&self) -> String {
        self.folder.path().join("s").display().to_string()
    }
}

/// A loop that waits for its child and starts it again.
fn restart_floor(restarts: usize) -> f64 {
    let beats = Beats::new();
    let path = beats.path();
    let begin = || start(&mut role("--beat", &[&path]));
    let mut child = begin();
    beats.next();
    let mut times = Vec::new();
    for _ in 0..restarts {
        let begun = now();
        kill_process(pid(&child), Signal::KILL).expect("ours");
        child.wait().expect("ours");
        child = begin();
        beats.next();
        times.push(milliseconds(begun.elapsed()));
    }
    end(&mut child);
    median(times)
}

fn restart_supervised(restarts: usize) -> f64 {
    let gafferd = Gafferd::start("");
    let beats = Beats::new();
    gafferd.load(json!({
        "name": "beat", "cmd": this(), "args": ["--beat", beats.path()]
    }));
    let mut at = beats.next();
    let mut times = Vec::new();
    for _ in 0..restarts {
        let begun = now();
        kill_process(at, Signal::KILL).expect("gafferd's, which is ours");
        at = beats.next();
        times.push(milliseconds(begun.elapsed()));
    }
    median(times)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
