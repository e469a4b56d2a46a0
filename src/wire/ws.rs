//! Websockets (RFC 6455) over memory: the handshake's arithmetic, and the conversation behind it.
//! Bytes of the peer go in with [`WebSocket::hear`], what we owe it comes out in a buffer of the
//! caller's. Reading, and with it every rule about what a peer may send, is tungstenite's. Our own
//! frames are written here, because what is published goes to many peers from one shared text.

use std::io::{self, Read, Write};

use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{FrameHeader, Utf8Bytes};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::Message;

use super::http::{Headers, Method, Version};
use crate::base::limits;
use crate::base::random::Random;

/// One conversation, from its handshake on.
pub struct WebSocket {
    context: Box<WebSocketContext>,
    /// Makes the masks of a client's frames.
    masks: Option<Random>,
    /// We have sent our Close, or answered theirs: nothing of ours may follow.
    closing: bool,
    longest: usize,
    /// What was taken of a message that is not whole.
    begun: usize,
}

/// Head and mask of a frame that is no part of a message (RFC 6455 section 5.5).
const CONTROL_HEAD: usize = 2 + 4;

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A Ping, which is answered already, or a Pong.
    Sign,
    /// It closes, and our answer to that is owed.
    Close,
    /// The conversation is over: both have closed, or it broke a rule and has been told.
    Over,
}

/// Why a request does not become a websocket. `Display` says it in the words that `SockJS` clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// It is not a GET of HTTP/1.1.
    Method,
    /// No `Upgrade: websocket`.
    Upgrade,
    /// No `Connection: Upgrade`.
    Connection,
    /// A version other than 13.
    Version,
    /// No `Sec-WebSocket-Key` of 16 bytes.
    Key,
}

impl NoHandshake {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Upgrade | Self::Connection | Self::Key => 400,
            Self::Version => 426,
        }
    }
}

impl std::fmt::Display for NoHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Method => "a websocket is opened with GET and HTTP/1.1",
            Self::Upgrade => "Can \"Upgrade\" only to \"WebSocket\".",
            Self::Connection => "\"Connection\" must be \"Upgrade\".",
            Self::Version => "only version 13 of the websocket protocol is spoken here",
            Self::Key => "Sec-WebSocket-Key is not 16 bytes in base64",
        })
    }
}

/// Appended to the key (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks a request that wants to become a websocket and gives the value of `Sec-WebSocket-Accept`
/// (RFC 6455 section 4.2).
///
/// # Errors
/// What it lacks.
pub fn handshake(
    method: Method,
    version: Version,
    headers: &Headers,
) -> Result<String, NoHandshake> {
    // First, so that HEAD is told what GET is told.
    if !headers.contains_token("upgrade", "websocket") {
        return Err(NoHandshake::Upgrade);
    }
    if method != Method::Get || version != Version::Http11 {
        return Err(NoHandshake::Method);
    }
    if !headers.contains_token("connection", "upgrade") {
        return Err(NoHandshake::Connection);
    }
    if headers.get("sec-websocket-version") != Some("13") {
        return Err(NoHandshake::Version);
    }
    let key = headers.get("sec-websocket-key").unwrap_or_default();
    if !BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16) {
        return Err(NoHandshake::Key);
    }
    Ok(accept_of(key))
}

/// The value of `Sec-WebSocket-Accept` for a key.
pub fn accept_of(key: &str) -> String {
    BASE64.encode(&Sha1::digest(format!("{key}{GUID}")))
}

/// Whether a request asks for an upgrade at all, well or badly.
pub fn is_asked(headers: &Headers) -> bool {
    headers.get("upgrade").is_some()
}

impl WebSocket {
    /// The server's end, which takes messages of at most `longest` bytes.
    pub fn server(longest: usize) -> Self {
        Self::new(Role::Server, longest, None)
    }

    /// The client's end. The masks of what it says come from this seed: they are there for proxies that
    /// a page could deceive, and nobody else chooses what we say.
    pub fn client(longest: usize, seed: u64) -> Self {
        Self::new(Role::Client, longest, Some(Random::seeded(seed)))
    }

