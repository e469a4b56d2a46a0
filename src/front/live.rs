//! What a connection becomes when its answer does not end at once: a body that comes piece by piece,
//! or a websocket. Both are written to while [`Conn::has_room`], and end with their peer.

use std::time::Instant;

use super::conn::{Conn, State};
use super::response::{Asked, Response};
use crate::base::clock::Now;
use crate::base::limits;
use crate::wire::http::{write_chunk, write_last_chunk, write_switch, Extent, Method, Persistence};
use crate::wire::ws::{Heard, WebSocket};

/// An answer that goes on.
pub(super) struct Streaming {
    persistence: Persistence,
    chunked: bool,
}

/// A websocket.
pub(super) struct Socket {
    ws: WebSocket,
    /// When the peer last gave a sign of life.
    heard: Instant,
    /// Whether it was asked for one since.
    pinged: bool,
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

impl Conn {
    /// Answers the request that was taken with a head whose body follows in pieces. To HEAD there is
    /// no body, so the answer is complete; gives whether there is one.
    pub fn begin(&mut self, response: Response, now: Now) -> bool {
        let State::Answering(asked) = &self.state else { return false };
        if asked.method == Method::Head {
            let persistence = asked.persistence;
            let (head, _) = asked.begin(response, now.wall);
            self.owe(head, now);
            self.answered(persistence, now);
            return false;
        }
        let (head, extent) = asked.begin(response, now.wall);
        let chunked = extent == Extent::Chunked;
        let persistence = if chunked { asked.persistence } else { Persistence::Close };
        self.state = State::Streaming(Streaming { persistence, chunked });
        self.owe(head, now);
        // A client that has ended its own side cannot be told from one that is gone.
        self.close_if_ended();
        true
    }

    /// Adds a piece to the body that goes on.
    pub fn stream(&mut self, pieces: &[&[u8]], now: Now) {
        let State::Streaming(streaming) = &self.state else { return };
        if pieces.iter().all(|piece| piece.is_empty()) {
            return;
        }
        let mut bytes = Vec::new();
        if streaming.chunked {
            write_chunk(pieces, &mut bytes);
        } else {
            bytes = pieces.concat();
        }
        self.owe(bytes, now);
    }

    /// The body that went on is complete.
    pub fn end_stream(&mut self, now: Now) {
        self.end_stream_with(&[], now);
    }

    /// The body that went on is complete; trailers reach clients of HTTP/1.1 only.
    pub fn end_stream_with(&mut self, trailers: &[(&'static str, String)], now: Now) {
        let State::Streaming(Streaming { persistence, chunked }) = self.state else { return };
        if chunked {
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
        if !matches!(self.state, State::Answering(Asked { .. })) {
            return;
        }
        let mut head = Vec::new();
        write_switch(accept, headers, &mut head);
        let socket = Socket { ws: WebSocket::server(longest), heard: now.mono, pinged: false };
        self.state = State::Socket(Box::new(socket));
        self.owe(head, now);
        self.close_if_ended();
    }

    /// The next message of the websocket. Nothing is read while too much is owed, so that a peer that
    /// asks and does not read is not served for ever.
    pub fn hear(&mut self, now: Now) -> Option<Heard> {
        loop {
            if self.owed.len() > limits::HTTP_OUTPUT_PAUSE {
                return None;
            }
            let State::Socket(socket) = &mut self.state else { return None };
            let mut out = Vec::new();
            let heard = socket.ws.hear(&mut self.input, &mut out)?;
            if !out.is_empty() {
                self.owe(out, now);
            }
            match heard {
                Heard::Sign => {}
                Heard::Close | Heard::Over => {
                    self.end_socket(now);
                    return Some(heard);
                }
                Heard::Text(_) | Heard::Binary(_) => return Some(heard),
            }
        }
    }

    /// Says something on the websocket.
    pub fn say(&mut self, what: Say<'_>, now: Now) {
        let State::Socket(socket) = &mut self.state else { return };
        let mut out = Vec::new();
        match what {
            Say::Text(text) => socket.ws.text(text, &mut out),
            Say::Pieces(pieces) => socket.ws.text_of(pieces, &mut out),
            Say::Binary(bytes) => socket.ws.binary(bytes, &mut out),
            Say::Close(code, reason) => socket.ws.close(code, reason, &mut out),
        }
        let closed = socket.ws.is_closing();
        if !out.is_empty() {
            self.owe(out, now);
        }
        if closed {
            self.end_socket(now);
        }
    }

    /// Whether what goes on may be added to: not too much is owed, and the peer is there.
    pub fn has_room(&self) -> bool {
        self.is_live() && self.owed.len() <= limits::HTTP_OUTPUT_PAUSE
    }

    /// Whether it is a stream or a websocket.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Streaming(_) | State::Socket(_))
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

    pub(super) fn socket_deadline(&self) -> Instant {
        match &self.state {
            State::Socket(socket) if socket.pinged => socket.heard + limits::LIVE_SILENCE,
            State::Socket(socket) => socket.heard + limits::WS_PING,
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Body(_)
            | State::Ready(_)
            | State::Answering(_)
            | State::Streaming(_)
            | State::Discarding { .. }
            | State::Closed => self.since,
        }
    }

    /// Bytes of a websocket's peer are signs of life, whenever they are read.
    pub(super) fn note_life(&mut self, now: Now) {
        if let State::Socket(socket) = &mut self.state {
            socket.heard = now.mono;
            socket.pinged = false;
        }
    }

    /// Asks a silent peer for a sign of life, and gives up one that was asked.
    pub(super) fn look_after_socket(&mut self, now: Now) {
        if self.input.len() >= limits::HTTP_INPUT_AHEAD {
            // It is we who do not listen.
            return self.note_life(now);
        }
        let State::Socket(socket) = &mut self.state else { return };
        if socket.pinged {
            self.close();
            return;
        }
        socket.pinged = true;
        let mut out = Vec::new();
        socket.ws.ping(&mut out);
        self.owe(out, now);
    }
}
