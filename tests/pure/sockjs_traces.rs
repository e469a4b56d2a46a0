//! Golden traces of the `SockJS` services of the echo server: what clients do and exactly what each of
//! them gets, as text files in `tests/golden/sockjs`. Each is replayed whole, byte by byte, and in
//! random pieces, in virtual time.
//!
//! A line of a trace is one of the following, where `a` is any client, which connects when it is first
//! named:
//!
//! - `# …`: a remark
//! - `a get PATH`, `a post PATH BODY`, `a options PATH`: a request; `… +Name: value` at its end adds a
//!   field, `+http/1.0` makes it an old one, and `{40 times x}` in a body is a run
//! - `a open PATH`: a request for a websocket; `a ws TEXT`, `a bytes HEX`, `a wsclose CODE`: its frames
//! - `a > …`: bytes as they are, with the escapes of the other traces
//! - `a end`: it ends its side; `a gone`: it vanishes
//! - `a slow`, `a fast`: it reads nothing from now on, or again
//! - `wait 10`: seconds pass
//! - `a< …`, `a<< …`: what it gets, with CRLF or nothing more; `a ending` (nothing more will be sent)
//!   and `a closed`: what became of its connection
//!
//! With `GOLDEN_WRITE=1` in the environment the test writes what it saw into the files instead; read
//! the difference before you keep it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::random::Random;
use gaffer::front::peer::Peer;
use gaffer::node::machine::Machine as _;

use crate::echo::Echo;
use crate::http_traces::unescape;

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
const WALL: Duration = Duration::from_secs(784_111_777);
/// So many equal bytes in a row are written as a number.
const RUN: usize = 40;

struct Client {
    conn: Option<ConnId>,
    got: Vec<u8>,
    left: &'static str,
    slow: bool,
}

struct World {
    echo: Echo,
    now: Now,
    clients: BTreeMap<String, Client>,
}

#[test]
fn every_session_goes_exactly_so_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sockjs");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("traces")
        .map(|entry| entry.expect("one").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} traces", paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            std::fs::write(&path, replay(&text, || usize::MAX)).expect("a writable trace");
            continue;
        }
        let name = path.display();
        assert_eq!(replay(&text, || usize::MAX), text, "{name}, whole");
        assert_eq!(replay(&text, || 1), text, "{name}, byte by byte");
        for seed in 0..20 {
            let mut random = Random::seeded(seed);
            let piece = || usize::try_from(random.below(30) + 1).unwrap_or(1);
            assert_eq!(replay(&text, piece), text, "{name}, cut by seed {seed}");
        }
    }
}

