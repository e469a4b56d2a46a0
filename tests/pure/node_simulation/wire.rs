//! One connection of a fake client as its client sees it: what it has not sent yet, how it sends and
//! reads, and what came, taken apart into heads, bodies, chunks and the frames of websockets.

use std::collections::VecDeque;

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::random::Random;
use gaffer::front::peer::Peer;
use gaffer::node::gaffer::Gaffer;
use gaffer::node::machine::Machine;

use super::clients::find;
use crate::ws_client::{self, Said};

/// How a client sends and reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Habit {
    /// All it can.
    Plain,
    /// Byte by byte.
    Dripping,
    /// It reads now and then.
    Lazy,
    /// It reads nothing for long.
    Deaf,
}

/// Something whole that came.
#[derive(Debug)]
pub(crate) enum Got {
    /// An answer with its body.
    Answer(u16, Vec<u8>),
    /// An answer goes on, or a websocket begins.
    Begun(u16),
    Chunk(Vec<u8>),
    /// The last chunk came, with these trailers.
    End(String),
    Said(Said),
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Heads,
    Chunks,
    Socket,
}

/// A connection.
pub(crate) struct Wire {
    pub(crate) conn: ConnId,
    pub(crate) habit: Habit,
    unsent: VecDeque<u8>,
    input: Vec<u8>,
    mode: Mode,
    /// The node has closed it, or the client has.
    pub(crate) closed: bool,
    half_closed: bool,
}

impl Wire {
    /// Connects, if the node lets it.
    pub(crate) fn connect(node: &mut Gaffer, habit: Habit, now: Now) -> Option<Self> {
        let conn = node.accepted(Peer::Unix { uid: Some(7) }, now)?;
        let (unsent, input) = (VecDeque::new(), Vec::new());
        let mode = Mode::Heads;
        Some(Self { conn, habit, unsent, input, mode, closed: false, half_closed: false })
    }

    /// Wants to send this.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    /// Whether all has been sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends some of what it wants to.
    pub(crate) fn send(&mut self, node: &mut Gaffer, random: &mut Random, now: Now) {
        if self.closed || self.half_closed || !node.wants_input(self.conn) {
            return;
        }
        let most = match self.habit {
            Habit::Dripping => random.below(60),
            Habit::Plain | Habit::Lazy | Habit::Deaf => {
                1 + random.below(400) + 60_000 * u64::from(self.unsent.len() > 10_000)
            }
        };
        let count = usize::try_from(most).expect("small").min(self.unsent.len());
        let bytes: Vec<u8> = self.unsent.drain(..count).collect();
        let piece = if self.habit == Habit::Dripping { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(piece) {
            node.received(self.conn, piece, now);
        }
    }

    /// Reads some of what it is owed, and notices the end of the connection.
    pub(crate) fn read(&mut self, node: &mut Gaffer, random: &mut Random, now: Now) {
        if self.closed {
            return;
        }
        let owed = node.transmit(self.conn);
        let take = match self.habit {
            Habit::Plain => owed.len(),
            Habit::Dripping => owed.len().min(1 + usize::from(random.below(4) == 0) * 500),
            Habit::Lazy if random.below(8) > 0 => 0,
            Habit::Deaf if random.below(200) > 0 => 0,
            Habit::Lazy | Habit::Deaf => owed.len(),
        };
        self.input.extend_from_slice(&owed[..take]);
        if take > 0 {
            node.sent(self.conn, take, now);
        }
        if node.transmit(self.conn).is_empty() && node.is_finished(self.conn) {
            self.vanish(node, now);
        }
    }

    /// Ends its own side.
    pub(crate) fn half_close(&mut self, node: &mut Gaffer, now: Now) {
        if !self.closed && !self.half_closed {
            self.half_closed = true;
            node.input_ended(self.conn, now);
        }
    }

    /// Is gone.
    pub(crate) fn vanish(&mut self, node: &mut Gaffer, now: Now) {
        if !self.closed {
            self.closed = true;
            node.closed(self.conn, now);
        }
    }

    /// The next whole thing that came.
    pub(crate) fn next(&mut self) -> Option<Got> {
        match self.mode {
            Mode::Heads => self.next_head(),
            Mode::Chunks => self.next_chunk(),
            Mode::Socket => ws_client::take(&mut self.input).map(Got::Said),
        }
    }

    fn next_head(&mut self) -> Option<Got> {
        let end = find(&self.input, b"\r\n\r\n")?;
        let head = String::from_utf8(self.input[..end].to_vec()).expect("heads are text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.expect("a status");
        let begun = if status == 101 {
            Some(Mode::Socket)
        } else {
            head.contains("\r\nTransfer-Encoding: chunked").then_some(Mode::Chunks)
        };
        if let Some(mode) = begun {
            self.mode = mode;
            self.input.drain(..end + 4);
            return Some(Got::Begun(status));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let whole = end + 4 + length.map_or(0, |length| length.parse().expect("a length"));
        if self.input.len() < whole {
            return None;
        }
        let body = self.input.drain(..whole).skip(end + 4).collect();
        Some(Got::Answer(status, body))
    }

    fn next_chunk(&mut self) -> Option<Got> {
        let end = find(&self.input, b"\r\n")?;
        let length = std::str::from_utf8(&self.input[..end]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length > 0 {
            let whole = end + 2 + length + 2;
            if self.input.len() < whole {
                return None;
            }
            let chunk: Vec<u8> = self.input.drain(..whole).skip(end + 2).take(length).collect();
            return Some(Got::Chunk(chunk));
        }
        let behind = find(&self.input, b"\r\n\r\n")? + 4;
        let last: Vec<u8> = self.input.drain(..behind).collect();
        self.mode = Mode::Heads;
        Some(Got::End(String::from_utf8(last).expect("text")))
    }
}
