//! A daemon that is killed and started again: never two copies of a process, never a job forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{json, Value};

use super::http::Client;
use super::node::{Folder, Node, KILL};
use super::procs::{self, Marked};
use super::until::{all_along, until};

const ROUNDS: usize = 10;
const SLEEP: &str = "sleep 100000";

fn load(node: &Node, job: &Value) {
    node.does("POST", "/jobs/api", &job.to_string());
}

fn target(node: &Node, path: &str) -> u64 {
    node.get(&format!("{path}/numprocesses"))["numprocesses"].as_u64().unwrap_or(u64::MAX)
}

/// As many processes run in the places of this job as are wanted.
fn runs_as_wanted(node: &Node, path: &str) -> bool {
    let job = node.get(path);
    let wanted = job["max_processes"].as_u64().map(usize::try_from);
    let up = |instance: &&Value| {
        ["running", "starting"].contains(&instance["state"].as_str().unwrap_or_default())
    };
    let instances = job["instances"].as_array().cloned().unwrap_or_default();
    let wanted = if job["desired"] == "up" { wanted } else { Some(Ok(0)) };
    wanted == Some(Ok(instances.iter().filter(up).count())) && job["state"] != "stopping"
}

/// Asks for one thing after the other until nobody answers any more.
fn bother(mut client: Client, round: usize, done: &AtomicUsize) {
    for n in 0.. {
        let scale = format!(r#"{{"scale": "={}"}}"#, (n + round) % 5);
        let asked = match n % 3 {
            0 => client.request("POST", "/jobs/api/busy/numprocesses", &scale),
            1 => client.request("POST", "/jobs/file/busy/state", ["2", "0", "1"][(n / 3) % 3]),
            _ => client.request("POST", "/jobs/api/once/commit", "{}"),
        };
        if asked.is_err() {
            return;
        }
        done.store(n + 1, Ordering::Relaxed);
    }
}

fn assert_no_doubles(node: &Node, before: &[Marked]) {
    if let Some((one, other)) = procs::doubled(&node.family(), before) {
        panic!("two at a time: {one:?} and {other:?}");
    }
}

#[test]
fn a_killed_daemon_leaves_no_double_and_forgets_no_job() {
    let files = json!([
        {"name": "file.a", "cmd": SLEEP, "numprocesses": 3},
        {"name": "file.busy", "cmd": SLEEP, "numprocesses": 2},
        {"name": "file.crashing", "cmd": "sh -c 'sleep 0.1; exit 3'"},
    ]);
    let mut node = Folder::new().load(&files).start();
    load(&node, &json!({"name": "up", "cmd": SLEEP, "numprocesses": 4}));
    load(&node, &json!({"name": "scaled", "cmd": SLEEP}));
    load(&node, &json!({"name": "down", "cmd": SLEEP, "numprocesses": 2}));
    load(&node, &json!({"name": "held", "cmd": SLEEP, "start": false}));
    load(&node, &json!({"name": "once", "cmd": SLEEP, "numprocesses": 0}));
    load(&node, &json!({"name": "busy", "cmd": SLEEP}));
    load(&node, &json!({"name": "stays", "cmd": SLEEP, "detach": true, "numprocesses": 2}));
    node.does("POST", "/jobs/api/down/state", "0");
    node.does("POST", "/jobs/api/stays/state?wait=running&timeout=30", "1");
    let detached = node.os_pids("/jobs/api/stays");
    assert_eq!(detached.len(), 2);
    let mut jobs = node.get("/jobs")["jobs"].as_array().cloned().unwrap_or_default();
    jobs.sort_by_key(Value::to_string);
    for round in 0..ROUNDS {
        let number = round % 3 + 1;
        let body = json!({ "scale": format!("={number}") }).to_string();
        let (client, done) = (node.client(), AtomicUsize::new(0));
        let busy = thread::scope(|scope| {
            let busy = scope.spawn(|| bother(client, round, &done));
            node.does("POST", "/jobs/api/scaled/numprocesses", &body);
            let victim = node.os_pids("/jobs/api/up");
            victim.iter().take(1).for_each(|os_pid| procs::kill(*os_pid, KILL));
            until("it is busy", || done.load(Ordering::Relaxed) > 20 + 3 * round);
            node.signal(KILL);
            busy.join()
        });
        assert!(busy.is_ok());
        node.kill();
        let before = node.marked();
        node.start_again();
        until("everything runs as wanted", || {
            assert_no_doubles(&node, &before);
            ["/jobs/file/a", "/jobs/file/busy", "/jobs/api/up", "/jobs/api/scaled"]
                .iter()
                .chain(&["/jobs/api/busy", "/jobs/api/down", "/jobs/api/held", "/jobs/api/stays"])
                .all(|path| runs_as_wanted(&node, path))
        });
        let mut now = node.get("/jobs")["jobs"].as_array().cloned().unwrap_or_default();
        now.sort_by_key(Value::to_string);
        assert_eq!(now, jobs, "round {round}");
        assert_eq!(target(&node, "/jobs/api/scaled"), number as u64, "round {round}");
        assert_eq!(target(&node, "/jobs/api/up"), 4);
        assert_eq!(node.get("/jobs/api/down")["desired"], "down");
        assert_eq!(node.get("/jobs/api/held")["desired"], "hold");
        assert_eq!(node.os_pids("/jobs/api/stays"), detached, "they were found, not replaced");
        let kernel = node.marked().iter().filter(|process| process.place.1 == "up").count();
        assert_eq!(kernel, 4, "round {round}: no more and no less than are known");
    }
    node.does("DELETE", "/jobs/api/stays?wait=stopped", "");
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn what_a_killed_daemon_left_is_ended_tree_and_all() {
    let folder = Folder::new();
    let ready = folder.text("ready");
    // One in the group, one that ran away; neither hears TERM.
    let cmd =
        format!("trap '' TERM; sleep 1001 & setsid sh -c ': > {ready}; exec sleep 1002' & wait");
    let mut node = folder.start();
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true, "graceful_timeout": 1}));
    until("the runaway is there", || node.path("ready").exists());
    until("there are three", || node.marked().len() == 3);
    let left = node.marked();
    node.kill();
    node.start_again();
    until("nothing of before is left", || left.iter().all(|process| !procs::is_alive(process)));
    until("the job is there again, once", || node.marked().len() == 3);
    all_along(std::time::Duration::from_millis(500), "once", || node.marked().len() == 3);
}
