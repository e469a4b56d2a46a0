//! An application in the foreground: the real `gaffer start`, `dev:run` and `check`, each in a folder
//! of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{json, Value};
use tempfile::TempDir;

use super::node::{INT, KILL, TERM};
use super::procs;
use super::until::{all_along, until, until_some, Since};

/// A folder with a Procfile.
struct App {
    dir: TempDir,
}

/// `gaffer start`, running.
struct Running {
    app: App,
    child: Child,
}

impl App {
    fn new(procfile: &str) -> Self {
        let app = Self { dir: TempDir::new().expect("a temporary folder") };
        app.write("Procfile", procfile);
        app
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command.args(args).current_dir(self.dir.path()).env_remove("PORT").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: its code and all it said.
    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(args).output().expect("gaffer runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (status.code(), text(&stdout) + &text(&stderr))
    }

    /// Starts a command whose output goes to the file `out`.
    #[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
    fn start(self, args: &[&str]) -> Running {
        let out = File::create(self.path("out")).expect("the folder can be written");
        let err = out.try_clone().expect("a descriptor is free");
        let child = self.command(args).stdout(out).stderr(err).spawn().expect("gaffer runs");
        Running { app: self, child }
    }
}

impl Running {
    fn said(&self) -> String {
        fs::read_to_string(self.app.path("out")).unwrap_or_default()
    }

    fn until_said(&self, what: &str) {
        until(what, || self.said().contains(what));
    }

    fn signal(&self, signal: i32) {
        procs::kill(i32::try_from(self.child.id()).expect("a pid"), signal);
    }

    fn ended(&mut self) -> Option<i32> {
        until_some("gaffer ends", || self.child.try_wait().expect("it is our child")).code()
    }

    /// The kernel's numbers of the processes that were started.
    fn pids(&self) -> Vec<i32> {
        let number = |line: &str| line.rsplit_once(" started with pid ")?.1.parse().ok();
        self.said().lines().filter_map(number).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let started = procs::children(i32::try_from(self.child.id()).expect("a pid"));
            self.signal(KILL);
            let _ = self.child.wait();
            started.into_iter().for_each(|pid| procs::kill(pid, KILL));
        }
        if std::thread::panicking() {
            eprintln!("--- it said ---\n{}", self.said());
        }
    }
}

/// A line without its time: who speaks, the bar, and what is said.
fn parts(line: &str) -> (&str, char, &str) {
    let is_time = |time: &str| {
        let shape: Vec<bool> = time.chars().map(|c| c.is_ascii_digit()).collect();
        shape == [true, true, false, true, true, false, true, true]
            && time.matches(':').count() == 2
    };
    let (time, rest) = line.split_once(' ').unwrap_or_default();
    assert!(is_time(time), "no time: {line:?}");
    let (name, rest) = rest.split_once(' ').unwrap_or_default();
    let rest = rest.trim_start_matches(' ');
    let bar = rest.chars().next().unwrap_or_default();
    assert!("|!".contains(bar), "torn: {line:?}");
    (name, bar, rest.get(2..).unwrap_or_default())
}

#[test]
fn lines_of_fifty_processes_are_never_torn() {
    let count = "i=0; while [ $i -lt 100 ]; do printf \"$GAFFER_INSTANCE:\"; echo \"$i:end\"; \
                 i=$((i+1)); done";
    let app = App::new(&format!("w: {count}\n"));
    let (code, said) = app.run(&["start", "-c", "w=50", "--exit-on-failure"]);
    assert_eq!(code, Some(0), "{said}");
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for line in said.lines() {
        let (name, bar, text) = parts(line);
        if name == "system" {
            continue;
        }
        let number = next.entry(name.to_owned()).or_default();
        let instance = name.strip_prefix("w.").expect("one of them");
        assert_eq!((bar, text), ('|', format!("{instance}:{number}:end").as_str()), "{line}");
        *number += 1;
    }
    assert_eq!(next.len(), 50);
    assert!(next.values().all(|count| *count == 100), "{next:?}");
}

