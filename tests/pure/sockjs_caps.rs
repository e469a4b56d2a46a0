//! The caps of `SockJS` services and of what connections become, each at its value and one beyond.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::{ConnId, SessionId};
use gaffer::base::limits;
use gaffer::front::clients::Clients;
use gaffer::front::outbox::Piece;
use gaffer::front::peer::Peer;
use gaffer::front::sockjs::{Counts, Happened, Options, Service};

const MOMENT: Duration = Duration::from_millis(1);

struct World {
    service: Service,
    clients: Clients,
    now: Now,
    sessions: Vec<SessionId>,
    said: Vec<String>,
    pausing: bool,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn new() -> Self {
        Self {
            service: Service::new("s", Options::default(), 1),
            clients: Clients::new(limits::CONNECTIONS),
            now: Now { mono: Instant::now(), wall: UNIX_EPOCH },
            sessions: Vec::new(),
            said: Vec::new(),
            pausing: false,
        }
    }

    fn connect(&mut self) -> ConnId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.clients.accept(Peer::Tcp { remote, tls: None }, self.now).expect("room")
    }

    /// Sends bytes and gives what comes back at once.
    fn feed(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<u8> {
        self.clients.change(conn, |conn| conn.received(bytes, self.now));
        self.drive(conn)
    }

    fn drive(&mut self, id: ConnId) -> Vec<u8> {
        let mut got = Vec::new();
        loop {
            self.service.conn_changed(id, &mut self.clients, self.now);
            self.happen();
            let owed = self.clients.transmit(id).to_vec();
            self.clients.change(id, |conn| conn.sent(owed.len(), self.now));
            got.extend_from_slice(&owed);
            let Some(client) = self.clients.get_mut(id) else { break };
            match client.conn.take_request() {
                Some(request) => {
                    let rest = request.segments().expect("a path");
                    self.service.request(id, &request, &rest[1..], &mut self.clients, self.now);
                }
                None if owed.is_empty() => break,
                None => {}
            }
        }
        got
    }

    fn happen(&mut self) {
        while let Some(happened) = self.service.next(&mut self.clients, self.now) {
            match happened {
                Happened::Opened(id, _) => {
                    self.sessions.push(id);
                    if self.pausing {
                        self.service.pause(id);
                    }
                }
                Happened::Said(_, text) => self.said.push(text),
                Happened::Closed(id) => self.sessions.retain(|known| *known != id),
            }
        }
        self.service.sweep(&self.clients).expect("a sound service");
    }

    fn ask(&mut self, conn: ConnId, path: &str, body: &str) -> String {
        let length = body.len();
        let head =
            format!("POST /s/0/{path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        let got = self.feed(conn, [head.as_bytes(), body.as_bytes()].concat().as_slice());
        String::from_utf8(got).expect("text")
    }

    fn open_raw(&mut self) -> ConnId {
        let conn = self.connect();
        let got = self.feed(
            conn,
            b"GET /s/websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(got.starts_with(b"HTTP/1.1 101 "));
        conn
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        while self.clients.next_due(self.now).is_some() {}
        self.service.on_time(&mut self.clients, self.now);
        self.happen();
    }

    fn reply(&mut self, id: SessionId, text: &str) {
        self.service.send(id, Piece::Reply(text.into()), &mut self.clients, self.now);
        self.happen();
    }
}

/// A client's frame of a text: masked, final.
fn text_frame(text: &[u8]) -> Vec<u8> {
    let length = u64::try_from(text.len()).expect("a length");
    [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4], text].concat()
}

#[test]
fn a_receiver_hears_something_in_time_and_a_session_without_one_is_given_up() {
    let mut world = World::new();
    let conn = world.connect();
    assert!(world.ask(conn, "a/xhr", "").ends_with("o\n"));
    assert!(world.ask(conn, "a/xhr", "").is_empty());
    world.wait(limits::SOCKJS_HEARTBEAT - MOMENT);
    assert!(world.drive(conn).is_empty());
    world.wait(MOMENT);
    assert!(world.drive(conn).ends_with(b"h\n"));
    world.wait(limits::SOCKJS_DISCONNECT - MOMENT);
    assert_eq!(world.sessions.len(), 1);
    world.wait(MOMENT);
    assert!(world.sessions.is_empty());
    assert_eq!(world.service.counts(), Counts::default());
}

#[test]
fn a_response_that_goes_on_ends_when_it_is_long() {
    for (missing, ends) in [(1, false), (0, true)] {
        let mut world = World::new();
        let conn = world.connect();
        world.ask(conn, "a/xhr_streaming", "");
        let id = world.sessions[0];
        let mut left = limits::SOCKJS_RESPONSE - "o\n".len() - missing;
        while left > 0 {
            let frame = left.min(10_000);
            world.reply(id, &"x".repeat(frame - "a[\"\"]\n".len()));
            let got = world.drive(conn);
            left -= frame;
            let over = got.ends_with(b"\r\n0\r\n\r\n");
            assert_eq!(over, ends && left == 0, "{left} bytes are left");
        }
        assert_eq!(world.service.owns(conn), !ends);
    }
}

#[test]
fn a_message_is_as_large_as_it_may_be() {
    let mut world = World::new();
    let (receiver, sender) = (world.connect(), world.connect());
    world.ask(receiver, "a/xhr", "");
    let body = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
    let got = world.ask(sender, "a/xhr_send", &body(limits::SOCKJS_MESSAGE));
    assert!(got.starts_with("HTTP/1.1 204 "), "{got}");
    let got = world.ask(sender, "a/xhr_send", &body(limits::SOCKJS_MESSAGE + 1));
    assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
    assert_eq!(world.said.len(), 1);
    for (length, said) in [(limits::SOCKJS_MESSAGE, 2), (limits::SOCKJS_MESSAGE + 1, 2)] {
        let socket = world.open_raw();
        let got = world.feed(socket, &text_frame(&vec![b'x'; length]));
        assert_eq!(world.said.len(), said);
        assert_eq!(got == [0x88, 2, 0x03, 0xf1], length > limits::SOCKJS_MESSAGE, "{got:?}");
    }
    // A service may take less than a request may have.
    let options = Options { message: 10, ..Options::default() };
    world.service = Service::new("s", options, 1);
    world.ask(receiver, "a/xhr", "");
    for (length, status) in [(10, " 204 "), (11, " 413 ")] {
        assert!(world.ask(receiver, "a/xhr_send", &body(length)).contains(status));
    }
}

#[test]
fn what_waits_for_a_receiver_is_bounded() {
    let cost = 64;
    for (length, fits) in
        [(limits::SOCKJS_QUEUE - cost, true), (limits::SOCKJS_QUEUE - cost + 1, false)]
    {
        let mut world = World::new();
        let conn = world.connect();
        world.ask(conn, "a/xhr", "");
        let id = world.sessions[0];
        world.reply(id, &"x".repeat(length));
        let got = world.ask(conn, "a/xhr", "");
        assert_eq!(got.contains("xxx\"]"), fits);
        assert_eq!(got.ends_with("c[1008,\"Too far behind\"]\n"), !fits);
        assert_eq!(world.sessions.is_empty(), !fits);
    }
    // A websocket that does not read is given up at once, and not waited for.
    let mut world = World::new();
    let conn = world.open_raw();
    let id = world.sessions[0];
    let text = "x".repeat(limits::HTTP_OUTPUT_PAUSE);
    // The first one lies in the connection already.
    for _ in 0..=limits::SOCKJS_QUEUE / (text.len() + cost) {
        world.reply(id, &text);
        assert!(!world.clients.is_finished(conn));
    }
    world.reply(id, &text);
    assert!(world.clients.is_finished(conn) && world.sessions.is_empty());
    assert_eq!(world.service.counts(), Counts::default());
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let mut world = World::new();
    let conn = world.connect();
    for number in 0..limits::SOCKJS_SESSIONS {
        assert!(world.ask(conn, &format!("{number}/xhr"), "").ends_with("o\n"));
    }
    for path in ["more/xhr", "more/xhr_streaming"] {
        let got = world.ask(conn, path, "");
        assert!(got.starts_with("HTTP/1.1 503 ") && got.contains("as many sessions"), "{got}");
    }
    assert_eq!(world.service.counts().sessions, limits::SOCKJS_SESSIONS);
    world.wait(limits::SOCKJS_DISCONNECT);
    let conn = world.connect();
    assert!(world.ask(conn, "more/xhr", "").ends_with("o\n"), "there is room again");
}

#[test]
fn a_paused_session_holds_so_many_senders_and_no_more() {
    let mut world = World::new();
    world.pausing = true;
    let receiver = world.connect();
    world.ask(receiver, "a/xhr", "");
    let waiting: Vec<ConnId> = (0..limits::SOCKJS_SENDS)
        .map(|number| {
            let sender = world.connect();
            assert!(world.ask(sender, "a/xhr_send", &format!("[\"{number}\"]")).is_empty());
            sender
        })
        .collect();
    let sender = world.connect();
    let got = world.ask(sender, "a/xhr_send", "[\"more\"]");
    assert!(got.starts_with("HTTP/1.1 503 ") && got.contains("wait already"), "{got}");
    assert_eq!(world.service.counts().senders, limits::SOCKJS_SENDS);
    // One that goes away leaves what it said.
    world.service.conn_gone(waiting[1], &mut world.clients, world.now);
    world.clients.remove(waiting[1]);
    assert_eq!(world.service.counts().senders, limits::SOCKJS_SENDS - 1);
    assert!(world.said.is_empty());
    world.service.resume(world.sessions[0]);
    world.happen();
    let numbers: Vec<String> = (0..limits::SOCKJS_SENDS).map(|n| n.to_string()).collect();
    assert_eq!(world.said, numbers);
    assert!(world.drive(waiting[0]).starts_with(b"HTTP/1.1 204 "));
    assert_eq!(world.service.counts().senders, 0);
}

#[test]
fn a_frame_is_filled_up_to_its_size() {
    for (length, alone) in [(limits::SOCKJS_FRAME - 5, false), (limits::SOCKJS_FRAME - 4, true)] {
        let mut world = World::new();
        let conn = world.connect();
        world.ask(conn, "a/xhr", "");
        world.reply(world.sessions[0], &"x".repeat(length));
        world.reply(world.sessions[0], "next");
        let got = world.ask(conn, "a/xhr", "");
        assert_eq!(got.ends_with(",\"next\"]\n"), !alone);
        let rest = world.ask(conn, "a/xhr", "");
        assert_eq!(rest.ends_with("a[\"next\"]\n"), alone);
    }
}

#[test]
fn a_silent_websocket_is_asked_and_then_given_up() {
    let mut world = World::new();
    let conn = world.open_raw();
    world.wait(limits::WS_PING - MOMENT);
    assert!(world.drive(conn).is_empty());
    world.wait(MOMENT);
    assert_eq!(world.drive(conn), [0x89, 0]);
    let rest = limits::LIVE_SILENCE - limits::WS_PING;
    world.wait(rest - MOMENT);
    world.drive(conn);
    assert_eq!(world.sessions.len(), 1);
    world.wait(MOMENT);
    world.drive(conn);
    assert!(world.sessions.is_empty() && world.clients.is_finished(conn));
}

#[test]
fn a_websocket_that_we_do_not_read_is_not_given_up() {
    let mut world = World::new();
    world.pausing = true;
    let conn = world.open_raw();
    let frame = text_frame(b"x");
    while world.clients.wants_input(conn) {
        world.feed(conn, &frame);
    }
    for _ in 0..10 {
        world.wait(limits::LIVE_SILENCE);
        world.drive(conn);
    }
    assert!(world.said.is_empty() && world.sessions.len() == 1);
    world.service.resume(world.sessions[0]);
    world.happen();
    assert_eq!(world.said.len(), limits::HTTP_INPUT_AHEAD.div_ceil(frame.len()));
}

#[test]
fn a_message_longer_than_what_is_read_at_a_time_is_whole() {
    let mut world = World::new();
    let conn = world.open_raw();
    for length in [limits::WS_READ_BUFFER, limits::WS_READ_BUFFER + 1] {
        world.feed(conn, &text_frame(&vec![b'x'; length]));
        assert_eq!(world.said.pop().map(|text| text.len()), Some(length));
    }
}
