//! Fake clients of the channel, over a plain websocket and over every way of SockJS without another
//! origin. They subscribe and end subscriptions at random, give commands, and know what has to come:
//! each answer in order, each event of what they follow once and in order, or how many were lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gaffer::base::ids::{Pid, StreamNo};
use serde_json::{json, Value};

use super::clients::pick;
use super::followers::{check_next, message, Scene};
use super::wire::{Got, Wire};
use super::words::{boundary, Track};
use crate::ws_client::{self, Said};

/// How it talks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Raw,
    Socket,
    Poll,
    Streaming,
    EventSource,
}

/// An answer that is due.
#[derive(Debug, PartialEq)]
enum Due {
    Subscribed { topic: String, since: Option<u64>, written: u64, lagged: bool },
    Unsubscribed(String),
    Command(u64),
    Error,
}

/// A topic that it follows.
#[derive(Default)]
struct Followed {
    count: u32,
    /// Of all events: the number of the next.
    next: Option<u64>,
    track: Option<Track>,
}

/// One client's session.
pub(crate) struct Session {
    way: Way,
    path: String,
    main: Wire,
    /// What it sends by requests of their own.
    sender: Option<Wire>,
    /// Requests to send messages without an answer.
    sending: usize,
    /// A request to receive is under way.
    receiving: bool,
    open: bool,
    over: bool,
    due: VecDeque<Due>,
    /// Commands whose answers come when they come.
    measured: BTreeSet<u64>,
    followed: BTreeMap<String, Followed>,
    last_id: u64,
    number: u64,
    sent: u64,
    pub(crate) calm: bool,
}

impl Session {
    pub(crate) fn connect(scene: &mut Scene<'_>) -> Option<Self> {
        let mut main = scene.wire()?;
        let ways = [Way::Raw, Way::Raw, Way::Socket, Way::Poll, Way::Streaming, Way::EventSource];
        let way = ways[usize::try_from(scene.random.below(6)).expect("few")];
        let by_requests = matches!(way, Way::Poll | Way::Streaming | Way::EventSource);
        let sender = if by_requests { Some(scene.wire()?) } else { None };
        let path = format!("/channel/000/s{}", scene.number);
        match way {
            Way::Raw => main.queue(&ws_client::handshake("/channel/websocket", "Host: x\r\n", "")),
            Way::Socket => {
                let path = format!("{path}/websocket");
                main.queue(&ws_client::handshake(&path, "Host: x\r\n", ""));
            }
            Way::Poll | Way::Streaming | Way::EventSource => {}
        }
        Some(Self {
            way,
            path,
            main,
            sender,
            sending: 0,
            receiving: false,
            open: false,
            over: false,
            due: VecDeque::new(),
            measured: BTreeSet::new(),
            followed: BTreeMap::new(),
            last_id: 0,
            number: scene.number,
            sent: 0,
            calm: false,
        })
    }

    pub(crate) fn wires(&mut self) -> Vec<&mut Wire> {
        std::iter::once(&mut self.main).chain(self.sender.as_mut()).collect()
    }

    pub(crate) fn check_answered(&self) {
        let closed = self.main.closed || self.sender.as_ref().is_some_and(|wire| wire.closed);
        if self.open && !self.over && !closed {
            let (way, due, measured) = (self.way, &self.due, &self.measured);
            assert!(due.is_empty() && measured.is_empty(), "{way:?}: {due:?} {measured:?}");
        }
    }

    pub(crate) fn act(&mut self, scene: &mut Scene<'_>) {
        if self.over && self.is_quiet() {
            let (node, now) = (&mut *scene.node, scene.now);
            return self.wires().into_iter().for_each(|wire| wire.vanish(node, now));
        }
        self.ask_to_receive();
        if self.open && !self.over && !self.calm && self.may_send() && scene.chance(4) {
            self.speak(scene);
        }
        let (random, now) = (&mut *scene.random, scene.now);
        for wire in std::iter::once(&mut self.main).chain(self.sender.as_mut()) {
            wire.send(scene.node, random, now);
            wire.read(scene.node, random, now);
        }
        while let Some(got) = self.main.next() {
            self.receive(got, scene);
        }
        while let Some(got) = self.sender.as_mut().and_then(Wire::next) {
            let Got::Answer(status, body) = got else { panic!("{got:?} to a sender") };
            // Its session may have ended meanwhile, and be forgotten.
            let known = [204, 404, 408].contains(&status);
            assert!(known, "{status} {}", String::from_utf8_lossy(&body));
            self.over |= status == 404;
            self.sending -= usize::from(status != 408);
        }
    }

