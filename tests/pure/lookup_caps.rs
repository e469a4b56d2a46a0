//! The caps of the lookupd that no test of a single file reaches: each at its value and one beyond.

use std::time::Duration;

use serde_json::Value;

use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::front::access::Access;
use gaffer::lookup::registry::Counts;
use gaffer::node::machine::Machine as _;

use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::lookup_node::{identify, ping, register_job, register_process, Socket};
use crate::ws_client::{self, Said};

const MOMENT: Duration = Duration::from_millis(1);

fn lookupd() -> FakeLookupd {
    FakeLookupd::new(Access::default())
}

fn get(lookupd: &mut FakeLookupd, path: &str) -> ConnId {
    let conn = lookupd.connect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    lookupd.send(conn, request.as_bytes(), &mut || usize::MAX);
    conn
}

/// Head and body of an answer, however it is framed.
fn answer(bytes: &[u8]) -> (String, String) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let (mut rest, mut body) = (&bytes[end + 4..], Vec::new());
    if !head.contains("Transfer-Encoding: chunked") {
        return (head, String::from_utf8(rest.to_vec()).expect("text"));
    }
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&rest[..line]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return (head, String::from_utf8(body).expect("text"));
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 2 + length + 2..];
    }
}

fn is_open(lookupd: &FakeLookupd, socket: &Socket) -> bool {
    lookupd.machine.clients().get(socket.conn).is_some_and(|client| client.conn.is_live())
}

#[test]
fn so_many_may_not_have_said_who_they_are() {
    let mut lookupd = lookupd();
    let mut sockets: Vec<Socket> =
        (0..limits::LOOKUP_UNIDENTIFIED).map(|_| Socket::open(&mut lookupd, "/ws")).collect();
    let conn = lookupd.connect();
    let handshake = ws_client::handshake("/ws", "Host: localhost\r\n", "");
    lookupd.send(conn, &handshake, &mut || usize::MAX);
    let (head, _) = answer(&lookupd.take_answer(conn));
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1"), "{head}");
    let first = sockets.first_mut().expect("one");
    assert_eq!(first.asks(&mut lookupd, identify("n"))["ok"], true);
    let mut next = Socket::open(&mut lookupd, "/ws");
    assert_eq!(next.asks(&mut lookupd, ping())["ok"], true, "there is room again");
}

#[test]
fn whoever_does_not_say_who_it_is_has_so_long() {
    let mut lookupd = lookupd();
    let mut socket = Socket::open(&mut lookupd, "/ws");
    lookupd.advance(limits::LOOKUP_IDENTIFY - MOMENT);
    assert_eq!(socket.asks(&mut lookupd, ping())["ok"], true);
    lookupd.advance(MOMENT);
    let heard = socket.hear(&mut lookupd);
    assert_eq!(heard, [Said::Close(1008, "it did not say who it is".into())]);
}

#[test]
fn a_node_is_silent_for_so_long() {
    let mut lookupd = lookupd();
    assert_eq!(limits::LOOKUP_SILENCE, 3 * limits::LOOKUP_HEARTBEAT);
    let mut node = Socket::node(&mut lookupd, "n");
    lookupd.advance(limits::LOOKUP_SILENCE - MOMENT);
    node.say(&mut lookupd, &ping());
    lookupd.advance(limits::LOOKUP_SILENCE - MOMENT);
    assert!(is_open(&lookupd, &node));
    node.hear(&mut lookupd);
    lookupd.advance(MOMENT);
    assert!(!is_open(&lookupd, &node));
    assert_eq!(lookupd.machine.registry().counts(), Counts::default());
}

#[test]
fn who_slept_gives_everybody_a_heartbeat_more() {
    for (late, lives) in [(Duration::ZERO, true), (MOMENT, false)] {
        let mut lookupd = lookupd();
        let node = Socket::node(&mut lookupd, "n");
        lookupd.oversleep(limits::LOOKUP_SILENCE + limits::LOOKUP_LATE - late);
        lookupd.advance(Duration::ZERO);
        assert_eq!(is_open(&lookupd, &node), lives, "{late:?} before that is late");
        lookupd.advance(limits::LOOKUP_HEARTBEAT - MOMENT);
        assert_eq!(is_open(&lookupd, &node), lives);
        lookupd.advance(MOMENT);
        assert!(!is_open(&lookupd, &node));
    }
}

