//! Golden traces of the API: requests, what happens to the processes meanwhile, and exactly what
//! the node answers, as text files in `tests/golden/api`, in `tests/golden/live` for what goes on and
//! for websockets, and in `tests/golden/old` for what the original's client says. They are the promise
//! to clients. Each is replayed whole, byte by byte, and in random pieces.
//!
//! A line of a trace is one of
//!
//! - `# …`: a remark; empty lines are remarks too
//! - `GET /path body`: a request, with `Host: localhost:5000` and the body's length
//! - `with Name: value`: a header of the next request; several lines for several
//! - `body 1000`: the next request has a body of so many `x`
//! - `open /path`: a websocket is asked for, and from here on spoken with
//! - `say TEXT`, `say-bytes …`, `ping …`, `close 1000 why`: messages on it; in a text `␀`, `␊` and `␍`
//!   stand for the characters that they show, and `say-long 1000` is one of so many `x`
//! - `> …` and `>> …`: raw bytes of a request, as in the traces of connections
//! - `hold`, `send`: what is said in between goes out together
//! - `conn 2`, `conn 2 unix`: from here on another client speaks
//! - `stall`, `go on`: it takes nothing of what it is owed, until it does; `half-close`, `vanish`: it
//!   ends its own side, or is gone
//! - `advance 1500ms`: time passes
//! - `exit 1001 code 3`, `exit 1001 signal SEGV`, with `leaving others` behind it if its group lives
//! - `output 1001 …`, `errors 1001 …`, `custom 1001 3 …`: a process writes, with escapes; `floods 1001
//!   20 1000`: it writes 20 times 1000 bytes
//! - `reads 0`, `reads all`, `refuses 32`: how much processes read of what they are sent; `takes 1001
//!   100`: one reads so much, once
//! - `deaf`, `hearing`: processes ignore all but KILL, or end with TERM and INT
//! - `spawns fail exec 2`, `spawns work`; `stores fail 28`, `stores work`
//! - `signal TERM`: the daemon gets a signal
//! - at the top: `host NAME`, `origin URL`: who may ask; `require-key`: a key is asked for; `of-root`: the node
//!   runs as root; `file NAME CONFIG`: a job of a file; `site NAME/FILE TEXT`: a file of the site of a plugin
//!
//! and what comes of it, which `GOLDEN_WRITE=1` writes anew; read the difference before you keep it:
//!
//! - `! …`: what the kernel was asked for
//! - `< 200 application/json`, `< Name: value`, `<< body`: an answer. Without `with`, only `Allow`
//!   and what is about origins is shown. What every answer has is checked, but not shown
//! - `< …` and `<< …` after raw bytes: the bytes of the answer
//! - `< 200 … goes on`: an answer whose body comes in pieces, as they come: `<+ chunk …` each, `<+ end
//!   Name: value` at last with its trailers, or `<+ bytes …` where only the end of the connection ends it
//! - `< 101`, or the whole head after raw bytes: a websocket, and what is said on it: `<+ text …`, `<+ binary …`, `<+ ping`, `<+ pong …`,
//!   `<+ close 1000 why`. `␀`, `␊` and `␍` stand for the characters that they show
//! - `lookupd l1`: the node registers with this one; `link 1 opens`, `link 1 upgrades`, `link 1 says TEXT`,
//!   `link 1 answers …` with escapes, `link 1 fails WHY` and `link 1 closes` happen at the far end of a connection of the node's own, and
//!   `! on link 1: …` is what the node says there
//! - `< on 2`: what follows is for another client
//! - `< closed`, `< ending`: the connection is over, or nothing more will be sent on it

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaffer::base::error::{Errno, Stage};
use gaffer::base::ids::LinkId;
use gaffer::base::ids::{OsPid, StreamNo};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::keys::door::Keeping;
use gaffer::node::machine::Machine as _;
use gaffer::node::routes::ROUTES;
use gaffer::supervisor::name::JobName;
use gaffer::supervisor::spec::{JobEntry, Place};
use gaffer::supervisor::spec_read;

use crate::driven::Driven;
use crate::fake_link::End;
use crate::fake_node::{start, FakeNode, OWNERS};
use crate::http_traces::unescape;
use crate::registration::registration;
use crate::trace_client::{Asked, Client, Served};
use crate::ws_client;

