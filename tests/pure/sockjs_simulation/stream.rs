//! What a client makes of the bytes that it gets: whole responses, the pieces of one that goes on, and
//! the frames of a websocket.

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// A complete response.
    Answer(u16, String),
    /// A piece of a response that goes on.
    Piece(String),
    /// That response is over.
    End,
    /// It is a websocket now.
    Switched,
    /// A text on it.
    Text(String),
    /// Its end.
    Close,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Chunks,
    Frames,
}

/// The bytes of one connection.
#[derive(Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    state: State,
}

impl Stream {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole thing.
    pub(super) fn next(&mut self) -> Option<Got> {
        match self.state {
            State::Head => self.response(),
            State::Chunks => self.chunk(),
            State::Frames => self.frame(),
        }
    }

    fn response(&mut self) -> Option<Got> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.bytes[..end].to_vec()).expect("text");
        let status: u16 = head.get(9..12).expect("a status").parse().expect("a status");
        let value =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if status == 101 {
            self.state = State::Frames;
            self.bytes.drain(..end);
            return Some(Got::Switched);
        }
        if value("Transfer-Encoding: ").is_some() {
            self.state = State::Chunks;
            self.bytes.drain(..end);
            return self.chunk();
        }
        let length = value("Content-Length: ").map_or(0, |text| text.parse().expect("a length"));
        let body = self.bytes.get(end..end + length)?;
        let body = String::from_utf8(body.to_vec()).expect("text");
        self.bytes.drain(..end + length);
        Some(Got::Answer(status, body))
    }

    fn chunk(&mut self) -> Option<Got> {
        let line = self.bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&self.bytes[..line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let piece = self.bytes.get(line + 2..line + 2 + size + 2)?;
        let piece = String::from_utf8(piece[..size].to_vec()).expect("text");
        self.bytes.drain(..line + 2 + size + 2);
        if size == 0 {
            self.state = State::Head;
            return Some(Got::End);
        }
        Some(Got::Piece(piece))
    }

    fn frame(&mut self) -> Option<Got> {
        loop {
            let (length, start) = match *self.bytes.get(1)? {
                126 => (usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?)), 4),
                127 => {
                    let length = u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?);
                    (usize::try_from(length).expect("what memory holds"), 10)
                }
                length => (usize::from(length), 2),
            };
            let payload = self.bytes.get(start..start + length)?.to_vec();
            let opcode = self.bytes[0] & 0x0f;
            self.bytes.drain(..start + length);
            match opcode {
                1 => return Some(Got::Text(String::from_utf8(payload).expect("text"))),
                8 => return Some(Got::Close),
                9 | 10 => {}
                other => panic!("nobody says {other}"),
            }
        }
    }
}
