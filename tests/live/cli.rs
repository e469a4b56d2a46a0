//! The command line against the real gafferd: what people and programs read of it, and how it ends.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{json, Value};

use super::node::{Folder, Node};
use super::terminal::OnTerminal;
use super::until::{until, until_some};

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command in a folder against a node.
pub(crate) fn gaffer(node: &Node, folder: &str, line: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    command
        .args(line)
        .current_dir(folder)
        .env("GAFFER_URL", format!("http://127.0.0.1:{}", node.port))
        .env("COLUMNS", "80")
        .stdin(Stdio::null());
    let output = command.output().expect("it runs");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs a command that has to go well, and gives what it printed.
pub(crate) fn does(node: &Node, folder: &str, line: &[&str]) -> String {
    let said = gaffer(node, folder, line);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{line:?}: {}", said.out);
    said.out
}

/// The same with `--json`: one value a line.
pub(crate) fn json_of(node: &Node, folder: &str, line: &[&str]) -> Vec<Value> {
    let out = does(node, folder, &[line, &["--json"]].concat());
    out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A node, and a folder called `site` with an application in it.
pub(crate) fn site(node: &Node) -> String {
    let folder = node.path("site");
    fs::create_dir(&folder).expect("a folder");
    let procfile = "web: echo hello from web; exec sleep 1001\ncat: cat\n";
    fs::write(folder.join("Procfile"), procfile).expect("written");
    fs::write(folder.join(".env"), "GAFFER_REDIRECT_INPUT=cat\nPORT=7100\n").expect("written");
    folder.display().to_string()
}

pub(crate) fn all_run(node: &Node, jobs: &[&str]) {
    until("all run", || {
        jobs.iter().all(|job| node.get(&format!("/jobs/{job}"))["state"] == "running")
    });
}

/// A table without its numbers of processes and times, which differ.
fn masked(table: &str) -> String {
    let mask = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [app, job, number, state, _, _, restarts, _, _, note @ ..] => {
                format!("{app} {job} {number} {state} {restarts} {}", note.join(" "))
            }
            _ => line.to_owned(),
        }
    };
    table.lines().map(mask).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_application_is_loaded_looked_at_and_unloaded() {
    let node = Folder::new().start();
    let site = site(&node);
    let loaded = does(&node, &site, &["load"]);
    let address = format!("http://127.0.0.1:{}", node.port);
    assert_eq!(
        loaded,
        format!("'site.web' loaded\n'site.cat' loaded\n==> 'site' has been loaded in {address}\n")
    );
    let again = gaffer(&node, &site, &["load"]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "'site.web' already loaded\n'site.cat' already loaded\n")
    );
    all_run(&node, &["site/web", "site/cat"]);
    assert_eq!(does(&node, &site, &["apps"]), "site\n");
    let shown = does(&node, &site, &["ps"]);
    assert_eq!(
        masked(&shown),
        "APP JOB # STATE RESTARTS NOTE\nsite web 1 running 0 \nsite cat 1 running 0 "
    );
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    assert_eq!(does(&node, &site, &["ps", "-o", "name"]), "site.web.1\nsite.cat.1\n");
    let rows = &json_of(&node, &site, &["ps", "web"])[0];
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    assert_eq!((&rows[0]["job"], &rows[0]["state"]), (&json!("web"), &json!("running")));
    assert_eq!(does(&node, &site, &["unload", "cat"]), "site.cat: unloaded\n");
    assert_eq!(does(&node, &site, &["unload"]), "site.web: unloaded\n");
    let gone = gaffer(&node, &site, &["ps"]);
    assert_eq!(gone.code, 1);
    assert_eq!(gone.err, "gaffer: 'site' not loaded: no job of it is on the node\n");
}

#[test]
fn everything_means_the_application_and_never_the_node() {
    let node = Folder::new().start();
    let site = site(&node);
    node.run_job(&json!({"name": "other", "cmd": "sleep 1002"}));
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    assert_eq!(does(&node, &site, &["stop"]), "site.web: stopped\nsite.cat: stopped\n");
    assert_eq!(node.get("/jobs/t/other")["state"], "running", "it is of another application");
    assert_eq!(does(&node, &site, &["ps:start", "w*"]), "site.web: started\n");
    all_run(&node, &["site/web"]);
    assert_eq!(does(&node, &site, &["stop", "t/other"]), "t.other: stopped\n");
    assert_eq!(does(&node, &site, &["restart", "site.web"]), "site.web: restarted\n");
    let missing = gaffer(&node, &site, &["stop", "wbe"]);
    assert_eq!(
        (missing.code, missing.err.as_str()),
        (1, "gaffer: job 'wbe' not found; did you mean site.web?\n")
    );
}

