//! What follows the end of a process: its successor, its delay, its last words.

use std::time::Duration;

use serde_json::{json, Value};

use super::node::{Folder, Node, KILL};
use super::procs;
use super::until::{all_along, until, until_some};

fn states(node: &Node, path: &str) -> String {
    node.get(path)["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_killed_child_that_ran_well_has_a_successor() {
    let node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000"}));
    let first = node.os_pids("/jobs/t/a");
    procs::kill(first[0], KILL);
    until("there is another", || {
        let now = node.os_pids("/jobs/t/a");
        now.len() == 1 && now != first
    });
    let death = &node.deaths("/jobs/t/a")[0];
    assert_eq!(death["os_pid"], json!(first[0]));
    assert_eq!((&death["cause"], &death["term_signal"]), (&json!("signal"), &json!(9)));
    assert_eq!((&death["reason"], &death["planned"]), (&json!("killed by SIGKILL"), &json!(false)));
    assert_eq!(node.get("/jobs/t/a")["restarts"], 1);
}

#[test]
fn a_job_that_exits_at_once_is_started_later_and_later() {
    let node = Folder::new().start();
    let backoff = json!({"base": 0.2, "factor": 2, "max": 30, "jitter": 0});
    node.does(
        "POST",
        "/jobs/t",
        &json!({"name": "a", "cmd": "false", "backoff": backoff}).to_string(),
    );
    let deaths = until_some("it died five times", || {
        let deaths = node.deaths("/jobs/t/a");
        (deaths.len() >= 5).then_some(deaths)
    });
    let started: Vec<f64> =
        deaths.iter().rev().filter_map(|death| death["started_at"].as_f64()).collect();
    let mut delay = 0.2;
    for pair in started.windows(2).take(4) {
        // The wall clock that tells them may be corrected meanwhile, but not by much.
        assert!(pair[1] - pair[0] > delay * 0.95, "{started:?}");
        delay *= 2.0;
    }
    assert_eq!(deaths[0]["exit_status"], 1);
}

fn flapping(retry_in: f64, max_retry: i32) -> String {
    let flapping =
        json!({"attempts": 2, "window": 30, "retry_in": retry_in, "max_retry": max_retry});
    json!({"name": "a", "cmd": "false", "flapping": flapping}).to_string()
}

#[test]
fn a_flapping_job_is_given_up_after_its_retries() {
    let node = Folder::new().start();
    let answer = node.ask("POST", "/jobs/t?wait=running&timeout=30", &flapping(0.1, 1));
    assert_eq!(answer.status, 409, "{}", answer.text());
    let job = node.get("/jobs/t/a");
    assert_eq!((&job["state"], &job["deaths"]), (&json!("failed"), &json!(4)));
    let reason = job["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("gave up after 2 episodes"), "{reason}");
    all_along(Duration::from_secs(1), "it stays so", || states(&node, "/jobs/t/a") == "failed");
    assert_eq!(node.get("/jobs/t/a")["deaths"], 4);
}

#[test]
fn what_is_stopped_in_a_pause_does_not_come_back() {
    let node = Folder::new().start();
    for end in ["stop", "unload"] {
        node.does("POST", "/jobs/t", &flapping(0.5, -1));
        until("it pauses", || {
            let job = node.get("/jobs/t/a");
            job["state"] == "backoff" && job["reason"].as_str().is_some_and(|r| r.contains("flap"))
        });
        if end == "stop" {
            node.does("POST", "/jobs/t/a/state?wait=stopped", "0");
            let deaths = node.get("/jobs/t/a")["deaths"].clone();
            all_along(Duration::from_millis(1200), "it stays down", || {
                let job = node.get("/jobs/t/a");
                job["state"] == "stopped" && job["retry_at"].is_null() && job["deaths"] == deaths
            });
        }
        node.does("DELETE", "/jobs/t/a?wait=stopped", "");
        all_along(Duration::from_millis(1200), "nothing runs", || node.marked().is_empty());
        assert_eq!(node.ask("GET", "/jobs/t/a", "").status, 404);
    }
}

/// A job that ends by itself after about a megabyte in numbered lines and a last one without its
/// end.
fn chatty() -> Value {
    let cmd = "seq 1 150000; printf 'the end'";
    json!({"name": "a", "cmd": cmd, "shell": true, "numprocesses": 0, "restart": "never"})
}

#[test]
fn a_child_that_writes_a_megabyte_and_exits_loses_nothing() {
    let node = Folder::new().start();
    node.does("POST", "/jobs/t", &chatty().to_string());
    let mut expected: Vec<String> = (149_982..=150_000).map(|n| n.to_string()).collect();
    expected.push("the end".into());
    // The deaths of one-offs are remembered up to twenty at a time.
    for round in 1..=5 {
        for _ in 0..10 {
            node.does("POST", "/jobs/t/a/commit", "{}");
        }
        until("all ten have ended", || node.get("/jobs/t/a")["deaths"] == json!(round * 10));
        for death in node.deaths("/jobs/t/a").iter().take(10) {
            assert_eq!(death["last_lines"], json!(expected));
            assert_eq!(death["exit_status"], 0);
        }
    }
}

#[test]
fn every_line_of_a_child_is_told_with_vv() {
    let cmd = "seq 1 10000; printf 'the end'";
    let job = json!({"name": "say.all", "cmd": cmd, "shell": true, "restart": "never", "numprocesses": 2});
    let node = Folder::new().args(&["-vv"]).load(&json!([job])).start();
    until("both have ended", || node.get("/jobs/say/all")["deaths"] == 2);
    let mut told: Vec<u32> = Vec::new();
    let mut ends = 0;
    until("all is told", || {
        let out = node.read("out");
        let words: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split_once(" say.all.1 | ").map(|(_, word)| word))
            .collect();
        told = words.iter().filter_map(|word| word.parse().ok()).collect();
        ends = words.iter().filter(|word| **word == "the end").count();
        told.len() >= 10_000
    });
    assert_eq!(told, (1..=10_000).collect::<Vec<u32>>());
    assert_eq!(ends, 1, "the last line has no end, and is told all the same");
}

#[test]
fn long_lines_that_nobody_reads_hold_nobody_up() {
    let cmd = "line=$(head -c 40000 /dev/zero | tr '\\0' x); for n in 1 2 3 4 5 6 7 8; do echo $line; done";
    let job = json!({"name": "say.much", "cmd": cmd, "shell": true, "restart": "never"});
    let mut node = Folder::new().unread().args(&["-vv"]).load(&json!([job])).start();
    until("it has ended", || node.get("/jobs/say/much")["state"] == "exited");
    node.stop();
}
