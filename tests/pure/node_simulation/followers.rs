//! Fake clients that follow and write: feeds of every form, websockets of processes, and requests that
//! write to standard inputs. Each knows what has to come, and fails when anything else does.

use std::collections::VecDeque;

use gaffer::base::clock::Now;
use gaffer::base::ids::{Pid, StreamNo};
use gaffer::base::random::Random;
use gaffer::node::gaffer::Gaffer;
use serde_json::Value;

use super::clients::{find, pick};
use super::sessions::Session;
use super::wire::{Got, Habit, Wire};
use super::words::{self, boundary, Track, Written};
use crate::ws_client::{self, Said};

/// What a client finds when it acts.
pub(crate) struct Scene<'a> {
    pub(crate) node: &'a mut Gaffer,
    pub(crate) random: &'a mut Random,
    pub(crate) now: Now,
    pub(crate) written: &'a Written,
    /// The number of the last event that anybody was told.
    pub(crate) last_event: &'a mut u64,
    /// Numbers the clients.
    pub(crate) number: u64,
}

impl Scene<'_> {
    pub(crate) fn written(&self, pid: Pid, stream: StreamNo) -> u64 {
        self.written.get(&(pid, stream)).copied().unwrap_or(0)
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    /// A process that runs, or one that does not.
    pub(crate) fn pid(&mut self) -> Pid {
        let live: Vec<Pid> = self.node.supervisor().live_pids().collect();
        if live.is_empty() || self.chance(10) {
            return Pid(self.random.below(40));
        }
        let count = u64::try_from(live.len()).expect("few");
        live[usize::try_from(self.random.below(count)).expect("few")]
    }

    fn habit(&mut self) -> Habit {
        match self.random.below(8) {
            0 => Habit::Dripping,
            1 | 2 => Habit::Lazy,
            3 => Habit::Deaf,
            _ => Habit::Plain,
        }
    }

    pub(crate) fn wire(&mut self) -> Option<Wire> {
        let habit = self.habit();
        Wire::connect(self.node, habit, self.now)
    }
}

/// A message to a process: whole, and in the order of its writer, or not at all.
pub(crate) fn message(writer: u64, number: u64, random: &mut Random) -> Vec<u8> {
    let length = match random.below(30) {
        0 => 500_000,
        1..=3 => 3_000,
        _ => random.below(30),
    };
    format!("{writer}.{number}:{}\n", "x".repeat(usize::try_from(length).expect("few")))
        .into_bytes()
}

/// A client that stays for a while.
pub(crate) enum Live {
    Feed(Box<Feed>),
    Process(Box<Process>),
    Writer(Box<Writer>),
    Session(Box<Session>),
}

impl Live {
    /// Connects as anything, if the node lets it.
    pub(crate) fn connect(scene: &mut Scene<'_>) -> Option<Self> {
        Some(match scene.random.below(8) {
            0 | 1 => Self::Feed(Box::new(Feed::connect(scene)?)),
            2 | 3 => Self::Process(Box::new(Process::connect(scene)?)),
            4 => Self::Writer(Box::new(Writer::connect(scene)?)),
            _ => Self::Session(Box::new(Session::connect(scene)?)),
        })
    }

    /// Does a little; whether it stays.
    pub(crate) fn act(&mut self, scene: &mut Scene<'_>) -> bool {
        if scene.chance(150) {
            self.vanish(scene);
        } else if scene.chance(300) {
            let (node, now) = (&mut *scene.node, scene.now);
            self.wires().into_iter().for_each(|wire| wire.half_close(node, now));
        }
        match self {
            Self::Feed(feed) => feed.act(scene),
            Self::Process(process) => process.act(scene),
            Self::Writer(writer) => writer.act(scene),
            Self::Session(session) => session.act(scene),
        }
        self.wires().iter().any(|wire| !wire.closed)
    }

    pub(crate) fn wires(&mut self) -> Vec<&mut Wire> {
        match self {
            Self::Feed(feed) => vec![&mut feed.wire],
            Self::Process(process) => vec![&mut process.wire],
            Self::Writer(writer) => vec![&mut writer.wire],
            Self::Session(session) => session.wires(),
        }
    }

    /// Is gone at once.
    pub(crate) fn vanish(&mut self, scene: &mut Scene<'_>) {
        let (node, now) = (&mut *scene.node, scene.now);
        self.wires().into_iter().for_each(|wire| wire.vanish(node, now));
    }

