//! The original's client, version 0.5.2, in front of this node: `tests/golden/old` has the requests of
//! each of its commands byte by byte, and what is answered. Here stands what that client reads of the
//! answers and how it needs it, so that no answer is recorded that it could not work with. Its commands
//! `export`, `dev:start` and `dev:run` ask no node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api_traces::{replay, traces_in};
use crate::ws_client;

/// The commands that ask a node, each with a trace, and what else is asked by the client's library and
/// by the client on older Pythons.
const TRACES: [&str; 17] = [
    "apps",
    "library",
    "load",
    "load_file",
    "logs",
    "ps",
    "ps_info",
    "ps_kill",
    "ps_scale",
    "ps_start",
    "ps_stop",
    "python27",
    "recv",
    "reload",
    "run",
    "send",
    "unload",
];

/// What a member must be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    /// A list of texts, which is looped over.
    Texts,
    /// A list of texts that is put behind another one, or nothing at all.
    Words,
    Number,
    Numbers,
    Flag,
}

use Kind::{Flag, Number, Numbers, Text, Texts, Words};

/// What is read of a success, by method and path. `S`, `L` and `P` are a session, a label and a number
/// of a process, and `*` in a member's path is each item of a list.
#[rustfmt::skip]
const READ: &[(&str, &[(&str, Kind)])] = &[
    ("GET /ping", &[]),
    ("GET /sessions", &[("sessions", Texts)]),
    ("GET /jobs", &[("jobs", Texts)]),
    ("GET /jobs/S", &[("jobs", Texts)]),
    ("POST /jobs/S", &[]),
    ("HEAD /jobs/S/L", &[]),
    ("GET /jobs/S/L", &[
        ("config.name", Text), ("config.cmd", Text), ("config.args", Words), ("active", Flag),
        ("running", Number), ("running_out", Number), ("max_processes", Number), ("processes", Numbers),
    ]),
    ("PUT /jobs/S/L", &[]),
    ("DELETE /jobs/S/L", &[]),
    ("GET /jobs/S/L/stats", &[
        ("cpu", Number), ("mem", Number), ("stats.*.pid", Number), ("stats.*.ctime", Text),
    ]),
    ("GET /jobs/S/L/state", &[]),
    ("POST /jobs/S/L/state", &[]),
    ("POST /jobs/S/L/numprocesses", &[("numprocesses", Number)]),
    ("GET /jobs/S/L/pids", &[("pids", Numbers)]),
    ("POST /jobs/S/L/signal", &[]),
    ("POST /jobs/S/L/commit", &[("pid", Number)]),
    ("GET /pids", &[("pids", Numbers)]),
    ("HEAD /P", &[]),
    ("GET /P", &[
        ("redirect_input", Flag), ("redirect_output", Texts), ("custom_streams", Texts),
        ("active", Flag), ("os_pid", Number),
    ]),
    ("DELETE /P", &[]),
    ("POST /P/signal", &[]),
    ("GET /P/stats", &[("stats.cpu", Number), ("stats.mem", Number), ("stats.ctime", Text)]),
];

/// What it reads of messages of the channel, by their `event`.
const SAID: &[(&str, &[(&str, Kind)])] = &[
    ("gaffer:subscription_success", &[]),
    ("gaffer:subscription_error", &[("topic", Text)]),
    ("gaffer:command_success", &[("data.id", Text)]),
    ("gaffer:command_error", &[("data.id", Text)]),
    ("gaffer:event", &[("data.topic", Text), ("data.event", Text), ("data.name", Text)]),
];

/// A request, and what came on its connection.
#[derive(Default)]
struct Exchange {
    method: String,
    path: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// What was said on a websocket.
    heard: Vec<String>,
}

