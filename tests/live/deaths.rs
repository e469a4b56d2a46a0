//! What follows the end of a process: its successor, its delay, its last words.

use std::fs;
use std::path::{Path, PathBuf};
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

/// The newest death of a job, once there is one.
fn newest(node: &Node, path: &str) -> Value {
    until_some(path, || node.deaths(path).into_iter().next())
}

#[test]
fn a_death_says_why_in_words_and_what_the_process_had_used() {
    let node = Folder::new().start();
    let once = |name: &str, cmd: &str, rlimits: Value| {
        let job = json!({"name": name, "cmd": cmd, "shell": true, "restart": "never",
            "cwd": node.folder().text(""), "rlimits": rlimits});
        node.does("POST", "/jobs/t", &job.to_string());
        newest(&node, &format!("/jobs/t/{name}"))
    };
    let words = |death: &Value| death["words"].as_str().unwrap_or_default().to_owned();
    let busy = "n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done; echo done; exit 3";
    let exit = once("exit", busy, json!({}));
    assert_eq!(words(&exit), "exit 3");
    let summary = exit["summary"].as_str().unwrap_or_default();
    assert!(summary.starts_with("exit 3 after ") && summary.ends_with(" s"), "{summary}");
    assert!(exit["rusage"]["user"].as_f64() > Some(0.005), "{exit}");
    let most = exit["rusage"]["max_rss"].as_u64().unwrap_or(0);
    assert!((256 * 1024..1 << 30).contains(&most), "{exit}");
    assert_eq!(exit["rusage"]["max_rss_is_bound"], true, "it had no more than gafferd: {exit}");
    assert!(exit["rusage"]["minor_faults"].as_u64() > Some(0), "{exit}");
    let plain = once("plain", "kill -SEGV $$", json!({"core": 0}));
    assert_eq!((words(&plain).as_str(), &plain["cause"]), ("killed by SIGSEGV", &json!("signal")));
    let core = once("core", "ulimit -c; kill -SEGV $$", json!({"core": "unlimited"}));
    match core["cause"].as_str() {
        Some("core") => assert_eq!(words(&core), "killed by SIGSEGV (core)"),
        _ => println!("skipped: this machine writes no core: {core}"),
    }
    let job = json!({"name": "gone", "cmd": "/no/such/redis", "restart": "never"});
    let answer = node.ask("POST", "/jobs/t", &job.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let gone = newest(&node, "/jobs/t/gone");
    let reason = "could not start: exec /no/such/redis: No such file or directory";
    assert_eq!(gone["summary"], reason);
    assert_eq!(gone["rusage"], Value::Null);
    let all = node.get("/deaths");
    let names: Vec<&str> = all["deaths"]
        .as_array()
        .map(|all| all.iter().filter_map(|death| death["name"].as_str()).collect())
        .unwrap_or_default();
    assert_eq!(names, ["t.exit", "t.plain", "t.core", "t.gone"]);
}

#[test]
fn deaths_are_there_after_a_restart_and_after_a_kill_of_gafferd() {
    let mut node = Folder::new().start();
    let fails = json!({"name": "fails", "cmd": "echo last words; exit 3", "shell": true,
        "restart": "never"});
    node.does("POST", "/jobs/t", &fails.to_string());
    let first = newest(&node, "/jobs/t/fails");
    assert_eq!(first["last_lines"], json!(["last words"]));
    node.run_job(&json!({"name": "stays", "cmd": "sleep 1000"}));
    let stayed = node.os_pids("/jobs/t/stays")[0];
    node.stop();
    node.start_again();
    assert!(node.deaths("/jobs/t/fails").contains(&first), "{first}");
    let stopped = newest(&node, "/jobs/t/stays");
    assert_eq!(stopped["os_pid"], json!(stayed));
    assert_eq!(stopped["words"], "stopped as asked (shutdown): killed by SIGTERM");

    until("it runs again", || states(&node, "/jobs/t/stays") == "running");
    let left = node.os_pids("/jobs/t/stays")[0];
    node.kill();
    node.start_again();
    assert!(node.deaths("/jobs/t/fails").contains(&first), "{first}");
    let found = until_some("what was left is on record", || {
        let deaths = node.deaths("/jobs/t/stays").into_iter();
        deaths.into_iter().find(|death| death["os_pid"] == json!(left))
    });
    assert_eq!(found["words"], "left by a gafferd that was killed, ended by the next");
    assert_eq!((&found["instance"], &found["rusage"]), (&json!(1), &Value::Null));
    assert!(node.deaths("/jobs/t/stays").contains(&stopped), "{stopped}");

    until("it runs once more", || states(&node, "/jobs/t/stays") == "running");
    let left = node.os_pids("/jobs/t/stays")[0];
    node.kill();
    procs::kill(left, KILL);
    until("it is gone", || !procs::exists(left));
    node.start_again();
    let unseen = newest(&node, "/jobs/t/stays");
    assert_eq!(unseen["os_pid"], json!(left));
    assert_eq!(unseen["summary"], "ended while no gafferd was there");
    node.does("DELETE", "/jobs/t/fails?wait=stopped", "");
    node.stop();
    node.start_again();
    let all = node.get("/deaths").to_string();
    assert!(!all.contains("t.fails") && all.contains("t.stays"), "{all}");
}

#[test]
fn a_process_that_the_kernel_killed_for_want_of_memory_is_told_so() {
    let Some(group) = MemoryGroup::new(48 * 1024 * 1024) else {
        println!("skipped: no control group with a memory limit can be made here");
        return;
    };
    let node = Folder::new().before(&group.enter()).start();
    let hungry = "x=$(head -c 300000000 /dev/zero | tr '\\0' x)";
    let job = json!({"name": "a", "cmd": hungry, "shell": true, "restart": "never"});
    node.does("POST", "/jobs/t", &job.to_string());
    let death = newest(&node, "/jobs/t/a");
    assert_eq!(death["words"], "killed by the kernel: out of memory", "{death}");
    assert_eq!((&death["term_signal"], &death["out_of_memory"]), (&json!(9), &json!(true)));
    let usage = &death["rusage"];
    assert!(usage["max_rss"].as_u64() > Some(24 * 1024 * 1024), "{usage}");
    assert_eq!(usage["max_rss_is_bound"], false);
    let job = json!({"name": "b", "cmd": "kill -9 $$", "shell": true, "restart": "never"});
    node.does("POST", "/jobs/t", &job.to_string());
    assert_eq!(newest(&node, "/jobs/t/b")["words"], "killed by SIGKILL");
}

/// A control group below ours that has only so much memory. It is taken away when it is empty.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let group = |controllers: &str| {
            let mut lines = groups.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(_, line)| line.strip_prefix(controllers)?.strip_prefix(":/"))
        };
        let (top, own, limit) = match (group("memory"), group("")) {
            (Some(own), _) => ("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"),
            (None, Some(own)) => ("/sys/fs/cgroup", own, "memory.max"),
            (None, None) => return None,
        };
        let path = Path::new(top).join(own).join(format!("gaffer-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let made = Self(path);
        fs::write(made.0.join(limit), bytes.to_string()).ok()?;
        Some(made)
    }

    /// What a shell does to be in it.
    fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.0.display())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        until("nobody is in the group", || fs::remove_dir(&self.0).is_ok());
    }
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