#[test]
fn numbers_signals_and_one_offs() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load", "-c", "web=2,cat=0"]);
    all_run(&node, &["site/web"]);
    assert_eq!(
        does(&node, &site, &["scale", "web-1", "cat=1"]),
        "Scaling site.web processes... done, now running 1\nScaling site.cat processes... done, now running 1\n"
    );
    assert_eq!(
        json_of(&node, &site, &["scale", "web+2"])[0],
        json!({"name": "site.web", "numprocesses": 3})
    );
    all_run(&node, &["site/cat"]);
    let process = node.get("/jobs/site/cat")["processes"][0].clone();
    let pid = process.to_string();
    assert_eq!(does(&node, &site, &["kill", &pid, "KILL"]), format!("process {pid}: KILL sent\n"));
    until("it has a successor", || node.get("/jobs/site/cat")["processes"][0] != process);
    let launched = does(&node, &site, &["run", "web", "-p", "A=1"]);
    assert!(launched.starts_with("'site.web': new process "), "{launched}");
    for (line, code, message) in [
        (vec!["scale", "web"], 2, "gaffer: gaffer scale NAME=N, NAME+N or NAME-N"),
        (vec!["load", "-c", "web=x"], 2, "gaffer: --concurrency: \"web=x\" is not NAME=NUMBER"),
        (
            vec!["load", "-c", "nobody=1"],
            2,
            "gaffer: --concurrency: the Procfile has no \"nobody\"",
        ),
        (vec!["kill", "web", "NOSIGNAL"], 1, "gaffer: site.web: signal: expected a signal's name"),
        (vec!["ps:info", "99"], 1, "gaffer: process '99' not found"),
        (vec!["pss"], 2, "gaffer: Unknown command: 'pss'; did you mean ps?"),
        (vec!["ps", "--output", "x"], 2, "gaffer: --output: expected wide, json, tsv or name"),
    ] {
        let said = gaffer(&node, &site, &line);
        assert_eq!(said.code, code, "{line:?}: {}", said.err);
        assert!(said.err.starts_with(message), "{line:?}: {}", said.err);
        assert_eq!(said.err.lines().count(), 1, "{line:?}: {}", said.err);
    }
}

#[test]
fn what_processes_use_is_listed_for_each_of_them() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load", "-c", "web=2"]);
    node.run_job(&json!({"name": "other", "cmd": "sleep 1002"}));
    all_run(&node, &["site/web", "site/cat"]);
    let listed = does(&node, &site, &["stats"]);
    let column = |n: usize| {
        let words = listed.lines().map(|line| line.split_whitespace().nth(n).unwrap_or_default());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(column(0), ["JOB", "site.web", "site.web", "site.cat"]);
    let pids = column(1);
    let widths: Vec<usize> = listed.lines().map(str::len).collect();
    assert!(widths.iter().all(|width| *width == widths[0] && *width <= 80), "{listed}");
    let jobs = &json_of(&node, &site, &["stats", "cat", "t/other"])[0];
    let names: Vec<&Value> =
        jobs.as_array().into_iter().flatten().map(|job| &job["name"]).collect();
    assert_eq!(names, [&json!("site.cat"), &json!("t.other")]);
    assert_eq!(jobs[0]["stats"][0]["pid"].to_string(), pids[3]);
    assert!(jobs[0]["stats"][0]["rss"].is_u64(), "{jobs}");
    let missing = gaffer(&node, &site, &["stats", "nobody"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, ""));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
fn statistics_go_on_until_they_are_not_read_any_more() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "one", "cmd": "sleep 1002"}));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    command.args(["stats", "-w", "--json", "t/one"]).stdout(Stdio::piped());
    command.env("GAFFER_URL", format!("http://127.0.0.1:{}", node.port));
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for _ in 0..2 {
        let line = lines.next().expect("it goes on").expect("text");
        let jobs: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(jobs[0]["name"], "t.one");
    }
    drop(lines);
    let code = until_some("it ends", || child.try_wait().expect("it is our child"));
    assert_eq!(code.code(), Some(0));
}

