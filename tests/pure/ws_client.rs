//! The client's end of a websocket, as much of it as tests need: the handshake, masked frames to send,
//! and a reader of the server's frames that takes nothing but whole and shortest ones.

/// The key of RFC 6455 section 1.3,
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// and its answer.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// A request that asks for a websocket; each further header ends in CRLF.
pub(crate) fn handshake(path: &str, host: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// A final frame of the client's.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    fragment(0x80 | opcode, payload)
}

/// A frame that begins with this byte.
pub(crate) fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => bytes.push(0x80 | length),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(payload.len()).expect("a length").to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A Close of the client's.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Takes the server's first frame out of what came, if it is whole.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Said> {
    let [first, second, ..] = **bytes else { return None };
    assert!(first & 0xf0 == 0x80, "a server's frame is whole and has no flags: {first:#x}");
    let more = match second {
        0..=125 => 0,
        126 => 2,
        127 => 8,
        _ => panic!("a server masks nothing"),
    };
    let head = bytes.get(2..2 + more)?;
    let long = head.iter().fold(0, |length: usize, byte| length << 8 | usize::from(*byte));
    let length = if more == 0 { usize::from(second) } else { long };
    let least = [(0, 0), (2, 126), (8, 65_536)].into_iter().find(|(known, _)| *known == more);
    assert!(least.is_some_and(|(_, least)| length >= least), "{length} in {more} bytes");
    let whole = 2 + more + length;
    let payload = bytes.get(2 + more..whole)?.to_vec();
    bytes.drain(..whole);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert!(first & 8 == 0 || length <= 125, "a control frame is short");
    Some(match first & 0x0f {
        TEXT => Said::Text(text(&payload)),
        BINARY => Said::Binary(payload),
        PING => Said::Ping(payload),
        PONG => Said::Pong(payload),
        CLOSE => {
            let code = payload.get(..2).map(|two| u16::from_be_bytes([two[0], two[1]]));
            Said::Close(code.unwrap_or(1005), text(payload.get(2..).unwrap_or_default()))
        }
        other => panic!("no server sends a frame of kind {other}"),
    })
}
