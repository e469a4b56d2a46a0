//! The command line against the real gafferd: what people and programs read of it, and how it ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{json, Value};

use super::node::{Folder, Node};
use super::until::{until, until_some};

/// How a command ended, and what it said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs a command in a folder against a node.
fn gaffer(node: &Node, folder: &str, line: &[&str]) -> Said {
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
fn does(node: &Node, folder: &str, line: &[&str]) -> String {
    let said = gaffer(node, folder, line);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{line:?}: {}", said.out);
    said.out
}

/// The same with `--json`: one value a line.
fn json_of(node: &Node, folder: &str, line: &[&str]) -> Vec<Value> {
    let out = does(node, folder, &[line, &["--json"]].concat());
    out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A node, and a folder called `site` with an application in it.
fn site(node: &Node) -> String {
    let folder = node.path("site");
    fs::create_dir(&folder).expect("a folder");
    let procfile = "web: echo hello from web; exec sleep 1001\ncat: cat\n";
    fs::write(folder.join("Procfile"), procfile).expect("written");
    fs::write(folder.join(".env"), "GAFFER_REDIRECT_INPUT=cat\nPORT=7100\n").expect("written");
    folder.display().to_string()
}

fn all_run(node: &Node, jobs: &[&str]) {
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
        (1, "'site.web' already loaded\n'site.cat' already loaded\n")
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
    assert_eq!(does(&node, &site, &["restart", "site.web"]), "site.web: restarts\n");
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
    for part in ["default.flaky is wanted up and is exited: exited with code 3", "\"going down\""] {
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
    assert_eq!((refused.code, refused.err.as_str()), (1, "gaffer: no such job or process\n"));
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