#[test]
fn what_fails_is_told_with_its_causes() {
    let node = Folder::new().start();
    let flaky =
        json!({"name": "flaky", "cmd": "sh -c 'echo going down; exit 3'", "restart": "never"});
    node.does("POST", "/jobs/default", &flaky.to_string());
    until("it has ended", || node.get("/jobs/default/flaky")["state"] == "exited");
    let here = node.path("").display().to_string();
    let why = does(&node, &here, &["why", "flaky"]);
    for part in ["default.flaky is wanted up and is exited: exit 3 after ", "\"going down\""] {
        assert!(why.contains(part), "{why}");
    }
    let status = gaffer(&node, &here, &["status", "flaky"]);
    assert_eq!(status.code, 3, "it does not run");
    assert!(status.out.contains("          | going down\n"), "{}", status.out);
    let down = gaffer(&node, &here, &["-g", "http://127.0.0.1:1", "ping"]);
    assert_eq!(down.code, 4);
    assert!(down.err.ends_with("start one with `gafferd`\n"), "{}", down.err);
    assert_eq!(does(&node, &here, &["ping"]), "OK\n");
}

#[test]
fn output_is_printed_and_input_written() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    until("it is kept", || !does(&node, &site, &["logs", "web"]).is_empty());
    assert_eq!(does(&node, &site, &["logs", "web"]), "web.1 | hello from web\n");
    let pid = node.get("/jobs/site/cat")["processes"][0].to_string();
    assert_eq!(does(&node, &site, &["send", &pid, "good", "day"]), "");
    until("it comes back", || does(&node, &site, &["logs", "cat"]) == "cat.1 | good day\n");
    let line = &json_of(&node, &site, &["logs", "cat"])[0];
    assert_eq!((&line["stream"], &line["line"]), (&json!("out"), &json!("good day")));
    let refused = gaffer(&node, &site, &["send", "99", "x"]);
    assert_eq!((refused.code, refused.err.as_str()), (1, "gaffer: process '99' not found\n"));
}

#[test]
fn what_is_exported_is_what_gafferd_reads() {
    let node = Folder::new().start();
    let job = json!({"name": "a", "cmd": "sh -c 'echo 100%; sleep 1000'", "env": {"PATH": "/bin:/usr/bin"},
        "flapping": {"attempts": 2, "window": 1.0, "retry_in": 7.0, "max_retry": 5}, "nice": 1});
    node.does("POST", "/jobs/t", &job.to_string());
    let here = node.path("").display().to_string();
    let ini = does(&node, &here, &["export", "--app", "t"]);
    let other = Folder::new().args(&["-c", "@g.ini"]);
    other.write("g.ini", &ini);
    let other = other.start();
    let config = |node: &Node| node.get("/jobs/t/a")["config"].clone();
    for key in ["cmd", "env", "nice"] {
        assert_eq!(config(&other)[key], config(&node)[key], "{key} in\n{ini}");
    }
    let text = does(&node, &here, &["export", "--app", "t", "--format", "json"]);
    let third = Folder::new().args(&["--load", "@jobs.json"]);
    third.write("jobs.json", &text);
    assert_eq!(config(&third.start()), config(&node), "{text}");
}

#[test]
fn help_pages_and_completions_come_from_the_table() {
    let node = Folder::new().start();
    let here = node.path("").display().to_string();
    let help = does(&node, &here, &["help"]);
    for command in gaffer::cli::COMMANDS {
        assert!(help.contains(command.names[0]), "{} is not in help", command.names[0]);
        let own = does(&node, &here, &["help", command.names[0]]);
        assert!(own.contains(command.about), "{own}");
        for flag in command.flags {
            assert!(own.contains(&format!("--{}", flag.long)), "{own}");
        }
    }
    assert!(does(&node, &here, &["help", "--man"]).starts_with(".TH GAFFER 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(does(&node, &here, &["completion", shell]).contains("scale"), "{shell}");
    }
    let script = does(&node, &here, &["completion", "bash"])
        + "COMP_WORDS=(gaffer ps --so); COMP_CWORD=2; _gaffer; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--sort\n");
    assert_eq!(does(&node, &here, &["--version"]), format!("gaffer version {}\n", gaffer::VERSION));
}

/// The name of the program with its address, for a shell line.
fn line(node: &Node, words: &str) -> String {
    let program = env!("CARGO_BIN_EXE_gaffer");
    format!("{program} -g http://127.0.0.1:{} {words}", node.port)
}

