//! Sessions that come back for the output of jobs when memory does not reach back so far: they are told all that
//! they missed, in order and once, and go on with what is written.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::ids::{ConnId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::front::access::Access;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;

use crate::api_traces::file_job;
use crate::driven::Driven as _;
use crate::fake_node::FakeNode;
use crate::ws_client::{self, Said};

const FIRST: OsPid = OsPid(1001);
const OUT: StreamNo = StreamNo::STDOUT;
/// Bytes in a line.
const LINE: usize = 1000;
/// Lines of which memory keeps only the last few.
const MANY: usize = 10 * limits::OUTPUT_RING / LINE;

/// A node whose disk keeps everything.
fn node() -> FakeNode {
    let files = vec![file_job(r#"s.web {"cmd": "serve"}"#)];
    let mut node = FakeNode::new(Access::default(), Console::default(), Legacy::default(), files);
    node.store = Some(BTreeMap::new());
    node
}

fn line(number: usize) -> Vec<u8> {
    format!("{number:06} {}\n", "x".repeat(LINE - 8)).into_bytes()
}

/// Writes these lines, and time passes.
fn write(node: &mut FakeNode, numbers: std::ops::Range<usize>) {
    for number in numbers {
        node.output(FIRST, OUT, &line(number));
        node.now = node.now.plus(Duration::from_millis(10));
    }
}

/// A client, and what came on its websocket.
struct Client {
    conn: ConnId,
    bytes: Vec<u8>,
    told: Vec<Value>,
}

impl Client {
    fn new(node: &mut FakeNode) -> Self {
        let conn = node.connect_tcp();
        let asked = ws_client::handshake("/channel/websocket", "Host: localhost\r\n", "");
        node.send(conn, &asked, &mut || usize::MAX);
        let head = String::from_utf8(node.take_answer(conn)).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { conn, bytes: Vec::new(), told: Vec::new() }
    }

    fn say(&self, node: &mut FakeNode, message: &Value) {
        let frame = ws_client::frame(ws_client::TEXT, message.to_string().as_bytes());
        node.send(self.conn, &frame, &mut || usize::MAX);
    }

    fn subscribe(&self, node: &mut FakeNode, since: u64) {
        let data = json!({"topic": "LOGS:s.web", "since": since});
        self.say(node, &json!({"event": "SUB", "data": data}));
    }

    /// Takes so much of what it is owed; whether there was any.
    fn take(&mut self, node: &mut FakeNode, most: usize) -> bool {
        let owed = node.machine().transmit(self.conn);
        let bytes = owed[..owed.len().min(most)].to_vec();
        if !bytes.is_empty() {
            node.sent(self.conn, bytes.len());
        }
        self.bytes.extend_from_slice(&bytes);
        while let Some(said) = ws_client::take(&mut self.bytes) {
            if let Said::Text(text) = said {
                self.told.push(serde_json::from_str(&text).expect("JSON"));
            }
        }
        !bytes.is_empty()
    }

    fn take_all(&mut self, node: &mut FakeNode) {
        while self.take(node, usize::MAX) {}
    }

    /// The output that it was told.
    fn output(&self) -> String {
        let data = self.told.iter().filter_map(|message| message["data"]["data"].as_str());
        data.collect()
    }

    /// How much it was told to have missed.
    fn lost(&self) -> u64 {
        let lagged = self.told.iter().filter(|message| message["event"] == "gaffer:lagged");
        lagged.filter_map(|message| message["data"]["lost"].as_u64()).sum()
    }

    fn ends(&self) -> usize {
        self.told.iter().filter(|message| message["data"]["event"] == "log_end").count()
    }
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| String::from_utf8(line(number)).expect("text")).collect()
}

/// Lines are told, and this number of them is that of the last that is known.
fn known(node: &mut FakeNode, count: usize) -> u64 {
    let mut client = Client::new(node);
    client.subscribe(node, u64::MAX);
    write(node, 0..count);
    client.take_all(node);
    node.vanish(client.conn);
    let last = client.told.last().expect("something");
    last["data"]["seq"].as_u64().expect("a number")
}

fn readers(node: &mut FakeNode) -> Value {
    node.get("/debug/counters")["log_readers"].clone()
}

#[test]
fn who_comes_back_after_much_was_written_is_told_all_of_it_once() {
    for (most, waits) in [(usize::MAX, false), (usize::MAX, true), (5000, false)] {
        let mut node = node();
        let since = known(&mut node, 10);
        write(&mut node, 10..MANY);
        node.disk_waits = waits;
        let mut client = Client::new(&mut node);
        client.subscribe(&mut node, since);
        let mut last = MANY;
        while readers(&mut node) != 0 || client.told.len() < 2 {
            // It goes on with its work meanwhile.
            write(&mut node, last..last + 1);
            last += 1;
            assert!(last < 9 * MANY, "it comes to no end");
            client.take(&mut node, most);
            if waits {
                node.disk_goes_on();
            }
        }
        client.take_all(&mut node);
        write(&mut node, last..last + 3);
        node.output(FIRST, OUT, b"no end");
        node.exit(FIRST, ExitStatus::Code(0), false);
        client.take_all(&mut node);
        assert!(client.output() == lines(10..last + 3) + "no end", "{most} {waits}");
        assert_eq!((client.lost(), client.ends()), (0, 1));
        let seqs = client.told.iter().filter_map(|message| message["data"]["seq"].as_u64());
        assert!(seqs.collect::<Vec<_>>().is_sorted());
    }
}

#[test]
fn a_slow_session_has_little_in_its_queue_and_loses_nothing() {
    let mut node = node();
    let since = known(&mut node, 10);
    write(&mut node, 10..MANY);
    let mut client = Client::new(&mut node);
    client.subscribe(&mut node, since);
    write(&mut node, MANY..3 * MANY);
    let queued = node.get("/debug/counters")["queued_bytes"].as_u64().expect("a number");
    let most = 4 * limits::LOG_BATCH + limits::HTTP_OUTPUT_PAUSE;
    assert!(queued < u64::try_from(most).expect("few"), "{queued}");
    client.take_all(&mut node);
    assert!(client.output() == lines(10..3 * MANY));
    assert_eq!((client.lost(), readers(&mut node)), (0, json!(0)));
}

#[test]
fn who_leaves_in_the_middle_is_told_no_more() {
    let mut node = node();
    write(&mut node, 0..MANY);
    let mut client = Client::new(&mut node);
    client.subscribe(&mut node, 0);
    client.take(&mut node, 100_000);
    assert_eq!(readers(&mut node), 1);
    let topic = json!({"event": "UNSUB", "data": {"topic": "LOGS:s.web"}});
    client.say(&mut node, &topic);
    // It is heard when there is room for the answer.
    while readers(&mut node) != 0 && client.take(&mut node, 1000) {}
    assert_eq!(readers(&mut node), 0);
    client.take_all(&mut node);
    let told = client.output();
    assert!(told.len() < MANY * LINE && lines(0..MANY).starts_with(&told));
    // It may come back on the same connection, once more than it leaves: what it has not got yet it still gets.
    client.told.clear();
    client.subscribe(&mut node, 0);
    client.subscribe(&mut node, u64::MAX);
    client.say(&mut node, &topic);
    client.take_all(&mut node);
    assert_eq!(readers(&mut node), 0);
    write(&mut node, MANY..MANY + 1);
    client.take_all(&mut node);
    assert!(client.output().ends_with(&lines(0..MANY + 1)));
    client.subscribe(&mut node, 0);
    assert_eq!(readers(&mut node), 1);
    node.vanish(client.conn);
    assert_eq!(readers(&mut node), 0);
    let mut last = Client::new(&mut node);
    last.subscribe(&mut node, 0);
    node.signal(Signal::TERM);
    last.take_all(&mut node);
    assert_eq!(readers(&mut node), 0);
}

#[test]
fn characters_stay_whole_where_reading_ends() {
    let mut node = node();
    write(&mut node, 0..MANY);
    let text = "€".repeat(20);
    let (first, rest) = text.as_bytes().split_at(31);
    node.output(FIRST, OUT, first);
    node.disk_waits = true;
    let mut client = Client::new(&mut node);
    client.subscribe(&mut node, 0);
    while node.disk_goes_on() > 0 {
        client.take_all(&mut node);
    }
    node.output(FIRST, OUT, rest);
    client.take_all(&mut node);
    assert!(client.output() == lines(0..MANY) + &text);
    // And where the rest came while it was read.
    let mut client = Client::new(&mut node);
    node.output(FIRST, OUT, first);
    client.subscribe(&mut node, 0);
    node.output(FIRST, OUT, rest);
    while node.disk_goes_on() > 0 {
        client.take_all(&mut node);
    }
    assert!(client.output() == lines(0..MANY) + &text + &text);
}

#[test]
fn what_is_nowhere_any_more_is_told_as_lost() {
    let mut node = node();
    node.store = None;
    let since = known(&mut node, 10);
    write(&mut node, 10..MANY);
    let mut client = Client::new(&mut node);
    client.subscribe(&mut node, since);
    client.take_all(&mut node);
    let told = client.output();
    assert!(lines(0..MANY).ends_with(&told) && told.len() > limits::OUTPUT_RING / 2);
    assert_eq!(client.lost(), u64::try_from(MANY * LINE - told.len()).expect("few"));
}

#[test]
fn who_takes_nothing_makes_room_for_others_and_is_told() {
    let mut node = node();
    write(&mut node, 0..MANY);
    let mut clients: Vec<Client> =
        (0..=limits::LOG_READERS).map(|_| Client::new(&mut node)).collect();
    for client in &clients[1..] {
        client.subscribe(&mut node, 0);
    }
    assert_eq!(readers(&mut node), limits::LOG_READERS);
    // One more has what is in memory.
    clients[0].subscribe(&mut node, 0);
    clients[0].take_all(&mut node);
    assert!(clients[0].lost() > 0 && clients[0].output().ends_with(&lines(MANY - 1..MANY)));
    node.now = node.now.plus(limits::LOG_STALLED);
    let mut late = Client::new(&mut node);
    late.subscribe(&mut node, 0);
    assert_eq!(readers(&mut node), limits::LOG_READERS);
    late.take_all(&mut node);
    assert!(late.output() == lines(0..MANY));
    let cut = clients[1..].iter_mut().filter_map(|client| {
        client.take_all(&mut node);
        assert!(client.output().ends_with(&lines(MANY - 1..MANY)));
        (client.lost() > 0).then_some(())
    });
    assert_eq!(cut.count(), 1);
}