    /// From now on it reads all that comes, and asks for nothing more.
    pub(crate) fn calm(&mut self) {
        self.wires().into_iter().for_each(|wire| wire.habit = Habit::Plain);
        match self {
            Self::Feed(_) => {}
            Self::Process(process) => process.calm = true,
            Self::Writer(writer) => writer.calm = true,
            Self::Session(session) => session.calm = true,
        }
    }

    /// There was time enough: whatever it asked for is answered.
    pub(crate) fn check_answered(&self) {
        match self {
            Self::Feed(_) => {}
            Self::Process(process) => process.check_answered(),
            Self::Writer(writer) => writer.check_answered(),
            Self::Session(session) => session.check_answered(),
        }
    }
}

/// A feed.
pub(crate) struct Feed {
    wire: Wire,
    form: &'static str,
    /// Of a stream, once the request is with the node.
    output: Option<(Pid, StreamNo)>,
    from_start: bool,
    track: Option<Track>,
    /// Of all events: the number of the next.
    next: Option<u64>,
    all_events: bool,
}

impl Feed {
    fn connect(scene: &mut Scene<'_>) -> Option<Self> {
        let mut wire = scene.wire()?;
        let form = pick(scene.random, &["continuous", "continuous", "eventsource", "longpoll"]);
        let mut feed = format!("feed={form}");
        let (mut output, mut from_start, mut next, mut all_events) = (None, false, None, false);
        let path = match scene.random.below(6) {
            0 => pick(scene.random, &["/stats", "/metrics"]).to_owned(),
            1 => format!("/stats/{}", pick(scene.random, &["a/web", "b/web", "f/web"])),
            2 => {
                all_events = true;
                if *scene.last_event > 0 && scene.chance(2) {
                    feed += &format!("&since={}", scene.last_event);
                    next = Some(*scene.last_event + 1);
                }
                "/watch".to_owned()
            }
            _ => {
                let pid = scene.pid();
                let (label, stream) = pick_stream(scene);
                output = Some((pid, stream));
                // What lies further back may not be kept, and raw bytes do not tell.
                from_start = scene.written(pid, stream) < 10_000 && scene.chance(2);
                if from_start {
                    feed += "&since=0";
                }
                format!("/streams/{pid}/{label}")
            }
        };
        if output.is_none() && scene.chance(2) {
            feed += "&heartbeat=3";
        }
        wire.queue(format!("GET {path}?{feed} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        Some(Self { wire, form, output, from_start, track: None, next, all_events })
    }

    fn act(&mut self, scene: &mut Scene<'_>) {
        self.wire.send(scene.node, scene.random, scene.now);
        if let Some((pid, stream)) = self.output.filter(|_| self.wire.is_sent()) {
            let now = boundary(stream, scene.written(pid, stream));
            let at = if self.from_start { 0 } else { now };
            if self.track.is_none() && self.from_start && now > 40_000 {
                // So much was written while it asked that some of it may be lost.
                self.wire.vanish(scene.node, scene.now);
            }
            self.track.get_or_insert_with(|| Track::at(pid, stream, at));
        }
        self.wire.read(scene.node, scene.random, scene.now);
        while let Some(got) = self.wire.next() {
            match got {
                Got::Answer(status, body) => {
                    let body = String::from_utf8_lossy(&body);
                    // Metrics are told at once, and whole.
                    let whole = status == 200 && body.starts_with("# HELP gaffer_build");
                    assert!(whole || [400, 404, 408].contains(&status), "{status} {body}");
                    self.wire.vanish(scene.node, scene.now);
                }
                Got::Begun(status) => assert_eq!(status, 200),
                Got::Chunk(chunk) => self.chunk(&chunk, scene),
                Got::End(last) => {
                    let lost = last.contains("Gaffer-Lost: 0\r\n");
                    let tells = ["continuous", "longpoll"].contains(&self.form);
                    assert!(!lost || tells, "{last:?}");
                    assert!(lost || self.form != "continuous", "{last:?}");
                    if let Some(track) = self.track.as_ref().filter(|_| self.form != "longpoll") {
                        track.is_at(scene.written(track.pid, track.stream));
                    }
                    self.wire.vanish(scene.node, scene.now);
                }
                Got::Said(said) => panic!("{said:?} on a feed"),
            }
        }
    }

    fn chunk(&mut self, chunk: &[u8], scene: &mut Scene<'_>) {
        let comment = chunk.starts_with(b":") && self.form == "eventsource";
        if comment || (self.output.is_none() && chunk == b"\n") {
            return;
        }
        if self.form == "eventsource" {
            let text = std::str::from_utf8(chunk).expect("text");
            return self.server_sent(text, scene);
        }
        if let Some(track) = &mut self.track {
            return track.take(chunk);
        }
        let line = chunk.strip_suffix(b"\n").expect("a line");
        self.value(&serde_json::from_slice(line).expect("JSON"), scene);
    }

    fn server_sent(&mut self, text: &str, scene: &mut Scene<'_>) {
        let field = |name: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix(name));
            values.collect::<Vec<_>>()
        };
        let data = field("data: ").join("\n");
        let Some(track) = &mut self.track else {
            let value: Value = serde_json::from_str(&data).expect("JSON");
            if self.all_events {
                assert_eq!(field("id: "), [value["seq"].to_string()]);
            }
            return self.value(&value, scene);
        };
        if field("event: ") == ["exit"] {
            return track.is_at(scene.written(track.pid, track.stream));
        }
        let position: u64 = field("id: ")[0].parse().expect("a position");
        let told = track.told_until(position);
        assert_eq!(String::from_utf8_lossy(&told), data);
    }

