//! `gaffer logs` over all that is kept on disk: what is found however far back, what it takes, what is left of it.

use std::fs::{self, File};
use std::process::Command;

use serde_json::{json, Value};

use super::cli::{does, gaffer, json_of};
use super::node::{Folder, Node};
use super::until::until;

/// Lines of 20 bytes: 2 MB of them, far more than memory keeps.
const LINES: usize = 100_000;

/// A job that writes numbered lines and runs on; it writes what it is sent, too.
fn numbers(name: &str, count: usize) -> Value {
    let awk =
        format!("BEGIN {{ for (i = 1; i <= {count}; i++) printf \"line %014d\\n\", i; fflush() }}");
    json!({"name": name, "cmd": format!("awk '{awk}'; exec cat"), "shell": true,
        "redirect_output": ["out", "err"], "redirect_input": true})
}

fn run_numbers(node: &Node, name: &str, count: usize) {
    node.run_job(&numbers(name, count));
    let last = format!("line {count:014}\n");
    until("all is written", || {
        node.ask("GET", &format!("/logs/t/{name}?tail=1"), "").text() == last
    });
}

#[test]
fn a_line_is_found_however_far_back_it_is() {
    let node = Folder::new().start();
    run_numbers(&node, "big", LINES);
    let said = |line: &[&str]| does(&node, ".", &[&["logs", "t.big"], line].concat());
    assert_eq!(said(&["--grep", "0000000017$"]), "big.1 | line 00000000000017\n");
    let last = said(&["-n", "3", "--grep", "99$"]);
    let expected = [99_799, 99_899, 99_999].map(|n| format!("big.1 | line {n:014}\n"));
    assert_eq!(last, expected.concat());
    assert_eq!(said(&["-n", "1"]), "big.1 | line 00000000100000\n");
    assert_eq!(said(&["--stream", "err", "-n", "all"]), "");
    assert_eq!(said(&["--until", "2001-01-01T00:00:00Z"]), "");
    assert_eq!(said(&["--until", "0s", "--since", "1h", "-n", "1"]).lines().count(), 1);
    let all = said(&["-n", "all"]);
    assert_eq!(all.lines().count(), LINES);
    let numbers = all.lines().zip(1..).all(|(line, n)| line == format!("big.1 | line {n:014}"));
    assert!(numbers, "each once and in order");
    let one = json_of(&node, ".", &["logs", "t.big", "-n", "all", "--grep", "0042000$"]);
    assert_eq!((one.len(), &one[0]["line"]), (1, &json!("line 00000000042000")));
}

#[test]
fn all_of_several_jobs_is_merged_as_it_was_written() {
    let node = Folder::new().start();
    for name in ["a", "b"] {
        run_numbers(&node, name, 1);
    }
    for (pid, word) in [("1", "first"), ("2", "second"), ("1", "third")] {
        does(&node, ".", &["send", pid, word]);
        until("it comes back", || {
            does(&node, ".", &["logs", "t.*", "-n", "1"]).ends_with(&format!("{word}\n"))
        });
    }
    let all = does(&node, ".", &["logs", "t.a", "t.b", "-n", "all"]);
    let first = "a.1 | line 00000000000001\nb.1 | line 00000000000001\n";
    assert_eq!(all, format!("{first}a.1 | first\nb.1 | second\na.1 | third\n"));
}

