//! SIGHUP touches what changed, and nothing else.

use std::time::Duration;

use serde_json::{json, Value};

use super::node::{Folder, Node, HUP};
use super::until::{all_along, until};

const BEFORE: &str = "\
[job:app:gone]
cmd = sleep 1001

[job:app:changed]
cmd = sleep 1002

[job:app:same]
cmd = sleep 1003
numprocesses = 2

[job:app:scaled]
cmd = sleep 1004

[job:app:stopped]
cmd = sleep 1005
";

const AFTER: &str = "\
[job:app:changed]
cmd = sleep 2002

[job:app:same]
cmd = sleep 1003
numprocesses = 2

[job:app:scaled]
cmd = sleep 2004

[job:app:stopped]
cmd = sleep 2005

[job:app:new]
cmd = sleep 2006
";

fn hang_up(node: &Node, said: &str) {
    let before = node.log().len();
    node.signal(HUP);
    until(said, || node.log().get(before..).unwrap_or_default().contains(said));
}

/// The argument of each of a job's processes.
fn arguments(node: &Node, job: &str) -> Vec<String> {
    let pids = node.get(&format!("/jobs/app/{job}/pids"))["pids"].clone();
    let of = |pid: &Value| node.get(&format!("/{pid}"))["args"][0].as_str().map(str::to_owned);
    pids.as_array().into_iter().flatten().filter_map(of).collect()
}

fn start() -> Node {
    let folder = Folder::new().args(&["-c", "@g.ini"]);
    folder.write("g.ini", BEFORE);
    let node = folder.start();
    node.does("POST", "/jobs/app/scaled/numprocesses?wait=running&timeout=30", r#"{"scale": 2}"#);
    node.does("POST", "/jobs/app/stopped/state?wait=stopped&timeout=30", "0");
    node.run_job(&json!({"name": "api", "cmd": "sleep 1007"}));
    until("the others run", || {
        ["gone", "changed", "same"]
            .iter()
            .all(|job| node.get(&format!("/jobs/app/{job}"))["state"] == "running")
    });
    node
}

#[test]
fn a_reload_touches_only_what_changed() {
    let node = start();
    let (same, api) = (node.os_pids("/jobs/app/same"), node.os_pids("/jobs/t/api"));
    let changed = node.os_pids("/jobs/app/changed");
    node.folder().write("g.ini", AFTER);
    hang_up(&node, "configuration read again: 4 jobs changed or new, 1 gone");
    until("the changed ones run as they are now", || {
        arguments(&node, "changed") == ["2002"]
            && arguments(&node, "scaled") == ["2004"; 3]
            && arguments(&node, "new") == ["2006"]
    });
    assert_eq!(node.ask("GET", "/jobs/app/gone", "").status, 404);
    assert_ne!(node.os_pids("/jobs/app/changed"), changed);
    assert_eq!(node.os_pids("/jobs/app/same"), same, "it did not change");
    assert_eq!(node.os_pids("/jobs/t/api"), api, "it is of no file");
    assert_eq!(node.get("/jobs/app/scaled")["max_processes"], 3, "as it was scaled");
    let stopped = node.get("/jobs/app/stopped");
    assert_eq!((&stopped["desired"], &stopped["running"]), (&json!("down"), &json!(0)));
    assert_eq!(stopped["config"]["cmd"], "sleep 2005");
    until("what is gone has ended", || {
        !node.marked().iter().any(|process| process.place.1 == "gone")
    });
    let all = node.marked();
    hang_up(&node, "configuration read again: 0 jobs changed or new, 0 gone");
    all_along(Duration::from_millis(300), "nothing is touched", || node.marked() == all);
}

#[test]
fn a_reload_with_a_fault_changes_nothing_and_says_where() {
    let node = start();
    let all = node.marked();
    let bad = format!("{AFTER}\n[job:app:bad]\ncmd = x\nnumproceses = 2\n");
    for (text, said) in [
        (bad.as_str(), "g.ini:19: "),
        ("[job:app:x\n", "g.ini:1: "),
        ("[job:app:x]\n\ncmd = sleep $NO_SUCH_VARIABLE\n", "g.ini:3: app.x: argument "),
        ("[job:app:x]\ncmd = a\nuid = no-such-user\n", "g.ini:3: app.x: uid: there is no user"),
    ] {
        node.folder().write("g.ini", text);
        hang_up(&node, said);
        assert!(node.log().contains("the configuration stays as it was: "));
    }
    assert_eq!(node.marked(), all);
    assert_eq!(node.get("/jobs/app/changed")["config"]["cmd"], "sleep 1002");
    node.folder().write("g.ini", AFTER);
    hang_up(&node, "configuration read again: 4 jobs changed or new, 1 gone");
}

#[test]
fn a_job_that_cannot_be_started_as_it_is_written_is_told_at_the_start_and_passed_over() {
    let folder = Folder::new().args(&["-c", "@g.ini", "--procfile", "p=Procfile"]);
    folder.write(
        "g.ini",
        "[job:app:good]\ncmd = sleep 1000\n[job:app:bad]\ncmd = true\n\nargs = a $NO_SUCH\n",
    );
    folder.write("Procfile", "web: sleep 1000\n");
    folder.write(".env", "A=1\nGAFFER_GID=no-such-group\n");
    let node = folder.start();
    assert_eq!(node.get("/jobs")["jobs"], json!(["app.good"]));
    for said in [
        "g.ini:6: app.bad: argument \"$NO_SUCH\": ",
        ".env:2: p.web: gid: there is no group \"no-such-group\"; it is not loaded",
    ] {
        assert!(node.log().contains(said), "{said}");
    }
}

#[test]
fn a_job_of_a_file_that_the_api_has_the_name_of_is_told_with_its_place_and_the_cure() {
    let folder = Folder::new().args(&["-c", "@g.ini"]);
    folder.write("g.ini", "\n[job:t:a]\ncmd = sleep 1001\n");
    let mut node = folder.start();
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    node.run_job(&json!({"name": "a", "cmd": "sleep 1002"}));
    let said =
        "g.ini:2: t.a has no effect while a job of that name, loaded over the API, is there; to \
                have this one, unload that (DELETE /jobs/t/a)";
    hang_up(&node, said);
    node.stop();
    let before = node.log().len();
    node.start_again();
    until("it is told at the start", || {
        node.log().get(before..).unwrap_or_default().contains(said)
    });
    assert_eq!(node.get("/jobs/t/a")["config"]["cmd"], "sleep 1002");
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    hang_up(&node, "configuration read again: 1 jobs changed or new, 0 gone");
    until("that of the file is there", || node.get("/jobs/t/a")["config"]["cmd"] == "sleep 1001");
}
