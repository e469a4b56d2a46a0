//! Clients that follow: how a request becomes a feed, how what happens reaches the feeds, and how a
//! process's websocket is served.

use std::rc::Rc;

use serde_json::{json, Value};

use super::admission::Guest;
use super::ctx::{Follow, Opening, Writing};
use super::feeds::{Channel, End, Form, Source, LOST_FIELD};
use super::gaffer::Gaffer;
use super::keys::caller::Caller;
use super::keys::door::Refused;
use super::permission::World;
use super::streams::{self, NoStream};
use super::watches::Watcher;
use super::writers::Writer;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, Pid, StreamNo};
use crate::base::limits;
use crate::front::refusals::no_handshake;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::supervisor::hearer::Hearer;
use crate::wire::frame::{self, Kind};
use crate::wire::json;
use crate::wire::ws::{self, Heard};

/// Where the bytes of a websocket to a process go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inlet {
    to: Option<(InstanceId, StreamNo)>,
    pid: Pid,
    form: Form,
}

/// Why a websocket to a process opens nothing.
enum SocketFault {
    /// There is nothing.
    None(NoStream),
    /// Its client may not.
    Forbidden,
}

impl Gaffer {
    /// Makes a feed of a request.
    pub(super) fn follow(
        &mut self,
        conn: ConnId,
        follow: Follow,
        caller: Option<Rc<Caller>>,
        now: Now,
    ) {
        let Follow { source, form, heartbeat, since } = follow;
        let head = feed_head(&source, form);
        if !self.begin_answer(conn, head, None, now) {
            return;
        }
        self.begin_feed(conn, source, form, (heartbeat, since), now);
        self.guests.come(Guest::Conn(conn), caller, now);
        self.flush_feed(conn, now);
    }

    fn begin_feed(
        &mut self,
        conn: ConnId,
        source: Source,
        form: Form,
        (heartbeat, since): (Option<std::time::Duration>, Option<u64>),
        now: Now,
    ) {
        self.feeds.add(conn, (source.clone(), form), heartbeat, now);
        match (source, since) {
            (Source::Events(_), Some(since)) => {
                let (records, lost) = self.history.since(since);
                let after = if since > self.history.last() { 0 } else { since };
                self.feeds.catch_up(conn, (records, after, lost));
            }
            (Source::Output(channel), Some(since)) => {
                let (bytes, lost) = self.written_since((channel.id, channel.stream), since);
                let position = self.told_position(channel.id, channel.stream);
                self.feeds.recall(conn, &bytes, position, lost);
            }
            (Source::Stats(watched, interval), _) => {
                self.hub.watches.add(Watcher::Feed(conn), &watched, interval, now);
            }
            (Source::Events(_) | Source::Output(_), None) | (Source::Nothing, _) => {}
        }
    }

    /// What was told of a stream from this position on, and how many bytes of that are kept no more. What
    /// waits for the rest of a character is told with that.
    pub(super) fn written_since(
        &self,
        (id, stream): (InstanceId, StreamNo),
        since: u64,
    ) -> (Vec<u8>, u64) {
        let (mut bytes, lost) = self.outputs.since(id, stream, since);
        let waiting = self.aligned.waiting((id, stream));
        bytes.truncate(bytes.len().saturating_sub(waiting));
        (bytes, lost)
    }

    /// What is kept of a stream: its bytes, the position behind them, and how many are lost before.
    pub(super) fn kept(&self, channel: &Channel, since: u64) -> Response {
        let (bytes, lost) = self.outputs.since(channel.id, channel.stream, since);
        let position = self.outputs.position(channel.id, channel.stream);
        let mut response = Response::empty(200)
            .with("Content-Type", "application/octet-stream")
            .with("Gaffer-Position", position.to_string())
            .with(LOST_FIELD, lost.to_string());
        response.body = bytes;
        response
    }