    fn new(role: Role, longest: usize, masks: Option<Random>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::WS_READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let context = WebSocketContext::new(role, Some(config));
        Self { context: Box::new(context), masks, closing: false, longest, begun: 0 }
    }

    /// Takes the next thing the peer said out of `input`, which loses what was used; what the
    /// protocol answers by itself goes to `out`. `None`: nothing whole is there yet.
    pub fn hear(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Heard> {
        let mut wire = Wire { input, used: 0, out };
        let mut apart = 0;
        let heard = match self.context.read(&mut wire) {
            Ok(Message::Text(text)) => Some(Heard::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => Some(Heard::Binary(bytes.into())),
            Ok(sign @ (Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                apart = sign.len() + CONTROL_HEAD;
                self.answer(&mut wire);
                Some(Heard::Sign)
            }
            Ok(Message::Close(_)) => {
                self.answer(&mut wire);
                self.closing = true;
                Some(Heard::Close)
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                self.refuse(&error, &mut wire);
                Some(Heard::Over)
            }
        };
        let used = wire.used;
        self.begun = match heard {
            // A part of a message may have come before it.
            None | Some(Heard::Sign) => {
                let part = used.saturating_sub(apart);
                self.begun.saturating_add(part).min(self.longest)
            }
            Some(Heard::Text(_) | Heard::Binary(_) | Heard::Close | Heard::Over) => 0,
        };
        if used == input.len() {
            *input = Vec::new();
        } else {
            input.drain(..used);
        }
        heard
    }

    /// How much it holds of a message that is not whole.
    pub fn held(&self) -> usize {
        self.begun
    }

    /// Sends what the protocol answers by itself; memory takes all of it.
    fn answer(&mut self, wire: &mut Wire<'_>) {
        let _ = self.context.flush(wire);
    }

    /// Tells the peer with what its conversation ends (RFC 6455 section 7.1.7).
    fn refuse(&mut self, error: &Error, wire: &mut Wire<'_>) {
        let over = matches!(
            error,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
                | Error::ConnectionClosed
                | Error::AlreadyClosed
        );
        if over {
            return;
        }
        let code = if matches!(error, Error::Utf8(_)) {
            1007
        } else if matches!(error, Error::Capacity(_)) {
            1009
        } else {
            1002
        };
        self.close(code, "", wire.out);
    }

    /// Says a text as a client does.
    pub fn text_masked(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.closing {
            return;
        }
        let mask = self.masks.as_mut().map(|masks| masks.next_u64().to_le_bytes());
        let mask = mask.and_then(|bytes| bytes.first_chunk::<4>().copied());
        let opcode = OpCode::Data(Data::Text);
        let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        header.format(length, out).expect("memory takes what is written to it");
        let mask = mask.unwrap_or_default();
        out.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Says a text.
    pub fn text(&self, text: &str, out: &mut Vec<u8>) {
        self.frame(OpCode::Data(Data::Text), &[text.as_bytes()], out);
    }

    /// Says a text that lies in pieces.
    pub fn text_of(&self, pieces: &[&[u8]], out: &mut Vec<u8>) {
        self.frame(OpCode::Data(Data::Text), pieces, out);
    }

    /// Says bytes.
    pub fn binary(&self, bytes: &[u8], out: &mut Vec<u8>) {
        self.frame(OpCode::Data(Data::Binary), &[bytes], out);
    }

    /// Asks for a sign of life.
    pub fn ping(&self, out: &mut Vec<u8>) {
        self.frame(OpCode::Control(Control::Ping), &[], out);
    }

    /// Begins to close. Nothing is said after it.
    pub fn close(&mut self, code: u16, reason: &str, out: &mut Vec<u8>) {
        if self.closing {
            return;
        }
        self.closing = true;
        // A control frame has room for 125 bytes, two of which are the code.
        let end = reason.floor_char_boundary_at(123);
        let reason = reason.get(..end).unwrap_or_default().to_owned();
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) };
        let mut input = Vec::new();
        let _ = self.context.close(&mut Wire { input: &mut input, used: 0, out }, Some(frame));
    }

    /// Whether nothing may be said any more.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// One whole frame, unmasked as a server's are.
    fn frame(&self, opcode: OpCode, pieces: &[&[u8]], out: &mut Vec<u8>) {
        if self.closing {
            return;
        }
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        header.format(length, out).expect("memory takes what is written to it");
        for piece in pieces {
            out.extend_from_slice(piece);
        }
    }
}

/// The largest end of a piece of text that splits no character.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, longest: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, longest: usize) -> usize {
        let longest = longest.min(self.len());
        (0..=longest).rev().find(|end| self.is_char_boundary(*end)).unwrap_or(0)
    }
}

