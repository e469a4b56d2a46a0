//! Clients of whoever is measured, that cost little themselves: one that asks and waits, and one that reads what a
//! websocket says.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;

/// A client on a connection that is kept.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not given away.
    unread: Range<usize>,
}

/// What a request is answered with.
pub(crate) struct Answer<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: vec![0; 65_536], unread: 0..0 }
    }

    /// Sends one request or several, each of which is answered.
    pub(crate) fn send(&mut self, requests: &str) {
        self.stream.write_all(requests.as_bytes()).expect("sent");
    }

    /// Reads one answer, which says that all is well.
    pub(crate) fn answer(&mut self) -> Answer<'_> {
        self.buffer.copy_within(self.unread.clone(), 0);
        let (mut have, mut ends) = (self.unread.len(), ends_of(&self.buffer[..self.unread.len()]));
        while ends.is_none_or(|(_, end)| have < end) {
            if have == self.buffer.len() {
                self.buffer.resize(2 * have, 0);
            }
            let count = self.stream.read(&mut self.buffer[have..]).expect("an answer");
            assert!(count > 0, "it went away");
            have += count;
            ends = ends.or_else(|| ends_of(&self.buffer[..have]));
        }
        let (head, end) = ends.expect("the loop ends with it");
        self.unread = end..have;
        let whole = &self.buffer[..end];
        assert!(whole.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(whole));
        Answer { whole, body: &whole[head..] }
    }

    /// Asks, and gives the answer.
    pub(crate) fn ask(&mut self, path: &str) -> Answer<'_> {
        self.send(&request("GET", path, ""));
        self.answer()
    }

    /// Whether the other end has neither closed nor said anything.
    pub(crate) fn is_idle(&mut self) -> bool {
        peek(&self.stream).is_none()
    }
}

/// Whether the other end has not closed.
pub(crate) fn is_there(stream: &TcpStream) -> bool {
    peek(stream) != Some(0)
}

/// What is there to be read: none if nothing is, and 0 at the end.
fn peek(stream: &TcpStream) -> Option<usize> {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    match peeked {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        peeked => Some(peeked.unwrap_or(0)),
    }
}

/// Where the head of an answer ends, and where the answer does, once the head is there.
fn ends_of(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).expect("a head").to_ascii_lowercase();
    let (_, rest) = text.split_once("content-length: ").expect("a length");
    let digits = rest.split("\r\n").next()?;
    Some((head, head + digits.trim().parse::<usize>().expect("a number")))
}

/// The text of a request.
pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n{body}")
}

/// A websocket whose messages are counted and looked into, but not read as JSON.
pub(crate) struct Websocket {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer is not counted yet.
    have: usize,
}

impl Websocket {
    /// Opens one at this path.
    pub(crate) fn new(address: &str, path: &str) -> Self {
        let mut websocket = Self::bare(address);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        websocket.stream.write_all(request.as_bytes()).expect("sent");
        let end = |bytes: &[u8]| bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let head = loop {
            websocket.read().expect("an answer");
            if let Some(head) = end(&websocket.buffer[..websocket.have]) {
                break head + 4;
            }
        };
        assert!(websocket.buffer.starts_with(b"HTTP/1.1 101"), "it becomes a websocket");
        websocket.drop_front(head);
        websocket
    }

    /// A connection on which the other end sends frames at once.
    pub(crate) fn bare(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: vec![0; 65_536], have: 0 }
    }

    /// Says this. The mask is zero, with which a text is as it is.
    pub(crate) fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
        let length = length.expect("a short text");
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.stream.write_all(&frame).expect("sent");
    }

    /// Follows a topic on the channel, and waits until it does.
    pub(crate) fn follow(&mut self, topic: &str, wishes: &str) {
        self.say(&format!(r#"{{"event":"SUB","data":{{"topic":"{topic}"{wishes}}}}}"#));
        let mut answered = false;
        while !answered {
            self.hear(|message| answered |= contains(message, b"subscription_success"));
        }
    }

    /// Reads once, and tells of each message that is whole; how many were.
    pub(crate) fn hear(&mut self, mut tell: impl FnMut(&[u8])) -> usize {
        self.read().expect("frames");
        let (mut at, mut count) = (0, 0);
        while let Some((begin, end)) = payload(&self.buffer[at..self.have]) {
            assert!(self.buffer[at] == 0x81, "a text in one piece");
            tell(&self.buffer[at + begin..at + end]);
            (at, count) = (at + end, count + 1);
        }
        self.drop_front(at);
        count
    }

    /// Hears until one message is there, and how long its frame was.
    pub(crate) fn next(&mut self) -> usize {
        let mut length = 0;
        while self.hear(|message| length = frame_length(message.len())) == 0 {}
        length
    }

    /// Hears all that is there, where reading does not wait; how many messages that were.
    pub(crate) fn hear_all(&mut self, mut tell: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        loop {
            let mut byte = [0];
            match self.stream.peek(&mut byte) {
                Ok(0) => return count,
                Ok(_) => count += self.hear(&mut tell),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Whether the other end has neither closed nor said anything.
    pub(crate) fn is_idle(&mut self) -> bool {
        peek(&self.stream).is_none()
    }

    fn read(&mut self) -> std::io::Result<()> {
        if self.have == self.buffer.len() {
            self.buffer.resize(2 * self.have, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.have..])?;
        assert!(count > 0, "it went away");
        self.have += count;
        Ok(())
    }

    fn drop_front(&mut self, count: usize) {
        self.buffer.copy_within(count..self.have, 0);
        self.have -= count;
    }
}

/// Where the first frame has its payload, if it is whole.
fn payload(bytes: &[u8]) -> Option<(usize, usize)> {
    let number = |range| {
        let bytes: &[u8] = bytes.get(range)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let (begin, length) = match number(1..2)? {
        126 => (4, number(2..4)?),
        127 => (10, number(2..10)?),
        length => (2, length),
    };
    let end = begin + length;
    (bytes.len() >= end).then_some((begin, end))
}

fn frame_length(payload: usize) -> usize {
    payload + [2, 4, 10][usize::from(payload > 125) + usize::from(payload > 65_535)]
}

/// A text as a frame of a server, of this length in all.
pub(crate) fn frame(length: usize) -> Vec<u8> {
    let payload = (0..=length).rev().find(|payload| frame_length(*payload) <= length);
    let payload = payload.expect("a frame has two bytes");
    let mut frame = vec![0x81];
    match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(length @ 0..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload as u64).to_be_bytes());
        }
    }
    frame.resize(frame.len() + payload, b'x');
    frame
}

/// Whether these bytes stand somewhere in those.
pub(crate) fn contains(all: &[u8], some: &[u8]) -> bool {
    memchr::memmem::find(all, some).is_some()
}
