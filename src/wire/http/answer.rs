//! Answers to requests of ours, over memory: status and fields, and the body by its length, in chunks, or
//! up to the end of the connection. What stands before an answer and only says that one is coming is
//! skipped. Bytes may come in any pieces; a body may be taken whole, or as it comes.

use std::fmt;

use super::{BodyReader, Framing, Headers, Refusal};
use crate::base::limits;

/// Reads one answer. The next one on a connection is read by another.
#[derive(Debug)]
pub struct AnswerReader {
    /// Whether the request was one whose answer has no body, whatever its head says.
    bodiless: bool,
    most: usize,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// The head is still to come.
    Head,
    Body(BodyReader),
    /// Up to the end of the connection; so much of it was read.
    Close(usize),
    Done,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// Its status.
    pub status: u16,
    /// Its fields. What is no UTF-8 in them is replaced.
    pub headers: Headers,
    /// Whether another request may follow on the connection.
    pub persistent: bool,
}

/// Why something is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not begin as one.
    Head(httparse::Error),
    /// Its head is over its limit.
    HeadLong,
    /// The end of its body cannot be told.
    Framing,
    /// Its chunks are none.
    Chunks(Refusal),
    /// Its body is over this limit.
    BodyLong(usize),
    /// The connection ended within it.
    Cut,
}

impl AnswerReader {
    /// One for the answer to a request with this method, with a body of at most `most` bytes.
    pub fn new(method: &str, most: usize) -> Self {
        Self { bodiless: method == "HEAD", most, rest: Rest::Head }
    }