/// What has come and what is to go, as tungstenite wants to see it.
struct Wire<'a> {
    input: &'a [u8],
    used: usize,
    out: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.input.get(self.used..).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        let (taken, target) = (&rest[..count], &mut buffer[..count]);
        target.copy_from_slice(taken);
        self.used += count;
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame: masked, final.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let length = u8::try_from(payload.len()).expect("a short one");
        assert!(length < 126);
        let mut bytes = vec![0x80 | opcode, 0x80 | length];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    #[test]
    fn what_is_held_of_a_message_that_is_not_whole_is_told() {
        let mut socket = WebSocket::server(1000);
        hear(&mut socket, &frame(1, b"whole"));
        assert_eq!(socket.held(), 0);
        // The first of several, and a ping between them.
        let mut first = frame(1, &[b'x'; 100]);
        first[0] &= 0x7f;
        let length = first.len();
        hear(&mut socket, &first);
        assert_eq!(socket.held(), length);
        hear(&mut socket, &frame(9, b"ping"));
        assert_eq!(socket.held(), length);
        let mut more = frame(0, &[b'x'; 100]);
        more[0] &= 0x7f;
        hear(&mut socket, &[&more[..], &frame(9, b"ping")].concat());
        assert_eq!(socket.held(), 2 * length);
        assert_eq!(hear(&mut socket, &frame(0, b"x")).0.len(), 1);
        assert_eq!(socket.held(), 0);
    }

    fn hear(socket: &mut WebSocket, bytes: &[u8]) -> (Vec<Heard>, Vec<u8>) {
        let (mut input, mut out, mut all) = (bytes.to_vec(), Vec::new(), Vec::new());
        while let Some(heard) = socket.hear(&mut input, &mut out) {
            let over = heard == Heard::Over;
            all.push(heard);
            if over {
                break;
            }
        }
        (all, out)
    }

    #[test]
    fn the_key_of_the_rfc_has_its_answer() {
        let mut headers = Headers::default();
        headers.push("Upgrade", "WebSocket");
        headers.push("Connection", "keep-alive, Upgrade");
        headers.push("Sec-WebSocket-Version", "13");
        headers.push("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let good = handshake(Method::Get, Version::Http11, &headers);
        assert_eq!(good.as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let refused = |method, version, drop: &str, put: &str| {
            let mut changed = Headers::default();
            for (name, value) in headers.iter() {
                changed.push(name, if name == drop { put } else { value });
            }
            handshake(method, version, &changed).expect_err("refused")
        };
        let get = |drop, put| refused(Method::Get, Version::Http11, drop, put);
        assert_eq!(refused(Method::Post, Version::Http11, "", ""), NoHandshake::Method);
        assert_eq!(refused(Method::Get, Version::Http10, "", ""), NoHandshake::Method);
        assert_eq!(get("upgrade", "h2c"), NoHandshake::Upgrade);
        assert_eq!(get("connection", "close"), NoHandshake::Connection);
        assert_eq!(get("sec-websocket-version", "8"), NoHandshake::Version);
        assert_eq!(get("sec-websocket-key", "c2hvcnQ="), NoHandshake::Key);
    }

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let bytes = [frame(1, "hé".as_bytes()), frame(2, &[0, 255]), frame(9, b"p")].concat();
        let mut socket = WebSocket::server(100);
        let (whole, out) = hear(&mut socket, &bytes);
        let wanted = [Heard::Text("hé".into()), Heard::Binary(vec![0, 255]), Heard::Sign];
        assert_eq!(whole, wanted);
        assert_eq!(out, [0x8a, 1, b'p'], "a ping is answered");
        let mut socket = WebSocket::server(100);
        let single: Vec<Heard> = bytes.iter().flat_map(|b| hear(&mut socket, &[*b]).0).collect();
        assert_eq!(single, wanted);
    }

    #[test]
    fn messages_longer_than_what_is_read_at_a_time_are_whole() {
        // The head of a client's frame of this length: two bytes, two of length, four of mask.
        let most = limits::WS_READ_BUFFER - 8;
        for length in [most, most + 1, 3 * limits::WS_READ_BUFFER] {
            let [high, low] = u16::try_from(length).expect("a short one").to_be_bytes();
            let mut bytes = vec![0x82, 0xfe, high, low, 0, 0, 0, 0];
            bytes.resize(8 + length, b'x');
            let mut socket = WebSocket::server(length);
            let (heard, out) = hear(&mut socket, &[bytes, frame(1, b"next")].concat());
            let wanted = [Heard::Binary(vec![b'x'; length]), Heard::Text("next".into())];
            assert!(heard == wanted && out.is_empty(), "{length}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_told_and_ends() {
        for (bytes, code) in [
            (vec![0x81, 1, b'x'], 1002_u16),
            (frame(1, &[0xff]), 1007),
            (frame(2, &[0; 101]), 1009),
            (frame(3, b""), 1002),
            (frame(0, b"x"), 1002),
        ] {
            let mut socket = WebSocket::server(100);
            let (heard, out) = hear(&mut socket, &bytes);
            assert_eq!(heard, [Heard::Over], "{bytes:?}");
            let [high, low] = code.to_be_bytes();
            assert_eq!(out, [0x88, 2, high, low], "{bytes:?}");
            let mut more = Vec::new();
            socket.text("no more", &mut more);
            assert!(more.is_empty(), "nothing follows a close");
        }
    }

    #[test]
    fn a_close_is_answered_and_ours_awaits_theirs() {
        let mut socket = WebSocket::server(100);
        let (heard, out) = hear(&mut socket, &frame(8, &[0x03, 0xe8]));
        assert_eq!(heard[0], Heard::Close);
        assert_eq!(out, [0x88, 2, 0x03, 0xe8]);
        let mut socket = WebSocket::server(100);
        let mut out = Vec::new();
        socket.close(1001, &"é".repeat(100), &mut out);
        assert_eq!(&out[..4], [0x88, 124, 0x03, 0xe9]);
        let (heard, out) = hear(&mut socket, &frame(8, &[0x03, 0xe9]));
        assert_eq!(heard.last(), Some(&Heard::Over));
        assert!(out.is_empty());
    }

    #[test]
    fn a_client_and_a_server_understand_each_other() {
        let (mut client, mut server) = (WebSocket::client(100_000, 1), WebSocket::server(100_000));
        for length in [0, 1, 125, 126, 70_000] {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.text_masked(&"é".repeat(length / 2), &mut there);
            client.text_masked("x", &mut there);
            let (heard, out) = hear(&mut server, &there);
            let wanted = [Heard::Text("é".repeat(length / 2)), Heard::Text("x".into())];
            assert!(heard == wanted && out.is_empty(), "{length}");
            server.text(&"y".repeat(length), &mut back);
            server.ping(&mut back);
            let (heard, pong) = hear(&mut client, &back);
            assert_eq!(heard, [Heard::Text("y".repeat(length)), Heard::Sign]);
            assert_eq!(hear(&mut server, &pong).0, [Heard::Sign]);
        }
        let mut out = Vec::new();
        client.close(1001, "bye", &mut out);
        client.text_masked("no more", &mut out);
        let (heard, answer) = hear(&mut server, &out);
        assert_eq!(heard[0], Heard::Close);
        assert_eq!(hear(&mut client, &answer).0[0], Heard::Close);
    }

    #[test]
    fn our_frames_have_their_lengths() {
        let socket = WebSocket::server(100);
        for (length, head) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            socket.text(&"x".repeat(length), &mut out);
            assert_eq!(out[..head.len()], head);
            assert_eq!(out.len(), head.len() + length);
        }
    }
}
