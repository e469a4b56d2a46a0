//! Many jobs, many processes, none at all to do, and no descriptors left.

use std::time::Duration;

use serde_json::{json, Value};

use super::http::Client;
use super::node::{context_switches, Folder, Node};
use super::procs;
use super::until::{all_along, until};

const SLEEP: &str = "sleep 100000";

/// What a node without any process has open.
fn baseline() -> usize {
    let node = Folder::new().start();
    node.does("POST", "/jobs/t", &json!({"name": "a", "cmd": SLEEP}).to_string());
    node.does("DELETE", "/jobs/t/a?wait=stopped", "");
    settled_fds(&node)
}

/// Descriptors when no client and no write to the disk is under way any more.
fn settled_fds(node: &Node) -> usize {
    let mut last = 0;
    until("the descriptors are the same for a while", || {
        let before = std::mem::replace(&mut last, procs::fds(node.os_pid));
        all_along(Duration::from_millis(200), "gafferd runs", || procs::exists(node.os_pid));
        before == last && procs::fds(node.os_pid) == last
    });
    last
}

fn count(node: &Node) -> usize {
    node.get("/pids")["pids"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_thousand_jobs_start_scale_and_stop_and_leave_nothing() {
    let jobs: Vec<Value> =
        (0..1000).map(|n| json!({"name": format!("mass.j{n}"), "cmd": SLEEP})).collect();
    let node = Folder::new().load(&json!(jobs)).start();
    until("a thousand processes run", || node.children().len() == 1000);
    let mut client = node.client();
    let mut ask = |method: &str, path: &str, body: &str| {
        let answer = client.request(method, path, body).expect("it answers");
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        answer.json()
    };
    let names: Vec<Value> = (0..1000).map(|n| json!(format!("mass.j{n}"))).collect();
    assert_eq!(ask("GET", "/jobs", "")["jobs"], json!(names));
    for n in 0..100 {
        let path = format!("/jobs/mass/j{n}/numprocesses");
        assert_eq!(ask("POST", &path, r#"{"scale": "+1"}"#)["numprocesses"], 2);
        ask("POST", &format!("/jobs/mass/j{}/numprocesses", n + 100), r#"{"scale": "=0"}"#);
    }
    until("a hundred more run and a hundred less", || node.children().len() == 1000);
    for n in 0..1000 {
        match n % 2 {
            0 => ask("DELETE", &format!("/jobs/mass/j{n}"), ""),
            _ => ask("POST", &format!("/jobs/mass/j{n}/state"), "0"),
        };
    }
    until("no child and no zombie is left", || node.children().is_empty());
    assert_eq!(ask("GET", "/jobs", "")["jobs"].as_array().map(Vec::len), Some(500));
    drop(client);
    assert_eq!(settled_fds(&node), baseline());
    assert_eq!(count(&node), 0);
    node.assert_nothing_left();
}

#[test]
fn a_job_of_a_thousand_processes_scales_up_and_down() {
    let node = Folder::new().start();
    let job = json!({"name": "m", "cmd": SLEEP, "numprocesses": 1000});
    node.does("POST", "/jobs/t", &job.to_string());
    until("all are started", || node.children().len() == 1000);
    assert_eq!(node.get("/jobs")["jobs"], json!(["t.m"]));
    let scale = |scale: &str, wait: &str| {
        let path = format!("/jobs/t/m/numprocesses?timeout=30{wait}");
        node.does("POST", &path, &json!({ "scale": scale }).to_string())
    };
    assert_eq!(node.os_pids("/jobs/t/m").len(), 1000);
    scale("=0", "&wait=stopped");
    assert_eq!((node.children().len(), count(&node)), (0, 0));
    scale("=1000", "");
    until("all are started again", || node.children().len() == 1000);
    assert_eq!(count(&node), 1000);
    assert_eq!(scale("-400", "")["numprocesses"], 600);
    until("400 are gone", || node.children().len() == 600);
    assert_eq!(scale("+400", "&wait=running")["numprocesses"], 1000);
    until("they are there again", || node.children().len() == 1000);
    assert_eq!(node.os_pids("/jobs/t/m").len(), 1000);
    node.does("POST", "/jobs/t/m/state?wait=stopped&timeout=30", "0");
    assert_eq!(node.get("/jobs/t/m")["state"], "stopped");
    assert_eq!(settled_fds(&node), baseline());
    node.assert_nothing_left();
}

#[test]
fn a_node_with_a_hundred_idle_jobs_never_wakes_up() {
    let jobs: Vec<Value> =
        (0..100).map(|n| json!({"name": format!("idle.j{n}"), "cmd": SLEEP})).collect();
    let node = Folder::new().load(&json!(jobs)).start();
    let state = |n: usize| node.get(&format!("/jobs/idle/j{n}"))["state"].clone();
    until("all run", || (0..100).all(|n| state(n) == "running"));
    // A wake-up of its own would be in every span; one that is left over from the start is not.
    let mut spans = 0;
    until("three seconds pass without a wake-up", || {
        spans += 1;
        assert!(spans < 5, "it woke up in every one of {spans} spans");
        let before = context_switches(node.os_pid);
        all_along(Duration::from_secs(3), "it runs", || procs::exists(node.os_pid));
        context_switches(node.os_pid) - before <= 2
    });
}

#[test]
fn a_node_without_descriptors_lives_and_recovers() {
    let node = Folder::new().before("ulimit -n 40").start();
    let mut operator = node.client();
    let job = json!({
        "name": "many", "cmd": SLEEP, "numprocesses": 30,
        "backoff": {"base": 0.2, "factor": 1, "jitter": 0},
    });
    let mut ask = |method: &str, path: &str, body: &str| {
        let answer = operator.request(method, path, body).expect("it answers");
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        answer.json()
    };
    ask("POST", "/jobs/t", &job.to_string());
    let mut shown = Value::Null;
    until("some could not be started", || {
        shown = ask("GET", "/jobs/t/many", "");
        shown["state"] == "backoff"
    });
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("pipe: Too many open files"), "{reason}");
    for _ in 0..20 {
        // Each is answered or turned away, and none is left waiting.
        let Ok(mut client) = Client::tcp(node.port) else { continue };
        match client.request("GET", "/ping", "") {
            Ok(answer) => assert!([200, 503].contains(&answer.status), "{}", answer.text()),
            Err(error) => assert!(error.kind() != std::io::ErrorKind::WouldBlock, "{error}"),
        }
    }
    let running = shown["running"].as_u64().unwrap_or(0);
    assert!((1..30).contains(&running), "{running} run");
    ask("POST", "/jobs/t/many/numprocesses?wait=running&timeout=30", r#"{"scale": "=3"}"#);
    assert_eq!(node.os_pids("/jobs/t/many").len(), 3);
    node.run_job(&json!({"name": "after", "cmd": SLEEP}));
    let mut node = node;
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn clients_beyond_the_limit_are_told_that_there_are_too_many() {
    // Half of the descriptors are for clients, and one in sixteen of these for the unix socket.
    let node = Folder::new().before("ulimit -n 40").start();
    let mut clients: Vec<Client> = (0..19).map(|_| node.client()).collect();
    for client in &mut clients {
        assert_eq!(client.request("GET", "/ping", "").expect("answered").status, 200);
    }
    let answer = node.client().answer().expect("told before it asks");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["detail"], "too many clients; try again later");
    let mut own = Client::unix(&node.path("s")).expect("it listens");
    assert_eq!(own.request("GET", "/ping", "").expect("answered").status, 200);
    drop((own, clients.pop()));
    until("there is a place again", || {
        node.client().request("GET", "/ping", "").is_ok_and(|answer| answer.status == 200)
    });
}
