//! Connections that follow one thing each: events, statistics or the output of a process, as chunks
//! for curl, as server-sent events for browsers, or over a websocket of their own. What they follow is
//! queued for each of them, bounded, and moves on as the connection has room.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{json, Value};

use super::history::Record;
use super::topics::{has_prefix, Watched};
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, Pid, StreamNo};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;
use crate::front::clients::Clients;
use crate::front::conn::Conn;
use crate::front::live::Say;
use crate::front::outbox::{Next, Outbox, Piece, Weight};
use crate::wire::frame::{self, Kind};
use crate::wire::{json, sse};

/// What a connection follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Events whose name begins so.
    Events(String),
    /// Statistics, so often.
    Stats(Watched, Duration),
    /// A stream of a process.
    Output(Channel),
    /// Nothing: it only writes.
    Nothing,
}

/// A stream of a process, as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Whose.
    pub id: InstanceId,
    /// Which run.
    pub pid: Pid,
    /// Which.
    pub stream: StreamNo,
    /// Its name there.
    pub label: String,
}

/// How it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One chunk after the other.
    Continuous,
    /// The first one, and no more.
    Longpoll,
    /// Server-sent events.
    EventSource,
    /// A websocket without framing of ours.
    Socket,
    /// A websocket of `V1` frames.
    Frames,
}

impl Form {
    /// Whether it is a websocket.
    pub fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::Frames)
    }
}

/// A connection that follows something.
pub struct Feed {
    /// What.
    pub source: Source,
    /// How it comes.
    pub form: Form,
    outbox: Outbox<Part>,
    /// What was lost of it so far: bytes of a stream, or messages.
    lost: u64,
    /// And how much of that was dropped here.
    dropped: u64,
    heartbeat: Option<Duration>,
    /// Nothing more comes; with what it ends.
    end: Option<End>,
    /// Numbers its frames.
    frames: u64,
}

/// A part of what is followed, as it goes out.
struct Part {
    bytes: Rc<[u8]>,
    /// How much is lost with it: of a stream its own bytes, whatever they are wrapped in.
    lost: u64,
}

impl Weight for Part {
    fn weight(&self) -> usize {
        self.bytes.len()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// The end of what was followed.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The code with which a websocket is closed.
    pub code: u16,
    /// Why, for people.
    pub reason: String,
    /// What a process ended with.
    pub exit: Value,
}

/// All of them.
#[derive(Default)]
pub struct Feeds {
    feeds: SortedMap<ConnId, Feed>,
    outputs: SortedMap<Pid, SortedSet<ConnId>>,
    events: SortedSet<ConnId>,
    heartbeats: Timers<ConnId>,
    /// What was dropped of feeds that are over.
    lost: Lost,
}

/// What was dropped because its readers did not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Of feeds of output, in bytes,
    pub bytes: u64,
    /// and of others.
    pub messages: u64,
}

impl Lost {
    fn add(&mut self, feed: &Feed) {
        match feed.source {
            Source::Output(_) => self.bytes += feed.dropped,
            Source::Events(_) | Source::Stats(..) | Source::Nothing => {
                self.messages += feed.dropped;
            }
        }
    }
}

impl Feeds {
    /// Begins to follow. The connection has become a stream or a websocket.
    pub fn add(
        &mut self,
        conn: ConnId,
        (source, form): (Source, Form),
        heartbeat: Option<Duration>,
        now: Now,
    ) {
        match &source {
            Source::Events(_) => drop(self.events.insert(conn)),
            Source::Output(channel) => {
                self.outputs.entry(channel.pid).or_default().insert(conn);
            }
            Source::Stats(..) | Source::Nothing => {}
        }
        if let Some(every) = heartbeat {
            self.heartbeats.set(conn, now.mono + every);
        }
        let outbox = Outbox::new(limits::READER_QUEUE);
        let feed =
            Feed { source, form, outbox, lost: 0, dropped: 0, heartbeat, end: None, frames: 0 };
        self.feeds.insert(conn, feed);
    }

    /// A feed that followed nothing follows a stream from now on.
    pub fn listen(&mut self, conn: ConnId, to: Channel) {
        let Some(feed) = self.feeds.get_mut(&conn) else { return };
        self.outputs.entry(to.pid).or_default().insert(conn);
        feed.source = Source::Output(to);
    }

