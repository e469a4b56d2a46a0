//! What a client in a trace is answered, in the words of the traces: whole answers, answers that go
//! on, and what is said on websockets.

use std::collections::VecDeque;

use data_encoding::HEXLOWER;
use gaffer::base::ids::ConnId;
use sha1::{Digest as _, Sha1};

use crate::ws_client::{self, Said};

/// A client.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) conn: ConnId,
    /// Requests without an answer.
    pub(crate) asked: VecDeque<Asked>,
    /// What is left of its connection, as it was told last.
    pub(crate) left: &'static str,
    /// It takes nothing.
    pub(crate) stalls: bool,
    /// It has closed its connection.
    pub(crate) gone: bool,
    mode: Mode,
    /// What came and is not whole yet.
    input: Vec<u8>,
}

/// What comes on a connection.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Answers,
    Chunks,
    /// A body that only the end of the connection ends.
    Bytes,
    Socket,
}

/// A request without its answer.
pub(crate) struct Asked {
    method: String,
    path: String,
    /// Whether all headers of the answer are shown.
    closely: bool,
}

impl Asked {
    pub(crate) fn new(method: &str, path: &str, closely: bool) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), closely }
    }

    /// Whether it is below the event stream of a lookupd. What `SockJS` answers besides is shown by
    /// traces of its own.
    fn is_sockjs(&self) -> bool {
        self.path.starts_with("/lookup/")
    }
}

/// What was answered to a request.
pub(crate) struct Served {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Its type, without what is said of that.
    pub(crate) kind: Option<String>,
    /// The names of all fields of its head.
    pub(crate) fields: Vec<String>,
    /// Its body, if that came whole.
    pub(crate) body: Option<String>,
}

