//! What a node keeps beyond its own life, and what it tells on its console: the machine on the
//! scripted kernel, from one life to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::ids::{OsPid, StreamNo};
use gaffer::base::process::ExitStatus;
use gaffer::front::access::Access;
use gaffer::node::console::{Console, Verbosity};
use gaffer::node::gaffer::Legacy;
use gaffer::node::journal::Journal;
use gaffer::node::machine::{Machine as _, StateFile, Write};
use gaffer::supervisor::facts::Exit;
use gaffer::supervisor::spec::JobEntry;
use gaffer::supervisor::spec_keys;

use crate::api_traces::file_job;
use crate::driven::Driven;
use crate::fake_node::FakeNode;

fn node(legacy: Legacy, files: Vec<JobEntry>) -> FakeNode {
    FakeNode::new(Access::default(), Console::default(), legacy, files)
}

fn ask(node: &mut FakeNode, request: &str, body: &str) {
    let conn = node.connect_tcp();
    let length = body.len();
    let text =
        format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    node.send(conn, text.as_bytes(), &mut || usize::MAX);
    let answer = String::from_utf8(node.take_answer(conn)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 20"), "{request}: {answer}");
}

/// The jobs on disk after all writes so far.
fn kept(node: &FakeNode) -> BTreeMap<String, Value> {
    let mut bytes = Vec::new();
    for (file, write) in &node.stored {
        match (file, write) {
            (
                StateFile::Running
                | StateFile::Keys
                | StateFile::Users
                | StateFile::Webhooks
                | StateFile::Deliveries
                | StateFile::Deaths,
                _,
            ) => {}
            (StateFile::Jobs, Write::Append(more)) => bytes.extend_from_slice(more),
            (StateFile::Jobs, Write::Replace(whole)) => bytes.clone_from(whole),
        }
    }
    let loaded = Journal::load("jobs", &bytes).expect("a journal");
    assert_eq!(loaded.damage, Vec::<String>::new());
    loaded.entries.into_iter().collect()
}

#[test]
fn jobs_of_the_api_come_back_as_they_were_left() {
    let mut first = node(Legacy::default(), Vec::new());
    ask(&mut first, "POST /jobs/s", r#"{"name": "scaled", "cmd": "a"}"#);
    ask(&mut first, "POST /jobs/s/scaled/numprocesses", r#"{"scale": 2}"#);
    ask(&mut first, "POST /jobs/s", r#"{"name": "stopped", "cmd": "b"}"#);
    ask(&mut first, "POST /jobs/s/stopped/state", "0");
    ask(&mut first, "POST /jobs/s", r#"{"name": "changed", "cmd": "c"}"#);
    ask(&mut first, "PUT /jobs/s/changed", r#"{"cmd": "d"}"#);
    ask(&mut first, "POST /jobs/s", r#"{"name": "gone", "cmd": "e"}"#);
    ask(&mut first, "DELETE /jobs/s/gone", "");
    let jobs = kept(&first);
    assert_eq!(jobs.keys().collect::<Vec<_>>(), ["s.changed", "s.scaled", "s.stopped"]);
    assert_eq!(jobs["s.changed"]["config"], json!({"name": "changed", "cmd": "d"}));

    let legacy = Legacy { jobs: jobs.clone().into_iter().collect(), ..Legacy::default() };
    let second = node(legacy, Vec::new());
    assert_eq!(second.asked, ["spawn 1001: d", "spawn 1002: a", "spawn 1003: a", "spawn 1004: a"]);
    assert_eq!(kept(&second), jobs);
}

#[test]
fn the_end_of_a_job_of_a_file_forgets_none_of_the_api_that_it_hid() {
    let config = json!({"cmd": "api", "uid": "nobody-any-more"});
    let value = json!({"config": config, "desired": "up", "target": 1});
    let legacy = Legacy { jobs: vec![("s.web".into(), value.clone())], ..Legacy::default() };
    let mut node = node(legacy, vec![file_job(r#"s.web {"cmd": "file"}"#)]);
    assert_eq!(node.asked, ["spawn 1001: file"], "that of the API cannot be loaded");
    ask(&mut node, "DELETE /jobs/s/web", "");
    assert_eq!(kept(&node).get("s.web"), Some(&value));
    // One that is loaded over the API takes its place for good.
    ask(&mut node, "POST /jobs/s", r#"{"name": "web", "cmd": "new"}"#);
    assert_eq!(kept(&node)["s.web"]["config"]["cmd"], "new");
    ask(&mut node, "DELETE /jobs/s/web", "");
    assert!(kept(&node).is_empty());
}

/// What was started, of all that was asked of the kernel since the last time.
fn started(node: &mut FakeNode) -> Vec<String> {
    let asked = std::mem::take(&mut node.asked);
    let started = asked.iter().filter(|asked| asked.starts_with("spawn "));
    started.filter_map(|asked| asked.rsplit(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_job_of_the_api_keeps_its_name_at_the_start_and_when_the_configuration_is_read_again() {
    let files = || vec![file_job(r#"s.web {"cmd": "file"}"#), file_job(r#"s.b {"cmd": "b"}"#)];
    let mut first = node(Legacy::default(), files());
    ask(&mut first, "DELETE /jobs/s/web", "");
    ask(&mut first, "POST /jobs/s", r#"{"name": "web", "cmd": "api"}"#);
    assert_eq!(started(&mut first), ["file", "b", "api"]);
    first.reconfigure(files());
    assert_eq!(started(&mut first), Vec::<String>::new());

    let legacy = Legacy { jobs: kept(&first).into_iter().collect(), ..Legacy::default() };
    let mut second = node(legacy, files());
    assert_eq!(started(&mut second), ["b", "api"]);
    second.reconfigure(files());
    assert_eq!(started(&mut second), Vec::<String>::new());
    for node in [&mut first, &mut second] {
        ask(node, "DELETE /jobs/s/web", "");
        assert!(kept(node).is_empty());
        assert_eq!(started(node), Vec::<String>::new(), "not before it is read again");
        node.reconfigure(files());
        assert_eq!(started(node), ["file"]);
        assert!(kept(node).is_empty(), "it is of the file");
        node.reconfigure(files());
        assert_eq!(started(node), Vec::<String>::new());
    }
}

/// A configuration that says each key, and for each another value, with what that change does to a
/// process that runs.
fn changes() -> [(&'static str, Value, Value, bool); 41] {
    let text = |text: &str| json!(text);
    [
        ("cmd", text("a"), text("b"), true),
        ("args", json!(["x"]), json!(["y"]), true),
        ("env", json!({"A": "1"}), json!({"A": "2"}), true),
        ("os_env", json!(true), json!(false), true),
        ("uid", text("www"), text("33"), true),
        ("gid", text("www"), text("33"), true),
        ("groups", json!(["www"]), json!(["33"]), true),
        ("capabilities", json!(["chown"]), json!([]), true),
        ("no_new_privs", json!(false), json!(true), true),
        ("cwd", text("/"), text("/tmp"), true),
        ("shell", json!(false), json!(true), true),
        ("detach", json!(false), json!(true), true),
        ("redirect_output", json!(["out"]), json!(["o"]), true),
        ("redirect_input", json!(false), json!(true), true),
        ("listen", json!(["exit"]), json!(["."]), true),
        ("listen_protocol", text("gaffer"), text("supervisor"), true),
        ("listen_buffer", json!(10), json!(20), false),
        ("custom_streams", json!(["x"]), json!(["y"]), true),
        ("umask", text("022"), text("027"), true),
        ("rlimits", json!({"core": 0}), json!({"core": 1}), true),
        ("nice", json!(1), json!(2), true),
        ("port", json!(8000), json!(9000), true),
        ("numprocesses", json!(1), json!(2), false),
        ("start", json!(true), json!(false), false),
        ("priority", json!(1), json!(2), false),
        ("graceful_timeout", json!(5), json!(6), false),
        ("stdout_log", text("managed"), text("none"), false),
        ("stderr_log", text("managed"), text("/tmp/x"), false),
        ("log_max_size", text("10MB"), json!(10), false),
        ("log_keep", json!(1), json!(2), false),
        ("log_total", text("10MB"), json!(10), false),
        ("log_compress", json!(false), json!(true), false),
        ("log_timestamps", json!(false), json!(true), false),
        ("log_format", text("text"), text("json"), false),
        ("log_policy", text("drop"), text("block"), false),
        ("stop_signal", text("TERM"), text("INT"), false),
        ("restart", text("always"), text("never"), false),
        ("success_codes", json!([0]), json!([0, 1]), false),
        ("min_uptime", json!(1), json!(2), false),
        ("backoff", json!({"base": 1}), json!({"base": 2}), false),
        ("flapping", json!({"attempts": 2}), json!({"attempts": 3}), false),
    ]
}

#[test]
fn only_a_change_of_what_a_process_is_made_of_replaces_it() {
    let changes = changes();
    let covered = |name: &str| changes.iter().any(|(key, ..)| *key == name);
    let rest = spec_keys::KEYS.iter().map(|key| key.name).filter(|name| !covered(name));
    assert_eq!(rest.collect::<Vec<_>>(), ["name", "group"], "a new key stands in this table");
    for (key, before, after, replaces) in changes {
        let mut config = json!({"cmd": "a", "os_env": true, "uid": "www"});
        config[key] = before;
        let mut node = node(Legacy::default(), vec![file_job(&format!("s.web {config}"))]);
        node.asked.clear();
        config[key] = after;
        node.reconfigure(vec![file_job(&format!("s.web {config}"))]);
        let stopped = node.asked.iter().any(|asked| asked.ends_with("the group of 1001"));
        assert_eq!(stopped, replaces, "{key}: {:?}", node.asked);
    }
}

fn file(config: &Value) -> Vec<JobEntry> {
    vec![file_job(&format!("s.web {config}"))]
}

#[test]
fn what_runs_is_kept_by_the_rules_of_a_configuration_that_is_read_again() {
    let slow = json!({"cmd": "a", "min_uptime": 1000, "graceful_timeout": 100});
    let mut node = node(Legacy::default(), file(&slow));
    let conn = node.connect_tcp();
    let state = |node: &mut FakeNode| {
        node.send(conn, b"GET /jobs/s/web HTTP/1.1\r\nHost: localhost\r\n\r\n", &mut || usize::MAX);
        let answer = String::from_utf8(node.take_answer(conn)).expect("text");
        let (_, after) = answer.split_once(r#""state": ""#).expect("a state");
        after.split('"').next().unwrap_or_default().to_owned()
    };
    assert_eq!(state(&mut node), "starting");
    node.advance(Duration::from_secs(5));
    let quick = json!({"cmd": "a", "min_uptime": 7, "graceful_timeout": 3, "stop_signal": "INT"});
    node.reconfigure(file(&quick));
    assert_eq!(state(&mut node), "starting", "it has run for 5 of 7 seconds");
    node.advance(Duration::from_secs(2));
    assert_eq!(state(&mut node), "running");
    // If this daemon is killed, the next one knows how to end what it left.
    let running = node.stored.iter().rev().find_map(|(file, write)| match (file, write) {
        (StateFile::Running, Write::Append(bytes)) => Some(String::from_utf8_lossy(bytes)),
        (
            StateFile::Running
            | StateFile::Jobs
            | StateFile::Keys
            | StateFile::Users
            | StateFile::Webhooks
            | StateFile::Deliveries
            | StateFile::Deaths,
            _,
        ) => None,
    });
    let running = running.expect("it is on record");
    assert!(running.contains(r#""stop_signal":2"#), "{running}");
    assert!(running.contains(r#""graceful_timeout":3.0"#), "{running}");
    node.deaf = true;
    node.asked.clear();
    ask(&mut node, "POST /jobs/s/web/state", "0");
    assert_eq!(node.asked, ["SIGINT to the group of 1001", "SIGCONT to the group of 1001"]);
    node.advance(Duration::from_secs(3));
    assert_eq!(node.asked.last().map(String::as_str), Some("SIGKILL to the group of 1001"));
}

#[test]
fn what_has_ended_is_judged_by_the_rules_of_a_configuration_that_is_read_again() {
    let with = |restart: &str, base: u32| {
        file(&json!({"cmd": "a", "restart": restart, "backoff": {"base": base}}))
    };
    let mut node = node(Legacy::default(), with("on-failure", 1000));
    node.exit(OsPid(1001), ExitStatus::Code(0), false);
    node.asked.clear();
    node.reconfigure(with("on-failure", 2000));
    node.reconfigure(with("never", 2000));
    assert!(node.asked.is_empty(), "it has done what it was for: {:?}", node.asked);
    node.reconfigure(with("always", 1000));
    assert_eq!(node.asked, ["spawn 1002: a"]);
    node.exit(OsPid(1002), ExitStatus::Code(1), false);
    assert_eq!(node.asked.len(), 1, "its delay is long");
    node.reconfigure(with("always", 1));
    assert_eq!(node.asked.len(), 2, "{:?}", node.asked);
}

#[test]
fn a_number_of_a_file_holds_at_once_unless_it_was_scaled() {
    let with = |number: u32| file(&json!({"cmd": "a", "numprocesses": number}));
    let mut node = node(Legacy::default(), with(1));
    node.reconfigure(with(3));
    assert_eq!(node.asked, ["spawn 1001: a", "spawn 1002: a", "spawn 1003: a"]);
    node.asked.clear();
    node.reconfigure(with(2));
    assert_eq!(node.asked[0], "SIGTERM to the group of 1001");
    assert!(!node.asked.iter().any(|asked| asked.contains("1002") || asked.contains("1003")));
    ask(&mut node, "POST /jobs/s/web/numprocesses", r#"{"scale": "=4"}"#);
    node.asked.clear();
    node.reconfigure(with(1));
    assert!(node.asked.is_empty(), "{:?}", node.asked);
}

#[test]
fn a_damaged_entry_is_kept_for_people_and_harms_no_other() {
    let sound = json!({"config": {"cmd": "a"}, "desired": "up", "target": 1});
    let jobs = vec![
        ("s.bad".into(), json!({"config": 1})),
        ("s.worse".into(), json!({"config": {"cmnd": "a"}, "desired": "up", "target": 1})),
        ("no name/".into(), sound.clone()),
        ("s.sound".into(), sound),
    ];
    let node = node(Legacy { jobs, ..Legacy::default() }, Vec::new());
    assert_eq!(node.asked, ["spawn 1001: a"]);
    assert_eq!(kept(&node).len(), 4);
}

#[test]
fn the_console_tells_whole_lines_and_the_last_one_of_a_run() {
    let console = Console::new(Verbosity::Output);
    let files = vec![file_job(r#"s.web {"cmd": "serve", "min_uptime": 0}"#)];
    let mut node = FakeNode::new(Access::default(), console, Legacy::default(), files);
    let os_pid = OsPid(1001);
    node.output(os_pid, StreamNo::STDOUT, b"one\nbegun ");
    node.output(os_pid, StreamNo::STDERR, b"\x1b[2Jred\r\n");
    node.output(os_pid, StreamNo::STDOUT, b"and ended\nno end");
    node.asked.clear();
    node.exit(os_pid, ExitStatus::Code(0), false);
    node.output(OsPid(1002), StreamNo::STDOUT, b"next\n");
    let printed: Vec<&str> =
        node.asked.iter().filter_map(|asked| asked.strip_prefix("print ")).collect();
    assert_eq!(
        printed,
        [
            "s.web.1 | no end",
            "s.web | exit process with pid 1: exited with code 0",
            "s.web | spawn process with pid 2",
            "s.web.1 | next",
        ]
    );
}

#[test]
fn a_death_is_told_with_its_last_words_in_the_very_turn_in_which_it_is_seen() {
    let mut node = node(Legacy::default(), vec![file_job(r#"s.web {"cmd": "serve"}"#)]);
    let conn = node.connect_tcp();
    let os_pid = OsPid(1001);
    node.output(os_pid, StreamNo::STDOUT, b"last words\n");
    let exit = Exit::of(ExitStatus::Code(0));
    // Not settled yet: the request comes in together with the exit.
    let id = node.instance(os_pid);
    node.gaffer.exited(id, exit, node.now);
    let request = b"GET /jobs/s/web/deaths HTTP/1.1\r\nHost: localhost\r\n\r\n";
    node.send(conn, request, &mut || usize::MAX);
    let answer = String::from_utf8(node.take_answer(conn)).expect("text");
    assert!(answer.contains(r#""last_lines": ["last words"]"#), "{answer}");
}

#[test]
fn what_comes_when_a_run_is_over_is_nobodys_words() {
    let mut node = node(Legacy::default(), vec![file_job(r#"s.web {"cmd": "serve"}"#)]);
    let id = node.instance(OsPid(1001));
    let late = |node: &mut FakeNode| {
        let now = node.now;
        node.gaffer.output(id, StreamNo::STDOUT, b"late\n", now);
    };
    node.exit(OsPid(1001), ExitStatus::Code(1), false);
    late(&mut node);
    node.advance(Duration::from_secs(1));
    node.output(OsPid(1002), StreamNo::STDOUT, b"its own\n");
    node.exit(OsPid(1002), ExitStatus::Code(1), false);
    let deaths = node.gaffer.supervisor().view_deaths(&file_job(r#"s.web {"cmd": "serve"}"#).name);
    let deaths = serde_json::to_value(deaths.expect("loaded")).expect("plain values");
    assert_eq!(deaths[0]["last_lines"], json!(["its own"]));
    ask(&mut node, "DELETE /jobs/s/web", "");
    late(&mut node);
    node.gaffer.sweep().expect("nothing is kept of what is gone");
}