#[test]
fn what_is_written_is_told_apart_and_at_the_end_of_a_process_without_its_own() {
    let app = App::new("web: echo out; echo err >&2; printf part; exit 3\nlonger: sleep 1000\n");
    let (code, said) = app.run(&["start"]);
    assert_eq!(code, Some(3));
    assert!(said.contains(" web.1    | out\n"), "{said}");
    assert!(said.contains(" web.1    ! err\n"), "{said}");
    let part = said.find(" web.1    | part\n").expect("told");
    let exit = said.find(" system   | web.1 exited with code 3\n").expect("told");
    assert!(part < exit, "{said}");
    assert!(said.contains(" system   | longer.1 killed by SIGTERM\n"), "{said}");
    assert!(!said.contains('\x1b'), "no colours where there is no terminal");
}

#[test]
fn the_exit_code_is_that_of_the_process_that_decided() {
    for (procfile, args, expected) in [
        ("a: exit 3\nb: sleep 1000\n", &["start"][..], 3),
        ("a: exit 0\nb: sleep 1000\n", &["start"], 0),
        ("a: kill -9 $$; :\nb: sleep 1000\n", &["start"], 137),
        ("a: ./not-there\nb: sleep 1000\n", &["start"], 127),
        ("a: /etc\nb: sleep 1000\n", &["start"], 126),
        ("a: exit 0\nb: sleep 0.3; exit 4\nc: sleep 1000\n", &["start", "--exit-on-failure"], 4),
        ("a: exit 0\nb: exit 0\n", &["start", "--exit-on-failure"], 0),
        // How the others end, which were told to, does not count.
        ("a: sleep 0.3; exit 0\nb: trap 'exit 7' TERM; sleep 1000 & wait\n", &["up"], 0),
    ] {
        let (code, said) = App::new(procfile).run(args);
        assert_eq!(code, Some(expected), "{procfile}{said}");
    }
    let (code, said) = App::new("a: b\n").run(&["start", "-f", "nowhere"]);
    assert_eq!((code, said.as_str()), (Some(1), "gaffer: procfile not found: nowhere\n"));
}

