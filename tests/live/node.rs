//! A gafferd of its own for each test: in a temporary folder, on a port of the kernel's choice, and
//! gone with everything that carries its mark when the test ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, Client};
use super::procs::{self, Marked};
use super::until::{until, until_some, Since};

pub(crate) const KILL: i32 = 9;
pub(crate) const TERM: i32 = 15;
pub(crate) const HUP: i32 = 1;
pub(crate) const INT: i32 = 2;
pub(crate) const USR1: i32 = 10;
/// How long a start may take that is refused.
const PROMPT: Duration = Duration::from_secs(20);

/// A folder and a command line, not started yet.
pub(crate) struct Folder {
    dir: TempDir,
    program: &'static str,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Run in the shell that becomes gafferd.
    before: String,
    /// Whether its stdout is a pipe that nobody reads, instead of the file `out`.
    unread: bool,
}

/// A gafferd.
pub(crate) struct Node {
    folder: Folder,
    child: Option<Child>,
    pub(crate) os_pid: i32,
    pub(crate) port: u16,
}

/// How gafferd ended that was not to start.
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let own = |name: &str| dir.path().join(name).display().to_string();
        let args = ["--bind", "127.0.0.1:0", "--state-dir", &own("state"), "--socket", &own("s")];
        let args = args.map(str::to_owned).to_vec();
        let program = env!("CARGO_BIN_EXE_gafferd");
        Self { dir, program, args, env: Vec::new(), before: String::new(), unread: false }
    }

    /// One in a folder of its own, with the state of another.
    pub(crate) fn of_state(other: &Self) -> Self {
        let folder = Self::new();
        folder.args(&["--state-dir", &other.text("state")])
    }

    /// One for a `gaffer_lookupd`, which is a node to these tests, without jobs.
    pub(crate) fn of_lookupd() -> Self {
        let args = ["--bind", "127.0.0.1:0"].map(str::to_owned).to_vec();
        Self { program: env!("CARGO_BIN_EXE_gaffer_lookupd"), args, ..Self::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in this folder as text, to be put into a job.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Adds arguments; `@name` is a path in this folder.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        let placed = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.text(name),
            None => (*arg).to_owned(),
        };
        let args: Vec<String> = args.iter().map(placed).collect();
        self.args.extend(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the shell do this before it becomes gafferd: `ulimit -n 40`.
    pub(crate) fn before(mut self, line: &str) -> Self {
        self.before = format!("{line}; ");
        self
    }

    /// Gives it a stdout that nobody reads.
    pub(crate) fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, text).expect("the folder can be written");
    }

    /// Adds a file with these JSON jobs to the command line.
    pub(crate) fn load(self, jobs: &Value) -> Self {
        self.write("jobs.json", &serde_json::json!({ "jobs": jobs }).to_string());
        self.args(&["--load", "@jobs.json"])
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        let append = |name: &str| -> File {
            let file = OpenOptions::new().append(true).create(true).open(self.path(name));
            file.expect("the folder can be written")
        };
        command
            .args(["-c", &format!("{}exec \"$0\" \"$@\"", self.before)])
            .arg(self.program)
            .args(&self.args)
            .env_remove("PORT")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(if self.unread { Stdio::piped() } else { append("out").into() })
            .stderr(append("log"));
        command
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Node {
        let mut node = Node { folder: self, child: None, os_pid: 0, port: 0 };
        node.start_again();
        node
    }

    /// Starts it, and waits for nothing: where it listens is not in its log.
    pub(crate) fn start_unseen(self) -> Node {
        let mut node = Node { folder: self, child: None, os_pid: 0, port: 0 };
        node.set_out();
        node
    }

    /// Runs it to its end, which comes at once: it goes to the background, or does not start.
    #[expect(clippy::disallowed_methods, reason = "the daemon under test is no child of gaffer's")]
    pub(crate) fn run(&self) -> Refused {
        let before = self.read("log").len();
        let mut child = self.command().spawn().expect("sh runs");
        let began = Since::now();
        let code = until_some("it ends", || match child.try_wait().expect("it is our child") {
            None if began.elapsed() > PROMPT => {
                child.kill().expect("it is our child");
                None
            }
            ended => ended,
        });
        let said = self.read("log").get(before..).unwrap_or_default().to_owned();
        Refused { code: code.code(), said }
    }

    /// The word by which this node's processes are known.
    fn family(&self) -> Option<String> {
        let word = self.read("state/node").trim().to_owned();
        (word.len() == 8).then_some(word)
    }

    /// Ends everything that carries this node's mark.
    pub(crate) fn clean_up(&self) {
        let Some(family) = self.family() else { return };
        loop {
            let left = procs::marked(&family);
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|process| procs::kill(process.os_pid, KILL));
        }
    }
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "the daemon under test is no child of gaffer's")]
    fn set_out(&mut self) {
        let child = self.folder.command().spawn().expect("sh runs");
        self.os_pid = i32::try_from(child.id()).expect("a pid");
        self.child = Some(child);
    }

    /// Starts gafferd in its folder, again if it has run there before.
    pub(crate) fn start_again(&mut self) {
        let before = self.folder.read("log").len();
        self.set_out();
        self.port = until_some("gafferd listens", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let log = self.folder.read("log");
            let log = log.get(before..).unwrap_or_default();
            assert!(ended.is_none(), "gafferd did not start: {log}");
            port_in(log)
        });
    }

    /// Takes over a gafferd that has gone to the background.
    pub(crate) fn of_background(folder: Folder, os_pid: i32, log: &str) -> Self {
        let port = port_in(&folder.read(log)).expect("it listens");
        Self { folder, child: None, os_pid, port }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        self.folder.read(name)
    }

    pub(crate) fn log(&self) -> String {
        self.folder.read("log")
    }

    /// Replaces the last arguments with others, for the next start.
    pub(crate) fn set_args(&mut self, from: usize, args: &[&str]) {
        let own = 6 + from;
        self.folder.args.truncate(own);
        self.folder.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    /// Has it listen on the port that it has now at its next start, too.
    pub(crate) fn keep_port(&mut self) {
        let port = self.port;
        for arg in self.folder.args.iter_mut().filter(|arg| *arg == "127.0.0.1:0") {
            *arg = format!("127.0.0.1:{port}");
        }
    }

    pub(crate) fn client(&self) -> Client {
        // One that speaks TLS is asked where it does not.
        match self.folder.args.iter().any(|arg| arg == "--certfile") {
            true => Client::unix(&self.path("s")).expect("gafferd accepts"),
            false => Client::tcp(self.port).expect("gafferd accepts"),
        }
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.client().request(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}; log:\n{}", self.log()))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").json()
    }

    /// A request that must be answered with success.
    pub(crate) fn does(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, path, body);
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Loads a job into the session `t` and waits until it runs.
    pub(crate) fn run_job(&self, job: &Value) -> Value {
        self.does("POST", "/jobs/t?wait=running&timeout=30", &job.to_string())
    }

    /// The os_pids of a job's processes by their places, ascending.
    pub(crate) fn os_pids(&self, path: &str) -> Vec<i32> {
        let job = self.get(path);
        let of = |instance: &Value| instance["os_pid"].as_i64().and_then(|n| n.try_into().ok());
        job["instances"].as_array().into_iter().flatten().filter_map(of).collect()
    }

    /// Deaths of a job, newest first.
    pub(crate) fn deaths(&self, path: &str) -> Vec<Value> {
        let deaths = self.get(&format!("{path}/deaths"));
        deaths["deaths"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn family(&self) -> String {
        self.folder.family().expect("it has started")
    }

    /// All processes that carry its mark.
    pub(crate) fn marked(&self) -> Vec<Marked> {
        procs::marked(&self.family())
    }

    pub(crate) fn children(&self) -> Vec<i32> {
        procs::children(self.os_pid)
    }

    pub(crate) fn signal(&self, signal: i32) {
        procs::kill(self.os_pid, signal);
    }

    /// Whether it is still there.
    pub(crate) fn runs(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => procs::exists(self.os_pid),
        }
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.status().code()
    }

    /// Waits for its end and tells how that was.
    pub(crate) fn status(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it is our child");
        until_some("gafferd ends", || child.try_wait().expect("it is our child"))
    }

    /// TERM, and its graceful end.
    pub(crate) fn stop(&mut self) {
        self.signal(TERM);
        assert_eq!(self.ended(), Some(0), "log:\n{}", self.log());
    }

    /// KILL.
    pub(crate) fn kill(&mut self) {
        self.signal(KILL);
        assert_eq!(self.ended(), None);
    }

    /// Nothing of it is left: no child, no zombie, nothing that it started, wherever that went.
    pub(crate) fn assert_nothing_left(&self) {
        until("no process of the node is left", || {
            self.children().is_empty() && self.marked().is_empty()
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.runs() {
            self.signal(KILL);
        }
        if let Some(child) = &mut self.child {
            // It was told to end; what is reaped here is no zombie for the rest of the run.
            let _ = child.wait();
        }
        self.folder.clean_up();
        if std::thread::panicking() {
            eprintln!("--- log of gafferd in {} ---\n{}", self.folder.text(""), self.log());
        }
    }
}

fn port_in(log: &str) -> Option<u16> {
    let (_, after) = log.split_once("listening on http")?;
    let after = after.strip_prefix('s').unwrap_or(after).strip_prefix("://127.0.0.1:")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    // The line is written whole, but may be read in part.
    after.contains('\n').then(|| digits.parse().ok()).flatten()
}

/// Voluntary and forced context switches of a process's first thread.
pub(crate) fn context_switches(os_pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{os_pid}/status")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
    lines.filter_map(|line| line.split_whitespace().next_back()?.parse::<u64>().ok()).sum()
}

/// Whether a path is there, link or not.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