#[test]
fn every_api_trace_gives_its_exact_answers_however_it_is_cut() {
    replayed_exactly(traces(), |text, piece| replay(text, piece).text);
}

/// Checks that traces give what is written in them, whole, byte by byte and in random pieces; or writes
/// that anew.
pub(crate) fn replayed_exactly(
    traces: Vec<PathBuf>,
    replay: impl Fn(&str, &mut dyn FnMut() -> usize) -> String,
) {
    for path in traces {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        let whole = replay(&text, &mut || usize::MAX);
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            std::fs::write(&path, whole).expect("a writable trace");
            continue;
        }
        let name = path.display();
        same(&text, &whole, &format!("{name}, whole"));
        same(&text, &replay(&text, &mut || 1), &format!("{name}, byte by byte"));
        for seed in 0..10 {
            let mut random = Random::seeded(seed);
            let mut piece = || usize::try_from(random.below(60) + 1).unwrap_or(1);
            same(&text, &replay(&text, &mut piece), &format!("{name}, cut by seed {seed}"));
        }
    }
}

fn traces() -> Vec<PathBuf> {
    let folders = ["tests/golden/api", "tests/golden/live", "tests/golden/old"];
    let paths: Vec<PathBuf> = folders.into_iter().flat_map(traces_in).collect();
    assert!(paths.len() >= 20, "only {} traces", paths.len());
    paths
}

/// The traces of a folder, by their names.
pub(crate) fn traces_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("traces");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    paths.sort();
    paths
}

fn same(expected: &str, seen: &str, how: &str) {
    let mut lines = (1..).zip(expected.lines().zip(seen.lines()));
    if let Some((number, (expected, seen))) = lines.find(|(_, (expected, seen))| expected != seen) {
        panic!("{how}, line {number}:\n  expected {expected}\n  got      {seen}");
    }
    assert_eq!(expected, seen, "{how}");
}

#[test]
fn every_route_succeeds_in_some_trace() {
    let served = served();
    for route in ROUTES {
        let fits = |served: &Served| {
            served.is_success()
                && served.method == route.method.name()
                && pattern_fits(route.pattern, &served.path)
        };
        assert!(served.iter().any(fits), "{} {}", route.method.name(), route.pattern);
    }
}

/// All that is answered in traces.
pub(crate) fn served() -> Vec<Served> {
    let mut served = Vec::new();
    for path in traces() {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        served.extend(replay(&text, &mut || usize::MAX).served);
    }
    served
}

pub(crate) fn pattern_fits(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(pattern, part): (&&str, &&str)| match pattern.chars().next() {
        Some(':' | '*') => true,
        Some('#') => part.parse::<u64>().is_ok(),
        _ => pattern == part,
    };
    let is_open = pattern.last().is_some_and(|last| last.starts_with('*'));
    let long_enough =
        if is_open { path.len() >= pattern.len() } else { path.len() == pattern.len() };
    long_enough && pattern.iter().zip(&path).all(fits)
}

#[test]
fn every_path_tells_its_methods_and_what_answers_get_answers_head() {
    for route in ROUTES {
        let path = route.pattern.replace(":session", "s").replace(":job", "a").replace("#pid", "1");
        let path = path.replace(":part", "job").replace(":label", "out").replace("#instance", "1");
        // Some answers to GET do not end.
        let trace = format!(
            "file s.a {{\"cmd\": \"a\"}}\nwith X: y\nOPTIONS {path}\nHEAD {path}\nGET {path}\n"
        );
        let seen = replay(&trace, &mut || usize::MAX).text;
        let lines: Vec<&str> = seen.lines().collect();
        let after = |asked: &str| {
            let at = lines.iter().position(|line| line.starts_with(asked)).expect("asked");
            lines.get(at + 1).copied().unwrap_or_default()
        };
        assert_eq!(after("OPTIONS"), "< 204", "{path}");
        let allow = lines.iter().find_map(|line| line.strip_prefix("< Allow: ")).expect("told");
        assert!(allow.split(", ").any(|name| name == route.method.name()), "{path}: {allow}");
        assert!(allow.ends_with("OPTIONS"), "{path}: {allow}");
        assert_eq!(after("GET").trim_end_matches(" goes on"), after("HEAD"), "{path}");
    }
}

