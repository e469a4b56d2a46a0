//! One HTTP connection as a byte machine: bytes and the time come in, requests go out, answers come
//! in, and bytes are owed to the peer.
//!
//! The ideas: one request at a time, in order, however many lie in the buffer. A request that cannot
//! be read is answered here, and then the connection ends, because its framing is lost. What the
//! peer sends and how it is cut decides nothing that time does not. A connection that waits holds no
//! buffer.
//!
//! The shell feeds [`Conn::received`] while [`Conn::wants_input`], sends [`Conn::owed`], shuts its
//! writing side down when [`Conn::output_ended`], and closes when [`Conn::is_finished`]. After every
//! input there may be a request to take.

use std::time::{Duration, Instant};

use super::live::{Purpose, Socket, Streaming};
use super::request::Request;
use super::response::{Asked, Response};
use crate::base::bytes::Outbound;
use crate::base::clock::Now;
use crate::base::limits;
use crate::wire::http::{BodyReader, Head, HeadReader, Method, Persistence, Refusal};

/// One connection.
pub struct Conn {
    pub(super) state: State,
    /// When the state, or its window of measurement, began.
    pub(super) since: Instant,
    /// What has come and belongs to no finished request yet.
    pub(super) input: Vec<u8>,
    pub(super) owed: Outbound,
    /// When the peer last took output, or came to be owed some.
    pub(super) moved: Instant,
    /// Whether the peer has ended its side.
    ended: bool,
}

/// What a connection is doing. Each state has the data that makes sense in it and no other.
pub(super) enum State {
    /// Nothing has ever come.
    Fresh,
    /// Between two requests.
    Idle,
    /// A head is coming.
    Head(HeadReader),
    /// A body is coming.
    Body(Box<Reading>),
    /// A request is complete and waits to be taken.
    Ready(Box<(Request, Asked)>),
    /// It has been taken; its answer is awaited.
    Answering(Asked),
    /// Its answer has begun and goes on, piece by piece.
    Streaming(Streaming),
    /// It has become a websocket.
    Socket(Box<Socket>),
    /// The last answer is given. Input is discarded, so that the peer sees it and not a reset.
    Discarding {
        /// Bytes that will still be discarded.
        left: usize,
    },
    /// Over, once nothing is owed.
    Closed,
}