#[test]
fn the_original_client_understands_every_answer() {
    let mut used = BTreeSet::new();
    let mut names = Vec::new();
    for path in traces_in("tests/golden/old") {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        for exchange in exchanges(&replay(&text, &mut || usize::MAX).text) {
            let of = format!("{}: {} {}", path.display(), exchange.method, exchange.path);
            used.extend(exchange.read().unwrap_or_else(|error| panic!("{of}: {error}")));
        }
        names.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    assert_eq!(names, TRACES);
    let known = READ.iter().chain(SAID).map(|(what, _)| (*what).to_owned());
    let unused: Vec<String> = known.filter(|what| !used.contains(what)).collect();
    assert!(unused.is_empty(), "in no trace: {unused:?}");
}

#[test]
fn what_the_original_client_cannot_read_is_found() {
    let answer = |head: &str, body: &str| {
        let length = body.len();
        let trace = format!(
            "conn 1\n> GET /jobs/s/a HTTP/1.1\n< HTTP/1.1 {head}\n< Content-Length: {length}\n<\n<< {body}\n"
        );
        let all = exchanges(&trace);
        all.first().expect("one").read().err().unwrap_or_default()
    };
    let good = r#"{"config": {"name": "a", "cmd": "a", "args": []}, "active": true, "running": 1, "running_out": 0, "max_processes": 1, "processes": [1]}"#;
    assert_eq!(answer("200 OK", good), "");
    assert_eq!(answer("200 OK", &good.replace("[]", "null")), "");
    assert_eq!(answer("200 OK", &good.replace("[]", "\"-v\"")), "config.args is \"-v\", not Words");
    assert_eq!(
        answer("200 OK", &good.replace("\"name\"", "\"x\"")),
        "config.name is null, not Text"
    );
    assert_eq!(
        answer("200 OK", &good.replace("[1]", "[\"1\"]")),
        "processes is [\"1\"], not Numbers"
    );
    assert_eq!(answer("200 OK", "gone"), "the body is no JSON");
    assert_eq!(answer("404 Not Found", "{}"), "");
    assert_eq!(answer("421 Misdirected Request", "{}"), "it stops at 421");
}

/// The exchanges of a trace, in the order of their requests.
fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    // The exchange of each connection.
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut speaks, mut hears) = ("", "");
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !word.starts_with('<') {
            hears = speaks;
        }
        match word {
            "conn" => (speaks, hears) = (rest, rest),
            ">" if !of.contains_key(speaks) => {
                let mut words = rest.split(' ').map(str::to_owned);
                let (method, path) = (words.next(), words.next());
                of.insert(speaks, all.len());
                all.push(Exchange {
                    method: method.expect("a method"),
                    path: path.expect("a path"),
                    ..Exchange::default()
                });
            }
            "<" if rest.starts_with("on ") => hears = rest.trim_start_matches("on "),
            "<" | "<<" | "<+" => {
                // What is for the one who speaks comes without a name, behind what is for others.
                let answered = of.get(hears).is_some_and(|at| all[*at].status != 0);
                if rest.starts_with("HTTP/1.1 ") && answered {
                    hears = speaks;
                }
                if let Some(exchange) = of.get(hears).and_then(|at| all.get_mut(*at)) {
                    exchange.take(word, rest);
                }
            }
            _ => {}
        }
    }
    all
}

