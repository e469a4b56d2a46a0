//! Programs that extend the node: what they say and are told, and the requests that they answer, with the
//! real machine in virtual time, and a program that is spoken by hand.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::ids::{ConnId, LinkId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::ExitStatus;
use gaffer::front::rights::Permissions;
use gaffer::node::keys::door::Keeping;
use gaffer::node::machine::Machine as _;
use gaffer::node::plugins::Plugin;
use gaffer::node::programs::manifest::Manifest;
use gaffer::node::programs::{Program, SESSION};
use gaffer::supervisor::name::JobName;
use gaffer::supervisor::spec::JobEntry;
use gaffer::supervisor::spec_read;

use crate::driven::Driven as _;
use crate::fake_node::{open, FakeNode};

const TICK: Duration = Duration::from_millis(1);
const OUT: StreamNo = StreamNo::STDOUT;

fn permissions(value: &Value) -> Permissions {
    Permissions::read(value).expect("sound")
}

fn program(manifest: &Value, granted: &Value) -> Plugin {
    let manifest = Manifest::read("hello", manifest.to_string().as_bytes()).expect("sound");
    let socket = Some("/state/hello".into());
    let program = Some(Program { manifest, granted: permissions(granted), socket });
    let (name, directory) = ("hello".into(), "/plugins/hello".into());
    Plugin { name, directory, site: None, manifest: None, program, faults: Vec::new() }
}

fn job(name: &str, config: &Value) -> JobEntry {
    let name = JobName::parse(name).expect("a name");
    let mut spec = spec_read::read(config.as_object().expect("an object")).expect("sound");
    Rc::make_mut(&mut spec.options).is_plugin = name.session() == SESSION;
    JobEntry { name, spec: spec.into(), start: true, place: Default::default() }
}

fn jobs() -> Vec<JobEntry> {
    let plugin = json!({"cmd": "hello", "redirect_input": true});
    vec![job("_plugin.hello", &plugin), job("site.web", &json!({"cmd": "web"}))]
}

const MANIFEST: &str = r#"{
    "name": "hello", "version": "1", "program": "run", "events": ["job.site"],
    "permissions": {"manage": ["site", "other"]},
    "routes": {"GET /hello/:name": "nothing", "POST /double/:session/:job": "manage", "GET /": "admin"}
}"#;

/// A node with one program, which runs.
fn node_that(keeping: Keeping) -> (FakeNode, OsPid) {
    let manifest = serde_json::from_str(MANIFEST).expect("JSON");
    let program = program(&manifest, &json!({"manage": ["site"]}));
    (FakeNode::extended(vec![program], jobs(), keeping), OsPid(1001))
}

fn node() -> (FakeNode, OsPid) {
    node_that(open())
}

/// What the program was told since this was asked last.
fn told(node: &mut FakeNode) -> Vec<Value> {
    let texts = node.asked.iter().filter_map(|line| line.split_once(" reads "));
    let texts = texts
        .filter(|(who, _)| *who == "1001")
        .filter_map(|(_, text)| serde_json::from_str::<String>(text.strip_suffix(" on 0")?).ok());
    let all: String = texts.collect();
    node.asked.clear();
    all.lines().map(|line| serde_json::from_str(line).expect("a message")).collect()
}

fn events(told: &[Value]) -> Vec<&str> {
    told.iter().filter_map(|message| message["event"].as_str()).collect()
}

fn view(node: &mut FakeNode) -> Value {
    node.get("/plugins")["plugins"][0]["program"].clone()
}

fn say(node: &mut FakeNode, os_pid: OsPid, name: &str, args: Value) -> Value {
    let command = json!({"event": "CMD", "data": {"identity": "1", "name": name, "args": args}});
    node.asked.clear();
    node.output(os_pid, OUT, format!("{command}\n").as_bytes());
    told(node).into_iter().find(|m| m["data"]["id"] == "1").expect("it is answered")
}

