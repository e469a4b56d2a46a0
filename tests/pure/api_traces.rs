//! Golden traces of the API: requests, what happens to the processes meanwhile, and exactly what
//! the node answers, as text files in `tests/golden/api`. They are the promise to clients. Each is
//! replayed whole, byte by byte, and in random pieces.
//!
//! A line of a trace is one of
//!
//! - `# …`: a remark; empty lines are remarks too
//! - `GET /path body`: a request, with `Host: localhost:5000` and the body's length
//! - `with Name: value`: a header of the next request; several lines for several
//! - `> …` and `>> …`: raw bytes of a request, as in the traces of connections
//! - `conn 2`, `conn 2 unix`: from here on another client speaks
//! - `advance 1500ms`: time passes
//! - `exit 1001 code 3`, `exit 1001 signal SEGV`, with `leaving others` behind it if its group lives
//! - `output 1001 …`, `errors 1001 …`: a process writes, with escapes
//! - `deaf`, `hearing`: processes ignore all but KILL, or end with TERM and INT
//! - `spawns fail exec 2`, `spawns work`; `stores fail 28`, `stores work`
//! - `signal TERM`: the daemon gets a signal
//! - at the top: `host NAME`, `origin URL`: who may ask; `file NAME CONFIG`: a job of a file
//!
//! and what comes of it, which `GOLDEN_WRITE=1` writes anew; read the difference before you keep it:
//!
//! - `! …`: what the kernel was asked for
//! - `< 200 application/json`, `< Name: value`, `<< body`: an answer. Without `with`, only `Allow`
//!   and what is about origins is shown. What every answer has is checked, but not shown
//! - `< …` and `<< …` after raw bytes: the bytes of the answer
//! - `< on 2`: what follows is for another client
//! - `< closed`, `< ending`: the connection is over, or nothing more will be sent on it

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaffer::base::error::{Errno, Stage};
use gaffer::base::ids::{ConnId, OsPid, StreamNo};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;
use gaffer::node::routes::ROUTES;
use gaffer::supervisor::name::JobName;
use gaffer::supervisor::spec::{JobEntry, Place};
use gaffer::supervisor::spec_read;

use crate::fake_node::FakeNode;
use crate::http_traces::unescape;

#[test]
fn every_api_trace_gives_its_exact_answers_however_it_is_cut() {
    for path in traces() {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        let whole = replay(&text, &mut || usize::MAX).text;
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            std::fs::write(&path, whole).expect("a writable trace");
            continue;
        }
        let name = path.display();
        same(&text, &whole, &format!("{name}, whole"));
        same(&text, &replay(&text, &mut || 1).text, &format!("{name}, byte by byte"));
        for seed in 0..10 {
            let mut random = Random::seeded(seed);
            let mut piece = || usize::try_from(random.below(60) + 1).unwrap_or(1);
            let cut = replay(&text, &mut piece).text;
            same(&text, &cut, &format!("{name}, cut by seed {seed}"));
        }
    }
}

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/api");
    let entries = std::fs::read_dir(&folder).expect("traces");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} traces", paths.len());
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
    let mut served = Vec::new();
    for path in traces() {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        served.extend(replay(&text, &mut || usize::MAX).served);
    }
    for route in ROUTES {
        let fits = |(method, path): &(String, String)| {
            method == route.method.name() && pattern_fits(route.pattern, path)
        };
        assert!(served.iter().any(fits), "{} {}", route.method.name(), route.pattern);
    }
}

fn pattern_fits(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(pattern, part): (&&str, &&str)| match pattern.chars().next() {
        Some(':') => true,
        Some('#') => part.parse::<u64>().is_ok(),
        _ => pattern == part,
    };
    pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
}

#[test]
fn every_path_tells_its_methods_and_what_answers_get_answers_head() {
    for route in ROUTES {
        let path = route.pattern.replace(":session", "s").replace(":job", "a").replace("#pid", "1");
        let trace = format!(
            "file s.a {{\"cmd\": \"a\"}}\nwith X: y\nOPTIONS {path}\nGET {path}\nHEAD {path}\n"
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
        assert_eq!(after("GET"), after("HEAD"), "{path}");
    }
}

/// What a replay gave.
struct Replay {
    /// The trace with what was seen.
    text: String,
    /// Method and path of every request that succeeded.
    served: Vec<(String, String)>,
}

/// A replay under way.
struct Player<'a> {
    node: FakeNode,
    clients: Vec<Client>,
    /// Which of them speaks.
    current: usize,
    headers: Vec<String>,
    piece: &'a mut dyn FnMut() -> usize,
    out: String,
    served: Vec<(String, String)>,
}

struct Client {
    name: String,
    conn: ConnId,
    /// Requests without an answer.
    asked: VecDeque<Asked>,
    left: &'static str,
}

struct Asked {
    method: String,
    path: String,
    /// Whether all headers of the answer are shown.
    closely: bool,
}