    /// Follows no more; what it followed is told, for whoever measures for it.
    pub fn remove(&mut self, conn: ConnId) -> Option<Feed> {
        let feed = self.feeds.remove(&conn)?;
        self.heartbeats.cancel(conn);
        self.events.remove(&conn);
        self.lost.add(&feed);
        if let Source::Output(channel) = &feed.source {
            if let Some(followers) = self.outputs.get_mut(&channel.pid) {
                followers.remove(&conn);
                if followers.is_empty() {
                    self.outputs.remove(&channel.pid);
                }
            }
        }
        Some(feed)
    }

    /// The feed of a connection.
    pub fn get(&self, conn: ConnId) -> Option<&Feed> {
        self.feeds.get(&conn)
    }

    /// Whether anybody follows the output of a process here.
    pub fn follows_output(&self, pid: Pid) -> bool {
        self.outputs.contains_key(&pid)
    }

    /// Tells an event to the feeds that follow it; gives those.
    pub fn event(&mut self, record: &Record) -> Vec<ConnId> {
        let mut told = Vec::new();
        for conn in &self.events {
            let Some(feed) = self.feeds.get_mut(conn) else { continue };
            let before = feed.outbox.bytes();
            feed.record(record, 0);
            if feed.outbox.bytes() != before {
                told.push(*conn);
            }
        }
        told
    }

    /// Tells a feed what it missed, of which so many are lost.
    pub fn catch_up(
        &mut self,
        conn: ConnId,
        (records, after, lost): (impl Iterator<Item = Record>, u64, u64),
    ) {
        let Some(feed) = self.feeds.get_mut(&conn) else { return };
        feed.lose(lost);
        for record in records {
            feed.record(&record, after);
        }
    }

    /// Tells what a process wrote, which ends at this position of the stream; gives those told.
    pub fn output(
        &mut self,
        (pid, stream): (Pid, StreamNo),
        bytes: &[u8],
        position: u64,
    ) -> Vec<ConnId> {
        let Some(followers) = self.outputs.get(&pid) else { return Vec::new() };
        let raw: Rc<[u8]> = bytes.into();
        let mut told = Vec::new();
        for conn in followers {
            let Some(feed) = self.feeds.get_mut(conn) else { continue };
            if !matches!(&feed.source, Source::Output(channel) if channel.stream == stream) {
                continue;
            }
            feed.output(&raw, position);
            told.push(*conn);
        }
        told
    }

    /// Tells a feed what was kept of the stream it follows, and how much of it was not.
    pub fn recall(&mut self, conn: ConnId, bytes: &[u8], position: u64, lost: u64) {
        let Some(feed) = self.feeds.get_mut(&conn) else { return };
        feed.lose(lost);
        if !bytes.is_empty() {
            feed.output(&bytes.into(), position);
        }
    }

    /// Tells a feed a value as a line.
    pub fn value(&mut self, conn: ConnId, value: &impl Serialize) {
        let Some(feed) = self.feeds.get_mut(&conn) else { return };
        let text = json::text(value);
        feed.line(&text, None);
    }

    /// Answers on a websocket: to a frame of this id, where it speaks in frames.
    pub fn reply(&mut self, conn: ConnId, kind: Kind, id: &str, body: &str) {
        let Some(feed) = self.feeds.get_mut(&conn) else { return };
        let bytes = match feed.form {
            Form::Frames => frame::encode(kind, id, body.as_bytes()),
            Form::Socket if kind == Kind::Error => body.as_bytes().to_vec(),
            Form::Socket | Form::Continuous | Form::Longpoll | Form::EventSource => return,
        };
        let part = Part { bytes: bytes.into(), lost: 0 };
        if feed.outbox.push(Piece::Reply(part.into())).is_err() {
            feed.end = Some(End::because(1008, "too many answers are waiting to be read"));
        }
    }

    /// What was followed is over. What is queued is still sent.
    pub fn end(&mut self, conn: ConnId, end: End) {
        if let Some(feed) = self.feeds.get_mut(&conn) {
            feed.end.get_or_insert(end);
        }
    }

    /// Whether there are any who follow a process.
    pub fn follow(&self, pid: Pid) -> bool {
        self.outputs.get(&pid).is_some_and(|conns| !conns.is_empty())
    }

    /// Those who follow a process.
    pub fn of_process(&self, pid: Pid) -> Vec<ConnId> {
        self.outputs.get(&pid).into_iter().flatten().copied().collect()
    }

    /// All of them.
    pub fn conns(&self) -> Vec<ConnId> {
        self.feeds.keys().copied().collect()
    }