    fn value(&mut self, value: &Value, scene: &mut Scene<'_>) {
        if self.all_events {
            check_next(&mut self.next, value, scene.last_event);
        } else {
            assert!(value["jobs"].is_array() || value["stats"].is_array(), "{value}");
        }
    }
}

/// All events come, one after the other.
pub(crate) fn check_next(next: &mut Option<u64>, event: &Value, last: &mut u64) {
    let seq = event["seq"].as_u64().unwrap_or_else(|| panic!("{event} has no number"));
    if let Some(next) = *next {
        assert_eq!(seq, next, "{event}");
    }
    *next = Some(seq + 1);
    *last = (*last).max(seq);
}

fn pick_stream(scene: &mut Scene<'_>) -> (&'static str, StreamNo) {
    match scene.random.below(3) {
        0 => ("err", StreamNo::STDERR),
        _ => ("out", StreamNo::STDOUT),
    }
}

/// A websocket to a process.
pub(crate) struct Process {
    wire: Wire,
    frames: bool,
    writes: bool,
    pid: Pid,
    stream: StreamNo,
    track: Option<Track>,
    number: u64,
    sent: u64,
    /// Frames without an answer, by their ids.
    asked: VecDeque<String>,
    /// It sent something that is no frame, or closes.
    over: bool,
    calm: bool,
}

impl Process {
    fn connect(scene: &mut Scene<'_>) -> Option<Self> {
        let mut wire = scene.wire()?;
        let pid = scene.pid();
        let frames = scene.chance(2);
        let (label, stream) = pick_stream(scene);
        let mode = 1 + scene.random.below(3);
        let path = if frames {
            format!("/{pid}/channel/{label}?mode={mode}")
        } else {
            format!("/wstreams/{pid}?stream={label}")
        };
        wire.queue(&ws_client::handshake(&path, "Host: x\r\n", ""));
        let (asked, number) = (VecDeque::new(), scene.number);
        let writes = !frames || mode > 1;
        let reads = !frames || mode & 1 == 1;
        let stream = if reads { stream } else { StreamNo(99) };
        let (track, sent, over, calm) = (None, 0, false, false);
        Some(Self { wire, frames, writes, pid, stream, track, number, sent, asked, over, calm })
    }

    fn act(&mut self, scene: &mut Scene<'_>) {
        self.wire.send(scene.node, scene.random, scene.now);
        if self.track.is_none() && self.wire.is_sent() {
            let at = boundary(self.stream, scene.written(self.pid, self.stream));
            self.track = Some(Track::at(self.pid, self.stream, at));
        }
        self.speak(scene);
        self.wire.read(scene.node, scene.random, scene.now);
        while let Some(got) = self.wire.next() {
            match got {
                Got::Begun(status) => assert_eq!(status, 101),
                Got::Answer(408, _) => self.wire.vanish(scene.node, scene.now),
                Got::Said(said) => self.hear(said, scene),
                Got::Answer(..) | Got::Chunk(_) | Got::End(_) => panic!("{got:?} on a websocket"),
            }
        }
    }

    fn speak(&mut self, scene: &mut Scene<'_>) {
        let busy = self.track.is_none() || !self.wire.is_sent() || self.asked.len() > 10;
        if busy || self.over || self.calm || !scene.chance(4) {
            return;
        }
        self.sent += 1;
        let body = message(self.number, self.sent, scene.random);
        if !self.frames {
            return self.wire.queue(&ws_client::frame(ws_client::BINARY, &body));
        }
        if scene.chance(100) {
            self.over = true;
            return self.wire.queue(&ws_client::frame(ws_client::TEXT, b"no frame"));
        }
        let id = format!("id-{}", self.sent);
        let body = if scene.chance(10) { b"AUTH:key".to_vec() } else { body };
        let frame = [format!("V1 message {id}\0").as_bytes(), &body].concat();
        self.wire.queue(&ws_client::frame(ws_client::TEXT, &frame));
        self.asked.push_back(id);
    }

