//! Golden traces of the lookupd: what nodes and clients say, and exactly what it answers, as text files
//! in `tests/golden/lookup`. They are the promise to both. Each is replayed whole, byte by byte, and in
//! random pieces.
//!
//! The lines are those of the traces of the API, as far as they mean something here, and
//!
//! - `node n1 http://n1:5000`: a connection of that name becomes a node, which is not shown
//! - `pong`: an answer to a ping
//! - `sleeps 60000ms`: time passes that the lookupd does not notice before it `wakes`
//!
//! `GOLDEN_WRITE=1` writes what was seen anew; read the difference before you keep it.

use std::path::PathBuf;
use std::time::Duration;

use gaffer::base::process::Signal;
use gaffer::front::access::Access;
use gaffer::lookup::routes::ROUTES;
use gaffer::node::machine::Machine as _;

use crate::api_traces::{pattern_fits, replayed_exactly, said, traces_in};
use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::http_traces::unescape;
use crate::trace_client::{Asked, Client, Served};
use crate::ws_client;

#[test]
fn every_lookup_trace_gives_its_exact_answers_however_it_is_cut() {
    replayed_exactly(traces(), |text, piece| replay(text, piece).text);
}

fn traces() -> Vec<PathBuf> {
    let paths = traces_in("tests/golden/lookup");
    assert!(paths.len() >= 10, "only {} traces", paths.len());
    paths
}

#[test]
fn every_lookup_route_succeeds_in_some_trace_and_tells_its_methods() {
    let mut served = Vec::new();
    for path in traces() {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        served.extend(replay(&text, &mut || usize::MAX).served);
    }
    for route in ROUTES {
        let fits = |served: &Served| {
            served.is_success()
                && served.method == route.method.name()
                && pattern_fits(route.pattern, &served.path)
        };
        assert!(served.iter().any(fits), "{} {}", route.method.name(), route.pattern);
        let path = route.pattern.replace(":node", "n");
        let trace = format!("with X: y\nOPTIONS {path}\nHEAD {path}\nGET {path}\n");
        let seen = replay(&trace, &mut || usize::MAX).text;
        let lines: Vec<&str> = seen.lines().collect();
        let after = |asked: &str| {
            let at = lines.iter().position(|line| line.starts_with(asked)).expect("asked");
            lines.get(at + 1).copied().unwrap_or_default()
        };
        assert_eq!(after("OPTIONS"), "< 204", "{path}");
        assert!(lines.contains(&"< Allow: GET, HEAD, OPTIONS"), "{path}");
        assert_eq!(after("GET"), after("HEAD"), "{path}");
    }
}

/// What a replay gave.
struct Replay {
    /// The trace with what was seen.
    text: String,
    /// Method and path of every request that succeeded.
    served: Vec<Served>,
}

/// A replay under way.
struct Player<'a> {
    lookupd: FakeLookupd,
    clients: Vec<Client>,
    /// Which of them speaks.
    current: usize,
    headers: Vec<String>,
    /// What is said, while it is held back.
    held: Option<Vec<u8>>,
    piece: &'a mut dyn FnMut() -> usize,
    out: String,
    served: Vec<Served>,
}

fn replay(text: &str, piece: &mut dyn FnMut() -> usize) -> Replay {
    let mut access = Access::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("host", name)) => access.hosts.push(name.to_owned()),
            Some(("origin", url)) => access.origins.push(url.to_owned()),
            _ => {}
        }
    }
    let mut player = Player {
        lookupd: FakeLookupd::new(access),
        clients: Vec::new(),
        current: 0,
        headers: Vec::new(),
        held: None,
        piece,
        out: String::new(),
        served: Vec::new(),
    };
    player.turn_to("1");
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if ["<", "<<", "<+", "!"].contains(&word) {
            continue;
        }
        player.out += &format!("{line}\n");
        player.step(word, rest);
        player.tell();
    }
    Replay { text: player.out, served: player.served }
}

