//! The real gafferd registered with the real `gaffer_lookupd`: what runs is known there, whatever becomes
//! of either.

use std::time::Duration;

use serde_json::{json, Value};

use super::node::{context_switches, Folder, Node, HUP, KILL, TERM};
use super::procs;
use super::until::{all_along, until};

/// What this lookupd knows of one job: the gaffer pids by the origin of their node.
fn known(lookupd: &Node, job: &str) -> Vec<(String, Vec<u64>)> {
    let answer = lookupd.get(&format!("/findJob?name={job}"));
    let source = |source: &Value| {
        let pids = source["pids"].as_array()?.iter().filter_map(Value::as_u64).collect();
        Some((source["node_info"]["origin"].as_str()?.to_owned(), pids))
    };
    answer["sources"].as_array().into_iter().flatten().filter_map(source).collect()
}

/// What a node runs of a job.
fn runs(node: &Node, job: &str) -> Vec<u64> {
    let view = node.get(&format!("/jobs/{}", job.replace('.', "/")));
    let pids = view["processes"].as_array().into_iter().flatten();
    pids.filter_map(Value::as_u64).collect()
}

/// Waits until a lookupd knows what a node runs of a job, and that is so many processes.
fn agree(lookupd: &Node, node: &Node, origin: &str, job: &str, count: usize) {
    until(&format!("{count} processes of {job} are known"), || {
        let there = runs(node, job);
        there.len() == count && known(lookupd, job) == [(origin.to_owned(), there)]
    });
}

fn sleeper(name: &str, numprocesses: u32) -> Value {
    json!({"name": name, "cmd": "sleep 1000", "numprocesses": numprocesses})
}

fn state(node: &Node) -> Value {
    node.get("/lookupds")["lookupds"][0].clone()
}

