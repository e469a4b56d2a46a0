//! A small blocking HTTP/1.1 client over TCP and unix sockets, with keep-alive.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Longer than anything here takes, so that a daemon that hangs is told and not waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// Read, but not of the answer that was taken last.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn tcp(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self::over(stream))
    }

    pub(crate) fn over(stream: impl Read + Write + Send + 'static) -> Self {
        Self { stream: Box::new(stream), ahead: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and takes its answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.request_with(method, path, "", body)
    }

    /// The same with further header lines, each ended by CRLF.
    pub(crate) fn request_with(
        &mut self,
        method: &str,
        path: &str,
        lines: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let host = if lines.contains("Host:") { "" } else { "Host: localhost\r\n" };
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\n{host}{lines}{length}\r\n");
        self.send(format!("{head}{body}").as_bytes())?;
        self.answer()
    }

    /// Takes the next answer. Only for methods whose answers have bodies.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let head_end = loop {
            match self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read_more()?,
            }
        };
        let head = String::from_utf8_lossy(&self.ahead[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let length = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let value = name.eq_ignore_ascii_case("content-length").then_some(value)?;
            value.trim().parse::<usize>().ok()
        };
        if head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked\r\n") {
            self.ahead.drain(..head_end);
            let body = self.chunks()?;
            return Ok(Answer { status, body });
        }
        let end = head_end + head.lines().find_map(length).unwrap_or(0);
        while self.ahead.len() < end {
            self.read_more()?;
        }
        let body = self.ahead[head_end..end].to_vec();
        self.ahead.drain(..end);
        Ok(Answer { status, body })
    }

    /// Takes a body in chunks, up to its last one.
    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match self.ahead.windows(2).position(|two| two == b"\r\n") {
                    Some(at) => break at,
                    None => self.read_more()?,
                }
            };
            let size = String::from_utf8_lossy(&self.ahead[..line_end]).into_owned();
            let size = usize::from_str_radix(&size, 16).expect("the size of a chunk");
            let end = line_end + 2 + size + 2;
            while self.ahead.len() < end {
                self.read_more()?;
            }
            body.extend_from_slice(&self.ahead[line_end + 2..end - 2]);
            self.ahead.drain(..end);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads until the peer closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.ahead)?;
        Ok(std::mem::take(&mut self.ahead))
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = read(&mut self.stream, &mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Reads once, whatever signals come: tests that host a node have this process listen for its children, and
/// the system begins no read again that has a time limit (signal(7)).
pub(crate) fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
