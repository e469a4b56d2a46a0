//! The frames of a process's own channel: `V1 TYPE ID NUL BODY` (the protocol, section 3). What a
//! client calls its frame and what version it claims is not looked at, as it never was.

use std::fmt;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something to read or to write.
    Message,
    /// The answer to a client's message.
    Response,
    /// The refusal of one, or of the channel.
    Error,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Response => "response",
            Self::Error => "error",
        }
    }
}

/// A frame of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the client calls it; comes back with the answer.
    pub id: &'a str,
    /// Everything behind the first NUL, which may hold further ones.
    pub body: &'a [u8],
}

/// Why a message is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFrame {
    /// There is no NUL in it.
    NoNul,
    /// What stands before the NUL is not three words.
    Head,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNul => "a frame is `V1 message ID`, a NUL and a body; there is no NUL",
            Self::Head => "a frame begins with three words in UTF-8: `V1 message ID`",
        })
    }
}

/// The longest id that is taken; a client's own are UUIDs of 32 letters.
const ID_LONGEST: usize = 256;

/// Reads a frame.
///
/// # Errors
/// It is none.
pub fn parse(bytes: &[u8]) -> Result<Frame<'_>, BadFrame> {
    let nul = bytes.iter().position(|byte| *byte == 0).ok_or(BadFrame::NoNul)?;
    let (head, body) = (&bytes[..nul], &bytes[nul + 1..]);
    let head = std::str::from_utf8(head).map_err(|_| BadFrame::Head)?;
    let mut words = head.split(' ');
    let (Some(_), Some(_), Some(id), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BadFrame::Head);
    };
    if id.is_empty() || id.len() > ID_LONGEST {
        return Err(BadFrame::Head);
    }
    Ok(Frame { id, body })
}

/// What stands before the body of a frame, its NUL included.
pub fn head(kind: Kind, id: &str) -> String {
    format!("V1 {} {id}\0", kind.word())
}

/// A whole frame.
pub fn encode(kind: Kind, id: &str, body: &[u8]) -> Vec<u8> {
    [head(kind, id).as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_up_to_their_first_nul() {
        let frame = parse(b"V1 message abc\0hello\0world").expect("a frame");
        assert_eq!(frame, Frame { id: "abc", body: b"hello\0world" });
        assert_eq!(parse(b"X y z\0").map(|frame| frame.body), Ok(&b""[..]));
        for (bad, reason) in [
            (&b""[..], BadFrame::NoNul),
            (b"V1 message abc", BadFrame::NoNul),
            (b"V1 message\0x", BadFrame::Head),
            (b"V1 message a b\0x", BadFrame::Head),
            (b"V1 message \0x", BadFrame::Head),
            (b"V1 message \xff\0x", BadFrame::Head),
        ] {
            assert_eq!(parse(bad), Err(reason), "{bad:?}");
        }
        let long = |n: usize| encode(Kind::Message, &"i".repeat(n), b"");
        assert!(parse(&long(ID_LONGEST)).is_ok() && parse(&long(ID_LONGEST + 1)).is_err());
    }

    #[test]
    fn frames_are_written_as_they_are_read() {
        let bytes = encode(Kind::Response, "7", b"OK");
        assert_eq!(bytes, b"V1 response 7\0OK");
        assert_eq!(parse(&bytes), Ok(Frame { id: "7", body: b"OK" }));
        assert_eq!(encode(Kind::Error, "gaffer_error", b"{}"), b"V1 error gaffer_error\0{}");
    }
}
