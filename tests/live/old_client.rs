//! The original's command line in front of the real gafferd: `tests/clients/old.py` sends what that
//! sent and prints what that printed. Here is what its users saw, and it must be so still.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::clients::{limited, scripts, tool, url, SCRIPT_TIME};
use super::node::{Folder, Node, INT};
use super::procs;
use super::until::{until, until_some};

/// A node, and a folder with an application on whose name the commands agree.
struct World {
    node: Node,
    python: PathBuf,
}

/// A command that goes on until it is interrupted.
struct Follower<'a> {
    world: &'a World,
    child: Child,
    said: String,
}

impl World {
    /// With a job that is not of the application, and whose processes are 1 and 2.
    fn new() -> Option<Self> {
        let python = tool("python3")?;
        let folder = Folder::new();
        folder.write("myapp/Procfile", "web: sleep 1000\nworker: cat\n# bad-name: false\n");
        folder.write("myapp/.env", "GAFFER_REDIRECT_INPUT=worker\nNAME=\"joe\"\n");
        folder.write(
            "jobs.json",
            r#"{"jobs": [{"name": "testapp.d", "cmd": "sleep 1000"},
                {"name": "testapp.e", "cmd": "sleep", "args": ["1000"], "start": false}]}"#,
        );
        let world = Self { node: folder.start(), python };
        let job = r#"{"name": "sl", "cmd": "sleep 100000", "numprocesses": 2}"#;
        world.node.does("POST", "/jobs/default?wait=running&timeout=30", job);
        Some(world)
    }

    fn command(&self, mut command: Command, line: &str) -> Command {
        let script = scripts().join("old.py");
        let words = line.split(' ').filter(|word| !word.is_empty());
        command
            .args([script.as_os_str(), "-g".as_ref(), url(&self.node).as_ref()])
            .args(words)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONIOENCODING", "utf-8")
            .current_dir(self.node.path("myapp"));
        command
    }

    /// Runs a command that is answered so on its terminal; gives what it prints, its complaints behind
    /// `!`, and `exit 1` if it fails.
    fn answered(&self, typed: &str, line: &str) -> String {
        self.node.folder().write("typed", typed);
        let typed = File::open(self.node.path("typed")).expect("it was just written");
        let mut command = self.command(limited(SCRIPT_TIME, self.python.as_os_str()), line);
        let done = command.stdin(typed).output().expect("timeout runs");
        let mut said = String::from_utf8(done.stdout).expect("UTF-8");
        for complaint in String::from_utf8(done.stderr).expect("UTF-8").lines() {
            said += &format!("! {complaint}\n");
        }
        match done.status.code() {
            Some(0) => {}
            code => said += &format!("exit {}\n", code.expect("it ended by itself")),
        }
        masked(&said.replace(&url(&self.node), "URL"))
    }

    fn says(&self, line: &str, expected: &str) {
        assert_eq!(self.answered("", line), expected, "gaffer {line}");
    }

    fn says_when(&self, typed: &str, line: &str, expected: &str) {
        assert_eq!(self.answered(typed, line), expected, "gaffer {line}, answered {typed:?}");
    }

    /// Starts a command whose output goes to a file.
    #[expect(clippy::disallowed_methods, reason = "the client under test is no child of gaffer's")]
    fn follow(&self, name: &str, line: &str) -> Follower<'_> {
        let said = format!("said-{name}");
        let file = File::create(self.node.path(&said)).expect("the folder can be written");
        let mut command = self.command(Command::new(&self.python), line);
        let errors = file.try_clone().expect("a descriptor");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        Follower { world: self, child: child.expect("python runs"), said }
    }

    /// The number of a job's first process that runs.
    fn pid(&self, job: &str) -> String {
        let pid = until_some("it runs", || {
            let pids = self.node.get(&format!("/jobs/{job}/pids"));
            pids["pids"][0].as_u64()
        });
        pid.to_string()
    }
}

