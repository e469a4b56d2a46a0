//! Stopping means the whole tree: those that ignore the signal, those that outlive their leader,
//! and those that ran away.

use std::time::Duration;

use gaffer::base::limits;
use serde_json::json;

use super::node::{Folder, Node, KILL};
use super::procs;
use super::until::{until, until_some, Since};

/// A shell line that ignores TERM for ever, and says in a file that it does.
fn stubborn(ready: &str) -> String {
    format!("trap '' TERM; : > {ready}; while :; do sleep 1; done")
}

fn wait_for(node: &Node, name: &str) {
    until("it says that it is ready", || node.path(name).exists());
}

#[test]
fn a_runaway_grandchild_neither_holds_the_exit_up_nor_stays() {
    let node = Folder::new().start();
    let ready = node.folder().text("ready");
    // The new session holds the pipes of the old one open.
    let cmd = format!("setsid sh -c ': > {ready}; exec sleep 1000' & while ! [ -e {ready} ]; do :; done; echo last words; exit 7");
    let job = json!({"name": "a", "cmd": cmd, "shell": true, "restart": "never"});
    let since = Since::now();
    node.does("POST", "/jobs/t", &job.to_string());
    let death = until_some("the exit is told", || node.deaths("/jobs/t/a").into_iter().next());
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!((&death["exit_status"], &death["last_lines"]), (&json!(7), &json!(["last words"])));
    node.assert_nothing_left();
}

#[test]
fn a_run_is_over_only_when_its_group_is_empty() {
    let node = Folder::new().start();
    let ready = node.folder().text("ready");
    let cmd = format!("({}) & while ! [ -e {ready} ]; do :; done; exit 0", stubborn(&ready));
    let job = json!({
        "name": "a", "cmd": cmd, "shell": true, "restart": "never", "graceful_timeout": 1.5,
    });
    let since = Since::now();
    node.does("POST", "/jobs/t", &job.to_string());
    wait_for(&node, "ready");
    let death = until_some("the run is over", || {
        // What is left is looked at before the death is, or it might go in between.
        let left = node.marked();
        let death = node.deaths("/jobs/t/a").into_iter().next();
        assert!(death.is_some() || !left.is_empty() || node.marked().is_empty());
        death
    });
    assert_eq!(node.marked(), [], "nobody of the group is left when the run is over");
    assert!(since.elapsed() > Duration::from_millis(1500), "it had its grace period");
    assert_eq!((&death["exit_status"], &death["outlived"]), (&json!(0), &json!(true)));
}

#[test]
fn forked_children_die_with_their_leader() {
    let node = Folder::new().start();
    let cmd = "sleep 1001 & sleep 1002 & wait";
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true}));
    until("there are three", || node.marked().len() == 3);
    let first = node.marked();
    procs::kill(node.os_pids("/jobs/t/a")[0], KILL);
    until("all of the first run are gone", || {
        first.iter().all(|process| !procs::is_alive(process))
    });
    until("there are three again", || node.marked().len() == 3);
    node.does("DELETE", "/jobs/t/a?wait=stopped", "");
    node.assert_nothing_left();
}

#[test]
fn a_child_that_ignores_term_is_killed_in_time_and_replaced() {
    let node = Folder::new().start();
    let cmd = stubborn(&node.folder().text("ready"));
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true, "graceful_timeout": 1}));
    wait_for(&node, "ready");
    let old = node.os_pids("/jobs/t/a")[0];
    let process = node.marked().into_iter().find(|process| process.os_pid == old);
    let process = process.expect("it runs");
    let pid = node.get("/jobs/t/a/pids")["pids"][0].clone();
    let since = Since::now();
    node.does("DELETE", &format!("/{pid}?wait=stopped&timeout=30"), "");
    assert!(since.elapsed() >= Duration::from_millis(990), "it had its grace period");
    assert!(!procs::is_alive(&process));
    let death = &node.deaths("/jobs/t/a")[0];
    assert_eq!((&death["term_signal"], &death["planned"]), (&json!(9), &json!(true)));
    until("it is replaced", || {
        let now = node.os_pids("/jobs/t/a");
        now.len() == 1 && now[0] != old
    });
    assert_eq!(node.get("/jobs/t/a")["restarts"], 0, "a planned end is no failure");
}