impl Served {
    fn of(asked: &Asked, answer: &Answer<'_>) -> Self {
        let kind = answer.header("Content-Type").and_then(|kind| kind.split(';').next());
        Self {
            method: asked.method.clone(),
            path: asked.path.clone(),
            status: answer.status,
            kind: kind.map(str::to_owned),
            fields: answer.headers.iter().map(|(name, _)| (*name).to_owned()).collect(),
            body: None,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        // Whoever is sent on is served, too.
        (200..=301).contains(&self.status) || self.status == 101
    }
}

/// What every answer has besides, so that it need not be read in every trace.
const ALWAYS: [(&str, &str); 4] = [
    ("Server", "gaffer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
];

impl Client {
    pub(crate) fn new(name: &str, conn: ConnId) -> Self {
        Self {
            name: name.to_owned(),
            conn,
            asked: VecDeque::new(),
            left: "",
            stalls: false,
            gone: false,
            mode: Mode::Answers,
            input: Vec::new(),
        }
    }

    /// What came, in words; what was asked, and what was answered, is added to what was served.
    pub(crate) fn shown(&mut self, bytes: &[u8], served: &mut Vec<Served>) -> String {
        self.input.extend_from_slice(bytes);
        let mut out = String::new();
        while !self.input.is_empty() {
            match self.mode {
                Mode::Answers => out += &self.next_answer(served),
                Mode::Chunks => out += &self.next_chunk(),
                Mode::Bytes => {
                    out += &format!("<+ bytes {}\n", pictured(&std::mem::take(&mut self.input)));
                }
                Mode::Socket => {
                    let said = ws_client::take(&mut self.input).expect("a whole frame");
                    out += &spoken(&said);
                }
            }
        }
        out
    }

    fn next_answer(&mut self, served: &mut Vec<Served>) -> String {
        let head_end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(asked) = self.asked.pop_front() else {
            let mut raw = std::mem::take(&mut self.input);
            if raw.starts_with(b"HTTP/1.1 101 ") {
                self.input = raw.split_off(head_end.expect("a head") + 4);
                self.mode = Mode::Socket;
            }
            return verbatim(std::str::from_utf8(&raw).expect("text"));
        };
        let end = head_end.expect("a head");
        let head: Vec<u8> = self.input.drain(..end + 4).collect();
        let head = std::str::from_utf8(&head[..end]).expect("text");
        let answer = Answer::parse(head);
        let told = Served::of(&asked, &answer);
        if answer.status == 101 {
            assert_eq!(answer.header("Sec-WebSocket-Accept"), Some(ws_client::ACCEPT));
            self.mode = Mode::Socket;
            served.push(told);
            return "< 101\n".to_owned();
        }
        let chunked = answer.header("Transfer-Encoding") == Some("chunked");
        if chunked || (answer.status == 200 && answer.header("Content-Length").is_none()) {
            if asked.method != "HEAD" {
                self.mode = if chunked { Mode::Chunks } else { Mode::Bytes };
            }
            served.push(told);
            return answer.shown_begun(&asked, self.mode != Mode::Answers);
        }
        let length = answer.body_length(&asked);
        assert!(length <= self.input.len(), "a whole body");
        let body: Vec<u8> = self.input.drain(..length).collect();
        let body = std::str::from_utf8(&body).expect("text");
        served.push(Served { body: Some(body.to_owned()), ..told });
        answer.shown(&asked, body)
    }

    fn next_chunk(&mut self) -> String {
        let line = |bytes: &[u8]| bytes.windows(2).position(|two| two == b"\r\n");
        let end = line(&self.input).expect("a chunk's length");
        let length = std::str::from_utf8(&self.input[..end]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a length");
        self.input.drain(..end + 2);
        if length > 0 {
            let chunk: Vec<u8> = self.input.drain(..length).collect();
            assert_eq!(self.input.drain(..2).collect::<Vec<_>>(), b"\r\n");
            return format!("<+ chunk {}\n", pictured(&chunk));
        }
        self.mode = Mode::Answers;
        let mut told = "<+ end".to_owned();
        while let Some(end) = line(&self.input) {
            let field: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
            if field.is_empty() {
                break;
            }
            told += &format!(" {}", std::str::from_utf8(&field).expect("text"));
        }
        told + "\n"
    }
}

fn spoken(said: &Said) -> String {
    let line = match said {
        Said::Text(text) => format!("text {}", pictured(text.as_bytes())),
        Said::Binary(bytes) => format!("binary {}", pictured(bytes)),
        Said::Ping(bytes) => format!("ping {}", pictured(bytes)),
        Said::Pong(bytes) => format!("pong {}", pictured(bytes)),
        Said::Close(code, reason) => format!("close {code} {reason}"),
    };
    format!("<+ {}\n", line.trim_end())
}

/// A body that is longer has tests of its own.
const LONG: usize = 20_000;
/// The longest text that is shown whole.
const SHOWN: usize = 2_000;

/// Bytes in one line: pictures of the control characters that are common, numbers of what is no text.
fn pictured(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN {
        let (first, last) = (&bytes[..20], &bytes[bytes.len() - 20..]);
        return format!("{}…{} ({} bytes)", pictured(first), pictured(last), bytes.len());
    }
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0' => out.push('␀'),
                '\n' => out.push('␊'),
                '\r' => out.push('␍'),
                c if c.is_control() => out += &format!("\\u{{{:x}}}", u32::from(c)),
                c => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out
}

/// Bytes as they are, line by line. A body need not end in a line's end.
fn verbatim(text: &str) -> String {
    let text = text.replace("HTTP/1.1 ", "\0HTTP/1.1 ");
    let pieces = text.split('\0').flat_map(|response| response.split_inclusive("\r\n"));
    let line = |piece: &str| match piece.strip_suffix("\r\n") {
        Some("") => "<\n".to_owned(),
        Some(line) => format!("< {line}\n"),
        None => format!("<< {}\n", without_version(&pictured(piece.as_bytes()))),
    };
    pieces.map(line).collect()
}

/// A release changes no trace.
fn without_version(body: &str) -> String {
    let names = ["\"version\": ", "\"releaseId\": ", "version="];
    names.iter().fold(body.to_owned(), |body, name| {
        body.replace(&format!("{name}\"{}\"", gaffer::VERSION), &format!("{name}\"…\""))
    })
}

/// Whether a path is asked by those who want to know how it stands, which is told line by line.
fn is_of_now(path: &str) -> bool {
    ["/metrics", "/health", "/livez", "/readyz"].contains(&path)
}

struct Answer<'a> {
    status: u16,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Answer<'a> {
    fn parse(head: &'a str) -> Self {
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|line| line.split(' ').next()).expect("a status");
        let header = |line: &'a str| line.split_once(": ").expect("a header");
        Self { status: status.parse().expect("a number"), headers: lines.map(header).collect() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| *known == name);
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    fn body_length(&self, asked: &Asked) -> usize {
        let length = self.header("Content-Length").map(|text| text.parse().expect("a length"));
        let bodiless = matches!(self.status, 204 | 304);
        assert_eq!(length.is_none(), bodiless, "{} {}", asked.method, asked.path);
        if asked.method == "HEAD" {
            return 0;
        }
        length.unwrap_or(0)
    }

    /// The head of an answer that goes on, or would to GET.
    fn shown_begun(&self, asked: &Asked, goes_on: bool) -> String {
        for (name, value) in ALWAYS.into_iter().filter(|_| !asked.is_sockjs()) {
            let value = if name == "Cache-Control" { "no-store" } else { value };
            assert_eq!(self.header(name), Some(value), "{} {}", asked.method, asked.path);
        }
        let kind = self.header("Content-Type").expect("a type");
        let mut out =
            format!("< {} {kind}{}\n", self.status, if goes_on { " goes on" } else { "" });
        out += &self.shown_headers(asked);
        out
    }

    fn shown(&self, asked: &Asked, body: &str) -> String {
        if asked.is_sockjs() {
            let kind = self.header("Content-Type").map(|kind| format!(" {kind}"));
            let mut out = format!("< {}{}\n", self.status, kind.unwrap_or_default());
            if !body.is_empty() {
                out += &format!("<< {}\n", pictured(body.as_bytes()));
            }
            return out;
        }
        // What a secret is told in nobody keeps, nor what is so now alone.
        let secret = self.header("X-Api-Key").is_some() || body.contains("\"secret\": \"");
        // Of what is another one after a moment no answer is kept, either.
        let of_now = is_of_now(&asked.path) && matches!(self.status, 200 | 503);
        let secret = secret || of_now;
        let secret = secret || (asked.path.starts_with("/stats/history") && self.status == 200);
        for (name, value) in ALWAYS {
            let value = if secret && name == "Cache-Control" { "no-store" } else { value };
            assert_eq!(self.header(name), Some(value), "{} {}", asked.method, asked.path);
        }
        let reads = ["GET", "HEAD"].contains(&asked.method.as_str());
        let tagged = reads && !secret && matches!(self.status, 200 | 304);
        // A file has a tag of its own.
        let is_file = asked.path.starts_with("/_plugin/");
        let has_tag = self.header("ETag").is_some();
        assert!(is_file || has_tag == tagged, "{} {}", asked.method, asked.path);
        if asked.method == "GET" && self.status == 200 && !secret && !is_file {
            let digest = HEXLOWER.encode(&Sha1::digest(body));
            assert_eq!(self.header("ETag"), Some(format!("\"{digest}\"").as_str()));
        }
        let kind = self.header("Content-Type").map(|kind| format!(" {kind}")).unwrap_or_default();
        let mut out = format!("< {}{kind}\n", self.status);
        out += &self.shown_headers(asked);
        if !body.is_empty() {
            let body = without_version(body)
                .replace('\n', if is_of_now(&asked.path) { "\n<< " } else { "␊" });
            let body = body.trim_end_matches("\n<< ");
            out += &match body.len() > LONG {
                true => format!("<< {}… and so on\n", body.chars().take(20).collect::<String>()),
                false => format!("<< {body}\n"),
            };
        }
        out
    }

    fn shown_headers(&self, asked: &Asked) -> String {
        let mut out = String::new();
        for (name, value) in &self.headers {
            let always = ALWAYS.iter().any(|(known, _)| known == name)
                || ["Date", "Content-Type", "Content-Length"].contains(name);
            let about_origins = name.starts_with("Access-Control-") || *name == "Vary";
            if !always && (asked.closely || about_origins || ["Allow", "Connection"].contains(name))
            {
                out += &format!("< {name}: {value}\n");
            }
        }
        out
    }
}