impl Player<'_> {
    fn client(&mut self) -> &mut Client {
        &mut self.clients[self.current]
    }

    fn turn_to(&mut self, name: &str) {
        if let Some(known) = self.clients.iter().position(|client| client.name == name) {
            self.current = known;
            return;
        }
        let conn = self.lookupd.connect();
        self.clients.push(Client::new(name, conn));
        self.current = self.clients.len() - 1;
    }

    fn step(&mut self, word: &str, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        match (word, words.as_slice()) {
            ("" | "#" | "host" | "origin", _) => {}
            ("with", _) => self.headers.push(rest.to_owned()),
            ("conn", [name]) => self.turn_to(name),
            ("node", [name, origin]) => self.node(name, origin),
            ("advance", [time]) => self.lookupd.advance(millis(time)),
            ("sleeps", [time]) => self.lookupd.oversleep(millis(time)),
            ("wakes", _) => self.lookupd.advance(Duration::ZERO),
            ("signal", [name]) => self.lookupd.signal(Signal::parse(name).expect("a signal")),
            ("open", _) => self.open(rest),
            ("pong", _) => self.send(&ws_client::frame(ws_client::PONG, b"")),
            ("say" | "say-bytes" | "say-long" | "ping" | "close", _) => {
                let bytes = match word {
                    // A text here, where the API has bytes.
                    "say-long" => {
                        let length = rest.parse().expect("a length");
                        ws_client::frame(ws_client::TEXT, &vec![b'x'; length])
                    }
                    _ => said(word, rest),
                };
                match &mut self.held {
                    Some(held) => held.extend(bytes),
                    None => self.send(&bytes),
                }
            }
            ("hold", _) => self.held = Some(Vec::new()),
            ("send", _) => {
                let held = self.held.take().expect("something is held");
                self.send(&held);
            }
            ("stall", _) => self.client().stalls = true,
            ("go", ["on"]) => self.client().stalls = false,
            ("half-close", _) => {
                let conn = self.client().conn;
                self.lookupd.half_close(conn);
            }
            ("vanish", _) => {
                let conn = self.client().conn;
                self.client().gone = true;
                self.lookupd.vanish(conn);
            }
            (method, _) if rest.starts_with('/') || rest == "*" => self.request(method, rest),
            (other, _) => panic!("unknown word {other:?} in a trace"),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let conn = self.client().conn;
        self.lookupd.send(conn, bytes, self.piece);
    }

    /// A connection that becomes a node without further ado.
    fn node(&mut self, name: &str, origin: &str) {
        self.turn_to(name);
        self.open("/ws");
        let say = serde_json::json!({
            "msgid": "i", "type": "IDENTIFY", "name": name, "origin": origin, "version": "0.1",
        });
        self.send(&said("say", &say.to_string()));
        let conn = self.client().conn;
        let answer = self.lookupd.take_answer(conn);
        let shown = self.clients[self.current].shown(&answer, &mut self.served);
        assert_eq!(shown, "< 101\n<+ text {\"msgid\": \"i\", \"ok\": true}\n");
    }

    fn open(&mut self, path: &str) {
        let headers = std::mem::take(&mut self.headers);
        let has_host = headers.iter().any(|header| header.starts_with("Host:"));
        let host = if has_host { "" } else { "Host: localhost:5010\r\n" };
        let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let bytes = ws_client::handshake(path, host, &lines);
        self.client().asked.push_back(Asked::new("GET", path, !headers.is_empty()));
        self.send(&bytes);
    }

    fn request(&mut self, method: &str, rest: &str) {
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let body = unescape(body);
        let headers = std::mem::take(&mut self.headers);
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head += "Host: localhost:5010\r\n";
        }
        for header in &headers {
            head += &format!("{header}\r\n");
        }
        if method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let bytes = [head.as_bytes(), b"\r\n", body.as_slice()].concat();
        self.client().asked.push_back(Asked::new(method, path, !headers.is_empty()));
        self.send(&bytes);
    }

    /// Writes down what came of a step.
    fn tell(&mut self) {
        for asked in self.lookupd.asked.drain(..) {
            self.out += &format!("! {asked}\n");
        }
        for number in 0..self.clients.len() {
            let client = &self.clients[number];
            if client.stalls || client.gone {
                continue;
            }
            let bytes = self.lookupd.take_answer(client.conn);
            let machine = &self.lookupd.machine;
            let left = match (machine.is_finished(client.conn), machine.output_ended(client.conn)) {
                (true, _) => "closed",
                (false, true) => "ending",
                (false, false) => "",
            };
            let news = if left == client.left { "" } else { left };
            if (!bytes.is_empty() || !news.is_empty()) && number != self.current {
                self.out += &format!("< on {}\n", client.name);
            }
            let client = &mut self.clients[number];
            client.left = left;
            self.out += &client.shown(&bytes, &mut self.served);
            if !news.is_empty() {
                self.out += &format!("< {news}\n");
            }
        }
    }
}

fn millis(time: &str) -> Duration {
    let millis = time.strip_suffix("ms").and_then(|text| text.parse().ok());
    Duration::from_millis(millis.expect("milliseconds"))
}