    /// Takes the head out of `input`, once it is whole, with all that stands before it. Behind that of
    /// status 101 there is no body: what follows is of another protocol.
    ///
    /// # Errors
    /// Why it is none.
    pub fn head(&mut self, input: &mut Vec<u8>) -> Result<Option<AnswerHead>, Broken> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; limits::HTTP_FIELDS];
            let mut parsed = httparse::Response::new(&mut fields);
            let used = match parsed.parse(input) {
                Ok(httparse::Status::Complete(used)) if used <= limits::HTTP_HEAD => used,
                Ok(httparse::Status::Partial) if input.len() <= limits::HTTP_HEAD => {
                    return Ok(None);
                }
                Ok(_) => return Err(Broken::HeadLong),
                Err(error) => return Err(Broken::Head(error)),
            };
            let status = parsed.code.unwrap_or_default();
            let mut headers = Headers::default();
            for field in parsed.headers.iter() {
                headers.push(field.name, &String::from_utf8_lossy(field.value));
            }
            let is_old = parsed.version == Some(0);
            input.drain(..used);
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            self.rest = self.begin(status, &headers)?;
            let keeps = match is_old {
                true => headers.contains_token("connection", "keep-alive"),
                false => !headers.contains_token("connection", "close"),
            };
            let persistent = keeps && !matches!(self.rest, Rest::Close(_));
            return Ok(Some(AnswerHead { status, headers, persistent }));
        }
    }

    /// How the body ends (RFC 9112 section 6.3).
    fn begin(&self, status: u16, headers: &Headers) -> Result<Rest, Broken> {
        if self.bodiless || matches!(status, 100..200 | 204 | 304) {
            return Ok(Rest::Done);
        }
        let mut lengths = headers.get_all("content-length");
        let length = lengths.next();
        if lengths.any(|other| Some(other) != length) {
            return Err(Broken::Framing);
        }
        let framing = match (headers.get("transfer-encoding"), length) {
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
            (Some(_), _) => return Err(Broken::Framing),
            (None, None) => return Ok(Rest::Close(0)),
            (None, Some(length)) => {
                let is_plain = length.bytes().all(|byte| byte.is_ascii_digit());
                let length = length.parse().ok().filter(|_| is_plain);
                Framing::Length(length.ok_or(Broken::Framing)?)
            }
        };
        let reader = BodyReader::new(framing, self.most).map_err(|refusal| self.broken(refusal))?;
        Ok(reader.map_or(Rest::Done, Rest::Body))
    }

    /// Moves what belongs to the body from the front of `input` to the end of `body`; gives whether
    /// that is all of it. What is left is of the next answer.
    ///
    /// # Errors
    /// Why it is no body.
    pub fn body(&mut self, input: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<bool, Broken> {
        let most = self.most;
        match &mut self.rest {
            Rest::Head => return Ok(false),
            Rest::Done => {}
            Rest::Body(reader) => {
                let used = reader.read(input, body);
                let done = reader.is_done();
                input.drain(..used.map_err(|refusal| self.broken(refusal))?);
                if done {
                    self.rest = Rest::Done;
                }
            }
            Rest::Close(taken) => {
                *taken = taken.saturating_add(input.len());
                if *taken > most {
                    return Err(Broken::BodyLong(most));
                }
                body.append(input);
            }
        }
        Ok(matches!(self.rest, Rest::Done))
    }

    /// The other end sends no more.
    ///
    /// # Errors
    /// That was not the end of the answer.
    pub fn ended(&mut self) -> Result<(), Broken> {
        match self.rest {
            Rest::Close(_) | Rest::Done => {
                self.rest = Rest::Done;
                Ok(())
            }
            Rest::Head | Rest::Body(_) => Err(Broken::Cut),
        }
    }

    fn broken(&self, refusal: Refusal) -> Broken {
        match refusal == Refusal::BodyLong {
            true => Broken::BodyLong(self.most),
            false => Broken::Chunks(refusal),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "no HTTP: {error}"),
            Self::HeadLong => f.write_str("an endless head"),
            Self::Framing => f.write_str("a body whose end cannot be told"),
            Self::Chunks(refusal) => write!(f, "no chunks: {refusal}"),
            Self::BodyLong(most) => write!(f, "an answer of more than {most} bytes"),
            Self::Cut => f.write_str("an answer that ends in its middle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer that comes in pieces of this size; gives its head, its body, what is left of the
    /// input, and whether it is whole.
    fn read(
        text: &str,
        piece: usize,
        most: usize,
    ) -> Result<(Option<AnswerHead>, String, String, bool), Broken> {
        let mut reader = AnswerReader::new("GET", most);
        let (mut input, mut body, mut head, mut done) = (Vec::new(), Vec::new(), None, false);
        for bytes in text.as_bytes().chunks(piece) {
            input.extend_from_slice(bytes);
            if head.is_none() {
                head = reader.head(&mut input)?;
            }
            if head.is_some() {
                done = reader.body(&mut input, &mut body)?;
            }
        }
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ok((head, text(body), text(input), done))
    }

    #[test]
    fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n";
        for (text, status, body, left, persistent) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", 200, "hi", "HTTP", true),
            ("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", 404, "", "", true),
            ("HTTP/1.1 204 x\r\n\r\nmore", 204, "", "more", true),
            ("HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n\u{1}", 101, "", "\u{1}", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: G\r\n\r\n\
                 2\r\nhi\r\n1;x\r\n!\r\n0\r\nG: y\r\n\r\nnext",
                200,
                "hi!",
                "next",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
                200,
                "x",
                "",
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", "", false),
        ] {
            for text in [text.to_owned(), format!("{interim}{text}")] {
                for piece in [1, 2, 7, text.len()] {
                    let (head, found, rest, done) = read(&text, piece, 100).expect(&text);
                    let head = head.expect("it has a head");
                    let found = (head.status, found.as_str(), rest.as_str(), head.persistent, done);
                    assert_eq!(found, (status, body, left, persistent, true), "{text}");
                }
            }
        }
    }

    #[test]
    fn without_a_length_it_goes_on_to_the_end_of_the_connection() {
        let mut reader = AnswerReader::new("GET", 3);
        let mut input = b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec();
        let head = reader.head(&mut input).expect("sound").expect("whole");
        assert!(!head.persistent);
        let mut body = Vec::new();
        assert_eq!(reader.body(&mut input, &mut body), Ok(false));
        input.push(b'd');
        assert_eq!(reader.body(&mut input, &mut Vec::new()), Err(Broken::BodyLong(3)));
        assert_eq!((reader.ended(), body.as_slice()), (Ok(()), &b"abc"[..]));
        let mut reader = AnswerReader::new("GET", 9);
        assert_eq!(reader.ended(), Err(Broken::Cut));
        reader.head(&mut b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec()).expect("sound");
        assert_eq!(reader.ended(), Err(Broken::Cut));
    }

    #[test]
    fn the_answer_to_head_has_no_body_and_its_length_is_that_of_another() {
        let mut reader = AnswerReader::new("HEAD", 1);
        let mut input = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 ".to_vec();
        assert!(reader.head(&mut input).expect("sound").is_some());
        assert_eq!(reader.body(&mut input, &mut Vec::new()), Ok(true));
        assert_eq!(input, b"HTTP/1.1 ");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let framed = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let long = |count: usize| format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(count - 20));
        for (text, why) in [
            ("SSH-2.0-x\r\n".to_owned(), Broken::Head(httparse::Error::Version)),
            (framed("Content-Length: +1"), Broken::Framing),
            (framed("Content-Length: 99999999999999999999"), Broken::Framing),
            (framed("Content-Length: 1\r\nContent-Length: 2"), Broken::Framing),
            (framed("Content-Length: 1\r\nTransfer-Encoding: chunked"), Broken::Framing),
            (framed("Transfer-Encoding: gzip, chunked"), Broken::Framing),
            (framed("Content-Length: 101"), Broken::BodyLong(100)),
            (framed("Transfer-Encoding: chunked") + "65\r\n", Broken::BodyLong(100)),
            (framed("Transfer-Encoding: chunked") + "x", Broken::Chunks(Refusal::ChunkSize)),
            (long(limits::HTTP_HEAD + 1), Broken::HeadLong),
            (long(limits::HTTP_HEAD) + "\r\n\r\n", Broken::HeadLong),
        ] {
            for piece in [1000, text.len()] {
                assert_eq!(read(&text, piece, 100).err(), Some(why), "{:.60}", text);
            }
        }
        assert_eq!(read(&long(limits::HTTP_HEAD), 1000, 100).map(|read| read.3), Ok(false));
        assert!(read(&framed("Content-Length: 100"), 1, 100).is_ok());
    }
}
