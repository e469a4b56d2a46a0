//! Who may do what: every route, command and topic is tried with every kind of key, and what is let
//! through is held against a table. What is new is missing from the table, and so fails.
//!
//! `GOLDEN_WRITE=1` writes the table anew; then read it.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use gaffer::base::ids::{ConnId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::sorted::SortedSet;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::front::rights::Permissions;
use gaffer::node::commands::COMMANDS;
use gaffer::node::gaffer::Legacy;
use gaffer::node::keys::door::Keeping;
use gaffer::node::keys::key::{hash, Key, KeyId};
use gaffer::node::keys::user::User;
use gaffer::node::machine::Machine as _;
use gaffer::node::routes::ROUTES;
use gaffer::wire::http::Method;
use serde_json::{json, Map, Value};

use crate::driven::Driven as _;
use crate::fake_node::{open, FakeNode};
use crate::ws_client::{self, Said};

const TABLE: &str = "tests/golden/permissions.table";

/// The kinds of keys, each with what it permits. The job that everything is about is `app.web`.
fn kinds() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing", json!({})),
        ("read job", json!({"read": ["app.web"]})),
        ("write job", json!({"write": ["app.web"]})),
        ("manage job", json!({"manage": ["app.web"]})),
        ("read session", json!({"read": ["app"]})),
        ("manage session", json!({"manage": ["app"]})),
        ("manage other", json!({"manage": ["other", "app.other"]})),
        ("read all", json!({"read": ["*"]})),
        ("manage all", json!({"manage": ["*"]})),
        ("create_key", json!({"create_key": true})),
        ("create_user", json!({"create_user": true})),
        ("admin", json!({"admin": true})),
    ]
}

pub(crate) fn key(secret: &str, permissions: &Value) -> Key {
    Key {
        hash: hash(secret),
        label: secret.into(),
        permissions: Permissions::read(permissions).expect("sound"),
        parent: None,
        created: UNIX_EPOCH,
        expires: None,
        certificate: None,
        login: None,
        extra: Map::new(),
    }
}

/// A node that asks for keys, with one of each kind, a user, and a job whose first process runs.
pub(crate) fn node() -> FakeNode {
    let keeping = Keeping { require_key: true, owners: SortedSet::from([0]), root: false };
    node_of(Access::default(), keeping)
}

/// The same for these pages, with its door kept like this.
pub(crate) fn node_of(access: Access, keeping: Keeping) -> FakeNode {
    let mut keys: Vec<Key> =
        kinds().iter().map(|(kind, permissions)| key(kind, permissions)).collect();
    keys.push(Key {
        expires: Some(UNIX_EPOCH + Duration::from_secs(1)),
        ..key("expired", &json!({"admin": true}))
    });
    keys.push(key("harmless", &json!({})));
    let kept = keys.iter().map(|key| (key.id().to_string(), key.to_value())).collect();
    let joe = User {
        kind: 1,
        key: Some(KeyId::of(&hash("harmless"))),
        password: "PBKDF2-256$a:1$00".into(),
        extra: Map::new(),
    };
    let users = vec![("joe".to_owned(), joe.to_value())];
    let legacy = Legacy { keys: kept, users, ..Legacy::default() };
    let mut node = FakeNode::kept(access, legacy, keeping);
    let job = json!({"name": "web", "cmd": "a", "redirect_input": true,
        "redirect_output": ["out", "err"]});
    let (status, body) = ask(&mut node, "POST", "/jobs/app", Some("admin"), &job.to_string());
    assert_eq!(status, 200, "{body}");
    node
}

pub(crate) fn request(method: &str, path: &str, secret: Option<&str>, body: &str) -> Vec<u8> {
    let key = secret.map(|secret| format!("X-Api-Key: {secret}\r\n")).unwrap_or_default();
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The status and the body of an answer.
pub(crate) fn ask(
    node: &mut FakeNode,
    method: &str,
    path: &str,
    secret: Option<&str>,
    body: &str,
) -> (u16, String) {
    let conn = node.connect_tcp();
    node.send(conn, &request(method, path, secret, body), &mut || usize::MAX);
    let answer = String::from_utf8_lossy(&node.take_answer(conn)).into_owned();
    node.vanish(conn);
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_else(|| panic!("{method} {path}: {answer:?}")), body.unwrap_or_default())
}

