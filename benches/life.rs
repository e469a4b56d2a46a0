//! How fast processes come up, go down and come back: a crowd that is started, a crowd that is stopped, and one that
//! is killed and started again. The limit of each is a loop that does no more than that with the kernel. All take
//! turns in one and the same run, with the same program as a process.
//!
//! `cargo bench --bench life [PROCESSES]`. With the variable `GAFFERD` another build is measured.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod bench;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use bench::{median, now, number, start, until, Gafferd};
use rustix::process::{kill_process, Pid, Signal};

const ROUNDS: usize = 5;
const RESTARTS: usize = 15;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "--beat") {
        return beat(Path::new(&words[at + 1]));
    }
    let count = number(100);
    let mut costs = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        let (up, down) = floor(count);
        costs[0].push(up);
        costs[2].push(down);
        let (up, down) = supervised(count);
        costs[1].push(up);
        costs[3].push(down);
        costs[4].push(restart_floor());
        costs[5].push(restart_supervised());
    }
    let [up_floor, up, down_floor, down, again_floor, again] = costs.map(median);
    println!("median of {ROUNDS} rounds in milliseconds; the limit, gafferd, and how many times the limit that is");
    let tell = |what: &str, limit: f64, ours: f64| {
        println!("{what:34} {limit:8.2} {ours:8.2} {:5.2}", ours / limit);
    };
    tell(&format!("{count} jobs started, from nothing"), up_floor, up);
    tell(&format!("{count} processes stopped"), down_floor, down);
    tell("one killed until it is back", again_floor, again);
}

/// The process: says that it is there, and waits.
fn beat(path: &Path) {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.send_to(&std::process::id().to_ne_bytes(), path).expect("somebody listens");
    loop {
        std::thread::park();
    }
}

fn sleeper() -> Child {
    start(Command::new("sleep").arg("100000"))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid")
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
    let config = bench::sleepers(count);
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

    fn words(&self) -> (String, String) {
        let program = std::env::current_exe().expect("this");
        (program.display().to_string(), self.folder.path().join("s").display().to_string())
    }
}

/// A loop that waits for its child and starts it again.
fn restart_floor() -> f64 {
    let beats = Beats::new();
    let (program, path) = beats.words();
    let begin = || start(Command::new(&program).args(["--beat", &path]));
    let mut child = begin();
    beats.next();
    let mut times = Vec::new();
    for _ in 0..RESTARTS {
        let begun = now();
        kill_process(pid(&child), Signal::KILL).expect("ours");
        child.wait().expect("ours");
        child = begin();
        beats.next();
        times.push(milliseconds(begun.elapsed()));
    }
    child.kill().expect("ours");
    child.wait().expect("ours");
    median(times)
}

fn restart_supervised() -> f64 {
    let gafferd = Gafferd::start("");
    let beats = Beats::new();
    let (program, path) = beats.words();
    // No end is too quick, so that there is no pause: what is measured is the way.
    let job = format!(
        r#"{{"name": "beat", "cmd": "{program}", "args": ["--beat", "{path}"], "min_uptime": 0}}"#
    );
    gafferd.ask("POST", "/jobs/b", &job).expect("it is loaded");
    let mut at = beats.next();
    let mut times = Vec::new();
    for _ in 0..RESTARTS {
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
