//! The library's `Lookup` against real lookupds with real nodes.

use std::collections::BTreeSet;

use gaffer::client::{Change, Follow, Lookup};
use serde_json::json;

use super::farm::{origin, Farm};
use super::node::Node;
use super::until::until;

fn lookup(farm: &Farm) -> Lookup {
    let at = |lookupd: &Node| Lookup::address(&format!("127.0.0.1:{}", lookupd.port));
    Lookup::new(farm.lookupds.iter().map(|lookupd| at(lookupd).expect("an address")))
}

/// What a topology says, until this is told.
fn until_told(follow: &mut Follow, told: &mut Vec<String>, what: &str) {
    until(what, || {
        while let Some(change) = follow.look().expect("it is followed") {
            told.push(shown(&change));
        }
        told.iter().any(|line| line.contains(what))
    });
}

fn shown(change: &Change) -> String {
    match change {
        Change::AddNode(node) => format!("+ {}", node.origin),
        Change::RemoveNode(node) => format!("- {}", node.origin),
        Change::AddJob(node, job) => format!("+ {} {job}", node.origin),
        Change::RemoveJob(node, job) => format!("- {} {job}", node.origin),
        Change::AddProcess(node, job, pid) => format!("+ {} {job} {pid}", node.origin),
        Change::RemoveProcess(node, job, pid) => format!("- {} {job} {pid}", node.origin),
        Change::Whole(address) => format!("whole {address}"),
        Change::Lost(silent) => format!("lost {}", silent.address),
    }
}

#[test]
fn jobs_are_found_over_all_that_answer() {
    let jobs = json!([{"name": "a.b", "cmd": "sleep 1000"}, {"name": "c.d", "cmd": "sleep 1000"}]);
    let mut farm = Farm::new(2, &jobs);
    let lookup = lookup(&farm);
    let origins: Vec<String> = farm.nodes.iter().map(origin).collect();
    for dead in 0..2 {
        let nodes = lookup.nodes().expect("one answers");
        assert_eq!(nodes.silent.len(), dead);
        let found: Vec<&str> = nodes.found.iter().map(|node| node.origin.as_str()).collect();
        assert_eq!(found, origins, "each once");
        assert!(nodes.found.iter().all(|node| node.last_seen.is_some()));
        let names = |jobs: &[gaffer::client::LocatedJob]| -> Vec<String> {
            jobs.iter().map(|job| job.name.clone()).collect()
        };
        assert_eq!(names(&lookup.jobs().expect("one answers").found), ["a.b", "c.d"]);
        assert_eq!(names(&lookup.session("c").expect("one answers").found), ["c.d"]);
        let sources = lookup.job("a.b").expect("one answers").found;
        let runs = farm.nodes[1].get("/jobs/a/b")["processes"].clone();
        assert_eq!((sources.len(), json!(sources[1].pids)), (2, runs));
        assert!(lookup.job("a.none").expect("one answers").found.is_empty());
        let sessions = lookup.sessions(Some(&farm.host)).expect("one answers").found;
        assert_eq!(
            sessions.iter().map(|session| session.name.as_str()).collect::<Vec<_>>(),
            ["a", "c"]
        );
        assert!(lookup.sessions(Some("none")).expect("one answers").found.is_empty());
        if dead == 0 {
            farm.lookupds[0].kill();
        }
    }
    farm.lookupds[1].kill();
    assert!(lookup.nodes().is_err());
}

#[test]
fn a_topology_is_told_once_whoever_tells_it_and_outlives_its_tellers() {
    let mut farm = Farm::new(1, &json!([{"name": "a.b", "cmd": "sleep 1000"}]));
    farm.lookupds.iter_mut().for_each(Node::keep_port);
    let lookup = lookup(&farm);
    let mut follow = lookup.follow().expect("it can be followed");
    let (at, mut told) = (origin(&farm.nodes[0]), Vec::new());
    for lookupd in &farm.lookupds {
        until_told(&mut follow, &mut told, &format!("whole http://127.0.0.1:{}", lookupd.port));
    }
    let added: Vec<&String> = told.iter().filter(|line| line.starts_with('+')).collect();
    let pid = farm.nodes[0].get("/jobs/a/b")["processes"][0].clone();
    assert_eq!(added, [&format!("+ {at}"), &format!("+ {at} a.b"), &format!("+ {at} a.b {pid}")]);
    // One goes and comes back: that it did is all that is told.
    told.clear();
    farm.lookupds[0].kill();
    until_told(&mut follow, &mut told, "lost");
    farm.lookupds[0].start_again();
    until_told(&mut follow, &mut told, "whole");
    assert_eq!(told.len(), 2, "{told:?}");
    // What happens meanwhile is told by the other, and not again.
    let known =
        |lookupd: &Node| !lookupd.get("/jobs")["jobs"].as_array().expect("a list").is_empty();
    until("it knows it again", || known(&farm.lookupds[0]));
    told.clear();
    farm.lookupds[1].kill();
    until_told(&mut follow, &mut told, "lost");
    farm.nodes[0].does("POST", "/jobs/a/b/numprocesses", r#"{"scale": "=3"}"#);
    until("two more are told", || {
        until_told(&mut follow, &mut told, "+");
        told.iter().filter(|line| line.starts_with("+ ")).count() == 2
    });
    farm.lookupds[1].start_again();
    until_told(&mut follow, &mut told, "whole");
    farm.nodes[0].stop();
    until_told(&mut follow, &mut told, &format!("- {at}"));
    let lines: BTreeSet<&String> = told.iter().collect();
    assert_eq!(lines.len(), told.len(), "nothing is told twice: {told:?}");
    assert_eq!(told.iter().filter(|line| **line == format!("- {at}")).count(), 1, "{told:?}");
}