/// A path for a pattern, with what there is.
pub(crate) fn path(pattern: &str) -> String {
    let mut events = ["job", "app", "web", "exit"].into_iter();
    let part = |part: &str| match part {
        ":session" => "app".to_owned(),
        ":job" => "web".to_owned(),
        ":label" => "out".to_owned(),
        ":key" => KeyId::of(&hash("harmless")).to_string(),
        ":user" => "joe".to_owned(),
        "#pid" | "#instance" => "1".to_owned(),
        other => other.to_owned(),
    };
    let parts = pattern.split('/').map(|text| match text {
        ":part" => events.next().expect("no more than four").to_owned(),
        text => part(text),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What a client sends there to get on.
pub(crate) fn body(method: Method, pattern: &str) -> &'static str {
    match (method, pattern) {
        (Method::Post, "/jobs/:session") => r#"{"name": "new", "cmd": "a"}"#,
        (Method::Put, "/jobs/:session/:job") => r#"{"cmd": "b"}"#,
        (Method::Post, "/jobs/:session/:job/numprocesses") => r#"{"scale": 1}"#,
        (Method::Post, "/jobs/:session/:job/state") => "1",
        (Method::Post, "/jobs/:session/:job/signal" | "/#pid/signal") => r#"{"signal": "HUP"}"#,
        (Method::Post, "/keys") => r#"{"permissions": {}}"#,
        (Method::Post, "/users") => r#"{"username": "eve", "password": "x"}"#,
        (Method::Put, "/users/:user" | "/users/:user/password") => r#"{"password": "x"}"#,
        (Method::Put, "/users/:user/key") => r#"{"key": null}"#,
        (Method::Post, _) => "{}",
        _ => "",
    }
}

/// Whether a route lets a key through. On a websocket that is said there.
fn route_lets(method: Method, pattern: &str, secret: Option<&str>) -> bool {
    let mut node = node();
    let is_socket = pattern.contains("/channel") || pattern.starts_with("/wstreams");
    if is_socket {
        return socket_lets(&mut node, &path(pattern), secret);
    }
    let target = path(pattern);
    let target = if method == Method::Post { target.replace("/1/out", "/1/stdin") } else { target };
    let conn = node.connect_tcp();
    node.send(conn, &request(method.name(), &target, secret, body(method, pattern)), &mut || {
        usize::MAX
    });
    let answer = String::from_utf8_lossy(&node.take_answer(conn)).into_owned();
    // What is answered later has been let through.
    !(answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 403"))
}

/// What comes on a websocket that is opened with a key.
pub(crate) fn opened(
    node: &mut FakeNode,
    target: &str,
    secret: Option<&str>,
) -> (ConnId, Vec<Said>) {
    let conn = node.connect_tcp();
    let key = secret.map(|secret| format!("X-Api-Key: {secret}\r\n")).unwrap_or_default();
    let bytes = ws_client::handshake(target, "Host: localhost\r\n", &key);
    node.send(conn, &bytes, &mut || usize::MAX);
    let answer = node.take_answer(conn);
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{target}");
    (conn, frames(answer[head..].to_vec()))
}

pub(crate) fn frames(mut bytes: Vec<u8>) -> Vec<Said> {
    let mut said = Vec::new();
    while let Some(frame) = ws_client::take(&mut bytes) {
        said.push(frame);
    }
    assert_eq!(bytes, b"", "frames are whole");
    said
}

fn socket_lets(node: &mut FakeNode, target: &str, secret: Option<&str>) -> bool {
    let (_, said) = opened(node, target, secret);
    let mut closed = said.iter().filter(|said| matches!(said, Said::Close(..)));
    // Who may only read gets what he may.
    closed.next().is_none() && secret.is_some()
}

/// What a session of the channel is answered.
pub(crate) fn said(node: &mut FakeNode, conn: ConnId, text: &str) -> Vec<Said> {
    node.send(conn, &ws_client::frame(ws_client::TEXT, text.as_bytes()), &mut || usize::MAX);
    let bytes = node.take_answer(conn);
    frames(bytes)
}

fn channel_lets(message: &Value, secret: Option<&str>) -> bool {
    let mut node = node();
    let (conn, mut all) = opened(&mut node, "/channel/websocket", secret);
    all.extend(said(&mut node, conn, &message.to_string()));
    let refused = |said: &Said| match said {
        Said::Text(text) => text.contains("\"forbidden\"") || text.contains("AUTH_REQUIRED"),
        Said::Close(..) => true,
        Said::Binary(_) | Said::Ping(_) | Said::Pong(_) => false,
    };
    !all.iter().any(refused)
}

fn command(name: &str) -> Value {
    let args = match name {
        "sessions" | "jobs" => json!([]),
        "load" | "update" => json!([{"name": "web", "cmd": "a"}]),
        "scale" => json!(["app.web", 1]),
        "killall" => json!(["app.web", "HUP"]),
        "process_info" | "process_stats" | "stop_process" | "close_stdin" => json!([1]),
        "kill" => json!([1, "HUP"]),
        "send" => json!([1, "x"]),
        _ => json!(["app.web"]),
    };
    let kwargs = match name {
        "load" | "update" => json!({"sessionid": "app"}),
        _ => json!({}),
    };
    let data = json!({"identity": "i", "name": name, "args": args, "kwargs": kwargs});
    json!({"event": "CMD", "data": data})
}

/// One of each kind of topic.
const TOPICS: [&str; 16] = [
    "EVENTS",
    "EVENTS:exit",
    "EVENTS:job.app.web",
    "EVENTS:job.app.web.*",
    "EVENTS:proc.1",
    "JOB:app",
    "JOB:app.web",
    "PROCESS:1",
    "STATS",
    "STATS:app.web",
    "STATS:1",
    "USAGE",
    "STREAM:1",
    "STREAM:1.err",
    "LOGS:app",
    "LOGS:app.web:1",
];

/// The table as it is: a line for each way in, a mark for each key that is let through.
fn table() -> String {
    let kinds = kinds();
    let mut names: Vec<&str> = vec!["no key", "wrong", "expired"];
    names.extend(kinds.iter().map(|(kind, _)| *kind));
    let secrets: Vec<Option<&str>> =
        names.iter().map(|name| Some(*name).filter(|name| *name != "no key")).collect();
    let mut table = String::from("# + is let through, - is not. The columns:\n");
    for (number, name) in (1..).zip(&names) {
        table += &format!("# {number}: {name}\n");
    }
    let mut line = |what: String, lets: &dyn Fn(Option<&str>) -> bool| {
        let marks: String =
            secrets.iter().map(|secret| if lets(*secret) { '+' } else { '-' }).collect();
        table += &format!("{marks} {what}\n");
    };
    for route in ROUTES {
        let what = format!("{} {}", route.method.name(), route.pattern);
        line(what, &|secret| route_lets(route.method, route.pattern, secret));
    }
    for known in COMMANDS {
        line(format!("CMD {}", known.name), &|secret| channel_lets(&command(known.name), secret));
    }
    line("CMD jobs app".into(), &|secret| {
        let data = json!({"identity": "i", "name": "jobs", "args": ["app"]});
        channel_lets(&json!({"event": "CMD", "data": data}), secret)
    });
    line("CMD pids of all".into(), &|secret| {
        let data = json!({"identity": "i", "name": "pids"});
        channel_lets(&json!({"event": "CMD", "data": data}), secret)
    });
    for topic in TOPICS {
        line(format!("SUB {topic}"), &|secret| {
            channel_lets(&json!({"event": "SUB", "data": {"topic": topic}}), secret)
        });
    }
    table
}

#[test]
fn every_way_in_lets_through_whom_it_should_and_nobody_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let found = table();
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        fs::write(&path, &found).expect("the table is written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted, "{TABLE}");
    }
    assert_eq!(found.lines().count(), wanted.lines().count(), "{TABLE} has every way in");
}

#[test]
fn what_is_not_there_is_told_before_who_may_see_it() {
    let mut node = node();
    for (target, secret, status) in [
        ("/99", "nothing", 404),
        ("/99/stats", "read job", 404),
        ("/jobs/app/none", "read job", 403),
        ("/jobs/app/none", "read session", 404),
        ("/nowhere", "nothing", 404),
        ("/jobs/app/web", "read job", 200),
    ] {
        assert_eq!(ask(&mut node, "GET", target, Some(secret), "").0, status, "{target} {secret}");
    }
    // What is open is open to all, and a preflight has no key.
    for open in ["/", "/ping", "/version"] {
        assert_eq!(ask(&mut node, "GET", open, None, "").0, 200);
    }
    assert_eq!(ask(&mut node, "OPTIONS", "/jobs", None, "").0, 204);
}

#[test]
fn a_session_says_its_key_first_and_is_who_it_is_for_ever() {
    let mut node = node();
    let jobs = command("jobs").to_string();
    let (conn, all) = opened(&mut node, "/channel/websocket", None);
    assert_eq!(all, []);
    assert_eq!(said(&mut node, conn, "AUTH:read job"), []);
    // Another key changes nothing.
    assert_eq!(said(&mut node, conn, "AUTH:admin"), []);
    let told = said(&mut node, conn, &jobs);
    assert!(matches!(&told[..], [Said::Text(text)] if text.contains("\"forbidden\"")), "{told:?}");
    let info = said(&mut node, conn, &command("info").to_string());
    assert!(
        matches!(&info[..], [Said::Text(text)] if text.contains("command_success")),
        "{info:?}"
    );
    // And what is refused is not done.
    let stop = said(&mut node, conn, &command("stop_job").to_string());
    assert!(matches!(&stop[..], [Said::Text(text)] if text.contains("\"forbidden\"")), "{stop:?}");
    assert_eq!(ask(&mut node, "GET", "/jobs/app/web/state", Some("admin"), "").1, "1");

    for (first, errno) in [("AUTH:wrong", 403), (&*jobs, 401), ("AUTH:", 403)] {
        let (conn, _) = opened(&mut node, "/channel/websocket", None);
        let told = said(&mut node, conn, first);
        let [Said::Text(text), Said::Close(1008, _)] = &told[..] else { panic!("{told:?}") };
        assert!(text.contains("AUTH_REQUIRED") && text.contains(&errno.to_string()), "{text}");
    }
    let (conn, _) = opened(&mut node, "/channel/websocket", None);
    node.advance(Duration::from_secs(11));
    let told = frames(node.take_answer(conn));
    assert!(told.iter().any(|said| matches!(said, Said::Close(1008, _))), "{told:?}");
}

fn v1(body: &str) -> Vec<u8> {
    ws_client::frame(ws_client::TEXT, format!("V1 message 7\0{body}").as_bytes())
}

#[test]
fn a_websocket_of_a_process_opens_when_its_key_is_said() {
    let mut node = node();
    let (conn, all) = opened(&mut node, "/1/channel", None);
    assert_eq!(all, []);
    node.output(OsPid(1001), StreamNo(1), b"unheard\n");
    assert_eq!(node.take_answer(conn), b"");
    node.send(conn, &v1("AUTH:read job"), &mut || usize::MAX);
    assert_eq!(frames(node.take_answer(conn)), [Said::Text("V1 response 7\0OK".into())]);
    node.output(OsPid(1001), StreamNo(1), b"heard\n");
    let told = frames(node.take_answer(conn));
    assert!(matches!(&told[..], [Said::Text(text)] if text.ends_with("\0heard\n")), "{told:?}");
    // He may not write.
    node.send(conn, &v1("x"), &mut || usize::MAX);
    let told = frames(node.take_answer(conn));
    assert!(matches!(&told[..], [Said::Text(text)] if text.contains("EPERM")), "{told:?}");
    for (body, word) in [("AUTH:wrong", "AUTH_REQUIRED"), ("hello", "AUTH_REQUIRED")] {
        let (conn, _) = opened(&mut node, "/1/channel", None);
        node.send(conn, &v1(body), &mut || usize::MAX);
        let told = frames(node.take_answer(conn));
        let [Said::Text(text), Said::Close(1008, _)] = &told[..] else { panic!("{told:?}") };
        assert!(text.contains(word), "{text}");
    }
    let (conn, _) = opened(&mut node, "/1/channel/err", None);
    node.send(conn, &v1("AUTH:manage other"), &mut || usize::MAX);
    let told = frames(node.take_answer(conn));
    assert!(format!("{told:?}").contains("FORBIDDEN"), "{told:?}");
}

#[test]
fn who_loses_his_key_is_sent_away_at_once() {
    let mut node = node();
    let admin = Some("admin");
    let (status, body) =
        ask(&mut node, "POST", "/keys", admin, r#"{"permissions": {"manage": ["*"]}}"#);
    assert_eq!(status, 200);
    let made: Value = serde_json::from_str(&body).expect("JSON");
    let (secret, id) =
        (made["api_key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    let (session, _) = opened(&mut node, "/channel/websocket", Some(secret));
    let (socket, _) = opened(&mut node, "/1/channel", Some(secret));
    let feed = node.connect_tcp();
    let watch = request("GET", "/watch?feed=continuous", Some(secret), "");
    node.send(feed, &watch, &mut || usize::MAX);
    node.take_answer(feed);
    assert_eq!(ask(&mut node, "DELETE", &format!("/keys/{id}"), admin, "").0, 200);
    for conn in [session, socket] {
        let told = frames(node.take_answer(conn));
        assert!(told.iter().any(|said| matches!(said, Said::Close(1008, _))), "{told:?}");
    }
    let told = String::from_utf8_lossy(&node.take_answer(feed)).into_owned();
    assert!(told.contains("0\r\n"), "{told}");
    assert_eq!(ask(&mut node, "GET", "/jobs", Some(secret), "").0, 403);

    // The same when its time is over.
    let (_, body) = ask(
        &mut node,
        "POST",
        "/keys",
        admin,
        r#"{"permissions": {"admin": true}, "expires_in": 60}"#,
    );
    let made: Value = serde_json::from_str(&body).expect("JSON");
    let secret = made["api_key"].as_str().expect("a key");
    let (session, _) = opened(&mut node, "/channel/websocket", Some(secret));
    node.advance(Duration::from_secs(59));
    assert!(!frames(node.take_answer(session)).iter().any(|s| matches!(s, Said::Close(..))));
    node.advance(Duration::from_secs(2));
    let told = frames(node.take_answer(session));
    assert!(told.iter().any(|said| matches!(said, Said::Close(1008, _))), "{told:?}");
}

fn create(node: &mut FakeNode, body: &Value) -> u16 {
    ask(node, "POST", "/keys", Some("admin"), &body.to_string()).0
}

#[test]
fn a_key_is_as_large_as_it_may_be_and_no_larger() {
    let mut node = node();
    let label = |count| json!({"label": "x".repeat(count)});
    assert_eq!(create(&mut node, &label(limits::KEY_LABEL)), 200);
    assert_eq!(create(&mut node, &label(limits::KEY_LABEL + 1)), 400);
    let sized = |count: usize| json!({"note": "x".repeat(count - r#"{"note":""}"#.len())});
    assert_eq!(create(&mut node, &sized(limits::KEY_SIZE)), 200);
    assert_eq!(create(&mut node, &sized(limits::KEY_SIZE + 1)), 400);
}

#[test]
fn who_has_not_said_his_key_has_so_long_for_it() {
    let mut node = node();
    let (conn, _) = opened(&mut node, "/1/channel", None);
    node.advance(limits::AUTHENTICATE - Duration::from_millis(1));
    assert_eq!(node.take_answer(conn), b"");
    node.advance(Duration::from_millis(1));
    let told = frames(node.take_answer(conn));
    assert!(matches!(&told[..], [_, Said::Close(1008, _)]), "{told:?}");
}

#[test]
fn too_many_logins_are_slowed_down_and_too_many_at_once_are_turned_away() {
    let mut node = node();
    let login = |node: &mut FakeNode| {
        let conn = node.connect_tcp();
        // joe:x
        let text = "GET /auth HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic am9lOng=\r\n\r\n";
        node.send(conn, text.as_bytes(), &mut || usize::MAX);
        let answer = String::from_utf8_lossy(&node.take_answer(conn)).into_owned();
        node.vanish(conn);
        answer
    };
    for n in 0..limits::LOGIN_BURST {
        assert!(login(&mut node).starts_with("HTTP/1.1 401 "), "{n}");
    }
    let refused = login(&mut node);
    assert!(
        refused.starts_with("HTTP/1.1 429 ") && refused.contains("Retry-After: 7"),
        "{refused}"
    );
    node.advance(limits::LOGIN_PAUSE);
    assert!(login(&mut node).starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_login_that_finds_too_many_passwords_is_not_tried_and_does_not_count() {
    let mut node = node();
    let begin = |node: &mut FakeNode, n: u32, user: &str| {
        let remote = std::net::SocketAddr::from((n.to_be_bytes(), 40_000));
        let conn = node.connect(Peer::Tcp { remote, tls: None });
        let word = data_encoding::BASE64.encode(format!("{user}:x").as_bytes());
        let text =
            format!("GET /auth HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {word}\r\n\r\n");
        let now = node.now;
        node.gaffer.received(conn, text.as_bytes(), now);
        conn
    };
    let status = |node: &mut FakeNode, conn| {
        String::from_utf8_lossy(&node.take_answer(conn)).get(9..12).unwrap_or_default().to_owned()
    };
    for n in 0..u32::try_from(limits::PASSWORDS_WAITING).expect("few") {
        begin(&mut node, n, &format!("u{n}"));
    }
    for n in 100..100 + limits::LOGIN_BURST {
        let conn = begin(&mut node, n, "joe");
        let owed = String::from_utf8_lossy(node.gaffer.transmit(conn)).into_owned();
        assert!(owed.starts_with("HTTP/1.1 503 ") && owed.contains("Retry-After: 1\r\n"), "{owed}");
    }
    node.settle();
    for n in 200..200 + limits::LOGIN_BURST {
        let conn = begin(&mut node, n, "joe");
        node.settle();
        assert_eq!(status(&mut node, conn), "401");
    }
}

#[test]
fn an_environment_is_seen_by_those_who_may_and_no_secret_by_accident() {
    let mut node = node();
    let job = json!({"name": "env", "cmd": "a", "env": {"MODE": "fast", "DB_PASSWORD": "hush"}});
    assert_eq!(ask(&mut node, "POST", "/jobs/app", Some("admin"), &job.to_string()).0, 200);
    let env = |node: &mut FakeNode, target: &str, secret: &str| -> Value {
        let (status, body) = ask(node, "GET", target, Some(secret), "");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let shown = |env: &Value| json!([env["MODE"], env["DB_PASSWORD"]]);
        match status {
            200 if target.starts_with("/jobs") => shown(&body["config"]["env"]),
            200 => shown(&body["env"]),
            status => json!(status),
        }
    };
    let hidden = "********";
    for target in ["/jobs/app/env", "/2"] {
        let all = format!("{target}?secrets=1");
        for (secret, plain, asked) in [
            ("read session", json!([hidden, hidden]), json!(403)),
            ("manage session", json!(["fast", hidden]), json!(403)),
            ("admin", json!(["fast", hidden]), json!(["fast", "hush"])),
        ] {
            assert_eq!(env(&mut node, target, secret), plain, "{target} {secret}");
            assert_eq!(env(&mut node, &all, secret), asked, "{target} {secret}");
        }
    }
    // What was seen masked and comes back is what it was.
    let update = json!({"cmd": "b", "env": {"MODE": "slow", "DB_PASSWORD": hidden}}).to_string();
    assert_eq!(ask(&mut node, "PUT", "/jobs/app/env", Some("manage session"), &update).0, 201);
    let told = env(&mut node, "/jobs/app/env?secrets=1", "admin");
    assert_eq!(told, json!(["slow", "hush"]));
    let made_up = json!({"cmd": "b", "env": {"OTHER": hidden}}).to_string();
    assert_eq!(ask(&mut node, "PUT", "/jobs/app/env", Some("admin"), &made_up).0, 400);
}

#[test]
fn only_an_administrator_chooses_whom_a_job_runs_as() {
    let mut node = node();
    let load = |node: &mut FakeNode, secret: &str, job: Value| {
        ask(node, "POST", "/jobs/app", Some(secret), &job.to_string()).0
    };
    let update = |node: &mut FakeNode, secret: &str, name: &str, job: Value| {
        ask(node, "PUT", &format!("/jobs/app/{name}"), Some(secret), &job.to_string()).0
    };
    let www = |name: &str| json!({"name": name, "cmd": "a", "uid": "www"});
    assert_eq!(load(&mut node, "manage session", www("a")), 403);
    assert_eq!(load(&mut node, "admin", www("a")), 200);
    assert_eq!(load(&mut node, "manage session", json!({"name": "b", "cmd": "a"})), 200);
    assert_eq!(update(&mut node, "manage session", "a", json!({"cmd": "b", "uid": "www"})), 201);
    assert_eq!(update(&mut node, "manage session", "b", json!({"cmd": "b", "uid": "www"})), 403);
    // Where the daemon is root, who names nobody means root.
    node.keeping.root = true;
    node.reconfigure(Vec::new());
    assert_eq!(load(&mut node, "manage session", json!({"name": "c", "cmd": "a"})), 403);
    assert_eq!(update(&mut node, "manage session", "a", json!({"cmd": "b"})), 403);
    assert_eq!(update(&mut node, "manage session", "b", json!({"cmd": "c"})), 403);
    assert_eq!(update(&mut node, "manage session", "a", json!({"cmd": "c", "uid": "www"})), 201);
    assert_eq!(load(&mut node, "admin", json!({"name": "c", "cmd": "a"})), 200);
    let data = json!({"identity": "i", "name": "load", "args": [{"name": "d", "cmd": "a"}],
        "kwargs": {"sessionid": "app"}});
    let message = json!({"event": "CMD", "data": data}).to_string();
    let (conn, _) = opened(&mut node, "/channel/websocket", Some("manage session"));
    let told = format!("{:?}", said(&mut node, conn, &message));
    assert!(told.contains("forbidden") && told.contains("gafferd is root"), "{told}");
}

#[test]
fn who_needs_a_key_from_now_on_is_sent_away() {
    let mut node = FakeNode::kept(Access::default(), Legacy::default(), open());
    let (session, _) = opened(&mut node, "/channel/websocket", None);
    let owner = node.connect(Peer::Unix { uid: Some(0) });
    let watch = request("GET", "/watch?feed=continuous", None, "");
    node.send(owner, &watch, &mut || usize::MAX);
    node.take_answer(owner);
    assert_eq!(ask(&mut node, "GET", "/jobs", None, "").0, 200);
    node.keeping.require_key = true;
    node.reconfigure(Vec::new());
    let told = frames(node.take_answer(session));
    assert!(told.iter().any(|said| matches!(said, Said::Close(1008, _))), "{told:?}");
    assert_eq!(ask(&mut node, "GET", "/jobs", None, "").0, 401);
    assert_eq!(node.take_answer(owner), b"", "he needs none");
    node.keeping.owners.clear();
    node.reconfigure(Vec::new());
    let told = String::from_utf8_lossy(&node.take_answer(owner)).into_owned();
    assert!(told.contains("0\r\n"), "{told}");
}