    /// How far a stream has been told: what waits for the rest of a character has not.
    fn told_position(&self, id: InstanceId, stream: StreamNo) -> u64 {
        let waiting = u64::try_from(self.aligned.waiting((id, stream))).unwrap_or(0);
        self.outputs.position(id, stream) - waiting
    }

    /// Makes a websocket of a request, and a feed of that. Who has said no key with the request says it
    /// there.
    pub(super) fn open(&mut self, conn: ConnId, request: &Request, opening: Opening, now: Now) {
        let accept = match ws::handshake(request.method, request.version, &request.headers) {
            Ok(accept) => accept,
            Err(lack) => return self.give(conn, no_handshake(lack), now),
        };
        let Some(client) = self.clients.get_mut(conn) else { return };
        let headers = std::mem::take(&mut client.cors);
        let caller = self.door.caller(request.key(), client.peer, now.wall);
        let longest = limits::WS_MESSAGE;
        self.clients.change(conn, |conn| conn.upgrade(&accept, &headers, longest, now));
        let (pid, form) = (opening.pid, opening.form);
        self.begin_feed(conn, Source::Nothing, form, (None, None), now);
        self.inlets.insert(conn, Inlet { to: None, pid, form });
        match caller {
            Ok(caller) => {
                self.guests.come(Guest::Conn(conn), Some(Rc::clone(&caller)), now);
                self.open_streams(conn, &opening, &caller);
            }
            // Only in frames there is a word for it.
            Err(Refused::Nobody) if form == Form::Frames => {
                self.guests.come(Guest::Conn(conn), None, now);
                self.strangers.insert(conn, opening);
            }
            Err(refused) => self.demand_key(Guest::Conn(conn), refused, now),
        }
        self.hear_socket(conn, now);
    }

    /// Opens what is wished for on a websocket, as far as its client may.
    fn open_streams(&mut self, conn: ConnId, opening: &Opening, caller: &Caller) {
        let Opening { form, pid, label, read, write } = opening;
        let (form, pid, read, write) = (*form, *pid, *read, *write);
        let outlet = streams::output(&self.supervisor, pid, label.as_deref());
        let inlet = streams::input(&self.supervisor, pid, label.as_deref());
        let world = World { supervisor: &self.supervisor, door: &self.door };
        let (may_read, may_write) = world.socket(caller, pid);
        let fault = match (&outlet, &inlet) {
            (Err(NoStream::Process), _) => Some(SocketFault::None(NoStream::Process)),
            _ if read && !may_read || write && !read && !may_write => Some(SocketFault::Forbidden),
            (Err(none), _) if read => Some(SocketFault::None(none.clone())),
            // Who wants both gets what there is: the original's own client asks for both always.
            (_, Err(none)) if write && !read => Some(SocketFault::None(none.clone())),
            _ => None,
        };
        if let Some(fault) = fault {
            self.inlets.remove(&conn);
            return self.refuse_socket(conn, &fault);
        }
        match (outlet, &inlet) {
            (Ok(channel), _) if read => self.feeds.listen(conn, channel),
            // It only writes, and is told of the process's end all the same.
            (_, Ok((id, _))) => {
                let (stream, label) = (StreamNo(u16::MAX), String::new());
                self.feeds.listen(conn, Channel { id: *id, pid, stream, label });
            }
            _ => {}
        }
        let to = if write && may_write { inlet.ok() } else { None };
        self.inlets.insert(conn, Inlet { to, pid, form });
    }

    /// The first message of somebody who has said no key yet: it is one, or he goes.
    fn take_key(&mut self, conn: ConnId, id: &str, body: &[u8], now: Now) {
        let said = std::str::from_utf8(body).ok().and_then(|text| text.strip_prefix("AUTH:"));
        let peer = self.clients.get(conn).map(|client| client.peer);
        let caller = match (said, peer) {
            (Some(secret), Some(peer)) => self.door.caller(Some(secret), peer, now.wall),
            _ => Err(Refused::Nobody),
        };
        let opening = self.strangers.remove(&conn);
        match (caller, opening) {
            (Ok(caller), Some(opening)) => {
                self.feeds.reply(conn, Kind::Response, id, "OK");
                self.guests.come(Guest::Conn(conn), Some(Rc::clone(&caller)), now);
                self.open_streams(conn, &opening, &caller);
            }
            (Err(refused), _) => self.demand_key(Guest::Conn(conn), refused, now),
            (Ok(_), None) => {}
        }
    }