    fn hear(&mut self, said: Said, scene: &mut Scene<'_>) {
        let bytes = match said {
            Said::Text(text) => text.into_bytes(),
            Said::Binary(bytes) => {
                assert!(std::str::from_utf8(&bytes).is_err(), "text that comes as bytes");
                bytes
            }
            Said::Ping(bytes) => {
                return self.wire.queue(&ws_client::frame(ws_client::PONG, &bytes))
            }
            Said::Pong(_) => return,
            Said::Close(code, reason) => {
                let reads = self.stream != StreamNo(99);
                if let Some(track) = self.track.as_ref().filter(|_| code == 1000 && reads) {
                    track.is_at(scene.written(self.pid, self.stream));
                }
                assert!([1000, 1001, 1007, 1008].contains(&code), "{code} {reason}");
                self.over = true;
                return self.wire.queue(&ws_client::close(code, ""));
            }
        };
        if self.frames {
            return self.hear_frame(&bytes);
        }
        let error = bytes.starts_with(b"{\"errno\": ");
        if let Some(track) = self.track.as_mut().filter(|_| !error) {
            track.take(&bytes);
        }
    }

    fn hear_frame(&mut self, bytes: &[u8]) {
        let nul = find(bytes, b"\0").expect("a NUL");
        let (head, body) = (&bytes[..nul], &bytes[nul + 1..]);
        let words: Vec<&str> = std::str::from_utf8(head).expect("text").split(' ').collect();
        let ["V1", kind, id] = words[..] else { panic!("{words:?} is no head") };
        match (kind, id) {
            ("message", _) => self.track.as_mut().expect("it is open").take(body),
            ("error", "gaffer_error") | ("response", "gaffer_exit") => self.over = true,
            _ => {
                assert_eq!(self.asked.pop_front().as_deref(), Some(id), "in order");
                let unwritable = kind == "error";
                assert!(self.writes || unwritable || body == b"OK");
            }
        }
    }

    fn check_answered(&self) {
        if !self.over && !self.wire.closed {
            assert!(self.asked.is_empty(), "{:?} wait for process {}", self.asked, self.pid);
        }
    }
}

/// Requests that write to a process.
pub(crate) struct Writer {
    wire: Wire,
    pid: Pid,
    number: u64,
    sent: u64,
    answered: u64,
    calm: bool,
}

impl Writer {
    fn connect(scene: &mut Scene<'_>) -> Option<Self> {
        let (wire, pid, number) = (scene.wire()?, scene.pid(), scene.number);
        Some(Self { wire, pid, number, sent: 0, answered: 0, calm: false })
    }

    fn act(&mut self, scene: &mut Scene<'_>) {
        if self.wire.is_sent() && self.sent < self.answered + 4 && !self.calm && scene.chance(3) {
            self.sent += 1;
            let body = message(self.number, self.sent, scene.random);
            let close = if scene.chance(60) { "?close=1" } else { "" };
            let label = pick(scene.random, &["stdin", "stdin", "out", "c"]);
            let (pid, length) = (self.pid, body.len());
            let head = format!("POST /streams/{pid}/{label}{close} HTTP/1.1\r\nHost: x\r\n");
            let head = format!("{head}Content-Length: {length}\r\n\r\n");
            self.wire.queue(&[head.as_bytes(), &body].concat());
        }
        self.wire.send(scene.node, scene.random, scene.now);
        self.wire.read(scene.node, scene.random, scene.now);
        while let Some(got) = self.wire.next() {
            let Got::Answer(status, body) = got else { panic!("{got:?} to a writer") };
            let body = String::from_utf8_lossy(&body);
            assert!([200, 403, 404, 409, 400, 408].contains(&status), "{status} {body}");
            self.answered += u64::from(status != 408);
            assert!(self.answered <= self.sent, "an answer that nobody asked for");
        }
    }

    fn check_answered(&self) {
        if self.wire.is_sent() && !self.wire.closed {
            assert_eq!(self.answered, self.sent, "writers of process {} wait", self.pid);
        }
    }
}

impl Track {
    /// What it has been told when it is told to be there: all between.
    fn told_until(&mut self, position: u64) -> Vec<u8> {
        let from = self.only();
        assert!(position > from, "from {from} to {position}");
        *self = Self::at(self.pid, self.stream, position);
        words::bytes(self.stream, from, position)
    }
}
