//! The command line where somebody looks on: what goes on until its reader has gone, and what is drawn on a
//! terminal.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::cli::{all_run, does, site};
use super::node::{Folder, Node, KILL};
use super::procs;
use super::until::{until, until_some};

const GAFFER: &str = env!("CARGO_BIN_EXE_gaffer");

/// A command that goes on, ended with the test.
struct Going(Child);

impl Going {
    fn id(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let inner = procs::children(self.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
        inner.into_iter().for_each(|pid| procs::kill(pid, KILL));
    }
}

#[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
fn begin(node: &Node, folder: &str, command: &mut Command, out: Stdio) -> Going {
    command
        .current_dir(folder)
        .env("GAFFER_URL", format!("http://127.0.0.1:{}", node.port))
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped());
    Going(command.spawn().expect("it runs"))
}

/// A command on a terminal of this size; what it writes goes to a file.
fn on_terminal(node: &Node, folder: &str, size: &str, line: &str) -> Going {
    let line = format!("stty {size}; exec {line}");
    let mut command = Command::new("script");
    command.args(["-q", "-f", "-c", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    let out = File::create(node.path("screen")).expect("the folder can be written");
    begin(node, folder, &mut command, out.into())
}

fn screen(node: &Node) -> String {
    fs::read_to_string(node.path("screen")).unwrap_or_default()
}

#[test]
fn what_goes_on_ends_with_its_reader_although_nothing_happens() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    until("it is kept", || !does(&node, &site, &["logs", "web"]).is_empty());
    // Two of them have nothing to print, so that it is no failed write that ends them.
    for line in
        [&["events"][..], &["logs", "-f", "-n", "0"], &["events", "--since", "0"], &["ps", "-w"]]
    {
        let mut command = Command::new(GAFFER);
        let mut going = begin(&node, &site, command.args(line), Stdio::piped());
        drop(going.0.stdout.take());
        let ended = until_some("it ends", || going.0.try_wait().expect("it is our child"));
        let said = std::io::read_to_string(going.0.stderr.take().expect("a pipe")).expect("text");
        assert_eq!((ended.code(), said.as_str()), (Some(0), ""), "{line:?}");
    }
}

#[test]
fn an_event_is_told_with_its_time_and_the_number_to_go_on_from() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1004"}));
    let first = |since: &str| {
        let here = node.path("").display().to_string();
        let mut command = Command::new(GAFFER);
        command.args(["events", "--since", since]);
        let mut going = begin(&node, &here, &mut command, Stdio::piped());
        let mut lines = BufReader::new(going.0.stdout.take().expect("a pipe")).lines();
        lines.next().expect("a line").expect("text")
    };
    let number = |line: &str| -> u64 {
        let (time, rest) = line.split_once(" #").expect(line);
        assert_eq!(time.split(':').map(str::len).collect::<Vec<_>>(), [2, 2, 2], "{line}");
        let (number, what) = rest.split_once(' ').expect(line);
        assert!(what.starts_with("t.a | "), "{line}");
        number.parse().expect(line)
    };
    let load = first("0");
    assert!(load.ends_with(" t.a | load"), "{load}");
    let next = first(&number(&load).to_string());
    assert!(number(&next) > number(&load), "{next}");
}

#[test]
fn what_is_watched_is_drawn_in_its_place_and_follows_what_comes_and_goes() {
    let node = Folder::new().start();
    let site = site(&node);
    does(&node, &site, &["load"]);
    all_run(&node, &["site/web", "site/cat"]);
    let _going = on_terminal(&node, &site, "rows 10 cols 60", &format!("{GAFFER} ps -w"));
    let frames = || -> Vec<String> {
        screen(&node).split("\x1b[?7l\x1b[H").skip(1).map(str::to_owned).collect()
    };
    let last = || frames().pop().unwrap_or_default();
    until("it is drawn", || last().contains("cat"));
    does(&node, &site, &["unload", "cat"]);
    until("it goes", || last().ends_with("\x1b[J\x1b[?7h") && !last().contains("cat"));
    does(&node, &site, &["unload"]);
    until("nothing is left", || last().starts_with("\x1b[K'site' not loaded"));
    does(&node, &site, &["load"]);
    until("it is there again", || last().contains("web") && last().contains("cat"));
    let count = frames().len();
    until("time passes", || frames().len() > count);
    // Only before the first of them does the screen move up.
    let all = screen(&node);
    let (before, drawn) = all.split_once("\x1b[H").expect("frames");
    assert_eq!(before.matches('\n').count(), 10, "{before:?}");
    for frame in drawn.split("\x1b[H") {
        assert!(frame.matches('\n').count() < 10, "{frame:?}");
    }
    assert!(!all.contains("\x1b[2J") && !all.contains("\x1b[?1049h"), "nothing is hidden");
}

#[test]
fn rows_fit_the_terminal_and_a_dumb_one_gets_no_colours() {
    let node = Folder::new().start();
    let long = "a".repeat(60);
    node.does("POST", "/jobs/t", &json!({"name": long, "cmd": "/not/there"}).to_string());
    until("it cannot start", || node.get(&format!("/jobs/t/{long}"))["state"] == "backoff");
    let here = node.path("").display().to_string();
    let shown = |line: &str| {
        let mut going = on_terminal(&node, &here, "rows 24 cols 80", line);
        until_some("it ends", || going.0.try_wait().expect("it is our child"));
        screen(&node)
    };
    let plain = shown(&format!("{GAFFER} --no-color ps"));
    for line in plain.lines().filter(|line| !line.is_empty()) {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
    assert!(plain.contains("NOTE") && plain.contains("aaa…") && !plain.contains("MEM"), "{plain}");
    assert!(shown(&format!("{GAFFER} ps")).contains("\x1b[33mbackoff\x1b[0m"));
    let dumb = shown(&format!("env TERM=dumb {GAFFER} ps"));
    assert!(dumb.contains("backoff") && !dumb.contains('\x1b'), "{dumb}");
}
