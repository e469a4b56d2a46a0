//! What the state directory keeps from one life to the next, and what damage to it does not do.

use std::fs::{self, OpenOptions};
use std::io::Write;

use data_encoding::HEXLOWER;
use serde_json::{json, Value};
use sha1::{Digest as _, Sha1};

use super::node::{Folder, Node};

fn aside(node: &Node) -> Vec<String> {
    let entries = fs::read_dir(node.path("state")).expect("it is there");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.contains(".damaged-")).collect()
}

fn jobs(node: &Node) -> Value {
    node.get("/jobs")["jobs"].clone()
}

fn three_jobs(node: &Node) {
    for name in ["a", "b", "c"] {
        let job = json!({"name": name, "cmd": "sleep 1000", "numprocesses": 2, "env": {"A": "1"}, "os_env": true});
        node.does("POST", "/jobs/t", &job.to_string());
    }
    node.does("POST", "/jobs/t/a/numprocesses", r#"{"scale": "=3"}"#);
    node.does("POST", "/jobs/t/b/state", "0");
}

#[test]
fn jobs_of_the_api_outlive_a_restart_with_their_intent_unless_forgotten() {
    let mut node = Folder::new().start();
    three_jobs(&node);
    node.does("PUT", "/jobs/t/c", r#"{"cmd": "sleep 2000", "numprocesses": 1}"#);
    node.stop();
    node.assert_nothing_left();
    node.start_again();
    assert_eq!(jobs(&node), json!(["t.a", "t.b", "t.c"]));
    let (a, b, c) = (node.get("/jobs/t/a"), node.get("/jobs/t/b"), node.get("/jobs/t/c"));
    assert_eq!((&a["max_processes"], &a["desired"]), (&json!(3), &json!("up")));
    assert_eq!((&b["running"], &b["desired"]), (&json!(0), &json!("down")));
    assert_eq!(c["config"]["cmd"], "sleep 2000");
    assert_eq!(a["config"]["env"], json!({"A": "1"}));
    node.does("POST", "/jobs/t/a/state?wait=running&timeout=30", "1");
    node.does("DELETE", "/jobs/t/c", "");
    node.stop();
    node.start_again();
    assert_eq!(jobs(&node), json!(["t.a", "t.b"]));
    node.stop();
    node.set_args(0, &["--forget"]);
    node.start_again();
    assert_eq!(jobs(&node), json!([]));
    node.stop();
    node.set_args(0, &[]);
    node.start_again();
    assert_eq!(jobs(&node), json!([]), "forgotten is forgotten");
}

#[test]
fn a_torn_last_line_costs_only_itself() {
    let mut node = Folder::new().start();
    three_jobs(&node);
    node.stop();
    let path = node.path("state/jobs");
    let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
    file.write_all(b"0123abcd {\"put\": \"t.d\", \"val").expect("written");
    drop(file);
    let torn = fs::read(&path).expect("it is there");
    node.start_again();
    assert_eq!(jobs(&node), json!(["t.a", "t.b", "t.c"]));
    let kept = aside(&node);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read(node.path("state").join(&kept[0])).expect("kept"), torn);
    assert!(node.log().contains("is damaged"), "it is said");
    node.does("DELETE", "/jobs/t/c", "");
    node.stop();
    node.start_again();
    assert_eq!(jobs(&node), json!(["t.a", "t.b"]), "the file is sound again");
    assert_eq!(aside(&node).len(), 1);
}

#[test]
fn state_that_cannot_be_read_is_kept_aside_and_supervision_goes_on() {
    let newer = {
        let header = r#"{"format":99,"gaffer":"jobs"}"#;
        let sum = HEXLOWER.encode(&Sha1::digest(header));
        format!("{} {header}\nwhatever\n", sum.get(..8).unwrap_or_default())
    };
    for (text, said) in [("\u{0}garbage", "damaged"), (newer.as_str(), "format 99")] {
        let mut node = Folder::new().load(&json!([{"name": "f.a", "cmd": "sleep 1000"}])).start();
        node.stop();
        fs::write(node.path("state/jobs"), text).expect("written");
        fs::write(node.path("state/running"), text).expect("written");
        node.start_again();
        assert_eq!(jobs(&node), json!(["f.a"]));
        assert!(node.log().contains(said), "{said}");
        let kept = aside(&node);
        assert_eq!(kept.len(), 2, "{kept:?}");
        for name in kept {
            assert_eq!(node.read(&format!("state/{name}")), text);
        }
        node.run_job(&json!({"name": "new", "cmd": "sleep 1000"}));
        node.stop();
        node.start_again();
        assert_eq!(jobs(&node), json!(["f.a", "t.new"]));
    }
}
