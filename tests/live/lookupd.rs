//! The real `gaffer_lookupd`: nodes over real sockets, its options, and its signals.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{json, Value};

use super::http::{self, Client};
use super::node::{context_switches, is_there, Folder, Node, HUP, TERM, USR1};
use super::procs;
use super::until::{all_along, until};
use super::ws_client::{self, Said};

/// A websocket.
pub(crate) struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Socket {
    pub(crate) fn open(lookupd: &Node, path: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", lookupd.port)).expect("it accepts");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let handshake = ws_client::handshake(path, "Host: localhost\r\n", "");
        stream.write_all(&handshake).expect("sent");
        let mut socket = Self { stream, input: Vec::new() };
        let end = loop {
            if let Some(at) = socket.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(socket.read_more(), "it answers");
        };
        assert!(socket.input.starts_with(b"HTTP/1.1 101 "));
        socket.input.drain(..end);
        socket
    }

    fn node(lookupd: &Node, name: &str) -> Self {
        let mut node = Self::open(lookupd, "/ws");
        let identify = json!({
            "msgid": "1", "type": "IDENTIFY", "name": name, "origin": "http://n:1", "version": "0.1",
        });
        assert_eq!(node.asks(&identify)["ok"], true);
        node
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = http::read(&mut self.stream, &mut buffer).expect("in time");
        self.input.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn hear(&mut self) -> Option<Said> {
        loop {
            if let Some(said) = ws_client::take(&mut self.input) {
                return Some(said);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    pub(crate) fn text(&mut self) -> Value {
        match self.hear() {
            Some(Said::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    fn asks(&mut self, message: &Value) -> Value {
        let frame = ws_client::frame(ws_client::TEXT, message.to_string().as_bytes());
        self.stream.write_all(&frame).expect("sent");
        self.text()
    }
}

fn job(name: &str) -> Value {
    json!({"msgid": "2", "type": "REGISTER_JOB", "job_name": name})
}

#[test]
fn what_a_node_says_is_told_to_who_asks_and_to_who_follows_until_it_is_gone() {
    let mut lookupd = Folder::of_lookupd().start();
    let mut follower = Socket::open(&lookupd, "/lookup/websocket?snapshot=1");
    assert_eq!(follower.text()["event"], "snapshot_end");
    let mut node = Socket::node(&lookupd, "n1");
    node.asks(&job("a.web"));
    node.asks(&json!({"msgid": 3, "type": "REGISTER_PROCESS", "job_name": "a.web", "pid": 7}));
    for event in ["add_node", "identify", "add_job", "add_process"] {
        assert_eq!(follower.text()["event"], event);
    }
    let sources = lookupd.get("/findJob?name=a.web");
    assert_eq!(sources["sources"][0]["pids"], json!([7]), "{sources}");
    assert_eq!(sources["sources"][0]["node_info"]["origin"], "http://n:1");
    drop(node);
    assert_eq!(follower.text()["event"], "remove_node");
    assert_eq!(lookupd.get("/nodes"), json!({"nodes": []}));
    lookupd.signal(HUP);
    assert_eq!(lookupd.ask("GET", "/ping", "").text(), "OK", "HUP is nothing to it");
    lookupd.signal(TERM);
    assert_eq!(follower.hear(), Some(Said::Close(1001, "the lookupd ends".into())));
    assert_eq!(lookupd.ended(), Some(0), "{}", lookupd.log());
}

#[test]
fn many_nodes_come_at_once_and_are_gone_at_once() {
    let lookupd = Folder::of_lookupd().start();
    let mut nodes: Vec<Socket> =
        (0..300).map(|n| Socket::node(&lookupd, &format!("n{n}"))).collect();
    for node in &mut nodes {
        assert_eq!(node.asks(&job("a.web"))["ok"], true);
    }
    let sources = lookupd.get("/findJob?name=a.web");
    assert_eq!(sources["sources"].as_array().map(Vec::len), Some(300));
    let descriptors = procs::fds(lookupd.os_pid);
    drop(nodes);
    until("they are gone", || lookupd.get("/debug/counters")["nodes"] == 0);
    let closed = || descriptors == 0 || procs::fds(lookupd.os_pid) + 300 <= descriptors;
    until("their descriptors are closed", closed);
}

#[test]
fn with_idle_nodes_it_sleeps() {
    let lookupd = Folder::of_lookupd().start();
    let _nodes: Vec<Socket> = (0..20).map(|n| Socket::node(&lookupd, &format!("n{n}"))).collect();
    let _follower = Socket::open(&lookupd, "/lookup/websocket");
    let mut last = 0;
    until("it has come to rest", || {
        let before = std::mem::replace(&mut last, context_switches(lookupd.os_pid));
        all_along(Duration::from_millis(300), "it runs", || procs::exists(lookupd.os_pid));
        before == last && context_switches(lookupd.os_pid) == last
    });
    // Shorter than a heartbeat: nothing is due.
    all_along(Duration::from_secs(3), "it wakes", || context_switches(lookupd.os_pid) == last);
}

#[test]
fn it_goes_to_the_background_and_leaves_nothing_behind() {
    let folder = Folder::of_lookupd().args(&["--bind", "unix:s", "--bind", "unix:t", "--daemon"]);
    let folder = folder.args(&["--pidfile", "@pid", "--error-log", "@error.log"]);
    let called = folder.run();
    assert_eq!((called.code, called.said.as_str()), (Some(0), ""));
    let os_pid: i32 = folder.read("pid").trim().parse().expect("a pid");
    let lookupd = Node::of_background(folder, os_pid, "error.log");
    let title = fs::read_to_string(format!("/proc/{os_pid}/comm")).unwrap_or_default();
    assert_eq!(title.trim(), "gaffer_lookupd");
    for socket in ["s", "t"] {
        let mut client = Client::unix(&lookupd.path(socket)).expect("connected");
        assert_eq!(client.request("GET", "/ping", "").expect("answered").text(), "OK");
    }
    fs::rename(lookupd.path("error.log"), lookupd.path("error.log.1")).expect("renamed");
    lookupd.signal(USR1);
    until("the log is opened again", || lookupd.read("error.log").contains("opened again"));
    let held = lookupd.path("pid").display().to_string();
    let second = Folder::of_lookupd().args(&["--pidfile", &held]).run();
    assert_eq!(second.code, Some(1));
    assert!(second.said.contains("already running on PID"), "{}", second.said);
    assert!(UnixStream::connect(lookupd.path("s")).is_ok(), "the first goes on");
    lookupd.signal(TERM);
    until("it ends", || !procs::exists(os_pid));
    for trace in ["pid", "s", "t"] {
        assert!(!is_there(&lookupd.path(trace)), "{trace} is left behind");
    }
}

#[test]
fn what_it_refuses_to_start_with_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let bind = format!("127.0.0.1:{port}");
    let in_use = format!("cannot listen on {bind}: Address already in use");
    for (args, code, reason) in [
        (&["--bind", bind.as_str()][..], 1, in_use.as_str()),
        (&["--bind", "unix:/dev/null"], 1, "choose another with --bind unix:PATH"),
        (&["--error-log", "/no/such/log"], 1, "/no/such/log: No such file or directory"),
        (&["--keyfile", "x"], 2, "--keyfile: there is no certificate for this key"),
        (&["--backlog", "x"], 2, "--backlog: expected a whole number"),
        (&["--bnid", "x"], 2, "did you mean --bind?"),
    ] {
        let refused = Folder::of_lookupd().args(args).run();
        assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.said);
        assert!(refused.said.contains(reason), "{args:?}: {}", refused.said);
        let last = refused.said.lines().last().unwrap_or_default();
        assert!(last.starts_with("gaffer_lookupd: "), "{last:?}");
    }
    let lookupd = Folder::of_lookupd().args(&["--bind", "0.0.0.0:0"]).start();
    until("it warns", || lookupd.log().contains("can be reached from other machines"));
}