#[test]
fn a_node_that_missed_its_heartbeat_loses_its_place_and_another_is_asked() {
    // Silent for so long, it is still asked for a sign of life, and has so long to give it.
    let mut fake = lookupd();
    let mut old = Socket::node(&mut fake, "n");
    fake.advance(limits::LOOKUP_STALE);
    let mut new = Socket::open(&mut fake, "/ws");
    new.say(&mut fake, &identify("n"));
    assert!(new.hear(&mut fake).is_empty() && old.hear(&mut fake) == [Said::Ping(Vec::new())]);
    fake.advance(limits::LOOKUP_PROBE - MOMENT);
    assert!(is_open(&fake, &old) && new.hear(&mut fake).is_empty());
    fake.advance(MOMENT);
    assert!(!is_open(&fake, &old));
    assert_eq!(new.texts(&mut fake), [r#"{"msgid": "i", "ok": true}"#]);

    // A sign in the last moment is one.
    let mut fake = lookupd();
    let old = Socket::node(&mut fake, "n");
    let mut new = Socket::open(&mut fake, "/ws");
    new.say(&mut fake, &identify("n"));
    fake.advance(limits::LOOKUP_PROBE - MOMENT);
    old.send(&mut fake, ws_client::PONG, b"");
    assert!(new.texts(&mut fake)[0].contains("409") && is_open(&fake, &old));

    // Silent for longer, it is not asked.
    let mut fake = lookupd();
    let old = Socket::node(&mut fake, "n");
    fake.advance(limits::LOOKUP_STALE + MOMENT);
    let mut new = Socket::open(&mut fake, "/ws");
    assert_eq!(new.asks(&mut fake, identify("n"))["ok"], true);
    assert!(!is_open(&fake, &old));
}

#[test]
fn a_message_is_read_up_to_its_length_and_refused_before() {
    let mut lookupd = lookupd();
    let mut node = Socket::node(&mut lookupd, "n");
    for (length, kept) in [(limits::LOOKUP_READ, true), (limits::LOOKUP_READ + 1, false)] {
        node.send(&mut lookupd, ws_client::TEXT, &vec![b' '; length]);
        let heard = node.hear(&mut lookupd);
        let refused = |text: &String| text.contains("invalid_message") && text.contains("400");
        match &heard[..] {
            [Said::Text(text)] => assert!(kept && refused(text), "{text}"),
            [Said::Close(1009, _)] => assert!(!kept),
            other => panic!("{other:?}"),
        }
        assert_eq!(is_open(&lookupd, &node), kept);
    }
}

/// A node with so many jobs, and their names.
fn with_jobs(lookupd: &mut FakeLookupd, count: usize) -> Socket {
    let mut node = Socket::node(lookupd, "n");
    lookupd.trusted = true;
    for number in 0..count {
        let answer = node.asks(lookupd, register_job(&format!("s.job-{number:05}")));
        assert_eq!(answer["ok"], true);
    }
    lookupd.machine.sweep().expect("what is always so");
    node
}

#[test]
fn a_small_answer_is_whole_and_a_large_one_goes_on() {
    let mut lookupd = lookupd();
    let _node = with_jobs(&mut lookupd, 1);
    let conn = get(&mut lookupd, "/jobs");
    let (_, body) = answer(&lookupd.take_answer(conn));
    let (one, count) = (body.len(), limits::LOOKUP_ANSWER / (body.len() - 15));
    let mut node = Socket::open(&mut lookupd, "/ws");
    let answered = node.asks(&mut lookupd, identify("m"));
    assert_eq!(answered["ok"], true);
    for number in 1..count {
        node.asks(&mut lookupd, register_job(&format!("s.job-{number:05}")));
    }
    let (mut whole, mut largest) = (0, 0);
    for number in count..count + 200 {
        node.asks(&mut lookupd, register_job(&format!("s.job-{number:05}")));
        let conn = get(&mut lookupd, "/jobs");
        let (head, body) = answer(&lookupd.take_answer(conn));
        let listed: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(listed["nb_jobs"], number + 1);
        assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(number + 1));
        if head.contains("Content-Length") {
            assert!(head.contains("ETag: "), "{head}");
            (whole, largest) = (whole + 1, body.len());
        } else {
            assert!(head.contains("Cache-Control: no-store"), "{head}");
            assert!(body.len() > limits::LOOKUP_ANSWER);
        }
    }
    assert!(whole > 0 && whole < 200, "{whole} were whole");
    assert!(limits::LOOKUP_ANSWER < largest + 2 * one, "the largest has {largest} bytes");
}

#[test]
fn a_large_answer_waits_for_its_reader_and_is_dropped_with_it() {
    let mut lookupd = lookupd();
    let _node = with_jobs(&mut lookupd, 5_000);
    let conn = get(&mut lookupd, "/sessions");
    let owed = lookupd.machine.transmit(conn).len();
    assert!(owed < limits::LOOKUP_ANSWER + limits::LOOKUP_AHEAD, "{owed} bytes are held");
    let (_, body) = answer(&lookupd.take_answer(conn));
    let listed: Value = serde_json::from_str(&body).expect("JSON");
    let jobs = listed["sessions"][0]["jobs"].as_object().map(serde_json::Map::len);
    assert_eq!(jobs, Some(5_000));
    assert_eq!(listed["nb_sessions"], 1);
    // The connection goes on behind it.
    lookupd.send(conn, b"GET /ping HTTP/1.1\r\nHost: a.b\r\n\r\n", &mut || usize::MAX);
    assert!(lookupd.take_answer(conn).starts_with(b"HTTP/1.1 421 "));
    for vanish in [true, false] {
        let conn = get(&mut lookupd, "/jobs");
        match vanish {
            true => lookupd.vanish(conn),
            false => lookupd.half_close(conn),
        }
        let counters = get(&mut lookupd, "/debug/counters");
        let (_, body) = answer(&lookupd.take_answer(counters));
        assert!(body.contains("\"listings\": 0"), "{body}");
    }
}

#[test]
fn what_is_only_looked_at_has_its_share_of_a_turn() {
    let mut lookupd = lookupd();
    lookupd.trusted = true;
    let nodes: Vec<Socket> = (0..3).map(|_| Socket::open(&mut lookupd, "/ws")).collect();
    for (mut node, name) in nodes.into_iter().zip(["a", "b", "z"]) {
        node.asks(&mut lookupd, identify(name));
        let count = if name == "z" { 1 } else { limits::LOOKUP_SCAN / 2 };
        for number in 0..count {
            node.asks(&mut lookupd, register_job(&format!("s.{name}{number}")));
        }
    }
    let conn = get(&mut lookupd, "/sessions/z");
    assert!(lookupd.machine.deadline() == Some(lookupd.now.mono), "it goes on at once");
    lookupd.advance(Duration::ZERO);
    let (_, body) = answer(&lookupd.take_answer(conn));
    assert!(body.contains("\"s.z0\"") && body.ends_with("\"nb_sessions\": 1}"), "{body}");
    let mut node = Socket::open(&mut lookupd, "/ws");
    node.asks(&mut lookupd, identify("c"));
    let conn = get(&mut lookupd, "/sessions/c");
    lookupd.advance(Duration::ZERO);
    let (_, body) = answer(&lookupd.take_answer(conn));
    assert_eq!(body, r#"{"sessions": [], "nb_sessions": 0}"#);
    lookupd.machine.sweep().expect("what is always so");
}

#[test]
fn a_snapshot_waits_for_its_reader() {
    let mut lookupd = lookupd();
    let mut node = with_jobs(&mut lookupd, 5_000);
    let mut follower = Socket::open(&mut lookupd, "/lookup/websocket?snapshot=1");
    let counters = get(&mut lookupd, "/debug/counters");
    let (_, body) = answer(&lookupd.take_answer(counters));
    let counters: Value = serde_json::from_str(&body).expect("JSON");
    let queued = counters["queued_bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
    let queued = queued.expect("a number");
    let ahead = limits::LOOKUP_AHEAD..limits::LOOKUP_AHEAD + 1_000;
    assert!(ahead.contains(&queued), "{queued}");
    // What changes before the place that it has reached is told, and what changes behind it is not.
    for message in [register_process("s.job-00000", 1), register_process("s.job-04999", 2)] {
        assert_eq!(node.asks(&mut lookupd, message)["ok"], true);
    }
    let texts = follower.texts(&mut lookupd);
    assert_eq!(texts.len(), 2 + 5_000 + 2 + 1);
    assert!(texts.last().is_some_and(|text| text.contains("snapshot_end")));
    let at = |pid: &str| texts.iter().position(|text| text.contains(pid)).expect("told");
    assert!(at("\"pid\": 1}") < 1_000, "among what was told by then: {}", at("\"pid\": 1}"));
    assert_eq!(at("\"pid\": 2}"), texts.len() - 2, "behind its job, the last");
}

#[test]
fn a_slow_follower_is_told_what_it_lost() {
    let mut lookupd = lookupd();
    let mut node = with_jobs(&mut lookupd, 1);
    let mut follower = Socket::open(&mut lookupd, "/lookup/websocket");
    let (mut pid, size) = (0_u64, 150);
    while pid * size < 2 * u64::try_from(limits::READER_QUEUE).expect("a number") {
        pid += 1;
        let job = register_process("s.job-00000", pid % 1_000);
        node.asks(&mut lookupd, job);
        let gone = serde_json::json!({
            "msgid": "u", "type": "UNREGISTER_PROCESS", "job_name": "s.job-00000", "pid": pid % 1_000,
        });
        node.asks(&mut lookupd, gone);
    }
    let texts = follower.texts(&mut lookupd);
    let lost = |text: &String| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        (value["event"] == "gaffer:lagged").then(|| value["data"]["lost"].as_u64())
    };
    let told: u64 = texts.iter().filter_map(lost).map(|lost| lost.expect("a number")).sum();
    let rest = u64::try_from(texts.iter().filter(|text| lost(text).is_none()).count());
    lookupd.machine.sweep().expect("what is always so");
    assert!(told > 0);
    assert_eq!(told + rest.expect("a number"), 2 * pid, "told or counted");
}