/// A request whose body is coming.
pub(super) struct Reading {
    head: Head,
    reader: BodyReader,
    pub(super) body: Vec<u8>,
    /// Its length when the window of measurement began.
    before: usize,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Conn {
    /// A connection just accepted.
    pub fn new(now: Now) -> Self {
        Self {
            state: State::Fresh,
            since: now.mono,
            input: Vec::new(),
            owed: Outbound::default(),
            moved: now.mono,
            ended: false,
        }
    }

    /// Bytes have come. They are taken even when they were not wanted.
    pub fn received(&mut self, bytes: &[u8], now: Now) {
        match &mut self.state {
            State::Closed => {}
            State::Discarding { left } => match left.checked_sub(bytes.len()) {
                Some(rest) => *left = rest,
                None => self.close(),
            },
            // What goes on may never end, and unread requests behind it would hide the client's end.
            State::Streaming(streaming)
                if streaming.is_endless()
                    && self.input.len() + bytes.len() > limits::HTTP_INPUT_AHEAD =>
            {
                self.close();
            }
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Streaming(_)
            | State::Socket(_) => {
                self.input.extend_from_slice(bytes);
                self.note_life(now);
                self.advance(now);
            }
        }
    }

    /// The peer has ended its side. Complete requests are still answered; a partial one is dropped.
    pub fn ended(&mut self, now: Now) {
        self.ended = true;
        match &self.state {
            // Whoever reads what does not end, and ends its own side, is gone.
            State::Streaming(streaming) if streaming.is_endless() => self.close(),
            State::Discarding { .. } | State::Socket(_) => self.close(),
            State::Streaming(_)
            | State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Closed => {}
        }
        self.advance(now);
    }

    /// The next complete request. There is none while another one is being answered.
    pub fn take_request(&mut self) -> Option<Request> {
        if !matches!(self.state, State::Ready(_)) {
            return None;
        }
        let State::Ready(ready) = std::mem::replace(&mut self.state, State::Closed) else {
            return None;
        };
        let (request, asked) = *ready;
        self.state = State::Answering(asked);
        Some(request)
    }

    /// The answer to the request that was taken. Dropped if the connection has ended since.
    pub fn answer(&mut self, response: Response, now: Now) {
        let State::Answering(asked) = &self.state else { return };
        let persistence = asked.persistence;
        let bytes = asked.answer(response, now.wall);
        self.owe(bytes, now);
        self.answered(persistence, now);
    }

    /// An answer is complete: the next request may come, or the end.
    pub(super) fn answered(&mut self, persistence: Persistence, now: Now) {
        self.since = now.mono;
        if persistence != Persistence::Close {
            self.state = State::Idle;
            self.advance(now);
        } else if self.input.is_empty() {
            self.close();
        } else {
            self.discard();
        }
    }

    /// What is owed to the peer, oldest first.
    pub fn owed(&self) -> &[u8] {
        self.owed.pending()
    }

    /// The kernel took `n` bytes of what was owed.
    pub fn sent(&mut self, n: usize, now: Now) {
        if n == 0 {
            return;
        }
        self.moved = now.mono;
        self.owed.advance(n);
        if self.owed.is_empty() {
            self.owed = Outbound::default();
            if matches!(self.state, State::Idle) {
                self.since = now.mono;
            }
        }
        self.advance(now);
    }

    /// Whether the shell should read from the peer now.
    pub fn wants_input(&self) -> bool {
        if self.ended || self.owed.len() > limits::HTTP_OUTPUT_PAUSE {
            return false;
        }
        match &self.state {
            State::Closed => false,
            State::Streaming(streaming) if streaming.is_endless() => true,
            State::Streaming(_) | State::Ready(_) | State::Answering(_) | State::Socket(_) => {
                self.input.len() < limits::HTTP_INPUT_AHEAD
            }
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Discarding { .. } => true,
        }
    }

    /// When [`Conn::on_time`] is to be called, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.output_deadline(), self.state_deadline()) {
            (Some(output), Some(state)) => Some(output.min(state)),
            (output, state) => output.or(state),
        }
    }

    /// The time has come, or is near: nothing happens before the deadline.
    pub fn on_time(&mut self, now: Now) {
        if self.output_deadline().is_some_and(|due| due <= now.mono) {
            self.give_up();
            return;
        }
        if self.state_deadline().is_none_or(|due| due > now.mono) {
            return;
        }
        match &mut self.state {
            State::Fresh | State::Idle | State::Discarding { .. } => self.close(),
            State::Head(_) => self.refuse(Refusal::HeadSlow, Method::Get, now),
            State::Body(reading) => {
                if reading.body.len() - reading.before >= limits::HTTP_BODY_PER_WINDOW {
                    reading.before = reading.body.len();
                    self.since = now.mono;
                } else {
                    let method = reading.head.method;
                    self.refuse(Refusal::BodySlow, method, now);
                }
            }
            State::Socket(_) => self.look_after_socket(now),
            State::Ready(_) | State::Answering(_) | State::Streaming(_) | State::Closed => {}
        }
    }

    /// Whether all that will ever be owed has been sent: the time to shut down the writing side.
    pub fn output_ended(&self) -> bool {
        self.owed.is_empty() && matches!(self.state, State::Discarding { .. } | State::Closed)
    }

    /// Whether there is nothing more to send or read: the time to close.
    pub fn is_finished(&self) -> bool {
        self.owed.is_empty() && matches!(self.state, State::Closed)
    }

    /// Whether the client has ended its own side.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn output_deadline(&self) -> Option<Instant> {
        let patience = match self.purpose() {
            Purpose::Feed | Purpose::Websocket => limits::LIVE_SILENCE,
            Purpose::Requests => limits::HTTP_OUTPUT_TIME,
        };
        (!self.owed.is_empty()).then(|| self.moved + patience)
    }

    fn state_deadline(&self) -> Option<Instant> {
        let patience: Duration = match self.state {
            State::Fresh => limits::HTTP_FIRST_BYTE,
            State::Idle if self.owed.is_empty() => limits::HTTP_KEEP_ALIVE,
            State::Head(_) => limits::HTTP_HEAD_TIME,
            State::Body(_) => limits::HTTP_BODY_WINDOW,
            State::Discarding { .. } => limits::HTTP_DISCARD_TIME,
            State::Socket(_) => return self.socket_deadline(),
            State::Idle
            | State::Ready(_)
            | State::Answering(_)
            | State::Streaming(_)
            | State::Closed => return None,
        };
        Some(self.since + patience)
    }

    /// Goes on with what has come, until a request is complete or more is needed. The next request
    /// is not begun while too much output is owed: its deadline would run while nobody reads it.
    fn advance(&mut self, now: Now) {
        loop {
            match &mut self.state {
                State::Fresh | State::Idle => {
                    if self.owed.len() > limits::HTTP_OUTPUT_PAUSE {
                        return;
                    }
                    if self.input.is_empty() {
                        break;
                    }
                    self.state = State::Head(HeadReader::default());
                    self.since = now.mono;
                }
                State::Head(reader) => match reader.read(&self.input) {
                    Ok(Some((head, used))) => {
                        self.consume(used);
                        self.head_read(*head, now);
                    }
                    Ok(None) => break,
                    Err(refusal) => return self.refuse(refusal, Method::Get, now),
                },
                State::Body(reading) => {
                    match reading.reader.read(&self.input, &mut reading.body) {
                        Ok(used) => self.consume(used),
                        Err(refusal) => {
                            let method = reading.head.method;
                            return self.refuse(refusal, method, now);
                        }
                    }
                    if !self.end_body() {
                        break;
                    }
                }
                State::Socket(_) => return self.hear_out(now),
                State::Ready(_)
                | State::Answering(_)
                | State::Streaming(_)
                | State::Discarding { .. }
                | State::Closed => return,
            }
        }
        if self.ended {
            self.close();
        }
    }

    /// A head is complete.
    fn head_read(&mut self, head: Head, now: Now) {
        match BodyReader::new(head.framing, limits::HTTP_BODY) {
            Err(refusal) => self.refuse(refusal, head.method, now),
            Ok(None) => self.ready(head, Vec::new()),
            Ok(Some(reader)) => {
                // Always, even if the body has begun to come: how the bytes were cut decides
                // nothing.
                if head.expects_continue {
                    self.owe(CONTINUE.to_vec(), now);
                }
                self.since = now.mono;
                let reading = Reading { head, reader, body: Vec::new(), before: 0 };
                self.state = State::Body(Box::new(reading));
            }
        }
    }

    /// Makes a request of a body that is complete.
    fn end_body(&mut self) -> bool {
        if !matches!(&self.state, State::Body(reading) if reading.reader.is_done()) {
            return false;
        }
        let State::Body(reading) = std::mem::replace(&mut self.state, State::Closed) else {
            return false;
        };
        let Reading { head, body, .. } = *reading;
        self.ready(head, body);
        true
    }

    fn ready(&mut self, head: Head, body: Vec<u8>) {
        let asked = Asked::by(&head);
        self.state = State::Ready(Box::new((Request::new(head, body), asked)));
    }

    /// Answers a request that cannot be read, and ends.
    fn refuse(&mut self, refusal: Refusal, method: Method, now: Now) {
        let response = Response::error(refusal.status(), Some(&refusal.to_string()));
        let bytes = Asked::unread(method).answer(response, now.wall);
        self.owe(bytes, now);
        self.since = now.mono;
        self.discard();
    }

    /// Drops what has come, and what comes for a while.
    pub(super) fn discard(&mut self) {
        self.input = Vec::new();
        self.state = if self.ended {
            State::Closed
        } else {
            State::Discarding { left: limits::HTTP_DISCARD }
        };
    }

    pub(super) fn close(&mut self) {
        self.input = Vec::new();
        self.state = State::Closed;
    }

    /// Closes, and drops what the peer does not take.
    pub fn give_up(&mut self) {
        self.close();
        self.owed = Outbound::default();
    }

    pub(super) fn owe(&mut self, bytes: Vec<u8>, now: Now) {
        if self.owed.is_empty() {
            self.moved = now.mono;
        }
        self.owed.push_owned(bytes);
    }

    fn consume(&mut self, n: usize) {
        if n >= self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..n);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    const POST: &[u8] = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 30000\r\n\r\n";

    fn start() -> Now {
        Now { mono: Instant::now(), wall: UNIX_EPOCH }
    }

    fn text(conn: &Conn) -> String {
        String::from_utf8(conn.owed().to_vec()).unwrap()
    }

    fn send_all(conn: &mut Conn, now: Now) -> String {
        let sent = text(conn);
        conn.sent(sent.len(), now);
        sent
    }

    /// A connection whose deadline is this far away.
    fn waits(conn: &Conn, now: Now, patience: Duration) {
        assert_eq!(conn.deadline(), Some(now.mono + patience));
    }

    fn refused(conn: &mut Conn, now: Now, status: u16) {
        let answer = send_all(conn, now);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert!(conn.take_request().is_none());
        assert!(conn.output_ended() && !conn.is_finished());
        assert_eq!(conn.input.capacity(), 0);
    }

    #[test]
    fn an_idle_connection_holds_no_memory() {
        let now = start();
        let mut conn = Conn::new(now);
        conn.received(&[GET, GET].concat(), now);
        for _ in 0..2 {
            assert_eq!(conn.take_request().expect("complete").path, "/a");
            assert!(conn.take_request().is_none());
            conn.answer(Response::text(200, "x".repeat(1000)), now);
        }
        send_all(&mut conn, now);
        assert!(matches!(conn.state, State::Idle));
        assert_eq!((conn.input.capacity(), conn.owed.capacity()), (0, 0));
        let size = size_of::<Conn>();
        assert!(size <= 256, "{size} bytes");
    }

    #[test]
    fn an_answer_to_nothing_is_dropped() {
        let now = start();
        let mut conn = Conn::new(now);
        conn.answer(Response::empty(200), now);
        conn.received(GET, now);
        conn.answer(Response::empty(200), now);
        assert_eq!(text(&conn), "");
        assert!(conn.take_request().is_some());
    }

    #[test]
    fn a_half_close_drops_a_partial_request_and_answers_a_complete_one() {
        let now = start();
        for partial in [&b""[..], b"\r\n", b"GET / HT", POST] {
            let mut conn = Conn::new(now);
            conn.received(partial, now);
            assert!(!conn.is_finished());
            conn.ended(now);
            assert!(conn.is_finished() && !conn.wants_input());
        }
        let mut conn = Conn::new(now);
        conn.received(&[GET, GET, b"GET"].concat(), now);
        conn.ended(now);
        for _ in 0..2 {
            assert!(!conn.is_finished() && !conn.wants_input());
            assert!(conn.take_request().is_some());
            conn.answer(Response::empty(200), now);
        }
        assert!(!conn.is_finished());
        send_all(&mut conn, now);
        assert!(conn.is_finished() && conn.output_ended());
    }

    #[test]
    fn a_silent_connection_is_closed_silently() {
        let now = start();
        let mut conn = Conn::new(now);
        waits(&conn, now, limits::HTTP_FIRST_BYTE);
        conn.on_time(now.plus(limits::HTTP_FIRST_BYTE - Duration::from_nanos(1)));
        assert!(!conn.is_finished());
        conn.on_time(now.plus(limits::HTTP_FIRST_BYTE));
        assert!(conn.is_finished());

        let mut conn = Conn::new(now);
        conn.received(GET, now);
        assert!(conn.take_request().is_some());
        assert_eq!(conn.deadline(), None, "an answer may take its time");
        conn.answer(Response::empty(200), now);
        let later = now.plus(Duration::from_secs(3));
        send_all(&mut conn, later);
        waits(&conn, later, limits::HTTP_KEEP_ALIVE);
        conn.on_time(later.plus(limits::HTTP_KEEP_ALIVE));
        assert!(conn.is_finished());
    }

    #[test]
    fn a_dripping_head_is_refused() {
        let now = start();
        let mut conn = Conn::new(now);
        conn.received(b"G", now);
        let later = now.plus(limits::HTTP_HEAD_TIME - Duration::from_millis(1));
        conn.received(b"ET / ", later);
        waits(&conn, now, limits::HTTP_HEAD_TIME);
        conn.on_time(later);
        assert!(conn.owed().is_empty());
        conn.on_time(now.plus(limits::HTTP_HEAD_TIME));
        refused(&mut conn, later, 408);
    }

    #[test]
    fn a_body_must_keep_its_pace() {
        let now = start();
        let full = limits::HTTP_BODY_PER_WINDOW;
        for (second, slow) in [(full, false), (full - 1, true)] {
            let mut conn = Conn::new(now);
            let before = now.plus(limits::HTTP_FIRST_BYTE);
            let now = before.plus(limits::HTTP_HEAD_TIME);
            conn.received(b"\r\n", before);
            conn.received(POST, now);
            conn.received(&vec![b'x'; full], now);
            waits(&conn, now, limits::HTTP_BODY_WINDOW);
            let next = now.plus(limits::HTTP_BODY_WINDOW);
            conn.on_time(next);
            waits(&conn, next, limits::HTTP_BODY_WINDOW);
            conn.received(&vec![b'x'; second], next);
            conn.on_time(next.plus(limits::HTTP_BODY_WINDOW));
            if slow {
                refused(&mut conn, next, 408);
            } else {
                assert!(conn.owed().is_empty());
            }
        }
    }

    #[test]
    fn a_peer_that_takes_nothing_is_dropped_and_one_that_takes_a_little_is_not() {
        let now = start();
        let mut conn = Conn::new(now);
        conn.received(GET, now);
        assert!(conn.take_request().is_some());
        let now = now.plus(Duration::from_secs(30));
        conn.answer(Response::text(200, "abc"), now);
        waits(&conn, now, limits::HTTP_OUTPUT_TIME);
        let later = now.plus(limits::HTTP_OUTPUT_TIME - Duration::from_secs(1));
        conn.sent(0, later);
        waits(&conn, now, limits::HTTP_OUTPUT_TIME);
        conn.sent(1, later);
        waits(&conn, later, limits::HTTP_OUTPUT_TIME);
        conn.on_time(now.plus(limits::HTTP_OUTPUT_TIME));
        assert!(!conn.owed().is_empty());
        conn.on_time(later.plus(limits::HTTP_OUTPUT_TIME));
        assert!(conn.is_finished());
    }

    #[test]
    fn a_refused_peer_is_listened_to_for_a_while() {
        let now = start();
        let refuse = || {
            let mut conn = Conn::new(now);
            conn.received(b"\0", now);
            refused(&mut conn, now, 400);
            assert!(conn.wants_input());
            conn
        };
        let mut conn = refuse();
        conn.received(&vec![b'x'; limits::HTTP_DISCARD], now);
        assert!(!conn.is_finished());
        conn.received(b"x", now);
        assert!(conn.is_finished());

        let mut conn = refuse();
        conn.ended(now);
        assert!(conn.is_finished());

        let mut conn = refuse();
        waits(&conn, now, limits::HTTP_DISCARD_TIME);
        conn.on_time(now.plus(limits::HTTP_DISCARD_TIME));
        assert!(conn.is_finished());
    }

    #[test]
    fn a_connection_is_not_read_while_too_much_lies_in_either_direction() {
        let now = start();
        let mut conn = Conn::new(now);
        conn.received(GET, now);
        let ahead = [GET, &vec![b'x'; limits::HTTP_INPUT_AHEAD - 1 - GET.len()]].concat();
        conn.received(&ahead, now);
        assert!(conn.wants_input());
        conn.received(b"x", now);
        assert!(!conn.wants_input());

        assert!(conn.take_request().is_some());
        conn.answer(Response::text(200, "x".repeat(limits::HTTP_OUTPUT_PAUSE)), now);
        assert!(!conn.wants_input());
        assert!(conn.take_request().is_none(), "the next request waits");
        let over = conn.owed().len() - limits::HTTP_OUTPUT_PAUSE;
        conn.sent(over - 1, now);
        assert!(!conn.wants_input() && conn.take_request().is_none());
        let later = now.plus(Duration::from_secs(9));
        conn.sent(1, later);
        assert!(conn.take_request().is_some());
        conn.answer(Response::empty(200), later);
        assert!(!conn.wants_input());
        send_all(&mut conn, later);
        assert!(conn.wants_input());
        assert!(text(&conn).starts_with("HTTP/1.1 501 "), "what lay ahead is read at last");
    }

    #[test]
    fn a_client_behind_what_goes_on_is_read_so_that_its_end_is_seen() {
        let now = start();
        let following = |ahead: usize| {
            let mut conn = Conn::new(now);
            conn.received(GET, now);
            assert!(conn.take_request().is_some() && conn.begin(Response::empty(200), now));
            conn.received(&vec![b'x'; ahead], now);
            conn
        };
        let mut conn = following(limits::HTTP_INPUT_AHEAD);
        assert!(conn.is_live() && conn.wants_input());
        conn.ended(now);
        assert!(!conn.is_live());
        assert!(!following(limits::HTTP_INPUT_AHEAD + 1).is_live());
    }

    #[test]
    fn a_body_is_taken_up_to_its_limit() {
        let now = start();
        let post = "POST / HTTP/1.1\r\nHost: h\r\n";
        let most = limits::HTTP_BODY;
        let mut conn = Conn::new(now);
        conn.received(format!("{post}Content-Length: {most}\r\n\r\n").as_bytes(), now);
        conn.received(&vec![b'x'; most], now);
        assert_eq!(conn.take_request().expect("complete").body.len(), most);
        let mut conn = Conn::new(now);
        conn.received(format!("{post}Content-Length: {}\r\n\r\n", most + 1).as_bytes(), now);
        refused(&mut conn, now, 413);

        let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
        for (length, status) in [(most, 200), (most + 1, 413)] {
            let mut conn = Conn::new(now);
            conn.received(format!("{chunked}{length:x}\r\n").as_bytes(), now);
            if status == 413 {
                refused(&mut conn, now, 413);
            } else {
                conn.received(&vec![b'x'; length], now);
                conn.received(b"\r\n0\r\n\r\n", now);
                assert_eq!(conn.take_request().expect("complete").body.len(), length);
            }
        }
    }

    #[test]
    fn a_refusal_to_head_has_no_body() {
        let now = start();
        let mut conn = Conn::new(now);
        let length = limits::HTTP_BODY + 1;
        let head = format!("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        conn.received(head.as_bytes(), now);
        assert!(text(&conn).ends_with("\r\n\r\n"), "{}", text(&conn));
        refused(&mut conn, now, 413);
    }
}
