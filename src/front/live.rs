//! What a connection becomes when its answer does not end at once: a body that comes piece by piece,
//! or a websocket. Both are written to while [`Conn::has_room`], and end with their peer.

use std::time::Instant;

use super::conn::{Conn, State};
use super::response::{Asked, Response};
use crate::base::clock::Now;
use crate::base::limits;
use crate::wire::http::{write_chunk, write_last_chunk, write_switch, Extent, Method, Persistence};
use crate::wire::ws::{Heard, WebSocket};
use crate::wire::ws76::{Keys, OldSocket};

/// An answer that goes on.
pub(super) struct Streaming {
    persistence: Persistence,
    ends: Ends,
    /// Whether it comes to an end by itself, which a client that has ended its own side may wait for.
    finite: bool,
}

/// How its end is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// By its last chunk, which is empty.
    Chunked,
    /// By that of the connection.
    UntilClose,
    /// It has so many bytes more.
    After(u64),
}

impl Streaming {
    /// Whether nobody knows how long it is, as with what is followed.
    pub(super) fn is_endless(&self) -> bool {
        !self.finite
    }
}

/// A websocket.
pub(super) struct Socket {
    talk: Talk,
    /// When the peer last gave a sign of life.
    heard: Instant,
    /// When it was asked for one since.
    pinged: Option<Instant>,
}

/// What is spoken on a websocket.
enum Talk {
    /// RFC 6455.
    Standard(WebSocket),
    /// What was spoken before it.
    Old(OldSocket),
}

impl Socket {
    /// How much is held of a message that is not whole, besides what was not taken yet.
    pub(super) fn held(&self) -> usize {
        match &self.talk {
            Talk::Standard(ws) => ws.held(),
            Talk::Old(_) => 0,
        }
    }
}

