//! How runs ended, from one life of a node to the next: what is written down, what is forgotten, and what
//! events and answers tell of it.

use std::collections::BTreeMap;
use std::time::Duration;

use gaffer::base::ids::{OsPid, Pid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::{ExitStatus, Rusage, Signal};
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::journal::Journal;
use gaffer::node::machine::{Machine as _, StateFile, Write};
use gaffer::node::webhooks::{Hook, Hooking};
use gaffer::supervisor::effect::Running;
use gaffer::supervisor::facts::Exit;
use gaffer::supervisor::name::JobName;
use gaffer::wire::webhook::Url;
use serde_json::{json, Value};

use crate::api_traces::file_job;
use crate::driven::Driven as _;
use crate::fake_node::{start, FakeNode};

const WEB: &str = r#"s.web {"cmd": "serve", "backoff": {"base": 1, "jitter": 0}}"#;

fn node(legacy: Legacy, jobs: &[&str]) -> FakeNode {
    let files = jobs.iter().map(|job| file_job(job)).collect();
    FakeNode::new(Access::default(), Console::default(), legacy, files)
}

/// The deaths on disk after all writes so far, by their keys.
fn kept(node: &FakeNode) -> BTreeMap<String, Value> {
    let mut bytes = Vec::new();
    for (_, write) in node.stored.iter().filter(|(file, _)| *file == StateFile::Deaths) {
        match write {
            Write::Append(more) => bytes.extend_from_slice(more),
            Write::Replace(whole) => bytes.clone_from(whole),
        }
    }
    let loaded = Journal::load("deaths", &bytes).expect("a journal");
    assert_eq!(loaded.damage, Vec::<String>::new());
    loaded.entries.into_iter().collect()
}

/// What the next daemon finds.
fn legacy(node: &FakeNode) -> Legacy {
    let mut deaths: Vec<_> = kept(node).into_iter().collect();
    deaths.sort_by_key(|(key, _)| key.parse::<u64>().expect("a number"));
    Legacy { deaths, ..Legacy::default() }
}

/// What is told of the deaths of a job, newest first.
fn told(node: &mut FakeNode, path: &str) -> Vec<Value> {
    node.get(path)["deaths"].as_array().cloned().unwrap_or_default()
}

fn summaries(deaths: &[Value]) -> Vec<&str> {
    deaths.iter().filter_map(|death| death["summary"].as_str()).collect()
}

/// An exit with all that may be known of it.
fn ends(node: &mut FakeNode, os_pid: OsPid, exit: Exit) {
    let id = node.instance(os_pid);
    let now = node.now;
    node.gaffer.exited(id, exit, now);
    node.settle();
}

#[test]
fn deaths_outlive_the_node_with_their_words_and_are_gone_with_their_job() {
    let mut first = node(Legacy::default(), &[WEB]);
    first.output(OsPid(1001), StreamNo::STDERR, b"one\ngoing down\n");
    first.advance(Duration::from_micros(412_600));
    let usage = Rusage { max_rss: 4096, user: Duration::from_millis(20), ..Rusage::default() };
    let exit = Exit { usage: Some(usage), ..Exit::of(ExitStatus::Code(1)) };
    ends(&mut first, OsPid(1001), exit);
    let before = told(&mut first, "/jobs/s/web/deaths");
    assert_eq!(summaries(&before), ["exit 1 after 0.4 s"]);
    assert_eq!(before[0]["last_lines"], json!(["one", "going down"]));
    assert_eq!(before[0]["rusage"]["max_rss"], 4096);

    let mut second = node(legacy(&first), &[WEB]);
    assert_eq!(told(&mut second, "/jobs/s/web/deaths"), before);
    let job = second.get("/jobs/s/web");
    assert_eq!((&job["deaths"], &job["restarts"]), (&json!(0), &json!(0)), "of this life");
    assert_eq!(kept(&second), kept(&first), "nothing is written twice");
    second.advance(Duration::from_secs(10));
    ends(&mut second, OsPid(1001), Exit::of(ExitStatus::Code(2)));
    let both = told(&mut second, "/jobs/s/web/deaths");
    assert_eq!(summaries(&both), ["exit 2 after 10 s", "exit 1 after 0.4 s"]);

    // A node without that job keeps them until it is loaded again, and tells them meanwhile.
    let mut third = node(legacy(&second), &[]);
    let all = told(&mut third, "/deaths");
    assert_eq!(summaries(&all), ["exit 1 after 0.4 s", "exit 2 after 10 s"], "newest last");
    assert_eq!(all[0]["name"], "s.web");
    let mut fourth = node(legacy(&third), &[WEB]);
    assert_eq!(told(&mut fourth, "/jobs/s/web/deaths").len(), 2);
    fourth.ask("DELETE /jobs/s/web", "");
    assert_eq!(kept(&fourth), BTreeMap::new());
    assert!(told(&mut fourth, "/deaths").is_empty());
}

#[test]
fn of_each_place_the_last_are_kept_over_restarts_too() {
    let mut first = node(Legacy::default(), &[WEB]);
    let most = u64::try_from(limits::DEATHS).expect("few");
    let crash = |node: &mut FakeNode, times: u64| {
        for number in 0..times {
            let os_pid = OsPid(1001 + i32::try_from(number).expect("few"));
            ends(node, os_pid, Exit::of(ExitStatus::Code(1)));
            // It is started again, and runs well.
            node.advance(Duration::from_secs(1000));
        }
    };
    crash(&mut first, most + 3);
    assert_eq!(kept(&first).len(), limits::DEATHS);
    let mut second = node(legacy(&first), &[WEB]);
    assert_eq!(told(&mut second, "/jobs/s/web/deaths").len(), limits::DEATHS);
    crash(&mut second, 2);
    assert_eq!(told(&mut second, "/jobs/s/web/deaths").len(), limits::DEATHS);
    assert_eq!(kept(&second).len(), limits::DEATHS);
    let oldest = |node: &FakeNode| {
        let numbers = kept(node).into_keys().map(|key| key.parse::<u64>().expect("a number"));
        numbers.min()
    };
    assert_eq!((oldest(&first), oldest(&second)), (Some(4), Some(6)));
}

#[test]
fn what_is_damaged_is_left_out_and_the_rest_is_good() {
    let mut first = node(Legacy::default(), &[WEB]);
    ends(&mut first, OsPid(1001), Exit::of(ExitStatus::Code(1)));
    let mut left = legacy(&first);
    left.deaths.push(("2".into(), json!({"job": "s.web"})));
    left.deaths.push(("x".into(), left.deaths[0].1.clone()));
    let mut second = node(left, &[WEB]);
    assert_eq!(told(&mut second, "/jobs/s/web/deaths").len(), 1);
    assert_eq!(kept(&second).len(), 1);
}

#[test]
fn a_process_that_ended_while_no_daemon_was_there_is_on_record() {
    let running = Running {
        job: JobName::parse("s.web").expect("a name"),
        number: 1,
        pid: Pid(9),
        os_pid: OsPid(77),
        start_time: 1,
        detach: false,
        stop_signal: Signal::TERM,
        graceful_timeout: Duration::from_secs(1),
        started_at: None,
    };
    let left = Legacy { vanished: vec![running], ..Legacy::default() };
    let mut node = node(left, &[WEB]);
    let deaths = told(&mut node, "/jobs/s/web/deaths");
    assert_eq!(summaries(&deaths), ["ended while no gafferd was there"]);
    assert_eq!((&deaths[0]["os_pid"], &deaths[0]["planned"]), (&json!(77), &json!(false)));
    assert_eq!(kept(&node).len(), 1);
}

#[test]
fn the_kernels_killings_are_told_apart_from_ours() {
    let mut node = node(Legacy::default(), &[WEB, r#"s.db {"cmd": "db"}"#]);
    let killed = ExitStatus::Signal { signal: Signal::KILL, core: false };
    let out_of_memory = Exit { out_of_memory: true, ..Exit::of(killed) };
    ends(&mut node, OsPid(1001), out_of_memory);
    let death = &told(&mut node, "/jobs/s/web/deaths")[0];
    assert_eq!(death["words"], "killed by the kernel: out of memory");
    assert_eq!((&death["cause"], &death["term_signal"]), (&json!("signal"), &json!(9)));
    assert_eq!(death["out_of_memory"], true);
    // Somebody asked for that one, whatever the counter says.
    node.immortal = true;
    node.ask("POST /jobs/s/db/signal", r#"{"signal": "KILL"}"#);
    ends(&mut node, OsPid(1002), out_of_memory);
    let ours = told(&mut node, "/jobs/s/db/deaths");
    assert_eq!(ours[0]["words"], "killed by SIGKILL as asked");
    assert_eq!(ours[0]["out_of_memory"], false);
}

#[test]
fn an_exit_is_posted_with_its_words_its_use_and_its_last_lines() {
    let url = Url::read("http://h/").expect("sound");
    let hooks = vec![Hook { event: "exit".into(), url, place: "file:1".into() }];
    let hooking = Hooking { node: "n1".into(), hooks, queue: None };
    let files = vec![file_job(WEB)];
    let mut node = FakeNode::hooked(Legacy::default(), files, hooking, start());
    node.output(OsPid(1001), StreamNo::STDOUT, b"going down\n");
    let exit = Exit { usage: Some(Rusage::default()), ..Exit::of(ExitStatus::Code(3)) };
    ends(&mut node, OsPid(1001), exit);
    let written = node.stored.iter().filter(|(file, _)| *file == StateFile::Deliveries);
    let texts = written.map(|(_, write)| match write {
        Write::Append(bytes) | Write::Replace(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    });
    let posted = texts.collect::<String>().replace('\\', "");
    for part in [
        r#""exit_status": 3"#,
        r#""summary": "exit 3 after 0.000 s""#,
        r#""last_lines": ["going down"]"#,
        r#""max_rss": 0"#,
        r#""planned": false"#,
    ] {
        assert!(posted.contains(part), "{part}: {posted}");
    }
}

#[test]
fn all_deaths_are_told_as_far_as_they_are_asked_for() {
    let jobs = [WEB, r#"s.db {"cmd": "db"}"#, r#"t.x {"cmd": "x"}"#];
    let mut node = node(Legacy::default(), &jobs);
    for (os_pid, code) in [(1002, 2), (1003, 3), (1001, 1)] {
        ends(&mut node, OsPid(os_pid), Exit::of(ExitStatus::Code(code)));
        node.advance(Duration::from_millis(10));
    }
    let mut words = |path: &str| -> Vec<String> {
        let deaths = told(&mut node, path);
        deaths.iter().filter_map(|death| death["words"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(words("/deaths"), ["exit 2", "exit 3", "exit 1"]);
    assert_eq!(words("/deaths?limit=2"), ["exit 3", "exit 1"]);
    assert_eq!(words("/deaths?job=s"), ["exit 2", "exit 1"]);
    assert_eq!(words("/deaths?job=s.db"), ["exit 2"]);
    assert_eq!(words("/deaths?job=t.none"), Vec::<String>::new());
    let all = told(&mut node, "/deaths");
    let second = all[1]["ended_at"].as_f64().expect("a time");
    assert_eq!(told(&mut node, &format!("/deaths?since={second}")).len(), 2);
    let most = limits::DEATHS_TOLD;
    assert_eq!(told(&mut node, &format!("/deaths?limit={most}")).len(), 3);
    let beyond = format!("limit={}", most + 1);
    for bad in ["limit=0", &beyond, "limit=x", "since=x"] {
        let conn = node.connect_tcp();
        let request = format!("GET /deaths?{bad} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        node.send(conn, request.as_bytes(), &mut || usize::MAX);
        let answer = String::from_utf8(node.take_answer(conn)).expect("text");
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad}: {answer}");
    }
}