/// What a replay gave.
pub(crate) struct Replay {
    /// The trace with what was seen.
    pub(crate) text: String,
    /// Method and path of every request that succeeded.
    served: Vec<Served>,
}

/// A replay under way.
struct Player<'a> {
    node: FakeNode,
    clients: Vec<Client>,
    /// Which of them speaks.
    current: usize,
    headers: Vec<String>,
    body: Option<usize>,
    /// What is said, while it is held back.
    held: Option<Vec<u8>>,
    /// The far ends of connections of the node's own.
    ends: BTreeMap<u64, End>,
    piece: &'a mut dyn FnMut() -> usize,
    out: String,
    served: Vec<Served>,
}

pub(crate) fn replay(text: &str, piece: &mut dyn FnMut() -> usize) -> Replay {
    let mut access = Access::default();
    let (mut files, mut lookups, mut sites) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("host", name)) => access.hosts.push(name.to_owned()),
            Some(("origin", url)) => access.origins.push(url.to_owned()),
            Some(("file", job)) => files.push(file_job(job)),
            Some(("lookupd", name)) => lookups.push(name),
            Some(("site", file)) => sites.push(file.split_once(' ').unwrap_or((file, ""))),
            _ => {}
        }
    }
    let require_key = text.lines().any(|line| line == "require-key");
    let root = text.lines().any(|line| line == "of-root");
    let keeping = Keeping { require_key, owners: OWNERS.into(), root };
    let (console, legacy) = (Console::default(), Legacy::default());
    let (parts, kept) = ((access, console, legacy), (registration(&lookups), keeping));
    let mut node = FakeNode::begun(parts, files.clone(), kept, start());
    if !sites.is_empty() {
        node.have_sites(&sites);
        node.reconfigure(files);
    }
    let mut player = Player {
        node,
        clients: Vec::new(),
        current: 0,
        headers: Vec::new(),
        body: None,
        held: None,
        ends: BTreeMap::new(),
        piece,
        out: String::new(),
        served: Vec::new(),
    };
    player.turn_to("1", None);
    let mut lines = text.lines().peekable();
    let mut raw = Vec::new();
    let mut files_left = text.lines().filter(|line| line.starts_with("file ")).count();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if ["<", "<<", "<+", "!"].contains(&word) {
            continue;
        }
        player.out += &format!("{line}\n");
        match word {
            ">" => raw.extend([unescape(rest).as_slice(), b"\r\n"].concat()),
            ">>" => raw.extend(unescape(rest)),
            _ => player.step(word, rest),
        }
        if !raw.is_empty() && !lines.peek().is_some_and(|next| next.starts_with('>')) {
            let conn = player.client().conn;
            player.node.send(conn, &std::mem::take(&mut raw), player.piece);
        }
        // What the files' jobs cause is told below the last of them.
        files_left -= usize::from(word == "file");
        if files_left == 0 && raw.is_empty() {
            player.tell();
        }
    }
    Replay { text: player.out, served: player.served }
}

/// A job of a file: `session.label {configuration}`.
pub(crate) fn file_job(text: &str) -> JobEntry {
    let (name, config) = text.split_once(' ').expect("a name and a configuration");
    let config: serde_json::Value = serde_json::from_str(config).expect("JSON");
    let config = config.as_object().expect("an object");
    let spec = spec_read::read(config).expect("a specification").into();
    let name = JobName::parse(name).expect("a name");
    JobEntry {
        name,
        spec,
        start: spec_read::wants_start(config),
        place: Place::new("file:1".into()),
    }
}