impl Talk {
    fn hear(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Heard> {
        match self {
            Self::Standard(ws) => ws.hear(input, out),
            Self::Old(ws) => ws.hear(input, out),
        }
    }

    fn say(&mut self, what: Say<'_>, out: &mut Vec<u8>) {
        match (self, what) {
            (Self::Standard(ws), Say::Text(text)) => ws.text(text, out),
            (Self::Standard(ws), Say::Pieces(pieces)) => ws.text_of(pieces, out),
            (Self::Standard(ws), Say::Binary(bytes)) => ws.binary(bytes, out),
            (Self::Standard(ws), Say::Close(code, reason)) => ws.close(code, reason, out),
            (Self::Old(ws), Say::Text(text)) => ws.text_of(&[text.as_bytes()], out),
            (Self::Old(ws), Say::Pieces(pieces)) => ws.text_of(pieces, out),
            // It has no bytes, and nobody who has some to say offers it.
            (Self::Old(_), Say::Binary(_)) => {}
            (Self::Old(ws), Say::Close(..)) => ws.close(out),
        }
    }

    fn is_closing(&self) -> bool {
        match self {
            Self::Standard(ws) => ws.is_closing(),
            Self::Old(ws) => ws.is_closing(),
        }
    }

    /// Whether what is said goes out at once.
    fn is_ready(&self) -> bool {
        match self {
            Self::Standard(_) => true,
            Self::Old(ws) => ws.is_ready(),
        }
    }
}

/// Something to say on a websocket.
#[derive(Clone, Copy, Debug)]
pub enum Say<'a> {
    /// A text.
    Text(&'a str),
    /// A text in pieces.
    Pieces(&'a [&'a [u8]]),
    /// Bytes.
    Binary(&'a [u8]),
    /// The end: a code of RFC 6455 section 7.4, and why.
    Close(u16, &'a str),
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// One request after the other.
    Requests,
    /// An answer that goes on.
    Feed,
    /// Messages both ways.
    Websocket,
}

impl Conn {
    /// Answers the request that was taken with a head whose body follows in pieces. To HEAD there is
    /// no body, so the answer is complete; gives whether there is one.
    pub fn begin(&mut self, response: Response, now: Now) -> bool {
        self.begin_streaming(response, false, now)
    }

    /// The same for a body that comes to an end by itself, however long that takes.
    pub fn begin_finite(&mut self, response: Response, now: Now) -> bool {
        self.begin_streaming(response, true, now)
    }

    fn begin_streaming(&mut self, response: Response, finite: bool, now: Now) -> bool {
        let State::Answering(asked) = &self.state else { return false };
        if asked.method == Method::Head {
            let persistence = asked.persistence;
            let (head, _) = asked.begin(response, now.wall);
            self.owe(head, now);
            self.answered(persistence, now);
            return false;
        }
        let (head, extent) = asked.begin(response, now.wall);
        let (persistence, ends) = match extent == Extent::Chunked {
            true => (asked.persistence, Ends::Chunked),
            false => (Persistence::Close, Ends::UntilClose),
        };
        self.state = State::Streaming(Streaming { persistence, ends, finite });
        self.owe(head, now);
        if finite {
            return true;
        }
        // A client that has ended its own side cannot be told from one that is gone.
        self.close_if_ended();
        true
    }

    /// Answers the request that was taken with a head whose body has this length and follows in pieces, by
    /// [`Conn::send_piece`]. Gives whether there is one to follow: HEAD has none.
    pub fn begin_sized(&mut self, response: Response, length: u64, now: Now) -> bool {
        let State::Answering(asked) = &self.state else { return false };
        let (persistence, reads) = (asked.persistence, asked.method != Method::Head);
        let head = asked.begin_sized(response, length, now.wall);
        self.owe(head, now);
        if reads && length > 0 {
            let ends = Ends::After(length);
            self.state = State::Streaming(Streaming { persistence, ends, finite: true });
            return true;
        }
        self.answered(persistence, now);
        false
    }

    /// Adds a piece to a body of known length. With the last one the answer is complete.
    pub fn send_piece(&mut self, bytes: Vec<u8>, now: Now) {
        let State::Streaming(Streaming { persistence, ends: Ends::After(left), .. }) =
            &mut self.state
        else {
            return;
        };
        let persistence = *persistence;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(rest) = left.checked_sub(count) else { return self.give_up() };
        *left = rest;
        self.owe(bytes, now);
        if rest == 0 {
            self.answered(persistence, now);
        }
    }

    /// What was to follow cannot be had: the connection ends, so that nobody takes what there is for all of it.
    pub fn break_off(&mut self) {
        if matches!(&self.state, State::Streaming(streaming) if !streaming.is_endless()) {
            self.give_up();
        }
    }

    /// Adds a piece to the body that goes on.
    pub fn stream(&mut self, pieces: &[&[u8]], now: Now) {
        let State::Streaming(streaming) = &self.state else { return };
        if pieces.iter().all(|piece| piece.is_empty()) {
            return;
        }
        let mut bytes = Vec::new();
        match streaming.ends {
            Ends::Chunked => write_chunk(pieces, &mut bytes),
            Ends::UntilClose => bytes = pieces.concat(),
            Ends::After(_) => return self.send_piece(pieces.concat(), now),
        }
        self.owe(bytes, now);
    }

    /// The body that went on is complete.
    pub fn end_stream(&mut self, now: Now) {
        self.end_stream_with(&[], now);
    }

    /// The body that went on is complete; trailers reach clients of HTTP/1.1 only.
    pub fn end_stream_with(&mut self, trailers: &[(&'static str, String)], now: Now) {
        let State::Streaming(Streaming { persistence, ends, .. }) = self.state else { return };
        if ends == Ends::Chunked {
            let mut last = Vec::new();
            write_last_chunk(trailers, &mut last);
            self.owe(last, now);
        }
        self.answered(persistence, now);
    }

    /// Makes a websocket of the connection, in answer to the request that was taken. `accept` is what
    /// [`crate::wire::ws::handshake`] gave; messages have at most `longest` bytes.
    pub fn upgrade(
        &mut self,
        accept: &str,
        headers: &[(&'static str, String)],
        longest: usize,
        now: Now,
    ) {
        let mut all = vec![("Sec-WebSocket-Accept", accept.to_owned())];
        all.extend_from_slice(headers);
        let talk = Talk::Standard(WebSocket::server(longest));
        self.become_socket("websocket", &all, talk, now);
    }

    /// The same for a client from before the standard; `headers` tell it where it is.
    pub fn upgrade_old(
        &mut self,
        keys: Keys,
        headers: &[(&'static str, String)],
        longest: usize,
        now: Now,
    ) {
        let talk = Talk::Old(OldSocket::server(keys, longest));
        self.become_socket("WebSocket", headers, talk, now);
    }

    fn become_socket(
        &mut self,
        upgrade: &str,
        headers: &[(&'static str, String)],
        talk: Talk,
        now: Now,
    ) {
        if !matches!(self.state, State::Answering(Asked { .. })) {
            return;
        }
        let mut head = Vec::new();
        write_switch(upgrade, headers, &mut head);
        self.state = State::Socket(Box::new(Socket { talk, heard: now.mono, pinged: None }));
        self.since = now.mono;
        self.owe(head, now);
        self.close_if_ended();
    }

    /// The next message of the websocket. Nothing is read while too much is owed, so that a peer that
    /// asks and does not read is not served for ever.
    pub fn hear(&mut self, now: Now) -> Option<Heard> {
        if !self.is_live() {
            return None;
        }
        while self.owed.len() <= limits::HTTP_OUTPUT_PAUSE {
            match self.hear_one(now)? {
                Heard::Sign => {}
                heard @ (Heard::Close | Heard::Over) => {
                    self.end_socket(now);
                    return Some(heard);
                }
                heard @ (Heard::Text(_) | Heard::Binary(_)) => return Some(heard),
            }
        }
        None
    }

    fn hear_one(&mut self, now: Now) -> Option<Heard> {
        let State::Socket(socket) = &mut self.state else { return None };
        let mut out = Vec::new();
        let heard = socket.talk.hear(&mut self.input, &mut out);
        if !out.is_empty() {
            self.owe(out, now);
        }
        heard
    }

    /// Says something on the websocket. After a close what the peer still says is dropped until it
    /// closes, too: then, or after a while, the connection ends.
    pub fn say(&mut self, what: Say<'_>, now: Now) {
        let State::Socket(socket) = &mut self.state else { return };
        let was_closing = socket.talk.is_closing();
        let mut out = Vec::new();
        socket.talk.say(what, &mut out);
        let closes = socket.talk.is_closing() && !was_closing;
        if !out.is_empty() {
            self.owe(out, now);
        }
        if closes {
            self.since = now.mono;
            self.hear_out(now);
        }
    }

    /// Drops what a peer says that has been told that its websocket closes.
    pub(super) fn hear_out(&mut self, now: Now) {
        while matches!(&self.state, State::Socket(socket) if socket.talk.is_closing()) {
            match self.hear_one(now) {
                None => return,
                Some(Heard::Close | Heard::Over) => self.end_socket(now),
                Some(Heard::Sign | Heard::Text(_) | Heard::Binary(_)) => {}
            }
        }
    }

    /// What it is used for.
    pub fn purpose(&self) -> Purpose {
        match self.state {
            State::Streaming(_) => Purpose::Feed,
            State::Socket(_) => Purpose::Websocket,
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Discarding { .. }
            | State::Closed => Purpose::Requests,
        }
    }

    /// Whether what goes on may be added to: not too much is owed, and the peer is there.
    pub fn has_room(&self) -> bool {
        let ready = match &self.state {
            State::Socket(socket) => socket.talk.is_ready() && !socket.talk.is_closing(),
            State::Streaming(_) => true,
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Discarding { .. }
            | State::Closed => false,
        };
        ready && self.owed.len() <= limits::HTTP_OUTPUT_PAUSE
    }

    /// Whether it is a stream or a websocket that neither side has closed.
    pub fn is_live(&self) -> bool {
        match &self.state {
            State::Socket(socket) => !socket.talk.is_closing(),
            State::Streaming(_) => true,
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Discarding { .. }
            | State::Closed => false,
        }
    }

    /// Nothing more is said. What the peer still sends, its own Close above all, is read for a while
    /// and dropped, so that it gets our last words and not a reset.
    fn end_socket(&mut self, now: Now) {
        self.since = now.mono;
        self.discard();
    }

    fn close_if_ended(&mut self) {
        if self.has_ended() {
            self.close();
        }
    }

    pub(super) fn socket_deadline(&self) -> Option<Instant> {
        let State::Socket(socket) = &self.state else { return None };
        match &socket.talk {
            talk if talk.is_closing() => Some(self.since + limits::HTTP_DISCARD_TIME),
            Talk::Standard(_) => Some(match socket.pinged {
                None => socket.heard + limits::WS_PING,
                // Where it is we who have slept, it still has its time to answer.
                Some(at) => (socket.heard + limits::LIVE_SILENCE)
                    .max(at + (limits::LIVE_SILENCE - limits::WS_PING)),
            }),
            // It cannot be asked for a sign of life, but the rest of its request is due.
            Talk::Old(ws) => (!ws.is_ready()).then(|| self.since + limits::HTTP_HEAD_TIME),
        }
    }

    /// Asks the peer of a websocket for a sign of life now, whenever it gave one last. False where that
    /// is no question any more: it is over, or closing.
    pub fn probe(&mut self, now: Now) -> bool {
        let State::Socket(socket) = &mut self.state else { return false };
        let mut out = Vec::new();
        match &socket.talk {
            Talk::Standard(ws) if !ws.is_closing() => ws.ping(&mut out),
            Talk::Standard(_) | Talk::Old(_) => return false,
        }
        socket.pinged = Some(now.mono);
        self.owe(out, now);
        true
    }

    /// Whether the peer of a websocket was asked for a sign of life and has given none since.
    pub fn awaits_sign(&self) -> bool {
        matches!(&self.state, State::Socket(socket) if socket.pinged.is_some())
    }

    /// Bytes of a websocket's peer are signs of life, whenever they are read.
    pub(super) fn note_life(&mut self, now: Now) {
        if let State::Socket(socket) = &mut self.state {
            socket.heard = now.mono;
            socket.pinged = None;
        }
    }

    /// Asks a silent peer for a sign of life, and gives up one that was asked.
    pub(super) fn look_after_socket(&mut self, now: Now) {
        if self.input.len() >= limits::HTTP_INPUT_AHEAD {
            // It is we who do not listen.
            return self.note_life(now);
        }
        let State::Socket(socket) = &mut self.state else { return };
        let mut out = Vec::new();
        match &mut socket.talk {
            Talk::Standard(ws) if !ws.is_closing() && socket.pinged.is_none() => ws.ping(&mut out),
            Talk::Standard(_) | Talk::Old(_) => return self.close(),
        }
        socket.pinged = Some(now.mono);
        self.owe(out, now);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    /// A websocket without a word yet.
    fn socket(now: Now) -> Conn {
        let mut conn = Conn::new(now);
        conn.received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", now);
        assert!(conn.take_request().is_some());
        conn.upgrade("", &[], 100, now);
        conn.sent(conn.owed().len(), now);
        conn
    }

    /// Lets time come to its next deadline, and gives how long that takes.
    fn next(conn: &mut Conn, now: &mut Now) -> u64 {
        let due = conn.deadline().expect("it waits").saturating_duration_since(now.mono);
        *now = now.plus(due);
        conn.on_time(*now);
        conn.sent(conn.owed().len(), *now);
        due.as_secs()
    }

    /// A connection that waits for the answer to this request.
    fn asking(request: &str, now: Now) -> Conn {
        let mut conn = Conn::new(now);
        conn.received(request.as_bytes(), now);
        assert!(conn.take_request().is_some());
        conn
    }

    #[test]
    fn a_body_of_known_length_ends_with_it_and_no_other_is_taken_for_it() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut conn = asking(get, now);
        assert!(conn.begin_sized(Response::empty(200), 6, now));
        conn.ended(now);
        conn.send_piece(b"abc".to_vec(), now);
        assert!(!conn.is_finished() && conn.has_room());
        conn.send_piece(b"def".to_vec(), now);
        assert!(conn.owed().ends_with(b"Content-Length: 6\r\n\r\nabcdef"));
        conn.sent(conn.owed().len(), now);
        assert!(conn.is_finished(), "it has sent no more");
        // It may be kept for the next request, as with any answer.
        let mut conn = asking(get, now);
        assert!(conn.begin_sized(Response::empty(200), 1, now));
        conn.send_piece(b"a".to_vec(), now);
        conn.received(get.as_bytes(), now);
        assert!(conn.take_request().is_some());
        let mut conn = asking("GET / HTTP/1.0\r\n\r\n", now);
        assert!(conn.begin_sized(Response::empty(200), 1, now));
        conn.send_piece(b"a".to_vec(), now);
        conn.sent(conn.owed().len(), now);
        assert!(conn.is_finished());
        for (request, length) in [("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 5), (get, 0)] {
            let mut conn = asking(request, now);
            assert!(!conn.begin_sized(Response::empty(200), length, now));
            let text = format!("Content-Length: {length}\r\n\r\n");
            assert!(conn.owed().ends_with(text.as_bytes()));
        }
        for more in [&b"abcd"[..], b""] {
            let mut conn = asking(get, now);
            assert!(conn.begin_sized(Response::empty(200), 3, now));
            conn.send_piece(more.to_vec(), now);
            conn.break_off();
            assert!(conn.is_finished() && conn.owed().is_empty());
        }
    }

    #[test]
    fn what_is_sent_behind_a_request_for_a_long_body_waits() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut conn = asking("GET / HTTP/1.1\r\nHost: h\r\n\r\n", now);
        assert!(conn.begin_sized(Response::empty(200), 1, now));
        conn.received(&vec![b'x'; limits::HTTP_INPUT_AHEAD - 1], now);
        assert!(conn.wants_input());
        conn.received(b"xx", now);
        assert!(!conn.wants_input() && !conn.is_finished());
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let (ping, silence) = (limits::WS_PING.as_secs(), limits::LIVE_SILENCE.as_secs());
        let mut now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut conn = socket(now);
        assert_eq!(next(&mut conn, &mut now), ping);
        assert!(conn.awaits_sign() && conn.is_live());
        assert_eq!(next(&mut conn, &mut now), silence - ping);
        assert!(!conn.is_live());

        // One that is asked before its time has no less of it.
        let mut conn = socket(now);
        assert!(conn.probe(now) && conn.awaits_sign());
        conn.sent(conn.owed().len(), now);
        assert_eq!(next(&mut conn, &mut now), silence);
        assert!(!conn.is_live() && !conn.probe(now));

        // Nor has one that could not be asked in time, because we have slept.
        let mut conn = socket(now);
        now = now.plus(limits::LIVE_SILENCE * 2);
        conn.on_time(now);
        conn.sent(conn.owed().len(), now);
        assert!(conn.is_live());
        conn.on_time(now);
        assert!(conn.is_live());
        assert_eq!(next(&mut conn, &mut now), silence - ping);
        assert!(!conn.is_live());

        // Bytes are the sign.
        let mut conn = socket(now);
        assert!(conn.probe(now));
        conn.received(b"\x8a", now);
        assert!(!conn.awaits_sign());
    }
}