#[test]
fn one_interrupt_stops_and_tells_who_is_waited_for_and_a_second_kills() {
    let polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let mut running = App::new(&format!("a: {polite}\nb: {polite}\n")).start(&["start"]);
    until("both are ready", || running.said().matches("| ready").count() == 2);
    running.signal(INT);
    assert_eq!(running.ended(), Some(0));
    assert_eq!(running.said().matches("| bye").count(), 2);

    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut running = App::new(&format!("a: {deaf}\nb: sleep 1000\n")).start(&["start"]);
    running.until_said("| ready");
    let began = Since::now();
    running.signal(INT);
    running.until_said("system | waiting for a.1: 9s, then KILL");
    running.signal(INT);
    assert_eq!(running.ended(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(8), "it did not wait for the grace period");
    running.until_said("a.1 killed by SIGKILL");
    for pid in running.pids() {
        until("nothing is left", || !procs::exists(pid));
    }
}

#[test]
fn with_restart_what_ends_comes_back_and_a_stop_is_a_stop() {
    let app = App::new("a: echo again; sleep 0.1; exit 1\nb: sleep 1000\n");
    let mut running = app.start(&["start", "--restart"]);
    until("it runs a third time", || running.said().matches("a.1 started").count() == 3);
    let said = running.said();
    assert!(said.contains("a.1 exited with code 1\n"), "{said}");
    assert!(said.contains("a.1 starts again in "), "{said}");
    assert_eq!(said.matches("b.1 started").count(), 1);
    running.signal(TERM);
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn how_many_which_and_where_their_ports_begin_can_be_said() {
    let shown = "echo port=$PORT; sleep 1000";
    let procfile = format!("web: {shown}\nworker: {shown}\nrelease: {shown}\n");
    let said_with = |args: &[&str], count: usize| {
        let app = App::new(&procfile);
        app.write(".env", "PORT=7000\n");
        let mut running = app.start(args);
        until("all have said their ports", || running.said().matches("port=").count() == count);
        running.signal(INT);
        assert_eq!(running.ended(), Some(0));
        let said = running.said();
        let told = said.lines().map(parts).filter(|(_, _, text)| text.starts_with("port="));
        let mut ports: Vec<String> = told.map(|(name, _, text)| format!("{name} {text}")).collect();
        ports.sort();
        (ports, said)
    };
    let (ports, said) = said_with(&["start"], 2);
    assert_eq!(ports, ["web.1 port=7000", "worker.1 port=7100"]);
    assert!(said.contains("release is for a deployment and not started"), "{said}");
    let (ports, _) = said_with(&["start", "-c", "web=2,worker=0", "-p", "9000"], 2);
    assert_eq!(ports, ["web.1 port=9000", "web.2 port=9001"]);
    let (ports, _) = said_with(&["start", "-c", "all=2,worker=1"], 3);
    assert_eq!(ports, ["web.1 port=7000", "web.2 port=7001", "worker.1 port=7100"]);
    let (ports, _) = said_with(&["start", "-c", "worker=1", "-c", "all=0"], 1);
    assert_eq!(ports, ["worker.1 port=7100"]);
    let (ports, _) = said_with(&["dev:start", "--only", "worker,release"], 2);
    assert_eq!(ports, ["release.1 port=7200", "worker.1 port=7100"]);
    let app = App::new(&procfile);
    for (args, message) in [
        (&["start", "-c", "wbe=2"][..], "--concurrency: the Procfile has no \"wbe\", but web,"),
        (&["start", "--only", "x"], "--only: the Procfile has no \"x\""),
        (&["start", "nope"], "the Procfile has no \"nope\", but web,"),
        (&["start", "-p", "70000"], "--port: 70000 is no port number"),
        (&["start", "-p", "0"], "--port: 0 is no port number; expected 1 to 65535"),
        (&["start", "--restart", "--exit-on-failure"], "--restart and --exit-on-failure exclude"),
    ] {
        let (code, said) = app.run(args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with(&format!("gaffer: {message}")), "{said}");
    }
}

#[test]
fn an_application_of_nothing_but_a_release_says_why_it_does_not_start() {
    let app = App::new("release: exit 0\n");
    let (code, said) = app.run(&["start"]);
    let expected =
        "gaffer: nothing is to be started: release is for a deployment and not started; \
                    gaffer start release runs it\n";
    assert_eq!((code, said.as_str()), (Some(1), expected));
    let (_, said) = app.run(&["start", "release", "-c", "release=0"]);
    assert!(said.ends_with("there are 0 of everything\n"), "{said}");
}

#[test]
fn programs_are_told_a_line_as_an_object() {
    let app = App::new("web: echo '\"out\"'; echo err >&2; exit 3\n");
    let (code, said) = app.run(&["start", "--json"]);
    assert_eq!(code, Some(3), "{said}");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["ts"].as_f64().is_some_and(|ts| ts > 1e9)), "{said}");
    let told = |process: &str, stream: Value, text: &str| {
        let fits = |line: &Value| {
            line["process"] == process
                && line["stream"] == stream
                && line["line"].as_str().is_some_and(|line| line.starts_with(text))
        };
        assert!(lines.iter().any(fits), "{process} {text}: {said}");
    };
    told("web.1", json!("out"), "\"out\"");
    told("web.1", json!("err"), "err");
    told("system", json!(null), "web.1 started with pid ");
    told("system", json!(null), "web.1 exited with code 3");
}

#[test]
fn later_files_of_variables_go_over_earlier_ones() {
    let app = App::new("web: echo $A $B $C\n");
    app.write(".env", "A=unused\nC=unused\n");
    app.write("base", "A=1\nB=1\n");
    app.write("local", "B=2-$A-${A}\n");
    for args in [
        &["start", "-e", "base", "-e", "local"][..],
        &["-e", "base", "-e", "local", "dev:run", "echo $A $B $C"],
    ] {
        let (code, said) = app.run(args);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("1 2-$A-1\n"), "{said}");
    }
    app.write("local", "\nb\n");
    let (code, said) = app.run(&["start", "-e", "base", "-e", "local"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("gaffer: local:2: "), "{said}");
}

#[test]
fn a_port_that_another_has_is_told_before_anything_starts() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("bound").port().to_string();
    let (code, said) = App::new("web: exit 0\n").run(&["start", "-p", &port]);
    assert_eq!(code, Some(0));
    let first = said.lines().next().unwrap_or_default();
    let (name, _, text) = parts(first);
    assert_eq!(name, "system");
    assert!(text.starts_with(&format!("port {port} of web.1 is taken already by ")), "{text}");
    assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
}