    /// Moves what is queued into the connection, as far as it has room; whether it is over.
    pub fn flush(&mut self, conn: ConnId, clients: &mut Clients, now: Now) -> bool {
        let Some(feed) = self.feeds.get_mut(&conn) else { return false };
        clients.change(conn, |conn| feed.flush(conn, now)).unwrap_or(true)
    }

    /// Lets time pass: gives the feeds whose heartbeat was due, which have got it.
    pub fn on_time(&mut self, clients: &mut Clients, now: Now) {
        while let Some(conn) = self.heartbeats.pop_due(now.mono) {
            let Some(feed) = self.feeds.get(&conn) else { continue };
            if let Some(every) = feed.heartbeat {
                self.heartbeats.set(conn, now.mono + every);
            }
            let beat: &[u8] = if feed.form == Form::EventSource { b":\n\n" } else { b"\n" };
            clients.change(conn, |conn| {
                if conn.has_room() && conn.owed().is_empty() {
                    conn.stream(&[beat], now);
                }
            });
        }
    }

    /// When the next heartbeat is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.heartbeats.next()
    }

    /// How many feeds there are, and how many bytes wait in them.
    pub fn counts(&self) -> (usize, usize) {
        (self.feeds.len(), self.feeds.values().map(|feed| feed.outbox.bytes()).sum())
    }

    /// What was ever dropped because its readers did not keep up.
    pub fn lost(&self) -> Lost {
        let mut lost = self.lost;
        self.feeds.values().for_each(|feed| lost.add(feed));
        lost
    }

    /// Checks that every index leads to a feed.
    ///
    /// # Errors
    /// The first that does not, in words.
    pub fn sweep(&self, clients: &Clients) -> Result<(), String> {
        let indexed = self.outputs.values().flatten().chain(&self.events);
        if let Some(conn) = indexed.clone().find(|conn| !self.feeds.contains_key(conn)) {
            return Err(format!("{conn:?} is indexed and has no feed"));
        }
        for (conn, feed) in &self.feeds {
            let Some(client) = clients.get(*conn) else {
                return Err(format!("the feed of {conn:?} outlives its connection"));
            };
            if feed.outbox.bytes() > limits::READER_QUEUE {
                return Err(format!("too much waits for {conn:?}"));
            }
            if client.conn.has_room() && !(feed.outbox.is_empty() && feed.end.is_none()) {
                return Err(format!("{conn:?} has room for what waits for it"));
            }
            if feed.heartbeat.is_some() != self.heartbeats.due_at(*conn).is_some() {
                return Err(format!("the heart of {conn:?} does not beat, or in vain"));
            }
        }
        let beating = self.feeds.values().filter(|feed| feed.heartbeat.is_some()).count();
        if beating == self.heartbeats.len() {
            Ok(())
        } else {
            Err("a heart beats for nobody".into())
        }
    }
}

impl Feed {
    fn record(&mut self, record: &Record, after: u64) {
        for told in record.messages() {
            let fits =
                matches!(&self.source, Source::Events(prefix) if has_prefix(told.name, prefix));
            if fits && told.seq > after {
                let text = format!("{{{}}}", told.members());
                self.line(&text, Some(&told.seq.to_string()));
            }
        }
    }

    /// Queues a JSON text: a line, or an event of its own.
    fn line(&mut self, text: &str, id: Option<&str>) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        if self.form == Form::EventSource {
            sse::event(None, id, text, &mut bytes);
        } else {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
        self.push(bytes.into(), 1);
    }

    fn output(&mut self, raw: &Rc<[u8]>, position: u64) {
        let Source::Output(channel) = &self.source else { return };
        let bytes = match self.form {
            Form::Continuous | Form::Longpoll | Form::Socket => Rc::clone(raw),
            Form::EventSource => {
                let mut bytes = Vec::with_capacity(raw.len() + 64);
                let (label, id) = (Some(channel.label.as_str()), position.to_string());
                sse::event(label, Some(&id), &String::from_utf8_lossy(raw), &mut bytes);
                bytes.into()
            }
            Form::Frames => {
                self.frames += 1;
                frame::encode(Kind::Message, &self.frames.to_string(), raw).into()
            }
        };
        self.push(bytes, u64::try_from(raw.len()).unwrap_or(u64::MAX));
    }

    /// One topic is all that a feed has, so its name tells nothing.
    fn push(&mut self, bytes: Rc<[u8]>, lost: u64) {
        if self.end.is_none() {
            let part = Part { bytes, lost }.into();
            self.dropped += self.outbox.push(Piece::Published("".into(), part)).unwrap_or(0);
        }
    }

