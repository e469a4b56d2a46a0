//! `--daemon`: the caller hears when everything is started, or why it is not.

use std::fs;

use serde_json::json;

use super::node::{is_there, Folder, Node, TERM, USR1};
use super::procs;
use super::until::until;

fn folder() -> Folder {
    Folder::new().args(&["--daemon", "--pidfile", "@pid", "--error-log", "@error.log"])
}

#[test]
fn a_daemon_tells_its_caller_that_it_is_ready_and_reopens_its_log() {
    let folder = folder().load(&json!([{"name": "a.a", "cmd": "sleep 1000"}]));
    let called = folder.run();
    assert_eq!((called.code, called.said.as_str()), (Some(0), ""));
    let os_pid: i32 = folder.read("pid").trim().parse().expect("a pid");
    let node = Node::of_background(folder, os_pid, "error.log");
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK");
    let title = fs::read_to_string(format!("/proc/{os_pid}/comm")).unwrap_or_default();
    assert_eq!(title.trim(), "gafferd");
    until("its job runs", || node.get("/jobs/a/a")["state"] == "running");
    fs::rename(node.path("error.log"), node.path("error.log.1")).expect("renamed");
    node.signal(USR1);
    until("the log is opened again", || node.read("error.log").contains("opened again"));
    let before = node.read("error.log.1").len();
    node.does("POST", "/jobs/a/a/state?wait=stopped&timeout=30", "0");
    until("the new log is written", || node.read("error.log").contains("stop a.a"));
    assert_eq!(node.read("error.log.1").len(), before, "the old one is not");
    node.signal(TERM);
    until("it ends", || !procs::exists(os_pid));
    node.assert_nothing_left();
    assert!(!is_there(&node.path("pid")) && !is_there(&node.path("s")));
    assert_eq!(node.log(), "", "nothing more goes to the caller's stderr");
}

#[test]
fn a_daemon_that_cannot_start_says_so_to_its_caller() {
    let other = Folder::new().args(&["--pidfile", "@pid"]).start();
    let held = other.path("pid").display().to_string();
    let folder = folder().args(&["--pidfile", &held]);
    let called = folder.run();
    assert_eq!(called.code, Some(1));
    let reason = format!("gafferd: already running on PID {}", other.os_pid);
    assert!(called.said.starts_with(&reason), "{:?}", called.said);
    assert!(!is_there(&folder.path("s")), "no socket is left behind");
    let folder = Folder::new().args(&["--daemon", "--error-log", "@no/such/log"]);
    let called = folder.run();
    assert_eq!(called.code, Some(1));
    assert!(called.said.contains("no/such/log: No such file or directory"), "{:?}", called.said);
}
