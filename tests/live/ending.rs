//! The end of the daemon: graceful, or at once when it is told twice.

use serde_json::json;

use super::node::{is_there, Folder, INT, TERM};
use super::until::until;

#[test]
fn the_end_is_graceful_and_http_answers_meanwhile() {
    let folder = Folder::new().args(&["--pidfile", "@pid"]);
    let (ready, go) = (folder.text("ready"), folder.text("go"));
    let mut node = folder.start();
    assert_eq!(node.read("pid").trim(), node.os_pid.to_string());
    // It ends when it is told to by a file, after it was told to by the signal.
    let cmd = format!(
        "trap 'while ! [ -e {go} ]; do sleep 0.05; done; echo bye; exit 0' TERM; : > {ready}; \
         while :; do sleep 0.1; done"
    );
    node.run_job(&json!({"name": "slow", "cmd": cmd, "shell": true, "graceful_timeout": 600}));
    node.run_job(&json!({"name": "quick", "cmd": "sleep 1000"}));
    until("it is ready", || is_there(&node.path("ready")));
    node.signal(TERM);
    until("the quick one has stopped", || node.get("/jobs/t/quick")["state"] == "stopped");
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK");
    assert_eq!(node.get("/jobs/t/slow")["state"], "stopping");
    let late = node.ask("POST", "/jobs/t", r#"{"name": "late", "cmd": "sleep 1"}"#);
    assert_eq!(late.status, 503, "{}", late.text());
    assert!(node.runs());
    node.folder().write("go", "");
    assert_eq!(node.ended(), Some(0));
    node.assert_nothing_left();
    assert!(!is_there(&node.path("s")) && !is_there(&node.path("pid")));
}

#[test]
fn a_second_signal_kills_at_once() {
    let folder = Folder::new().args(&["--pidfile", "@pid"]);
    let ready = folder.text("ready");
    let mut node = folder.start();
    let cmd = format!("trap '' TERM; : > {ready}; while :; do sleep 1; done");
    node.run_job(&json!({
        "name": "a", "cmd": cmd, "shell": true, "graceful_timeout": 600, "numprocesses": 2,
    }));
    until("it is ready", || is_there(&node.path("ready")));
    node.signal(INT);
    until("they are told to stop", || node.log().contains("stopping all jobs"));
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK");
    node.signal(TERM);
    assert_eq!(node.ended(), Some(0));
    node.assert_nothing_left();
    assert!(!is_there(&node.path("s")) && !is_there(&node.path("pid")));
}
