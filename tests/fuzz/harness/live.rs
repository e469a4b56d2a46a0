//! What clients send on websockets: frames of RFC 6455, messages of the channel, frames of a process's
//! own channel, and topics. Any bytes, cut anywhere, mean the same, and what is read reads back.

#![allow(
    unreachable_pub,
    reason = "the fuzz targets are another crate, the tests include this file"
)]

use std::time::Duration;

use gaffer::base::limits;
use gaffer::base::random::Random;
use gaffer::node::topics::{self, Topic, Watched, Written};
use gaffer::wire::channel::{self, Command, Message, Subscription};
use gaffer::wire::frame::{self, Kind};
use gaffer::wire::json;
use gaffer::wire::ws::{Heard, WebSocket};

/// Largest message of the websocket under test.
const LONGEST: usize = 300;

/// What a websocket heard and said.
#[derive(Debug, PartialEq, Eq)]
pub struct Talk {
    /// What its peer said, in order.
    pub heard: Vec<Heard>,
    /// What it answered by itself.
    pub out: Vec<u8>,
}

/// The fuzz target for frames.
pub fn websocket(data: &[u8]) {
    let whole = talk(data, || usize::MAX);
    check_answers(&whole);
    assert_eq!(talk(data, || 1), whole, "byte by byte");
    let seed = data.iter().fold(1, |seed: u64, byte| seed.wrapping_mul(31) ^ u64::from(*byte));
    let mut random = Random::seeded(seed);
    let cut = talk(data, || usize::try_from(random.below(30) + 1).unwrap_or(1));
    assert_eq!(cut, whole, "cut at random");
}

/// Hears all of it, in pieces of these sizes.
pub fn talk(data: &[u8], mut cut: impl FnMut() -> usize) -> Talk {
    let mut socket = WebSocket::server(LONGEST);
    let mut talk = Talk { heard: Vec::new(), out: Vec::new() };
    let (mut rest, mut input) = (data, Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut().min(rest.len()));
        rest = after;
        input.extend_from_slice(piece);
        while let Some(heard) = socket.hear(&mut input, &mut talk.out) {
            let last = matches!(heard, Heard::Close | Heard::Over);
            talk.heard.push(heard);
            if last {
                return talk;
            }
        }
    }
    talk
}

/// Messages are within the limit; answers are Pongs, and one Close at most, which is the last.
fn check_answers(talk: &Talk) {
    for heard in &talk.heard {
        match heard {
            Heard::Text(text) => assert!(text.len() <= LONGEST),
            Heard::Binary(bytes) => assert!(bytes.len() <= LONGEST),
            Heard::Sign | Heard::Close | Heard::Over => {}
        }
    }
    let mut rest = talk.out.as_slice();
    let (mut pongs, mut closed) = (0, false);
    while let [first, length, after @ ..] = rest {
        assert!(!closed, "something follows a Close");
        let length = usize::from(*length);
        assert!(length <= 125 && length <= after.len(), "a control frame is short and whole");
        match first {
            0x8a => pongs += 1,
            0x88 => closed = true,
            other => panic!("an answer begins with {other:#x}"),
        }
        rest = &after[length..];
    }
    assert!(rest.is_empty());
    let signs = talk.heard.iter().filter(|heard| **heard == Heard::Sign).count();
    assert!(pongs <= signs, "a Pong that nobody asked for");
    let last = matches!(talk.heard.last(), Some(Heard::Close | Heard::Over));
    assert_eq!(closed, last, "it closes when it is over");
}

/// The fuzz target for messages of the channel: a message reads back, and each error has its words.
pub fn message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match channel::parse(&text) {
        Ok(message) => {
            let rendered = render(&message);
            let again = channel::parse(&rendered);
            assert_eq!(again.map(told_exactly), Ok(told_exactly(message)), "{rendered}");
        }
        Err(invalid) => {
            assert!(!invalid.reason.is_empty() && !invalid.detail.is_empty());
            let told = channel::error(&invalid);
            let value = json::parse(told.as_bytes()).expect("an error is JSON");
            assert_eq!(value["data"]["reason"], invalid.reason);
        }
    }
    topic(&text);
}