    fn refuse_socket(&mut self, conn: ConnId, fault: &SocketFault) {
        let (error, errno, reason) = match fault {
            SocketFault::Forbidden => ("FORBIDDEN", 403, "the key does not permit this".to_owned()),
            SocketFault::None(NoStream::Process) => {
                ("not_found", 404, "no such process".to_owned())
            }
            SocketFault::None(NoStream::NotRedirected) => {
                ("EPERM", 403, "the job does not redirect this stream".to_owned())
            }
            SocketFault::None(NoStream::Label(label)) => {
                ("ENOENT", 404, format!("there is no stream {label:?}"))
            }
        };
        let body = json!({"error": error, "errno": errno, "reason": reason});
        self.feeds.reply(conn, Kind::Error, "gaffer_error", &json::text(&body));
        self.feeds.end(conn, End::because(1008, &reason));
    }

    /// Serves what came on a process's websocket, until one message has to wait.
    pub(super) fn hear_socket(&mut self, conn: ConnId, now: Now) {
        while !self.writers.waits(|writer| matches!(writer, Writer::Socket(at, _) if *at == conn)) {
            let Some(Some(heard)) = self.clients.change(conn, |conn| conn.hear(now)) else { break };
            let bytes = match heard {
                Heard::Text(text) => text.into_bytes(),
                Heard::Binary(bytes) => bytes,
                Heard::Sign => continue,
                Heard::Close | Heard::Over => break,
            };
            let Some(inlet) = self.inlets.get(&conn).copied() else { continue };
            if !self.take_message(conn, inlet, bytes, now) {
                break;
            }
        }
        self.flush_feed(conn, now);
    }

    /// Does what a message wants; whether further ones may be heard.
    fn take_message(&mut self, conn: ConnId, inlet: Inlet, bytes: Vec<u8>, now: Now) -> bool {
        let (id, body) = if inlet.form == Form::Frames {
            match frame::parse(&bytes) {
                Ok(frame) => (frame.id.to_owned(), frame.body.to_vec()),
                Err(error) => {
                    self.inlets.remove(&conn);
                    self.feeds.end(conn, End::because(1007, &error.to_string()));
                    return false;
                }
            }
        } else {
            (String::new(), bytes)
        };
        if self.strangers.contains_key(&conn) {
            self.take_key(conn, &id, &body, now);
            return true;
        }
        if inlet.form == Form::Frames && body.starts_with(b"AUTH:") {
            // A client says its key whether it is asked for or not; it is not for the process.
            self.feeds.reply(conn, Kind::Response, &id, "OK");
            return true;
        }
        let Some(to) = inlet.to else {
            let reason = format!("nothing can be written to process {}", inlet.pid);
            let body = json!({"error": "EPERM", "errno": 403, "reason": reason});
            self.feeds.reply(conn, Kind::Error, &id, &json::text(&body));
            return true;
        };
        let writing = Writing { to, bytes: body, close: false };
        if let Some(done) = self.write(Writer::Socket(conn, id.clone()), writing) {
            self.reply_written(conn, &id, done);
        }
        true
    }