#[test]
fn a_program_is_told_who_it_is_and_the_events_of_its_manifest() {
    let (mut node, os_pid) = node();
    let first = told(&mut node);
    assert_eq!(first[0]["event"], "gaffer:hello");
    assert_eq!(first[0]["data"]["granted"]["manage"], json!(["site"]));
    assert_eq!(
        first[1],
        json!({"event": "gaffer:subscription_success", "topic": "EVENTS:job.site"})
    );
    let scaled = say(&mut node, os_pid, "scale", json!(["site.web", 2]));
    assert_eq!(scaled["event"], "gaffer:command_success");
    node.ask("POST /jobs/site/web/numprocesses", r#"{"scale": 3}"#);
    let heard = told(&mut node);
    assert!(events(&heard).contains(&"gaffer:event"), "{heard:?}");
    node.ask("POST /jobs/other", r#"{"name": "a", "cmd": "x"}"#);
    assert_eq!(told(&mut node), Vec::<Value>::new(), "those are no events of the session site");
}

#[test]
fn a_program_may_do_what_it_asks_for_and_is_granted_and_nothing_else() {
    let (mut node, os_pid) = node();
    node.ask("POST /jobs/other", r#"{"name": "a", "cmd": "x"}"#);
    // Asked for, and not granted.
    let refused = say(&mut node, os_pid, "stop_job", json!(["other.a"]));
    assert_eq!(refused["data"]["error"]["errno"], 403);
    // Nobody loads jobs among the plugins.
    let config = json!([{"name": "x", "cmd": "x"}]);
    let mut loads = |session: &str| {
        let load = json!({"event": "CMD", "data": {
            "identity": "1", "name": "load", "args": config, "kwargs": {"sessionid": session},
        }});
        node.output(os_pid, OUT, format!("{load}\n").as_bytes());
        told(&mut node).into_iter().find(|m| m["data"]["id"] == "1").expect("it is answered")
    };
    assert_eq!(loads("site")["event"], "gaffer:command_success");
    assert_eq!(loads("_plugin")["data"]["error"]["errno"], 403);
    let conn = node.connect_tcp();
    let body = r#"{"name": "x", "cmd": "x"}"#;
    let head =
        format!("POST /jobs/_plugin HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}", body.len());
    node.send(conn, format!("{head}\r\n\r\n{body}").as_bytes(), &mut || usize::MAX);
    let answer = String::from_utf8(node.take_answer(conn)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("plugins"), "{answer}");
}

#[test]
fn what_is_no_message_is_answered_and_at_last_the_program_is_killed() {
    let (mut node, os_pid) = node();
    told(&mut node);
    for line in [&b"hello\n"[..], b"\xff\n", b"[1]\n", b"{\"event\": \"DO\"}\n"] {
        node.output(os_pid, OUT, line);
        assert_eq!(events(&told(&mut node)), ["gaffer:error"]);
    }
    let so_far = 4;
    for _ in so_far..limits::PLUGIN_INVALID - 1 {
        node.output(os_pid, OUT, b"nonsense\n");
    }
    assert!(!node.asked.iter().any(|line| line.contains("KILL")));
    node.advance(Duration::from_secs(5));
    assert_eq!(view(&mut node)["state"], "running");
    node.output(os_pid, OUT, b"nonsense\n");
    assert!(node.asked.iter().any(|line| line == "SIGKILL to 1001"), "{:?}", node.asked);
    let seen = view(&mut node);
    assert_eq!(seen["invalid_messages"], limits::PLUGIN_INVALID);
    assert!(seen["last_error"].as_str().is_some_and(|e| e.contains("100 of its lines")), "{seen}");
    assert_ne!(seen["state"], "running");
    node.advance(Duration::from_secs(60));
    assert_eq!(view(&mut node)["state"], "running", "it comes back by the rules of its job");
}

#[test]
fn who_asks_and_never_reads_is_killed_and_who_only_hears_loses_the_oldest() {
    let (mut node, os_pid) = node();
    node.read(Ok(0));
    let big = "x".repeat(1000);
    for number in 0..limits::INPUT_QUEUE / 200 {
        let config = json!({"name": format!("j{number}"), "cmd": big, "start": false});
        node.ask("POST /jobs/site", &config.to_string());
        node.ask(&format!("DELETE /jobs/site/j{number}"), "");
    }
    assert!(!node.asked.iter().any(|line| line.contains("KILL")));
    node.asked.clear();
    let command =
        json!({"event": "CMD", "data": {"identity": "1", "name": "info", "args": ["site.web"]}});
    let line = format!("{command}\n");
    let mut said = 0;
    while !node.asked.iter().any(|line| line.contains("SIGKILL to 1001")) {
        said += line.len();
        assert!(said < 64 * limits::SOCKJS_QUEUE, "it would go on for ever");
        node.output(os_pid, OUT, line.as_bytes());
    }
    let error = view(&mut node)["last_error"].clone();
    assert!(error.as_str().is_some_and(|e| e.contains("does not read the answers")), "{error}");
}

#[test]
fn more_is_taken_only_when_what_was_said_before_is_done() {
    let (mut node, os_pid) = node();
    node.ask("POST /jobs/site", r#"{"name": "cat", "cmd": "cat", "redirect_input": true}"#);
    let pid = node.get("/jobs/site/cat/pids")["pids"][0].clone();
    let id = node.instance(os_pid);
    node.read(Ok(0));
    let data = "x".repeat(limits::INPUT_QUEUE / 2 + 1);
    let send = |identity: u32| {
        let command = json!({"event": "CMD", "data": {
            "identity": identity, "name": "send", "args": [pid, data],
        }});
        format!("{command}\n")
    };
    assert!(node.gaffer.wants_output(id, OUT));
    node.output(os_pid, OUT, send(1).as_bytes());
    assert!(node.gaffer.wants_output(id, OUT));
    // The second does not fit, and waits; what is said behind it waits, too.
    node.output(os_pid, OUT, send(2).as_bytes());
    node.gaffer.take_wanted_outputs();
    node.output(os_pid, OUT, send(3).as_bytes());
    assert!(!node.gaffer.wants_output(id, OUT));
    assert!(node.gaffer.wants_output(id, StreamNo::STDERR));
    assert_eq!(node.gaffer.take_wanted_outputs(), []);
    // Its last words are done though it has ended meanwhile.
    node.exit(os_pid, ExitStatus::Code(0), false);
    node.read(Ok(usize::MAX));
    let reads = node.asked.iter().filter(|line| line.contains("reads") && line.contains("on 0"));
    assert!(reads.count() >= 2, "{:?}", node.asked);
    assert!(node.gaffer.wants_output(id, OUT));
}

/// A request on a connection of its own.
fn asks(node: &mut FakeNode, request: &str) -> ConnId {
    let conn = node.connect_tcp();
    node.send(conn, request.as_bytes(), &mut || usize::MAX);
    conn
}

fn get(node: &mut FakeNode, path: &str) -> ConnId {
    asks(node, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn answer(node: &mut FakeNode, conn: ConnId) -> String {
    String::from_utf8(node.take_answer(conn)).expect("text")
}

fn dialled(node: &mut FakeNode) -> LinkId {
    let mut dialled = std::mem::take(&mut node.dialled);
    assert_eq!(dialled.len(), 1, "{dialled:?}");
    let (link, address) = dialled.remove(0);
    assert_eq!(address.to_string(), "unix:/state/hello");
    link
}

fn heard(node: &mut FakeNode, link: LinkId) -> String {
    String::from_utf8(node.take_link_output(link, usize::MAX)).expect("text")
}

#[test]
fn a_request_reaches_the_program_without_secrets_and_its_answer_the_client() {
    let (mut node, _) = node();
    let conn = asks(
        &mut node,
        "GET /_plugin/hello/api/hello/J%20o?a=%2F HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: secret\r\n\
         Authorization: Basic c2VjcmV0\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Gaffer-Caller: root\r\n\
         X_Gaffer_Caller: root\r\nAccept: */*\r\n\r\n",
    );
    let link = dialled(&mut node);
    node.link_opened(link);
    assert_eq!(
        heard(&mut node, link),
        "GET /hello/J%20o?a=%2F HTTP/1.1\r\nHost: hello\r\nConnection: close\r\naccept: */*\r\n\
         X-Gaffer-Caller: anybody\r\n\r\n"
    );
    node.link_received(link, b"HTTP/1.1 200 OK\r\nContent-Type: text/pl");
    node.link_received(link, b"ain\r\nAccess-Control-Allow-Origin: *\r\n\r\nh");
    let first = answer(&mut node, conn);
    assert!(
        first.starts_with("HTTP/1.1 200 OK\r\n") && first.ends_with("\r\n1\r\nh\r\n"),
        "{first}"
    );
    assert!(!first.contains("Access-Control"), "{first}");
    node.link_received(link, b"i");
    assert_eq!(answer(&mut node, conn), "1\r\ni\r\n");
    node.link_closed(link);
    assert_eq!(answer(&mut node, conn), "0\r\n\r\n");
    assert!(node.link_is_over(link));
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let link = dialled(&mut node);
    node.link_opened(link);
    node.link_received(
        link,
        b"HTTP/1.1 303 x\r\nLocation: /hello/y\r\nContent-Length: 5\r\n\r\nthe",
    );
    assert_eq!(answer(&mut node, conn), "", "it is short, and is told with its length");
    node.link_received(link, b"re");
    let whole = answer(&mut node, conn);
    assert!(
        whole.contains("\r\nContent-Length: 5\r\n") && whole.ends_with("\r\n\r\nthere"),
        "{whole}"
    );
    assert!(whole.contains("\r\nLocation: /_plugin/hello/api/hello/y\r\n"), "{whole}");
    assert_eq!(view(&mut node)["requests"], 2);
}

#[test]
fn who_may_not_ask_reaches_no_program() {
    let keeping = Keeping { require_key: true, ..open() };
    let (mut node, _) = node_that(keeping);
    for (request, status) in [
        ("POST /_plugin/hello/api/double/site/web", 401),
        ("GET /_plugin/hello/api", 401),
        ("GET /_plugin/hello/api/", 401),
        ("GET /_plugin/hello/api/none", 404),
        ("GET /_plugin/none/api/hello/x", 404),
        ("DELETE /_plugin/hello/api/hello/x", 405),
    ] {
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let conn = asks(&mut node, &head);
        let said = answer(&mut node, conn);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
    }
    assert!(node.dialled.is_empty());
    get(&mut node, "/_plugin/hello/api/hello/x");
    assert_eq!(node.dialled.len(), 1, "anybody may ask that");
}

#[test]
fn a_program_that_does_not_answer_as_it_should_is_told_as_that() {
    for (said, status) in [
        ("nonsense\r\n\r\n", "502"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "502"),
        ("HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n", "502"),
        ("HTTP/1.1 999 x\r\n\r\n", "502"),
        ("", "502"),
    ] {
        let (mut node, _) = node();
        let conn = get(&mut node, "/_plugin/hello/api/hello/x");
        let link = dialled(&mut node);
        node.link_opened(link);
        if !said.is_empty() {
            node.link_received(link, said.as_bytes());
        } else {
            node.link_closed(link);
        }
        let answer = answer(&mut node, conn);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(view(&mut node)["failed_requests"], 1);
    }
    let (mut node, _) = node();
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let link = dialled(&mut node);
    node.link_opened(link);
    node.advance(limits::FORWARD_PATIENCE - TICK);
    assert_eq!(answer(&mut node, conn), "");
    node.advance(TICK);
    let late = answer(&mut node, conn);
    assert!(late.starts_with("HTTP/1.1 504 ") && late.contains("30 seconds"), "{late}");
    assert!(node.link_is_over(link));
    // In the middle of an answer the client must not take for the end what is none.
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let link = dialled(&mut node);
    node.link_opened(link);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", limits::FORWARD_BUFFER + 1);
    node.link_received(link, format!("{long}hal").as_bytes());
    node.link_closed(link);
    let cut = answer(&mut node, conn);
    assert!(!cut.ends_with("0\r\n\r\n") && node.gaffer.is_finished(conn), "{cut}");
}

#[test]
fn an_answer_comes_no_faster_than_its_client_takes_it() {
    let (mut node, _) = node();
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let link = dialled(&mut node);
    node.link_opened(link);
    node.link_received(link, b"HTTP/1.1 200 OK\r\n\r\n");
    let piece = vec![b'x'; 16 * 1024];
    let mut sent = 0;
    while node.gaffer.link_wants_input(link) {
        node.link_received(link, &piece);
        sent += piece.len();
        assert!(sent < 100 * limits::FORWARD_BUFFER, "it takes everything");
    }
    node.gaffer.take_dirty_links();
    let first = node.take_answer(conn).len();
    assert!(first > 0 && node.gaffer.link_wants_input(link));
    assert_eq!(node.gaffer.take_dirty_links(), [link], "the shell is told");
    node.link_closed(link);
    assert!(answer(&mut node, conn).ends_with("0\r\n\r\n"), "its end is the end of the connection");
    // A client that goes needs no answer.
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let link = dialled(&mut node);
    node.vanish(conn);
    assert!(node.link_is_over(link));
}

#[test]
fn a_program_answers_only_so_much_at_a_time_and_none_when_it_is_down() {
    let (mut node, _) = node();
    for _ in 0..limits::FORWARDS {
        get(&mut node, "/_plugin/hello/api/hello/x");
    }
    assert_eq!(node.dialled.len(), limits::FORWARDS);
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let full = answer(&mut node, conn);
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("Retry-After"), "{full}");
    node.ask("POST /jobs/_plugin/hello/state", "0");
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    let down = answer(&mut node, conn);
    assert!(down.starts_with("HTTP/1.1 503 ") && down.contains("does not run"), "{down}");
}

#[test]
fn another_configuration_makes_another_program_of_it() {
    let (mut node, _) = node();
    node.plugins = Vec::new();
    node.reconfigure(vec![job("site.web", &json!({"cmd": "web"}))]);
    assert_eq!(node.get("/plugins")["plugins"], json!([]));
    let conn = get(&mut node, "/_plugin/hello/api/hello/x");
    assert!(answer(&mut node, conn).starts_with("HTTP/1.1 404 "));
    let manifest = json!({"name": "hello", "program": "run", "routes": {"GET /new": "nothing"}});
    node.plugins = vec![program(&manifest, &json!({}))];
    node.reconfigure(jobs());
    get(&mut node, "/_plugin/hello/api/new");
    assert_eq!(node.dialled.len(), 1);
    assert_eq!(view(&mut node)["routes"][0]["path"], "/new");
}

/// What a client has of an answer without its head, of which the chunks are put together.
fn body_of(answer: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (head, mut rest) = answer.split_at(end);
    if !String::from_utf8_lossy(head).contains("chunked") {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a length");
        let length = std::str::from_utf8(&rest[..line]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 2 + length + 2..];
    }
}

#[test]
fn an_answer_is_whole_though_the_program_is_done_before_the_client() {
    let whole: Vec<u8> = (0..3 * limits::FORWARD_BUFFER).map(|n| b"0123456789"[n % 10]).collect();
    let sized = format!("Content-Length: {}\r\n", whole.len());
    for (field, chunked) in
        [(sized.as_str(), false), ("Transfer-Encoding: chunked\r\n", true), ("", false)]
    {
        let (mut node, _) = node();
        let conn = get(&mut node, "/_plugin/hello/api/hello/x");
        let link = dialled(&mut node);
        node.link_opened(link);
        node.link_received(link, format!("HTTP/1.1 200 OK\r\n{field}\r\n").as_bytes());
        for piece in whole.chunks(20_000) {
            let text = if chunked { format!("{:x}\r\n", piece.len()) } else { String::new() };
            let end: &[u8] = if chunked { b"\r\n" } else { b"" };
            node.link_received(link, &[text.as_bytes(), piece, end].concat());
        }
        if chunked {
            node.link_received(link, b"0\r\n\r\n");
        }
        // Its client has taken nothing so far.
        node.link_closed(link);
        let answer = node.take_answer(conn);
        assert!(body_of(&answer) == whole, "{field}: {} bytes", answer.len());
        let has_length = String::from_utf8_lossy(&answer[..400]).contains("Content-Length");
        assert_eq!(has_length, !field.is_empty() && !chunked);
        assert_eq!(view(&mut node)["failed_requests"], 0);
    }
}

#[test]
fn a_path_means_what_its_pattern_says_however_a_program_reads_it() {
    let (mut node, _) = node();
    for path in ["hello/..", "hello/a%2Fb", "hello/%2e%2e", "hello/a%5cb", "./hello/x"] {
        let conn = get(&mut node, &format!("/_plugin/hello/api/{path}"));
        let said = answer(&mut node, conn);
        assert!(said.starts_with("HTTP/1.1 403 "), "{path}: {said}");
    }
    assert!(node.dialled.is_empty());
}

#[test]
fn the_head_of_an_answer_is_that_of_the_answer_to_get() {
    let (mut node, _) = node();
    for (field, told) in [("Content-Length: 70000\r\n", "Content-Length: 70000"), ("", "chunked")] {
        let head = "HEAD /_plugin/hello/api/hello/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let conn = asks(&mut node, head);
        let link = dialled(&mut node);
        node.link_opened(link);
        assert!(heard(&mut node, link).starts_with("GET /hello/x HTTP/1.1\r\n"));
        node.link_received(link, format!("HTTP/1.1 200 OK\r\n{field}\r\nbody").as_bytes());
        let said = answer(&mut node, conn);
        assert!(said.contains(told) && said.ends_with("\r\n\r\n"), "{said}");
        assert!(node.link_is_over(link), "no more of it is read");
    }
}

#[test]
fn nobody_else_speaks_to_a_plugin_as_the_node_does() {
    let (mut node, _) = node();
    let pid = node.get("/jobs/_plugin/hello/pids")["pids"][0].clone();
    let conn = asks(
        &mut node,
        &format!("POST /streams/{pid}/stdin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"),
    );
    let said = answer(&mut node, conn);
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
}

#[test]
fn what_is_granted_no_more_is_permitted_no_more_to_who_runs_already() {
    let (mut node, os_pid) = node();
    let stop = json!(["site.web"]);
    assert_eq!(say(&mut node, os_pid, "stop_job", stop.clone())["event"], "gaffer:command_success");
    let manifest = serde_json::from_str(MANIFEST).expect("JSON");
    node.plugins = vec![program(&manifest, &json!({}))];
    node.reconfigure(jobs());
    assert_eq!(say(&mut node, os_pid, "stop_job", stop)["data"]["error"]["errno"], 403);
}

#[test]
fn who_says_too_much_is_heard_no_faster_and_it_is_told() {
    let (mut node, os_pid) = node();
    let id = node.instance(os_pid);
    let line = b"{\"event\": \"NOP\"}\n";
    let piece: Vec<u8> = line.iter().copied().cycle().take(1000 * line.len()).collect();
    let (mut said, most) = (0, limits::SOCKJS_MESSAGE + limits::PLUGIN_RATE);
    while node.gaffer.wants_output(id, OUT) {
        node.output(os_pid, OUT, &piece);
        said += piece.len();
        assert!(said <= most + piece.len(), "it says {said} bytes at once");
    }
    assert!(said >= most, "so much it may say at once: {said}");
    let error = view(&mut node)["last_error"].clone();
    assert!(error.as_str().is_some_and(|e| e.contains("256 KiB a second")), "{error}");
    node.gaffer.take_wanted_outputs();
    let until = node.gaffer.deadline().expect("it is heard again");
    node.advance(until.saturating_duration_since(node.now.mono));
    assert!(node.gaffer.wants_output(id, OUT));
    assert_eq!(node.gaffer.take_wanted_outputs(), [(id, OUT)], "the shell is told");
    // In the long run it is so much a second.
    let (begun, mut told) = (node.now.mono, 0);
    while told < 4 * limits::PLUGIN_RATE {
        match node.gaffer.wants_output(id, OUT) {
            true => {
                node.output(os_pid, OUT, &piece);
                told += piece.len();
            }
            false => node.advance(Duration::from_millis(10)),
        }
    }
    let took = node.now.mono.saturating_duration_since(begun).as_secs_f64();
    assert!((3.0..6.0).contains(&took), "{took} seconds");
}

#[test]
fn who_takes_nothing_or_is_gone_makes_room_for_others() {
    let (mut node, _) = node();
    let conns: Vec<ConnId> =
        (0..limits::FORWARDS).map(|_| get(&mut node, "/_plugin/hello/api/hello/x")).collect();
    let links: Vec<LinkId> =
        std::mem::take(&mut node.dialled).into_iter().map(|(l, _)| l).collect();
    let refused = get(&mut node, "/_plugin/hello/api/hello/x");
    assert!(answer(&mut node, refused).starts_with("HTTP/1.1 503 "));
    // One has ended his side, and perhaps is gone.
    node.half_close(conns[0]);
    get(&mut node, "/_plugin/hello/api/hello/x");
    assert!(node.link_is_over(links[0]));
    dialled(&mut node);
    // One takes nothing of what there is for him.
    node.link_opened(links[1]);
    node.link_received(links[1], b"HTTP/1.1 200 OK\r\n\r\n");
    while node.gaffer.link_wants_input(links[1]) {
        node.link_received(links[1], &[b'x'; 10_000]);
    }
    node.advance(limits::FORWARD_STALLED - TICK);
    let refused = get(&mut node, "/_plugin/hello/api/hello/x");
    assert!(answer(&mut node, refused).starts_with("HTTP/1.1 503 "));
    node.advance(TICK);
    get(&mut node, "/_plugin/hello/api/hello/x");
    assert!(node.link_is_over(links[1]) && node.gaffer.is_finished(conns[1]));
    dialled(&mut node);
}

#[test]
fn of_who_is_left_behind_by_a_leader_only_so_much_waits() {
    let (mut node, os_pid) = node();
    node.ask("POST /jobs/site", r#"{"name": "cat", "cmd": "cat", "redirect_input": true}"#);
    let pid = node.get("/jobs/site/cat/pids")["pids"][0].clone();
    node.read(Ok(0));
    let data = "x".repeat(limits::INPUT_QUEUE / 2 + 1);
    let send =
        json!({"event": "CMD", "data": {"identity": 1, "name": "send", "args": [pid, data]}});
    node.output(os_pid, OUT, format!("{send}\n{send}\n").as_bytes());
    let line = "{\"event\": \"NOP\"}\n";
    for _ in 0..12 {
        node.output(os_pid, OUT, line.repeat(limits::PLUGIN_BACKLOG / 10).as_bytes());
    }
    let untold = view(&mut node)["untold_messages"].as_u64();
    assert!(untold.is_some_and(|untold| untold >= 1000), "{untold:?}");
}
