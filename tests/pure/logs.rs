//! Who reads what was written: in pieces, as far as he takes them, and on with what is written then.

use std::time::Duration;

use gaffer::base::ids::{ConnId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::ExitStatus;
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;

use crate::api_traces::file_job;
use crate::driven::Driven as _;
use crate::fake_node::FakeNode;

const FIRST: OsPid = OsPid(1001);
const OUT: StreamNo = StreamNo::STDOUT;

fn node() -> FakeNode {
    let files = vec![file_job(r#"s.web {"cmd": "serve"}"#)];
    FakeNode::new(Access::default(), Console::default(), Legacy::default(), files)
}

/// Asks, and takes nothing of the answer.
fn ask(node: &mut FakeNode, line: &str) -> ConnId {
    let conn = node.connect_tcp();
    node.send(conn, format!("{line}\r\nHost: localhost\r\n\r\n").as_bytes(), &mut || usize::MAX);
    conn
}

/// What a client has got since the last time.
fn got(node: &mut FakeNode, conn: ConnId) -> String {
    String::from_utf8(node.take_answer(conn)).expect("text")
}

/// The same out of its chunks.
fn chunks(node: &mut FakeNode, conn: ConnId) -> String {
    let text = got(node, conn);
    let mut rest = text
        .split_once("\r\n\r\n")
        .filter(|_| text.starts_with("HTTP"))
        .map_or(&*text, |(_, body)| body);
    let mut all = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (chunk, behind) = behind.split_at(size);
        all.push_str(chunk);
        rest = behind.strip_prefix("\r\n").expect("the end of a chunk");
    }
    all
}

#[test]
fn who_follows_gets_whole_lines_and_what_a_run_leaves() {
    let mut node = node();
    node.output(FIRST, OUT, b"one\nhalf");
    let conn = ask(&mut node, "GET /logs/s/web?follow=1 HTTP/1.1");
    let head = node.machine().transmit(conn).to_vec();
    assert!(String::from_utf8_lossy(&head).contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!(chunks(&mut node, conn), "one\n");
    node.output(FIRST, OUT, b" and half");
    assert_eq!(chunks(&mut node, conn), "");
    node.output(FIRST, OUT, b"\nrest");
    assert_eq!(chunks(&mut node, conn), "half and half\n");
    node.exit(FIRST, ExitStatus::Code(1), false);
    assert_eq!(chunks(&mut node, conn), "rest\n");
    node.advance(Duration::from_secs(2));
    node.output(OsPid(1002), OUT, b"of the next\n");
    assert_eq!(chunks(&mut node, conn), "of the next\n");
    assert_eq!(node.get("/debug/counters")["log_readers"], 1);
    node.vanish(conn);
    assert_eq!(node.get("/debug/counters")["log_readers"], 0);
}

#[test]
fn a_silent_follower_is_kept_alive_and_the_end_of_the_node_is_his() {
    let mut node = node();
    let conn = ask(&mut node, "GET /logs/s/web?follow=1&feed=eventsource&heartbeat=10 HTTP/1.1");
    chunks(&mut node, conn);
    node.advance(Duration::from_secs(10));
    assert_eq!(chunks(&mut node, conn), ":\n\n");
    node.signal(gaffer::base::process::Signal::TERM);
    assert!(got(&mut node, conn).ends_with("0\r\n\r\n"));
}

#[test]
fn a_slow_follower_is_told_what_he_missed() {
    let mut node = node();
    let conn = ask(&mut node, "GET /logs/s/web?follow=1&form=json HTTP/1.1");
    chunks(&mut node, conn);
    let line = [&vec![b'x'; 999][..], b"\n"].concat();
    let lines = 10 * (limits::OUTPUT_RING + limits::HTTP_OUTPUT_PAUSE) / line.len();
    for _ in 0..lines {
        node.output(FIRST, OUT, &line);
    }
    let owed = node.machine().transmit(conn).len();
    assert!(owed < 4 * limits::LOG_BATCH + limits::HTTP_OUTPUT_PAUSE, "{owed}");
    let told = chunks(&mut node, conn);
    let lost: usize = told
        .lines()
        .filter_map(|line| {
            line.strip_prefix("{\"lost\": ")?.strip_suffix('}')?.parse::<usize>().ok()
        })
        .sum();
    let whole = told.matches("\"line\": \"x").count();
    assert!(lost > 0 && whole > 0);
    // Half of a line stays where the beginning of it is lost.
    assert!(lost + whole * line.len() >= lines * line.len());
    assert!(lost + whole * line.len() < (lines + 3) * line.len());
}

#[test]
fn an_answer_ends_with_the_connection_for_those_who_know_no_chunks() {
    let mut node = node();
    node.output(FIRST, OUT, b"one\n");
    let conn = ask(&mut node, "GET /logs/s/web HTTP/1.0");
    let told = got(&mut node, conn);
    assert!(told.ends_with("\r\n\r\none\n") && !told.contains("chunked"), "{told}");
    assert!(node.machine().is_finished(conn));
    // Who has ended his own side waits for what comes to an end.
    let conn = node.connect_tcp();
    node.gaffer.received(conn, b"GET /logs/s/web HTTP/1.1\r\nHost: localhost\r\n\r\n", node.now);
    node.half_close(conn);
    assert!(got(&mut node, conn).contains("\r\none\n\r\n"));
    let conn = ask(&mut node, "HEAD /logs/s/web HTTP/1.1");
    assert!(got(&mut node, conn).ends_with("\r\n\r\n"));
    assert_eq!(node.get("/debug/counters")["log_readers"], 0);
}

#[test]
fn so_many_read_at_a_time_and_who_takes_nothing_makes_room() {
    let mut node = node();
    // More than a connection may owe, in JSON.
    for _ in 0..limits::OUTPUT_RING / 100 {
        node.output(FIRST, OUT, &b"\n".repeat(40));
    }
    let begin = |node: &mut FakeNode| ask(node, "GET /logs/s/web?form=json HTTP/1.1");
    let status = |node: &mut FakeNode, conn: ConnId| {
        String::from_utf8_lossy(&node.machine().transmit(conn)[9..12]).into_owned()
    };
    let conns: Vec<ConnId> = (0..limits::LOG_READERS).map(|_| begin(&mut node)).collect();
    for conn in &conns {
        assert_eq!(status(&mut node, *conn), "200");
    }
    let refused = begin(&mut node);
    assert_eq!(status(&mut node, refused), "503");
    node.now = node.now.plus(limits::LOG_STALLED - Duration::from_millis(1));
    let refused = begin(&mut node);
    assert_eq!(status(&mut node, refused), "503");
    node.now = node.now.plus(Duration::from_millis(1));
    let taken = begin(&mut node);
    assert_eq!(status(&mut node, taken), "200");
    assert_eq!(conns.iter().filter(|conn| node.gaffer.is_finished(**conn)).count(), 1);
}