    /// A process wrote something: tells those who follow it.
    pub(super) fn tell_output(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], now: Now) {
        // Its leader may have ended: what is left of it still writes.
        let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
        let Some(pid) = run.map(|run| run.pid) else { return };
        // Also while nobody follows, so that whoever begins to does so between two characters.
        let bytes = self.aligned.take((id, stream), bytes);
        if self.hub.follows_output(pid) || self.feeds.follows_output(pid) {
            let bytes = bytes.into_owned();
            self.tell_aligned((id, pid), stream, &bytes, now);
        }
    }

    /// Whether somebody is told what an instance writes as soon as it is there.
    pub(super) fn follows(&self, id: InstanceId, stream: StreamNo) -> bool {
        let Some(instance) = self.supervisor.instance(id) else { return true };
        let Some(run) = &instance.run else { return true };
        let job = self.supervisor.job(instance.job);
        let read = || job.is_some_and(|job| self.readers.follow(&job.name, instance.number));
        let heard = stream == StreamNo::STDOUT && run.spec.hearer() != Hearer::Readers;
        heard
            || self.hub.follows_output(run.pid)
            || self.feeds.follows_output(run.pid)
            || self.console.tells_output()
            || self.listeners.hear_output()
            || !self.readers.is_empty() && read()
    }

    fn tell_aligned(
        &mut self,
        (id, pid): (InstanceId, Pid),
        stream: StreamNo,
        bytes: &[u8],
        now: Now,
    ) {
        if bytes.is_empty() {
            return;
        }
        let position = self.told_position(id, stream);
        for conn in self.feeds.output((pid, stream), bytes, position) {
            self.flush_feed(conn, now);
        }
        self.tell_sessions_output((id, pid), stream, bytes, now);
    }

    /// A run is over: what waited for the rest of a character is told as it is.
    pub(super) fn tell_tails(&mut self, id: InstanceId, pid: Pid, now: Now) {
        for (stream, tail) in self.aligned.end(id) {
            self.tell_aligned((id, pid), stream, &tail, now);
        }
    }

    /// A run is over, and all is told: ends what followed it.
    pub(super) fn end_process_feeds(&mut self, pid: Pid, exit: &Value, now: Now) {
        let reason = exit.get("reason").and_then(Value::as_str).unwrap_or("it is over");
        let end = End {
            code: 1000,
            reason: format!("process {pid} ended: {reason}"),
            exit: exit.clone(),
        };
        for conn in self.feeds.of_process(pid) {
            self.feeds.end(conn, end.clone());
            self.flush_feed(conn, now);
        }
    }

    /// The node ends: so do all feeds.
    pub(super) fn end_feeds(&mut self, now: Now) {
        for conn in self.feeds.conns() {
            self.feeds.end(conn, End::because(1001, "the node ends"));
            self.flush_feed(conn, now);
        }
    }

    /// Moves a feed on, and forgets it when it is over.
    pub(super) fn flush_feed(&mut self, conn: ConnId, now: Now) {
        if self.feeds.flush(conn, &mut self.clients, now) {
            self.drop_feed(conn);
        }
    }

    /// Forgets a feed, and whatever was done for it.
    pub(super) fn drop_feed(&mut self, conn: ConnId) {
        self.inlets.remove(&conn);
        self.strangers.remove(&conn);
        self.guests.go(Guest::Conn(conn));
        self.forget_writers(|writer| matches!(writer, Writer::Socket(at, _) if *at == conn));
        let Some(feed) = self.feeds.remove(conn) else { return };
        if let Source::Stats(watched, interval) = &feed.source {
            self.hub.watches.remove(&Watcher::Feed(conn), watched, *interval);
        }
    }
}

/// How an answer that goes on begins.
fn feed_head(source: &Source, form: Form) -> Response {
    let kind = match (form, source) {
        (Form::EventSource, _) => "text/event-stream; charset=UTF-8",
        (_, Source::Output(_)) => "application/octet-stream",
        (Form::Longpoll, _) => "application/json",
        (Form::Continuous | Form::Socket | Form::Frames, _) => "application/x-ndjson",
    };
    let head = Response::empty(200).with("Content-Type", kind);
    // Proxies that gather an answer before they pass it on would never pass this one on.
    let head = head.with("Cache-Control", "no-store").with("X-Accel-Buffering", "no");
    if form == Form::Continuous {
        head.with("Trailer", LOST_FIELD)
    } else {
        head
    }
}