fn replay(text: &str, piece: &mut dyn FnMut() -> usize) -> Replay {
    let mut access = Access::default();
    let mut files = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("host", name)) => access.hosts.push(name.to_owned()),
            Some(("origin", url)) => access.origins.push(url.to_owned()),
            Some(("file", job)) => files.push(file_job(job)),
            _ => {}
        }
    }
    let node = FakeNode::new(access, Console::default(), Legacy::default(), files);
    let mut player = Player {
        node,
        clients: Vec::new(),
        current: 0,
        headers: Vec::new(),
        piece,
        out: String::new(),
        served: Vec::new(),
    };
    player.turn_to("1", false);
    let mut lines = text.lines().peekable();
    let mut raw = Vec::new();
    let mut files_left = text.lines().filter(|line| line.starts_with("file ")).count();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if ["<", "<<", "!"].contains(&word) {
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

    fn turn_to(&mut self, name: &str, unix: bool) {
        if let Some(known) = self.clients.iter().position(|client| client.name == name) {
            self.current = known;
            return;
        }
        let conn = if unix {
            self.node.connect(Peer::Unix { uid: Some(1000) })
        } else {
            self.node.connect_tcp()
        };
        let asked = VecDeque::new();
        self.clients.push(Client { name: name.to_owned(), conn, asked, left: "" });
        self.current = self.clients.len() - 1;
    }

    fn step(&mut self, word: &str, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        match (word, words.as_slice()) {
            ("" | "#" | "host" | "origin" | "file", _) => {}
            ("with", _) => self.headers.push(rest.to_owned()),
            ("conn", [name]) => self.turn_to(name, false),
            ("conn", [name, "unix"]) => self.turn_to(name, true),
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
            ("output" | "errors", [os_pid, ..]) => {
                let text = rest.split_once(' ').map(|(_, text)| text).unwrap_or_default();
                let stream = if word == "output" { StreamNo::STDOUT } else { StreamNo::STDERR };
                self.node.output(process(os_pid), stream, &unescape(text));
            }
            ("deaf", _) => self.node.deaf = true,
            ("hearing", _) => self.node.deaf = false,
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
            ("signal", [name]) => self.node.signal(Signal::parse(name).expect("a signal")),
            (method, _) if rest.starts_with('/') || rest == "*" => self.request(method, rest),
            (other, _) => panic!("unknown word {other:?} in a trace"),
        }
    }

    fn request(&mut self, method: &str, rest: &str) {
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let body = unescape(body);
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
        let closely = !headers.is_empty();
        let asked = Asked { method: method.to_owned(), path: path.to_owned(), closely };
        let client = self.client();
        client.asked.push_back(asked);
        let conn = client.conn;
        self.node.send(conn, &bytes, self.piece);
    }

    /// Writes down what came of a step.
    fn tell(&mut self) {
        let mut answers = String::new();
        self.tell_asked();
        for number in 0..self.clients.len() {
            let client = &self.clients[number];
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

    fn tell_asked(&mut self) {
        for asked in self.node.asked.drain(..) {
            self.out += &format!("! {asked}\n");
        }
    }
}

fn process(os_pid: &str) -> OsPid {
    OsPid(os_pid.parse().expect("a process"))
}

/// What every answer has besides, so that it need not be read in every trace.
const ALWAYS: [(&str, &str); 4] = [
    ("Server", "gaffer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
];

impl Client {
    fn shown(&mut self, bytes: &[u8], served: &mut Vec<(String, String)>) -> String {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let mut out = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let Some(asked) = self.asked.pop_front() else { return out + &verbatim(rest) };
            let (head, after) = rest.split_once("\r\n\r\n").expect("a whole head");
            let answer = Answer::parse(head);
            let length = answer.body_length(&asked);
            let body = after.get(..length).expect("a whole body");
            rest = after.get(length..).unwrap_or_default();
            out += &answer.shown(&asked, body);
            if (200..300).contains(&answer.status) {
                served.push((asked.method, asked.path));
            }
        }
        out
    }
}

/// Bytes as they are, line by line. A body need not end in a line's end.
fn verbatim(text: &str) -> String {
    let text = text.replace("HTTP/1.1 ", "\0HTTP/1.1 ");
    let pieces = text.split('\0').flat_map(|response| response.split_inclusive("\r\n"));
    let line = |piece: &str| match piece.strip_suffix("\r\n") {
        Some("") => "<\n".to_owned(),
        Some(line) => format!("< {line}\n"),
        None => format!("<< {}\n", without_version(piece)),
    };
    pieces.map(line).collect()
}

/// A release changes no trace.
fn without_version(body: &str) -> String {
    body.replace(&format!("\"version\": \"{}\"", gaffer::VERSION), "\"version\": \"…\"")
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

    fn shown(&self, asked: &Asked, body: &str) -> String {
        for (name, value) in ALWAYS {
            assert_eq!(self.header(name), Some(value), "{} {}", asked.method, asked.path);
        }
        let reads = ["GET", "HEAD"].contains(&asked.method.as_str());
        let tagged = reads && matches!(self.status, 200 | 304);
        assert_eq!(self.header("ETag").is_some(), tagged, "{} {}", asked.method, asked.path);
        if asked.method == "GET" && self.status == 200 {
            let digest = sha1_smol::Sha1::from(body.as_bytes()).digest();
            assert_eq!(self.header("ETag"), Some(format!("\"{digest}\"").as_str()));
        }
        let kind = self.header("Content-Type").map(|kind| format!(" {kind}")).unwrap_or_default();
        let mut out = format!("< {}{kind}\n", self.status);
        for (name, value) in &self.headers {
            let always = ALWAYS.iter().any(|(known, _)| known == name)
                || ["Date", "Content-Type", "Content-Length"].contains(name);
            let about_origins = name.starts_with("Access-Control-") || *name == "Vary";
            if !always && (asked.closely || about_origins || ["Allow", "Connection"].contains(name))
            {
                out += &format!("< {name}: {value}\n");
            }
        }
        if !body.is_empty() {
            out += &format!("<< {}\n", without_version(body));
        }
        out
    }
}
