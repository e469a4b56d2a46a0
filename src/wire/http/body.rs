//! Bodies, of requests and of answers: by length, or in chunks by a decoder of our own, because lenient
//! ones are how requests are smuggled. An empty chunk size is not zero here, no space follows a size, and every
//! line ends in exactly CRLF (RFC 9112 section 7.1).

use super::{is_token_byte, Framing, Refusal};
use crate::base::limits;

/// Reads one body as it comes.
#[derive(Debug)]
pub struct BodyReader(Kind);

#[derive(Debug)]
enum Kind {
    Length { left: usize },
    Chunked(Chunked),
}

impl BodyReader {
    /// A reader for a body framed like this, of at most `limit` bytes. `None` if there is no body
    /// to read; refused at once if its declared length is over the limit.
    pub fn new(framing: Framing, limit: usize) -> Result<Option<Self>, Refusal> {
        Ok(match framing {
            Framing::Empty | Framing::Length(0) => None,
            Framing::Length(length) => {
                let left = usize::try_from(length).map_err(|_| Refusal::BodyLong)?;
                if left > limit {
                    return Err(Refusal::BodyLong);
                }
                Some(Self(Kind::Length { left }))
            }
            Framing::Chunked => Some(Self(Kind::Chunked(Chunked::new(limit)))),
        })
    }

    /// Moves what belongs to the body from the front of `bytes` to the end of `body`, and says how
    /// many bytes that took. What is left belongs to the next request.
    pub fn read(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        match &mut self.0 {
            Kind::Length { left } => {
                let taken = bytes.len().min(*left);
                body.extend_from_slice(&bytes[..taken]);
                *left -= taken;
                Ok(taken)
            }
            Kind::Chunked(chunked) => chunked.read(bytes, body),
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Kind::Length { left } => *left == 0,
            Kind::Chunked(chunked) => chunked.at == At::Done,
        }
    }
}

/// Which byte of a chunked body comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A digit of a size, or what ends it.
    Size,
    /// A byte of an extension, or its CR.
    Extension,
    /// The LF behind a size.
    SizeLf,
    /// A byte of the chunk.
    Data,
    /// The CR behind a chunk,
    DataCr,
    /// and its LF.
    DataLf,
    /// The first byte of a trailer, or the CR of the last line.
    Trailer,
    /// A byte of a trailer's name, or its colon.
    TrailerName,
    /// A byte of a trailer's value, or its CR.
    TrailerValue,
    /// The LF behind a trailer.
    TrailerLf,
    /// The very last LF.
    LastLf,
    /// Nothing.
    Done,
}

#[derive(Debug)]
struct Chunked {
    at: At,
    /// Of the chunk; while its size is read, what has been read of that.
    left: usize,
    /// Bytes of the body that were read, in all chunks.
    so_far: usize,
    digits: u8,
    extension: usize,
    trailers: usize,
    limit: usize,
}

const EXTENSION: usize = limits::HTTP_CHUNK_EXTENSION;
/// A size of more digits would be a chunk of 4 GiB.
const SIZE_DIGITS: u8 = 8;

impl Chunked {
    fn new(limit: usize) -> Self {
        Self { at: At::Size, left: 0, so_far: 0, digits: 0, extension: 0, trailers: 0, limit }
    }