impl Follower<'_> {
    /// What it has printed so far.
    fn said(&self) -> String {
        masked(&fs::read_to_string(self.world.node.path(&self.said)).unwrap_or_default())
    }

    fn says(&self, expected: &str) {
        until(&format!("{expected:?} comes, not {:?}", self.said()), || self.said() == expected);
    }

    /// ^C ends it.
    fn interrupt(mut self) {
        procs::kill(i32::try_from(self.child.id()).expect("a pid"), INT);
        let status = until_some("it ends", || self.child.try_wait().expect("it is our child"));
        assert!(status.success(), "{status}: {}", self.said());
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        // It may have ended by itself, which was seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a word is a time of day, or a number with a fraction.
fn is_time(word: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let inner = word.trim_matches(is_digit);
    word.starts_with(is_digit)
        && word.ends_with(is_digit)
        && inner.contains(['.', ':'])
        && inner.chars().all(|c| is_digit(c) || c == '.' || c == ':')
}

/// What changes from run to run as `#`: times of day, CPU times, and shares of CPU and memory.
fn masked(text: &str) -> String {
    fn word(word: &str) -> &str {
        if is_time(word) {
            "#"
        } else {
            word
        }
    }
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_original_loads_lists_and_unloads() {
    let Some(world) = World::new() else { return };
    world.says("apps", "default\n");
    world.says("ps", "! 'myapp' not loaded\nexit 1\n");
    world.says("load", "==> 'myapp' has been loaded in URL\n");
    world.says("apps", "default\nmyapp\n");
    let again =
        "'web' already loaded\n'worker' already loaded\n==> 'myapp' has been loaded in URL\n";
    world.says("load", again);
    world.says(
        "ps",
        "=== web: `sleep 1000`\nTotal CPU: # Total MEM: #\n\nweb.3: up for #\n\
         === worker: `cat`\nTotal CPU: # Total MEM: #\n\nworker.4: up for #\n",
    );
    let sl =
        "=== sl: `sleep 100000`\nTotal CPU: # Total MEM: #\n\nsl.1: up for #\nsl.2: up for #\n";
    world.says("ps --app default", sl);
    world.says("ps:info worker", "active: True\nrunning: 1\nnum_processes: 1\npids: 4\n");
    world.says("ps:info default.sl", "active: True\nrunning: 2\nnum_processes: 2\npids: 1,2\n");
    let told = world.answered("", "ps:info 4");
    for line in
        ["pid: 4", "name: myapp.worker", "cmd: cat", "commited: False", "redirect_input: True"]
    {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }
    world.says("ps:info nope", "! job 'nope' not found\nexit 1\n");
    world.says("ps:info 999", "! process '999' not found\nexit 1\n");

    let file = "'testapp.d' has been loaded in URL\n'testapp.e' has been loaded in URL\n\
                '../jobs.json' has been loaded\n";
    world.says("load ../jobs.json", file);
    let again =
        "'testapp.d' already loaded\n'testapp.e' already loaded\n'../jobs.json' has been loaded\n";
    world.says("load ../jobs.json", again);
    world.says("load nowhere.json", "! 'nowhere.json' not found\nexit 1\n");
    let from_stdin = r#"{"name": "here", "cmd": "sleep 1000"}"#;
    world.says_when(
        from_stdin,
        "load -",
        "'myapp.here' has been loaded in URL\n'-' has been loaded\n",
    );
    let bad = r#"{"name": "bad", "cmd": "sleep", "uid": "no such user"}"#;
    world.says_when(bad, "load -", "HTTP Error: HTTP 400: Bad Request\n\nexit 1\n");
    let reloaded = "job 'web' reloaded\njob 'worker' reloaded\njob 'here' reloaded\n";
    world.says(
        "reload --no-input",
        &format!(
            "{reloaded}==> app 'myapp' reloaded\n! 'sl' not found in 'myapp'\n\
                  ! 'd' not found in 'myapp'\n! 'e' not found in 'myapp'\n"
        ),
    );
    world.says("reload web --no-input", "job 'web' reloaded\n");

    let question = "Do you want to unload 'worker'? [y]|n: ";
    world.says_when("n\n", "unload worker", question);
    let asked = format!("{question}please enter y or n.\n{question}job 'worker' unloaded\n");
    world.says_when("what\ny\n", "unload worker", &asked);
    world.says("unload worker --no-input", "! 'worker' not found in 'myapp'\n");
    world.says("unload nope --no-input", "Ignore 'nope'\n");
    let file = "job 'testapp.d' unloaded\njob 'testapp.e' unloaded\n";
    world.says("unload --from-file ../jobs.json --no-input", file);
    world.says("unload --app nowhere --no-input", "! 'nowhere' not found\nexit 1\n");
    world.says("unload --no-input", "==> app 'myapp' unloaded\n! 'sl' not found in 'myapp'\n");
    world.says("apps", "default\n");
    world.says("load -c worker=2", "==> 'myapp' has been loaded in URL\n");
    assert_eq!(world.node.get("/jobs/myapp/worker/numprocesses")["numprocesses"], 2);
}

#[test]
fn the_original_starts_stops_scales_and_signals() {
    let Some(world) = World::new() else { return };
    world.says("load", "==> 'myapp' has been loaded in URL\n");
    world.says(
        "ps:scale web=2 worker+2 nope=1",
        "Scaling myapp.web processes... done, now running 2\n\
         Scaling myapp.worker processes... done, now running 3\n",
    );
    world.says("ps:scale worker-2", "Scaling myapp.worker processes... done, now running 1\n");
    let asked = "Do you want to stop 'worker' [y]|n: 'worker' stopped\n";
    world.says_when("\n", "ps:stop worker", asked);
    until("it is stopped", || world.node.get("/jobs/myapp/worker")["state"] == "stopped");
    world.says("ps:info worker", "active: False\nrunning: 0\nnum_processes: 0\npids: \n");
    world.says("ps:start worker --no-input", "'worker' started\n");
    let before = world.pid("myapp/worker");
    world.says(&format!("ps:stop {before} --no-input"), &format!("'{before}' stopped\n"));
    until("another takes its place", || world.pid("myapp/worker") != before);
    world.says("ps:stop 999 --no-input", "! '999' not found\n");
    world.says("ps:stop nope --no-input", "Ignore 'nope'\n");
    world.says("ps:start default.nope --no-input", "! 'default.nope' not found\n");

    let pid = world.pid("myapp/worker");
    world.says(&format!("ps:kill {pid} CONT"), &format!("'CONT' sent to '{pid}'\n"));
    world.says("ps:kill worker 18", "'18' sent to 'worker'\n");
    world.says("ps:kill 999 9", "! '999' not found\nexit 1\n");
    let launched = world.answered("", "run worker -p A=1 --graceful-timeout=3");
    let number = launched
        .strip_prefix("'myapp.worker': new process ")
        .and_then(|rest| rest.strip_suffix(" launched\n"));
    let number = number.unwrap_or_else(|| panic!("{launched}"));
    let process = world.node.get(&format!("/{number}"));
    assert_eq!(process["commited"], true);
    assert_eq!([&process["env"]["A"], &process["env"]["NAME"]], ["1", "joe"]);
    world.says("run nope", "'myapp.nope' not found\n");

    world.says("ps:stop --no-input", "");
    let all =
        "Do you want to stop all jobs in 'myapp' [y]|n: job 'sl' stopped\njob 'web' stopped\n\
               job 'worker' stopped\n==> all jobs in 'myapp' stopped\n";
    world.says_when("y\n", "ps:stop", all);
    until("nothing runs", || world.node.get("/pids")["pids"].as_array().is_some_and(Vec::is_empty));
    world.says("ps", "");
    world.says_when(
        "y\n",
        "ps:start",
        &all.replace("stop", "start").replace("startped", "started"),
    );
    world.pid("myapp/web");
}

#[test]
fn the_original_follows_events_and_talks_to_processes() {
    let Some(world) = World::new() else { return };
    world.says("load", "==> 'myapp' has been loaded in URL\n");
    let logs = world.follow("logs", "logs --no-color");
    let worker = world.follow("worker", "logs --ps worker");
    until("both follow", || world.node.get("/debug/counters")["subscriptions"] == 2);
    let pid = world.pid("myapp/worker");
    let out = world.follow("out", &format!("recv {pid}"));
    let named = world.follow("named", &format!("recv {pid}.out"));
    until("both read", || world.node.get("/debug/counters")["feeds"] == 2);
    world.says(&format!("send {pid} hello wörld"), "");
    world.says_when("one\ntwo\n.\nnever\n", &format!("send {pid} -"), "");
    let heard = "hello wörld\none\ntwo\n";
    out.says(heard);
    named.says(heard);
    named.interrupt();
    world.says("send 1 x", "! can't write on this process, (no stdin)\nexit 1\n");
    world.says(&format!("send -s nope {pid} x"), "! stream 'nope' not found\nexit 1\n");
    world.says("send 999 x", "process '999' not found\n");
    world.says("send x x", "! invalid <pid> value\nexit 1\n");
    world.says(&format!("recv {pid} nope"), "! can't read on 'nope'\nexit 1\n");
    world.says("recv 999", "process '999' not found\n");

    // The end of the process is the end of what reads it, and is told to those who follow events.
    world.says(&format!("ps:stop {pid} --no-input"), &format!("'{pid}' stopped\n"));
    let mut out = out;
    let status = until_some("recv ends", || out.child.try_wait().expect("it is our child"));
    assert!(status.success() && out.said() == heard, "{status}: {}", out.said());
    let next =
        until_some("another", || Some(world.pid("myapp/worker")).filter(|next| *next != pid));
    let of = |event: &str, pid: &str| {
        format!("# myapp.worker | job.myapp.worker.{event} process with pid {pid}\n")
    };
    let replaced = of("exit", &pid) + &of("spawn", &next);
    logs.says(&replaced);
    world.says("ps:stop web --no-input", "'web' stopped\n");
    let stopped = "# myapp.web | job.myapp.web.stop myapp.web\n\
                   # myapp.web | job.myapp.web.exit process with pid 3\n";
    logs.says(&(replaced.clone() + stopped));
    // What is of another application, or another job, is not for them.
    world.says(
        "ps:scale sl=1 --app default",
        "Scaling default.sl processes... done, now running 1\n",
    );
    world.says("ps:scale worker=0", "Scaling myapp.worker processes... done, now running 0\n");
    let reaped = of("reap", &next) + &of("exit", &next);
    logs.says(&(replaced.clone() + stopped + &reaped));
    worker.says(&(replaced + &reaped));
    logs.interrupt();
    worker.interrupt();
}

#[test]
fn the_original_lists_the_jobs_of_an_ini_file() {
    let Some(python) = tool("python3") else { return };
    let folder = Folder::new().args(&["--config", "@gafferd.ini"]);
    // As `gaffer export` wrote it.
    folder.write(
        "gafferd.ini",
        "[gaffer]\n[process:myapp:web]\ncmd = sleep\nargs = 1000 2000\npriority = 0\nnumprocesses = 1\n",
    );
    folder.write("myapp/Procfile", "web: sleep 1000 2000\n");
    let world = World { node: folder.start(), python };
    world.pid("myapp/web");
    let shown = "=== web: `sleep 1000 2000`\nTotal CPU: # Total MEM: #\n\nweb.1: up for #\n";
    world.says("ps", shown);
}