#[test]
fn what_is_followed_goes_on_where_the_past_ends() {
    let node = Folder::new().start();
    let url = format!("http://127.0.0.1:{}", node.port);
    // The beginning of the second line alone does not match.
    let wishes = [&["-n", "all"][..], &[], &["--grep", "one|begun and"], &["-n", "1"]];
    for (pid, wish) in (1..).zip(wishes) {
        let cmd = "echo one; printf begun; read x; echo \" $x\"; printf last";
        let name = format!("half{pid}");
        node.run_job(&json!({"name": name, "cmd": cmd, "shell": true, "restart": "never",
            "redirect_output": ["out"], "redirect_input": true}));
        let logs = format!("/logs/t/{name}");
        until("it is kept", || node.ask("GET", &logs, "").text() == "one\nbegun\n");
        let file = node.path(&name);
        let shown = || fs::read_to_string(&file).expect("text");
        let mut following = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        following.args(["-g", &url, "logs", "-f", &format!("t.{name}")]).args(wish);
        following.stdout(File::create(&file).expect("created"));
        #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
        let mut following = following.spawn().expect("it runs");
        // What is begun may be the last line, and is not shown before it is whole.
        let past = if wish == ["-n", "1"] { "" } else { "N.1 | one\n" }.replace('N', &name);
        until("it is followed", || node.get("/debug/counters")["subscriptions"] == 1);
        until("the past is shown", || shown() == past);
        does(&node, ".", &["send", &pid.to_string(), "and ended"]);
        let last = if wish.contains(&"--grep") { "" } else { "N.1 | last\n" };
        let expected = format!("N.1 | begun and ended\n{last}").replace('N', &name);
        until("what comes is shown", || shown() == format!("{past}{expected}"));
        following.kill().expect("ours");
        following.wait().expect("ours");
        until("it is followed no more", || node.get("/debug/counters")["subscriptions"] == 0);
    }
}

#[test]
fn what_a_job_takes_is_told_put_aside_and_removed() {
    let node = Folder::new().start();
    run_numbers(&node, "big", LINES);
    run_numbers(&node, "small", 1);
    let taken = |line: &[&str]| {
        let told = json_of(&node, ".", &[&["logs", "--du"], line].concat());
        assert_eq!(told.len(), 1);
        told[0].clone()
    };
    let all = taken(&[]);
    assert_eq!(all["logs"].as_array().map(Vec::len), Some(2));
    assert!(all["max_bytes"].as_u64() > all["bytes"].as_u64());
    let bytes = |name: &str| taken(&[name])["logs"][0]["bytes"].as_u64().unwrap_or(0);
    assert!(bytes("t.big") >= 2_000_000);
    let table = does(&node, ".", &["logs", "--du"]);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].starts_with("t.big ") && rows[2].starts_with("t.small "), "{table}");
    assert!(rows[3].starts_with("the store takes ") && rows.len() == 4, "{table}");
    let said = does(&node, ".", &["logs", "--rotate", "t.small"]);
    assert!(said.starts_with("t.small: rotated, ") && said.ends_with(" put aside\n"), "{said}");
    does(&node, ".", &["send", "2", "behind it"]);
    until("it goes on", || {
        does(&node, ".", &["logs", "t.small"])
            == "small.1 | line 00000000000001\nsmall.1 | behind it\n"
    });
    let cleared = json_of(&node, ".", &["logs", "--clear", "t.big"]);
    assert_eq!((&cleared[0]["name"], &cleared[0]["done"]), (&json!("t.big"), &json!("cleared")));
    assert!(cleared[0]["bytes"].as_u64() >= Some(2_000_000), "{cleared:?}");
    assert!(bytes("t.big") < 10_000, "they are free again");
    assert_eq!(does(&node, ".", &["logs", "t.big"]), "");
    does(&node, ".", &["send", "1", "it goes on"]);
    until("it is kept", || does(&node, ".", &["logs", "t.big"]) == "big.1 | it goes on\n");
    assert_eq!(does(&node, ".", &["logs", "--reopen"]), "log files are opened again\n");
}

#[test]
fn logs_of_a_job_that_is_unloaded_can_be_read_and_removed() {
    let node = Folder::new().start();
    run_numbers(&node, "gone", 3);
    run_numbers(&node, "here", 1);
    does(&node, ".", &["unload", "t.gone"]);
    assert_eq!(does(&node, ".", &["logs", "t.gone"]).lines().count(), 3);
    assert_eq!(
        does(&node, ".", &["logs", "t.gone.1", "-n", "1"]),
        "gone.1 | line 00000000000003\n"
    );
    assert_eq!(does(&node, ".", &["logs", "t.g*", "-n", "all"]).lines().count(), 3);
    assert_eq!(does(&node, ".", &["logs", "-a", "t"]), "here.1 | line 00000000000001\n");
    assert!(does(&node, ".", &["logs", "--clear", "t.gone"]).starts_with("t.gone: cleared, "));
    let said = gaffer(&node, ".", &["logs", "t.gone"]);
    assert_eq!((said.code, said.err.as_str()), (1, "gaffer: job 't.gone' not found\n"));
}
