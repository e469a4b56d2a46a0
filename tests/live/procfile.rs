//! Procfile applications, and the one that lies in the repository.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::node::{Folder, Node};
use super::until::until;

fn environment(node: &Node, job: &str, name: &str) -> String {
    let pid = node.get(&format!("/jobs/{job}/pids"))["pids"][0].clone();
    let process = node.get(&format!("/{pid}"));
    process["env"][name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_procfile_application_runs_with_its_environment_and_ports() {
    let folder =
        Folder::new().args(&["--procfile", "site=Procfile", "--procfile", "@other/Procfile"]);
    folder.write(
        "Procfile",
        "# a remark\nweb: sleep 1001\nmy-worker: sleep $LONG && sleep 1\n\nclock: sleep 1003 > /dev/null\n",
    );
    folder.write(".env", "# of the application\nexport NAME='a b'\nLONG=1002 # seconds\n");
    folder.write("other/Procfile", "web: sleep 1004\n");
    folder.write("other/.env", "PORT=7000\n");
    let node = folder.start();
    let names = json!(["site.web", "site.my-worker", "site.clock", "other.web"]);
    assert_eq!(node.get("/jobs")["jobs"], names);
    let all = ["site/web", "site/my-worker", "site/clock", "other/web"];
    until("all run", || {
        all.iter().all(|job| node.get(&format!("/jobs/{job}"))["state"] == "running")
    });
    let ports: Vec<String> = all.iter().map(|job| environment(&node, job, "PORT")).collect();
    assert_eq!(ports, ["5000", "5100", "5200", "7000"]);
    assert_eq!(environment(&node, "site/web", "NAME"), "a b");
    assert_eq!(environment(&node, "other/web", "NAME"), "");
    node.does("POST", "/jobs/site/web/numprocesses?wait=running&timeout=30", r#"{"scale": 1}"#);
    let pids = node.get("/jobs/site/web/pids")["pids"].clone();
    assert_eq!(node.get(&format!("/{}", pids[1]))["env"]["PORT"], "5001");
    let program = |job: &str| {
        let pid = node.os_pids(&format!("/jobs/{job}"))[0];
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').next().unwrap_or_default().to_owned()
    };
    assert_eq!(program("site/web"), "sleep", "run directly");
    assert_eq!(program("site/my-worker"), "sh", "it needs a shell");
    assert_eq!(program("site/clock"), "sleep", "the shell gives its place to a single command");
    let mut node = node;
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn the_demonstration_starts_and_stops_leaving_nothing() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/Procfile");
    let demo = demo.to_str().expect("UTF-8");
    let mut node = Folder::new().args(&["--procfile", demo, "-vv"]).start();
    until("all have said something", || {
        let out = node.read("out");
        let said = ["clock.1 | it is ", "counter.1 | counted to 3", "flaky.1 | working"];
        said.iter().all(|line| out.contains(&format!("demo.{line}")))
            && out.contains(
                "demo.greeter.1 | hello from gaffer, as instance 1 of demo.greeter, port 5200",
            )
    });
    node.stop();
    node.assert_nothing_left();
    assert!(node.read("out").contains("demo.counter.1 | stopping at "), "its last words are told");
}
