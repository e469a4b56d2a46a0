//! One HTTP/1.1 request after the other over one connection, and answers that go on.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde_json::Value;

use super::address::Address;
use super::endpoint::Endpoint;
use super::error::Error;
use super::stream::Stream;
use crate::wire::http::{AnswerHead, AnswerReader, Broken, Headers};
use crate::VERSION;

/// How long an answer may take, unless the request itself says that it waits for longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long one may take to a write, which is answered when the process has room for it.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(75);
/// Largest whole answer: ten thousand jobs' configurations fit.
const BODY: usize = 256 * 1024 * 1024;

/// A connection to a node.
pub struct Connection {
    stream: Stream,
    address: Address,
    key: Option<String>,
    basic: Option<String>,
    /// How long a read may take.
    patience: Option<Duration>,
    /// Read, and not used yet.
    ahead: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
}

/// The body of an answer that goes on.
pub struct Body {
    connection: Connection,
    headers: Headers,
    answer: AnswerReader,
}

impl Reply {
    /// The first header field of this name, whichever case it is written in.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The node refused, or the body is no JSON.
    pub fn json(&self) -> Result<Value, Error> {
        if !(200..300).contains(&self.status) {
            return Err(Error::of_answer(self.status, &self.body));
        }
        serde_json::from_slice(&self.body).map_err(|error| Error::Strange(error.to_string()))
    }
}

impl Connection {
    /// Connects to a node.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let stream = Stream::open(endpoint)?;
        stream.set_patience(Some(PATIENCE))?;
        let (address, key) = (endpoint.address.clone(), endpoint.key.clone());
        let basic = endpoint.basic.clone();
        Ok(Self { stream, address, key, basic, patience: Some(PATIENCE), ahead: Vec::new() })
    }

    /// How long an answer may take; for ever without one.
    ///
    /// # Errors
    /// The system does not take it.
    pub fn set_patience(&mut self, patience: Option<Duration>) -> Result<(), Error> {
        self.patience = patience;
        Ok(self.stream.set_patience(patience)?)
    }

    /// Asks, and reads the whole answer. `target` is a path with its query, encoded.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer. A refusal is an answer.
    pub fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Reply, Error> {
        self.send(method, target, body)?;
        let mut answer = AnswerReader::new(method, BODY);
        let AnswerHead { status, headers, .. } = self.head(&mut answer)?;
        let body = self.whole(&mut answer)?;
        Ok(Reply { status, headers, body })
    }

    /// Asks for what goes on, and gives its body piece by piece, for which it waits for ever.
    ///
    /// # Errors
    /// The connection broke, or the node refused.
    pub fn follow(mut self, target: &str) -> Result<Body, Error> {
        self.send("GET", target, b"")?;
        let mut answer = AnswerReader::new("GET", usize::MAX);
        let AnswerHead { status, headers, .. } = self.head(&mut answer)?;
        if status != 200 {
            return Err(Error::of_answer(status, &self.whole(&mut answer)?));
        }
        self.set_patience(None)?;
        Ok(Body { connection: self, headers, answer })
    }

    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> Result<(), Error> {
        let mut request = self.beginning(method, target);
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            let length = body.len();
            request += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        request += "\r\n";
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// The first lines of a request.
    fn beginning(&self, method: &str, target: &str) -> String {
        let host = self.address.host();
        let key = self.key.as_ref().map(|key| format!("X-Api-Key: {key}\r\n"));
        let basic = self.basic.as_ref().map(|basic| format!("Authorization: Basic {basic}\r\n"));
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gaffer/{VERSION}\r\n{}{}",
            key.unwrap_or_default(),
            basic.unwrap_or_default()
        )
    }

    /// Reads the head of an answer, behind any that only say that one is coming.
    fn head(&mut self, answer: &mut AnswerReader) -> Result<AnswerHead, Error> {
        loop {
            if let Some(head) = answer.head(&mut self.ahead).map_err(strange)? {
                return Ok(head);
            }
            self.read_on()?;
        }
    }

    /// The rest of a body.
    fn whole(&mut self, answer: &mut AnswerReader) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(answer)? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The next piece of a body; `None` at its end.
    fn piece(&mut self, answer: &mut AnswerReader) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = Vec::new();
        loop {
            let done = answer.body(&mut self.ahead, &mut piece).map_err(strange)?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if done {
                return Ok(None);
            }
            if !self.read_some()? {
                let cut = |_| Error::Broken(ErrorKind::UnexpectedEof.into());
                answer.ended().map_err(cut)?;
            }
        }
    }

    fn read_on(&mut self) -> Result<(), Error> {
        match self.read_some()? {
            true => Ok(()),
            false => Err(Error::Broken(ErrorKind::UnexpectedEof.into())),
        }
    }

    fn read_some(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(count) => {
                    self.ahead.extend_from_slice(&buffer[..count]);
                    return Ok(count > 0);
                }
                // A read with a time limit is not begun again by the system (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    // Without a limit it is that nobody wanted to wait.
                    return Err(self.patience.map_or(Error::Broken(error), |_| self.silent()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Somebody took the connection and says nothing.
    fn silent(&self) -> Error {
        let patience = self.patience.unwrap_or(PATIENCE);
        let what = format!("nothing came for {} s", patience.as_secs());
        let error = std::io::Error::new(ErrorKind::TimedOut, what);
        // What takes longer by itself says nothing of the node.
        if patience > PATIENCE {
            return Error::Broken(error);
        }
        Error::NoNode { address: self.address.clone(), error }
    }

    /// Makes a websocket of the connection: gives the stream, and what was read of it already.
    pub(super) fn switch(
        mut self,
        target: &str,
        (key, accept): (&str, &str),
    ) -> Result<(Stream, Vec<u8>), Error> {
        let request = self.beginning("GET", target)
            + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + &format!("Sec-WebSocket-Key: {key}\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut answer = AnswerReader::new("GET", BODY);
        let AnswerHead { status, headers, .. } = self.head(&mut answer)?;
        if status == 101 && headers.get("sec-websocket-accept") != Some(accept) {
            return Err(Error::Strange("a websocket that was not asked for".into()));
        }
        if status == 101 {
            self.stream.set_patience(None)?;
            return Ok((self.stream, self.ahead));
        }
        Err(Error::of_answer(status, &self.whole(&mut answer)?))
    }
}

impl AsFd for Body {
    /// For poll(2) only. What has been read of it already does not show there: [`Body::look`] first.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.stream.as_fd()
    }
}

impl Body {
    /// The first header field of this name, whichever case it is written in.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.connection.piece(&mut self.answer)
    }

    /// What [`Self::read`] gives, if that needs no waiting.
    ///
    /// # Errors
    /// The connection broke.
    pub fn look(&mut self) -> Result<Option<Option<Vec<u8>>>, Error> {
        self.connection.stream.set_waiting(false)?;
        let next = match self.read() {
            Err(Error::Broken(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            next => next.map(Some),
        };
        self.connection.stream.set_waiting(true)?;
        next
    }
}

fn strange(broken: Broken) -> Error {
    Error::Strange(broken.to_string())
}