#[test]
fn procfiles_as_they_are_found_run() {
    for (procfile, expected) in [
        // Rails, Django, Node: programs of their own stand in for those.
        ("web: echo rails server -p ${PORT:-3000} -e $RAILS_ENV\n", "rails server -p 5000 -e test"),
        ("web: echo gunicorn site.wsgi --log-file -\n", "gunicorn site.wsgi --log-file -"),
        ("web: NODE_ENV=production sh -c 'echo node $NODE_ENV'\n", "node production"),
        ("web: true && echo both\n", "both"),
        ("web: exec echo replaced\n", "replaced"),
        ("web: cd / && echo \"in $PWD\"\n", "in /"),
        ("web: echo \"a  b\" 'c  d'\n", "a  b c  d"),
        ("web: echo bind $PORT\n", "bind 5000"),
        ("# first\n\nweb: echo commented # not said\n", "commented"),
        ("web: echo crlf\r\nworker: sleep 1000\r\n", "crlf"),
        ("release: exit 9\nweb: echo served\n", "served"),
        ("web:echo no blank\n", "no blank"),
    ] {
        let app = App::new(procfile);
        app.write(".env", "RAILS_ENV=test\n");
        let (code, said) = app.run(&["start"]);
        assert_eq!(code, Some(0), "{procfile}{said}");
        let told =
            said.lines().map(parts).any(|(name, _, text)| (name, text) == ("web.1", expected));
        assert!(told, "{procfile}{said}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
fn a_reader_that_goes_ends_the_application_quietly() {
    let app = App::new("a: while :; do echo x; sleep 0.01; done\nb: sleep 1000\n");
    let mut command = app.command(&["start"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut running = Running { app, child };
    let mut lines = BufReader::new(running.child.stdout.take().expect("a pipe")).lines();
    let pids: Vec<i32> = lines
        .by_ref()
        .map(|line| line.expect("text"))
        .take_while(|line| !line.ends_with("| x"))
        .filter_map(|line| line.rsplit_once(" pid ")?.1.parse().ok())
        .collect();
    assert_eq!(pids.len(), 2);
    drop(lines);
    assert_eq!(running.ended(), Some(0));
    let said = std::io::read_to_string(running.child.stderr.take().expect("a pipe")).expect("text");
    assert_eq!(said, "");
    assert!(pids.into_iter().all(|pid| !procs::exists(pid)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
fn a_reader_that_only_waits_holds_the_output_and_not_the_end() {
    let app =
        App::new("a: while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n");
    let mut command = app.command(&["start"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("runs");
    let mut running = Running { app, child };
    let pid = i32::try_from(running.child.id()).expect("a pid");
    // Nobody reads: what it has read of the process stands still.
    let read = || procs::bytes_read(pid);
    until("it stands still", || {
        let before = read();
        all_along(Duration::from_millis(300), "it runs", || procs::exists(pid));
        before > 0 && read() == before
    });
    running.signal(INT);
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn nothing_is_left_behind_and_nothing_listens() {
    let app = App::new("a: sleep 1000\n");
    let home = app.path("home");
    fs::create_dir(&home).expect("the folder can be written");
    let listed = |path: PathBuf| fs::read_dir(path).expect("a folder").count();
    let mut running = app.start(&["start"]);
    running.until_said("a.1 started");
    let sockets = fs::read_dir(format!("/proc/{}/fd", running.child.id())).expect("it runs");
    let links = sockets.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets = links.filter(|to| to.to_string_lossy().starts_with("socket:")).count();
    // The pair by which signals reach the loop.
    assert!(sockets <= 2, "{sockets} sockets");
    running.signal(INT);
    assert_eq!(running.ended(), Some(0));
    assert_eq!(listed(running.app.path("home")), 0);
    assert_eq!(listed(running.app.path("")), 3, "Procfile, home and out");
}

#[test]
fn a_command_runs_in_the_applications_environment_and_in_our_place() {
    let app = App::new("web: x\n");
    app.write(".env", "A=from-env\n");
    let (code, said) = app.run(&["dev:run", "sh", "-c", "echo $A $PORT $0; exit 5", "--json"]);
    assert_eq!((code, said.as_str()), (Some(5), "from-env 5000 --json\n"));
    app.write("other", "A=other\nPORT=7\n");
    let (code, said) = app.run(&["-e", "other", "dev:run", "echo $A $PORT"]);
    assert_eq!((code, said.as_str()), (Some(0), "other 7\n"));
    let (code, said) = app.run(&["dev:run", "./not-there"]);
    assert_eq!(code, Some(127));
    assert_eq!(said, "gaffer: cannot run ./not-there: No such file or directory\n");
    let (code, _) = app.run(&["dev:run"]);
    assert_eq!(code, Some(2));
    let mut running = app.start(&["dev:run", "sh", "-c", "echo ready; exec sleep 1000"]);
    running.until_said("ready");
    running.signal(INT);
    assert_eq!(running.ended(), None, "the signal reached it");
}

#[test]
fn a_check_tells_every_fault_with_file_and_line() {
    let app = App::new("web: a\n");
    app.write(".env", "A=1\n");
    let (code, said) = app.run(&["check", "-a", "app"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, "Procfile, .env: no faults\n");
    app.write("Procfile", "web: a\nno colon\nweb: b\n");
    app.write(".env", "A=1\nb\nPORT=x\n");
    app.write("jobs.json", "{\"jobs\": [\n{\"name\": \"a\"}]}");
    app.write("g.ini", "[job:a]\ncmd = x\nfoo = 1\n");
    let lines = |args: &[&str]| {
        let (code, said) = app.run(args);
        assert_eq!(code, Some(1), "{said}");
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let found = lines(&["check"]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("Procfile:2: no \"name: command\""), "{found:?}");
    assert!(found[1].starts_with("Procfile:3: process \"web\" is already on line 1"), "{found:?}");
    assert!(found[2].starts_with(".env:2: "), "{found:?}");
    app.write("Procfile", "web: a\n");
    app.write(".env", "A=1\nPORT=x\n");
    let found = lines(&["check"]);
    assert!(found[0].starts_with(".env:2: PORT is \"x\", no port number"), "{found:?}");
    let found = lines(&["check", "jobs.json", "g.ini", "none"]);
    assert_eq!(found[0], "jobs.json:2: job 1 (a): cmd is missing");
    assert!(found[1].starts_with("g.ini:3: unknown key \"foo\""), "{found:?}");
    assert_eq!(found[2], "none: No such file or directory");
}

#[test]
fn a_check_of_an_ini_file_goes_into_what_it_includes() {
    let app = App::new("web: a\n");
    fs::create_dir(app.path("conf.d")).expect("a folder");
    app.write("g.ini", "[gaffer]\ninclude = more.ini none.ini\ninclude_dir = conf.d\nbnd = 1\n");
    app.write("more.ini", "[job:a]\ncmd = x\nfoo = 1\n");
    app.write("conf.d/b.ini", "[job:b]\ncmd = x\nuid = nobody-here\n\nnumprocesses = y\n");
    app.write("conf.d/not", "[");
    let (code, said) = app.run(&["check", "g.ini"]);
    assert_eq!(code, Some(1), "{said}");
    let found: Vec<&str> = said.lines().collect();
    let begins = [
        "g.ini:2: none.ini: No such file or directory",
        "g.ini:4: unknown key \"bnd\"",
        "more.ini:3: unknown key \"foo\"",
        "conf.d/b.ini:3: b: ",
        "conf.d/b.ini:5: numprocesses: ",
    ];
    assert_eq!(found.len(), begins.len(), "{said}");
    for (fault, begin) in found.iter().zip(begins) {
        assert!(fault.starts_with(begin), "{fault}");
    }
    app.write("g.ini", "[gaffer]\ninclude = more.ini\n");
    app.write("more.ini", "[gaffer]\ninclude = x.ini\n[job:a]\ncmd = x\n");
    let (_, said) = app.run(&["check", "g.ini"]);
    assert_eq!(said, "more.ini:2: include works in the main file only; name it there\n");
    app.write("more.ini", "[job:a]\ncmd = x\n");
    assert_eq!(app.run(&["check", "g.ini"]), (Some(0), "g.ini: no faults\n".into()));
}

#[test]
fn a_check_reads_standard_input() {
    let app = App::new("web: a\n");
    app.write("in", "{\"jobs\": [\n{\"name\": \"a\"}]}");
    let mut command = app.command(&["check", "-"]);
    command.stdin(File::open(app.path("in")).expect("written"));
    let output = command.output().expect("gaffer runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), said.as_str()),
        (Some(1), "stdin:2: job 1 (a): cmd is missing\n")
    );
}