    fn read(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while self.at != At::Done {
            if self.at == At::Data {
                let taken = rest.len().min(self.left);
                body.extend_from_slice(&rest[..taken]);
                self.left -= taken;
                self.so_far = self.so_far.saturating_add(taken);
                rest = &rest[taken..];
                if self.left > 0 {
                    break;
                }
                self.at = At::DataCr;
            }
            let [byte, after @ ..] = rest else { break };
            self.step(*byte)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// One byte that is not of a chunk's data.
    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        self.at = match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, digit) => self.size_digit(digit)?,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'\t' | b' '..=b'~') if self.extension < EXTENSION => {
                self.extension += 1;
                At::Extension
            }
            (At::Extension, _) => return Err(Refusal::ChunkExtension),
            (At::SizeLf, b'\n') => self.begin_chunk()?,
            (At::SizeLf, _) => return Err(Refusal::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Data | At::DataCr | At::DataLf, _) => return Err(Refusal::ChunkEnd),
            (At::LastLf, b'\n') => At::Done,
            (At::Trailer, b'\r') => At::LastLf,
            (At::Trailer | At::TrailerName | At::TrailerValue | At::TrailerLf, byte) => {
                self.trailer(byte)?
            }
            (At::LastLf | At::Done, _) => return Err(Refusal::Trailer),
        };
        Ok(())
    }

    fn size_digit(&mut self, byte: u8) -> Result<At, Refusal> {
        let digit = char::from(byte).to_digit(16).ok_or(Refusal::ChunkSize)?;
        if self.digits == SIZE_DIGITS {
            return Err(Refusal::ChunkSize);
        }
        self.digits += 1;
        self.left = (self.left << 4) | digit as usize;
        Ok(At::Size)
    }

    fn begin_chunk(&mut self) -> Result<At, Refusal> {
        self.digits = 0;
        self.extension = 0;
        if self.left > self.limit.saturating_sub(self.so_far) {
            return Err(Refusal::BodyLong);
        }
        Ok(if self.left == 0 { At::Trailer } else { At::Data })
    }

    /// A byte of a trailer field, which is checked for its form and forgotten. Without the check, a
    /// request behind a body that lacks its last CRLF would be swallowed as a trailer.
    fn trailer(&mut self, byte: u8) -> Result<At, Refusal> {
        self.trailers += 1;
        if self.trailers > limits::HTTP_TRAILERS {
            return Err(Refusal::TrailersLong);
        }
        match (self.at, byte) {
            (At::Trailer | At::TrailerName, byte) if is_token_byte(byte) => Ok(At::TrailerName),
            (At::TrailerName, b':') => Ok(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::Trailer),
            _ => Err(Refusal::Trailer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, limit: usize) -> Result<(Vec<u8>, usize, bool), Refusal> {
        let mut reader = BodyReader::new(Framing::Chunked, limit)?.expect("a body");
        let mut body = Vec::new();
        let used = reader.read(text.as_bytes(), &mut body)?;
        Ok((body, used, reader.is_done()))
    }

    fn refused(text: &str, why: Refusal) {
        assert_eq!(decode(text, 100), Err(why), "{}", text.escape_debug());
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read_up_to_their_end() {
        let text = "5\r\nhello\r\n00000006;a=\"b c\"\r\n world\r\n0;x\r\nDigest: x\r\nB:\r\n\r\n";
        let (body, used, done) = decode(&format!("{text}GET /"), 100).expect("valid");
        assert_eq!((body.as_slice(), used, done), (&b"hello world"[..], text.len(), true));
        assert_eq!(decode("0\r\n\r\n", 0), Ok((Vec::new(), 5, true)));
        assert_eq!(decode("a\r\n12345", 100), Ok((b"12345".to_vec(), 8, false)));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "\r\n",
            ";a\r\n",
            " 5\r\n",
            "5 \r\n",
            "+5\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5_0\r\n",
            "g\r\n",
            "5\n",
            "5\rX",
            "123456789\r\n",
            "000000000\r\n",
            "5\0",
            "5,5\r\n",
        ] {
            refused(text, Refusal::ChunkSize);
        }
        for text in ["5;a\n", "5;a\0", "5;\x7f", "5;\u{e9}"] {
            refused(text, Refusal::ChunkExtension);
        }
        for text in ["1\r\nab", "1\r\na\n", "1\r\na\rb", "1\r\na5\r\n"] {
            refused(text, Refusal::ChunkEnd);
        }
        for text in [
            "0\r\n\n",
            "0\r\n\rX",
            "0\r\nGET / HTTP/1.1\r\n",
            "0\r\n: x\r\n",
            "0\r\n A: b\r\n",
            "0\r\nA: b\n",
            "0\r\nA: b\rX",
            "0\r\nA: \0",
            "0\r\nA\r\n",
        ] {
            refused(text, Refusal::Trailer);
        }
    }

    #[test]
    fn limits_of_the_body_hold_at_the_cap_and_one_beyond() {
        let chunk = |n: usize| format!("{n:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(n));
        assert!(decode(&chunk(100), 100).expect("valid").2);
        refused(&chunk(101), Refusal::BodyLong);
        refused(&format!("1\r\nx\r\n{}", chunk(100)), Refusal::BodyLong);
        refused("ffffffff\r\n", Refusal::BodyLong);
        assert!(BodyReader::new(Framing::Length(100), 100).expect("allowed").is_some());
        assert_eq!(BodyReader::new(Framing::Length(101), 100).err(), Some(Refusal::BodyLong));
        assert!(BodyReader::new(Framing::Length(0), 0).expect("allowed").is_none());

        let extension = |n: usize| format!("0;{}\r\n\r\n", "x".repeat(n));
        assert!(decode(&extension(limits::HTTP_CHUNK_EXTENSION), 0).expect("valid").2);
        refused(&extension(limits::HTTP_CHUNK_EXTENSION + 1), Refusal::ChunkExtension);

        let trailers = |n: usize| format!("0\r\nA:{}\r\n\r\n", "x".repeat(n - 4));
        assert!(decode(&trailers(limits::HTTP_TRAILERS), 0).expect("valid").2);
        refused(&trailers(limits::HTTP_TRAILERS + 1), Refusal::TrailersLong);
    }
}