/// A message without an interval of more than 30 days. What has nanoseconds is told as a float, which
/// rounds where the number is large. A node refuses such intervals anyway.
fn told_exactly(message: Message) -> Message {
    match message {
        Message::Subscribe(mut wish) => {
            let exact = |interval: &Duration| *interval <= Duration::from_secs(30 * 86_400);
            wish.interval = wish.interval.filter(exact);
            Message::Subscribe(wish)
        }
        other @ (Message::Nop | Message::Unsubscribe(_) | Message::Command(_)) => other,
    }
}

/// A message as a client would write it.
pub fn render(message: &Message) -> String {
    let value = match message {
        Message::Nop => serde_json::json!({"event": "NOP"}),
        Message::Subscribe(Subscription { topic, interval, since }) => {
            let interval = interval.map(|interval| interval.as_secs_f64());
            let data = serde_json::json!({"topic": topic, "interval": interval, "since": since});
            serde_json::json!({"event": "SUB", "data": data})
        }
        Message::Unsubscribe(topic) => {
            serde_json::json!({"event": "UNSUB", "data": {"topic": topic}})
        }
        Message::Command(Command { identity, name, args, kwargs }) => {
            let data = serde_json::json!({
                "identity": identity, "name": name, "args": args, "kwargs": kwargs,
            });
            serde_json::json!({"event": "CMD", "data": data})
        }
    };
    json::text(&value)
}

/// A topic means the same however its first part is written, and its target as it is written.
fn topic(text: &str) {
    let Ok(topic) = topics::parse(text) else { return };
    let (source, target) = match text.split_once(':') {
        Some((source, target)) => (source, format!(":{target}")),
        None => (text, String::new()),
    };
    for source in [source.to_ascii_lowercase(), source.to_ascii_uppercase()] {
        assert_eq!(topics::parse(&format!("{source}{target}")).as_ref(), Ok(&topic));
    }
    if let Topic::Events(prefix) = &topic {
        assert!(topics::has_prefix(prefix, prefix));
        let parts = prefix.strip_suffix(".*").unwrap_or(prefix);
        assert!(topics::has_prefix(&format!("{parts}.x"), prefix));
        if prefix.ends_with('.') {
            // The label of a job may end so; a prefix that somebody writes loses it.
            assert!(source.eq_ignore_ascii_case("job"), "{prefix}");
            return;
        }
    }
    let again = match &topic {
        Topic::Events(prefix) => format!("EVENTS:{prefix}"),
        Topic::Process(pid) => format!("PROCESS:{pid}"),
        Topic::Stats(Watched::Process(pid)) => format!("STATS:{pid}"),
        Topic::Stats(Watched::Job(name)) => format!("STATS:{name}"),
        Topic::Stats(Watched::All) => "STATS".to_owned(),
        Topic::Usage => "USAGE".to_owned(),
        Topic::Stream(pid, None) => format!("STREAM:{pid}"),
        Topic::Stream(pid, Some(label)) => format!("STREAM:{pid}.{label}"),
        Topic::Logs(Written::Job(name, None)) => format!("LOGS:{name}"),
        Topic::Logs(Written::Job(name, Some(number))) => format!("LOGS:{name}:{number}"),
        Topic::Logs(Written::Session(session)) => format!("LOGS:{session}"),
    };
    assert_eq!(topics::parse(&again).as_ref(), Ok(&topic), "{again}");
}

/// The fuzz target for frames of a process's channel: one that is read is written the same.
pub fn frame(data: &[u8]) {
    match frame::parse(data) {
        Ok(read) => {
            assert!(!read.id.contains([' ', '\0']) && !read.id.is_empty());
            for kind in [Kind::Message, Kind::Response, Kind::Error] {
                let written = frame::encode(kind, read.id, read.body);
                assert_eq!(frame::parse(&written), Ok(read), "{written:?}");
            }
            assert!(data.ends_with(read.body) && data.len() > read.id.len() + read.body.len());
        }
        Err(error) => assert!(error.to_string().len() < limits::LAST_LINE),
    }
}
