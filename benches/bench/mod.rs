//! What the benchmarks share: a gafferd of their own, requests to it, and what the kernel tells of a process.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A gafferd with a folder of its own. It ends with this.
pub(crate) struct Gafferd {
    pub(crate) child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) socket: PathBuf,
}

impl Gafferd {
    /// Starts it with this configuration, and does not wait for it.
    pub(crate) fn begin(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ini, socket) = (folder.path().join("gafferd.ini"), folder.path().join("socket"));
        fs::write(&ini, config).expect("writable");
        // Another build of it, which is to be measured instead.
        let program = std::env::var_os("GAFFERD");
        let mut command =
            Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_gafferd").into()));
        command.args(["--bind", "127.0.0.1:0", "--state-dir"]).arg(folder.path().join("state"));
        command.arg("--socket").arg(&socket).arg("--config").arg(ini);
        let log = fs::File::create(folder.path().join("log")).expect("writable");
        let child = start(command.stdout(Stdio::null()).stderr(log));
        Self { child, folder, socket }
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(config: &str) -> Self {
        let gafferd = Self::begin(config);
        until(|| gafferd.ask("GET", "/ping", "").is_some());
        gafferd
    }

    /// Asks it over its socket; the answer with its head, if that says that all is well.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        ask(&self.socket, method, path, body)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        let mut found = None;
        until(|| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let rest = log.split_once("listening on http://").map(|(_, rest)| rest);
            found = rest.and_then(|rest| rest.split_once(' ')).map(|(at, _)| at.to_owned());
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// How many processes it has.
    pub(crate) fn children(&self) -> usize {
        let id = self.child.id();
        let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        text.map_or(0, |text| text.split_whitespace().count())
    }

    /// What it has in memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }
}

impl Drop for Gafferd {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).expect("a pid");
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // It ends its processes, too.
            let pid = rustix::process::Pid::from_raw(id).expect("a pid");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Memory of a process in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// With its part of what it shares.
    pub(crate) pss: u64,
    /// Of its own, and in no file.
    pub(crate) own: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is there");
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self { pss: field("Pss:"), own: field("Pss_Anon:") }
    }
}

pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let head = "Host: b\r\nConnection: close\r\nContent-Type: application/json";
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 2").then_some(answer)
}

#[expect(clippy::disallowed_methods, reason = "a process to measure")]
pub(crate) fn start(command: &mut Command) -> Child {
    command.spawn().expect("it starts")
}

pub(crate) fn until(mut look: impl FnMut() -> bool) {
    let begun = now();
    while !look() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain");
        rest(1);
    }
}

/// Waits between two looks, which are work for who is measured.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks now and then")]
pub(crate) fn rest(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The one in the middle.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A word of the command line that is a number; cargo adds words of its own.
pub(crate) fn number(default: usize) -> usize {
    std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(default)
}

/// A configuration with so many jobs of one process that sleeps.
pub(crate) fn sleepers(count: usize) -> String {
    (0..count).map(|n| format!("[process:j{n}]\ncmd = sleep 100000\n\n")).collect()
}
