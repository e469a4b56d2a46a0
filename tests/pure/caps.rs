//! The caps of `base/limits` that no test of a single file reaches: each at its value and one
//! beyond.

use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::ids::{ConnId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::ExitStatus;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::node::console::{Console, Verbosity};
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;
use gaffer::supervisor::spec_read;

use crate::api_traces::file_job;
use crate::driven::Driven;
use crate::fake_node::FakeNode;
use crate::ws_client::{self, Said};

fn is_read(key: &str, value: Value) -> bool {
    let mut config = json!({"cmd": "a"});
    config[key] = value;
    spec_read::read(config.as_object().expect("an object")).is_ok()
}

#[test]
fn a_configuration_is_read_up_to_its_caps() {
    let labels = |count: usize| (0..count).map(|n| json!(format!("s{n}"))).collect::<Value>();
    let label = |length: usize| json!(["x".repeat(length)]);
    let attempts = |count: usize| json!({"attempts": count});
    let time = limits::CONFIGURED_TIME.as_secs();
    for (key, most, beyond) in [
        ("numprocesses", json!(limits::NUMPROCESSES), json!(limits::NUMPROCESSES + 1)),
        ("custom_streams", labels(limits::CUSTOM_STREAMS), labels(limits::CUSTOM_STREAMS + 1)),
        ("custom_streams", label(limits::STREAM_LABEL), label(limits::STREAM_LABEL + 1)),
        ("redirect_output", label(limits::STREAM_LABEL), label(limits::STREAM_LABEL + 1)),
        ("flapping", attempts(limits::FLAPPING_ATTEMPTS), attempts(limits::FLAPPING_ATTEMPTS + 1)),
        ("graceful_timeout", json!(time), json!(time + 1)),
        ("min_uptime", json!(time), json!(time + 1)),
    ] {
        assert!(is_read(key, most.clone()), "{key}: {most}");
        assert!(!is_read(key, beyond.clone()), "{key}: {beyond}");
    }
}

fn node(job: &str) -> FakeNode {
    let files = vec![file_job(job)];
    FakeNode::new(Access::default(), Console::default(), Legacy::default(), files)
}

fn send(node: &mut FakeNode, conn: ConnId, request: &str, body: &str) {
    let length = body.len();
    let text =
        format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    node.send(conn, text.as_bytes(), &mut || usize::MAX);
}

/// The status and the body of an answer; 0 if there is none yet.
fn answer(node: &mut FakeNode, conn: ConnId) -> (u16, String) {
    let text = String::from_utf8(node.take_answer(conn)).expect("text");
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

fn ask(node: &mut FakeNode, request: &str, body: &str) -> (u16, String) {
    let conn = node.connect_tcp();
    send(node, conn, request, body);
    answer(node, conn)
}

#[test]
fn a_job_is_scaled_up_to_the_cap() {
    let mut node = node(r#"s.web {"cmd": "a", "start": false}"#);
    let scaled = |node: &mut FakeNode, to: u32| {
        ask(node, "POST /jobs/s/web/numprocesses", &json!({"scale": format!("={to}")}).to_string())
            .0
    };
    assert_eq!(scaled(&mut node, limits::NUMPROCESSES), 200);
    assert_eq!(scaled(&mut node, limits::NUMPROCESSES + 1), 400);
    assert_eq!(ask(&mut node, "POST /jobs/s/web/numprocesses", r#"{"scale": 1}"#).0, 400);
}

#[test]
fn clients_whose_time_is_over_at_once_have_several_turns() {
    let mut node = node(r#"s.web {"cmd": "a"}"#);
    let conns: Vec<ConnId> = (0..=limits::DUE_SHARE).map(|_| node.connect_tcp()).collect();
    let now = node.now.plus(limits::HTTP_FIRST_BYTE);
    for over in [limits::DUE_SHARE, limits::DUE_SHARE + 1] {
        assert!(node.gaffer.deadline().is_some_and(|at| at <= now.mono), "it does not sleep");
        node.gaffer.on_time(now);
        assert_eq!(conns.iter().filter(|conn| node.gaffer.is_finished(**conn)).count(), over);
    }
    assert!(node.gaffer.deadline().is_none_or(|at| at > now.mono));
}

#[test]
fn the_last_deaths_of_an_instance_are_remembered() {
    let mut node = node(r#"s.web {"cmd": "a", "min_uptime": 0}"#);
    let mut told = Vec::new();
    for os_pid in (1001..).take(limits::DEATHS + 1) {
        node.exit(OsPid(os_pid), ExitStatus::Code(1), false);
        let (_, body) = ask(&mut node, "GET /jobs/s/web/deaths", "");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let deaths = body["deaths"].as_array().expect("a list").clone();
        told.push((deaths.len(), deaths[deaths.len() - 1]["pid"].clone()));
    }
    assert_eq!(told[limits::DEATHS - 1], (limits::DEATHS, json!(1)));
    assert_eq!(told[limits::DEATHS], (limits::DEATHS, json!(2)), "the first is forgotten");
}

#[test]
fn a_group_that_outlives_its_leader_is_looked_at_less_and_less_often() {
    let mut node = node(r#"s.web {"cmd": "a", "graceful_timeout": 100}"#);
    node.deaf = true;
    node.exit(OsPid(1001), ExitStatus::Code(0), true);
    let (first, last) = limits::LINGER;
    let mut expected = first;
    for _ in 0..12 {
        let at = node.gaffer.deadline().expect("it is looked at");
        assert_eq!(at.saturating_duration_since(node.now.mono), expected);
        node.advance(expected);
        expected = (expected * 2).min(last);
    }
    assert_eq!(expected, last);
}

#[test]
fn what_survives_its_kill_is_killed_again() {
    let mut node = node(r#"s.web {"cmd": "a", "graceful_timeout": 0}"#);
    node.immortal = true;
    node.asked.clear();
    assert_eq!(ask(&mut node, "DELETE /1", "").0, 202);
    let kills = |node: &FakeNode| node.asked.iter().filter(|a| a.starts_with("SIGKILL")).count();
    assert_eq!(kills(&node), 1);
    node.advance(limits::KILL_AGAIN - Duration::from_millis(1));
    assert_eq!(kills(&node), 1);
    node.advance(Duration::from_millis(1));
    assert_eq!(kills(&node), 2);
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let mut node = node(r#"s.web {"cmd": "a", "min_uptime": 800000}"#);
    let conn = node.connect_tcp();
    for (query, time) in [
        ("wait=running".to_owned(), limits::WAIT_DEFAULT),
        (format!("wait=running&timeout={}", limits::WAIT_MOST.as_secs()), limits::WAIT_MOST),
    ] {
        send(&mut node, conn, &format!("POST /jobs/s/web/state?{query}"), "1");
        node.advance(time - Duration::from_millis(1));
        assert_eq!(answer(&mut node, conn).0, 0, "{query}: too early");
        node.advance(Duration::from_millis(1));
        assert_eq!(answer(&mut node, conn).0, 504, "{query}");
    }
    let beyond = limits::WAIT_MOST.as_secs() + 1;
    send(&mut node, conn, &format!("POST /jobs/s/web/state?wait=running&timeout={beyond}"), "1");
    assert_eq!(answer(&mut node, conn).0, 400);
}

#[test]
fn clients_beyond_the_cap_are_turned_away() {
    let mut node = node(r#"s.web {"cmd": "a"}"#);
    let peer = Peer::Unix { uid: None };
    let first = node.connect(peer);
    for _ in 1..limits::CONNECTIONS {
        node.connect(peer);
    }
    assert_eq!(node.gaffer.accepted(peer, node.now), None);
    node.gaffer.closed(first, node.now);
    assert!(node.gaffer.accepted(peer, node.now).is_some(), "one has gone");
}

#[test]
fn a_line_without_an_end_is_told_in_pieces() {
    let console = Console::new(Verbosity::Output);
    let files = vec![file_job(r#"s.web {"cmd": "a"}"#)];
    let mut node = FakeNode::new(Access::default(), console, Legacy::default(), files);
    let printed = |node: &FakeNode| {
        node.asked.iter().filter(|asked| asked.starts_with("print s.web.1")).count()
    };
    node.output(OsPid(1001), StreamNo::STDOUT, &vec![b'x'; limits::CONSOLE_LINE]);
    assert_eq!(printed(&node), 0, "its end may still come");
    node.output(OsPid(1001), StreamNo::STDOUT, b"x");
    assert_eq!(printed(&node), 1);
    node.output(OsPid(1001), StreamNo::STDOUT, b"\n");
    assert_eq!(printed(&node), 2);
    // One with an end, of characters that take more room than they came with.
    node.output(OsPid(1001), StreamNo::STDOUT, &[&[1; limits::CONSOLE_LINE][..], b"\n"].concat());
    assert_eq!(printed(&node), 5);
    assert!(node.asked.iter().all(|asked| asked.len() < limits::CONSOLE_LINE + 64));
}

fn open(node: &mut FakeNode, path: &str) -> ConnId {
    let conn = node.connect_tcp();
    let asked = ws_client::handshake(path, "Host: localhost\r\n", "");
    node.send(conn, &asked, &mut || usize::MAX);
    let head = String::from_utf8(node.take_answer(conn)).expect("text");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.ends_with("\r\n\r\n"), "{head}");
    conn
}

/// What the node said on a websocket since this was asked last.
fn said(node: &mut FakeNode, conn: ConnId) -> Vec<Said> {
    let mut bytes = node.take_answer(conn);
    let all = std::iter::from_fn(|| ws_client::take(&mut bytes)).collect();
    assert!(bytes.is_empty(), "half a frame");
    all
}

fn say(node: &mut FakeNode, conn: ConnId, text: &str) -> Vec<Said> {
    node.send(conn, &ws_client::frame(ws_client::TEXT, text.as_bytes()), &mut || usize::MAX);
    said(node, conn)
}

const WRITES: &str = r#"s.web {"cmd": "a", "redirect_output": ["out"], "redirect_input": true}"#;
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_silent_websocket_is_asked_for_a_sign_of_life_and_then_given_up() {
    let mut node = node(WRITES);
    let conn = open(&mut node, "/1/channel");
    node.advance(limits::WS_PING - MOMENT);
    assert_eq!(said(&mut node, conn), []);
    node.advance(MOMENT);
    assert_eq!(said(&mut node, conn), [Said::Ping(Vec::new())]);
    node.advance(limits::LIVE_SILENCE - limits::WS_PING - MOMENT);
    assert!(!node.gaffer.is_finished(conn));
    node.advance(MOMENT);
    assert!(node.gaffer.is_finished(conn));
}

#[test]
fn a_reader_who_takes_nothing_is_given_up_and_leaves_nothing() {
    let mut node = node(WRITES);
    let reader = node.connect_tcp();
    send(&mut node, reader, "GET /streams/1/out?feed=continuous", "");
    node.take_answer(reader);
    node.advance(limits::LIVE_SILENCE * 2);
    assert!(!node.gaffer.is_finished(reader), "it has taken all that there is");
    node.output(OsPid(1001), StreamNo::STDOUT, b"x");
    node.advance(limits::LIVE_SILENCE - MOMENT);
    assert!(!node.gaffer.is_finished(reader));
    node.advance(MOMENT);
    assert!(node.gaffer.is_finished(reader));
    let (_, counters) = ask(&mut node, "GET /debug/counters", "");
    assert!(counters.contains("\"feeds\": 0"), "{counters}");
}

#[test]
fn a_topic_is_taken_up_to_its_length() {
    let mut node = node(WRITES);
    let conn = open(&mut node, "/channel/websocket");
    for (length, answer) in [(limits::TOPIC, "success"), (limits::TOPIC + 1, "error")] {
        let topic = format!("EVENTS:{}", "x".repeat(length - "EVENTS:".len()));
        let sub = json!({"event": "SUB", "data": {"topic": topic}}).to_string();
        let said = say(&mut node, conn, &sub);
        let [Said::Text(text)] = &said[..] else { panic!("{said:?}") };
        assert!(text.contains(&format!("gaffer:subscription_{answer}")), "{text}");
    }
}

#[test]
fn statistics_come_as_often_as_they_may() {
    let mut node = node(WRITES);
    let conn = open(&mut node, "/channel/websocket");
    let (least, most) = limits::STATS_INTERVALS;
    for (interval, answer) in
        [(least, "success"), (most, "success"), (least - MOMENT, "error"), (most + MOMENT, "error")]
    {
        let data = json!({"topic": "STATS:s.web", "interval": interval.as_secs_f64()});
        let said = say(&mut node, conn, &json!({"event": "SUB", "data": data}).to_string());
        let [Said::Text(text)] = &said[..] else { panic!("{interval:?}: {said:?}") };
        assert!(text.contains(&format!("gaffer:subscription_{answer}")), "{text}");
        let query = format!("feed=continuous&interval={}", interval.as_secs_f64());
        let feed = node.connect_tcp();
        send(&mut node, feed, &format!("GET /stats?{query}"), "");
        let status = if answer == "success" { 200 } else { 400 };
        assert_eq!(self::answer(&mut node, feed).0, status, "{query}");
        node.vanish(feed);
    }
    node.vanish(conn);
    let conn = open(&mut node, "/channel/websocket");
    say(&mut node, conn, r#"{"event": "SUB", "data": {"topic": "STATS:1"}}"#);
    // They tick from the first of all watches on, which was a while ago.
    node.advance(limits::STATS_INTERVAL);
    assert_eq!(said(&mut node, conn).len(), 1);
    node.advance(limits::STATS_INTERVAL - MOMENT);
    assert_eq!(said(&mut node, conn), []);
    node.advance(MOMENT);
    assert_eq!(said(&mut node, conn).len(), 1);
}

/// What a piece in the queue of a reader costs besides its bytes.
const PIECE_COST: usize = 64;

#[test]
fn a_readers_queue_holds_so_much_and_no_more() {
    for (length, waits) in [
        (limits::READER_QUEUE - PIECE_COST, limits::READER_QUEUE),
        (limits::READER_QUEUE - PIECE_COST + 1, 0),
    ] {
        let mut node = node(WRITES);
        let reader = node.connect_tcp();
        send(&mut node, reader, "GET /streams/1/out?feed=continuous", "");
        // It has no room for more than this, and takes none of it.
        let first = vec![b'x'; limits::HTTP_OUTPUT_PAUSE];
        node.output(OsPid(1001), StreamNo::STDOUT, &first);
        node.output(OsPid(1001), StreamNo::STDOUT, &vec![b'y'; length]);
        let (_, counters) = ask(&mut node, "GET /debug/counters", "");
        assert!(counters.contains(&format!("\"queued_bytes\": {waits},")), "{counters}");
        node.exit(OsPid(1001), ExitStatus::Code(0), false);
        let text = String::from_utf8(node.take_answer(reader)).expect("text");
        let lost = if waits == 0 { length } else { 0 };
        assert!(text.ends_with(&format!("0\r\nGaffer-Lost: {lost}\r\n\r\n")), "{lost}");
    }
}

#[test]
fn output_is_told_again_up_to_the_cap_and_the_oldest_is_left_out() {
    let line = vec![b'x'; limits::OUTPUT_RING / 2];
    let whole = limits::LOGS_ANSWER / line.len();
    for (more, lost) in [(&b""[..], 0), (b"\n", line.len())] {
        let mut node = node(&format!(r#"s.web {{"cmd": "noisy", "numprocesses": {}}}"#, whole + 1));
        for os_pid in (1001..).take(whole) {
            node.output(OsPid(os_pid), StreamNo::STDOUT, &line);
        }
        let last = OsPid(1001 + i32::try_from(whole).expect("few"));
        node.output(last, StreamNo::STDOUT, more);
        let conn = open(&mut node, "/channel/websocket");
        let sub = json!({"event": "SUB", "data": {"topic": "LOGS:s.web", "since": 0}}).to_string();
        let told: usize = say(&mut node, conn, &sub)
            .into_iter()
            .filter_map(|said| match said {
                Said::Text(text) => serde_json::from_str::<Value>(&text).ok(),
                Said::Binary(_) | Said::Ping(_) | Said::Pong(_) | Said::Close(..) => None,
            })
            .map(|message| match message["event"].as_str() {
                Some("gaffer:lagged") => message["data"]["lost"].as_u64().map_or(0, |missing| {
                    assert_eq!(usize::try_from(missing), Ok(lost));
                    0
                }),
                _ => message["data"]["data"].as_str().map_or(0, str::len),
            })
            .sum();
        assert_eq!(told, limits::LOGS_ANSWER - lost + more.len());
    }
}

#[test]
fn who_begins_to_follow_a_stream_has_what_the_ring_keeps_and_is_told_the_rest() {
    let mut node = node(WRITES);
    let written = 2 * limits::OUTPUT_RING;
    node.output(OsPid(1001), StreamNo::STDOUT, &vec![b'x'; written]);
    let conn = open(&mut node, "/channel/websocket");
    let sub = json!({"event": "SUB", "data": {"topic": "STREAM:1", "since": 0}}).to_string();
    let said = say(&mut node, conn, &sub);
    let [_, Said::Text(lagged), Said::Text(kept)] = &said[..] else { panic!("{said:?}") };
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(value(lagged)["event"], "gaffer:lagged");
    let lost = value(lagged)["data"]["lost"].as_u64().expect("a number");
    let kept = value(kept)["data"]["data"].as_str().expect("text").len();
    assert!(kept > limits::OUTPUT_RING / 2 && kept <= limits::OUTPUT_RING, "{kept}");
    assert_eq!(usize::try_from(lost).expect("small") + kept, written);
}

#[test]
fn a_websocket_to_a_process_takes_messages_up_to_the_cap() {
    let mut node = node(WRITES);
    let whole = format!("V1 message {}\0", "i".repeat(200));
    let mut frame = whole.into_bytes();
    frame.resize(frame.len() + limits::INPUT_QUEUE, b'x');
    assert!(frame.len() <= limits::WS_MESSAGE, "a whole queue fits with its head");
    let conn = open(&mut node, "/1/channel");
    node.send(conn, &ws_client::frame(ws_client::BINARY, &frame), &mut || 65_536);
    let said_first = said(&mut node, conn);
    assert!(
        matches!(&said_first[..], [Said::Text(text)] if text.ends_with("OK")),
        "{said_first:?}"
    );
    let longest = ws_client::frame(ws_client::BINARY, &vec![0; limits::WS_MESSAGE]);
    node.send(conn, &longest, &mut || 65_536);
    let said_then = said(&mut node, conn);
    assert!(matches!(&said_then[..], [Said::Close(1007, _)]), "heard, and no frame: {said_then:?}");
    let conn = open(&mut node, "/1/channel");
    let beyond = ws_client::frame(ws_client::BINARY, &vec![0; limits::WS_MESSAGE + 1]);
    node.send(conn, &beyond, &mut || 65_536);
    assert_eq!(said(&mut node, conn), [Said::Close(1009, String::new())]);
}

#[test]
fn who_waited_for_room_is_heard_again_in_the_same_turn() {
    let mut node = node(WRITES);
    node.reads = Ok(0);
    let (status, _) = ask(&mut node, "POST /streams/1/stdin", &"x".repeat(limits::INPUT_QUEUE));
    assert_eq!(status, 200);
    let conn = open(&mut node, "/channel/websocket");
    let send = r#"{"event": "CMD", "data": {"identity": 1, "name": "send", "args": [1, "y"]}}"#;
    assert_eq!(say(&mut node, conn, send), []);
    let jobs = r#"{"event": "CMD", "data": {"identity": 2, "name": "jobs"}}"#;
    assert_eq!(say(&mut node, conn, jobs), [], "it is not heard while it waits");
    // The process takes one byte, and its pipe is full again: nothing more happens.
    let id = node.instance(OsPid(1001));
    node.gaffer.input_taken(id, StreamNo::STDIN, 1, node.now);
    node.gaffer.settle(node.now);
    let mut bytes = node.gaffer.transmit(conn).to_vec();
    let answers = std::iter::from_fn(|| ws_client::take(&mut bytes)).count();
    assert_eq!(answers, 2);
}