#[test]
fn what_runs_is_known_until_it_does_so_no_more() {
    let lookupd = Folder::of_lookupd().start();
    let at = format!("http://127.0.0.1:{}", lookupd.port);
    let node = Folder::new().load(&json!([{"name": "t.first", "cmd": "sleep 1000"}]));
    let mut node = node
        .args(&[
            "--lookupd-address",
            &at,
            "--broadcast-address",
            "http://n.example",
            "--broadcast-port=7",
        ])
        .start();
    let origin = "http://n.example:7";
    agree(&lookupd, &node, origin, "t.first", 1);
    node.run_job(&sleeper("second", 3));
    agree(&lookupd, &node, origin, "t.second", 3);
    node.does("POST", "/jobs/t/second/numprocesses", r#"{"scale": "=5"}"#);
    agree(&lookupd, &node, origin, "t.second", 5);
    procs::kill(node.os_pids("/jobs/t/second")[0], KILL);
    agree(&lookupd, &node, origin, "t.second", 5);
    node.does("POST", "/jobs/t/second/commit", "{}");
    until("the one-off is known", || known(&lookupd, "t.second")[0].1.len() == 6);
    node.does("POST", "/jobs/t/second/state?wait=stopped", "0");
    until("nothing of it is known to run", || {
        known(&lookupd, "t.second") == [(origin.to_owned(), vec![])]
    });
    node.does("DELETE", "/jobs/t/second", "");
    until("it is not known", || known(&lookupd, "t.second").is_empty());
    let view = state(&node);
    assert_eq!(
        (&view["state"], &view["jobs"], &view["processes"]),
        (&json!("registered"), &json!(1), &json!(1))
    );
    assert_eq!((&view["address"], &view["last_error"]), (&json!(at), &Value::Null));
    assert!(!node.log().contains("listens on this machine alone"), "it was said where it is");
    node.stop();
    until("the node is gone there", || lookupd.get("/nodes") == json!({"nodes": []}));
    assert!(!lookupd.log().contains("silent"), "it took leave");
}

#[test]
fn a_lookupd_that_dies_and_comes_back_knows_everything_again() {
    let mut lookupd = Folder::of_lookupd().start();
    lookupd.keep_port();
    let at = format!("http://localhost:{}", lookupd.port);
    let origin = "http://n.example:5000";
    // It is not there yet, and nothing waits for it.
    lookupd.kill();
    let node = Folder::new()
        .args(&["--lookupd-address", &at, "--broadcast-address", origin, "--socket", "none"])
        .start();
    node.run_job(&sleeper("a", 2));
    until("it has tried in vain", || !state(&node)["last_error"].is_null());
    assert_eq!(state(&node)["jobs"], 0);
    lookupd.start_again();
    agree(&lookupd, &node, origin, "t.a", 2);
    for _ in 0..2 {
        lookupd.kill();
        node.does("POST", "/jobs/t/a/numprocesses", r#"{"scale": "+1"}"#);
        node.run_job(&sleeper("b", 1));
        lookupd.start_again();
        agree(&lookupd, &node, origin, "t.b", 1);
        let count = runs(&node, "t.a").len();
        agree(&lookupd, &node, origin, "t.a", count);
        node.does("DELETE", "/jobs/t/b?wait=stopped", "");
        until("it is not known", || known(&lookupd, "t.b").is_empty());
    }
}

#[test]
fn a_hangup_changes_with_whom_it_registers_and_as_what() {
    let (first, second) = (Folder::of_lookupd().start(), Folder::of_lookupd().start());
    let node = Folder::new();
    let write = |folder: &Folder, ports: &[u16], origin: &str| {
        let all: Vec<String> =
            ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let jobs = "[job:t:a]\ncmd = sleep 1000\n";
        let text = format!(
            "[gaffer]\nlookupd_address = {}\nbroadcast_address = {origin}\n{jobs}",
            all.join(", ")
        );
        folder.write("gafferd.ini", &text);
    };
    write(&node, &[first.port], "http://one.example");
    let node = node.args(&["-c", "@gafferd.ini"]).start();
    agree(&first, &node, "http://one.example", "t.a", 1);
    write(node.folder(), &[first.port, second.port], "http://one.example");
    node.signal(HUP);
    agree(&second, &node, "http://one.example", "t.a", 1);
    agree(&first, &node, "http://one.example", "t.a", 1);
    write(node.folder(), &[second.port], "http://two.example");
    node.signal(HUP);
    agree(&second, &node, "http://two.example", "t.a", 1);
    until("it took leave of the first", || first.get("/nodes") == json!({"nodes": []}));
    let nodes = second.get("/nodes");
    assert_eq!(nodes["nodes"].as_array().map(Vec::len), Some(1), "{nodes}");
    assert!(!node.log().contains("takes effect at its next start"), "{}", node.log());
}

#[test]
fn four_hundred_processes_are_known_soon_and_then_it_sleeps() {
    let lookupd = Folder::of_lookupd().args(&["--bind", "unix:l"]).start();
    let at = format!("unix:{}", lookupd.path("l").display());
    let mut node = Folder::new().args(&["--lookupd-address", &at]).start();
    node.does("POST", "/jobs/t?wait=running", &sleeper("many", 400).to_string());
    until("all are known", || {
        state(&node)["processes"] == 400 && state(&node)["state"] == "registered"
    });
    let origin = lookupd.get("/nodes")["nodes"][0]["origin"].as_str().map(str::to_owned);
    let origin = origin.expect("it is known");
    assert!(origin.ends_with(&format!(":{}", node.port)), "{origin}");
    assert!(node.log().contains("listens on this machine alone"), "{}", node.log());
    agree(&lookupd, &node, &origin, "t.many", 400);
    // Between two heartbeats there is nothing to do.
    let mut last = 0;
    until("it has come to rest", || {
        let before = std::mem::replace(&mut last, context_switches(node.os_pid));
        let rests = before == last;
        all_along(Duration::from_secs(2), "it runs", || procs::exists(node.os_pid));
        rests && context_switches(node.os_pid) == last
    });
    node.signal(TERM);
    assert_eq!(node.ended(), Some(0));
    until("the node is gone there", || lookupd.get("/nodes") == json!({"nodes": []}));
}