impl Player<'_> {
    fn client(&mut self) -> &mut Client {
        &mut self.clients[self.current]
    }

    fn turn_to(&mut self, name: &str, uid: Option<u32>) {
        if let Some(known) = self.clients.iter().position(|client| client.name == name) {
            self.current = known;
            return;
        }
        let conn = match uid {
            Some(_) => self.node.connect(Peer::Unix { uid }),
            None => self.node.connect_tcp(),
        };
        self.clients.push(Client::new(name, conn));
        self.current = self.clients.len() - 1;
    }

    fn step(&mut self, word: &str, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        match (word, words.as_slice()) {
            (
                "" | "#" | "host" | "origin" | "file" | "lookupd" | "site" | "require-key"
                | "of-root",
                _,
            ) => {}
            ("link", [number, what, ..]) => {
                let text = rest.splitn(3, ' ').nth(2).unwrap_or_default();
                self.link(number.parse().expect("a number"), what, text);
            }
            ("with", _) => self.headers.push(rest.to_owned()),
            ("conn", [name]) => self.turn_to(name, None),
            ("conn", [name, "unix"]) => self.turn_to(name, Some(1000)),
            ("conn", [name, "unix", uid]) => self.turn_to(name, uid.parse().ok()),
            ("advance", [time]) => {
                let millis = time.strip_suffix("ms").and_then(|text| text.parse().ok());
                self.node.advance(Duration::from_millis(millis.expect("milliseconds")));
            }
            ("exit", [os_pid, how, what, more @ ..]) => {
                let status = match *how {
                    "code" => ExitStatus::Code(what.parse().expect("a code")),
                    "signal" => ExitStatus::Signal {
                        signal: Signal::parse(what).expect("a signal"),
                        core: false,
                    },
                    other => panic!("unknown end {other:?} in a trace"),
                };
                self.node.exit(process(os_pid), status, more == ["leaving", "others"]);
            }
            ("output" | "errors" | "custom" | "floods", _) => self.write(word, rest),
            ("signal", [name]) => self.node.signal(Signal::parse(name).expect("a signal")),
            ("body", [length]) => self.body = Some(number(length)),
            ("open", _) => self.open(rest),
            ("say" | "say-bytes" | "say-long" | "ping" | "close", _) => {
                let bytes = said(word, rest);
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
                self.node.half_close(conn);
            }
            ("vanish", _) => {
                let conn = self.client().conn;
                self.client().gone = true;
                self.node.vanish(conn);
            }
            (method, _) if rest.starts_with('/') || rest == "*" => self.request(method, rest),
            _ => self.change(word, words.as_slice()),
        }
    }

    /// The kernel changes its ways.
    fn change(&mut self, word: &str, words: &[&str]) {
        match (word, words) {
            ("deaf", _) => self.node.deaf = true,
            ("hearing", _) => self.node.deaf = false,
            ("reads", ["all"]) => self.node.read(Ok(usize::MAX)),
            ("reads", [most]) => self.node.read(Ok(number(most))),
            ("takes", [os_pid, count]) => self.node.take(process(os_pid), number(count)),
            ("refuses", [errno]) => self.node.read(Err(Errno(errno.parse().expect("a number")))),
            ("spawns", ["fail", stage, errno]) => {
                let stages = [Stage::Fork, Stage::Cwd, Stage::Exec];
                let stage = stages.into_iter().find(|known| known.word() == *stage);
                let errno = Errno(errno.parse().expect("a number"));
                self.node.spawns_fail = Some((stage.expect("a stage"), errno));
            }
            ("spawns", ["work"]) => self.node.spawns_fail = None,
            ("stores", ["fail", errno]) => {
                self.node.stores_fail = Some(Errno(errno.parse().expect("a number")));
            }
            ("stores", ["work"]) => self.node.stores_fail = None,
            (other, _) => panic!("unknown word {other:?} in a trace"),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let conn = self.client().conn;
        self.node.send(conn, bytes, self.piece);
    }

    fn write(&mut self, word: &str, rest: &str) {
        let (os_pid, text) = rest.split_once(' ').expect("a process and its words");
        let os_pid = process(os_pid);
        let (stream, text) = match word {
            "output" | "floods" => (StreamNo::STDOUT, text),
            "errors" => (StreamNo::STDERR, text),
            _ => {
                let (stream, text) = text.split_once(' ').expect("a stream");
                (StreamNo(stream.parse().expect("a number")), text)
            }
        };
        if word == "floods" {
            let (times, length) = text.split_once(' ').expect("how often and how much");
            for time in 0..number(times) {
                let time = time.to_string();
                let line = "0".repeat(number(length) - 1 - time.len()) + &time + "\n";
                self.node.output(os_pid, stream, line.as_bytes());
            }
            return;
        }
        self.node.output(os_pid, stream, &unescape(text));
    }

    fn open(&mut self, path: &str) {
        let headers = std::mem::take(&mut self.headers);
        let has_host = headers.iter().any(|header| header.starts_with("Host:"));
        let host = if has_host { "" } else { "Host: localhost:5000\r\n" };
        let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let bytes = ws_client::handshake(path, host, &lines);
        let client = self.client();
        client.asked.push_back(Asked::new("GET", path, !headers.is_empty()));
        let conn = client.conn;
        self.node.send(conn, &bytes, self.piece);
    }

    fn request(&mut self, method: &str, rest: &str) {
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let body = self.body.take().map_or_else(|| unescape(body), |length| vec![b'x'; length]);
        let headers = std::mem::take(&mut self.headers);
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head += "Host: localhost:5000\r\n";
        }
        for header in &headers {
            head += &format!("{header}\r\n");
        }
        if !body.is_empty() || ["POST", "PUT"].contains(&method) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let bytes = [head.as_bytes(), b"\r\n", body.as_slice()].concat();
        let client = self.client();
        client.asked.push_back(Asked::new(method, path, !headers.is_empty()));
        let conn = client.conn;
        self.node.send(conn, &bytes, self.piece);
    }

    /// Writes down what came of a step.
    fn tell(&mut self) {
        let mut answers = String::new();
        self.tell_asked();
        for number in 0..self.clients.len() {
            let client = &self.clients[number];
            if client.stalls || client.gone {
                continue;
            }
            let bytes = self.node.take_answer(client.conn);
            let left = match (
                self.node.gaffer.is_finished(client.conn),
                self.node.gaffer.output_ended(client.conn),
            ) {
                (true, _) => "closed",
                (false, true) => "ending",
                (false, false) => "",
            };
            let news = if left == client.left { "" } else { left };
            if (!bytes.is_empty() || !news.is_empty()) && number != self.current {
                answers += &format!("< on {}\n", client.name);
            }
            let client = &mut self.clients[number];
            client.left = left;
            answers += &client.shown(&bytes, &mut self.served);
            if !news.is_empty() {
                answers += &format!("< {news}\n");
            }
        }
        self.out += &answers;
        // That which is asked for only after the answers have been taken is told behind them.
        self.tell_asked();
    }

    /// Something happens at the far end of a connection of the node's own.
    fn link(&mut self, number: u64, what: &str, text: &str) {
        let end = self.ends.entry(number).or_insert_with(|| End::new(LinkId(number)));
        let node = &mut self.node;
        match what {
            "opens" => node.link_opened(end.link),
            "upgrades" => end.upgrade(node),
            "fails" => node.link_failed(end.link, text),
            "says" => end.say(node, text),
            "answers" => node.link_received(end.link, &unescape(text)),
            "closes" => node.link_closed(end.link),
            other => panic!("unknown word {other:?} about a link"),
        }
    }

    fn tell_links(&mut self) {
        for (number, end) in &mut self.ends {
            for said in end.heard(&mut self.node) {
                let said = said.replace(gaffer::VERSION, "…");
                self.out += &format!("! on link {number}: {said}\n");
            }
        }
    }

    fn tell_asked(&mut self) {
        self.tell_links();
        for asked in self.node.asked.drain(..) {
            self.out += &format!("! {asked}\n");
        }
    }
}

fn process(os_pid: &str) -> OsPid {
    OsPid(os_pid.parse().expect("a process"))
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// A message on a websocket, as it goes over the wire.
pub(crate) fn said(word: &str, rest: &str) -> Vec<u8> {
    match word {
        "say" => {
            let text = rest.replace('␀', "\0").replace('␊', "\n").replace('␍', "\r");
            ws_client::frame(ws_client::TEXT, text.as_bytes())
        }
        "say-bytes" => ws_client::frame(ws_client::BINARY, &unescape(rest)),
        "say-long" => ws_client::frame(ws_client::BINARY, &vec![b'x'; number(rest)]),
        "ping" => ws_client::frame(ws_client::PING, &unescape(rest)),
        _ => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            ws_client::close(code.parse().expect("a code"), reason)
        }
    }
}