#[test]
fn a_second_stop_kills_at_once() {
    let node = Folder::new().start();
    let cmd = stubborn(&node.folder().text("ready"));
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true, "graceful_timeout": 600}));
    wait_for(&node, "ready");
    node.does("POST", "/jobs/t/a/state", "0");
    assert_eq!(node.get("/jobs/t/a")["state"], "stopping");
    node.does("POST", "/jobs/t/a/state?wait=stopped&timeout=30", "0");
    node.assert_nothing_left();
}

#[test]
fn a_stopped_process_is_woken_to_end() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000", "graceful_timeout": 600}));
    procs::kill(node.os_pids("/jobs/t/a")[0], 19);
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    node.assert_nothing_left();
}

#[test]
fn a_rolling_restart_never_takes_all_instances_down() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000", "numprocesses": 3}));
    let before = node.os_pids("/jobs/t/a");
    node.does("POST", "/jobs/t/a/restart", "");
    until("all three are new", || {
        let job = node.get("/jobs/t/a");
        let running = |instance: &&serde_json::Value| instance["state"] == "running";
        let instances = job["instances"].as_array().cloned().unwrap_or_default();
        let up = instances.iter().filter(running).count();
        assert!(up >= 2, "two at least run: {job}");
        let now = node.os_pids("/jobs/t/a");
        up == 3 && before.iter().all(|old| !now.contains(old))
    });
    let planned = node.deaths("/jobs/t/a").iter().all(|death| death["planned"] == true);
    assert!(planned && node.get("/jobs/t/a")["restarts"] == 0);
}

#[test]
fn what_hid_from_its_job_is_ended_with_gafferd() {
    let mut node = Folder::new().start();
    let hidden = node.folder().text("hidden");
    let hide = format!("setsid env -i sh -c 'echo $$ > {hidden}; exec sleep 1000' &");
    let job = json!({"name": "a", "cmd": format!("{hide} exec sleep 1000"), "shell": true});
    node.does("POST", "/jobs/t", &job.to_string());
    let os_pid: i32 = until_some("it hides", || node.read("hidden").trim().parse().ok());
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    assert!(procs::exists(os_pid), "neither group nor environment leads to it");
    node.stop();
    assert!(!procs::exists(os_pid));
}

#[test]
fn a_tree_is_told_with_parents_before_their_children() {
    let node = Folder::new().start();
    let ready = node.folder().text("ready");
    let cmd = format!("sh -c 'sleep 1000 & : > {ready}; wait' & wait");
    node.does("POST", "/jobs/t", &json!({"name": "a", "cmd": cmd, "shell": true}).to_string());
    wait_for(&node, "ready");
    let tree = until_some("the sleep is a sleep", || {
        let tree = node.get("/1/tree");
        let names: Vec<&str> =
            tree["processes"].as_array()?.iter().filter_map(|one| one["name"].as_str()).collect();
        (names == ["sh", "sh", "sleep"]).then_some(tree)
    });
    for (child, parent) in [(1, 0), (2, 1)] {
        assert_eq!(tree["processes"][child]["parent"], tree["processes"][parent]["os_pid"]);
    }
    assert_eq!(tree["processes"][0]["os_pid"], node.get("/1")["os_pid"]);
}

#[test]
fn a_tree_is_told_up_to_the_cap() {
    let node = Folder::new().start();
    for (pid, children) in [(1, limits::TREE - 1), (2, limits::TREE)] {
        let ready = node.folder().text(&format!("ready{pid}"));
        let cmd = format!(
            "i=0; while [ $i -lt {children} ]; do sleep 1000 & i=$((i+1)); done; : > {ready}; wait"
        );
        let job = json!({"name": format!("a{pid}"), "cmd": cmd, "shell": true});
        node.does("POST", "/jobs/t", &job.to_string());
        wait_for(&node, &format!("ready{pid}"));
        let tree = node.get(&format!("/{pid}/tree"));
        assert_eq!(tree["processes"].as_array().map(Vec::len), Some(limits::TREE));
    }
}