    /// Nothing more comes that it waits for.
    fn is_quiet(&self) -> bool {
        matches!(self.way, Way::Raw | Way::Socket) || !self.receiving
    }

    fn ask_to_receive(&mut self) {
        if self.receiving || self.over || !self.main.is_sent() {
            return;
        }
        let (method, transport) = match self.way {
            Way::Raw | Way::Socket => return,
            Way::Poll => ("POST", "xhr"),
            Way::Streaming => ("POST", "xhr_streaming"),
            Way::EventSource => ("GET", "eventsource"),
        };
        let path = &self.path;
        let head = format!("{method} {path}/{transport} HTTP/1.1\r\nHost: x\r\n");
        self.main.queue(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
        self.receiving = true;
    }

    fn may_send(&self) -> bool {
        match &self.sender {
            Some(sender) => self.sending == 0 && sender.is_sent() && !sender.closed,
            None => self.main.is_sent(),
        }
    }

    fn say(&mut self, text: &str) {
        match self.way {
            Way::Raw => self.main.queue(&ws_client::frame(ws_client::TEXT, text.as_bytes())),
            Way::Socket => {
                let array = json!([text]).to_string();
                self.main.queue(&ws_client::frame(ws_client::TEXT, array.as_bytes()));
            }
            Way::Poll | Way::Streaming | Way::EventSource => {
                let (body, path) = (json!([text]).to_string(), &self.path);
                let head = format!("POST {path}/xhr_send HTTP/1.1\r\nHost: x\r\n");
                let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                let sender = self.sender.as_mut().expect("it sends by requests");
                sender.queue(whole.as_bytes());
                self.sending += 1;
            }
        }
    }

    fn speak(&mut self, scene: &mut Scene<'_>) {
        match scene.random.below(20) {
            0..=6 => self.subscribe(scene),
            7..=10 => {
                let known: Vec<&String> = self.followed.keys().collect();
                let count = u64::try_from(known.len()).expect("few");
                let at = usize::try_from(scene.random.below(count)).expect("few");
                let topic = known.get(at).map_or("EVENTS:none", |topic| topic.as_str()).to_owned();
                self.say(&json!({"event": "UNSUB", "data": {"topic": topic}}).to_string());
                self.due.push_back(Due::Unsubscribed(topic));
            }
            11 => self.say(r#"{"event": "NOP"}"#),
            12 => self.say("AUTH:key"),
            13 => {
                self.say(pick(scene.random, &["{", "[]", "{}", r#"{"event": "CMD", "data": {}}"#]));
                self.due.push_back(Due::Error);
            }
            _ => self.command(scene),
        }
    }

    fn command(&mut self, scene: &mut Scene<'_>) {
        self.last_id += 1;
        let job = pick(scene.random, &["a.web", "a.work", "b.web", "f.web", "c.nothing"]);
        let pid = scene.pid().0;
        let names = ["jobs", "pids", "info", "scale", "stats", "process_info", "send", "send"];
        let name = pick(scene.random, &names);
        let args = match name {
            "jobs" | "pids" => json!([]),
            "info" | "stats" => json!([job]),
            "scale" => json!([job, pick(scene.random, &["+1", "-1", "=2", "x"])]),
            "process_info" => json!([pid]),
            _ => {
                self.sent += 1;
                let body = message(self.number, self.sent, scene.random);
                json!([pid, String::from_utf8(body).expect("text")])
            }
        };
        let data = json!({"identity": self.last_id, "name": name, "args": args});
        self.say(&json!({"event": "CMD", "data": data}).to_string());
        if name == "stats" {
            self.measured.insert(self.last_id);
        } else {
            self.due.push_back(Due::Command(self.last_id));
        }
    }

    fn subscribe(&mut self, scene: &mut Scene<'_>) {
        let pid = scene.pid();
        let mut data = match scene.random.below(10) {
            0..=2 => json!({"topic": "EVENTS"}),
            3 => {
                json!({"topic": pick(scene.random, &["EVENTS:job.a", "events:spawn", "JOB:f.web"])})
            }
            4 => json!({"topic": format!("PROCESS:{pid}")}),
            5 => json!({"topic": format!("STATS:{pid}"), "interval": 0.5}),
            6 => json!({"topic": "STATS:f.web"}),
            7 => json!({"topic": "nonsense"}),
            8 => json!({"topic": "USAGE", "interval": 0.7}),
            _ => json!({"topic": format!("STREAM:{pid}")}),
        };
        let topic = data["topic"].as_str().expect("text").to_owned();
        let asked = |due: &Due| match due {
            Due::Subscribed { topic: other, .. } | Due::Unsubscribed(other) => *other == topic,
            Due::Command(_) | Due::Error => false,
        };
        let fresh = !self.followed.contains_key(&topic) && !self.due.iter().any(asked);
        let since = Some(*scene.last_event).filter(|last| fresh && topic == "EVENTS" && *last > 0);
        if let Some(since) = since {
            data["since"] = json!(since);
        }
        let written = boundary(StreamNo::STDOUT, scene.written(pid, StreamNo::STDOUT));
        self.say(&json!({"event": "SUB", "data": data}).to_string());
        self.due.push_back(Due::Subscribed { topic, since, written, lagged: false });
    }

    fn receive(&mut self, got: Got, scene: &mut Scene<'_>) {
        match got {
            Got::Begun(101) => self.open = self.way == Way::Raw,
            Got::Begun(_) => {}
            Got::Answer(status, body) => {
                self.receiving = false;
                let text = String::from_utf8(body).expect("text");
                if status == 404 || status == 408 || status == 503 {
                    self.over = true;
                    return;
                }
                assert_eq!(status, 200, "{text}");
                self.frame(text.trim_end(), scene);
            }
            Got::Chunk(chunk) => {
                let text = String::from_utf8(chunk).expect("text");
                for line in text.split(['\r', '\n']) {
                    self.frame(line.strip_prefix("data: ").unwrap_or(line), scene);
                }
            }
            Got::End(_) => self.receiving = false,
            Got::Said(Said::Text(text)) if self.way == Way::Raw => self.hear(&text, scene),
            Got::Said(Said::Text(text)) => self.frame(&text, scene),
            Got::Said(Said::Ping(bytes)) => {
                self.main.queue(&ws_client::frame(ws_client::PONG, &bytes));
            }
            Got::Said(Said::Pong(_)) => {}
            Got::Said(Said::Binary(bytes)) => panic!("{bytes:?}"),
            Got::Said(Said::Close(code, _)) => {
                self.over = true;
                self.main.queue(&ws_client::close(code, ""));
            }
        }
    }

    /// A frame of SockJS.
    fn frame(&mut self, frame: &str, scene: &mut Scene<'_>) {
        let mut rest = frame.chars();
        match rest.next() {
            None | Some('h') => {}
            // Time went by between two of its requests, and its name leads to another session.
            Some('o') if self.open => self.over = true,
            Some('o') => self.open = true,
            Some('a') => {
                let texts: Vec<String> = serde_json::from_str(rest.as_str()).expect("an array");
                texts.iter().for_each(|text| self.hear(text, scene));
            }
            Some('c') => self.over = true,
            Some(_) => panic!("{frame:?} is no frame"),
        }
    }

    fn hear(&mut self, text: &str, scene: &mut Scene<'_>) {
        let message: Value = serde_json::from_str(text).expect("JSON");
        let topic = message["topic"].as_str().unwrap_or_default();
        match message["event"].as_str().expect("an event") {
            "gaffer:event" => self.told(&message["data"], scene),
            "gaffer:lagged" => {
                let lost = message["data"]["lost"].as_u64().expect("a number");
                self.missed(topic, lost, scene);
            }
            "gaffer:error" => assert_eq!(self.due.pop_front(), Some(Due::Error), "{text}"),
            "gaffer:subscription_success" => match self.due.pop_front() {
                Some(Due::Unsubscribed(known)) if known == topic => {
                    if let Some(followed) = self.followed.get_mut(topic) {
                        followed.count -= 1;
                    }
                    self.followed.retain(|_, followed| followed.count > 0);
                }
                Some(due @ Due::Subscribed { .. }) => self.subscribed(topic, due, scene),
                due => panic!("{text}, but {due:?} was due"),
            },
            "gaffer:subscription_error" => {
                let due = self.due.pop_front();
                let fits = matches!(&due, Some(Due::Subscribed { topic: t, .. }) if t == topic);
                assert!(fits, "{text}, but {due:?} was due");
            }
            _ => {
                let id = message["data"]["id"].as_u64().expect("an id");
                if !self.measured.remove(&id) {
                    assert_eq!(self.due.pop_front(), Some(Due::Command(id)), "{text}");
                }
            }
        }
    }

    fn subscribed(&mut self, topic: &str, due: Due, scene: &mut Scene<'_>) {
        let Due::Subscribed { topic: known, since, written, lagged } = due else { return };
        assert_eq!(known, topic);
        let followed = self.followed.entry(topic.to_owned()).or_default();
        followed.count += 1;
        if followed.count > 1 {
            return;
        }
        followed.next = since.map(|since| since + 1).filter(|_| !lagged);
        if let Some(pid) = topic.strip_prefix("STREAM:") {
            let pid = Pid(pid.parse().expect("a number"));
            let now = scene.written(pid, StreamNo::STDOUT);
            followed.track = Some(Track::from(pid, StreamNo::STDOUT, written, now));
        }
    }

    /// A part of a topic came.
    fn told(&mut self, data: &Value, scene: &mut Scene<'_>) {
        let topic = data["topic"].as_str().expect("a topic");
        let Some(followed) = self.followed.get_mut(topic) else {
            panic!("{topic} is not followed")
        };
        let event = data["event"].as_str().expect("a name");
        let (source, target) = topic.split_once(':').unwrap_or((topic, ""));
        match source {
            "EVENTS" if target.is_empty() => {
                check_next(&mut followed.next, data, scene.last_event);
            }
            "EVENTS" | "events" => assert!(event.starts_with(target), "{event} in {topic}"),
            "JOB" => assert!(event.starts_with(&format!("job.{target}.")), "{event} in {topic}"),
            "PROCESS" => assert!(event.starts_with(&format!("proc.{target}."))),
            "STATS" => assert_eq!(event, "stat"),
            "USAGE" => assert_eq!(event, "usage"),
            _ => {
                assert_eq!(event, "out");
                let text = data["data"].as_str().expect("text");
                // The beginning of a character, at the end of its process.
                let whole = text.trim_end_matches('\u{fffd}');
                followed.track.as_mut().expect("a stream").take(whole.as_bytes());
            }
        }
    }

    /// So many messages of a topic are lost.
    fn missed(&mut self, topic: &str, lost: u64, scene: &mut Scene<'_>) {
        let mut pending = false;
        for due in &mut self.due {
            if let Due::Subscribed { topic: known, lagged, .. } = due {
                if known == topic {
                    *lagged = true;
                    pending = true;
                }
            }
        }
        let Some(followed) = self.followed.get_mut(topic) else {
            assert!(pending, "{lost} of {topic} are lost, which is not followed");
            return;
        };
        if let Some(next) = &mut followed.next {
            *next += lost;
        }
        if let Some(track) = &mut followed.track {
            track.lose(scene.written(track.pid, track.stream));
        }
    }
}