    fn lose(&mut self, lost: u64) {
        self.outbox.lose(&"".into(), lost);
    }

    fn flush(&mut self, conn: &mut Conn, now: Now) -> bool {
        if !conn.is_live() {
            return true;
        }
        while conn.has_room() {
            match self.outbox.pop() {
                Some(Next::Text(part)) if self.form == Form::Longpoll => {
                    self.send(&self.with_loss(&part.bytes), conn, now);
                    conn.end_stream(now);
                    return true;
                }
                Some(Next::Text(part)) => self.send(&part.bytes, conn, now),
                Some(Next::Lagged(_, lost)) => self.tell_lost(lost, conn, now),
                None => {
                    return match self.end.take() {
                        Some(end) => {
                            self.say_end(&end, conn, now);
                            true
                        }
                        None => false,
                    };
                }
            }
        }
        false
    }

    /// The one thing that a client waits for, with how much it lost before that: it is one JSON value and no
    /// more, so that is a member of it. Raw bytes have no place for it.
    fn with_loss<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match bytes.strip_prefix(b"{") {
            Some(members) if self.lost > 0 && !matches!(self.source, Source::Output(_)) => {
                let mut all = format!("{{\"lost\": {}, ", self.lost).into_bytes();
                all.extend_from_slice(members);
                all.into()
            }
            Some(_) | None => bytes.into(),
        }
    }

    fn send(&self, bytes: &[u8], conn: &mut Conn, now: Now) {
        match self.form {
            Form::Continuous | Form::Longpoll | Form::EventSource => conn.stream(&[bytes], now),
            Form::Socket | Form::Frames => say(bytes, conn, now),
        }
    }

    /// Tells that something is missing here, in the way of its form. Raw bytes have no place for it:
    /// there the count comes with the end.
    fn tell_lost(&mut self, lost: u64, conn: &mut Conn, now: Now) {
        self.lost = self.lost.saturating_add(lost);
        match self.form {
            Form::EventSource => {
                let mut bytes = Vec::new();
                let of_stream = matches!(self.source, Source::Output(_));
                let unit = if of_stream { "bytes" } else { "messages" };
                sse::comment(&format!("lagged: {lost} {unit} lost"), &mut bytes);
                conn.stream(&[&bytes], now);
            }
            Form::Frames => {
                let body = json::text(&json!({"error": "lagged", "lost": lost}));
                let bytes = frame::encode(Kind::Error, "gaffer_lagged", body.as_bytes());
                say(&bytes, conn, now);
            }
            Form::Continuous if !matches!(self.source, Source::Output(_)) => {
                let line = json::text(&json!({"event": "gaffer:lagged", "lost": lost})) + "\n";
                conn.stream(&[line.as_bytes()], now);
            }
            Form::Continuous | Form::Longpoll | Form::Socket => {}
        }
    }

    fn say_end(&mut self, end: &End, conn: &mut Conn, now: Now) {
        match self.form {
            Form::Continuous | Form::Longpoll => {
                conn.end_stream_with(&[(LOST_FIELD, self.lost.to_string())], now);
            }
            Form::EventSource => {
                let mut bytes = Vec::new();
                if !end.exit.is_null() {
                    sse::event(Some("exit"), None, &json::text(&end.exit), &mut bytes);
                }
                conn.stream(&[&bytes], now);
                conn.end_stream(now);
            }
            Form::Frames => {
                if !end.exit.is_null() {
                    let body = json::text(&end.exit);
                    let bytes = frame::encode(Kind::Response, "gaffer_exit", body.as_bytes());
                    say(&bytes, conn, now);
                }
                conn.say(Say::Close(end.code, &end.reason), now);
            }
            Form::Socket => {
                let lost = match self.lost {
                    0 => String::new(),
                    lost => format!(" ({lost} bytes lost)"),
                };
                conn.say(Say::Close(end.code, &(end.reason.clone() + &lost)), now);
            }
        }
    }
}

/// The trailer field that tells how much a continuous feed has lost.
pub const LOST_FIELD: &str = "Gaffer-Lost";

/// Text where it is text, else bytes.
fn say(bytes: &[u8], conn: &mut Conn, now: Now) {
    match std::str::from_utf8(bytes) {
        Ok(text) => conn.say(Say::Text(text), now),
        Err(_) => conn.say(Say::Binary(bytes), now),
    }
}

impl End {
    /// An end that is no process's.
    pub fn because(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), exit: Value::Null }
    }
}