impl Exchange {
    fn take(&mut self, word: &str, rest: &str) {
        match word {
            "<<" => rest.clone_into(&mut self.body),
            "<+" => self.heard.push(rest.to_owned()),
            _ => {
                if let Some(status) = rest.strip_prefix("HTTP/1.1 ") {
                    let code = status.split(' ').next().and_then(|code| code.parse().ok());
                    self.status = code.expect("a status");
                } else if let Some((name, value)) = rest.split_once(": ") {
                    self.headers.push((name.to_lowercase(), value.to_owned()));
                }
            }
        }
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Reads what came as the client does; gives which lines of the tables that were, or what it cannot
    /// work with.
    fn read(&self) -> Result<Vec<String>, String> {
        if self.status == 101 {
            return self.read_socket();
        }
        let length = self.body.len().to_string();
        if self.header("content-length") != length && self.method != "HEAD" {
            return Err(format!("{length} bytes came, not {:?}", self.header("content-length")));
        }
        for header in ["transfer-encoding", "content-encoding", "location"] {
            if !self.header(header).is_empty() {
                return Err(format!("{header} is nothing that it was ever sent"));
            }
        }
        let route = route(&self.method, &self.path);
        let of_route = READ.iter().find(|(known, _)| *known == route);
        let (_, members) = of_route.ok_or_else(|| format!("{route} is none of its requests"))?;
        match self.status {
            200..=202 => {}
            // It tells both by the status alone, and a configuration that is refused as "HTTP Error".
            400 | 404 | 409 => return Ok(Vec::new()),
            other => return Err(format!("it stops at {other}")),
        }
        match route.as_str() {
            "GET /ping" if self.body != "OK" => return Err("this is no OK".into()),
            "GET /jobs/S/L/state" if !["0", "1"].contains(&self.body.as_str()) => {
                return Err("this is no state".into());
            }
            _ => {}
        }
        if !members.is_empty() {
            let body = serde_json::from_str(&self.body).map_err(|_| "the body is no JSON")?;
            fits(&body, members)?;
        }
        Ok(vec![route])
    }

    fn read_socket(&self) -> Result<Vec<String>, String> {
        let wanted = [("connection", "upgrade"), ("upgrade", "websocket")];
        for (name, value) in wanted {
            if !self.header(name).eq_ignore_ascii_case(value) {
                return Err(format!("{name} is {:?}", self.header(name)));
            }
        }
        if self.header("sec-websocket-accept") != ws_client::ACCEPT {
            return Err("the key is not accepted".into());
        }
        let mut read = Vec::new();
        for said in &self.heard {
            let (kind, rest) = said.split_once(' ').unwrap_or((said, ""));
            match kind {
                "text" if self.path == "/channel/websocket" => read.push(message(rest)?),
                "text" | "binary" => frame(rest)?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A request without the names in its path.
fn route(method: &str, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let path = match parts.as_slice() {
        ["jobs", _] => "jobs/S".to_owned(),
        ["jobs", _, _] => "jobs/S/L".to_owned(),
        ["jobs", _, _, what] => format!("jobs/S/L/{what}"),
        [pid, rest @ ..] if pid.parse::<u64>().is_ok() => [&["P"], rest].concat().join("/"),
        _ => parts.join("/"),
    };
    format!("{method} /{path}")
}

/// A message of the channel; gives its event.
fn message(text: &str) -> Result<String, String> {
    let message: Value = serde_json::from_str(text).map_err(|_| "a message is no JSON")?;
    let event = message["event"].as_str().ok_or("a message has no event")?;
    let (_, members) = SAID.iter().find(|(known, _)| *known == event).ok_or("an unknown event")?;
    fits(&message, members)?;
    let data = &message["data"];
    let is_needed = match event {
        "gaffer:command_success" => data["result"].is_object(),
        "gaffer:command_error" => data["error"]["errno"].is_u64(),
        _ => data.get("pid").is_none_or(Value::is_u64),
    };
    is_needed.then(|| event.to_owned()).ok_or_else(|| format!("{event} lacks something: {data}"))
}

/// A frame of a process's websocket: what is before its only NUL is three words.
fn frame(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split('␀').collect();
    let [head, body] = parts.as_slice() else {
        return Err(format!("{text:?} has not one NUL"));
    };
    match head.split(' ').collect::<Vec<_>>().as_slice() {
        ["V1", "message" | "response", _] => Ok(()),
        ["V1", "error", _] => {
            let body = serde_json::from_str(body).map_err(|_| "an error is no JSON")?;
            fits(&body, &[("errno", Number), ("reason", Text)])
        }
        _ => Err(format!("{head:?} is no head")),
    }
}

fn fits(value: &Value, members: &[(&str, Kind)]) -> Result<(), String> {
    members.iter().try_for_each(|(path, kind)| member_fits(value, path, path, *kind))
}

/// Whether the member at the rest of a path is of a kind.
fn member_fits(value: &Value, rest: &str, path: &str, kind: Kind) -> Result<(), String> {
    if let Some((first, after)) = rest.split_once('.') {
        if first != "*" {
            return member_fits(&value[first], after, path, kind);
        }
        let items = value.as_array().ok_or_else(|| format!("{path} is in no list"))?;
        return items.iter().try_for_each(|item| member_fits(item, after, path, kind));
    }
    let value = &value[rest];
    let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(is));
    let is_so = match kind {
        Text => value.is_string(),
        Texts => all(Value::is_string),
        Words => value.is_null() || all(Value::is_string),
        Number => value.is_number(),
        Numbers => all(Value::is_number),
        Flag => value.is_boolean(),
    };
    is_so.then_some(()).ok_or_else(|| format!("{path} is {value}, not {kind:?}"))
}