#[test]
fn an_interactive_shell_is_attached_to_on_a_terminal() {
    let node = Folder::new().start();
    let job = json!({
        "name": "sh", "cmd": "sh -i", "env": {"PS1": "ask> "},
        "redirect_output": ["out", "err"], "redirect_input": true,
    });
    node.run_job(&job);
    let mut terminal = OnTerminal::start(&line(&node, "attach t/sh.1"), |_| {});
    terminal.shows("ask> ");
    terminal.types("echo $((6*7))\n");
    terminal.shows("42");
    terminal.types("echo err$((1+1)) >&2\n");
    terminal.shows("err2");
    // The process is not ended by who only looks at it.
    terminal.types("\x03");
    let (status, _) = terminal.ends();
    assert_eq!(status.code(), Some(128 + 2), "it ends by the interrupt");
    assert_eq!(node.get("/jobs/t/sh")["processes"], json!([1]));
    let mut terminal = OnTerminal::start(&line(&node, "attach t/sh"), |_| {});
    terminal.shows("42");
    terminal.types("exit\n");
    let (status, _) = terminal.ends();
    assert_eq!(status.code(), Some(0), "it ends with the process");
}

#[test]
fn a_file_that_is_sent_does_not_end_the_input_of_a_process() {
    let node = Folder::new().start();
    let job = json!({
        "name": "cat", "cmd": "cat", "redirect_output": ["out"], "redirect_input": true,
    });
    node.run_job(&job);
    let mut attached = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    let url = format!("http://127.0.0.1:{}", node.port);
    attached.args(["-g", &url, "attach", "t.cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
    let mut attached = attached.spawn().expect("it runs");
    let mut stdin = attached.stdin.take().expect("piped");
    stdin.write_all(b"from a pipe\n").expect("taken");
    drop(stdin);
    let mut shown = BufReader::new(attached.stdout.take().expect("piped"));
    let mut text = String::new();
    shown.read_line(&mut text).expect("text");
    assert_eq!(text, "from a pipe\n");
    assert_eq!(does(&node, ".", &["send", "1", "more"]), "", "it still reads");
    shown.read_line(&mut text).expect("text");
    assert_eq!(text, "from a pipe\nmore\n");
    does(&node, ".", &["send", "1", "--close"]);
    assert_eq!(attached.wait().expect("ours").code(), Some(0), "that was its end");
}

#[test]
fn logs_go_on_with_processes_that_come_later() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    let shown = does(&node, &site, &["logs", "web"]);
    assert_eq!(shown, "web.1 | hello from web\n");
    let mut following = Command::new(env!("CARGO_BIN_EXE_gaffer"));
    let url = format!("http://127.0.0.1:{}", node.port);
    following.args(["-g", &url, "logs", "-f", "--grep", "hello|later|cut"]).current_dir(&site);
    #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
    let mut following = following.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut shown = BufReader::new(following.stdout.take().expect("piped")).lines();
    let mut next = || shown.next().expect("it goes on").expect("text");
    assert_eq!(next(), "web.1 | hello from web");
    does(&node, &site, &["scale", "web+1"]);
    assert_eq!(next(), "web.2 | hello from web");
    let job = json!({"name": "new", "cmd": "echo left out; echo later; printf cut", "shell": true,
        "restart": "never"});
    node.does("POST", "/jobs/site", &job.to_string());
    assert_eq!(next(), "new.1 | later", "of a job that was loaded meanwhile");
    assert_eq!(next(), "new.1 | cut", "the last line of a process has no end");
    following.kill().expect("ours");
    following.wait().expect("ours");
    let shown = does(&node, &site, &["logs", "new", "--since", "1h", "-n", "2"]);
    assert_eq!(shown, "new.1 | later\nnew.1 | cut\n", "though its process is gone");
    let one = json_of(&node, &site, &["logs", "web.2"]);
    assert_eq!(
        (one.len(), &one[0]["instance"], &one[0]["line"]),
        (1, &json!(2), &json!("hello from web"))
    );
}

#[test]
fn run_is_for_jobs_of_the_node_and_for_commands_here() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    assert_eq!(does(&node, &site, &["run", "echo", "-n", "$PORT", "--json"]), "$PORT --json");
    assert_eq!(does(&node, &site, &["run", "echo of port $PORT"]), "of port 7100\n");
    let said = does(&node, &site, &["run", "web", "-p", "A=1", "--graceful-timeout", "1"]);
    assert_eq!(said, "'site.web': new process 3 launched\n");
    assert_eq!(node.get("/3")["env"]["A"], "1");
    // With words behind it that are no flags, it is a command, whatever there is on the node.
    assert_eq!(
        does(&node, &site, &["run", "cat", ".env"]),
        "GAFFER_REDIRECT_INPUT=cat\nPORT=7100\n"
    );
    let missing = gaffer(&node, &site, &["run", "no-such-thing"]);
    assert_eq!(missing.code, 127);
    assert!(missing.err.contains("there is no job of that name at "), "{}", missing.err);
}

