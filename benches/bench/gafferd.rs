//! A gafferd to measure, and requests to it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{kill_process, Pid, Signal};

use super::kernel::{self, Memory};
use super::{start, until};

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
        let child = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
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

    /// Loads a job into the session `b`, and waits until it runs.
    pub(crate) fn load(&self, mut job: serde_json::Value) {
        // Whatever has begun runs: nobody waits to see whether it goes on to.
        job["min_uptime"] = 0.into();
        let answer = self.ask("POST", "/jobs/b?wait=running&timeout=120", &job.to_string());
        answer.expect("it is loaded");
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
        kernel::children(self.child.id()).len()
    }

    /// What it has in memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }

    /// Processor time of all its threads, in seconds.
    pub(crate) fn processor(&self) -> f64 {
        kernel::processor(self.child.id())
    }
}

impl Drop for Gafferd {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // It ends its processes, too.
            let _ = kill_process(pid(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// The pid of a process.
pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid")
}

fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let head = "Host: b\r\nConnection: close\r\nContent-Type: application/json";
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 2").then_some(answer)
}

/// A configuration with so many jobs of one process that sleeps.
pub(crate) fn sleepers(count: usize) -> String {
    (0..count).map(|n| format!("[process:j{n}]\ncmd = sleep 100000\n\n")).collect()
}