/// The trace with what is seen now.
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn replay(text: &str, mut piece: impl FnMut() -> usize) -> String {
    let now = Now { mono: Instant::now(), wall: UNIX_EPOCH + WALL };
    let mut world = World { echo: Echo::new(1), now, clients: BTreeMap::new() };
    let mut out = String::new();
    for line in text.lines().filter(|line| !is_seen(line)) {
        out += line;
        out.push('\n');
        if line.starts_with('#') {
            continue;
        }
        world.step(line, &mut piece);
        world.sweep();
        world.show(&mut out);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

/// Whether a line is what was seen, and not what to do.
fn is_seen(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    let got = word.trim_end_matches('<').len() < word.len();
    got || line.is_empty() || line.ends_with(" ending") || line.ends_with(" closed")
}

impl World {
    fn step(&mut self, line: &str, piece: &mut impl FnMut() -> usize) {
        let (name, rest) = line.split_once(' ').expect("two words");
        if name == "wait" {
            return self.wait(Duration::from_secs(rest.parse().expect("seconds")));
        }
        let (what, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (rest, fields) = rest.split_once(" +").unwrap_or((rest, ""));
        let conn = self.client(name);
        let bytes = match what {
            "get" | "post" | "options" => request(what, rest, fields),
            "open" => {
                let key = "Upgrade: websocket +Connection: Upgrade +Sec-WebSocket-Version: 13 \
                           +Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
                let all = if fields.is_empty() { key.into() } else { format!("{key} +{fields}") };
                request("get", rest, &all)
            }
            ">" => unescape(rest),
            "ws" => frame(0x81, rest.as_bytes()),
            "bytes" => frame(0x82, &unescape(rest)),
            "wsclose" => frame(0x88, &rest.parse::<u16>().expect("a code").to_be_bytes()),
            "slow" | "fast" => {
                self.clients.get_mut(name).expect("known").slow = what == "slow";
                return;
            }
            "end" => return self.echo.input_ended(conn, self.now),
            "gone" => {
                self.clients.remove(name);
                return self.echo.closed(conn, self.now);
            }
            other => panic!("unknown word {other:?} in a trace"),
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (first, after) = rest.split_at(piece().min(rest.len()));
            rest = after;
            self.echo.received(conn, first, self.now);
            self.pump();
        }
    }

    /// A client by its name, connected anew if it is not connected.
    fn client(&mut self, name: &str) -> ConnId {
        if let Some(conn) = self.clients.get(name).and_then(|client| client.conn) {
            return conn;
        }
        // A client whose name ends in a digit comes from another address.
        let host = name.bytes().last().filter(u8::is_ascii_digit).map_or(1, |digit| digit - b'0');
        let remote = SocketAddr::from(([127, 0, 0, host], 40_000));
        let conn = self.echo.accepted(Peer::Tcp { remote, tls: None }, self.now).expect("room");
        let client = Client { conn: Some(conn), got: Vec::new(), left: "open", slow: false };
        self.clients.insert(name.to_owned(), client);
        conn
    }

    /// Lets time pass from deadline to deadline.
    fn wait(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while let Some(due) = self.echo.deadline().filter(|due| *due <= until.mono) {
            self.now = self.now.plus(due.saturating_duration_since(self.now.mono));
            self.echo.on_time(self.now);
            self.pump();
        }
        self.now = until;
    }

    /// Moves what is owed to the clients that read.
    fn pump(&mut self) {
        for client in self.clients.values_mut() {
            let Some(conn) = client.conn else { continue };
            loop {
                let owed = self.echo.transmit(conn).to_vec();
                if owed.is_empty() || client.slow {
                    break;
                }
                client.got.extend_from_slice(&owed);
                self.echo.sent(conn, owed.len(), self.now);
            }
            if self.echo.is_finished(conn) {
                client.conn = None;
                self.echo.closed(conn, self.now);
            }
        }
    }

    fn show(&mut self, out: &mut String) {
        self.pump();
        for (name, client) in &mut self.clients {
            let got = std::mem::take(&mut client.got);
            let mut rest = got.as_slice();
            while !rest.is_empty() {
                let end = rest.windows(2).position(|two| two == b"\r\n");
                let (line, arrow) = match end {
                    Some(end) => (&rest[..end], "<"),
                    None => (rest, "<<"),
                };
                rest = &rest[end.map_or(rest.len(), |end| end + 2)..];
                let space = if line.is_empty() { "" } else { " " };
                writeln!(out, "{name}{arrow}{space}{}", escape(line)).expect("memory");
            }
            let left = match client.conn {
                None => "closed",
                Some(conn) if self.echo.output_ended(conn) => "ending",
                Some(_) => "open",
            };
            if std::mem::replace(&mut client.left, left) != left {
                writeln!(out, "{name} {left}").expect("memory");
            }
        }
    }

    fn sweep(&mut self) {
        self.pump();
        for service in self.echo.services() {
            service.sweep(self.echo.clients()).expect("a sound service");
        }
    }
}

fn request(method: &str, rest: &str, fields: &str) -> Vec<u8> {
    let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut version = "HTTP/1.1";
    let mut head = String::new();
    for field in fields.split(" +").filter(|field| !field.is_empty()) {
        match field {
            "http/1.0" => version = "HTTP/1.0",
            _ => head = head + field + "\r\n",
        }
    }
    let method = method.to_uppercase();
    let body = unescape(&expand(body));
    if method == "POST" {
        write!(head, "Content-Length: {}\r\n", body.len()).expect("memory");
    }
    let head = format!("{method} {path} {version}\r\nHost: localhost\r\n{head}\r\n");
    [head.as_bytes(), &body].concat()
}

/// Writes runs out, as [`escape`] puts them.
fn expand(text: &str) -> String {
    let run = text.split_once('{').and_then(|(before, rest)| {
        let (run, after) = rest.split_once('}')?;
        let (count, what) = run.split_once(" times ")?;
        Some(format!("{before}{}{after}", what.repeat(count.parse().ok()?)))
    });
    run.unwrap_or_else(|| text.to_owned())
}

/// A client's frame: masked, final.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let mut bytes = vec![first, 0x80 | length.expect("a short one")];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        let shown = match first {
            b'\r' => "\\r".into(),
            b'\n' => "\\n".into(),
            b'\t' => "\\t".into(),
            b'\\' => "\\\\".into(),
            b' '..=b'~' => char::from(*first).to_string(),
            _ => format!("\\x{first:02x}"),
        };
        let taken = if run >= RUN { run } else { 1 };
        match taken {
            1 => out += &shown,
            _ => write!(out, "{{{run} times {shown}}}").expect("memory"),
        }
        rest = &rest[taken..];
    }
    out
}