#[test]
fn the_users_key_for_a_node_is_sent_and_never_shown() {
    let folder = Folder::new().start();
    let heard = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = heard.local_addr().expect("bound");
    let file = folder.path("gaffer.ini");
    fs::write(&file, format!("[node \"http://{address}\"]\nkey = secret-1\n")).expect("written");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed");
    let ping = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command.args(["-g", &address.to_string(), "ping"]).env("GAFFER_CONFIG", file);
        #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    };
    let running = ping(&file);
    let (mut connection, _) = heard.accept().expect("it asks");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("more");
        request.push(byte[0]);
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").expect("taken");
    assert!(String::from_utf8_lossy(&request).contains("\r\nX-Api-Key: secret-1\r\n"));
    let said = running.wait_with_output().expect("ours");
    let err = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(err.contains("can be read by others: chmod 600"), "{err}");
    assert!(!err.contains("secret-1"), "{err}");
    fs::write(&file, "[node \"http://x\"]\nkye = 1\n").expect("written");
    let said = ping(&file).wait_with_output().expect("ours");
    let err = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(err.ends_with(":2: kye is no key of a node; did you mean key?\n"), "{err}");
    assert_eq!(said.status.code(), Some(1));
}

#[test]
fn a_signal_is_not_said_to_be_sent_to_nobody() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load", "--nostart"]);
    let said = gaffer(&node, &site, &["kill", "web", "TERM"]);
    assert_eq!((said.code, said.err.as_str()), (3, "gaffer: site.web has no process\n"));
    for (words, code, err) in [
        (&["stop", ""][..], 1, "job '' not found"),
        (&["stop", "99999999999999999999"], 1, "process '99999999999999999999' not found"),
        (&["stop", "77"], 1, "process 77: not found"),
        (&["scale", "web=-1"], 2, "gaffer scale NAME=N, NAME+N or NAME-N, as many as you like"),
        (&["unload", "web.1"], 2, "site.web.1 is one instance; this is done to whole jobs"),
        (&["logs", "--grep", "("], 2, "--grep: \"(\" is no regular expression: "),
        (&["logs", "--since", "soon"], 2, "--since: \"soon\" is no length of time "),
    ] {
        let said = gaffer(&node, &site, words);
        assert_eq!(said.code, code, "{words:?}");
        assert!(said.err.starts_with(&format!("gaffer: {err}")), "{words:?}: {}", said.err);
    }
    does(&node, &site, &["stop", "web"]);
    let said = does(&node, &site, &["scale", "web=3"]);
    assert_eq!(said, "Scaling site.web processes... done, 3 when it is started\n");
}

#[test]
fn what_goes_on_ends_with_its_reader() {
    let node = Folder::new().start();
    let cmd = "read a; echo one; echo two; exec sleep 1000";
    let job = json!({"name": "a", "cmd": cmd, "shell": true, "redirect_output": ["out"],
        "redirect_input": true});
    node.run_job(&job);
    let counters = || node.get("/debug/counters")["feeds"].as_u64();
    // Nothing is written any more when the reader is gone.
    let shell = line(&node, "recv 1 | head -1");
    let mut command = Command::new("sh");
    command.args(["-c", &shell]).stdout(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
    let receiving = command.spawn().expect("it runs");
    until("it listens", || counters() == Some(1));
    does(&node, ".", &["send", "1", "go"]);
    let output = receiving.wait_with_output().expect("ours");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n");
    until("nobody listens", || counters() == Some(0));
    let shell = line(&node, "stats -w --json | head -1");
    let output = Command::new("sh").args(["-c", &shell]).output().expect("it runs");
    assert!(output.stdout.starts_with(b"[{"), "{output:?}");
    until("nobody is told", || counters() == Some(0));
}
